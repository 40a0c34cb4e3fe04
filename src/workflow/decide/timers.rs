//! What follows when a wait is over.

use super::super::{ChoiceState, Fact, Outcome, StepStatus, Timer, TimerKind};
use super::{Facts, Rejection};
use std::sync::Arc;

pub(super) fn fired(facts: &mut Facts<'_>, timer: &Timer) -> Result<(), Rejection> {
    if facts.now < timer.due {
        return Err(Rejection::Impossible(format!("a timer due at {} fired before that", timer.due)));
    }
    match &timer.kind {
        TimerKind::TaskDeadline => {
            if facts.workflow().deadline != timer.due {
                return Err(Rejection::Stale("the deadline is another one"));
            }
            let waits =
                facts.workflow().choices.iter().any(|choice| matches!(choice.state, ChoiceState::Refused { .. }));
            if waits {
                facts.end(Outcome::Failed, "no_suitable_agent", "no agent suited until the task's deadline");
            } else {
                facts.end(Outcome::Expired, "deadline", "the task's deadline passed");
            }
        }
        TimerKind::AcceptBy { step_id, attempt } => {
            overdue(facts, timer, step_id, *attempt, "was not accepted in time")?;
        }
        TimerKind::DoneBy { step_id, attempt } => overdue(facts, timer, step_id, *attempt, "was not done in time")?,
    }
    Ok(())
}

fn overdue(
    facts: &mut Facts<'_>,
    timer: &Timer,
    step_id: &Arc<str>,
    attempt: u32,
    what: &str,
) -> Result<(), Rejection> {
    let Some(step) = facts.workflow().step(step_id) else {
        return Err(Rejection::Impossible(format!("a timer of step {step_id}, which is not there")));
    };
    let owed = match (&timer.kind, step.status) {
        (TimerKind::AcceptBy { .. }, StepStatus::Assigned { accept_by }) => accept_by == timer.due,
        (TimerKind::DoneBy { .. }, StepStatus::Accepted { done_by }) => done_by == timer.due,
        _ => false,
    };
    if !owed || step.attempt != attempt {
        return Err(Rejection::Stale("the wait is over already"));
    }
    let message = format!("step {step_id} {what} by {}", step.agent_name);
    facts.add(Fact::StepTimedOut { step_id: Arc::clone(step_id), timer: timer.kind.clone() });
    facts.end(Outcome::Failed, "assignment_timeout", message);
    Ok(())
}
