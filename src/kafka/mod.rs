//! The only place that names rdkafka.

pub mod admin;
mod consumer;
mod error;
mod fault;
pub mod group;
pub mod lives;
mod log;
pub(crate) mod offsets;
pub mod produce;
mod producer;
pub mod relay;
pub mod settings;
pub mod sole_writer;
pub mod table;
pub mod tail;
mod takeover;

/// What every client is made from, under the name of what it describes: a module that talks to Kafka needs no other
/// part of the configuration.
pub use crate::config::Kafka as Connection;
pub use fault::{Disposition, KafkaFault};
pub use log::{KafkaLog, LogSettings};
pub use producer::{Moment, TransactionalProducer};
