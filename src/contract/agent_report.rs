//! `AgentReport` on the wire: an agent's word on an assignment.

use super::schema::{RecordKind, WireRecord};
use crate::workflow;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentReport {
    pub task_id: String,
    pub assignment_id: String,
    pub agent_name: String,
    #[serde(default)]
    pub instance: Option<String>,
    pub status: ReportStatus,
    #[serde(default)]
    pub output: Option<String>,
    #[serde(default)]
    pub progress: Option<f64>,
    #[serde(default)]
    pub message: Option<String>,
    #[serde(default)]
    pub error: Option<ReportError>,
    #[serde(default)]
    pub usage: Option<Usage>,
    #[serde(default)]
    pub time: Option<i64>,
}

impl WireRecord for AgentReport {
    const KIND: RecordKind = RecordKind::AgentReport;
}

impl AgentReport {
    /// A report with nothing but what it must have.
    #[must_use]
    pub fn new(
        task_id: impl Into<String>,
        assignment_id: impl Into<String>,
        agent_name: impl Into<String>,
        status: ReportStatus,
    ) -> Self {
        Self {
            task_id: task_id.into(),
            assignment_id: assignment_id.into(),
            agent_name: agent_name.into(),
            instance: None,
            status,
            output: None,
            progress: None,
            message: None,
            error: None,
            usage: None,
            time: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReportStatus {
    Accepted,
    Progress,
    Succeeded,
    Failed,
    Declined,
    InputRequired,
    #[serde(other)]
    Unknown,
}

impl ReportStatus {
    /// The core's status; none for one this build does not know.
    pub(super) fn known(self) -> Option<workflow::ReportStatus> {
        Some(match self {
            Self::Accepted => workflow::ReportStatus::Accepted,
            Self::Progress => workflow::ReportStatus::Progress,
            Self::Succeeded => workflow::ReportStatus::Succeeded,
            Self::Failed => workflow::ReportStatus::Failed,
            Self::Declined => workflow::ReportStatus::Declined,
            Self::InputRequired => workflow::ReportStatus::InputRequired,
            Self::Unknown => return None,
        })
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportError {
    #[serde(default)]
    pub class: ErrorClass,
    #[serde(default)]
    pub code: Option<String>,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub retry_after_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorClass {
    #[default]
    Transient,
    RateLimited,
    Timeout,
    InvalidOutput,
    Contract,
    Auth,
    Permanent,
    Cancelled,
    #[serde(other)]
    Unknown,
}

impl From<ErrorClass> for workflow::ErrorClass {
    fn from(class: ErrorClass) -> Self {
        match class {
            ErrorClass::Transient | ErrorClass::Unknown => Self::Transient,
            ErrorClass::RateLimited => Self::RateLimited,
            ErrorClass::Timeout => Self::Timeout,
            ErrorClass::InvalidOutput => Self::InvalidOutput,
            ErrorClass::Contract => Self::Contract,
            ErrorClass::Auth => Self::Auth,
            ErrorClass::Permanent => Self::Permanent,
            ErrorClass::Cancelled => Self::Cancelled,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    #[serde(default)]
    pub input_tokens: i64,
    #[serde(default)]
    pub output_tokens: i64,
    #[serde(default)]
    pub cost_micros: i64,
}

impl From<workflow::Usage> for Usage {
    fn from(usage: workflow::Usage) -> Self {
        Self { input_tokens: usage.input_tokens, output_tokens: usage.output_tokens, cost_micros: usage.cost_micros }
    }
}
