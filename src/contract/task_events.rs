//! `TaskEvents` on the wire: the facts of one transaction about one task, in order.

use super::schema::{RecordKind, WireRecord};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskEvents {
    pub task_id: String,
    /// Number of the first fact; the others follow without gap.
    pub first_sequence: i64,
    pub at: i64,
    #[serde(default)]
    pub facts: Vec<Fact>,
}

impl WireRecord for TaskEvents {
    const KIND: RecordKind = RecordKind::TaskEvents;
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fact {
    #[serde(rename = "type")]
    pub kind: FactType,
    #[serde(default)]
    pub step_id: Option<String>,
    #[serde(default)]
    pub assignment_id: Option<String>,
    #[serde(default)]
    pub agent_name: Option<String>,
    #[serde(default)]
    pub decision_id: Option<String>,
    #[serde(default)]
    pub attempt: Option<i32>,
    #[serde(default)]
    pub actor: Option<String>,
    #[serde(default)]
    pub reason: Option<String>,
    /// More, as JSON text.
    #[serde(default)]
    pub detail: Option<String>,
}

impl Fact {
    /// A fact that says nothing but what happened.
    #[must_use]
    pub fn new(kind: FactType) -> Self {
        Self {
            kind,
            step_id: None,
            assignment_id: None,
            agent_name: None,
            decision_id: None,
            attempt: None,
            actor: None,
            reason: None,
            detail: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FactType {
    TaskAccepted,
    PlanAccepted,
    PlanRejected,
    StepReady,
    AgentAsked,
    AgentChosen,
    StepAssigned,
    StepAccepted,
    StepProgressed,
    StepSucceeded,
    StepFailed,
    StepTimedOut,
    OutputRejected,
    RetryScheduled,
    CommandApplied,
    CommandRefused,
    TaskEnded,
    TaskBegun,
    PlanAsked,
    StepSkipped,
    ApprovalRequested,
    InputRequested,
    CommandHeld,
    #[serde(other)]
    Unknown,
}
