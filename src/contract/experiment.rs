//! `Experiment` on the wire: strategies of choosing compared on the tasks that come.

use super::schema::{RecordKind, WireRecord};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Experiment {
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// Empty = all.
    #[serde(default)]
    pub task_types: Vec<String>,
    /// The first is the control.
    pub variants: Vec<ExperimentVariant>,
    pub metric: ExperimentMetric,
    #[serde(default)]
    pub guardrails: Vec<ExperimentGuardrail>,
    pub state: ExperimentState,
    /// The name of a variant, exactly if `state` is PROMOTED.
    #[serde(default)]
    pub promoted: Option<String>,
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub actor: String,
    pub started_at: i64,
    /// Since when tasks are not split any more.
    #[serde(default)]
    pub ended_at: Option<i64>,
    pub at: i64,
}

impl WireRecord for Experiment {
    const KIND: RecordKind = RecordKind::Experiment;
}

/// A strategy and the tasks it gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentVariant {
    pub name: String,
    pub strategy: String,
    /// 0 to 1.
    pub share: f64,
    #[serde(default)]
    pub stopped_at: Option<i64>,
    #[serde(default)]
    pub stopped_for: String,
}

/// How much worse than the control a variant may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentGuardrail {
    pub metric: ExperimentMetric,
    /// Of success in the share, of latency as a part of it, of cost in micros for a task.
    pub tolerated: f64,
}

/// What is measured of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExperimentMetric {
    Success,
    Latency,
    Cost,
    #[serde(other)]
    Unknown,
}

impl ExperimentMetric {
    /// The symbol on the wire.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Latency => "LATENCY",
            Self::Cost => "COST",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// Where an experiment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExperimentState {
    /// Its tasks are split among the variants.
    Running,
    /// It has no effect.
    Stopped,
    /// All its tasks are chosen for by the strategy of one variant.
    Promoted,
    #[serde(other)]
    Unknown,
}

impl ExperimentState {
    /// The symbol on the wire.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Stopped => "STOPPED",
            Self::Promoted => "PROMOTED",
            Self::Unknown => "UNKNOWN",
        }
    }
}
