//! The only place that names rdkafka.

mod consumer;
mod error;
mod log;
mod producer;
mod takeover;

pub use log::{KafkaLog, LogSettings};
pub use producer::{Moment, TransactionalProducer};
