//! What `AgentHealth` keeps of anomalies: those that go on, and what is usual.

use super::alert::{AlertKind, AlertMetric};
use serde::{Deserialize, Serialize};

/// Something unusual that goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActiveAlert {
    pub metric: AlertMetric,
    pub kind: AlertKind,
    pub since: i64,
    pub at: i64,
    /// In the metric's unit.
    pub value: f64,
    pub expected: f64,
    /// In the unit of the test that found it.
    pub deviation: f64,
    pub threshold: f64,
    pub observations: i32,
}

/// What is usual of an agent, and what speaks against its still being so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnomalyWatch {
    /// Latency, output size and cost.
    #[serde(default)]
    pub levels: Vec<LevelWatch>,
    #[serde(default)]
    pub failures: Option<FailureWatch>,
    #[serde(default)]
    pub silence: Option<SilenceWatch>,
}

/// Of one number; its values are logarithms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LevelWatch {
    pub metric: AlertMetric,
    pub seen: i32,
    pub usual: f64,
    pub variance: f64,
    /// How much a value resembles the one before it, -1 to 1.
    pub resemblance: f64,
    /// The last value and the moving mean, in standard deviations from the usual.
    pub last: f64,
    pub lately: f64,
    pub rise: EvidenceRun,
    pub fall: EvidenceRun,
    /// While an alert goes on: what speaks for its end.
    pub recovered: f64,
}

/// What speaks for a change, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceRun {
    pub sum: f64,
    pub observations: i32,
    pub total: f64,
    pub since: i64,
}

/// Of failures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureWatch {
    pub seen: i32,
    /// What is long ago counts for less.
    pub failures: f64,
    pub outcomes: f64,
    pub jump: EvidenceRun,
    pub drift: EvidenceRun,
    /// While an alert goes on: what speaks for its end.
    pub recovered: f64,
}

/// Of heartbeats; its values are logarithms of milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SilenceWatch {
    pub heard: i64,
    pub seen: i32,
    pub usual: f64,
    pub variance: f64,
}
