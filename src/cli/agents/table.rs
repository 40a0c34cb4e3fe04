//! The table of agents as its topic has it, each definition checked, with the last heartbeats.

use crate::agent::definition::compile;
use crate::cli::context::Context;
use crate::cli::records::{Records, raw};
use crate::contract::{
    AgentDefinition, AgentExamples, AgentHealth, AgentHeartbeat, Codec, ContractNames, Definition, FORCED, Undecided,
    WireRecord,
};
use crate::kafka::KafkaFault;
use crate::kafka::tail::Start;
use crate::selection::{Agent, Fault, Predecessors, Registry, topic_name_of};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is registered under one key.
#[derive(Debug)]
pub(in crate::cli) struct Entry {
    /// The agent's topic name, if the definition is right.
    pub(in crate::cli) key: String,
    pub(in crate::cli) agent_name: Option<String>,
    pub(in crate::cli) definition: Option<Box<AgentDefinition>>,
    /// Each naming field, value and remedy; empty = it may be chosen.
    pub(in crate::cli) faults: Vec<String>,
    pub(in crate::cli) agent: Option<Arc<Agent>>,
    /// The last one of each instance of this version.
    pub(in crate::cli) heartbeats: Vec<AgentHeartbeat>,
    /// None before its first outcome and heartbeat.
    pub(in crate::cli) health: Option<Box<AgentHealth>>,
}

#[derive(Debug, Default)]
pub(in crate::cli) struct Table {
    pub(in crate::cli) entries: Vec<Entry>,
    /// What a further definition may not break.
    pub(in crate::cli) before: Predecessors,
}

impl Table {
    /// The same as workers see it.
    pub(in crate::cli) fn registry(&self) -> Registry {
        let entries = self.entries.iter().map(|entry| {
            let seen = entry.agent.clone().ok_or_else(|| Fault {
                agent_name: entry.agent_name.clone().unwrap_or_else(|| entry.key.clone()),
                version: entry.definition.as_ref().map(|it| it.version.clone()).unwrap_or_default(),
                faults: entry.faults.clone(),
            });
            (entry.key.clone(), seen)
        });
        Registry::new(entries.collect())
    }

    /// Everything registered, by key.
    pub(in crate::cli) async fn read(context: &Context) -> anyhow::Result<Self> {
        let records = Records::new(context)?;
        let registry = context.registry()?;
        let names = ContractNames::new();
        let codec = Codec::new(&context.config.kafka.prefix, [], Arc::clone(records.schemas()));
        let (mut found, mut before) = (BTreeMap::<String, Entry>::new(), Predecessors::default());
        let everything = records.read("agents", Start::Beginning, |_| true).await?;
        // One after the other, as workers read them: each is judged by the one before.
        for shown in &everything {
            // Its schema was learnt when it was shown.
            let Ok(record) = codec.decode_definition(&raw(&shown.record)) else { continue };
            let forced = shown.record.headers.iter().any(|(name, _)| name == FORCED);
            let mut entry = Entry {
                key: record.key,
                agent_name: None,
                definition: None,
                faults: Vec::new(),
                agent: None,
                heartbeats: Vec::new(),
                health: None,
            };
            match record.definition {
                Definition::Unregistered => {
                    before.forget(&entry.key);
                    found.remove(&entry.key);
                    continue;
                }
                Definition::Faulty { agent_name, fault } => {
                    entry.agent_name = agent_name;
                    entry.faults.push(fault.detail);
                }
                Definition::Registered(wire) => {
                    entry.agent_name = Some(wire.agent_name.trim().to_owned());
                    match compile(&entry.key, &wire, &names, &registry).await {
                        Ok(Ok(agent)) => match before.succeed(agent, forced) {
                            Ok(agent) => entry.agent = Some(agent),
                            Err(faults) => entry.faults = faults,
                        },
                        Ok(Err(faults)) => entry.faults = faults,
                        Err(error) => entry.faults.push(format!("its contracts cannot be looked up: {error}")),
                    }
                    entry.definition = Some(wire);
                }
            }
            found.insert(entry.key.clone(), entry);
        }
        for heartbeat in heartbeats(&records, &codec).await? {
            if let Some(entry) = found.get_mut(&of_topic(&heartbeat)) {
                entry.heartbeats.push(heartbeat);
            }
        }
        for (key, health) in last::<AgentHealth>(&records, &codec, "agent-health").await? {
            if let Some(entry) = found.get_mut(&key) {
                entry.health = Some(Box::new(health));
            }
        }
        Ok(Self { entries: found.into_values().collect(), before })
    }
}

/// How many texts of tasks each agent is remembered to have been right for, as it is defined now, by topic name.
pub(super) async fn examples(context: &Context, table: &Table) -> anyhow::Result<BTreeMap<String, usize>> {
    let records = Records::new(context)?;
    let codec = Codec::new(&context.config.kafka.prefix, [], Arc::clone(records.schemas()));
    let mut all = last::<AgentExamples>(&records, &codec, "examples").await?;
    all.retain(|key, record| {
        let agent = table.entries.iter().find(|entry| entry.key == *key).and_then(|entry| entry.agent.as_ref());
        agent.is_some_and(|agent| agent.fingerprint() == record.definition.cast_unsigned())
    });
    Ok(all.into_iter().map(|(key, record)| (key, record.examples.len())).collect())
}

/// The last word on each agent in a table of ours, by topic name. Whoever has not run `baton apply` since there is such a
/// topic has none.
async fn last<T: WireRecord>(records: &Records<'_>, codec: &Codec, topic: &str) -> anyhow::Result<BTreeMap<String, T>> {
    let all = match records.read(topic, Start::Beginning, |_| true).await {
        Ok(all) => all,
        Err(error) if matches!(error.downcast_ref(), Some(KafkaFault::NoTopic(_))) => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut last = BTreeMap::new();
    for shown in all {
        let key = String::from_utf8_lossy(shown.record.key.as_deref().unwrap_or_default()).into_owned();
        match &shown.record.value {
            Some(_) => drop(last.insert(key, records.typed(codec, &shown.record).await?)),
            None => drop(last.remove(&key)),
        }
    }
    Ok(last)
}

/// The topic name of the agent that gave this sign of life.
fn of_topic(heartbeat: &AgentHeartbeat) -> String {
    topic_name_of(&heartbeat.agent_name, &heartbeat.version)
}

/// The last of each agent's instances, by the broker's time.
async fn heartbeats(records: &Records<'_>, codec: &Codec) -> anyhow::Result<Vec<AgentHeartbeat>> {
    let mut last: BTreeMap<(String, String), AgentHeartbeat> = BTreeMap::new();
    for shown in records.read("heartbeats", Start::Beginning, |_| true).await? {
        match codec.decode_heartbeat(&raw(&shown.record)) {
            Ok(mut heartbeat) => {
                heartbeat.time = shown.record.timestamp.unwrap_or(heartbeat.time);
                last.insert((of_topic(&heartbeat), heartbeat.instance.clone()), heartbeat);
            }
            // One that says nothing is skipped, as the workers do.
            Err(Undecided::Refused(_) | Undecided::NeedsSchema(_)) => {}
        }
    }
    Ok(last.into_values().collect())
}
