//! A lead, told from others by what it says and not by how it is written: whoever hands it on may order its fields anew
//! or leave out those that are null.

use super::super::document::{Document, words};
use super::super::ids;
use crate::config::Confluent;
use crate::contract::SchemaCache;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lead {
    /// The id of its task, where that comes from here.
    pub(super) key: String,
    /// In order and without nulls.
    pub(super) text: String,
    /// The assignment that it says it belongs to.
    pub(super) link: Option<String>,
}

impl Lead {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(value: Option<&RawValue>, config: &Confluent) -> Result<Self, String> {
        value.map_or_else(|| Err("is not there".to_owned()), |raw| Self::of_text(raw.get(), config))
    }

    /// # Errors
    /// What is wrong with it.
    pub(super) fn of_text(text: &str, config: &Confluent) -> Result<Self, String> {
        let mut fields = match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => without_nulls(fields),
            Ok(Value::Null) => return Err("is null".to_owned()),
            _ => return Err("is no JSON object".to_owned()),
        };
        let link = config.link.as_ref().and_then(|field| fields.remove(field));
        let text = Value::Object(fields).to_string();
        let key = match &config.id {
            None => format!("lead-{}", ids::hash(text.as_bytes())),
            Some(path) => {
                let document = Document::read(text.as_bytes(), &SchemaCache::new()).map_err(|_| "is no JSON")?;
                let made = words(document.at(path)).and_then(|text| ids::task_id(&text));
                made.map_err(|problem| format!("{path} {problem}"))?
            }
        };
        Ok(Self { key, text, link: link.and_then(|link| link.as_str().map(str::to_owned)) })
    }
}

fn without_nulls(fields: Map<String, Value>) -> Map<String, Value> {
    let kept = |value: Value| match value {
        Value::Object(inner) => Value::Object(without_nulls(inner)),
        other => other,
    };
    fields.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name, kept(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Pointer;

    #[test]
    fn the_same_lead_is_the_same_however_it_is_written() {
        let config = Confluent::default();
        let lead = |text: &str| Lead::of_text(text, &config).unwrap();
        let one = lead(r#"{"name": "Ada", "email": "a@b.c", "extra": {"x": null, "y": [null]}}"#);
        assert_eq!(one, lead(r#"{"company_website":null,"extra":{"y":[null]},"email":"a@b.c","name":"Ada"}"#));
        assert_ne!(one.key, lead(r#"{"name": "Ada", "email": "a@b.d"}"#).key);
        assert!(one.key.starts_with("lead-") && one.key.len() == 37, "{}", one.key);
    }

    #[test]
    fn a_path_names_what_tells_leads_apart() {
        let config = Confluent { id: Some(Pointer::parse("/email").unwrap()), ..Confluent::default() };
        let lead = |text: &str| Lead::of_text(text, &config);
        assert_eq!(lead(r#"{"email":"a@b.c","x":1}"#).unwrap().key, lead(r#"{"email":"a@b.c"}"#).unwrap().key);
        assert_eq!(lead("{}").unwrap_err(), "/email is not there");
        assert_eq!([lead("null"), lead("[]")].map(Result::unwrap_err), ["is null", "is no JSON object"]);
    }

    #[test]
    fn a_link_is_read_and_is_no_part_of_the_lead() {
        let config = Confluent { link: Some("_baton".to_owned()), ..Confluent::default() };
        let (with, without) = (r#"{"a":1,"_baton":"t~0-0~1~1"}"#, r#"{"a":1}"#);
        let (with, without) = (Lead::of_text(with, &config).unwrap(), Lead::of_text(without, &config).unwrap());
        assert_eq!((with.key, with.text, with.link.as_deref()), (without.key, without.text, Some("t~0-0~1~1")));
    }
}
