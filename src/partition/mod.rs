//! The synchronous processor of one partition: it owns the workflows whose home the partition is.
//!
//! ```text
//! batch ─▶ stage(&self) ─▶ Staged ─▶ one transaction ─▶ adopt(&mut self) ─▶ owed work starts
//!                            │ abort: dropped, and the same batch is staged again
//! ```
//!
//! `stage` reads committed state and writes only into what it returns; [`Partition::adopt`] is the
//! only writer and runs only after the commit, so an abort leaves no trace. Pure: no clock, no I/O,
//! no Kafka. It cannot fail; what an input does wrong is in what it returns.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

mod arrival;
mod committed;
mod lesson;
mod output;
mod restore;
mod stage;
mod staged;
#[cfg(test)]
mod tests;
mod view;

pub use arrival::{Arrival, INPUTS, Note, Refusal, Source, What};
pub use committed::{InLine, Kept, Partition, Receipt, Window};
pub use lesson::Lesson;
pub use output::{
    AssignmentOut, CancellationOut, CompletionOut, CompletionStep, Ending, FactsOut, OutcomeOut, Output, TaskRef,
};
pub use restore::{Part, PartKey, RestoreError, Restorer};
pub use staged::{Counts, Dead, Planned, Staged, Tally};
pub use view::View;
