//! What `baton dev` and `baton demo` bring along: a broker and a schema registry inside this process.
//!
//! Good for trying Baton out, for writing agents and for their tests, offline and without a JVM. Not for operation: one
//! process, one copy, everything in memory, nothing replicated, no TLS and no passwords, so that it listens on this
//! machine only. It speaks Kafka's protocol but is not Kafka: nothing that was seen here says anything about how Kafka
//! behaves or how fast Baton is on it.

pub mod broker;
mod error;
pub mod registry;
mod stack;

pub use broker::Broker;
pub use error::EmbeddedError;
pub use stack::{Ports, Stack};
