//! Assignments that were open and are no longer wanted. Read off the facts alone: staged again they are the same.

use super::{Event, Fact, StepStatus, TimerKind, Timestamp, Workflow};
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
    let withdraws = |event: &Event| matches!(event.fact, Fact::StepTimedOut { .. } | Fact::TaskEnded(_));
    if !events.iter().any(withdraws) {
        return Vec::new();
    }
    let is_open = |status| matches!(status, StepStatus::Assigned { .. } | StepStatus::Accepted { .. });
    let mut open: Vec<(Arc<str>, Arc<str>, u32)> = before
        .steps
        .iter()
        .filter(|step| is_open(step.status))
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
                let agent_name = assigned.chosen.agent_name.as_str().into();
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
            Fact::TaskAccepted(_)
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
        TimerKind::TaskDeadline => "deadline",
    }
}
