//! What requests say: bodies, versions and query parameters.

use super::answer::Refusal;
use super::schema::{Reference, Wanted};
use super::words::Kind;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashMap;

/// Bytes of a request's body at most; a schema is rarely a hundredth of it.
pub(super) const MAX_BODY: usize = 1024 * 1024;
/// Bytes of a subject's name at most.
const MAX_SUBJECT: usize = 1024;

/// A body to be read as JSON whatever its content type says.
pub(super) fn body<T: DeserializeOwned>(bytes: Result<Bytes, BytesRejection>) -> Result<T, Refusal> {
    let bytes = bytes.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::new(413, format!("a request has at most {MAX_BODY} bytes")),
        _ => Refusal::new(400, "the request's body did not arrive"),
    })?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Refusal::new(400, format!("the request is not as it should: {error}")))
}

/// The body of a registration, a look-up or a check.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SchemaRequest {
    schema: Option<String>,
    schema_type: Option<String>,
    references: Option<Vec<Reference>>,
    metadata: Option<Value>,
    rule_set: Option<Value>,
    schema_tags_to_add: Option<Value>,
    schema_tags_to_remove: Option<Value>,
    /// Only for imports.
    pub(super) id: Option<i64>,
    pub(super) version: Option<i64>,
}

impl SchemaRequest {
    pub(super) fn wanted(&self) -> Result<Wanted, Refusal> {
        let extras = [&self.metadata, &self.rule_set, &self.schema_tags_to_add, &self.schema_tags_to_remove];
        if extras.into_iter().any(Option::is_some) {
            let why = "this registry keeps no metadata, rule sets or tags with a schema: leave them out";
            return Err(Refusal::new(422, why));
        }
        let name = self.schema_type.as_deref().unwrap_or("AVRO");
        let kind = Kind::named(name).ok_or_else(|| {
            Refusal::invalid_schema(format!("Invalid schema type {name}: give AVRO, JSON or PROTOBUF"))
        })?;
        let text = self.schema.as_deref().filter(|text| !text.trim().is_empty());
        let text = text.ok_or_else(|| Refusal::invalid_schema("Empty schema"))?;
        Ok(Wanted { kind, text: text.to_owned(), references: self.references.clone().unwrap_or_default() })
    }
}

/// A version as a path names it.
#[derive(Clone, Copy, Debug)]
pub(super) enum VersionRef {
    Latest,
    Number(u32),
}

impl VersionRef {
    pub(super) fn read(text: &str) -> Result<Self, Refusal> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("latest") || text == "-1" {
            return Ok(Self::Latest);
        }
        let number =
            text.parse::<i32>().ok().and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0);
        number.map(Self::Number).ok_or_else(|| {
            Refusal::new(
                42202,
                format!(
                    "The specified version '{text}' is not a valid version id. Allowed values are between [1, 2^31-1] and \
                     the string \"latest\""
                ),
            )
        })
    }
}

/// A path's id; what is no number is no path of ours.
pub(super) fn id(text: &str) -> Result<u32, Refusal> {
    text.parse::<i32>().ok().and_then(|id| u32::try_from(id).ok()).ok_or_else(Refusal::no_such_path)
}

/// A subject that may be written to.
pub(super) fn subject(name: &str) -> Result<(), Refusal> {
    if name.is_empty() || name.len() > MAX_SUBJECT || name.chars().any(char::is_control) {
        let why = format!(
            "The specified subject '{name}' is not a valid: give 1 to {MAX_SUBJECT} bytes without control characters"
        );
        return Err(Refusal::new(42208, why));
    }
    Ok(())
}

/// Query parameters, read leniently as the real one does: what is not `true` is false.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Flags(HashMap<String, String>);

impl Flags {
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The part of a list that `offset` and `limit` ask for.
    pub(super) fn page<T>(&self, all: impl IntoIterator<Item = T>) -> Result<Vec<T>, Refusal> {
        let number = |name| match self.text(name).map(str::parse::<i64>) {
            None => Ok(None),
            Some(Ok(number)) => Ok(usize::try_from(number).ok()),
            Some(Err(_)) => Err(Refusal::new(400, format!("{name} is a number"))),
        };
        let (offset, limit) = (number("offset")?, number("limit")?);
        Ok(all.into_iter().skip(offset.unwrap_or(0)).take(limit.unwrap_or(usize::MAX)).collect())
    }
}
