//! Choosing an agent: who is registered, who may take a value, who fits a text best.
//!
//! Everything here is a pure function of its arguments: registry, availability, policy and what is
//! being chosen. The same arguments give the same decision on every worker and after every restart.
//! Nothing here asks an LLM: [`choose`] says whom to let it choose from, [`settle`] judges what it said.
//!
//! Nothing here fails on bad input. A bad definition is a [`Fault`], never eligible and shown; a bad
//! answer degrades to the local selector; no agent at all is a decision too, with its reason.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

mod agent;
mod candidates;
mod choose;
mod contract;
mod definition;
mod eligibility;
mod experiment;
mod explore;
mod figures;
mod find;
mod grounds;
mod json_schema;
mod latency;
mod linear;
mod lint;
mod meaning;
mod memory;
mod names;
mod output;
mod policy;
mod preference;
mod registry;
mod scoring;
mod settle;
mod strategies;
mod succession;
mod text;
mod track;
mod version;
mod words;

pub use agent::Agent;
pub(crate) use agent::is_json;
pub use choose::{choose, prospects};
pub use contract::{CompiledSchema, Contract, Resolved};
pub use definition::{Definition, Example, Terms, bounds};
pub use experiment::{Arm, Better, Difference, Estimate, Guardrail, Replay, Shares, Unusable};
pub use figures::{Figures, Outcome, accuracy_of_surest};
pub use find::Wanted;
pub use json_schema::{sound as sound_schema, unread};
pub use lint::{Finding, Severity, lint};
pub use meaning::Embed;
pub use memory::{Confirmed, Keep, Memory};
pub use names::{MAX_NAME, fold, same_name, topic_name, topic_name_of};
pub use output::{Breach, Schemas, is_verified, output_fault};
pub use policy::{LlmUse, Policy};
pub use registry::{Availability, Broken, Fault, Registry, Room};
pub use settle::settle;
pub use strategies::{DEFAULT_STRATEGY, Experiment, InForce, Stage, Strategies, Variant};
pub use succession::Predecessors;
pub use track::{Belief, Record, Track, Weights};
pub use version::Version;

#[cfg(test)]
mod tests;
