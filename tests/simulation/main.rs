//! The engine in a world of its own: many workers, agents, an LLM and a fake Kafka on one thread, and everything that
//! goes wrong between any two of their steps, from one seed.
//!
//! `BATON_SIM_SEEDS=n` runs so many seeds, `BATON_SIM_SEED=n` replays one and tells its story. What must be true of
//! every transaction is in `model`, of every batch in `witness`; that it finds faults at all is tested by giving the
//! engine some, in `mutants`.
#![allow(clippy::print_stderr, reason = "a failing seed tells how to replay it")]

mod agents;
mod breakers;
mod client;
mod coverage;
mod dice;
mod facts;
mod host;
mod kafka;
mod lines;
mod llm;
mod model;
#[cfg(debug_assertions)]
mod mutants;
mod people;
mod plans;
mod processes;
mod seeds;
mod split;
mod witness;
mod world;

/// What unwinds a run in which something was found that must not be.
pub(crate) struct Violation(String);

/// Ends the run.
pub(crate) fn violated(what: String) -> ! {
    std::panic::resume_unwind(Box::new(Violation(what)));
}
