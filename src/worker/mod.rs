//! The loop
mod ports;

pub use ports::{Log, Offsets, Outcome, Outgoing, Owned, ReadPart, Rebalance, Record, Runner, Stop, TakeOver};
