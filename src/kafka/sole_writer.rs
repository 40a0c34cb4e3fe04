//! A writer of which there is one at a time, for people's commands that rest on what was read: a replay, an experiment's
//! start.
//!
//! All of one kind and prefix share a transactional id. Whoever starts ends what an interrupted one left open, so that what
//! is read afterwards is all there is; one that still runs is fenced, and says so.
//!
//! Blocking, and for one thread.

use super::fault::KafkaFault;
use super::producer::TransactionalProducer;
use super::settings;
use crate::config;
pub use crate::worker::{Outcome, Outgoing};
use std::time::Duration;

/// For one transaction, and for how long one that was left open may block readers.
const TRANSACTION_MS: &str = "10000";
/// How long a broker may need to end what a predecessor left open.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct SoleWriter(TransactionalProducer);

impl SoleWriter {
    /// Takes the place of any other of this kind. The transactional id is `<prefix>.<kind>`.
    ///
    /// # Errors
    /// Brokers that do not answer or refuse.
    pub fn start(kafka: &config::Kafka, kind: &str) -> Result<Self, KafkaFault> {
        let mut client = settings::client(kafka, kind);
        client
            .set("transactional.id", format!("{}.{kind}", kafka.prefix))
            .set("transaction.timeout.ms", TRANSACTION_MS)
            .set("message.timeout.ms", TRANSACTION_MS)
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            // The broker's limit is the one that counts.
            .set("message.max.bytes", "16777216");
        // No offsets are wanted back, of no topic.
        TransactionalProducer::new(&client, "".into(), PATIENCE).map(Self).map_err(|error| {
            let what = format!("begin a transaction as {}.{kind}", kafka.prefix);
            KafkaFault::of(&error, &what, &kafka.bootstrap_servers).explained(kafka)
        })
    }

    /// Whether the last record that was refused for itself was so for what it holds.
    #[must_use]
    pub fn refused_content(&self) -> bool {
        self.0.refused_content()
    }

    /// All of the records, or none.
    #[must_use]
    pub fn write(&self, records: &[Outgoing]) -> Outcome {
        self.0.write(records)
    }
}
