//! What a task says, in 16 bytes: how the same task sent twice is told from another one of the same id.
//!
//! Hashed are the decoded fields, not the bytes, so JSON and Avro of one task agree; of them only those that
//! differ from their default, each under its name, so that a field added later changes no hash kept before.

use super::task_submitted::{Limits, Mode, OnStepFailure, PlannedStep, TaskSubmitted};
use sha2::{Digest, Sha256};

/// The hash of everything but the id, which is compared already, and `submittedAt`.
pub(super) fn content_hash(task: &TaskSubmitted) -> [u8; 16] {
    let mut hash = Hash(Sha256::new());
    hash.text("type", task.kind.as_deref());
    hash.text("objective", Some(&task.objective));
    hash.text("input", task.input.as_deref());
    hash.text("inputContract", task.input_contract.as_deref());
    hash.number("priority", (task.priority != 5).then_some(task.priority.into()));
    hash.number("deadline", task.deadline);
    hash.number("notBefore", task.not_before);
    if let Some(plan) = &task.plan {
        hash.number("plan", Some(plan.len() as i64));
        plan.iter().for_each(|step| hash.step(step));
    }
    let mode = match task.mode {
        Mode::Auto => None,
        Mode::Plan => Some("PLAN"),
        Mode::Route => Some("ROUTE"),
        Mode::Unknown => Some("UNKNOWN"),
    };
    hash.text("mode", mode);
    hash.texts("agents", &task.agents);
    let on_step_failure = match task.on_step_failure {
        OnStepFailure::FailFast => None,
        OnStepFailure::Continue => Some("CONTINUE"),
        OnStepFailure::Unknown => Some("UNKNOWN"),
    };
    hash.text("onStepFailure", on_step_failure);
    hash.number("requireApproval", task.require_approval.then_some(1));
    hash.number("explore", (!task.explore).then_some(0));
    if !task.labels.is_empty() {
        hash.number("labels", Some(task.labels.len() as i64));
        task.labels.iter().for_each(|(name, value)| hash.text(name, Some(value)));
    }
    if let Some(Limits { max_hops, max_attempts, max_tokens, max_cost_micros }) = &task.limits {
        hash.number("limits", Some(0));
        hash.number("maxHops", max_hops.map(i64::from));
        hash.number("maxAttempts", max_attempts.map(i64::from));
        hash.number("maxTokens", *max_tokens);
        hash.number("maxCostMicros", *max_cost_micros);
    }
    hash.text("correlationId", task.correlation_id.as_deref());
    hash.text("parentTaskId", task.parent_task_id.as_deref());
    hash.text("submittedBy", task.submitted_by.as_deref());
    let digest = hash.0.finalize();
    *digest.first_chunk().expect("SHA-256 has 32 bytes")
}

/// Every part goes in behind its length, so that no two tasks give the same bytes.
struct Hash(Sha256);

impl Hash {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.bytes(name.as_bytes());
            self.bytes(value.as_bytes());
        }
    }

    fn number(&mut self, name: &str, value: Option<i64>) {
        if let Some(value) = value {
            self.bytes(name.as_bytes());
            self.bytes(&value.to_le_bytes());
        }
    }

    fn texts(&mut self, name: &str, values: &[String]) {
        if !values.is_empty() {
            self.number(name, Some(values.len() as i64));
            values.iter().for_each(|value| self.bytes(value.as_bytes()));
        }
    }

    fn step(&mut self, step: &PlannedStep) {
        self.text("stepId", Some(&step.step_id));
        self.text("objective", Some(&step.objective));
        self.texts("dependsOn", &step.depends_on);
        self.text("agentName", step.agent_name.as_deref());
        self.text("capability", step.capability.as_deref());
        self.text("input", step.input.as_deref());
        self.text("inputContract", step.input_contract.as_deref());
        self.text("outputContract", step.output_contract.as_deref());
        self.number("requireApproval", step.require_approval.then_some(1));
        self.number("timeoutMs", step.timeout_ms);
        self.number("maxAttempts", step.max_attempts.map(i64::from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Receipts and snapshots keep hashes: if this changes, every task sent again counts as another one.
    #[test]
    fn the_hash_of_a_task_never_changes() {
        let mut task = TaskSubmitted::new("sum it up");
        assert_eq!(hex(&task), "917db749f0e4c2db1a1a58b923c9b531");
        task.labels.insert("team".into(), "a".into());
        task.plan = Some(vec![PlannedStep { step_id: "1".into(), objective: "o".into(), ..PlannedStep::default() }]);
        assert_eq!(hex(&task), "ca70f11615cce2fc9ec4d7b791ceaf8e");
    }

    #[test]
    fn the_id_and_the_time_of_submission_are_not_content() {
        let task = TaskSubmitted::new("x");
        let again = TaskSubmitted { submitted_at: Some(7), task_id: "t".into(), ..task.clone() };
        assert_eq!(content_hash(&task), content_hash(&again));
    }

    #[test]
    fn every_other_field_is_content() {
        let base = TaskSubmitted::new("x");
        let some = || Some("y".to_owned());
        let step = || Some(vec![PlannedStep::default()]);
        let others = [
            TaskSubmitted { kind: some(), ..base.clone() },
            TaskSubmitted { objective: "y".into(), ..base.clone() },
            TaskSubmitted { input: some(), ..base.clone() },
            TaskSubmitted { input_contract: some(), ..base.clone() },
            TaskSubmitted { priority: 6, ..base.clone() },
            TaskSubmitted { deadline: Some(1), ..base.clone() },
            TaskSubmitted { not_before: Some(1), ..base.clone() },
            TaskSubmitted { plan: Some(vec![]), ..base.clone() },
            TaskSubmitted { plan: step(), ..base.clone() },
            TaskSubmitted { mode: Mode::Route, ..base.clone() },
            TaskSubmitted { agents: vec!["y".into()], ..base.clone() },
            TaskSubmitted { agents: vec!["y".into(), "z".into()], ..base.clone() },
            TaskSubmitted { on_step_failure: OnStepFailure::Continue, ..base.clone() },
            TaskSubmitted { require_approval: true, ..base.clone() },
            TaskSubmitted { explore: false, ..base.clone() },
            TaskSubmitted { labels: [("a".to_owned(), "b".to_owned())].into(), ..base.clone() },
            TaskSubmitted { limits: Some(Limits::default()), ..base.clone() },
            TaskSubmitted { limits: Some(Limits { max_hops: Some(1), ..Limits::default() }), ..base.clone() },
            TaskSubmitted { correlation_id: some(), ..base.clone() },
            TaskSubmitted { parent_task_id: some(), ..base.clone() },
            TaskSubmitted { submitted_by: some(), ..base.clone() },
        ];
        let mut hashes: Vec<_> = others.iter().chain([&base]).map(content_hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), others.len() + 1);
    }

    fn hex(task: &TaskSubmitted) -> String {
        content_hash(task).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
