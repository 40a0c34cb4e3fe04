//! What a feed needs to know of what is made from its records.

use crate::contract::{Refusal, Undecided};
use crate::kafka::KafkaFault;
use crate::kafka::relay::Outgoing;
use crate::kafka::tail::Tailed;
use tokio::runtime::Handle;

/// What became of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    Task,
    Report,
    Prediction,
    /// It says that something is gone, which is nothing to do.
    Skipped,
    Refused(Refusal),
}

/// Why a batch cannot be judged now.
#[derive(Debug, thiserror::Error)]
pub enum Unready {
    /// It waits, and is judged then.
    #[error("{0}")]
    Registry(String),
    /// A transaction of another process is not decided yet; it is judged then.
    #[error("waiting for the end of another process's transaction")]
    Behind,
    /// It is read again.
    #[error(transparent)]
    Kafka(#[from] KafkaFault),
}

/// Makes records of records. What it makes follows from the record and from what is committed, so that a batch can be
/// judged any number of times.
pub trait Work {
    /// Brings what judging rests on up to date, before each batch.
    ///
    /// # Errors
    /// [`Unready`]
    fn prepare(&mut self, batch: &[Tailed], runtime: &Handle) -> Result<(), Unready>;

    /// A batch is judged from its first record on; what was judged before and not committed has not been.
    fn begin(&mut self);

    /// One record, whose `origin` all that is made of it bears.
    ///
    /// # Errors
    /// A schema must be known first.
    fn judge(&mut self, record: &Tailed, origin: usize, made: &mut Vec<Outgoing>) -> Result<Made, u32>;
}

/// What reading came to, as a judgement.
pub(super) fn refused(undecided: Undecided) -> Result<Made, u32> {
    match undecided {
        Undecided::Refused(refusal) => Ok(Made::Refused(refusal)),
        Undecided::NeedsSchema(id) => Err(id),
    }
}
