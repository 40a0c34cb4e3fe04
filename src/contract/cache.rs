//! Writers' schemas by id. Look-ups are synchronous and never ask the registry: what is not here, the caller
//! asks for outside the loop, puts in, and decodes again.

use super::schema::AvroReader;
use rustc_hash::FxHashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// The schema a record was written with.
#[derive(Debug)]
pub enum WriterSchema {
    Avro(AvroReader),
    /// The body is JSON text of the record's shape.
    Json,
    /// What it is instead, in words: a record written with it cannot be read.
    Other(String),
}

impl WriterSchema {
    /// From the registry's answer: `AVRO` (or none, which means it), `JSON`, or anything else.
    #[must_use]
    pub fn parse(schema_type: &str, text: &str) -> Self {
        match schema_type {
            "AVRO" | "" => AvroReader::parse(text).map_or_else(
                |problem| Self::Other(format!("an Avro schema that cannot be used ({problem})")),
                Self::Avro,
            ),
            "JSON" => Self::Json,
            other => Self::Other(format!("a schema of type {other}")),
        }
    }
}

/// What is known of an id.
#[derive(Debug)]
pub enum Known {
    Schema(Arc<WriterSchema>),
    /// The registry was asked and has none.
    Missing,
    /// Ask the registry.
    NotYet,
}

/// How long the registry's "no such id" counts: a producer may have registered it a moment ago.
const MISSING_FOR: Duration = Duration::from_secs(60);
/// Ids are read from records, so anyone can make up any number of them.
const MAX_MISSING: usize = 1024;

/// Shared by all that decode; entries are never dropped, for an id's schema never changes.
#[derive(Debug, Default)]
pub struct SchemaCache {
    schemas: RwLock<FxHashMap<u32, Arc<WriterSchema>>>,
    missing: RwLock<FxHashMap<u32, Instant>>,
}

impl SchemaCache {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The schema of an id, if it was put in.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<Arc<WriterSchema>> {
        self.schemas.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    pub fn insert(&self, id: u32, schema: WriterSchema) {
        self.missing.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
        self.schemas.write().unwrap_or_else(PoisonError::into_inner).entry(id).or_insert_with(|| Arc::new(schema));
    }

    /// The registry has no such id: for the next minute its records are refused without asking again.
    pub fn insert_missing(&self, id: u32) {
        let mut missing = self.missing.write().unwrap_or_else(PoisonError::into_inner);
        if missing.len() >= MAX_MISSING {
            missing.clear();
        }
        missing.insert(id, Instant::now());
    }

    /// What is known of an id, without asking.
    #[must_use]
    pub fn known(&self, id: u32) -> Known {
        if let Some(schema) = self.get(id) {
            return Known::Schema(schema);
        }
        match self.missing.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            Some(since) if since.elapsed() < MISSING_FOR => Known::Missing,
            _ => Known::NotYet,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_asked_for_once_and_then_known() {
        let cache = SchemaCache::new();
        assert!(matches!(cache.known(7), Known::NotYet));
        cache.insert_missing(7);
        assert!(matches!(cache.known(7), Known::Missing));
        cache.insert(7, WriterSchema::parse("AVRO", "\"string\""));
        assert!(matches!(cache.known(7), Known::Schema(schema) if matches!(*schema, WriterSchema::Avro(_))));
    }

    #[test]
    fn made_up_ids_do_not_fill_the_memory() {
        let cache = SchemaCache::new();
        (0..10_000).for_each(|id| cache.insert_missing(id));
        assert!(cache.missing.read().unwrap().len() <= MAX_MISSING);
    }

    #[test]
    fn a_type_other_than_avro_and_json_is_named() {
        assert!(matches!(WriterSchema::parse("PROTOBUF", "…"), WriterSchema::Other(what) if what.contains("PROTOBUF")));
        assert!(matches!(WriterSchema::parse("AVRO", "{"), WriterSchema::Other(_)));
        assert!(matches!(WriterSchema::parse("JSON", "{}"), WriterSchema::Json));
    }
}
