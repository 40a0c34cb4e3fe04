use super::{Answer, Command, ContentHash, PlanAnswer, Position, Report, Task, Timer, Timestamp};
use std::sync::Arc;

/// Everything that can happen to a workflow, from every source.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    Submitted(Submission),
    Reported {
        report: Arc<Report>,
        /// Set if the output was over the limit and is therefore not here: how large it was, in words.
        too_large: Option<String>,
    },
    /// The LLM's last word on a question.
    Answered {
        question: u32,
        answer: Arc<Answer>,
    },
    /// The LLM's last word on a plan.
    Planned {
        question: u32,
        answer: Arc<PlanAnswer>,
    },
    /// A person's word.
    Commanded {
        command: Arc<Command>,
        /// Where its record lies.
        place: Position,
        /// Set if the command is only to be refused, since what its task would have written beside it does not fit its
        /// topic: which record, in words.
        too_large: Option<String>,
    },
    TimerFired(Timer),
    /// A step that waits may be asked about again.
    Admitted {
        question: u32,
        /// The topic name of the agent that has room for it, as the next of its line; none: the eligible agents changed.
        topic_name: Option<Arc<str>>,
    },
    /// What the task would have written does not fit its topic. Ends it.
    TooLarge {
        detail: String,
    },
    /// What the task would have written aborted every transaction. Ends it.
    Internal {
        detail: String,
    },
}

/// A task as it was taken off its topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    pub task: Arc<Task>,
    pub content_hash: ContentHash,
    pub accepted: Position,
    /// The task's own `submittedAt`, else the record's time.
    pub submitted_at: Timestamp,
    pub traceparent: Option<Arc<str>>,
}
