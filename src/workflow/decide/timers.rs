//! What follows when a wait is over.

use super::super::{ChoiceState, ErrorClass, Fact, Outcome, Phase, StepStatus, Timer, TimerKind, World};
use super::failures::{self, Failure};
use super::{Facts, Rejection, advance, commands, routing};
use std::sync::Arc;

pub(super) fn fired(facts: &mut Facts<'_>, timer: &Timer, world: &dyn World) -> Result<(), Rejection> {
    if facts.now < timer.due {
        return Err(Rejection::Impossible(format!("a timer due at {} fired before that", timer.due)));
    }
    if facts.workflow().phase == Phase::Absent {
        return match timer.kind {
            TimerKind::CommandHeld => commands::overdue(facts),
            _ => Err(Rejection::Stale("the task is not known")),
        };
    }
    match &timer.kind {
        TimerKind::TaskDeadline => task_deadline(facts, timer)?,
        TimerKind::NotBefore => {
            if facts.workflow().begins_at != Some(timer.due) {
                return Err(Rejection::Stale("the task has begun"));
            }
            facts.add(Fact::TaskBegun);
            advance::advance(facts, world);
        }
        TimerKind::RetryAt { step_id, attempt } => {
            owed(facts, timer, step_id, *attempt)?;
            if facts.workflow().is_held_back() {
                return Err(Rejection::Stale("the task is held back; the wait is owed again when it goes on"));
            }
            facts.add(Fact::StepReady { step_id: Arc::clone(step_id) });
            routing::choose(facts, step_id, world);
        }
        TimerKind::AcceptBy { step_id, attempt }
        | TimerKind::DoneBy { step_id, attempt }
        | TimerKind::QuietBy { step_id, attempt } => overdue(facts, timer, step_id, *attempt, world)?,
        TimerKind::CommandHeld => return Err(Rejection::Stale("the task has come")),
    }
    Ok(())
}

fn task_deadline(facts: &mut Facts<'_>, timer: &Timer) -> Result<(), Rejection> {
    let workflow = facts.workflow();
    if workflow.deadline != timer.due {
        return Err(Rejection::Stale("the deadline is another one"));
    }
    let mut refused = workflow.choices.iter().filter_map(|choice| match &choice.state {
        ChoiceState::Refused { busy, .. } => Some(busy),
        ChoiceState::Asked { .. } => None,
    });
    let unsuited = refused.clone().any(|busy| busy.is_empty());
    let status = |wanted: StepStatus| workflow.steps.iter().any(|step| step.status == wanted);
    if unsuited {
        facts.end(Outcome::Failed, "no_suitable_agent", "no agent suited until the task's deadline");
        return Ok(());
    }
    let message = if refused.next().is_some() {
        "every agent that suits had as much to do as it takes until the task's deadline"
    } else if workflow.unapproved || status(StepStatus::NeedsApproval) {
        "nobody approved until the task's deadline"
    } else if status(StepStatus::NeedsInput) {
        "nobody answered until the task's deadline"
    } else {
        "the task's deadline passed"
    };
    facts.end(Outcome::Expired, "deadline", message);
    Ok(())
}

/// Whether the step still waits for this timer.
fn owed(facts: &Facts<'_>, timer: &Timer, step_id: &Arc<str>, attempt: u32) -> Result<(), Rejection> {
    let Some(step) = facts.workflow().step(step_id) else {
        // A plan that was written anew may have dropped the step.
        return Err(Rejection::Stale("the step is not there any more"));
    };
    let due = match (&timer.kind, step.status) {
        (TimerKind::AcceptBy { .. }, StepStatus::Assigned { accept_by }) => Some(accept_by),
        (TimerKind::DoneBy { .. }, StepStatus::Accepted { done_by, .. }) => Some(done_by),
        (TimerKind::QuietBy { .. }, StepStatus::Accepted { quiet_by, .. }) => Some(quiet_by),
        (TimerKind::RetryAt { .. }, StepStatus::Delayed { until }) => Some(until),
        _ => None,
    };
    if due != Some(timer.due) || step.attempt != attempt {
        return Err(Rejection::Stale("the wait is over already"));
    }
    Ok(())
}

fn overdue(
    facts: &mut Facts<'_>,
    timer: &Timer,
    step_id: &Arc<str>,
    attempt: u32,
    world: &dyn World,
) -> Result<(), Rejection> {
    owed(facts, timer, step_id, attempt)?;
    let agent_name = facts.workflow().step(step_id).map(|step| Arc::clone(&step.agent_name)).unwrap_or_default();
    let message = timer.kind.overdue(&agent_name).unwrap_or_default();
    facts.add(Fact::StepTimedOut { step_id: Arc::clone(step_id), timer: timer.kind.clone() });
    let failure = Failure { class: ErrorClass::Timeout, code: "assignment_timeout", message, retry_after: None };
    failures::settle(facts, step_id, &failure, world);
    Ok(())
}
