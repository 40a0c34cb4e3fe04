use crate::workflow::{Input, Reason, Timestamp};
use std::sync::Arc;

/// How many input topics there are; an input's number indexes offsets.
pub const INPUTS: usize = 2;

/// One thing that happened to a partition: a record, or what comes back from the runner.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Empty where no id could be read.
    pub task_id: Arc<str>,
    pub what: What,
    /// None of an answer, a timer or an admission: those have no offset.
    pub source: Option<Source>,
    /// The record's own time, else the moment of arrival.
    pub at: Timestamp,
}

/// Where a record was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Number of the input topic, below [`INPUTS`].
    pub input: usize,
    pub offset: i64,
}

#[derive(Clone, Debug)]
pub enum What {
    Input(Input),
    /// Refused on its way in; a task whose id is free also gets a completion REJECTED.
    Refused(Refusal),
    /// Another partition is the task's home: the record goes there, here only the offset moves.
    Forwarded {
        to: i32,
    },
    /// Only the offset moves: what it said is told by another arrival of the batch.
    Skipped,
    /// A finished task's window closed: every part of it is deleted.
    Forget,
}

/// Why a record was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: Reason,
    /// Names field, value and remedy.
    pub detail: String,
    /// Whether it was to be a task, so that whoever submitted it waits for a completion.
    pub is_task: bool,
}
