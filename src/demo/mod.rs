//! The story that `baton demo` tells: sales leads, the sample agents that work on them, and what became of each lead as
//! the topics have it.
//!
//! Everything here is a computation: files in, a [`Sample`] or all its faults out; a value in, an agent's output out;
//! records in, a [`Story`] out. No path from agent to agent is written here. It never talks to Kafka, never sends mail, and
//! bad input is a fault with file, line and field, or a failed step, never a panic.

mod agent_file;
mod lead;
mod progress;
#[cfg(test)]
mod routes;
mod sample;
mod story;
mod work;

pub use agent_file::SampleAgent;
pub use lead::Lead;
pub use progress::{Lane, Progress};
pub use sample::{Origin, Sample, write};
pub use story::{End, Hop, PathSummary, Story, TaskStory};
pub use work::Work;
