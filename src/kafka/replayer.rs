//! Writes records that lie elsewhere once more, each exactly once: the record and the mark that says so are one
//! transaction.
//!
//! All replayers of one prefix share a transactional id. Whoever starts ends what an interrupted one left open, so that the
//! marks read afterwards are all there are; one that still runs is fenced, and says so.
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
pub struct Replayer(TransactionalProducer);

impl Replayer {
    /// Takes the place of any other replayer.
    ///
    /// # Errors
    /// Brokers that do not answer or refuse.
    pub fn start(kafka: &config::Kafka) -> Result<Self, KafkaFault> {
        let mut client = settings::client(kafka, "replay");
        client
            .set("transactional.id", format!("{}.replay", kafka.prefix))
            .set("transaction.timeout.ms", TRANSACTION_MS)
            .set("message.timeout.ms", TRANSACTION_MS)
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            // The broker's limit is the one that counts.
            .set("message.max.bytes", "16777216");
        // No offsets are wanted back, of no topic.
        TransactionalProducer::new(&client, "".into(), PATIENCE)
            .map(Self)
            .map_err(|error| KafkaFault::of(&error, "begin to replay", &kafka.bootstrap_servers).explained(kafka))
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
