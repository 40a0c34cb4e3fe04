//! The only place that names rdkafka.

pub mod admin;
mod consumer;
mod error;
pub mod fault;
mod log;
pub mod produce;
mod producer;
pub mod settings;
pub mod tail;
mod takeover;

pub use log::{KafkaLog, LogSettings};
pub use producer::{Moment, TransactionalProducer};
