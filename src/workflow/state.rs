//! What is known of one task. Everything here is in the snapshot; nothing else decides.

use super::{Payload, Task, Timestamp, Usage};
use std::fmt;
use std::sync::Arc;

/// Where in the tasks topic a task was accepted: what tells two uses of one id apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub partition: i32,
    pub offset: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.partition, self.offset)
    }
}

/// Of the decoded fields of a task but `submittedAt`: the same id with another hash is another task.
pub type ContentHash = [u8; 16];

/// One task's workflow: a plan that, for a route, grows by one step per decision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Workflow {
    pub phase: Phase,
    /// None before acceptance, and of a receipt.
    pub task: Option<Arc<Task>>,
    pub accepted: Position,
    pub content_hash: ContentHash,
    pub submitted_at: Timestamp,
    pub deadline: Timestamp,
    /// W3C trace context of the submission, handed on with every record of the task.
    pub traceparent: Option<Arc<str>>,
    /// Number of the latest question; only rises, never reused.
    pub last_question: u32,
    /// Number of the latest fact.
    pub last_fact: u64,
    pub last_at: Timestamp,
    pub used: Used,
    /// Steps whose agent is still to be chosen.
    pub choices: Vec<OpenChoice>,
    pub steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    #[default]
    Absent,
    Live,
    Ended {
        outcome: Outcome,
        at: Timestamp,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    Failed,
    Expired,
}

impl Outcome {
    /// The symbol on the wire.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Expired => "EXPIRED",
        }
    }
}

/// What a task has used of its budgets. Kept in state, so a restart does not reset it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Steps that got an agent; another assignment of the same step is no hop.
    pub hops: u32,
    pub attempts: u32,
    pub usage: Usage,
}

/// A step without an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenChoice {
    pub step_id: Arc<str>,
    pub question: u32,
    pub state: ChoiceState,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ChoiceState {
    /// An answer is owed by the LLM.
    Asked { set: Arc<[String]>, offers_done: bool, tries: u32, deadline: Timestamp },
    /// The answer was NONE. It is asked again once the eligible agents are others than these.
    Refused { eligible: Arc<[String]> },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub id: Arc<str>,
    pub status: StepStatus,
    pub agent_name: Arc<str>,
    pub agent_version: Arc<str>,
    pub attempt: u32,
    /// Picked because its contract fits: by contract an agent is picked at most once per route.
    pub by_contract: bool,
    /// Agents that gave this step back.
    pub declined_by: Vec<String>,
    pub assigned_at: Timestamp,
    pub progress_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub output: Option<Payload>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepStatus {
    /// Given back: another agent is being chosen.
    Choosing,
    /// With the agent's topic; a full queue is no failure of the agent, so this wait is its own.
    Assigned {
        accept_by: Timestamp,
    },
    /// The agent works on it.
    Accepted {
        done_by: Timestamp,
    },
    Succeeded,
    Failed,
}

impl Workflow {
    #[must_use]
    pub fn step(&self, id: &str) -> Option<&Step> {
        self.steps.iter().find(|step| &*step.id == id)
    }

    #[must_use]
    pub fn choice(&self, question: u32) -> Option<&OpenChoice> {
        self.choices.iter().find(|choice| choice.question == question)
    }

    /// The latest result and the agent it came from.
    #[must_use]
    pub fn last_output(&self) -> Option<(&Payload, &Arc<str>)> {
        self.steps.iter().rev().find_map(|step| step.output.as_ref().map(|output| (output, &step.agent_name)))
    }

    /// Bytes of all payloads kept: the task's input and the steps' outputs.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        let input = self.task.as_ref().and_then(|task| task.input.as_ref()).map_or(0, |input| input.text().len());
        let outputs = self.steps.iter().filter_map(|step| step.output.as_ref());
        outputs.fold(input, |sum, output| sum.saturating_add(output.text().len()))
    }

    /// Whether something is known under the task's id.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.phase != Phase::Absent
    }
}
