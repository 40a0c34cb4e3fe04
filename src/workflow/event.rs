//! Facts, in the past tense: the only thing that changes a workflow, and what `task-events` tells.

use super::{
    Attempt, Chosen, Command, ContentHash, ErrorClass, Grounds, NextAgent, Outcome, Payload, Plan, Position, Settled,
    Task, TimerKind, Timestamp, Usage,
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
    /// The wait for `notBefore` is over.
    TaskBegun,
    /// The LLM is asked for a plan.
    PlanAsked {
        question: u32,
        tries: u32,
        faults: Arc<[String]>,
        deadline: Timestamp,
    },
    PlanAccepted(Box<PlanAcceptance>),
    PlanRejected(Box<PlanRejection>),
    /// What the step depends on is there.
    StepReady {
        step_id: Arc<str>,
    },
    /// What the step depends on is not to be had.
    StepSkipped {
        step_id: Arc<str>,
        /// The step that failed.
        because: Arc<str>,
    },
    /// A person must approve before the step goes on.
    ApprovalRequested {
        step_id: Arc<str>,
        agent_name: Option<Arc<str>>,
        reason: ApprovalReason,
    },
    /// The step is tried again.
    RetryScheduled {
        step_id: Arc<str>,
        attempt: u32,
        until: Timestamp,
        next: Option<NextAgent>,
        feedback: Option<Arc<str>>,
        class: ErrorClass,
    },
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
        quiet_by: Timestamp,
    },
    StepProgressed {
        step_id: Arc<str>,
        /// Whoever says that work goes on is not silent: the time to the next word begins anew.
        quiet_by: Timestamp,
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
    CommandApplied(Arc<Command>),
    CommandRefused {
        command: Arc<Command>,
        /// What stands in its way, in words.
        reason: String,
    },
    /// It came before its task, and waits for it.
    CommandHeld {
        command: Arc<Command>,
        until: Timestamp,
        /// Where its record lies.
        place: Position,
    },
    TaskEnded(TaskEnd),
}

/// Why a person is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApprovalReason {
    /// The plan asks for it.
    Step,
    /// The agent's definition asks for it.
    Agent,
    /// The agent is not idempotent, and nobody knows what its last attempt did.
    Retry,
}

impl ApprovalReason {
    /// The code on the wire.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Agent => "agent",
            Self::Retry => "retry_not_idempotent",
        }
    }
}

/// The plan that is followed from now on. Steps that succeeded before keep their outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanAcceptance {
    /// None = given in the task.
    pub question: Option<u32>,
    pub plan: Plan,
    pub attempts: Vec<Attempt>,
    /// Of the words it was asked for in; none of one that was given.
    pub prompt_version: Option<String>,
    /// Whether the LLM wrote it.
    pub written: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PlanRejection {
    pub question: u32,
    /// All that is wrong with it, or why there is none.
    pub faults: Arc<[String]>,
    pub attempts: Vec<Attempt>,
    pub prompt_version: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Acceptance {
    pub task: Arc<Task>,
    pub content_hash: ContentHash,
    pub accepted: Position,
    pub submitted_at: Timestamp,
    pub deadline: Timestamp,
    pub begins_at: Option<Timestamp>,
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
    pub grounds: Option<Arc<Grounds>>,
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
