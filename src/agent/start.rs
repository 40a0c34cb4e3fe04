//! What must be there before an agent can work, waited for: the schemas' ids, its definition in the table of agents, its
//! topic. What is missing is logged, once for each reason.

use super::Encoding;
use super::builder::Agent;
use super::error::AgentError;
use crate::contract::{
    AgentDefinition, CE_ID, CE_SOURCE, CE_SPECVERSION, CE_TYPE, CONTENT_TYPE, Codec, Definition, RawRecord, RecordKind,
    SchemaCache, TopicSpec, WriterSchema,
};
use crate::kafka::admin::Admin;
use crate::kafka::produce::{Outgoing, PlainProducer};
use crate::kafka::tail::{self, Start, Tailed};
use crate::kafka::{Disposition, KafkaFault};
use crate::selection::same_name;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const AGAIN: Duration = Duration::from_secs(1);
/// What is about to be there is found soon; the pauses double from here.
const SOON: Duration = Duration::from_millis(50);

/// Looked for again, or found.
enum Look<T> {
    Found(T),
    Missing(String),
}

impl Agent {
    /// Waits until all is there; none if told to stop meanwhile.
    ///
    /// # Errors
    /// What waiting does not mend.
    pub(super) async fn prepare(
        &self,
        producer: &PlainProducer,
        stop: &CancellationToken,
    ) -> Result<Option<Codec>, AgentError> {
        let admin = Admin::new(&self.kafka)?;
        let Some(codec) = patiently(stop, || self.codec()).await? else { return Ok(None) };
        if self.registers && patiently(stop, || self.register(&codec, producer)).await?.is_none() {
            return Ok(None);
        }
        let there = patiently(stop, || async {
            match admin.topic(&self.topic).await {
                Ok(Some(_)) => Ok(Look::Found(())),
                Ok(None) => Ok(Look::Missing(format!(
                    "the topic {} is not there; a worker creates it from the definition",
                    self.topic
                ))),
                Err(fault) => missing(fault),
            }
        });
        Ok(there.await?.map(|()| codec))
    }

    /// The ids of all schemas that are written.
    async fn codec(&self) -> Result<Look<Codec>, AgentError> {
        let (cache, mut ids) = (Arc::new(SchemaCache::new()), BTreeMap::new());
        let written = [RecordKind::AgentReport, RecordKind::AgentHeartbeat];
        let written = match self.encoding {
            Encoding::Avro => &written[..],
            Encoding::Json => &[],
        };
        for spec in TopicSpec::built_in() {
            let Some(kind) = spec.record.filter(|kind| written.contains(kind)) else { continue };
            let Some(subject) = spec.subject(&self.kafka.prefix) else { continue };
            match self.registry.id_of(&subject, kind.schema_text()).await {
                Ok(Some(id)) => {
                    ids.insert(kind, id);
                    cache.insert(id, WriterSchema::parse("AVRO", kind.schema_text()));
                }
                Ok(None) => {
                    let remedy = "run `baton apply` of this version, or report in JSON";
                    return Ok(Look::Missing(format!("this {kind} is not under {subject}; {remedy}")));
                }
                Err(error) if error.is_retriable() => return Ok(Look::Missing(error.to_string())),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Look::Found(Codec::new(&self.kafka.prefix, ids, cache)))
    }

    /// Writes the definition, unless it is there as it is.
    async fn register(&self, codec: &Codec, producer: &PlainProducer) -> Result<Look<()>, AgentError> {
        let topic = format!("{}.agents", self.kafka.prefix);
        let key = self.key.clone().into_bytes();
        let ours = move |record: &Tailed| record.key.as_deref() == Some(&key);
        let last = match tail::read(&self.kafka, &topic, None, Start::Beginning, 1, ours).await {
            Ok(mut records) => records.pop(),
            Err(fault) => return missing(fault),
        };
        let registered = match last {
            Some(record) => match self.decode(codec, &record).await? {
                Look::Found(definition) => definition,
                Look::Missing(reason) => return Ok(Look::Missing(reason)),
            },
            None => Definition::Unregistered,
        };
        if let Definition::Registered(other) = registered {
            if *other == self.definition {
                return Ok(Look::Found(()));
            }
            if !same_name(&other.agent_name, &self.definition.agent_name) {
                return Err(AgentError::NameTaken { key: self.key.clone(), other: other.agent_name });
            }
        }
        match producer.send(&self.registration(topic)).await {
            Ok(_) => {
                tracing::info!(agent = %self.definition.agent_name, "registered");
                Ok(Look::Found(()))
            }
            Err(fault) => missing(fault),
        }
    }

    async fn decode(&self, codec: &Codec, record: &Tailed) -> Result<Look<Definition>, AgentError> {
        let raw = RawRecord {
            topic: &record.topic,
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: 0,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            arrived: None,
        };
        let id = match codec.decode_definition(&raw) {
            Ok(found) => return Ok(Look::Found(found.definition)),
            Err(id) => id,
        };
        match self.registry.learn(id, codec.cache()).await {
            Ok(()) => {}
            Err(error) if error.is_retriable() => return Ok(Look::Missing(error.to_string())),
            Err(error) => return Err(error.into()),
        }
        let again = codec.decode_definition(&raw).ok();
        // Its schema is known now, one way or the other.
        Ok(Look::Found(again.map_or(Definition::Unregistered, |found| found.definition)))
    }

    /// In JSON, as `baton agents register` sends it: a definition is read by people, too.
    fn registration(&self, topic: String) -> Outgoing {
        let headers = [
            (CE_SPECVERSION, "1.0"),
            (CE_ID, &self.key),
            (CE_TYPE, RecordKind::AgentDefinition.full_name()),
            (CE_SOURCE, "baton/agents"),
            (CONTENT_TYPE, "application/json"),
        ];
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect();
        let value = json(&self.definition);
        Outgoing { topic, partition: None, key: Some(self.key.clone().into_bytes()), value: Some(value), headers }
    }
}

fn json(definition: &AgentDefinition) -> Vec<u8> {
    serde_json::to_vec(definition).expect("our records have a form in JSON")
}

fn missing<T>(fault: KafkaFault) -> Result<Look<T>, AgentError> {
    match fault {
        // Somebody may be about to create it.
        KafkaFault::NoTopic(_) => Ok(Look::Missing(fault.to_string())),
        fault if fault.disposition() == Disposition::Again => Ok(Look::Missing(fault.to_string())),
        fault => Err(fault.into()),
    }
}

async fn patiently<T, F>(stop: &CancellationToken, mut look: impl FnMut() -> F) -> Result<Option<T>, AgentError>
where
    F: Future<Output = Result<Look<T>, AgentError>>,
{
    let mut said = String::new();
    let mut pause = SOON;
    loop {
        let looked = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(None),
            looked = look() => looked?,
        };
        match looked {
            Look::Found(found) => return Ok(Some(found)),
            Look::Missing(reason) if reason != said => {
                tracing::warn!("waiting: {reason}");
                said = reason;
            }
            Look::Missing(_) => {}
        }
        tokio::select! { () = tokio::time::sleep(pause) => {}, () = stop.cancelled() => return Ok(None) }
        pause = (pause * 2).min(AGAIN);
    }
}
