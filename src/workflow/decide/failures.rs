//! What follows a failed attempt: another one, a person's word, or the end.

use super::super::{
    ApprovalReason, ErrorClass, Fact, NextAgent, OnStepFailure, Outcome, Prefer, Step, StepStatus, World,
};
use super::{Facts, advance, planning, seed};
use std::sync::Arc;

/// How an attempt failed; its step is closed by a fact already.
pub(super) struct Failure {
    pub(super) class: ErrorClass,
    /// The task's reason, should it end with this.
    pub(super) code: &'static str,
    pub(super) message: String,
    /// Milliseconds that the agent asks to be left alone.
    pub(super) retry_after: Option<i64>,
}

/// Tries again where the class's rule, the step and the budgets allow it.
pub(super) fn settle(facts: &mut Facts<'_>, step_id: &Arc<str>, failure: &Failure, world: &dyn World) {
    let workflow = facts.workflow();
    let Some(step) = workflow.step(step_id) else { return };
    let rule = world.rules().retry.of(&step.agent_name, failure.class);
    let of_task = || workflow.task.as_ref()?.limits.as_ref()?.max_attempts;
    let own = workflow.planned(step_id).and_then(|planned| planned.max_attempts).or_else(of_task);
    let attempts = own.and_then(|own| u32::try_from(own).ok()).unwrap_or(rule.attempts);
    let failures = step.trouble.as_ref().map_or(1, |trouble| trouble.failures);
    // A rule of one attempt says that repeating is of no use, whatever the step allows.
    if rule.attempts <= 1 || failures >= attempts {
        let tried = if failures > 1 { format!(" (after {failures} attempts)") } else { String::new() };
        give_up(facts, step_id, failure.code, &format!("{}{tried}", failure.message), world);
        return;
    }
    let idempotent = world.agent(&step.topic_name).is_none_or(|agent| agent.idempotent);
    if failure.class == ErrorClass::Timeout && !idempotent {
        facts.add(Fact::ApprovalRequested {
            step_id: Arc::clone(step_id),
            agent_name: None,
            reason: ApprovalReason::Retry,
        });
        return;
    }
    let next = (rule.agent == Prefer::Same).then(|| NextAgent::Again(Arc::clone(&step.agent_name)));
    let seed = seed(workflow, &[step.attempt, workflow.run], &step.id);
    let wait = rule.wait(failures, failure.retry_after, seed);
    facts.add(Fact::RetryScheduled {
        step_id: Arc::clone(step_id),
        attempt: step.attempt,
        until: facts.now.plus(wait),
        next,
        feedback: Some(failure.message.as_str().into()),
        class: failure.class,
    });
}

/// The step has failed for good.
pub(super) fn give_up(facts: &mut Facts<'_>, step_id: &Arc<str>, code: &str, message: &str, world: &dyn World) {
    let workflow = facts.workflow();
    let goes_on = workflow.task.as_ref().is_some_and(|task| task.on_step_failure == OnStepFailure::Continue);
    if workflow.plan.is_none() {
        facts.end(Outcome::Failed, code, message);
    } else if goes_on {
        skip_dependents(facts, step_id);
        advance::advance(facts, world);
    } else if !planning::again(facts, step_id, message, world) {
        facts.end(Outcome::Failed, code, format!("step {step_id}: {message}"));
    }
}

/// Skips what depends on the step, and what depends on that.
fn skip_dependents(facts: &mut Facts<'_>, failed: &Arc<str>) {
    let mut gone = vec![Arc::clone(failed)];
    loop {
        let workflow = facts.workflow();
        // Steps are in their plan's order.
        let planned = workflow.plan.iter().flat_map(|plan| plan.iter());
        let waiting = |(step, _): &(&Step, _)| step.status == StepStatus::Waiting;
        let found = workflow.steps.iter().zip(planned).filter(waiting).find_map(|(step, planned)| {
            let because = gone.iter().find(|gone| planned.depends_on.iter().any(|before| **before == ***gone))?;
            Some((Arc::clone(because), Arc::clone(&step.id)))
        });
        let Some((because, step_id)) = found else { return };
        gone.push(Arc::clone(&step_id));
        facts.add(Fact::StepSkipped { step_id, because });
    }
}
