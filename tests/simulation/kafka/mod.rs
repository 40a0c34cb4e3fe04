//! Kafka, as far as the engine's guarantees rest on it: transactions that hold readers back until they are decided,
//! fencing by epoch, a group whose stale members' offsets are refused, and what a client makes of all that. One thread,
//! no time of its own; `tests/it` plays one script on this and on the real one.

mod broker;
mod group;
mod log;
mod seat;
mod topics;
mod transaction;

pub(crate) use broker::{Broker, Written};
pub(crate) use log::FakeLog;
pub(crate) use seat::Seat;
pub(crate) use topics::Topic;

use baton::worker::Offsets;

/// Whoever runs the clients: time, chance, and the end of any of them are his.
pub(crate) trait Host {
    /// Milliseconds.
    fn now(&self) -> i64;

    /// A process goes on here, unless it is frozen for a while or dies; then this returns late or never.
    fn reached(&self, process: usize, place: &'static str);

    /// The process waits for so long; others go on.
    fn pass(&self, process: usize, millis: i64);

    /// Whether this fault happens now.
    fn happens(&self, fault: &'static str) -> bool;

    /// Says that something worth counting happened.
    fn occurred(&self, what: &'static str);

    /// A number below `below`, which is not 0.
    fn pick(&self, below: usize) -> usize;

    /// A transaction was begun and is known by this number.
    fn began(&self, process: usize, transaction: u64, offsets: &[Offsets]);

    /// Transactions were committed or aborted, by whomever.
    fn decided(&self);
}
