//! From a definition on the wire to an agent that can be chosen, or all that is wrong with it.

use crate::contract::{AgentDefinition, Contract, ContractNames, NameLookup, Registry, RegistryError, contract_name};
use crate::selection::{Agent, Definition, Example, Resolved, Terms, topic_name_of};
use std::time::Instant;

/// Checks a definition found under `key`. `Err` of the inner result: everything that is wrong with it.
///
/// # Errors
/// The registry cannot be asked what a contract's name stands for.
pub(crate) async fn compile(
    key: &str,
    wire: &AgentDefinition,
    names: &ContractNames,
    registry: &Registry,
) -> Result<Result<Agent, Vec<String>>, RegistryError> {
    let mut faults = Vec::new();
    let input = resolve("input.contract", wire.input.contract(), names, registry, &mut faults).await?;
    let output = resolve("output.contract", wire.output.contract(), names, registry, &mut faults).await?;
    Ok(checked(key, wire, input, output, faults))
}

/// Checks a definition found under `key` without a registry: the names of contracts count as labels.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn compile_alone(key: &str, wire: &AgentDefinition) -> Result<Agent, Vec<String>> {
    let alone = |side: &crate::contract::Format| match side.contract() {
        None => Resolved::Any,
        Some(text) if contract_name(text).is_none() => Resolved::Schema { text: text.to_owned() },
        Some(name) => Resolved::Label(name.to_owned()),
    };
    checked(key, wire, alone(&wire.input), alone(&wire.output), Vec::new())
}

/// The key a definition belongs under, and all that is wrong with it as far as that can be said without a registry.
///
/// # Errors
/// Everything at once.
pub(crate) fn key_of(wire: &AgentDefinition) -> Result<String, Vec<String>> {
    let key = topic_name_of(&wire.agent_name, &wire.version);
    compile_alone(&key, wire).map(|_| key)
}

/// The agent as far as its texts say who it is: one that takes and gives anything, so that no registry is needed.
///
/// # Errors
/// Everything that is wrong with the rest of the definition.
pub(crate) fn by_texts(wire: &AgentDefinition) -> Result<Agent, Vec<String>> {
    let key = topic_name_of(&wire.agent_name, &wire.version);
    checked(&key, wire, Resolved::Any, Resolved::Any, Vec::new())
}

fn checked(
    key: &str,
    wire: &AgentDefinition,
    input: Resolved,
    output: Resolved,
    mut faults: Vec<String>,
) -> Result<Agent, Vec<String>> {
    let performance = &wire.performance;
    let latency = said("performance.averageLatency", &performance.average_latency, millis, "200ms", &mut faults);
    let success = said("performance.successRate", &performance.success_rate, share, "0.98 or 98%", &mut faults);
    let definition = definition(wire, latency, success);
    match Agent::compile(key, definition, input, output) {
        Ok(agent) if faults.is_empty() => Ok(agent),
        Ok(_) => Err(faults),
        Err(more) => {
            faults.extend(more);
            Err(faults)
        }
    }
}

fn definition(wire: &AgentDefinition, latency: Option<i64>, success: Option<f64>) -> Definition {
    let terms = |side: &crate::contract::Format| Terms {
        format: side.format.clone(),
        contract: side.contract().map(str::to_owned),
    };
    let examples =
        wire.examples.iter().map(|it| Example { text: it.text.clone(), capability: it.capability.clone() }).collect();
    Definition {
        agent_name: wire.agent_name.clone(),
        description: wire.description.clone(),
        capabilities: wire.capabilities.clone(),
        input: terms(&wire.input),
        output: terms(&wire.output),
        average_latency_ms: latency,
        success_rate: success,
        specialization: wire.performance.specialization.clone(),
        version: wire.version.clone(),
        examples,
        endpoint: wire.endpoint.clone(),
        max_concurrency: wire.max_concurrency,
        cost_micros_per_task: wire.cost_micros_per_task,
        idempotent: wire.idempotent,
        require_approval: wire.require_approval,
        owner: wire.owner.clone(),
        labels: wire.labels.clone(),
    }
}

async fn resolve(
    field: &str,
    contract: Option<&str>,
    names: &ContractNames,
    registry: &Registry,
    faults: &mut Vec<String>,
) -> Result<Resolved, RegistryError> {
    let Some(text) = contract else { return Ok(Resolved::Any) };
    let Some(name) = contract_name(text) else { return Ok(Resolved::Schema { text: text.to_owned() }) };
    let known = match names.get(name) {
        NameLookup::Known(known) => known,
        NameLookup::Unknown => {
            let answer = registry.contract(name).await?;
            names.put(name, answer.clone(), Instant::now());
            answer
        }
    };
    Ok(match known {
        Contract::Schema(text) => Resolved::Schema { text: text.to_string() },
        Contract::Label => Resolved::Label(name.to_owned()),
        Contract::Unusable(why) => {
            faults.push(format!("{field} {why}: name another, or give the schema itself"));
            Resolved::Any
        }
    })
}

/// What a text says; empty says nothing, and what cannot be read is a fault.
fn said<T>(
    field: &str,
    text: &str,
    read: impl Fn(&str) -> Option<T>,
    example: &str,
    faults: &mut Vec<String>,
) -> Option<T> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let value = read(text);
    if value.is_none() {
        faults.push(format!("{field} `{}` cannot be read: give e.g. {example}, or leave it out", text.escape_debug()));
    }
    value
}

/// `200ms`, `1.5s`, `2 min`; a bare number is milliseconds.
fn millis(text: &str) -> Option<i64> {
    let number = text.trim_end_matches(|letter: char| letter.is_alphabetic()).trim_end();
    let factor = match text[number.len()..].trim() {
        "" | "ms" => 1.0,
        "s" | "sec" => 1_000.0,
        "m" | "min" => 60_000.0,
        "h" => 3_600_000.0,
        _ => return None,
    };
    let millis = number.parse::<f64>().ok().filter(|number| number.is_finite())? * factor;
    Some(millis.round() as i64)
}

/// `0.98`, `98%`.
fn share(text: &str) -> Option<f64> {
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.trim_end().parse::<f64>().ok()? / 100.0,
        None => text.parse().ok()?,
    };
    share.is_finite().then_some(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_and_rates_are_read_as_people_write_them() {
        assert_eq!(
            [millis("200ms"), millis("1.5s"), millis("2 min"), millis("250")],
            [200, 1500, 120_000, 250].map(Some)
        );
        assert_eq!(millis("fast"), None);
        assert_eq!([share("98%"), share("0.98"), share("98 %")], [Some(0.98); 3]);
        assert_eq!(share("good"), None);
    }

    #[tokio::test]
    async fn all_faults_of_a_definition_come_at_once() {
        let registry = Registry::new("http://localhost:1", None).unwrap();
        let mut wire = AgentDefinition::new("Lead Scorer", "scores leads");
        wire.performance.average_latency = "fast".to_owned();
        wire.version = "one".to_owned();
        wire.input.contract = "{\"type\": 7}".to_owned();
        let faults = compile("lead-scorer", &wire, &ContractNames::new(), &registry).await.unwrap().unwrap_err();
        for part in ["averageLatency", "version", "input.contract"] {
            assert!(faults.iter().any(|fault| fault.contains(part)), "{part}: {faults:?}");
        }
    }
}
