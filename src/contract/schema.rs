//! The records we know: their schemas, compiled in, and the way between Rust structs and Avro bytes.
//!
//! Readers are built once per schema and kept: resolving a schema costs about ten times what a record does.
//! Records are written by [`avro_out`], which needs no schema. Bytes are read with the schema they were written
//! with, straight through serde (by [`avro_in`], if that is ours as it is now); what a writer did not know yet gets
//! the struct's default, what it knew more is skipped, and a symbol this build does not know becomes `Unknown`.

use super::{avro_in, avro_out};
use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::ResolvedSchema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;
use std::sync::{LazyLock, Once};

/// A struct that has a schema of its own under `schemas/`.
pub trait WireRecord: Serialize + DeserializeOwned {
    const KIND: RecordKind;
}

/// Which record, and so which schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    TaskSubmitted,
    AgentDefinition,
    AgentHeartbeat,
    Assignment,
    AgentReport,
    TaskCommand,
    RoutingDecision,
    TaskEvents,
    Completion,
    Cancellation,
    AgentOutcome,
    AgentHealth,
    AgentExamples,
    Alert,
    Experiment,
    Snapshot,
}

/// The largest string or byte field a body may claim: twice the largest record any of our topics takes.
/// Without it a forged length of nine bytes would allocate half a gigabyte.
const MAX_ALLOCATION: usize = 8 * 1024 * 1024;

struct Entry {
    name: &'static str,
    ce_type: &'static str,
    text: &'static str,
    schema: Schema,
}

macro_rules! entries {
    ($($name:literal),* $(,)?) => {
        [$(Entry {
            name: $name,
            ce_type: concat!("io.baton.v1.", $name),
            text: include_str!(concat!("../../schemas/", $name, ".avsc")),
            schema: Schema::parse_str(include_str!(concat!("../../schemas/", $name, ".avsc")))
                .expect("the schemas compiled in parse, which a test checks"),
        }),*]
    };
}

/// In the order of [`RecordKind::ALL`].
static ENTRIES: LazyLock<[Entry; 16]> = LazyLock::new(|| {
    bound_allocations();
    entries![
        "TaskSubmitted",
        "AgentDefinition",
        "AgentHeartbeat",
        "Assignment",
        "AgentReport",
        "TaskCommand",
        "RoutingDecision",
        "TaskEvents",
        "Completion",
        "Cancellation",
        "AgentOutcome",
        "AgentHealth",
        "AgentExamples",
        "Alert",
        "Experiment",
        "Snapshot",
    ]
});

static RESOLVED: LazyLock<Vec<ResolvedSchema<'static>>> = LazyLock::new(|| {
    let resolve =
        |entry: &'static Entry| ResolvedSchema::new(&entry.schema).expect("our schemas refer to themselves only");
    ENTRIES.iter().map(resolve).collect()
});

fn bound_allocations() {
    static BOUNDED: Once = Once::new();
    BOUNDED.call_once(|| {
        apache_avro::util::max_allocation_bytes(MAX_ALLOCATION);
    });
}

impl RecordKind {
    pub const ALL: [Self; 16] = [
        Self::TaskSubmitted,
        Self::AgentDefinition,
        Self::AgentHeartbeat,
        Self::Assignment,
        Self::AgentReport,
        Self::TaskCommand,
        Self::RoutingDecision,
        Self::TaskEvents,
        Self::Completion,
        Self::Cancellation,
        Self::AgentOutcome,
        Self::AgentHealth,
        Self::AgentExamples,
        Self::Alert,
        Self::Experiment,
        Self::Snapshot,
    ];

    fn entry(self) -> &'static Entry {
        &ENTRIES[self as usize]
    }

    /// The record's name without namespace, as in `schemas/<name>.avsc`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// `io.baton.v1.<name>`: the schema's full name and the CloudEvents type.
    #[must_use]
    pub fn full_name(self) -> &'static str {
        self.entry().ce_type
    }

    /// The schema as registered.
    #[must_use]
    pub fn schema_text(self) -> &'static str {
        self.entry().text
    }

    #[must_use]
    pub fn schema(self) -> &'static Schema {
        &self.entry().schema
    }

    /// The named types inside the schema, for those who walk it.
    pub(super) fn resolved(self) -> &'static ResolvedSchema<'static> {
        &RESOLVED[self as usize]
    }

    /// What a topic's values are, by its name without the prefix; for `<topic>.dlq`, what they were meant to be.
    #[must_use]
    pub fn of_topic(suffix: &str) -> Option<Self> {
        let suffix = suffix.strip_suffix(".dlq").unwrap_or(suffix);
        Some(match suffix {
            "tasks" => Self::TaskSubmitted,
            "agent-status" => Self::AgentReport,
            "task-commands" => Self::TaskCommand,
            "agents" => Self::AgentDefinition,
            "heartbeats" => Self::AgentHeartbeat,
            "routing-decisions" => Self::RoutingDecision,
            "task-events" => Self::TaskEvents,
            "completions" => Self::Completion,
            "cancellations" => Self::Cancellation,
            "agent-outcomes" => Self::AgentOutcome,
            "agent-health" => Self::AgentHealth,
            "examples" => Self::AgentExamples,
            "alerts" => Self::Alert,
            "experiments" => Self::Experiment,
            "task-state" => Self::Snapshot,
            _ if suffix.starts_with("assignments.") || suffix == "assignments" => Self::Assignment,
            _ => return None,
        })
    }

    /// Appends the record's Avro body.
    pub(super) fn write<T: WireRecord>(self, record: &T, out: &mut Vec<u8>) {
        let start = out.len();
        avro_out::write(record, out).expect("a record's struct fits its schema, which tests check");
        debug_assert_eq!(out[start..], self.write_by_schema(record), "{self}: the struct is not made after its schema");
    }

    /// The same by the general writer, which looks at the schema.
    fn write_by_schema<T: WireRecord>(self, record: &T) -> Vec<u8> {
        static WRITERS: LazyLock<Vec<GenericDatumWriter<'static>>> = LazyLock::new(|| {
            let writer =
                |entry: &'static Entry| GenericDatumWriter::builder(&entry.schema).human_readable(false).build();
            ENTRIES.iter().map(|entry| writer(entry).expect("our schemas refer to themselves only")).collect()
        });
        let writer = &WRITERS[self as usize];
        writer.write_ser_to_vec(record).expect("a record's struct fits its schema, which tests check")
    }
}

impl FromStr for RecordKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| format!("`{name}` is none of our records: {}", Self::ALL.map(Self::name).join(", ")))
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads bodies written with one schema.
pub struct AvroReader {
    general: GenericDatumReader<'static>,
    /// Whose schema it is, if it is one of ours as it is now: such bodies need no schema to be read.
    ours: Option<RecordKind>,
}

impl AvroReader {
    /// The schema is leaked: readers borrow it, live as long as the process, and there are at most as many as
    /// the registry holds schemas that our topics use.
    ///
    /// # Errors
    ///
    /// What is wrong with the schema, in words.
    pub fn parse(schema: &str) -> Result<Self, String> {
        bound_allocations();
        let schema: &'static Schema =
            Box::leak(Box::new(Schema::parse_str(schema).map_err(|error| error.to_string())?));
        let reader = GenericDatumReader::builder(schema).human_readable(false).build();
        // Equal as far as bytes go: names, types and their order.
        let ours = RecordKind::ALL.into_iter().find(|kind| kind.schema() == schema);
        reader.map(|general| Self { general, ours }).map_err(|error| error.to_string())
    }

    /// The record in a body, all of which must be used.
    pub(super) fn read<T: WireRecord>(&self, body: &[u8]) -> Result<T, BodyFault> {
        if self.ours == Some(T::KIND)
            && let Some(record) = avro_in::read::<T>(body)
        {
            return Ok(record);
        }
        self.read_by_schema(body)
    }

    /// The same by the general reader, which looks at the schema and says what is wrong.
    fn read_by_schema<T: WireRecord>(&self, body: &[u8]) -> Result<T, BodyFault> {
        let mut rest = body;
        match self.general.read_deser::<T>(&mut rest) {
            Ok(record) if rest.is_empty() => Ok(record),
            Ok(_) => Err(BodyFault::trailing(rest.len())),
            // Whether the bytes or the shape are at fault decides the reason, and only this path pays for it.
            Err(error) => match self.value(body) {
                Ok(value) => Err(BodyFault::Shape { value, problem: shorten(&error.to_string()) }),
                Err(fault) => Err(fault),
            },
        }
    }

    /// Whatever the body holds, as its writer's schema says.
    pub(super) fn value(&self, body: &[u8]) -> Result<Value, BodyFault> {
        let mut source = Source { rest: body, ran_out: false };
        let value =
            self.general.read_value(&mut source).map_err(|error| BodyFault::Bytes(shorten(&error.to_string())))?;
        if source.ran_out {
            return Err(BodyFault::Bytes("they end within the record".to_owned()));
        }
        if source.rest.is_empty() { Ok(value) } else { Err(BodyFault::trailing(source.rest.len())) }
    }
}

impl fmt::Debug for AvroReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AvroReader")
    }
}

/// Knows whether more was wanted than there is: the reader takes a body that ends before a nullable field for one
/// where it is null.
struct Source<'a> {
    rest: &'a [u8],
    ran_out: bool,
}

impl Read for Source<'_> {
    fn read(&mut self, wanted: &mut [u8]) -> io::Result<usize> {
        self.ran_out |= wanted.len() > self.rest.len();
        self.rest.read(wanted)
    }
}

/// Why a body is not the record it should be.
#[derive(Debug)]
pub(super) enum BodyFault {
    /// The bytes are not what their schema says.
    Bytes(String),
    /// The bytes are fine, and hold something else.
    Shape { value: Value, problem: String },
}

impl BodyFault {
    fn trailing(bytes: usize) -> Self {
        Self::Bytes(format!("{bytes} bytes are left after the record"))
    }
}

/// Avro's errors quote whole schemas.
fn shorten(error: &str) -> String {
    const KEPT: usize = 300;
    match error.char_indices().nth(KEPT) {
        Some((end, _)) => format!("{}…", &error[..end]),
        None => error.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_schema_parses_and_is_named_as_its_file() {
        for kind in RecordKind::ALL {
            let Schema::Record(record) = kind.schema() else { panic!("{kind} is no record") };
            assert_eq!(record.name.to_string(), kind.full_name());
            assert_eq!(kind.name().parse(), Ok(kind));
        }
    }

    #[test]
    fn every_schema_file_is_compiled_in() {
        let mut files: Vec<_> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas"))
            .unwrap()
            .filter_map(|file| Some(file.unwrap().file_name().to_str()?.strip_suffix(".avsc")?.to_owned()))
            .collect();
        let mut known = RecordKind::ALL.map(|kind| kind.name().to_owned());
        files.sort();
        known.sort();
        assert_eq!(files, known);
    }

    /// A code generator would refuse two definitions of one name, and a reader would mix them up.
    #[test]
    fn one_name_is_one_definition_over_all_schemas() {
        let mut seen: BTreeMap<String, (RecordKind, serde_json::Value)> = BTreeMap::new();
        for kind in RecordKind::ALL {
            for name in kind.resolved().get_names().keys() {
                let schema = kind.resolved().get_names()[name];
                let (mut definition, name) = (serde_json::to_value(schema).unwrap(), name.to_string());
                // Only at the top of a file is the namespace written out.
                definition.as_object_mut().unwrap().remove("namespace");
                let (first, expected) = seen.entry(name.clone()).or_insert_with(|| (kind, definition.clone()));
                assert_eq!(&definition, expected, "{name} differs between {first} and {kind}");
            }
        }
        assert!(seen.contains_key("io.baton.v1.TaskSubmitted"));
    }

    #[test]
    fn payloads_are_marked_in_the_schema() {
        let Schema::Record(task) = RecordKind::TaskSubmitted.schema() else { panic!("a record") };
        let input = task.fields.iter().find(|field| field.name == "input").unwrap();
        assert_eq!(input.custom_attributes.get("baton.payload"), Some(&serde_json::Value::Bool(true)));
    }

    #[test]
    fn topics_say_what_they_hold() {
        assert_eq!(RecordKind::of_topic("tasks"), Some(RecordKind::TaskSubmitted));
        assert_eq!(RecordKind::of_topic("tasks.dlq"), Some(RecordKind::TaskSubmitted));
        assert_eq!(RecordKind::of_topic("assignments.lead-scorer"), Some(RecordKind::Assignment));
        assert_eq!(RecordKind::of_topic("orders"), None);
    }

    #[test]
    fn a_forged_length_is_refused_before_it_is_allocated() {
        let reader = AvroReader::parse("\"string\"").unwrap();
        let claims_a_gigabyte = [0x80, 0x80, 0x80, 0x80, 0x08];
        assert!(matches!(reader.value(&claims_a_gigabyte), Err(BodyFault::Bytes(_))));
    }
}
