//! Contracts that nobody meets, and schemas that say too little to choose by.

use super::{Findings, is_called};
use crate::selection::contract::Contract;
use crate::selection::definition::Terms;
use crate::selection::names::shown;
use crate::selection::registry::Registry;
use crate::workflow::contract_name;
use serde_json::Value;

/// Properties told of one contract.
const MOST: usize = 20;

pub(super) fn look(found: &mut Findings<'_>, registry: &Registry) {
    let agent = found.agent;
    let (input, output) = (&agent.definition().input, &agent.definition().output);
    if let Some(name) = named(input) {
        let given = registry.newest().any(|other| is_called(other.definition().output.contract.as_deref(), name));
        if !given {
            let message = format!(
                "no agent gives `{}`: only a task that says it brings one reaches this agent by contract",
                shown(name)
            );
            found.warn("producer", "input.contract", message);
        }
    }
    if let Some(name) = named(output) {
        let taken = registry.newest().any(|other| is_called(other.definition().input.contract.as_deref(), name));
        if !taken {
            let message = format!("no agent takes `{}`: a route ends with it; is another name meant?", shown(name));
            found.warn("consumer", "output.contract", message);
        }
    }
    for (field, contract) in [("input.contract", agent.input()), ("output.contract", agent.output())] {
        let Contract::Schema(schema) = contract else { continue };
        if !schema.refuses_empty() {
            let message = "accepts `{}`: it says too little to choose by; name what must be there under `required`";
            found.warn("empty", field, message);
        }
        let mut loose = Vec::new();
        loosely(&serde_json::from_str(schema.text()).unwrap_or_default(), "", &mut loose);
        for property in loose {
            let message = format!(
                "`{}` has a fixed value but is not `required`: a value without it is taken as well; require it",
                shown(&property)
            );
            found.warn("required", field, message);
        }
    }
}

/// The name a contract is given by, be it a label or a schema's.
fn named(terms: &Terms) -> Option<&str> {
    terms.contract.as_deref().and_then(contract_name)
}

/// Properties with `const` or `enum` that need not be there, anywhere in a schema.
fn loosely(schema: &Value, place: &str, loose: &mut Vec<String>) {
    let Value::Object(keywords) = schema else { return };
    let required = keywords.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|one| one == name));
    for (keyword, value) in keywords {
        match (keyword.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                for (name, property) in properties {
                    let below = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
                    let fixed = property.get("const").is_some() || property.get("enum").is_some();
                    if fixed && !is_required(name) && loose.len() < MOST {
                        loose.push(below.clone());
                    }
                    loosely(property, &below, loose);
                }
            }
            ("items" | "additionalProperties" | "not" | "if" | "then" | "else", below) => {
                loosely(below, place, loose);
            }
            ("allOf" | "anyOf" | "oneOf" | "prefixItems", Value::Array(several)) => {
                several.iter().for_each(|below| loosely(below, place, loose));
            }
            ("$defs" | "definitions", Value::Object(several)) => {
                several.iter().for_each(|(name, below)| loosely(below, name, loose));
            }
            _ => {}
        }
    }
}
