//! The topic of experiments, for whoever changes one: what it holds is read once nobody else can write, and what is written
//! rests on that. Of two who change something at a time the one that came later is heard, and the other one is told.
//!
//! Blocking, and for one thread.

use crate::contract::{Codec, Envelope, Experiment, RecordKind, Registry, Undecided, rfc3339};
use crate::kafka::sole_writer::{Outcome, Outgoing, SoleWriter};
use crate::kafka::table::Table;
use crate::kafka::tail::Tailed;
use crate::kafka::{Connection, KafkaFault};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::runtime::Handle;

/// Until the topic is read to its end: longer than a broker needs to end a dead writer's transaction.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why nothing was written, or nobody knows whether it was.
#[derive(Debug, thiserror::Error)]
pub enum LedgerFault {
    #[error(transparent)]
    Kafka(#[from] KafkaFault),
    #[error("{0} cannot be read to its end: a transaction is still open; try again")]
    HeldBack(String),
    #[error("{0} cannot be read: {1}")]
    Unreadable(String, String),
    #[error("the schema registry does not answer: {0}")]
    Registry(String),
    #[error("it was not written: {0}; did somebody else change an experiment at the same time? Look, and try again")]
    Aborted(String),
    #[error(
        "whether it was written is not known: {0}; did somebody else change an experiment at the same time? Look, and try \
         again"
    )]
    Unknown(String),
}

/// The topic, held for one change.
#[derive(Debug)]
pub struct Ledger {
    writer: SoleWriter,
    codec: Codec,
    topic: String,
    known: BTreeMap<String, Experiment>,
}

impl Ledger {
    /// Takes the place of whoever else is about to change something, and reads. `codec` must know the schema's id.
    ///
    /// # Errors
    /// [`LedgerFault`]
    pub fn open(kafka: &Connection, codec: &Codec, registry: &Registry, runtime: &Handle) -> Result<Self, LedgerFault> {
        let topic = format!("{}.experiments", kafka.prefix);
        let writer = SoleWriter::start(kafka, "experiments")?;
        let mut records = BTreeMap::new();
        let mut apply = |record: Tailed| {
            let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
            drop(records.insert(key, record.value));
        };
        if !Table::open(kafka, &topic)?.catch_up(PATIENCE, &mut apply)? {
            return Err(LedgerFault::HeldBack(topic));
        }
        let mut known = BTreeMap::new();
        for (name, value) in records {
            let Some(value) = value else { continue };
            let experiment = loop {
                match codec.decode::<Experiment>(&value) {
                    Ok(experiment) => break experiment,
                    Err(Undecided::Refused(refusal)) => {
                        return Err(LedgerFault::Unreadable(format!("`{name}` in {topic}"), refusal.to_string()));
                    }
                    Err(Undecided::NeedsSchema(id)) => {
                        let learned = runtime.block_on(registry.learn(id, codec.cache()));
                        learned.map_err(|error| LedgerFault::Registry(error.to_string()))?;
                    }
                }
            };
            known.insert(name, experiment);
        }
        Ok(Self { writer, codec: codec.clone(), topic, known })
    }

    /// By name.
    #[must_use]
    pub fn known(&self) -> &BTreeMap<String, Experiment> {
        &self.known
    }

    /// Writes the last word on an experiment.
    ///
    /// # Errors
    /// [`LedgerFault`]
    pub fn write(&self, experiment: &Experiment) -> Result<(), LedgerFault> {
        let (name, now) = (&experiment.name, experiment.at);
        let (id, time) = (format!("{name}~{now}"), rfc3339(now));
        let source = format!("baton/{}/experiments", self.codec.prefix());
        let kind = RecordKind::Experiment;
        let envelope = Envelope { id: &id, kind, source: &source, time: &time, traceparent: None };
        let headers = envelope.headers().into_iter();
        let record = Outgoing {
            topic: self.topic.as_str().into(),
            // One there is.
            partition: 0,
            key: Some(name.as_bytes().to_vec()),
            value: Some(self.codec.encode(experiment)),
            headers: headers.map(|(name, value)| (name.into(), Some(value.into_owned().into_bytes()))).collect(),
            timestamp: None,
            origin: 0,
        };
        match self.writer.write(&[record]) {
            Outcome::Committed => Ok(()),
            Outcome::Aborted { reason, .. } => Err(LedgerFault::Aborted(reason)),
            Outcome::Unknown { reason } => Err(LedgerFault::Unknown(reason)),
        }
    }
}
