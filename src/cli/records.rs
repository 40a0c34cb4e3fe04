//! Records of our topics for people: read without a group, decoded to JSON by the schema they were written with.

use super::context::Context;
use crate::contract::{
    self, Codec, Registry, SchemaCache, Undecided, WireRecord, home_partition, rfc3339, to_json, wire,
};
use crate::kafka::KafkaFault;
use crate::kafka::admin::Admin;
use crate::kafka::tail::{self, Start, Tailed};
use anyhow::anyhow;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Records held of one reading at most: what a person may want to look at, and no partition's worth of memory.
pub(super) const MOST: usize = 100_000;

/// One record and what its value says.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) record: Tailed,
    pub(super) value: Value,
}

/// Reads and decodes; asks the registry for each schema once.
#[derive(Debug)]
pub(super) struct Records<'a> {
    context: &'a Context,
    registry: Registry,
    schemas: Arc<SchemaCache>,
}

impl<'a> Records<'a> {
    pub(super) fn new(context: &'a Context) -> anyhow::Result<Self> {
        Ok(Self { context, registry: context.registry()?, schemas: Arc::default() })
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(super) fn schemas(&self) -> &Arc<SchemaCache> {
        &self.schemas
    }

    /// Everything of a topic that `wanted` lets through, oldest first.
    pub(super) async fn read(
        &self,
        suffix: &str,
        start: Start,
        wanted: impl Fn(&Tailed) -> bool + Send + 'static,
    ) -> anyhow::Result<Vec<Shown>> {
        let topic = self.context.topic(suffix);
        let records = tail::read(&self.context.config.kafka, &topic, None, start, MOST, wanted).await?;
        self.shown(records).await
    }

    /// All that is committed of a topic, nothing decoded, oldest first.
    pub(super) async fn raw(&self, suffix: &str, start: Start) -> anyhow::Result<Vec<Tailed>> {
        let topic = self.context.topic(suffix);
        Ok(tail::read(&self.context.config.kafka, &topic, None, start, MOST, |_| true).await?)
    }

    /// What an output topic holds of one task: that lies on the task's home partition, in order.
    pub(super) async fn of_task(&self, suffix: &str, task_id: &str) -> anyhow::Result<Vec<Shown>> {
        let topic = self.context.topic(suffix);
        let kafka = &self.context.config.kafka;
        let home = vec![self.home(suffix, task_id).await?];
        let key = task_id.as_bytes().to_vec();
        let of_task = move |record: &Tailed| record.key.as_ref() == Some(&key);
        let mut records = tail::read(kafka, &topic, Some(home), Start::Beginning, MOST, of_task).await?;
        records.sort_by_key(|record| record.offset);
        self.shown(records).await
    }

    /// The partition of a topic on which a task lives.
    pub(super) async fn home(&self, suffix: &str, task_id: &str) -> anyhow::Result<i32> {
        let topic = self.context.topic(suffix);
        let found = Admin::new(&self.context.config.kafka)?.topic(&topic).await?;
        Ok(home_partition(task_id, found.ok_or(KafkaFault::NoTopic(topic))?.partitions))
    }

    /// A record of one of our own topics.
    pub(super) async fn typed<T: WireRecord>(&self, codec: &Codec, record: &Tailed) -> anyhow::Result<T> {
        let value = record.value.as_deref().unwrap_or_default();
        if let Some((id, _)) = wire::split(value) {
            self.learn(id).await?;
        }
        codec.decode(value).map_err(|undecided| match undecided {
            Undecided::Refused(refusal) => {
                anyhow!("{} {}/{}: {refusal}", record.topic, record.partition, record.offset)
            }
            Undecided::NeedsSchema(id) => anyhow!("{}: the registry has no schema {id}", record.topic),
        })
    }

    async fn shown(&self, records: Vec<Tailed>) -> anyhow::Result<Vec<Shown>> {
        let mut shown = Vec::with_capacity(records.len());
        for record in records {
            let value = self.value(record.value.as_deref()).await?;
            shown.push(Shown { record, value });
        }
        Ok(shown)
    }

    /// What a value says; what cannot be read is shown as such, with its bytes.
    pub(super) async fn value(&self, bytes: Option<&[u8]>) -> anyhow::Result<Value> {
        let Some(bytes) = bytes else { return Ok(Value::Null) };
        let Some((id, body)) = wire::split(bytes) else {
            return Ok(serde_json::from_slice(bytes).unwrap_or_else(|_| text_or_base64(bytes)));
        };
        self.learn(id).await?;
        let read = match self.schemas.get(id) {
            Some(schema) => to_json(&schema, body).map_err(|refusal| refusal.to_string()),
            None => Err(format!("the registry has no schema {id}")),
        };
        Ok(read.unwrap_or_else(|problem| json!({ "$undecodable": problem, "$base64": BASE64.encode(bytes) })))
    }

    /// Asks the registry for a schema, once.
    pub(super) async fn learn(&self, id: u32) -> anyhow::Result<()> {
        if self.schemas.get(id).is_none() {
            self.registry.learn(id, &self.schemas).await?;
        }
        Ok(())
    }
}

/// A record with everything Kafka has of it.
pub(super) fn whole(shown: &Shown) -> Value {
    let record = &shown.record;
    json!({
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "time": record.timestamp.map(rfc3339),
        "key": record.key.as_deref().map(text_or_base64),
        "headers": headers(record),
        "value": shown.value,
    })
}

/// By name; of a name given twice the last.
pub(super) fn headers(record: &Tailed) -> Value {
    let of = |value: &Option<Vec<u8>>| value.as_deref().map_or(Value::Null, text_or_base64);
    Value::Object(record.headers.iter().map(|(name, value)| (name.clone(), of(value))).collect::<Map<_, _>>())
}

/// The last header of that name, if it is text.
pub(super) fn header<'a>(record: &'a Tailed, name: &str) -> Option<&'a str> {
    let (_, value) = record.headers.iter().rev().find(|(given, _)| given == name)?;
    std::str::from_utf8(value.as_deref()?).ok()
}

/// Text as it is, other bytes as an object that says what it is.
pub(super) fn text_or_base64(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::String(text.to_owned()),
        Err(_) => json!({ "$base64": BASE64.encode(bytes) }),
    }
}

/// A record as the contract module takes it.
pub(super) fn raw(record: &Tailed) -> contract::RawRecord<'_> {
    contract::RawRecord {
        topic: &record.topic,
        partition: record.partition,
        offset: record.offset,
        timestamp_ms: record.timestamp.unwrap_or_default(),
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        arrived: header(record, contract::ARRIVED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_shown_as_base64() {
        assert_eq!(text_or_base64(b"t-1"), json!("t-1"));
        assert_eq!(text_or_base64(&[0xff, 0x00]), json!({ "$base64": "/wA=" }));
    }
}
