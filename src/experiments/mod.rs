//! Experiments: strategies of choosing compared on the tasks that come.
//!
//! ```text
//! command ─▶ change ─▶ ledger ─▶ topic experiments ─▶ in_force ─▶ workers
//!               ▲                                                    │ routing-decisions, completions
//!            guard ◀───── report ◀───── tally ◀───── reading ◀───────┘
//! ```
//!
//! What an experiment is and what became of it is one record, the last under its name; what it has shown is counted from
//! the topics whenever somebody wants to know. Nothing else is kept. Changes rest on what the topic holds at its true
//! end, and of those who make one at a time only one can write.

mod change;
mod guard;
mod in_force;
mod ledger;
mod reading;
mod report;
mod tally;

pub use change::{Refused, promote, start, stop, stop_variant};
pub use guard::{Guard, KnownNow};
pub use in_force::in_force;
pub use ledger::{Ledger, LedgerFault};
pub use reading::{Reading, ReadingFault};
pub use report::{Comparison, Report, SampleRatio, VariantReport, Verdict};
pub use tally::Tally;

use crate::contract::ExperimentVariant;

/// A variant as decisions name it.
#[must_use]
pub fn label(experiment: &str, variant: &ExperimentVariant) -> String {
    format!("{experiment}/{}", variant.name)
}
