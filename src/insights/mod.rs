//! What is known of each agent from how its assignments ended, and whether it is given work.
//!
//! ```text
//! agent-outcomes ─▶ Keeper ─▶ AgentState::take ─▶ agent-health, examples and the offsets, in one transaction
//! heartbeats ─────────────▶ AgentState::tick        (compacted; restored from before anything is read)
//! ```
//!
//! [`AgentState`] and all it is made of is pure: no clock, no Kafka, the same outcomes give the same state. The [`Keeper`]
//! is the role `insights`: of the partitions of `agent-outcomes` that it holds it keeps the statistics. It publishes at
//! most once in a while, a breaker that changes at once, and commits offsets only together with what the records before
//! them came to; so whatever happens to it, each outcome counts once.

mod agent;
mod anomaly;
mod anomaly_record;
mod breaker;
mod examples;
mod foresight;
mod forgetting;
mod keeper;
mod posterior;
mod presence;
mod record;
mod sketch;
mod statistics;
#[cfg(test)]
mod tests;

pub use agent::{AgentState, Condition, Parts, Rules};
pub use anomaly::{Anomalies, Change, Episode, Kind, Level, Metric, Notice, Rate, Run, Silence};
pub use breaker::{Breaker, BreakerRules, Phase};
pub use examples::{examples_of, remember};
pub use foresight::{Foresight, Prediction};
pub use forgetting::{Forgetting, Mean};
pub use keeper::{Keeper, KeeperEnded};
pub use posterior::Posterior;
pub use presence::{Instance, Instances, Standing};
pub use record::{health_of, observation_of, state_of};
pub use sketch::{ACCURACY, Sketch};
pub use statistics::{Observation, Statistics, Verdict, verdict};
