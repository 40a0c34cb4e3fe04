//! The role `insights`: a member of its own group that keeps the statistics of the agents on its partitions.
//!
//! Whenever the group decides, `agent-health` and `examples` are read to their true ends first: by then no predecessor can write there any
//! more, since its offsets would be refused and with them its records. From there on outcomes are taken as they come and
//! a transaction holds the state of all agents that changed, and the alerts, with the next offset of all that was read.
//! Whatever else goes wrong has one answer: drop it all and join anew.

use super::agent::{AgentState, Rules};
use super::anomaly::Notice;
use super::anomaly_record::alert_of;
use super::examples;
use super::presence::Instance;
use super::record::{health_of, observation_of, state_of};
use crate::contract::{
    AgentExamples, AgentHealth, AgentOutcome, Codec, Envelope, Registry, Undecided, WireRecord, home_partition, rfc3339,
};
use crate::kafka::lives::Lives;
use crate::kafka::relay::{Outcome, Outgoing, Relay, RelayFault, RelaySettings};
use crate::kafka::table::Table;
use crate::kafka::tail::Tailed;
use crate::selection::Memory;
use crate::telemetry::{Health, Metrics};
use crate::worker::{Clock, Presence, SharedPresence, SharedRegistry};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// Outcomes taken at once at most.
const BATCH: usize = 5_000;
/// One wait for outcomes; also how late a stop is noticed.
const IDLE: Duration = Duration::from_millis(50);
/// Between two looks at who fell silent and whose breaker's wait is over.
const LOOK: Duration = Duration::from_millis(200);
/// Until a table is read to its end: longer than a broker needs to end a dead writer's transaction.
const PATIENCE: Duration = Duration::from_secs(30);
/// An agent that is not registered and of which nothing was heard for so long, in milliseconds, is forgotten.
const FORGOTTEN_AFTER: i64 = 86_400_000;
/// Under this it is on `/readyz`.
const PART: &str = "insights";

/// Whether to stop, and then whether others are to take over at once.
pub(crate) type Stop = Box<dyn Fn() -> Option<bool> + Send>;

/// Why it cannot go on.
#[derive(Debug, thiserror::Error)]
#[error("insights: {0}")]
pub struct KeeperEnded(String);

/// The role, not started yet.
pub struct Keeper {
    /// Of `agent-outcomes`.
    pub settings: RelaySettings,
    pub kafka: crate::kafka::Connection,
    /// The topics' full names.
    pub health_topic: Arc<str>,
    pub examples_topic: Arc<str>,
    pub alerts_topic: Arc<str>,
    /// How many partitions `agent-outcomes` has.
    pub partitions: i32,
    pub rules: Rules,
    /// Whether it learns what texts agents are right for. If not, what was learned is deleted.
    pub learns: bool,
    /// Between two records of one agent, unless its breaker changes.
    pub every: Duration,
    pub codec: Arc<Codec>,
    pub registry: Registry,
    pub presence: Arc<SharedPresence>,
    pub agents: Arc<SharedRegistry>,
    pub health: Health,
    pub metrics: Arc<Metrics>,
    pub clock: Box<dyn Clock + Send>,
    pub stop: Stop,
    pub runtime: Handle,
    /// Whether it has the first partition: of many members one does what only one should do.
    pub leads: Arc<AtomicBool>,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("topics", &self.settings.topics).finish_non_exhaustive()
    }
}

/// What is kept between two words of the group.
struct Kept {
    generation: u64,
    /// Of `agent-outcomes`.
    held: BTreeSet<i32>,
    /// By topic name.
    agents: BTreeMap<String, AgentState>,
    memory: Memory,
    /// Topic, partition and next offset, after all that was taken.
    next: BTreeMap<(String, i32), i64>,
    /// Agents to be written.
    changed: BTreeSet<String>,
    /// Agents whose examples are to be written, or deleted.
    learned: BTreeSet<String>,
    /// Agents to be forgotten.
    gone: BTreeSet<String>,
    /// Anomalies to be told of, by topic name.
    notices: Vec<(String, Notice)>,
    /// A breaker changed, or an anomaly began or ended.
    is_urgent: bool,
    written: Instant,
    looked: Option<Instant>,
}

impl Keeper {
    /// Works until told to stop.
    ///
    /// # Errors
    /// Why it cannot go on at all.
    pub fn run(self) -> Result<(), KeeperEnded> {
        let mut lives = Lives::default();
        while (self.stop)().is_none() {
            let began = Instant::now();
            let ended = self.live();
            self.leads.store(false, Ordering::Relaxed);
            let Err(fault) = ended else { break };
            let wait = lives.after(began.elapsed(), &fault).map_err(KeeperEnded)?;
            self.waiting(&format!("{fault}; again in {wait:?}"));
            let until = Instant::now() + wait;
            while Instant::now() < until && (self.stop)().is_none() {
                std::thread::sleep(IDLE);
            }
        }
        self.health.forget(PART);
        Ok(())
    }

    /// From joining the group to the first thing that goes wrong, or to the end.
    fn live(&self) -> Result<(), RelayFault> {
        let mut relay = Relay::join(&self.settings)?;
        let mut kept: Option<Kept> = None;
        loop {
            if let Some(at_once) = (self.stop)() {
                if let Some(kept) = &mut kept {
                    self.write(&mut relay, kept)?;
                }
                relay.close(at_once);
                return Ok(());
            }
            let batch = relay.poll(IDLE, BATCH)?;
            if !relay.is_member() {
                self.leads.store(false, Ordering::Relaxed);
                if kept.take().is_some() {
                    self.waiting("the group is deciding who keeps which agents");
                }
                continue;
            }
            let kept = match &mut kept {
                Some(kept) if kept.generation == relay.generation() => kept,
                other => other.insert(self.restore(&relay)?),
            };
            let taken = batch.iter().try_for_each(|record| self.take(kept, record));
            taken.map_err(|reason| RelayFault::Again(format!("an outcome cannot be read now: {reason}")))?;
            self.look(kept);
            let is_new = !batch.is_empty() || kept.is_behind(&relay);
            if kept.is_urgent || (is_new && kept.written.elapsed() >= self.every) {
                self.write(&mut relay, kept)?;
            }
        }
    }

    /// What `agent-health` and `examples` hold, to their true ends.
    fn restore(&self, relay: &Relay) -> Result<Kept, RelayFault> {
        let mut agents = BTreeMap::new();
        self.read(&self.health_topic, |topic_name, health: AgentHealth| {
            agents.insert(topic_name, state_of(&health));
        })?;
        let mut memory = Memory::default();
        self.read(&self.examples_topic, |topic_name, record: AgentExamples| {
            examples::remember(&mut memory, &topic_name, record);
        })?;
        let next = relay.committed().clone();
        let held: BTreeSet<i32> = next.keys().map(|(_, partition)| *partition).collect();
        tracing::info!(agents = agents.len(), examples = memory.len(), partitions = ?held, "statistics of agents restored");
        let mut learned = BTreeSet::new();
        if !self.learns {
            learned.extend(memory.topic_names().filter(|name| self.holds(&held, name)).map(str::to_owned));
            memory = Memory::default();
        }
        self.health.ready(PART);
        self.leads.store(next.keys().any(|(_, partition)| *partition == 0), Ordering::Relaxed);
        Ok(Kept {
            generation: relay.generation(),
            held,
            agents,
            memory,
            next,
            changed: BTreeSet::new(),
            learned,
            gone: BTreeSet::new(),
            notices: Vec::new(),
            is_urgent: false,
            written: Instant::now(),
            looked: None,
        })
    }

    /// Reads a table of ours to its true end: the last record of each topic name.
    fn read<T: WireRecord>(&self, topic: &str, mut apply: impl FnMut(String, T)) -> Result<(), RelayFault> {
        let again = |detail: String| RelayFault::Again(format!("{topic}: {detail}"));
        let mut values: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut keep = |record: Tailed| {
            let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
            match record.value {
                Some(value) => drop(values.insert(key, value)),
                None => drop(values.remove(&key)),
            }
        };
        let mut table = Table::open(&self.kafka, topic).map_err(|fault| again(fault.to_string()))?;
        let is_whole = table.catch_up(PATIENCE, &mut keep).map_err(|fault| again(fault.to_string()))?;
        if !is_whole {
            return Err(again("its end is held back by a transaction that is still open".to_owned()));
        }
        for (topic_name, value) in values {
            match self.decode::<T>(&value) {
                Ok(Ok(record)) => apply(topic_name, record),
                Ok(Err(refusal)) => {
                    tracing::error!(topic, topic_name, %refusal, "a record cannot be read; what it held begins anew");
                }
                Err(reason) => return Err(again(reason)),
            }
        }
        Ok(())
    }

    fn holds(&self, held: &BTreeSet<i32>, topic_name: &str) -> bool {
        held.contains(&home_partition(topic_name, self.partitions))
    }

    /// A record of our own; the inner error is for ever, the outer for as long as the registry is away.
    fn decode<T: WireRecord>(&self, value: &[u8]) -> Result<Result<T, String>, String> {
        loop {
            match self.codec.decode(value) {
                Ok(record) => return Ok(Ok(record)),
                Err(Undecided::Refused(refusal)) => return Ok(Err(refusal.to_string())),
                Err(Undecided::NeedsSchema(id)) => {
                    let learned = self.runtime.block_on(self.registry.learn(id, self.codec.cache()));
                    learned.map_err(|error| error.to_string())?;
                }
            }
        }
    }

    /// Takes one outcome. One that nobody can read is said and counted: only we write there.
    fn take(&self, kept: &mut Kept, record: &Tailed) -> Result<(), String> {
        let outcome: Result<AgentOutcome, String> = self.decode(record.value.as_deref().unwrap_or_default())?;
        kept.next.insert((record.topic.clone(), record.partition), record.offset + 1);
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(refusal) => {
                let (partition, offset) = (record.partition, record.offset);
                tracing::error!(partition, offset, refusal, "an outcome cannot be read and counts for nobody");
                self.metrics.agent_outcomes("unreadable").inc();
                return Ok(());
            }
        };
        self.metrics.agent_outcomes(outcome.outcome.symbol()).inc();
        let topic_name = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
        let state = kept.agents.entry(topic_name.clone()).or_default();
        state.agent_name.clone_from(&outcome.agent_name);
        state.version.clone_from(&outcome.version);
        if self.learns && examples::learn(&mut kept.memory, &self.agents.get(), &topic_name, &outcome) {
            kept.learned.insert(topic_name.clone());
        }
        let (now, seen) = (self.clock.now().0, observation_of(outcome));
        if state.take(&seen, now, &self.rules) {
            told(&topic_name, state);
            kept.is_urgent = true;
        }
        let notices = state.anomalies.take(&seen);
        notices.into_iter().for_each(|notice| kept.tell(&topic_name, notice));
        kept.gone.remove(&topic_name);
        kept.changed.insert(topic_name);
        Ok(())
    }

    /// Looks who fell silent or came back, and whose breaker's wait is over.
    fn look(&self, kept: &mut Kept) {
        let presence = self.presence.get();
        // Before the heartbeats are read, everybody seems to be silent.
        if !presence.is_read() || kept.looked.is_some_and(|at| at.elapsed() < LOOK) {
            return;
        }
        kept.looked = Some(Instant::now());
        let registry = self.agents.get();
        for (topic_name, entry) in registry.entries() {
            let Ok(agent) = entry else { continue };
            if !kept.agents.contains_key(topic_name) && presence.knows(topic_name) {
                let agent_name = agent.name().to_owned();
                kept.agents.insert(topic_name.to_owned(), AgentState { agent_name, ..AgentState::default() });
            }
        }
        let changed = kept.memory.forget_changed(&registry);
        kept.learned.extend(changed.into_iter().filter(|topic_name| self.holds(&kept.held, topic_name)));
        let (now, mut notices) = (self.clock.now(), Vec::new());
        for (topic_name, state) in &mut kept.agents {
            if !self.holds(&kept.held, topic_name) {
                continue;
            }
            let before = Seen::of(state);
            let heard = heard(&presence, topic_name);
            let brokers = presence.brokers_time(now).0;
            state.instances.look(heard, brokers, self.rules.stale_after, self.rules.gone_after);
            let is_registered = registry.by_topic(topic_name).is_some();
            let is_awaited = is_registered && !presence.has_left(topic_name);
            let notice = match state.instances.latest().map(|instance| instance.at) {
                Some(heard) if is_awaited => state.anomalies.listen(heard, brokers, self.rules.stale_after),
                _ => state.anomalies.let_be(brokers),
            };
            let is_news = notice.is_some();
            notices.extend(notice.map(|notice| (topic_name.clone(), notice)));
            if state.tick(now.0, &self.rules) {
                told(topic_name, state);
                kept.is_urgent = true;
            }
            if !is_registered && now.0 - state.heard() > FORGOTTEN_AFTER {
                kept.gone.insert(topic_name.clone());
            } else if is_news || Seen::of(state) != before {
                kept.changed.insert(topic_name.clone());
            }
        }
        notices.into_iter().for_each(|(topic_name, notice)| kept.tell(&topic_name, notice));
    }

    /// One transaction: the state of all that changed, what is to be told of it, and the offsets of all that was read.
    fn write(&self, relay: &mut Relay, kept: &mut Kept) -> Result<(), RelayFault> {
        if !kept.is_behind(relay) {
            return Ok(());
        }
        let now = self.clock.now().0;
        let changed = std::mem::take(&mut kept.changed);
        let gone = std::mem::take(&mut kept.gone);
        for topic_name in &gone {
            let notices = kept.agents.get_mut(topic_name).map(|state| state.anomalies.forget(now)).unwrap_or_default();
            notices.into_iter().for_each(|notice| kept.tell(topic_name, notice));
        }
        let learned = std::mem::take(&mut kept.learned);
        let mut records = Vec::with_capacity(changed.len() + learned.len() + gone.len() + kept.notices.len());
        for (topic_name, notice) in std::mem::take(&mut kept.notices) {
            let Some(state) = kept.agents.get(&topic_name) else { continue };
            let alert = alert_of(&topic_name, state, &notice);
            let id = format!("{}~{}", alert.alert_id, alert.state.symbol());
            records.push(self.record(&self.alerts_topic, &topic_name, &id, Some(&alert), now));
        }
        for topic_name in changed {
            if let Some(state) = kept.agents.get_mut(&topic_name) {
                // Judged as it is after the last outcome.
                state.tick(now, &self.rules);
                records.push(self.health_record(&topic_name, Some(&health_of(state, now)), now));
            }
        }
        for topic_name in learned {
            let agent_name = kept.agents.get(&topic_name).map_or(&*topic_name, |state| &state.agent_name);
            let record = examples::examples_of(&kept.memory, &topic_name, agent_name, now);
            let id = format!("{topic_name}~examples~{now}");
            records.push(self.record(&self.examples_topic, &topic_name, &id, record.as_ref(), now));
        }
        for topic_name in gone {
            tracing::info!(topic_name, "an agent is forgotten: it is not registered, and nothing was heard of it");
            kept.agents.remove(&topic_name);
            records.push(self.health_record(&topic_name, None, now));
        }
        match relay.transact_to(&records, &kept.next) {
            Outcome::Committed => {
                (kept.is_urgent, kept.written) = (false, Instant::now());
                Ok(())
            }
            Outcome::Aborted { reason, .. } | Outcome::Unknown { reason } => Err(RelayFault::Again(reason)),
        }
    }

    fn health_record(&self, topic_name: &str, health: Option<&AgentHealth>, now: i64) -> Outgoing {
        self.record(&self.health_topic, topic_name, &format!("{topic_name}~health~{now}"), health, now)
    }

    fn record<T: WireRecord>(
        &self,
        topic: &Arc<str>,
        topic_name: &str,
        id: &str,
        record: Option<&T>,
        now: i64,
    ) -> Outgoing {
        let time = rfc3339(now);
        let source = format!("baton/{}/insights", self.codec.prefix());
        let envelope = Envelope { id, kind: T::KIND, source: &source, time: &time, traceparent: None };
        let headers = envelope.headers().into_iter();
        Outgoing {
            topic: Arc::clone(topic),
            // One there is.
            partition: 0,
            key: Some(topic_name.as_bytes().to_vec()),
            value: record.map(|record| self.codec.encode(record)),
            headers: headers.map(|(name, value)| (name.into(), Some(value.into_owned().into_bytes()))).collect(),
            timestamp: None,
            origin: 0,
        }
    }

    fn waiting(&self, reason: &str) {
        tracing::warn!("insights: {reason}");
        self.health.waiting(PART, reason);
    }
}

impl Kept {
    /// Whether there is something to be written.
    fn is_behind(&self, relay: &Relay) -> bool {
        !self.changed.is_empty() || !self.learned.is_empty() || !self.gone.is_empty() || self.next != *relay.committed()
    }

    /// Keeps an anomaly for the next transaction, which is at once.
    fn tell(&mut self, topic_name: &str, notice: Notice) {
        let message = &notice.message;
        if notice.raised {
            tracing::warn!(topic_name, message, "unusual");
        } else {
            tracing::info!(topic_name, message, "no longer unusual");
        }
        self.notices.push((topic_name.to_owned(), notice));
        self.is_urgent = true;
    }
}

/// What makes an agent's record another one when only time has passed.
#[derive(PartialEq)]
struct Seen {
    reason: String,
    breaker: super::Breaker,
    instances: Vec<(String, super::Standing, i32, i32)>,
}

impl Seen {
    fn of(state: &AgentState) -> Self {
        let instances = state.instances.iter();
        Self {
            reason: state.reason.clone(),
            breaker: state.breaker.clone(),
            instances: instances.map(|one| (one.name.clone(), one.standing, one.in_flight, one.capacity)).collect(),
        }
    }
}

/// The last heartbeats of an agent's instances.
fn heard(presence: &Presence, topic_name: &str) -> Vec<Instance> {
    let count = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let instance = |(name, sign): (&str, &crate::worker::Sign)| Instance {
        name: name.to_owned(),
        version: sign.version.to_string(),
        at: sign.at.0,
        in_flight: count(sign.in_flight),
        capacity: count(sign.capacity),
        standing: super::Standing::Fresh,
    };
    presence.instances(topic_name).map(instance).collect()
}

fn told(topic_name: &str, state: &AgentState) {
    let breaker = &state.breaker;
    match breaker.phase {
        super::Phase::Closed => tracing::info!(topic_name, "circuit breaker closed"),
        super::Phase::Open { until } => {
            let until = rfc3339(until);
            tracing::warn!(topic_name, reason = breaker.reason, until, "circuit breaker open");
        }
        super::Phase::HalfOpen => tracing::info!(topic_name, turn = breaker.turn, "circuit breaker half open"),
    }
}
