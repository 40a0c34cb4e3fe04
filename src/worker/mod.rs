//! The loop
mod ports;

pub use ports::{Log, Offsets, Outcome, Outgoing, Owned, Rebalance, ReadPart, Record, Runner, Stop, TakeOver};
