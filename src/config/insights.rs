use super::check::Checks;
use super::units::duration;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `[insights]`: what is made of how assignments ended.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Insights {
    /// An outcome that lies so many outcomes back counts half.
    pub half_life_outcomes: f64,
    /// An outcome that is so old counts half.
    #[serde(with = "duration")]
    pub half_life: Duration,
    /// Below this rate of success, 0 to 1, an agent is degraded.
    pub degraded_below: f64,
    /// After so much silence an instance is stale; after `worker.heartbeat_timeout` it is gone.
    #[serde(with = "duration")]
    pub stale_after: Duration,
    /// Capabilities, and task types, kept of one agent at most.
    pub max_kinds: usize,
    /// Between two records of one agent; a breaker that changes and an anomaly are told at once.
    #[serde(with = "duration")]
    pub publish_every: Duration,
    /// Share of failures among the latest outcomes, 0 to 1, that opens a circuit breaker.
    pub breaker_failures: f64,
    /// Outcomes it takes for that share to count.
    pub breaker_least: u32,
    /// Failures in a row that open it whatever was before; so do so many assignments that nobody takes.
    pub breaker_in_a_row: u32,
    /// Until it is half open for the first time; doubled each time it opens again.
    #[serde(with = "duration")]
    pub breaker_wait: Duration,
    /// The longest of these waits.
    #[serde(with = "duration")]
    pub breaker_longest_wait: Duration,
    /// Assignments at once while it is half open, and successes in a row that close it.
    pub breaker_probes: u32,
}

impl Default for Insights {
    fn default() -> Self {
        Self {
            half_life_outcomes: 20.0,
            half_life: Duration::from_secs(24 * 3600),
            degraded_below: 0.8,
            stale_after: Duration::from_secs(30),
            max_kinds: 32,
            publish_every: Duration::from_secs(1),
            breaker_failures: 0.6,
            breaker_least: 10,
            breaker_in_a_row: 6,
            breaker_wait: Duration::from_secs(10),
            breaker_longest_wait: Duration::from_secs(600),
            breaker_probes: 2,
        }
    }
}

impl Insights {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.range("insights.half_life_outcomes", self.half_life_outcomes, 1.0, 10_000.0);
        checks.positive("insights.half_life", self.half_life);
        checks.range("insights.degraded_below", self.degraded_below, 0.0, 1.0);
        checks.positive("insights.stale_after", self.stale_after);
        checks.range("insights.max_kinds", self.max_kinds, 1, 200);
        checks.that(
            self.publish_every <= Duration::from_secs(60),
            "insights.publish_every",
            "must be at most 1m: choosing goes by what was published",
            "use 1s",
        );
        checks.range("insights.breaker_failures", self.breaker_failures, 0.05, 1.0);
        checks.range("insights.breaker_least", self.breaker_least, 1, 1_000);
        checks.range("insights.breaker_in_a_row", self.breaker_in_a_row, 1, 1_000);
        checks.positive("insights.breaker_wait", self.breaker_wait);
        checks.that(
            self.breaker_longest_wait >= self.breaker_wait,
            "insights.breaker_longest_wait",
            "must not be less than insights.breaker_wait",
            "raise it",
        );
        checks.range("insights.breaker_probes", self.breaker_probes, 1, 100);
    }
}
