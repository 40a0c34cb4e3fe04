//! Baton: a Kafka-native orchestrator for AI agents.
//!
//! The map of the modules and which may use which: `ARCHITECTURE.md`. `tests/it/arrows.rs` checks it.

pub mod agent;
pub mod cli;
pub mod config;
pub mod contract;
pub mod demo;
pub mod dispatch;
pub mod embedded;
#[cfg(feature = "embeddings")]
pub mod embeddings;
pub mod experiments;
pub mod http;
pub mod insights;
pub mod kafka;
pub mod llm;
pub mod partition;
pub mod runner;
pub mod selection;
pub mod service;
pub mod sources;
pub mod telemetry;
pub mod worker;
pub mod workflow;
