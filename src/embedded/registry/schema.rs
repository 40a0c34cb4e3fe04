//! One schema: whether it is sound, what makes it the same as another, and whether two go together.

use super::avro;
use super::words::{Kind, Level};
use crate::selection;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Another schema that one builds on, by subject and version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reference {
    pub(super) name: String,
    pub(super) subject: String,
    pub(super) version: i64,
}

/// A schema as somebody hands it in.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) kind: Kind,
    pub(super) text: String,
    pub(super) references: Vec<Reference>,
}

/// A sound schema.
#[derive(Clone, Debug)]
pub(super) struct Schema {
    pub(super) kind: Kind,
    /// As it was handed in.
    pub(super) text: String,
    pub(super) references: Vec<Reference>,
    /// The texts of all that it builds on, also by way of others.
    parts: Vec<String>,
    /// Equal for schemas that mean the same.
    canonical: Value,
}

impl Schema {
    /// Checks a schema; `parts` are the texts of all that it builds on. Errors say what is wrong with it.
    pub(super) fn check(wanted: Wanted, parts: Vec<String>) -> Result<Self, String> {
        let Wanted { kind, text, references } = wanted;
        let canonical = match kind {
            Kind::Avro => avro::check(&text, &parts)?,
            Kind::Json if !references.is_empty() => {
                return Err(
                    "this registry takes no references in a JSON Schema: put what `$ref` names under `$defs`".into()
                );
            }
            Kind::Json => selection::sound_schema(&text)?,
            Kind::Protobuf => Value::String(text.trim().to_owned()),
        };
        Ok(Self { kind, text, references, parts, canonical })
    }

    /// Whether both have one id.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.kind == other.kind && self.references == other.references && self.canonical == other.canonical
    }

    /// Why this schema cannot follow an older one at a level; empty if it can. `older_name` is for the reasons.
    pub(super) fn obstacles(&self, older: &Self, older_name: &str, level: Level) -> Vec<String> {
        let mut found = Vec::new();
        if level.is_backward() {
            let reasons = Self::unread(older, self);
            found
                .extend(reasons.iter().map(|why| format!("the new schema cannot read what {older_name} wrote: {why}")));
        }
        if level.is_forward() {
            let reasons = Self::unread(self, older);
            found.extend(
                reasons.iter().map(|why| format!("{older_name} cannot read what the new schema writes: {why}")),
            );
        }
        found
    }

    /// Why what `writer` writes cannot always be read with `reader`; empty if it can.
    fn unread(writer: &Self, reader: &Self) -> Vec<String> {
        match (writer.kind, reader.kind) {
            (Kind::Avro, Kind::Avro) => avro::unread((&writer.text, &writer.parts), (&reader.text, &reader.parts))
                .unwrap_or_else(|why| vec![why]),
            (Kind::Json, Kind::Json) => selection::unread(&writer.canonical, &reader.canonical),
            (Kind::Protobuf, Kind::Protobuf) if writer.is_same(reader) => Vec::new(),
            (Kind::Protobuf, Kind::Protobuf) => {
                vec![
                    "this registry does not parse PROTOBUF and takes a changed schema only at the level NONE"
                        .to_owned(),
                ]
            }
            (from, to) => vec![format!("the type of schema changed between {from:?} and {to:?}")],
        }
    }
}
