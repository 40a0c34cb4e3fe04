//! Whether what an agent gave is what it declares, and what the step asks for.

use super::contract::{CompiledSchema, Contract};
use super::names::{same_name, shown};
use super::registry::Registry;
use crate::workflow::{Payload, contract_name};
use rustc_hash::FxHashMap;
use serde_json::{Value, json};
use std::sync::{Mutex, PoisonError};

/// Schemas that tasks brought, compiled once for all tasks that bring the same.
#[derive(Debug, Default)]
pub struct Schemas(Mutex<FxHashMap<String, Result<CompiledSchema, String>>>);

/// Schemas come with tasks, so anyone can make up any number of them: at this many all are forgotten.
const MAX_COMPILED: usize = 1_000;

/// Why a value was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breach {
    /// The schema itself is none.
    Schema(String),
    /// The first violation, short, without the value.
    Value(String),
}

impl Schemas {
    /// Checks a value.
    ///
    /// # Errors
    /// A [`Breach`].
    pub fn check(&self, schema: &str, value: &Value) -> Result<(), Breach> {
        let mut compiled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !compiled.contains_key(schema) {
            if compiled.len() >= MAX_COMPILED {
                compiled.clear();
            }
            compiled.insert(schema.to_owned(), CompiledSchema::compile(schema));
        }
        match compiled.get(schema) {
            Some(Ok(schema)) => schema.accepts(value).map_err(Breach::Value),
            Some(Err(fault)) => Err(Breach::Schema(fault.clone())),
            None => Ok(()),
        }
    }
}

/// Whether the output of the agent of this topic is held against a schema that says something: its own, or the step's.
#[must_use]
pub fn is_verified(registry: &Registry, schemas: &Schemas, topic_name: &str, contract: Option<&str>) -> bool {
    let own = registry.by_topic(topic_name).map(|agent| agent.output());
    let by_agent = matches!(own, Some(Contract::Schema(schema)) if schema.refuses_empty());
    let of_step = contract.map(str::trim).filter(|contract| contract.starts_with('{'));
    by_agent || of_step.is_some_and(|schema| matches!(schemas.check(schema, &json!({})), Err(Breach::Value(_))))
}

/// Why the output of the agent of this topic cannot be handed on, for whoever is to mend it; `contract` is the step's own, its names looked up.
#[must_use]
pub fn output_fault(
    registry: &Registry,
    schemas: &Schemas,
    topic_name: &str,
    contract: Option<&str>,
    output: &Payload,
) -> Option<String> {
    let agent = registry.by_topic(topic_name);
    if let Some(agent) = agent.filter(|agent| agent.output_is_json() && !output.is_json()) {
        return Some(format!("{} declares application/json, and its output is not JSON", agent.name()));
    }
    if let Some(Contract::Schema(schema)) = agent.map(|agent| agent.output())
        && let Err(violation) = schema.accepts(&output.value())
    {
        return Some(format!("the output breaks the agent's output contract: {violation}"));
    }
    let contract = contract.map(str::trim)?;
    if contract.starts_with('{') {
        return match schemas.check(contract, &output.value()) {
            Ok(()) => None,
            Err(Breach::Value(violation)) => Some(format!("the output breaks the step's output contract: {violation}")),
            Err(Breach::Schema(fault)) => Some(format!("the step's output contract {fault}")),
        };
    }
    match (contract_name(contract), agent.map(|agent| agent.output())) {
        (Some(wanted), Some(Contract::Label(given))) if !same_name(wanted, given) => {
            Some(format!("the step asks for `{}`, and the agent gives `{}`", shown(wanted), shown(given)))
        }
        _ => None,
    }
}
