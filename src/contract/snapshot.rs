//! `Snapshot` on the wire: one part of one workflow in the compacted topic. Internal: no user reads it.

use super::completion::{Outcome, StepStatus};
use super::schema::{RecordKind, WireRecord};
use super::task_command::TaskCommand;
use super::task_submitted::{PlannedStep, TaskSubmitted};
use serde::{Deserialize, Serialize};

/// Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    #[serde(default)]
    pub skeleton: Option<Skeleton>,
    #[serde(default)]
    pub task: Option<TaskSubmitted>,
    #[serde(default)]
    pub payload: Option<StepPayload>,
    #[serde(default)]
    pub receipt: Option<Receipt>,
    #[serde(default)]
    pub plan: Option<Vec<PlannedStep>>,
}

impl WireRecord for Snapshot {
    const KIND: RecordKind = RecordKind::Snapshot;
}

impl From<Skeleton> for Snapshot {
    fn from(skeleton: Skeleton) -> Self {
        Self { skeleton: Some(skeleton), ..Self::default() }
    }
}

impl From<TaskSubmitted> for Snapshot {
    fn from(task: TaskSubmitted) -> Self {
        Self { task: Some(task), ..Self::default() }
    }
}

impl From<Vec<PlannedStep>> for Snapshot {
    fn from(plan: Vec<PlannedStep>) -> Self {
        Self { plan: Some(plan), ..Self::default() }
    }
}

impl From<StepPayload> for Snapshot {
    fn from(payload: StepPayload) -> Self {
        Self { payload: Some(payload), ..Self::default() }
    }
}

impl From<Receipt> for Snapshot {
    fn from(receipt: Receipt) -> Self {
        Self { receipt: Some(receipt), ..Self::default() }
    }
}

/// Where a workflow stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Skeleton {
    pub accepted_partition: i32,
    pub accepted_offset: i64,
    /// 16 bytes.
    #[serde(with = "apache_avro::serde::bytes")]
    pub content_hash: Vec<u8>,
    pub phase: Phase,
    /// How it ended, if it ended and did not succeed.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    #[serde(default)]
    pub submitted_at: i64,
    pub deadline: i64,
    #[serde(default)]
    pub last_question: i32,
    #[serde(default)]
    pub last_fact: i64,
    pub last_at: i64,
    #[serde(default)]
    pub used: Used,
    #[serde(default)]
    pub traceparent: Option<String>,
    #[serde(default)]
    pub choices: Vec<OpenChoice>,
    #[serde(default)]
    pub steps: Vec<Step>,
    #[serde(default)]
    pub ended_at: Option<i64>,
    #[serde(default = "one")]
    pub run: i32,
    #[serde(default)]
    pub begins_at: Option<i64>,
    #[serde(default)]
    pub unapproved: bool,
    #[serde(default)]
    pub paused: bool,
    /// Whether a plan is followed: the one in a part of its own, else the task's.
    #[serde(default)]
    pub planned: bool,
    #[serde(default)]
    pub planning: Option<Planning>,
    #[serde(default)]
    pub replans: i32,
    #[serde(default)]
    pub commands: Vec<String>,
    #[serde(default)]
    pub held: Vec<HeldCommand>,
}

fn one() -> i32 {
    1
}

/// A plan that the LLM is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Planning {
    pub question: i32,
    #[serde(default = "one")]
    pub tries: i32,
    #[serde(default)]
    pub faults: Vec<String>,
    pub deadline: i64,
}

/// A command that came before its task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldCommand {
    pub command: TaskCommand,
    pub until: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Phase {
    Live,
    Ended,
    /// Nothing but commands that wait for the task.
    Absent,
    #[serde(other)]
    Unknown,
}

/// What a task used of its budgets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Used {
    #[serde(default)]
    pub hops: i32,
    #[serde(default)]
    pub attempts: i32,
    #[serde(default)]
    pub input_tokens: i64,
    #[serde(default)]
    pub output_tokens: i64,
    #[serde(default)]
    pub cost_micros: i64,
}

/// A question that is not settled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenChoice {
    pub step_id: String,
    pub question: i32,
    #[serde(default)]
    pub set: Vec<String>,
    #[serde(default)]
    pub offers_done: bool,
    #[serde(default)]
    pub tries: i32,
    /// Until when an answer counts; none = not asked but refused: the step waits.
    #[serde(default)]
    pub deadline: Option<i64>,
    /// The eligible set that was refused.
    #[serde(default)]
    pub refused: Vec<String>,
    /// Agents that would do, but had as much to do as they take.
    #[serde(default)]
    pub busy: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    pub step_id: String,
    pub status: StepStatus,
    #[serde(default)]
    pub agent_name: String,
    #[serde(default)]
    pub agent_version: String,
    #[serde(default)]
    pub attempt: i32,
    #[serde(default)]
    pub by_contract: bool,
    #[serde(default)]
    pub declined_by: Vec<String>,
    #[serde(default)]
    pub assigned_at: Option<i64>,
    #[serde(default)]
    pub accept_by: Option<i64>,
    #[serde(default)]
    pub done_by: Option<i64>,
    #[serde(default)]
    pub progress_at: Option<i64>,
    #[serde(default)]
    pub ended_at: Option<i64>,
    #[serde(default)]
    pub quiet_by: Option<i64>,
    #[serde(default)]
    pub until: Option<i64>,
    #[serde(default)]
    pub trouble: Option<Trouble>,
    #[serde(default)]
    pub grounds: Option<Grounds>,
}

/// What an agent was given a step on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grounds {
    /// In ten-thousandths.
    pub success: i32,
    #[serde(default)]
    pub latency_low_ms: Option<i32>,
    #[serde(default)]
    pub latency_ms: Option<i32>,
    #[serde(default)]
    pub latency_high_ms: Option<i32>,
    #[serde(default)]
    pub teaches: Option<i64>,
}

/// What a step carries from its earlier attempts into the next one; who declined it is in [`Step`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    #[serde(default)]
    pub failed_by: Vec<String>,
    #[serde(default)]
    pub failures: i32,
    #[serde(default)]
    pub next_named: Option<String>,
    #[serde(default)]
    pub next_again: Option<String>,
    #[serde(default)]
    pub feedback: Option<String>,
    #[serde(default)]
    pub answer: Option<String>,
    #[serde(default)]
    pub approved: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepPayload {
    #[serde(default)]
    pub input: Option<String>,
    #[serde(default)]
    pub output: Option<String>,
}

/// What is kept of a task that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// 16 bytes.
    #[serde(with = "apache_avro::serde::bytes")]
    pub content_hash: Vec<u8>,
    pub outcome: Outcome,
    pub ended_at: i64,
    #[serde(default)]
    pub accepted_partition: i32,
    #[serde(default)]
    pub accepted_offset: i64,
    #[serde(default)]
    pub last_fact: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::wire;

    #[test]
    fn a_receipt_takes_at_most_64_bytes() {
        let receipt = Receipt {
            content_hash: vec![0xff; 16],
            outcome: Outcome::Rejected,
            ended_at: 4_102_444_800_000,
            accepted_partition: 9_999,
            accepted_offset: i64::MAX,
            last_fact: 100_000,
        };
        let bytes = wire::encode(i32::MAX.unsigned_abs(), &Snapshot::from(receipt));
        assert!(bytes.len() <= 64, "{} bytes", bytes.len());
    }
}
