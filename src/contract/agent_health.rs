//! `AgentHealth` on the wire: how an agent is, and all that is known of its outcomes.

use super::anomaly_watch::{ActiveAlert, AnomalyWatch};
use super::schema::{RecordKind, WireRecord};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentHealth {
    pub agent_name: String,
    #[serde(default)]
    pub version: String,
    pub state: HealthState,
    /// Why, in words.
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub since: i64,
    #[serde(default)]
    pub breaker: BreakerState,
    #[serde(default)]
    pub breaker_detail: BreakerDetail,
    /// 0 to 1: the product of its parts.
    #[serde(default = "one")]
    pub score: f64,
    #[serde(default)]
    pub parts: BTreeMap<String, f64>,
    #[serde(default)]
    pub overall: AgentStatistics,
    #[serde(default)]
    pub capabilities: BTreeMap<String, AgentStatistics>,
    #[serde(default)]
    pub task_types: BTreeMap<String, AgentStatistics>,
    #[serde(default)]
    pub trend: AgentTrend,
    /// What is unusual of it and goes on.
    #[serde(default)]
    pub alerts: Vec<ActiveAlert>,
    #[serde(default)]
    pub anomalies: AnomalyWatch,
    #[serde(default)]
    pub instances: Vec<AgentInstance>,
    #[serde(default)]
    pub in_flight: Option<i64>,
    /// None = not said.
    #[serde(default)]
    pub capacity: Option<i64>,
    #[serde(default)]
    pub prediction: AgentPrediction,
    /// Of what the statistics mean.
    #[serde(default = "first")]
    pub state_version: i32,
    pub at: i64,
}

impl WireRecord for AgentHealth {
    const KIND: RecordKind = RecordKind::AgentHealth;
}

fn one() -> f64 {
    1.0
}

fn first() -> i32 {
    1
}

/// How an agent is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HealthState {
    Healthy,
    Degraded,
    Unhealthy,
    /// Its heartbeats have stopped.
    Absent,
    #[serde(other)]
    Unknown,
}

impl HealthState {
    /// The symbol on the wire.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Healthy => "HEALTHY",
            Self::Degraded => "DEGRADED",
            Self::Unhealthy => "UNHEALTHY",
            Self::Absent => "ABSENT",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// Whether an agent is given work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BreakerState {
    #[default]
    Closed,
    Open,
    HalfOpen,
    #[serde(other)]
    Unknown,
}

impl BreakerState {
    /// The symbol on the wire.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Open => "OPEN",
            Self::HalfOpen => "HALF_OPEN",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// What a circuit breaker goes by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BreakerDetail {
    #[serde(default)]
    pub since: i64,
    /// While it is open: when it is half open.
    #[serde(default)]
    pub until: Option<i64>,
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub openings: i32,
    /// While it is half open: which partition's turn it is to probe, counted from the agent's first.
    #[serde(default)]
    pub turn: i32,
    #[serde(default)]
    pub turned: i64,
    #[serde(default)]
    pub passed: i32,
    #[serde(default)]
    pub good: f64,
    #[serde(default)]
    pub bad: f64,
    #[serde(default)]
    pub seen: i32,
    #[serde(default)]
    pub failed: i32,
    /// When the first of them came.
    #[serde(default)]
    pub failed_since: i64,
    #[serde(default)]
    pub unheard: i32,
}

/// What is known of an agent's outcomes, of all or of one kind. All but the counts is forgotten with time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentStatistics {
    /// Outcomes by class, since the first.
    #[serde(default)]
    pub counts: BTreeMap<String, i64>,
    /// Expected, 0 to 1.
    #[serde(default = "half")]
    pub success_rate: f64,
    #[serde(default)]
    pub successes: f64,
    #[serde(default)]
    pub failures: f64,
    #[serde(default)]
    pub p50_ms: Option<f64>,
    #[serde(default)]
    pub p90_ms: Option<f64>,
    #[serde(default)]
    pub p99_ms: Option<f64>,
    #[serde(default)]
    pub latencies: Vec<LatencyBucket>,
    #[serde(default)]
    pub tokens: RunningMean,
    #[serde(default)]
    pub cost_micros: RunningMean,
    #[serde(default)]
    pub output_bytes: RunningMean,
    #[serde(default)]
    pub quality: RunningMean,
    /// When the last outcome that counted came; 0 = none yet.
    #[serde(default)]
    pub at: i64,
}

impl Default for AgentStatistics {
    fn default() -> Self {
        Self {
            counts: BTreeMap::new(),
            success_rate: half(),
            successes: 0.0,
            failures: 0.0,
            p50_ms: None,
            p90_ms: None,
            p99_ms: None,
            latencies: Vec::new(),
            tokens: RunningMean::default(),
            cost_micros: RunningMean::default(),
            output_bytes: RunningMean::default(),
            quality: RunningMean::default(),
            at: 0,
        }
    }
}

fn half() -> f64 {
    0.5
}

/// Successes that took between `1.05^(index-1)` and `1.05^index` milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LatencyBucket {
    pub index: i32,
    pub weight: f64,
}

impl LatencyBucket {
    /// The bounds of a bucket differ by this factor.
    pub const GROWTH: f64 = 1.05;

    /// As far from both its bounds as share of each, in milliseconds.
    #[must_use]
    pub fn middle(index: i32) -> f64 {
        2.0 * Self::GROWTH.powi(index) / (Self::GROWTH + 1.0)
    }
}

impl RunningMean {
    /// None before the first value.
    #[must_use]
    pub fn get(self) -> Option<f64> {
        (self.weight > 0.0).then_some(self.mean)
    }
}

/// A mean of which old values are forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningMean {
    #[serde(default)]
    pub mean: f64,
    /// 0 = no value yet.
    #[serde(default)]
    pub weight: f64,
}

/// How the agent does against what is usual for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentTrend {
    /// Logarithm of the milliseconds it takes now.
    #[serde(default)]
    pub pace: RunningMean,
    #[serde(default)]
    pub usual_pace: RunningMean,
    #[serde(default)]
    pub load: RunningMean,
    #[serde(default)]
    pub failing: bool,
    #[serde(default)]
    pub slow: bool,
    #[serde(default)]
    pub loaded: bool,
}

/// What came of predictions of an agent's work, old ones counting for less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentPrediction {
    /// Share of the successes that took as long as nine of ten were expected to.
    #[serde(default)]
    pub coverage: RunningMean,
    /// Mean square of what the predicted probability of success was off by, 0 to 1.
    #[serde(default)]
    pub brier: RunningMean,
    /// 0 = none yet.
    #[serde(default)]
    pub at: i64,
}

/// One instance of an agent, by its heartbeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentInstance {
    pub instance: String,
    #[serde(default)]
    pub version: String,
    #[serde(default)]
    pub standing: InstanceStanding,
    #[serde(default)]
    pub at: i64,
    #[serde(default)]
    pub in_flight: i32,
    /// 0 = not said.
    #[serde(default)]
    pub capacity: i32,
}

/// How an instance stands by its silence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InstanceStanding {
    #[default]
    Fresh,
    Stale,
    Gone,
    #[serde(other)]
    Unknown,
}
