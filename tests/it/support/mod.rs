//! What every integration test stands on: a real broker and registry, the `baton` binary as processes, agents, an LLM
//! and stock clients, none of them Baton's own code.

pub(crate) mod agents;
mod containers;
mod gate;
pub(crate) mod llm;
pub(crate) mod maven;
mod produce;
pub(crate) mod reaper;
mod records;
mod scratch;
mod stack;
mod wait;

pub(crate) use gate::Gate;
pub(crate) use produce::{Partitioner, Send, Sender};
pub(crate) use records::{Record, Topic, encode, group_members, read_all, register_schema};
pub(crate) use scratch::{Ran, Scratch, Worker};
pub(crate) use stack::{Secure, Stack, stack};
pub(crate) use wait::{Answer, free_port, get, heavy, post, runtime, until};
