//! A value as JSON text, whichever way it came: plain JSON, JSON in the registry's wire format, or Avro. What is taken out
//! of JSON stays as it was written, to the byte.

use crate::config::Pointer;
use crate::contract::{Known, Reason, Refusal, SchemaCache, Undecided, WriterSchema, to_json, wire};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

#[derive(Debug)]
pub(super) struct Document(Box<RawValue>);

impl Document {
    /// # Errors
    /// It is no such value, or its schema is not known yet.
    pub(super) fn read(value: &[u8], schemas: &SchemaCache) -> Result<Self, Undecided> {
        let Some((id, body)) = wire::split(value) else {
            if matches!(value.trim_ascii_start().first(), Some(b'{' | b'[')) {
                return Ok(Self::of_json(value)?);
            }
            let detail = "the value is neither JSON ({ or [ first) nor in the registry's wire format (a zero byte and a \
                          schema's id first)";
            return Err(Refusal::new(Reason::Undecodable, detail).into());
        };
        let unknown = |detail: String| Undecided::from(Refusal::new(Reason::UnknownSchema, detail));
        match schemas.known(id) {
            Known::NotYet => Err(Undecided::NeedsSchema(id)),
            Known::Missing => {
                Err(unknown(format!("the registry has no schema {id}; register it where Baton looks (registry.url)")))
            }
            Known::Schema(schema) => match &*schema {
                WriterSchema::Json => Ok(Self::of_json(body)?),
                WriterSchema::Other(what) => Err(unknown(format!("schema {id} is {what}; a source is Avro or JSON"))),
                avro @ WriterSchema::Avro(_) => Ok(Self::of_json(to_json(avro, body)?.to_string().as_bytes())?),
            },
        }
    }

    fn of_json(text: &[u8]) -> Result<Self, Refusal> {
        let parsed = serde_json::from_slice(text);
        parsed.map(Self).map_err(|error| Refusal::new(Reason::Undecodable, format!("the JSON does not parse: {error}")))
    }

    /// What lies there; none if nothing does. Of a name given twice the last counts.
    pub(super) fn at(&self, pointer: &Pointer) -> Option<&RawValue> {
        pointer.names().iter().try_fold(&*self.0, |value, name| match value.get().as_bytes().first() {
            Some(b'{') => serde_json::from_str::<BTreeMap<String, &RawValue>>(value.get()).ok()?.remove(name),
            Some(b'[') => {
                let index = name.parse::<usize>().ok().filter(|_| !name.starts_with('+'))?;
                serde_json::from_str::<Vec<&RawValue>>(value.get()).ok()?.get(index).copied()
            }
            _ => None,
        })
    }
}

/// A text, a number or a truth value in words: what can stand within a text.
///
/// # Errors
/// What it is instead.
pub(super) fn words(value: Option<&RawValue>) -> Result<String, &'static str> {
    let Some(raw) = value else { return Err("is not there") };
    match serde_json::from_str(raw.get()) {
        Ok(Value::String(text)) => Ok(text),
        Ok(Value::Number(_) | Value::Bool(_)) => Ok(raw.get().to_owned()),
        Ok(Value::Null) => Err("is null"),
        Ok(Value::Object(_)) => Err("is an object, not a text or a number"),
        Ok(Value::Array(_)) => Err("is a list, not a text or a number"),
        Err(_) => Err("is no JSON"),
    }
}

/// A value as the payload it becomes: a text stands for itself, all else for its JSON.
pub(super) fn payload(raw: &RawValue) -> String {
    serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| raw.get().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        Document::read(text.as_bytes(), &SchemaCache::new()).unwrap()
    }

    fn at(document: &Document, path: &str) -> Option<String> {
        document.at(&Pointer::parse(path).unwrap()).map(|raw| raw.get().to_owned())
    }

    #[test]
    fn a_path_leads_through_objects_and_lists_and_what_it_finds_stays_as_written() {
        let value = document(r#" {"a": [1, {"b/c": 1.50e2 }], "a~": null, "": 12345678901234567890123} "#);
        assert_eq!(at(&value, "/a/1/b~1c").as_deref(), Some("1.50e2"));
        assert_eq!(at(&value, "/a~0").as_deref(), Some("null"));
        assert_eq!(at(&value, "/").as_deref(), Some("12345678901234567890123"));
        assert_eq!(
            (at(&value, "/a/2"), at(&value, "/a/+0"), at(&value, "/a~0/x"), at(&value, "/b")),
            Default::default()
        );
        assert!(at(&value, "").unwrap().starts_with("{\"a\""));
    }

    #[test]
    fn framed_json_and_avro_are_read_by_their_schema() {
        let schemas = SchemaCache::new();
        schemas.insert(7, WriterSchema::parse("JSON", "{}"));
        let avro = r#"{"type":"record","name":"Lead","fields":[{"name":"name","type":["null","string"]}]}"#;
        schemas.insert(8, WriterSchema::parse("AVRO", avro));
        let framed = Document::read(&wire::frame(7, br#"{"name":"Ada"}"#), &schemas).unwrap();
        assert_eq!(at(&framed, "/name").as_deref(), Some("\"Ada\""));
        let framed = Document::read(&wire::frame(8, &[2, 6, b'A', b'd', b'a']), &schemas).unwrap();
        assert_eq!(at(&framed, "/name").as_deref(), Some("\"Ada\""));
        assert!(matches!(Document::read(&wire::frame(9, b"{}"), &schemas), Err(Undecided::NeedsSchema(9))));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let schemas = SchemaCache::new();
        schemas.insert(3, WriterSchema::parse("PROTOBUF", ""));
        schemas.insert_missing(4);
        let refused = |bytes: &[u8]| match Document::read(bytes, &schemas) {
            Err(Undecided::Refused(refusal)) => refusal.to_string(),
            other => panic!("{other:?}"),
        };
        assert!(refused(b"hello").starts_with("UNDECODABLE: the value is neither"));
        assert!(refused(b"{\"a\":").starts_with("UNDECODABLE: the JSON does not parse"));
        assert!(refused(&wire::frame(3, b"x")).contains("PROTOBUF"));
        assert!(refused(&wire::frame(4, b"x")).starts_with("UNKNOWN_SCHEMA: the registry has no schema 4"));
    }

    #[test]
    fn only_plain_values_stand_in_a_text() {
        let value = document(r#"{"a":"x","b":1.0,"c":true,"d":null,"e":{},"f":[]}"#);
        let words = |path: &str| words(value.at(&Pointer::parse(path).unwrap()));
        assert_eq!([words("/a"), words("/b"), words("/c")], [Ok("x".into()), Ok("1.0".into()), Ok("true".into())]);
        assert!(["/d", "/e", "/f", "/g"].iter().all(|path| words(path).is_err()));
    }
}
