//! What must be true of facts and of the workflow they fold to.

use super::processes;
use super::split;
use super::violated;
use baton::workflow::{
    CommandKind, Event, Fact, Limits, OnStepFailure, Outcome, Phase, StepStatus, TimerKind, Timestamp, Usage, Workflow,
};

/// Whether these tell that a task is refused for its plan: nothing is kept of it.
pub(super) fn is_refusal(events: &[Event]) -> bool {
    matches!(events, [Event { fact: Fact::PlanRejected(rejection), .. }] if rejection.question == 0)
}

/// Whether a fact can follow.
pub(super) fn fits(task_id: &str, workflow: &Workflow, event: &Event) {
    let last = workflow.last_question;
    let fine = match (&event.fact, workflow.phase) {
        (Fact::TaskAccepted(_) | Fact::CommandHeld { .. }, phase) => phase == Phase::Absent,
        (Fact::CommandRefused { .. }, _) => true,
        (Fact::CommandApplied(command), Phase::Ended { outcome, .. }) => {
            command.kind == CommandKind::Retry && outcome != Outcome::Succeeded
        }
        (_, Phase::Absent | Phase::Ended { .. }) => false,
        (Fact::CommandApplied(command), _) => command.kind != CommandKind::Retry,
        (Fact::TaskBegun, _) => workflow.begins_at.is_some_and(|at| at <= event.at),
        (Fact::AgentAsked { question, .. } | Fact::PlanAsked { question, .. }, _) => {
            *question == last + 1 && affords(workflow) && !workflow.is_held_back()
        }
        (Fact::AgentChosen(decision), _) => {
            let question = decision.question;
            (question == last + 1 || (question <= last && workflow.choice(question).is_some()))
                && decision.settled.variant == split::variant_of(workflow)
        }
        (Fact::StepAssigned(assigned), _) => {
            let before = workflow.step(&assigned.step_id);
            assigned.attempt == before.map_or(0, |step| step.attempt) + 1
                && before.is_none_or(|step| !step.status.is_assigned() && !step.status.is_over())
                && affords(workflow)
                && !workflow.is_held_back()
                && depends_are_done(workflow, &assigned.step_id)
        }
        (Fact::StepReady { step_id }, _) => match workflow.step(step_id).map(|step| step.status) {
            Some(StepStatus::Delayed { until }) => until <= event.at && !workflow.is_held_back(),
            status => status == Some(StepStatus::Waiting) && !workflow.is_held_back(),
        },
        (Fact::StepTimedOut { step_id, timer }, _) => {
            let due = workflow.step(step_id).and_then(|step| due(step.status, timer));
            due.is_some_and(|due| due <= event.at)
        }
        (Fact::RetryScheduled { step_id, attempt, .. }, _) => {
            let step = workflow.step(step_id);
            step.is_some_and(|step| step.status == StepStatus::Failed && step.attempt == *attempt)
        }
        (Fact::StepSkipped { step_id, .. }, _) => {
            workflow.step(step_id).is_some_and(|step| step.status == StepStatus::Waiting)
        }
        _ => true,
    };
    // A receipt knows no more than when its task ended.
    let since = match workflow.phase {
        Phase::Ended { outcome: Outcome::Succeeded, at } => at,
        _ => workflow.last_at,
    };
    if !fine || event.at < since {
        violated(format!("{task_id}: {event:#?} cannot follow on {workflow:#?}"));
    }
}

/// The end of the wait that this timer ends.
fn due(status: StepStatus, timer: &TimerKind) -> Option<Timestamp> {
    match (status, timer) {
        (StepStatus::Assigned { accept_by }, TimerKind::AcceptBy { .. }) => Some(accept_by),
        (StepStatus::Accepted { done_by, .. }, TimerKind::DoneBy { .. }) => Some(done_by),
        (StepStatus::Accepted { quiet_by, .. }, TimerKind::QuietBy { .. }) => Some(quiet_by),
        _ => None,
    }
}

fn depends_are_done(workflow: &Workflow, step_id: &str) -> bool {
    let done = |id: &String| workflow.step(id).is_some_and(|step| step.status == StepStatus::Succeeded);
    workflow.planned(step_id).is_none_or(|planned| planned.depends_on.iter().all(done))
}

fn limits(workflow: &Workflow) -> Limits {
    let limits = workflow.task.as_ref().and_then(|task| task.limits.clone());
    limits.unwrap_or_default()
}

/// Whether a further call or assignment is within the task's tokens and cost: only what was under way may go over.
fn affords(workflow: &Workflow) -> bool {
    let Usage { input_tokens, output_tokens, cost_micros } = workflow.used.usage;
    let limits = limits(workflow);
    let tokens = limits.max_tokens.unwrap_or(processes::MAX_TOKENS);
    input_tokens + output_tokens < tokens && limits.max_cost_micros.is_none_or(|most| cost_micros < most)
}

/// Whether a workflow keeps its budgets, and waits for something if it lives.
pub(super) fn lives(task_id: &str, workflow: &Workflow) {
    let limits = limits(workflow);
    let most = |own: Option<i32>, configured| own.and_then(|own| u32::try_from(own).ok()).unwrap_or(configured);
    let (hops, attempts) =
        (most(limits.max_hops, processes::MAX_HOPS), most(limits.max_attempts, processes::MAX_ATTEMPTS));
    if (workflow.plan.is_none() && workflow.used.hops > hops) || workflow.used.attempts > attempts {
        violated(format!("{task_id}: {:?} is used of {hops} hops and {attempts} attempts", workflow.used));
    }
    if workflow.phase != Phase::Live || workflow.is_held_back() {
        return;
    }
    let waits = |status: StepStatus| {
        let for_a_person = matches!(status, StepStatus::NeedsApproval | StepStatus::NeedsInput);
        status.is_assigned() || for_a_person || matches!(status, StepStatus::Delayed { .. })
    };
    let waits = workflow.planning.is_some()
        || !workflow.choices.is_empty()
        || workflow.steps.iter().any(|step| waits(step.status));
    if !waits {
        violated(format!("{task_id} lives and waits for nothing: {workflow:#?}"));
    }
    let forgotten = |status: StepStatus| status == StepStatus::Waiting;
    let ready = workflow.steps.iter().find(|step| forgotten(step.status) && depends_are_done(workflow, &step.id));
    if let Some(step) = ready.filter(|_| workflow.planning.is_none()) {
        violated(format!("{task_id}: step {} could be begun, and is not: {workflow:#?}", step.id));
    }
    let fails_fast = workflow.task.as_ref().is_some_and(|task| task.on_step_failure == OnStepFailure::FailFast);
    let failed = workflow.steps.iter().any(|step| step.status == StepStatus::Failed);
    if workflow.plan.is_some() && workflow.planning.is_none() && fails_fast && failed {
        violated(format!("{task_id} goes on although a step has failed for good: {workflow:#?}"));
    }
    let chosen = |id: &str| workflow.choices.iter().any(|choice| *choice.step_id == *id);
    let choosing = workflow.steps.iter().find(|step| step.status == StepStatus::Choosing && !chosen(&step.id));
    if let Some(step) = choosing {
        violated(format!("{task_id}: step {} waits for a choice that nobody makes: {workflow:#?}", step.id));
    }
}
