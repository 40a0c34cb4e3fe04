//! Assignments that were open and are no longer wanted. Read off the facts alone: staged again they are the same.

use super::{CommandKind, Event, Fact, TimerKind, Timestamp, Workflow};
use std::sync::Arc;

/// Whoever works on this assignment may stop: no report on it counts any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawn {
    pub step_id: Arc<str>,
    pub agent_name: Arc<str>,
    pub attempt: u32,
    /// A code: which wait was over, or why the task ended.
    pub reason: String,
    pub at: Timestamp,
}

/// The assignments that `events` withdraw, where `before` is the workflow that they were decided on. One that its
/// agent settled itself, by whatever last word, is not among them.
#[must_use]
pub fn withdrawn(before: &Workflow, events: &[Event]) -> Vec<Withdrawn> {
    let withdraws = |event: &Event| match &event.fact {
        Fact::StepTimedOut { .. } | Fact::TaskEnded(_) | Fact::PlanAccepted(_) => true,
        Fact::CommandApplied(command) => command.kind == CommandKind::Reassign,
        _ => false,
    };
    if !events.iter().any(withdraws) {
        return Vec::new();
    }
    let mut open: Vec<(Arc<str>, Arc<str>, u32)> = before
        .steps
        .iter()
        .filter(|step| step.status.is_assigned())
        .map(|step| (Arc::clone(&step.id), Arc::clone(&step.agent_name), step.attempt))
        .collect();
    let mut found = Vec::new();
    for event in events {
        let mut withdraw = |(step_id, agent_name, attempt), reason: &str| {
            found.push(Withdrawn { step_id, agent_name, attempt, reason: reason.to_owned(), at: event.at });
        };
        match &event.fact {
            Fact::StepAssigned(assigned) => {
                open.retain(|(id, ..)| *id != assigned.step_id);
                let agent_name = Arc::clone(&assigned.chosen.agent_name);
                open.push((Arc::clone(&assigned.step_id), agent_name, assigned.attempt));
            }
            Fact::StepSucceeded { step_id, .. }
            | Fact::StepFailed { step_id, .. }
            | Fact::StepDeclined { step_id, .. }
            | Fact::StepNeedsInput { step_id, .. }
            | Fact::OutputRejected { step_id, .. } => open.retain(|(id, ..)| id != step_id),
            Fact::StepTimedOut { step_id, timer } => {
                if let Some(place) = open.iter().position(|(id, ..)| id == step_id) {
                    withdraw(open.remove(place), overdue(timer));
                }
            }
            Fact::TaskEnded(end) => open.drain(..).for_each(|one| withdraw(one, &end.reason)),
            Fact::CommandApplied(command) if command.kind == CommandKind::Reassign => {
                let place = open.iter().position(|(id, ..)| Some(&**id) == command.step_id.as_deref());
                if let Some(place) = place {
                    withdraw(open.remove(place), "reassigned");
                }
            }
            Fact::PlanAccepted(acceptance) => {
                let kept = |id: &str| acceptance.plan.place(id).is_some();
                let (stay, gone) = open.drain(..).partition(|(id, ..)| kept(id));
                open = stay;
                let gone: Vec<_> = gone;
                gone.into_iter().for_each(|one| withdraw(one, "replanned"));
            }
            Fact::TaskAccepted(_)
            | Fact::TaskBegun
            | Fact::PlanAsked { .. }
            | Fact::PlanRejected(_)
            | Fact::StepReady { .. }
            | Fact::StepSkipped { .. }
            | Fact::ApprovalRequested { .. }
            | Fact::RetryScheduled { .. }
            | Fact::CommandApplied(_)
            | Fact::CommandRefused { .. }
            | Fact::CommandHeld { .. }
            | Fact::AgentAsked { .. }
            | Fact::AgentChosen(_)
            | Fact::StepAccepted { .. }
            | Fact::StepProgressed { .. } => {}
        }
    }
    found
}

fn overdue(timer: &TimerKind) -> &'static str {
    match timer {
        TimerKind::AcceptBy { .. } => "accept_timeout",
        TimerKind::DoneBy { .. } => "assignment_timeout",
        TimerKind::QuietBy { .. } => "inactivity_timeout",
        TimerKind::TaskDeadline | TimerKind::NotBefore | TimerKind::CommandHeld | TimerKind::RetryAt { .. } => {
            "deadline"
        }
    }
}
