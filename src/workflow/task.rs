use super::{Payload, Plan, Timestamp};
use std::collections::BTreeMap;

/// What a user submitted, decoded and checked in form; never changed afterwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    pub id: String,
    /// Kind of task, for history and strategy.
    pub kind: Option<String>,
    pub objective: String,
    pub input: Option<Payload>,
    /// As written: a JSON Schema inline, or the name of a schema or label.
    pub input_contract: Option<String>,
    /// 0 to 9, 9 first.
    pub priority: u8,
    pub deadline: Option<Timestamp>,
    pub not_before: Option<Timestamp>,
    pub plan: Option<Plan>,
    pub mode: Mode,
    /// Names of the agents allowed; empty = all.
    pub agents: Vec<String>,
    pub on_step_failure: OnStepFailure,
    pub require_approval: bool,
    pub explore: bool,
    pub labels: BTreeMap<String, String>,
    pub limits: Option<Limits>,
    pub correlation_id: Option<String>,
    pub parent_task_id: Option<String>,
    pub submitted_by: Option<String>,
    pub submitted_at: Option<Timestamp>,
}

impl Task {
    /// A task with nothing but what it must have.
    #[must_use]
    pub fn new(id: impl Into<String>, objective: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            kind: None,
            objective: objective.into(),
            input: None,
            input_contract: None,
            priority: 5,
            deadline: None,
            not_before: None,
            plan: None,
            mode: Mode::Auto,
            agents: Vec::new(),
            on_step_failure: OnStepFailure::FailFast,
            require_approval: false,
            explore: true,
            labels: BTreeMap::new(),
            limits: None,
            correlation_id: None,
            parent_task_id: None,
            submitted_by: None,
            submitted_at: None,
        }
    }
}

/// How a task is worked on: by a plan of steps, or by picking the next agent after each result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Auto,
    Plan,
    Route,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnStepFailure {
    #[default]
    FailFast,
    Continue,
}

/// One step of a plan, as it was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlannedStep {
    pub step_id: String,
    pub objective: String,
    pub depends_on: Vec<String>,
    pub agent_name: Option<String>,
    pub capability: Option<String>,
    pub input: Option<Payload>,
    pub input_contract: Option<String>,
    pub output_contract: Option<String>,
    pub require_approval: bool,
    pub timeout_ms: Option<i64>,
    pub max_attempts: Option<i32>,
}

/// Budgets of one task; absent = the configured ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub max_hops: Option<i32>,
    pub max_attempts: Option<i32>,
    pub max_tokens: Option<i64>,
    pub max_cost_micros: Option<i64>,
}
