//! Orders to the shell, derived from state: whoever restores a workflow starts exactly these.

use super::{ChoiceState, Phase, Planning, StepStatus, Timestamp, Workflow};
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
    /// One call to the LLM for a plan, known by its question.
    Plan {
        question: u32,
        /// What was wrong with the plan before.
        faults: Arc<[String]>,
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
    /// From ACCEPTED to the end of the attempt.
    DoneBy {
        step_id: Arc<str>,
        attempt: u32,
    },
    /// From the agent's last word to its next.
    QuietBy {
        step_id: Arc<str>,
        attempt: u32,
    },
    /// Until the next attempt, which is the one after `attempt`.
    RetryAt {
        step_id: Arc<str>,
        attempt: u32,
    },
    /// Until the task may begin.
    NotBefore,
    /// Until a command whose task has not come is refused.
    CommandHeld,
}

impl TimerKind {
    /// What the agent that has the step failed to do in time, in words; none of a wait that is no agent's.
    pub(super) fn overdue(&self, agent_name: &str) -> Option<String> {
        let (step_id, what) = match self {
            Self::AcceptBy { step_id, .. } => (step_id, "was not accepted in time"),
            Self::DoneBy { step_id, .. } => (step_id, "was not done in time"),
            Self::QuietBy { step_id, .. } => (step_id, "was not heard of for too long"),
            Self::TaskDeadline | Self::RetryAt { .. } | Self::NotBefore | Self::CommandHeld => return None,
        };
        Some(format!("step {step_id} {what} by {agent_name}"))
    }
}

/// The work owed to a workflow.
#[must_use]
pub fn outstanding(workflow: &Workflow) -> Vec<Effect> {
    let timer = |due, kind| Effect::Timer(Timer { due, kind });
    if workflow.phase == Phase::Absent {
        let first = workflow.held.iter().map(|held| held.until).min();
        return first.map(|until| timer(until, TimerKind::CommandHeld)).into_iter().collect();
    }
    if workflow.phase != Phase::Live {
        return Vec::new();
    }
    let mut owed = Vec::with_capacity(2 + workflow.choices.len());
    owed.push(timer(workflow.deadline, TimerKind::TaskDeadline));
    if let Some(due) = workflow.begins_at {
        owed.push(timer(due, TimerKind::NotBefore));
    }
    if let Some(Planning { question, faults, deadline, .. }) = &workflow.planning {
        owed.push(Effect::Plan { question: *question, faults: Arc::clone(faults), deadline: *deadline });
    }
    for choice in &workflow.choices {
        if let ChoiceState::Asked { set, offers_done, deadline, .. } = &choice.state {
            let (set, offers_done) = (Arc::clone(set), *offers_done);
            owed.push(Effect::Ask { question: choice.question, set, offers_done, deadline: *deadline });
        }
    }
    for step in workflow.steps.iter() {
        let known = || (Arc::clone(&step.id), step.attempt);
        match step.status {
            StepStatus::Assigned { accept_by } => {
                let (step_id, attempt) = known();
                owed.push(timer(accept_by, TimerKind::AcceptBy { step_id, attempt }));
            }
            // The earlier of the two is enough: each word of the agent's makes this anew.
            StepStatus::Accepted { done_by, quiet_by } if done_by <= quiet_by => {
                let (step_id, attempt) = known();
                owed.push(timer(done_by, TimerKind::DoneBy { step_id, attempt }));
            }
            StepStatus::Accepted { quiet_by, .. } => {
                let (step_id, attempt) = known();
                owed.push(timer(quiet_by, TimerKind::QuietBy { step_id, attempt }));
            }
            // A task that is held back goes on when it is let go.
            StepStatus::Delayed { until } if !workflow.is_held_back() => {
                let (step_id, attempt) = known();
                owed.push(timer(until, TimerKind::RetryAt { step_id, attempt }));
            }
            StepStatus::Delayed { .. }
            | StepStatus::Waiting
            | StepStatus::Choosing
            | StepStatus::NeedsApproval
            | StepStatus::NeedsInput
            | StepStatus::Succeeded
            | StepStatus::Failed
            | StepStatus::Skipped => {}
        }
    }
    owed
}
