//! Orders to the shell, derived from state: whoever restores a workflow starts exactly these.

use super::{ChoiceState, Phase, StepStatus, Timestamp, Workflow};
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// One call to the LLM, all retries included; known by its question.
    Ask {
        question: u32,
        set: Arc<[String]>,
        offers_done: bool,
        deadline: Timestamp,
    },
    Timer(Timer),
}

/// Known by all its fields: a timer that was overtaken is not the one that is owed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timer {
    pub due: Timestamp,
    pub kind: TimerKind,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerKind {
    TaskDeadline,
    /// Until ACCEPTED.
    AcceptBy {
        step_id: Arc<str>,
        attempt: u32,
    },
    /// From ACCEPTED.
    DoneBy {
        step_id: Arc<str>,
        attempt: u32,
    },
}

/// The work owed to a workflow.
#[must_use]
pub fn outstanding(workflow: &Workflow) -> Vec<Effect> {
    if workflow.phase != Phase::Live {
        return Vec::new();
    }
    let mut owed = Vec::with_capacity(1 + workflow.choices.len() + 1);
    owed.push(Effect::Timer(Timer { due: workflow.deadline, kind: TimerKind::TaskDeadline }));
    for choice in &workflow.choices {
        if let ChoiceState::Asked { set, offers_done, deadline, .. } = &choice.state {
            let (set, offers_done) = (Arc::clone(set), *offers_done);
            owed.push(Effect::Ask { question: choice.question, set, offers_done, deadline: *deadline });
        }
    }
    for step in &workflow.steps {
        let (step_id, attempt) = (&step.id, step.attempt);
        let (due, kind) = match step.status {
            StepStatus::Assigned { accept_by } => {
                (accept_by, TimerKind::AcceptBy { step_id: Arc::clone(step_id), attempt })
            }
            StepStatus::Accepted { done_by } => (done_by, TimerKind::DoneBy { step_id: Arc::clone(step_id), attempt }),
            StepStatus::Choosing | StepStatus::Succeeded | StepStatus::Failed => continue,
        };
        owed.push(Effect::Timer(Timer { due, kind }));
    }
    owed
}
