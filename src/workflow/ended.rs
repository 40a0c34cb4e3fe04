//! Assignments that ended, and how. Read off the facts alone: staged again they are the same.

use super::{CommandKind, ErrorClass, Event, Fact, Grounds, Step, TimerKind, Timestamp, Usage, Workflow};
use std::sync::Arc;

/// The end of one assignment; each has exactly one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub step_id: Arc<str>,
    pub agent_name: Arc<str>,
    pub topic_name: Arc<str>,
    pub agent_version: Arc<str>,
    pub attempt: u32,
    pub assigned_at: Timestamp,
    pub grounds: Option<Arc<Grounds>>,
    pub how: How,
    /// As the agent says.
    pub usage: Usage,
    /// Of the output that was taken.
    pub output_bytes: usize,
    pub at: Timestamp,
}

/// How an assignment ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    Succeeded,
    Failed(ErrorClass),
    /// The output was not what the agent declares, or too large.
    OutputRejected,
    Declined,
    NeedsInput,
    /// Nobody took it in time.
    NotAccepted,
    /// Accepted, and a wait was over: its code.
    Overdue(&'static str),
    /// Nobody wants it any more: why, as a code.
    Withdrawn(String),
}

impl Ended {
    /// A code, if it ended without its agent's word: whoever works on it may stop, for no report on it counts any more.
    #[must_use]
    pub fn withdrawn(&self) -> Option<&str> {
        match &self.how {
            How::NotAccepted => Some("accept_timeout"),
            How::Overdue(code) => Some(code),
            How::Withdrawn(code) => Some(code),
            How::Succeeded | How::Failed(_) | How::OutputRejected | How::Declined | How::NeedsInput => None,
        }
    }
}

/// An assignment under way.
struct Open<'a> {
    step_id: &'a Arc<str>,
    agent_name: &'a Arc<str>,
    topic_name: &'a Arc<str>,
    agent_version: &'a Arc<str>,
    attempt: u32,
    assigned_at: Timestamp,
    grounds: Option<&'a Arc<Grounds>>,
}

impl<'a> Open<'a> {
    fn of(step: &'a Step) -> Self {
        Self {
            step_id: &step.id,
            agent_name: &step.agent_name,
            topic_name: &step.topic_name,
            agent_version: &step.agent_version,
            attempt: step.attempt,
            assigned_at: step.assigned_at,
            grounds: step.grounds.as_ref(),
        }
    }
}

/// The assignments that `events` end, where `before` is the workflow that they were decided on.
#[must_use]
pub fn ended(before: &Workflow, events: &[Event]) -> Vec<Ended> {
    let mut found = Vec::new();
    if !events.iter().any(|event| may_end(&event.fact)) {
        return found;
    }
    // Assigned by these events, and not ended by them.
    let mut fresh: Vec<Open<'_>> = Vec::new();
    // Steps whose assignment of before has ended.
    let mut closed: Vec<&str> = Vec::new();
    for event in events {
        let mut end = |one: Open<'_>, how: How, usage: Usage, output_bytes: usize| {
            found.push(Ended {
                step_id: Arc::clone(one.step_id),
                agent_name: Arc::clone(one.agent_name),
                topic_name: Arc::clone(one.topic_name),
                agent_version: Arc::clone(one.agent_version),
                attempt: one.attempt,
                assigned_at: one.assigned_at,
                grounds: one.grounds.cloned(),
                how,
                usage,
                output_bytes,
                at: event.at,
            });
        };
        let (step_id, how, usage, output_bytes): (&str, How, Usage, usize) = match &event.fact {
            Fact::StepAssigned(assigned) => {
                fresh.push(Open {
                    step_id: &assigned.step_id,
                    agent_name: &assigned.chosen.agent_name,
                    topic_name: &assigned.chosen.topic_name,
                    agent_version: &assigned.chosen.version,
                    attempt: assigned.attempt,
                    assigned_at: event.at,
                    grounds: assigned.grounds.as_ref(),
                });
                continue;
            }
            Fact::TaskEnded(task_end) => {
                // A RETRY that came before its task begins it anew within the same decision.
                let all: Vec<Open<'_>> = still_open(before, &closed).chain(fresh.drain(..)).collect();
                for one in all {
                    closed.push(one.step_id);
                    end(one, How::Withdrawn(task_end.reason.clone()), Usage::default(), 0);
                }
                continue;
            }
            Fact::PlanAccepted(acceptance) => {
                let is_gone = |one: &Open<'_>| acceptance.plan.place(one.step_id).is_none();
                let gone: Vec<Open<'_>> = still_open(before, &closed)
                    .filter(is_gone)
                    .chain(fresh.extract_if(.., |one| is_gone(one)))
                    .collect();
                for one in gone {
                    closed.push(one.step_id);
                    end(one, How::Withdrawn("replanned".to_owned()), Usage::default(), 0);
                }
                continue;
            }
            Fact::StepSucceeded { step_id, usage, output } => (step_id, How::Succeeded, *usage, output.text().len()),
            Fact::StepFailed { step_id, usage, class, .. } => (step_id, How::Failed(*class), *usage, 0),
            Fact::StepDeclined { step_id, usage, .. } => (step_id, How::Declined, *usage, 0),
            Fact::StepNeedsInput { step_id, usage, .. } => (step_id, How::NeedsInput, *usage, 0),
            Fact::OutputRejected { step_id, usage, .. } => (step_id, How::OutputRejected, *usage, 0),
            Fact::StepTimedOut { step_id, timer } => (step_id, overdue(timer), Usage::default(), 0),
            Fact::CommandApplied(command) if command.kind == CommandKind::Reassign => {
                let Some(step_id) = command.step_id.as_deref() else { continue };
                (step_id, How::Withdrawn("reassigned".to_owned()), Usage::default(), 0)
            }
            _ => continue,
        };
        if let Some(place) = fresh.iter().position(|one| **one.step_id == *step_id) {
            end(fresh.remove(place), how, usage, output_bytes);
        } else if let Some(step) = before.step(step_id).filter(|step| step.status.is_assigned())
            && !closed.contains(&step_id)
        {
            closed.push(step_id);
            end(Open::of(step), how, usage, output_bytes);
        }
    }
    found
}

/// The assignments of before that no event has ended yet.
fn still_open<'a>(before: &'a Workflow, closed: &[&str]) -> impl Iterator<Item = Open<'a>> {
    let open = before.steps.iter().filter(|step| step.status.is_assigned());
    open.filter(|step| !closed.contains(&&*step.id)).map(Open::of)
}

/// Whether an assignment may end with it. Most facts that are not of this kind are looked at no further.
fn may_end(fact: &Fact) -> bool {
    match fact {
        Fact::StepSucceeded { .. }
        | Fact::StepFailed { .. }
        | Fact::StepDeclined { .. }
        | Fact::StepNeedsInput { .. }
        | Fact::OutputRejected { .. }
        | Fact::StepTimedOut { .. }
        | Fact::PlanAccepted(_)
        | Fact::TaskEnded(_) => true,
        Fact::CommandApplied(command) => command.kind == CommandKind::Reassign,
        Fact::TaskAccepted(_)
        | Fact::TaskBegun
        | Fact::PlanAsked { .. }
        | Fact::PlanRejected(_)
        | Fact::StepReady { .. }
        | Fact::StepSkipped { .. }
        | Fact::ApprovalRequested { .. }
        | Fact::RetryScheduled { .. }
        | Fact::CommandRefused { .. }
        | Fact::CommandHeld { .. }
        | Fact::AgentAsked { .. }
        | Fact::AgentChosen(_)
        | Fact::StepAssigned(_)
        | Fact::StepAccepted { .. }
        | Fact::StepProgressed { .. } => false,
    }
}

fn overdue(timer: &TimerKind) -> How {
    match timer {
        TimerKind::AcceptBy { .. } => How::NotAccepted,
        TimerKind::DoneBy { .. } => How::Overdue("assignment_timeout"),
        TimerKind::QuietBy { .. } => How::Overdue("inactivity_timeout"),
        TimerKind::TaskDeadline | TimerKind::NotBefore | TimerKind::CommandHeld | TimerKind::RetryAt { .. } => {
            How::Withdrawn("deadline".to_owned())
        }
    }
}
