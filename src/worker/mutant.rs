//! Twelve faults in the engine's own path, each one line where it would be made. They test the simulation: one that does
//! not find them all is blind. A build without debug assertions has none of them.

use std::cell::Cell;

/// A fault the engine can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A transaction leaves the offset of the reports it is made of where it was.
    OffsetLeftOut,
    /// What was staged counts although its transaction was aborted.
    AdoptedBeforeCommit,
    /// An aborted batch is forgotten.
    AbortedBatchDropped,
    /// After an unknown outcome the batch is done again from memory, with a new producer, as if nothing were committed.
    RedoneAfterUnknown,
    /// A record that arrived elsewhere is counted as sent home, and is not.
    NotSentHome,
    /// What was read before a rebalance goes into the next batch.
    BacklogKept,
    /// A parked partition is taken back as it was, whatever others wrote meanwhile.
    ParkedTakenAsItWas,
    /// A new owner does not start what its partitions owe.
    OwedNotStarted,
    /// A timer that should be armed is not, if another of its task is.
    TimerDropped,
    /// A restored workflow begins to number its questions anew.
    QuestionNumberReused,
    /// The line for an agent is forgotten: whoever stands there stays until other agents come.
    LineForgotten,
    /// Whoever has waited least is let in first.
    LineTurned,
}

impl Mutant {
    pub const ALL: [Self; 12] = [
        Self::OffsetLeftOut,
        Self::AdoptedBeforeCommit,
        Self::AbortedBatchDropped,
        Self::RedoneAfterUnknown,
        Self::NotSentHome,
        Self::BacklogKept,
        Self::ParkedTakenAsItWas,
        Self::OwedNotStarted,
        Self::TimerDropped,
        Self::QuestionNumberReused,
        Self::LineForgotten,
        Self::LineTurned,
    ];
}

thread_local! {
    static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) };
}

/// Gives the workers of this thread a fault, or takes it away again.
pub fn set(mutant: Option<Mutant>) {
    ACTIVE.set(mutant);
}

/// Whether the workers of this thread have that fault.
pub(crate) fn is(mutant: Mutant) -> bool {
    cfg!(debug_assertions) && ACTIVE.get() == Some(mutant)
}
