//! The only place that names rdkafka.

pub mod admin;
mod consumer;
mod error;
mod fault;
mod log;
pub mod produce;
mod producer;
pub mod settings;
pub mod tail;
mod takeover;

pub use fault::{Disposition, KafkaFault};
pub use log::{KafkaLog, LogSettings};
pub use producer::{Moment, TransactionalProducer};
