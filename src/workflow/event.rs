//! Facts, in the past tense: the only thing that changes a workflow, and what `task-events` tells.

use super::{
    Attempt, Chosen, ContentHash, ErrorClass, Outcome, Payload, Position, Settled, Task, TimerKind, Timestamp, Usage,
};
use std::sync::Arc;

/// One fact and when it became one.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub at: Timestamp,
    pub fact: Fact,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    TaskAccepted(Box<Acceptance>),
    AgentAsked {
        question: u32,
        step_id: Arc<str>,
        set: Arc<[String]>,
        offers_done: bool,
        tries: u32,
        deadline: Timestamp,
    },
    /// A question was settled: an agent, NONE or DONE.
    AgentChosen(Arc<Decision>),
    StepAssigned(Box<Assigned>),
    StepAccepted {
        step_id: Arc<str>,
        done_by: Timestamp,
    },
    StepProgressed {
        step_id: Arc<str>,
        /// Whoever says that work goes on is not silent: the time to the next word begins anew.
        done_by: Timestamp,
        progress: Option<f64>,
        message: Option<String>,
    },
    StepSucceeded {
        step_id: Arc<str>,
        output: Payload,
        usage: Usage,
    },
    StepFailed {
        step_id: Arc<str>,
        class: ErrorClass,
        message: String,
        usage: Usage,
    },
    /// The agent gave the step back.
    StepDeclined {
        step_id: Arc<str>,
        message: Option<String>,
        usage: Usage,
    },
    /// A person must answer before the agent can go on.
    StepNeedsInput {
        step_id: Arc<str>,
        message: Option<String>,
        usage: Usage,
    },
    StepTimedOut {
        step_id: Arc<str>,
        timer: TimerKind,
    },
    /// The output was not what the agent declares.
    OutputRejected {
        step_id: Arc<str>,
        reason: String,
        usage: Usage,
    },
    TaskEnded(TaskEnd),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Acceptance {
    pub task: Arc<Task>,
    pub content_hash: ContentHash,
    pub accepted: Position,
    pub submitted_at: Timestamp,
    pub deadline: Timestamp,
    pub traceparent: Option<Arc<str>>,
}

/// A question, settled. Becomes a `RoutingDecision`.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub question: u32,
    pub step_id: Arc<str>,
    pub settled: Settled,
    pub attempts: Vec<Attempt>,
    pub prompt_version: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Assigned {
    pub step_id: Arc<str>,
    pub chosen: Arc<Chosen>,
    pub attempt: u32,
    pub by_contract: bool,
    pub accept_by: Timestamp,
    /// The latest moment at which a report on it counts.
    pub attempt_deadline: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TaskEnd {
    pub outcome: Outcome,
    /// A code, such as `completed`, `no_suitable_agent` or an error class.
    pub reason: String,
    pub message: String,
}
