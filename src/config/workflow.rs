use super::check::Checks;
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
    /// From there to its end; a progress report starts it anew.
    #[serde(with = "duration")]
    pub assignment_timeout: Duration,
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

impl Default for Workflow {
    fn default() -> Self {
        Self {
            default_deadline: Duration::from_secs(24 * 3600),
            max_hops: 20,
            accept_timeout: Duration::from_secs(600),
            assignment_timeout: Duration::from_secs(900),
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
