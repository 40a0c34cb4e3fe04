//! The loop of one worker: records, answers and timers in; one transaction after the other out.
//!
//! A worker is one consumer and one transactional producer with the partitions they hold, on one thread.
//! It waits in one place, decides nothing itself (`partition` does) and never acts before its facts are
//! durable. What it holds is a cache of Kafka: killed at any moment, its successor reads the same state
//! and owes the same work. It fails only as a [`Stop`], which says what to do.

mod agent_health;
mod batch;
mod capacity;
mod carry;
mod directory;
mod encode;
mod experiments;
mod intake;
pub mod mutant;
mod ports;
mod presence;
mod ratio;
mod run;
mod settings;
mod snapshot;

pub use crate::partition::INPUTS;
pub use agent_health::{HealthTable, SharedAgentHealth};
pub use directory::SharedRegistry;
pub use experiments::SharedExperiments;
pub use intake::{COMMANDS, Lookups, Need, STATUS, TASKS};
pub use ports::{
    Apply, Clock, Log, Offsets, Outcome, Outgoing, Owned, Rebalance, Record, Returned, Runner, Stop, SystemClock,
    TakeOver, Witness,
};
pub use presence::{Presence, SharedPresence, Sign};
pub use ratio::{DeadLetterRatio, Turn};
pub use run::{Parts, StopSignal, Worker};
pub use settings::{Settings, TopicLimits};
