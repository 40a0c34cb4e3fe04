//! `TaskSubmitted` on the wire, and what it is in the core.

use super::schema::{RecordKind, WireRecord};
use crate::workflow::{self, Payload, Task, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A task as it travels; an empty `task_id` means the record key, or one that is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskSubmitted {
    #[serde(default)]
    pub task_id: String,
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    pub objective: String,
    #[serde(default)]
    pub input: Option<String>,
    #[serde(default)]
    pub input_contract: Option<String>,
    #[serde(default = "default_priority")]
    pub priority: i32,
    #[serde(default)]
    pub deadline: Option<i64>,
    #[serde(default)]
    pub not_before: Option<i64>,
    #[serde(default)]
    pub plan: Option<Vec<PlannedStep>>,
    #[serde(default)]
    pub mode: Mode,
    #[serde(default)]
    pub agents: Vec<String>,
    #[serde(default)]
    pub on_step_failure: OnStepFailure,
    #[serde(default)]
    pub require_approval: bool,
    #[serde(default = "yes")]
    pub explore: bool,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub limits: Option<Limits>,
    #[serde(default)]
    pub correlation_id: Option<String>,
    #[serde(default)]
    pub parent_task_id: Option<String>,
    #[serde(default)]
    pub submitted_by: Option<String>,
    #[serde(default)]
    pub submitted_at: Option<i64>,
}

impl WireRecord for TaskSubmitted {
    const KIND: RecordKind = RecordKind::TaskSubmitted;
}

fn default_priority() -> i32 {
    5
}

pub(super) fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Mode {
    #[default]
    Auto,
    Plan,
    Route,
    #[serde(other)]
    Unknown,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OnStepFailure {
    #[default]
    FailFast,
    Continue,
    #[serde(other)]
    Unknown,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedStep {
    pub step_id: String,
    pub objective: String,
    #[serde(default)]
    pub depends_on: Vec<String>,
    #[serde(default)]
    pub agent_name: Option<String>,
    #[serde(default)]
    pub capability: Option<String>,
    #[serde(default)]
    pub input: Option<String>,
    #[serde(default)]
    pub input_contract: Option<String>,
    #[serde(default)]
    pub output_contract: Option<String>,
    #[serde(default)]
    pub require_approval: bool,
    #[serde(default)]
    pub timeout_ms: Option<i64>,
    #[serde(default)]
    pub max_attempts: Option<i32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    #[serde(default)]
    pub max_hops: Option<i32>,
    #[serde(default)]
    pub max_attempts: Option<i32>,
    #[serde(default)]
    pub max_tokens: Option<i64>,
    #[serde(default)]
    pub max_cost_micros: Option<i64>,
}

impl TaskSubmitted {
    /// A task with nothing but what it must have.
    #[must_use]
    pub fn new(objective: impl Into<String>) -> Self {
        Self::from(&Task::new("", objective))
    }

    /// The core's task. Total, so that a restore cannot fail: what this build does not know becomes the
    /// default, and a priority out of bounds the nearest. [`super::TaskDraft::check`] is where bad values are refused.
    #[must_use]
    pub fn into_task(self) -> Task {
        Task {
            id: self.task_id,
            kind: self.kind,
            objective: self.objective,
            input: self.input.map(Payload::from),
            input_contract: self.input_contract,
            priority: u8::try_from(self.priority.clamp(0, 9)).expect("0 to 9 fits a byte"),
            deadline: self.deadline.map(Timestamp),
            not_before: self.not_before.map(Timestamp),
            plan: self.plan.map(|steps| steps.into_iter().map(PlannedStep::into_step).collect()),
            mode: match self.mode {
                Mode::Auto | Mode::Unknown => workflow::Mode::Auto,
                Mode::Plan => workflow::Mode::Plan,
                Mode::Route => workflow::Mode::Route,
            },
            agents: self.agents,
            on_step_failure: match self.on_step_failure {
                OnStepFailure::FailFast | OnStepFailure::Unknown => workflow::OnStepFailure::FailFast,
                OnStepFailure::Continue => workflow::OnStepFailure::Continue,
            },
            require_approval: self.require_approval,
            explore: self.explore,
            labels: self.labels,
            limits: self.limits.map(|limits| workflow::Limits {
                max_hops: limits.max_hops,
                max_attempts: limits.max_attempts,
                max_tokens: limits.max_tokens,
                max_cost_micros: limits.max_cost_micros,
            }),
            correlation_id: self.correlation_id,
            parent_task_id: self.parent_task_id,
            submitted_by: self.submitted_by,
            submitted_at: self.submitted_at.map(Timestamp),
        }
    }
}

impl From<&Task> for TaskSubmitted {
    fn from(task: &Task) -> Self {
        Self {
            task_id: task.id.clone(),
            kind: task.kind.clone(),
            objective: task.objective.clone(),
            input: text(task.input.as_ref()),
            input_contract: task.input_contract.clone(),
            priority: i32::from(task.priority),
            deadline: task.deadline.map(|at| at.0),
            not_before: task.not_before.map(|at| at.0),
            plan: task.plan.as_ref().map(|steps| steps.iter().map(PlannedStep::from).collect()),
            mode: match task.mode {
                workflow::Mode::Auto => Mode::Auto,
                workflow::Mode::Plan => Mode::Plan,
                workflow::Mode::Route => Mode::Route,
            },
            agents: task.agents.clone(),
            on_step_failure: match task.on_step_failure {
                workflow::OnStepFailure::FailFast => OnStepFailure::FailFast,
                workflow::OnStepFailure::Continue => OnStepFailure::Continue,
            },
            require_approval: task.require_approval,
            explore: task.explore,
            labels: task.labels.clone(),
            limits: task.limits.as_ref().map(|limits| Limits {
                max_hops: limits.max_hops,
                max_attempts: limits.max_attempts,
                max_tokens: limits.max_tokens,
                max_cost_micros: limits.max_cost_micros,
            }),
            correlation_id: task.correlation_id.clone(),
            parent_task_id: task.parent_task_id.clone(),
            submitted_by: task.submitted_by.clone(),
            submitted_at: task.submitted_at.map(|at| at.0),
        }
    }
}

impl PlannedStep {
    /// The core's step.
    #[must_use]
    pub fn into_step(self) -> workflow::PlannedStep {
        workflow::PlannedStep {
            step_id: self.step_id,
            objective: self.objective,
            depends_on: self.depends_on,
            agent_name: self.agent_name,
            capability: self.capability,
            input: self.input.map(Payload::from),
            input_contract: self.input_contract,
            output_contract: self.output_contract,
            require_approval: self.require_approval,
            timeout_ms: self.timeout_ms,
            max_attempts: self.max_attempts,
        }
    }
}

impl From<&workflow::PlannedStep> for PlannedStep {
    fn from(step: &workflow::PlannedStep) -> Self {
        Self {
            step_id: step.step_id.clone(),
            objective: step.objective.clone(),
            depends_on: step.depends_on.clone(),
            agent_name: step.agent_name.clone(),
            capability: step.capability.clone(),
            input: text(step.input.as_ref()),
            input_contract: step.input_contract.clone(),
            output_contract: step.output_contract.clone(),
            require_approval: step.require_approval,
            timeout_ms: step.timeout_ms,
            max_attempts: step.max_attempts,
        }
    }
}

fn text(payload: Option<&Payload>) -> Option<String> {
    payload.map(|payload| payload.text().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_survives_the_way_to_the_wire_and_back() {
        let mut task = Task::new("t-1", "sum it up");
        task.input = Some("{\"a\":1}".into());
        task.mode = workflow::Mode::Route;
        task.on_step_failure = workflow::OnStepFailure::Continue;
        task.limits = Some(workflow::Limits { max_hops: Some(3), ..workflow::Limits::default() });
        task.labels.insert("team".into(), "a".into());
        let step = PlannedStep {
            step_id: "s".into(),
            objective: "o".into(),
            input: Some("x".into()),
            ..PlannedStep::default()
        };
        task.plan = Some(vec![step.into_step()].into());
        assert_eq!(TaskSubmitted::from(&task).into_task(), task);
    }
}
