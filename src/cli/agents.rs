//! `baton agents list`, `show`, `register`, `unregister`, `lint` and `exec`.

mod exec;
pub(super) mod files;
pub(super) mod lint;
mod register;
mod show;
pub(super) mod table;

use super::Done;
use super::args::{AgentsArgs, AgentsCommand};
use super::context::{Context, WrongUse};
use super::output;
use crate::contract::rfc3339;
use crate::kafka::produce::{Outgoing, PlainProducer};
use crate::selection::{Registry, Wanted, fold};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use table::{Entry, Table};

pub(super) async fn run(context: &Context, args: AgentsArgs) -> anyhow::Result<Done> {
    match args.command {
        AgentsCommand::List(args) => {
            let (table, wanted) = (Table::read(context).await?, args.wanted());
            let registry = table.registry();
            let found: BTreeSet<&str> = registry.find(&wanted).map(|agent| agent.topic_name()).collect();
            // A definition with a fault is no agent that anything could be said of, so it is shown only to who wants all.
            let is_shown = |entry: &&Entry| wanted == Wanted::default() || found.contains(entry.key.as_str());
            let rows: Vec<Value> = table.entries.iter().filter(is_shown).map(|entry| row(entry, &registry)).collect();
            let columns = [
                ("AGENT", "/agentName"),
                ("VERSION", "/version"),
                ("NEW WORK", "/newWork"),
                ("TOPIC", "/topicName"),
                ("CAPABILITIES", "/capabilities"),
                ("TAKES", "/takes"),
                ("GIVES", "/gives"),
                ("STATE", "/state"),
                ("BREAKER", "/breaker"),
                ("SUCCESS", "/successRate"),
                ("P50 MS", "/p50Ms"),
                ("P90 MS", "/p90Ms"),
                ("INSTANCES", "/instances"),
                ("HEARD", "/lastHeartbeat"),
                ("WHY", "/reason"),
                ("FAULT", "/fault"),
            ];
            output::listing(args.format.format, &columns, &rows)?;
            Ok(Done::Well)
        }
        AgentsCommand::Show { name, format } => show::run(context, &name, format.format).await,
        AgentsCommand::Register { files, force } => register::run(context, &files, force).await,
        AgentsCommand::Lint(args) => lint::run(context, args).await,
        AgentsCommand::Unregister { name } => unregister(context, &name).await,
        AgentsCommand::Exec(args) => Box::pin(exec::run(context, args)).await,
    }
}

fn row(entry: &Entry, registry: &Registry) -> Value {
    let definition = entry.definition.as_ref();
    let side = |format: &str, contract: Option<&str>| match contract {
        // A schema inline is for machines; people want to know that there is one.
        Some(contract) if contract.starts_with('{') => format!("{format} (schema)"),
        Some(contract) => format!("{format} ({contract})"),
        None => format.to_owned(),
    };
    let health = entry.health.as_deref();
    let last = entry.heartbeats.iter().map(|heartbeat| heartbeat.time).max();
    let newest = entry.agent.as_ref().and_then(|agent| registry.agent(agent.name()));
    let new_work = match (&entry.agent, newest) {
        (Some(agent), Some(newest)) if agent.version() < newest.version() => {
            format!("what {} does not take", newest.version())
        }
        (Some(_), _) => "yes".to_owned(),
        (None, _) => "no".to_owned(),
    };
    json!({
        "agentName": entry.agent_name,
        "topicName": entry.key,
        "newWork": new_work,
        "labels": definition.map(|it| &it.labels),
        "version": definition.map(|it| &it.version),
        "description": definition.map(|it| &it.description),
        "capabilities": definition.map(|it| &it.capabilities),
        "takes": definition.map(|it| side(&it.input.format, it.input.contract())),
        "gives": definition.map(|it| side(&it.output.format, it.output.contract())),
        "fault": (!entry.faults.is_empty()).then(|| entry.faults.join("; ")),
        "faults": entry.faults,
        "instances": entry.heartbeats.len(),
        "inFlight": entry.heartbeats.iter().map(|it| i64::from(it.in_flight)).sum::<i64>(),
        "capacity": entry.heartbeats.iter().map(|it| i64::from(it.capacity)).sum::<i64>(),
        "lastHeartbeat": last.map(rfc3339),
        "state": health.map(|it| it.state.symbol()),
        "reason": health.map(|it| &it.reason),
        "breaker": health.map(|it| it.breaker.symbol()),
        "score": health.map(|it| rounded(it.score, 3)),
        "successRate": health.filter(|it| it.overall.at > 0).map(|it| rounded(it.overall.success_rate, 3)),
        "p50Ms": health.and_then(|it| it.overall.p50_ms).map(|it| rounded(it, 0)),
        "p90Ms": health.and_then(|it| it.overall.p90_ms).map(|it| rounded(it, 0)),
    })
}

/// Those registered under this topic name, else under this name in whatever version; at least one.
fn named<'t>(table: &'t Table, name: &str) -> anyhow::Result<Vec<&'t Entry>> {
    let by_key: Vec<&Entry> = table.entries.iter().filter(|entry| entry.key == name).collect();
    let named = |entry: &&Entry| entry.agent_name.as_deref().is_some_and(|other| fold(other) == fold(name));
    let found = if by_key.is_empty() { table.entries.iter().filter(named).collect() } else { by_key };
    if found.is_empty() {
        let all: Vec<&str> = table.entries.iter().filter_map(|entry| entry.agent_name.as_deref()).collect();
        let known =
            if all.is_empty() { "nobody is registered".to_owned() } else { format!("known are: {}", all.join(", ")) };
        return Err(WrongUse(format!("no agent is called {name:?}; {known}")).into());
    }
    Ok(found)
}

/// As many digits as a person reads.
fn rounded(number: f64, digits: i32) -> Value {
    let scale = 10_f64.powi(digits);
    let number = (number * scale).round() / scale;
    #[allow(clippy::cast_possible_truncation, reason = "it is rounded")]
    if digits == 0 { json!(number as i64) } else { json!(number) }
}

async fn unregister(context: &Context, name: &str) -> anyhow::Result<Done> {
    let table = Table::read(context).await?;
    let found = named(&table, name)?;
    if found.len() > 1 {
        let keys: Vec<&str> = found.iter().map(|entry| entry.key.as_str()).collect();
        return Err(
            WrongUse(format!("{name:?} is registered in several versions; name one: {}", keys.join(", "))).into()
        );
    }
    let producer = PlainProducer::new(&context.config.kafka, "agents")?;
    for entry in found {
        let key = Some(entry.key.clone().into_bytes());
        producer.send(&Outgoing { topic: context.topic("agents"), key, ..Outgoing::default() }).await?;
        output::line(format!("unregistered {} ({})", output::safe(name), output::safe(&entry.key)))?;
    }
    Ok(Done::Well)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::AgentDefinition;

    #[test]
    fn a_faulty_definition_is_listed_with_its_fault() {
        let entry = Entry {
            key: "a".to_owned(),
            agent_name: Some("A".to_owned()),
            definition: Some(Box::new(AgentDefinition::new("A", "does a"))),
            faults: vec!["version `one` is not a version".to_owned()],
            agent: None,
            heartbeats: Vec::new(),
            health: None,
        };
        let row = row(&entry, &Registry::default());
        assert_eq!(row["fault"], "version `one` is not a version");
        assert_eq!((&row["instances"], &row["newWork"]), (&json!(0), &json!("no")));
    }
}
