//! `Alert` on the wire: something unusual of an agent began, or is over.

use super::schema::{RecordKind, WireRecord};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// The same when it began and when it is over.
    pub alert_id: String,
    pub agent_name: String,
    #[serde(default)]
    pub version: String,
    pub metric: AlertMetric,
    pub kind: AlertKind,
    pub state: AlertState,
    /// In the metric's unit.
    pub value: f64,
    pub expected: f64,
    /// In the unit of the test that found it.
    pub deviation: f64,
    pub threshold: f64,
    pub observations: i32,
    pub since: i64,
    pub at: i64,
    #[serde(default)]
    pub message: String,
}

impl WireRecord for Alert {
    const KIND: RecordKind = RecordKind::Alert;
}

/// What of an agent is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlertMetric {
    Latency,
    Failures,
    OutputSize,
    Cost,
    Silence,
    #[serde(other)]
    Unknown,
}

impl AlertMetric {
    /// The symbol on the wire.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Latency => "LATENCY",
            Self::Failures => "FAILURES",
            Self::OutputSize => "OUTPUT_SIZE",
            Self::Cost => "COST",
            Self::Silence => "SILENCE",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// How it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlertKind {
    Jump,
    Drift,
    Silence,
    #[serde(other)]
    Unknown,
}

impl AlertKind {
    /// The symbol on the wire.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Jump => "JUMP",
            Self::Drift => "DRIFT",
            Self::Silence => "SILENCE",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// Whether it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlertState {
    Raised,
    Ended,
    #[serde(other)]
    Unknown,
}

impl AlertState {
    /// The symbol on the wire.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Raised => "RAISED",
            Self::Ended => "ENDED",
            Self::Unknown => "UNKNOWN",
        }
    }
}
