//! Follows the table of agents: definitions in, a registry for the workers out, with what is remembered of the agents, and
//! an assignment topic for each.
//!
//! A bad definition stays in the registry with its fault. One whose contract's name cannot be looked up now is not
//! eligible until it can. Topics are created here, outside any transaction, and never deleted.

use super::examples::SharedMemory;
use crate::agent::definition;
use crate::config::Config;
use crate::contract::{
    AgentDefinition, Codec, ContractNames, Definition, DefinitionRecord, FORCED, RawRecord, RecordKind, Registry,
    TopicSpec, assignment_topic,
};
use crate::kafka::Disposition;
use crate::kafka::admin::{Admin, TopicSpec as TopicToBe};
use crate::kafka::tail::{Next, Start, Tail, Tailed};
use crate::selection::{Agent, Embed, Fault, Predecessors, Registry as Agents};
use crate::telemetry::Health;
use crate::worker::SharedRegistry;
use anyhow::Context;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A definition that waits for the registry, or a topic that could not be made, is tried again this often.
const AGAIN: Duration = Duration::from_secs(2);
/// Definitions taken together: each change of the registry builds its index anew.
const TOGETHER: usize = 1_000;
/// After the index was built, what was learned waits for so many times as long as that took, or a process in which much is
/// learned of many agents would do nothing else.
const REST: u32 = 10;

/// What the reader is built of.
pub(super) struct Table {
    pub(super) config: Config,
    pub(super) registry: Registry,
    pub(super) codec: Arc<Codec>,
    pub(super) names: Arc<ContractNames>,
    pub(super) shared: Arc<SharedRegistry>,
    /// Who tells what texts mean, if somebody does.
    pub(super) embed: Option<Arc<dyn Embed>>,
    /// Never changes where nobody reads the table of examples.
    pub(super) memory: Arc<SharedMemory>,
    pub(super) health: Health,
    pub(super) wake: Arc<dyn Fn() + Send + Sync>,
}

enum Read {
    Record(Tailed),
    End,
}

/// What is known under each key.
struct State {
    table: Table,
    admin: Admin,
    entries: BTreeMap<String, Result<Arc<Agent>, Fault>>,
    /// What a further definition may not break.
    before: Predecessors,
    /// Definitions that could not be decided while the registry was away.
    undecided: BTreeMap<String, Tailed>,
    /// Topic names whose assignment topic and subject are there.
    prepared: BTreeSet<String>,
    /// When the index may be built again for what was learned.
    rested: Instant,
}

impl Table {
    /// Reads the table to its end, then returns what follows it from there.
    ///
    /// # Errors
    /// If the topic cannot be read.
    pub(super) async fn follow(
        self,
        root: CancellationToken,
    ) -> anyhow::Result<impl Future<Output = anyhow::Result<()>>> {
        self.health.waiting("agents", "reading the table of agents");
        let (sender, mut records) = mpsc::channel(TOGETHER);
        let (kafka, topic) = (self.config.kafka.clone(), format!("{}.agents", self.config.kafka.prefix));
        let stop = root.clone();
        let reading = tokio::task::spawn_blocking(move || read(&kafka, &topic, &sender, &stop));
        let admin = Admin::new(&self.config.kafka)?;
        let mut state = State {
            table: self,
            admin,
            entries: BTreeMap::new(),
            before: Predecessors::default(),
            undecided: BTreeMap::new(),
            prepared: BTreeSet::new(),
            rested: Instant::now(),
        };
        loop {
            match records.recv().await {
                Some(Read::Record(record)) => state.take(record).await,
                Some(Read::End) => break,
                None => {
                    reading.await.context("the reader panicked")??;
                    anyhow::bail!("the reader of the table ended before the table did");
                }
            }
        }
        state.publish().await;
        state.table.health.ready("agents");
        Ok(async move {
            let (memory, mut learned) = (Arc::clone(&state.table.memory), false);
            loop {
                let mut together = Vec::new();
                tokio::select! {
                    taken = records.recv_many(&mut together, TOGETHER) => if taken == 0 { break },
                    () = tokio::time::sleep(AGAIN), if state.is_behind() => state.retry().await,
                    () = memory.changed(), if !learned => {
                        learned = true;
                        continue;
                    }
                    () = tokio::time::sleep_until(state.rested), if learned => {}
                    () = root.cancelled() => return Ok(()),
                }
                for read in together {
                    if let Read::Record(record) = read {
                        state.take(record).await;
                    }
                }
                state.publish().await;
                learned = false;
            }
            reading.await.context("the reader panicked")?
        })
    }
}

/// A topic just made has no leader for a moment, and a broker may restart: that is waited out. None if told to stop.
pub(super) fn open(
    kafka: &crate::config::Kafka,
    topic: &str,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Tail>> {
    while !stop.is_cancelled() {
        match Tail::open(kafka, topic, None, Start::Beginning) {
            Ok(tail) => return Ok(Some(tail)),
            Err(fault) if fault.disposition() == Disposition::Again => tracing::warn!("waiting: {fault}"),
            Err(fault) => return Err(fault.into()),
        }
        std::thread::sleep(AGAIN);
    }
    Ok(None)
}

fn read(
    kafka: &crate::config::Kafka,
    topic: &str,
    records: &mpsc::Sender<Read>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let Some(mut tail) = open(kafka, topic, stop)? else { return Ok(()) };
    while !stop.is_cancelled() {
        let read = match tail.next(Duration::from_millis(200)) {
            Ok(Next::Record(record)) => Read::Record(record),
            Ok(Next::End) => Read::End,
            Ok(Next::Idle) => continue,
            Err(fault) => return Err(fault.into()),
        };
        if records.blocking_send(read).is_err() {
            break;
        }
    }
    Ok(())
}

/// A record of a table, for the contract to read.
pub(super) fn raw(record: &Tailed) -> RawRecord<'_> {
    RawRecord {
        topic: &record.topic,
        partition: record.partition,
        offset: record.offset,
        timestamp_ms: record.timestamp.unwrap_or(0),
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        arrived: None,
    }
}

impl State {
    /// Whether something is to be tried again.
    fn is_behind(&self) -> bool {
        let waits = |agent: &Arc<Agent>| !self.prepared.contains(agent.topic_name());
        !self.undecided.is_empty() || self.entries.values().flatten().any(waits)
    }

    async fn retry(&mut self) {
        for (_, record) in std::mem::take(&mut self.undecided) {
            self.take(record).await;
        }
    }

    async fn take(&mut self, record: Tailed) {
        let raw = raw(&record);
        let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
        self.undecided.remove(&key);
        let decoded = match self.table.codec.decode_definition(&raw) {
            Ok(decoded) => decoded,
            Err(id) => match self.table.registry.learn(id, self.table.codec.cache()).await {
                Ok(()) => return Box::pin(self.take(record)).await,
                Err(error) => return self.wait_for(key, None, record, &error.to_string()),
            },
        };
        let DefinitionRecord { key, definition } = decoded;
        match definition {
            Definition::Unregistered => {
                tracing::info!(key, "agent unregistered");
                self.before.forget(&key);
                self.entries.remove(&key);
            }
            Definition::Faulty { agent_name, fault } => {
                tracing::warn!(key, %fault, "a definition has a fault: its agent is never chosen");
                let agent_name = agent_name.unwrap_or_else(|| key.clone());
                let fault = Fault { agent_name, version: String::new(), faults: vec![fault.detail] };
                self.entries.insert(key, Err(fault));
            }
            Definition::Registered(wire) => {
                let forced = record.headers.iter().any(|(name, _)| name == FORCED);
                let compiled = definition::compile(&key, &wire, &self.table.names, &self.table.registry).await;
                match compiled.map(|sound| sound.and_then(|agent| self.before.succeed(agent, forced))) {
                    Ok(Ok(agent)) => {
                        tracing::info!(key, agent = agent.name(), version = %wire.version, "agent registered");
                        self.entries.insert(key, Ok(agent));
                    }
                    Ok(Err(faults)) => {
                        tracing::warn!(
                            key,
                            faults = faults.join("; "),
                            "a definition has faults: its agent is never chosen"
                        );
                        self.entries.insert(key, Err(faulty(&wire, faults)));
                    }
                    Err(error) => self.wait_for(key, Some(&wire), record, &error.to_string()),
                }
            }
        }
    }

    /// A name is never a label by accident: until the registry says so, the agent is not eligible.
    fn wait_for(&mut self, key: String, wire: Option<&AgentDefinition>, record: Tailed, reason: &str) {
        tracing::warn!(key, reason, "a definition waits for the registry");
        let faults = vec![format!("waits for the schema registry: {reason}")];
        let fault = match wire {
            Some(wire) => faulty(wire, faults),
            None => Fault { agent_name: key.clone(), version: String::new(), faults },
        };
        self.entries.insert(key.clone(), Err(fault));
        self.undecided.insert(key, record);
    }

    /// Makes the topics there must be, then shows the workers the table as it is.
    async fn publish(&mut self) {
        let wanted: Vec<String> = self
            .entries
            .values()
            .flatten()
            .map(|agent| agent.topic_name().to_owned())
            .filter(|topic| !self.prepared.contains(topic))
            .collect();
        for topic in wanted {
            match self.prepare(&topic).await {
                Ok(()) => drop(self.prepared.insert(topic)),
                Err(error) => tracing::warn!(topic, "an agent's assignment topic is not ready: {error:#}"),
            }
        }
        // With many examples it takes seconds, which the runtime's threads have no time for.
        let (entries, memory, began) = (self.entries.clone(), self.table.memory.get(), Instant::now());
        let embed = self.table.embed.clone();
        let built = tokio::task::spawn_blocking(|| Agents::remembering(entries, memory, embed)).await;
        self.rested = Instant::now() + began.elapsed() * REST;
        self.table.shared.set(built.expect("a registry is built of any entries"));
        (self.table.wake)();
    }

    async fn prepare(&self, topic_name: &str) -> anyhow::Result<()> {
        let kafka = &self.table.config.kafka;
        let spec = TopicSpec::built_in()
            .iter()
            .find(|spec| spec.per_agent)
            .expect("there is a file for the topics of agents, which a test checks");
        let name = assignment_topic(&kafka.prefix, topic_name);
        let mut config = spec.config.clone();
        if let Some(replicas) = kafka.min_insync_replicas {
            config.insert("min.insync.replicas".to_owned(), replicas.to_string());
        }
        let topic = TopicToBe { name: name.clone(), partitions: kafka.partitions.unwrap_or(spec.partitions), config };
        self.admin.ensure(&topic).await?;
        // Stock deserializers need none of it, the id is in the record; people look under the topic's own subject.
        self.table.registry.register(&format!("{name}-value"), RecordKind::Assignment.schema_text()).await?;
        Ok(())
    }
}

fn faulty(wire: &AgentDefinition, faults: Vec<String>) -> Fault {
    Fault { agent_name: wire.agent_name.clone(), version: wire.version.clone(), faults }
}
