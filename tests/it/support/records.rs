//! Reading topics back with a stock Avro reader: the schema comes from the registry by the id in the record, none of
//! it from Baton's own code.

use super::stack::Stack;
use super::wait::{get, post, until};
use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// One record as any client would see it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// Milliseconds.
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: Option<String>,
    pub(crate) headers: BTreeMap<String, String>,
    /// Key and headers byte for byte, headers in their order.
    pub(crate) raw_key: Option<Vec<u8>>,
    pub(crate) raw_headers: Vec<(String, Option<Vec<u8>>)>,
    /// The decoded value; null for a null value and for bytes that are neither Avro nor JSON.
    pub(crate) value: Value,
    pub(crate) raw: Option<Vec<u8>>,
}

impl Record {
    /// A string field, or "" where there is none.
    pub(crate) fn text(&self, field: &str) -> &str {
        self.value[field].as_str().unwrap_or_default()
    }

    /// A header, or "".
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// One topic or several, read from their start, committed records only, without a group.
pub(crate) struct Topic {
    bootstrap: String,
    registry: String,
    consumer: BaseConsumer,
    partitions: Vec<(String, i32)>,
    records: Vec<Record>,
}

impl Topic {
    /// Waits until the topic exists (10 s).
    #[track_caller]
    pub(crate) fn open(stack: &Stack, name: &str) -> Self {
        Self::open_all(stack, &[name.to_owned()], Duration::from_secs(10))
    }

    /// Waits until all of them exist.
    #[track_caller]
    pub(crate) fn open_all(stack: &Stack, names: &[String], within: Duration) -> Self {
        let consumer = reader(&stack.bootstrap, "read_committed");
        let mut assigned = TopicPartitionList::new();
        let mut all = vec![];
        for name in names {
            for partition in 0..until(&format!("topic {name}"), within, || partitions(&consumer, name)) {
                assigned.add_partition_offset(name, partition, Offset::Beginning).expect("it is a valid offset");
                all.push((name.clone(), partition));
            }
        }
        consumer.assign(&assigned).expect("a reader can be assigned");
        let (bootstrap, registry) = (stack.bootstrap.clone(), stack.registry.clone());
        Self { bootstrap, registry, consumer, partitions: all, records: vec![] }
    }

    /// Everything read so far, in order within each partition.
    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    /// Reads on until the records satisfy `enough`; panics with a digest of them after `within`.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, within: Duration, enough: impl Fn(&[Record]) -> bool) -> &[Record] {
        let deadline = Instant::now() + within;
        while !enough(&self.records) {
            assert!(Instant::now() < deadline, "{what}: not within {within:?}. {}", self.digest());
            self.step(Duration::from_millis(50));
        }
        &self.records
    }

    /// Reads on until there are `count` records.
    #[track_caller]
    pub(crate) fn count(&mut self, count: usize, within: Duration) -> &[Record] {
        let what = format!("{count} records");
        self.until(&what, within, |records| records.len() >= count)
    }

    /// The first record for which `wanted` holds.
    #[track_caller]
    pub(crate) fn find(&mut self, what: &str, within: Duration, wanted: impl Fn(&Record) -> bool) -> Record {
        self.until(what, within, |records| records.iter().any(&wanted))
            .iter()
            .find(|r| wanted(r))
            .expect("found")
            .clone()
    }

    /// What came since the last look, waiting up to `wait` for a first record. Only `count` and `until` look back.
    pub(crate) fn take(&mut self, wait: Duration) -> Vec<Record> {
        self.step(wait);
        std::mem::take(&mut self.records)
    }

    /// Reads to the end as it is now, past aborted records and markers: for "nothing more came".
    #[track_caller]
    pub(crate) fn settle(&mut self) -> &[Record] {
        let any = reader(&self.bootstrap, "read_uncommitted");
        let mut behind = vec![];
        for (topic, partition) in &self.partitions {
            let (_, end) = any.fetch_watermarks(topic, *partition, Duration::from_secs(10)).expect("it has an end");
            behind.push((topic.clone(), *partition, end));
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let at = self.consumer.position().expect("a reader has a position");
            behind.retain(|(topic, partition, end)| {
                let position = at.find_partition(topic, *partition).map(|found| found.offset());
                *end > match position {
                    Some(Offset::Offset(offset)) => offset,
                    _ => 0,
                }
            });
            if behind.is_empty() {
                return &self.records;
            }
            assert!(Instant::now() < deadline, "a transaction is open before the end of {behind:?}: {at:?}");
            self.step(Duration::from_millis(20));
        }
    }

    fn step(&mut self, wait: Duration) {
        let mut next = self.consumer.poll(wait);
        while let Some(read) = next {
            match read {
                Ok(message) => {
                    let record = self.decoded(&message);
                    self.records.push(record);
                }
                // Connections come and go, and the client makes them anew; whoever waits says so if none does.
                Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown)) => {}
                Err(fault) => panic!("the topic cannot be read: {fault}"),
            }
            next = self.consumer.poll(Duration::ZERO);
        }
    }

    fn decoded(&self, message: &BorrowedMessage<'_>) -> Record {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (mut headers, mut raw_headers) = (BTreeMap::new(), vec![]);
        for header in message.headers().iter().flat_map(|headers| headers.iter()) {
            headers.insert(header.key.to_owned(), header.value.map(text).unwrap_or_default());
            raw_headers.push((header.key.to_owned(), header.value.map(<[u8]>::to_vec)));
        }
        Record {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis(),
            key: message.key().map(text),
            headers,
            raw_key: message.key().map(<[u8]>::to_vec),
            raw_headers,
            value: message.payload().map_or(Value::Null, |bytes| decode(&self.registry, bytes)),
            raw: message.payload().map(<[u8]>::to_vec),
        }
    }

    fn digest(&self) -> String {
        let from = self.records.len().saturating_sub(8);
        let mut digest = format!("{} records, the last:", self.records.len());
        for record in &self.records[from..] {
            let value: String = record.value.to_string().chars().take(300).collect();
            digest.push_str(&format!(
                "\n  {}/{}/{} {:?} {value}",
                record.topic, record.partition, record.offset, record.key
            ));
        }
        digest
    }
}

/// All committed records of a topic, as of now.
#[track_caller]
pub(crate) fn read_all(stack: &Stack, topic: &str) -> Vec<Record> {
    let mut topic = Topic::open(stack, topic);
    topic.settle();
    topic.records
}

fn reader(bootstrap: &str, isolation: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "baton-test-reader")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", isolation)
        .set("fetch.queue.backoff.ms", "10")
        .set("fetch.wait.max.ms", "50")
        .create()
        .expect("a reader is built")
}

/// How many partitions a topic has; Err until it is there.
pub(crate) fn partitions(consumer: &BaseConsumer, topic: &str) -> Result<i32, String> {
    let found = consumer.fetch_metadata(Some(topic), Duration::from_secs(5)).map_err(|e| e.to_string())?;
    let topic = found.topics().first().ok_or("no metadata")?;
    match (topic.error(), topic.partitions().len()) {
        (None, count) if count > 0 => Ok(i32::try_from(count).expect("a topic has few partitions")),
        (error, _) => Err(format!("{error:?}")),
    }
}

/// A consumer group's state and how many members it has.
pub(crate) fn group_members(stack: &Stack, group: &str) -> (String, usize) {
    let client = reader(&stack.bootstrap, "read_committed");
    let groups = client.fetch_group_list(Some(group), Duration::from_secs(5)).expect("the broker answers");
    groups.groups().first().map_or_else(Default::default, |group| (group.state().to_owned(), group.members().len()))
}

fn decode(registry: &str, bytes: &[u8]) -> Value {
    match bytes {
        [0, a, b, c, d, body @ ..] => {
            let schema = schema(registry, u32::from_be_bytes([*a, *b, *c, *d]));
            let Some(schema) = schema else { return Value::Null };
            let reader = GenericDatumReader::builder(&schema).build().expect("a reader is built");
            reader.read_value(&mut &*body).ok().and_then(|value| Value::try_from(value).ok()).unwrap_or_default()
        }
        _ => serde_json::from_slice(bytes).unwrap_or_default(),
    }
}

/// The schema of an id by the registry's HTTP; None for an id nobody registered.
fn schema(registry: &str, id: u32) -> Option<Arc<Schema>> {
    type Known = Mutex<HashMap<(String, u32), Option<Arc<Schema>>>>;
    static KNOWN: OnceLock<Known> = OnceLock::new();
    let mut known = KNOWN.get_or_init(Known::default).lock().unwrap_or_else(PoisonError::into_inner);
    known
        .entry((registry.to_owned(), id))
        .or_insert_with(|| {
            let (status, body) = get(&format!("{registry}/schemas/ids/{id}")).expect("the registry answers");
            let body: Value = serde_json::from_str(&body).expect("the registry speaks JSON");
            let text = body["schema"].as_str().filter(|_| status == 200 && body["schemaType"] != "JSON")?;
            Some(Arc::new(Schema::parse_str(text).expect("the registered schema is Avro")))
        })
        .clone()
}

/// Registers a schema as any client does and gives its id.
#[track_caller]
pub(crate) fn register_schema(stack: &Stack, subject: &str, schema: &str) -> u32 {
    let url = format!("{}/subjects/{subject}/versions", stack.registry);
    let said = post(&url, &json!({ "schema": schema }), Duration::from_secs(10)).expect("the registry answers");
    let body: Value = serde_json::from_str(&said.body).expect("the registry speaks JSON");
    body["id"].as_u64().and_then(|id| u32::try_from(id).ok()).unwrap_or_else(|| panic!("{subject}: {body}"))
}

/// A value in the registry's wire format by the latest schema of a subject, written by the stock Avro writer.
#[track_caller]
pub(crate) fn encode(stack: &Stack, subject: &str, value: &Value) -> Vec<u8> {
    let (_, body) =
        get(&format!("{}/subjects/{subject}/versions/latest", stack.registry)).expect("the registry answers");
    let latest: Value = serde_json::from_str(&body).expect("the registry speaks JSON");
    let id = latest["id"].as_u64().and_then(|id| u32::try_from(id).ok()).unwrap_or_else(|| panic!("{subject}: {body}"));
    let schema = schema(&stack.registry, id).expect("the registry has what it lists");
    let value = avro(value).resolve(&schema).expect("the value fits the schema");
    let writer = GenericDatumWriter::builder(&schema).build().expect("a writer is built");
    let datum = writer.write_value_to_vec(value).expect("a resolved value is written");
    [0].into_iter().chain(id.to_be_bytes()).chain(datum).collect()
}

/// JSON as Avro's own types; resolving them against a schema makes records, enums and unions of them.
fn avro(value: &Value) -> Avro {
    match value {
        Value::Null => Avro::Null,
        Value::Bool(value) => Avro::Boolean(*value),
        Value::Number(number) => {
            number.as_i64().map_or_else(|| Avro::Double(number.as_f64().unwrap_or(0.0)), Avro::Long)
        }
        Value::String(text) => Avro::String(text.clone()),
        Value::Array(items) => Avro::Array(items.iter().map(avro).collect()),
        Value::Object(fields) => Avro::Map(fields.iter().map(|(name, value)| (name.clone(), avro(value))).collect()),
    }
}
