use crate::workflow::{Input, Position, Reason, Timestamp};
use std::sync::Arc;

/// How many input topics there are; an input's number indexes offsets.
pub const INPUTS: usize = 3;

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
    /// Its home is another partition too, but on the way there it would outgrow its topic: a note goes in its stead.
    Outgrown(Box<Note>),
    /// What a note says at home of a task that is a dead letter where it arrived: whoever waits for it is told.
    RefusedElsewhere {
        refusal: Refusal,
        at: Position,
    },
    /// Only the offset moves: what it said is told by another arrival of the batch.
    Skipped,
    /// A finished task's window closed: every part of it is deleted.
    Forget,
}

/// What goes home in the stead of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub to: i32,
    /// What counts of it, encoded; none where nothing does.
    pub value: Option<Vec<u8>>,
    /// Why something is missing; none if nothing that counts is.
    pub why: Option<(Reason, String)>,
    /// Whether the record itself is a dead letter where it arrived, for that reason.
    pub is_dead: bool,
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
