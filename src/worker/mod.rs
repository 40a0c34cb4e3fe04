//! The loop
mod ports;

pub use ports::{Log, Offsets, Outcome, Outgoing, Owned, Rebalance, Record, Returned, Runner, Stop, TakeOver};
