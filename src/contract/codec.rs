//! Records in, records out: what every reader and writer of our topics shares.
//!
//! Decoding never asks anyone: a record whose schema is not known yet comes back as [`Undecided::NeedsSchema`],
//! and is decoded again once the cache has it.

use super::cache::{Known, SchemaCache, WriterSchema};
use super::json_in::{Members, normalise};
use super::refusal::{Reason, Refusal};
use super::schema::{BodyFault, RecordKind, WireRecord};
use super::wire;
use apache_avro::types::Value as Avro;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A record as Kafka has it.
#[derive(Clone, Copy, Debug)]
pub struct RawRecord<'a> {
    /// The full name, prefix included.
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// The header `baton.arrived` of a forwarded record: `<partition>/<offset>`.
    pub arrived: Option<&'a str>,
}

/// Why a record is not decoded, with no id that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undecided {
    /// A dead letter, judged where it arrived.
    Refused(Refusal),
    /// Ask the registry for this id, put the answer into the cache, decode again.
    NeedsSchema(u32),
}

impl From<Refusal> for Undecided {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Encodes our records and decodes everyone's. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Codec {
    prefix: Arc<str>,
    /// By record, for a topic's values are of one record and a schema has one id over all topics.
    ids: Arc<BTreeMap<RecordKind, u32>>,
    cache: Arc<SchemaCache>,
}

impl Codec {
    /// `ids` of all records that are to be encoded; decoding needs none.
    #[must_use]
    pub fn new(prefix: &str, ids: impl IntoIterator<Item = (RecordKind, u32)>, cache: Arc<SchemaCache>) -> Self {
        Self { prefix: prefix.into(), ids: Arc::new(ids.into_iter().collect()), cache }
    }

    /// What all topics' names start with, without the dot.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    #[must_use]
    pub fn cache(&self) -> &Arc<SchemaCache> {
        &self.cache
    }

    /// The record in Avro, in the Confluent wire format.
    ///
    /// # Panics
    ///
    /// If no id was given for this record: whoever starts up asks for the ids of all it writes.
    #[must_use]
    pub fn encode<T: WireRecord>(&self, record: &T) -> Vec<u8> {
        let id = self.ids.get(&T::KIND).copied();
        wire::encode(id.expect("ids of all records written are asked for at start"), record)
    }

    /// One of our own records, of a topic nobody else writes to.
    ///
    /// # Errors
    ///
    /// As any record: undecodable, invalid, or its schema is not known yet.
    pub fn decode<T: WireRecord>(&self, value: &[u8]) -> Result<T, Undecided> {
        Ok(self.content::<T>(Some(value), None)?.record?)
    }

    /// The content of a value, and the id in it: read first, so that a record that is refused for anything
    /// else can still be judged where its task lives.
    pub(super) fn content<T: WireRecord>(
        &self,
        value: Option<&[u8]>,
        id_field: Option<&str>,
    ) -> Result<Content<T>, Undecided> {
        let null = || Refusal::new(Reason::Invalid, "the value is null, which means nothing here; send a record");
        let value = value.ok_or_else(null)?;
        if let Some((id, body)) = wire::split(value) {
            let schema = match self.cache.known(id) {
                Known::Schema(schema) => schema,
                Known::NotYet => return Err(Undecided::NeedsSchema(id)),
                Known::Missing => {
                    let detail =
                        format!("the registry has no schema {id}; register it where Baton looks, or send JSON");
                    return Err(Refusal::new(Reason::UnknownSchema, detail).into());
                }
            };
            return match &*schema {
                WriterSchema::Avro(reader) => avro_content(reader.read(body), id_field),
                WriterSchema::Json => json_content(body, id_field),
                WriterSchema::Other(what) => {
                    let detail = format!("schema {id} is {what}; send Avro or JSON");
                    Err(Refusal::new(Reason::UnknownSchema, detail).into())
                }
            };
        }
        if value.trim_ascii_start().first() == Some(&b'{') {
            return json_content(value, id_field);
        }
        let detail =
            "the value starts neither with a schema's id (a zero byte and four more) nor with {; send Avro or JSON";
        Err(Refusal::new(Reason::Undecodable, detail).into())
    }
}

/// What a value held.
#[derive(Debug)]
pub(super) struct Content<T> {
    pub(super) id: GivenId,
    pub(super) record: Result<T, Refusal>,
}

/// The id in a value, by itself.
#[derive(Debug)]
pub(super) enum GivenId {
    Absent,
    Text(String),
    /// There is one, but not a string; the record is refused for it.
    Unreadable,
}

impl GivenId {
    pub(super) fn text(self) -> Option<String> {
        if let Self::Text(id) = self { Some(id) } else { None }
    }
}

fn avro_content<T: WireRecord>(read: Result<T, BodyFault>, id_field: Option<&str>) -> Result<Content<T>, Undecided> {
    match read {
        // The caller takes the id from the record, rather than here a copy of it.
        Ok(record) => Ok(Content { id: GivenId::Absent, record: Ok(record) }),
        Err(BodyFault::Bytes(problem)) => {
            let detail = format!("the bytes are not what their schema says: {problem}");
            Err(Refusal::new(Reason::Undecodable, detail).into())
        }
        Err(BodyFault::Shape { value, problem }) => {
            let detail = format!("not a {}: {problem}", T::KIND);
            Ok(Content { id: avro_id(&value, id_field), record: Err(Refusal::new(Reason::Invalid, detail)) })
        }
    }
}

fn avro_id(value: &Avro, id_field: Option<&str>) -> GivenId {
    let (Avro::Record(fields), Some(id_field)) = (value, id_field) else { return GivenId::Absent };
    let plain = |value: &Avro| match value {
        Avro::String(id) => GivenId::Text(id.clone()),
        Avro::Null => GivenId::Absent,
        _ => GivenId::Unreadable,
    };
    match fields.iter().find(|(name, _)| name == id_field) {
        Some((_, Avro::Union(_, value))) => plain(value),
        Some((_, value)) => plain(value),
        None => GivenId::Absent,
    }
}

fn json_content<T: WireRecord>(json: &[u8], id_field: Option<&str>) -> Result<Content<T>, Undecided> {
    let members = Members::parse(json).map_err(|error| match serde_json::from_slice::<IgnoredAny>(json) {
        Ok(_) => Refusal::new(Reason::Invalid, format!("a {} is a JSON object", T::KIND)),
        Err(_) => Refusal::new(Reason::Undecodable, format!("the JSON does not parse: {error}")),
    })?;
    let id = id_field.map_or(GivenId::Absent, |field| json_id(&members, field));
    let record = normalise(T::KIND, &members).map_err(|faults| Refusal::of_faults(&faults)).and_then(|value| {
        // The walk checked every type, so this only fails if struct and schema differ.
        T::deserialize(value).map_err(|error| Refusal::new(Reason::Invalid, format!("not a {}: {error}", T::KIND)))
    });
    Ok(Content { id, record })
}

fn json_id(members: &Members<'_>, field: &str) -> GivenId {
    let mut given = members.all(field);
    match (given.next(), given.next()) {
        (None, _) => GivenId::Absent,
        (Some(raw), None) => serde_json::from_str(raw.get()).map_or(GivenId::Unreadable, GivenId::Text),
        (Some(_), Some(_)) => GivenId::Unreadable,
    }
}
