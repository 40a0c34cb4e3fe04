//! `AgentOutcome` on the wire: how one assignment ended.

use super::agent_report::Usage;
use super::schema::{RecordKind, WireRecord};
use crate::workflow;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentOutcome {
    pub agent_name: String,
    #[serde(default)]
    pub version: String,
    /// What the step asked for.
    #[serde(default)]
    pub capability: Option<String>,
    #[serde(default)]
    pub task_type: Option<String>,
    pub assignment_id: String,
    pub outcome: OutcomeClass,
    /// Why it was overdue or withdrawn, as a code.
    #[serde(default)]
    pub reason: String,
    /// From the assignment to its end.
    pub latency_ms: i64,
    #[serde(default)]
    pub usage: Usage,
    #[serde(default)]
    pub output_bytes: i64,
    /// 0 to 1, where somebody judged it.
    #[serde(default)]
    pub quality: Option<f64>,
    pub at: i64,
    /// The beginning of the text that the agent was chosen by and was right for; none where there is nothing to learn.
    #[serde(default)]
    pub text: Option<String>,
    /// With `text`: whoever submitted the task.
    #[serde(default)]
    pub source: Option<String>,
    /// With `text`: of what the agent's definition said when it was chosen.
    #[serde(default)]
    pub definition: Option<i64>,
    /// 0 to 1.
    #[serde(default)]
    pub predicted_success: Option<f64>,
    /// Half of the successes were expected to take at most so long …
    #[serde(default)]
    pub predicted_latency_ms: Option<i64>,
    /// … and nine of ten from so long …
    #[serde(default)]
    pub predicted_latency_low_ms: Option<i64>,
    /// … to so long.
    #[serde(default)]
    pub predicted_latency_high_ms: Option<i64>,
}

impl WireRecord for AgentOutcome {
    const KIND: RecordKind = RecordKind::AgentOutcome;
}

/// How an assignment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OutcomeClass {
    Succeeded,
    Transient,
    RateLimited,
    /// Accepted, and not done in time or silent.
    Timeout,
    /// Also an output that was not taken.
    InvalidOutput,
    /// Its input broke its contract.
    Contract,
    Auth,
    Permanent,
    Cancelled,
    /// Nobody took it in time.
    NotAccepted,
    Declined,
    InputRequired,
    /// No longer wanted.
    Withdrawn,
    #[serde(other)]
    Unknown,
}

impl OutcomeClass {
    /// The symbol on the wire.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Succeeded => "SUCCEEDED",
            Self::Transient => "TRANSIENT",
            Self::RateLimited => "RATE_LIMITED",
            Self::Timeout => "TIMEOUT",
            Self::InvalidOutput => "INVALID_OUTPUT",
            Self::Contract => "CONTRACT",
            Self::Auth => "AUTH",
            Self::Permanent => "PERMANENT",
            Self::Cancelled => "CANCELLED",
            Self::NotAccepted => "NOT_ACCEPTED",
            Self::Declined => "DECLINED",
            Self::InputRequired => "INPUT_REQUIRED",
            Self::Withdrawn => "WITHDRAWN",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl From<workflow::ErrorClass> for OutcomeClass {
    fn from(class: workflow::ErrorClass) -> Self {
        match class {
            workflow::ErrorClass::Transient => Self::Transient,
            workflow::ErrorClass::RateLimited => Self::RateLimited,
            workflow::ErrorClass::Timeout => Self::Timeout,
            workflow::ErrorClass::InvalidOutput => Self::InvalidOutput,
            workflow::ErrorClass::Contract => Self::Contract,
            workflow::ErrorClass::Auth => Self::Auth,
            workflow::ErrorClass::Permanent => Self::Permanent,
            workflow::ErrorClass::Cancelled => Self::Cancelled,
        }
    }
}
