use super::{INPUTS, Kept, Output, Part, PartKey};
use crate::workflow::{Effect, Reason};
use std::sync::Arc;

/// What one transaction will hold of one partition, and what to do once it is durable.
#[derive(Debug, Default)]
pub struct Staged {
    /// Next offset of each input; sent with every transaction, also when nothing was read: it is what fences a
    /// worker that lost the partition.
    pub next: [Option<i64>; INPUTS],
    pub outputs: Vec<Planned<Output>>,
    /// Snapshot parts; none deletes.
    pub parts: Vec<Planned<(PartKey, Option<Part>)>>,
    pub dead: Vec<Dead>,
    /// The new state of each task touched, once each; none = forgotten.
    pub changed: Vec<(Arc<str>, Option<Kept>)>,
    /// All that each touched task is owed now. Read off the final states, so work superseded within
    /// the batch never starts; the runner applies the difference to what runs already.
    pub owed: Vec<(Arc<str>, Vec<Effect>)>,
    pub counts: Counts,
}

/// Something to be written, and the arrival that caused it: the culprit, should Kafka not take it.
#[derive(Clone, Debug)]
pub struct Planned<T> {
    /// Index into the batch.
    pub origin: usize,
    pub item: T,
}

/// A record that goes to the dead letters, as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dead {
    /// Index into the batch.
    pub origin: usize,
    pub reason: Reason,
    pub detail: String,
}

/// What became of the records of one input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub accepted: u64,
    pub stale: u64,
    pub duplicate: u64,
    pub forwarded: u64,
    pub dead: u64,
}

/// What became of the arrivals of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By the input's number; last, what came without a record.
    pub inputs: [Tally; INPUTS + 1],
    pub decisions: u64,
    /// Answers and timers that cannot follow from anything done: a fault of our own.
    pub faults: Vec<String>,
}
