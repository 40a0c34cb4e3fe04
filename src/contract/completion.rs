//! `Completion` on the wire: how a task ended.

use super::agent_report::Usage;
use super::schema::{RecordKind, WireRecord};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Completion {
    pub task_id: String,
    #[serde(default = "first_run")]
    pub run: i32,
    pub outcome: Outcome,
    /// Why, as a code.
    #[serde(default)]
    pub reason: String,
    /// Why, in words.
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub result: Option<String>,
    #[serde(default)]
    pub steps: Vec<CompletedStep>,
    #[serde(default)]
    pub hops: i32,
    #[serde(default)]
    pub usage: Usage,
    #[serde(default)]
    pub correlation_id: Option<String>,
    #[serde(default)]
    pub submitted_at: Option<i64>,
    pub completed_at: i64,
}

impl WireRecord for Completion {
    const KIND: RecordKind = RecordKind::Completion;
}

fn first_run() -> i32 {
    1
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    Succeeded,
    Partial,
    Failed,
    Cancelled,
    Expired,
    Rejected,
    #[serde(other)]
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompletedStep {
    pub step_id: String,
    /// Its last agent; empty = none was chosen.
    #[serde(default)]
    pub agent_name: String,
    pub status: StepStatus,
    #[serde(default)]
    pub attempts: i32,
    #[serde(default)]
    pub duration_ms: i64,
}

/// Where a step is; in a completion, where it stood at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StepStatus {
    Choosing,
    Assigned,
    Accepted,
    Succeeded,
    Failed,
    Waiting,
    Delayed,
    NeedsApproval,
    NeedsInput,
    Skipped,
    #[serde(other)]
    Unknown,
}
