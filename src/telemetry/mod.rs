//! How Baton shows what it does: a log on standard error, traces over OTLP if `OTEL_*` asks for them, and metrics.
//!
//! Nothing here decides anything, and nothing waits for a reader: metrics are atomics, spans are dropped when their queue
//! is full.

mod health;
mod log;
mod metrics;
mod otlp;
pub mod spans;

pub use health::Health;
pub use log::{Format, Guard, Setup, init};
pub use metrics::{InputCounters, LlmCounters, Metrics, SourceCounters};
