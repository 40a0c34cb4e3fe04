use super::check::Checks;
use super::retry::Retry;
use super::units::{duration, size};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `[workflow]`: the budgets of one task.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Workflow {
    /// Of a task that names none.
    #[serde(with = "duration")]
    pub default_deadline: Duration,
    /// Agents chosen one after the other in a route.
    pub max_hops: u32,
    /// Until an agent says that it has taken an assignment, or reports.
    #[serde(with = "duration")]
    pub accept_timeout: Duration,
    /// From there to its end; a step of a plan may say otherwise.
    #[serde(with = "duration")]
    pub assignment_timeout: Duration,
    /// From one word of the agent's to the next; a progress report starts it anew.
    #[serde(with = "duration")]
    pub inactivity_timeout: Duration,
    /// Assignments of one task.
    pub max_attempts: u32,
    /// Tokens of one task, its own LLM calls and what agents report together; absent = no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<i64>,
    /// Millionths of the currency in use, of one task; absent = no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_micros: Option<i64>,
    /// How often one agent may get the same input in a route.
    pub max_repeats: u32,
    /// How a task in mode AUTO that brings no plan is worked on.
    pub auto: Auto,
    /// Steps of a plan.
    pub max_steps: usize,
    /// Steps that depend on one step.
    pub max_fan_out: usize,
    /// Steps on the longest way through a plan.
    pub max_depth: usize,
    /// Further plans, where a step of a written one failed for good.
    pub max_replans: u32,
    /// What is done where the LLM wrote no plan that can be followed.
    pub plan_fallback: Fallback,
    /// For the LLM to write a plan.
    #[serde(with = "duration")]
    pub plan_budget: Duration,
    /// How long a command waits for a task that is not known yet.
    #[serde(with = "duration")]
    pub command_patience: Duration,
    pub retry: Retry,
    /// Of one input or output, in bytes.
    #[serde(with = "size")]
    pub payload_bytes: usize,
    /// Of everything one workflow holds, in bytes.
    #[serde(with = "size")]
    pub workflow_bytes: usize,
    /// How long an ended task is remembered, so that the same task submitted again runs once.
    #[serde(with = "duration")]
    pub receipt_window: Duration,
    /// How many ended tasks a partition remembers at most.
    pub receipts_per_partition: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Auto {
    /// The next agent is picked after each result.
    #[default]
    Route,
    /// The LLM writes a plan.
    Plan,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// One step with the task's objective.
    #[default]
    Step,
    Route,
    Fail,
}

impl Default for Workflow {
    fn default() -> Self {
        Self {
            default_deadline: Duration::from_secs(24 * 3600),
            max_hops: 20,
            accept_timeout: Duration::from_secs(600),
            assignment_timeout: Duration::from_secs(3_600),
            inactivity_timeout: Duration::from_secs(900),
            max_attempts: 200,
            max_tokens: None,
            max_cost_micros: None,
            max_repeats: 3,
            auto: Auto::default(),
            max_steps: 100,
            max_fan_out: 50,
            max_depth: 30,
            max_replans: 1,
            plan_fallback: Fallback::default(),
            plan_budget: Duration::from_secs(30),
            command_patience: Duration::from_secs(5),
            retry: Retry::default(),
            payload_bytes: 256 << 10,
            workflow_bytes: 1 << 20,
            receipt_window: Duration::from_secs(3600),
            receipts_per_partition: 100_000,
        }
    }
}

impl Workflow {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.positive("workflow.default_deadline", self.default_deadline);
        checks.positive("workflow.accept_timeout", self.accept_timeout);
        checks.positive("workflow.assignment_timeout", self.assignment_timeout);
        checks.positive("workflow.inactivity_timeout", self.inactivity_timeout);
        checks.positive("workflow.plan_budget", self.plan_budget);
        checks.range("workflow.max_attempts", self.max_attempts, 1, 100_000);
        checks.range("workflow.max_repeats", self.max_repeats, 1, 1_000);
        checks.range("workflow.max_steps", self.max_steps, 1, 10_000);
        checks.range("workflow.max_fan_out", self.max_fan_out, 1, 10_000);
        checks.range("workflow.max_depth", self.max_depth, 1, 10_000);
        checks.range("workflow.max_replans", self.max_replans, 0, 10);
        checks.range("workflow.max_tokens", self.max_tokens.unwrap_or(1), 1, i64::MAX);
        checks.range("workflow.max_cost_micros", self.max_cost_micros.unwrap_or(1), 1, i64::MAX);
        self.retry.check(checks);
        checks.range("workflow.max_hops", self.max_hops as usize, 1, 1_000);
        checks.range("workflow.payload_bytes", self.payload_bytes, 1, 512 << 20);
        checks.that(
            self.workflow_bytes >= self.payload_bytes,
            "workflow.workflow_bytes",
            "is less than one payload (workflow.payload_bytes)",
            "raise it",
        );
    }
}
