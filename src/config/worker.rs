use super::check::Checks;
use super::units::duration;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `[worker]`: the bounds of one worker.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Worker {
    /// Inputs in one transaction at most.
    pub batch: usize,
    /// Live workflows held at most; beyond it no new tasks are taken until some end.
    pub max_live: usize,
    /// Share of dead letters among the inputs of a minute (of at least 20) beyond which a worker warns.
    pub dead_letter_ratio: f64,
    /// After so much silence an agent that sends heartbeats gets no new work.
    #[serde(with = "duration")]
    pub heartbeat_timeout: Duration,
    /// How long a silent worker keeps its partitions.
    #[serde(with = "duration")]
    pub session_timeout: Duration,
    /// How long an open transaction of a dead worker may block readers.
    #[serde(with = "duration")]
    pub transaction_timeout: Duration,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            batch: 2_000,
            max_live: 200_000,
            dead_letter_ratio: 0.1,
            heartbeat_timeout: Duration::from_secs(90),
            // The least a broker allows by default.
            session_timeout: Duration::from_secs(6),
            transaction_timeout: Duration::from_secs(10),
        }
    }
}

impl Worker {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.range("worker.batch", self.batch, 1, 100_000);
        checks.that(self.max_live >= 1, "worker.max_live", "must be 1 or more", "raise it");
        checks.positive("worker.heartbeat_timeout", self.heartbeat_timeout);
        checks.that(
            (0.0..=1.0).contains(&self.dead_letter_ratio),
            "worker.dead_letter_ratio",
            "must be between 0 and 1",
            "1 never warns",
        );
        checks.that(
            (Duration::from_secs(1)..=Duration::from_secs(300)).contains(&self.session_timeout),
            "worker.session_timeout",
            "must be between 1s and 5m",
            "6s is the least most brokers allow",
        );
        checks.that(
            (Duration::from_secs(1)..=Duration::from_secs(15)).contains(&self.transaction_timeout),
            "worker.transaction_timeout",
            "must be between 1s and 15s: an open transaction blocks every reader of its partitions",
            "use 10s",
        );
    }
}
