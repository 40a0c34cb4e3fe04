use super::Lesson;
use crate::workflow::{
    Assigned, Decision, Ended, Event, Outcome, Payload, Position, Reason, StepStatus, Timestamp, Usage,
};
use std::sync::Arc;

/// A record for people and agents, in the core's words; `contract` makes bytes of it.
#[derive(Clone, Debug)]
pub enum Output {
    Assignment(Box<AssignmentOut>),
    Decision { task: TaskRef, decision: Arc<Decision>, at: Timestamp },
    Facts(FactsOut),
    Completion(Box<CompletionOut>),
    Cancellation(Box<CancellationOut>),
    Outcome(Box<OutcomeOut>),
}

/// What every record of a task carries.
#[derive(Clone, Debug)]
pub struct TaskRef {
    pub task_id: Arc<str>,
    pub accepted: Position,
    pub traceparent: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
pub struct AssignmentOut {
    pub task: TaskRef,
    pub objective: Arc<str>,
    /// The step's own; none = the agent's.
    pub output_contract: Option<Arc<str>>,
    /// Why the last attempt was not accepted.
    pub feedback: Option<Arc<str>>,
    pub priority: u8,
    pub assigned: Assigned,
    pub input: Option<Payload>,
    /// Step, agent and output.
    pub context: Vec<(Arc<str>, Arc<str>, Payload)>,
    pub task_deadline: Timestamp,
    pub at: Timestamp,
}

/// An assignment that is no longer wanted.
#[derive(Clone, Debug)]
pub struct CancellationOut {
    pub task: TaskRef,
    pub ended: Ended,
}

/// How an assignment ended, for the statistics of its agent.
#[derive(Clone, Debug)]
pub struct OutcomeOut {
    pub task: TaskRef,
    /// What the step asked for.
    pub capability: Option<String>,
    pub task_type: Option<String>,
    pub lesson: Option<Lesson>,
    pub ended: Ended,
}

/// The facts of one task in one transaction.
#[derive(Clone, Debug)]
pub struct FactsOut {
    pub task: TaskRef,
    pub first_sequence: u64,
    /// Whether the task itself has come; if not, `task.accepted` is the place of the first command for it.
    pub is_known: bool,
    pub events: Vec<Event>,
}

#[derive(Clone, Debug)]
pub struct CompletionOut {
    pub task: TaskRef,
    pub ending: Ending,
    pub message: String,
    /// 1; 2 and so on after a RETRY.
    pub run: u32,
    pub result: Option<Payload>,
    pub steps: Vec<CompletionStep>,
    pub hops: u32,
    pub usage: Usage,
    pub correlation_id: Option<String>,
    pub submitted_at: Timestamp,
    pub completed_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    Ended {
        outcome: Outcome,
        reason: String,
    },
    /// Never accepted. The code of why, and the number of the input the dead letter came from.
    Rejected {
        reason: Reason,
        code: Option<&'static str>,
        input: usize,
        partition: i32,
        offset: i64,
    },
}

#[derive(Clone, Debug)]
pub struct CompletionStep {
    pub step_id: Arc<str>,
    pub agent_name: Arc<str>,
    pub status: StepStatus,
    pub attempts: u32,
    pub duration_ms: i64,
}
