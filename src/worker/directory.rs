//! The agents as this worker may use them: the table, and which assignment topics its client knows.

use super::{Clock, Log, SharedAgentHealth, SharedPresence};
use crate::contract::{
    AgentHealth, AgentStatistics, BreakerState, HealthState, LatencyBucket, RunningMean, assignment_topic,
    home_partition,
};
use crate::selection::{Agent, Availability, Broken, Record, Registry, Track, fold};
use crate::workflow::Timestamp;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// The registry as the table's reader keeps it; read by every worker of the process.
#[derive(Debug, Default)]
pub struct SharedRegistry {
    current: RwLock<Registry>,
    version: AtomicU64,
}

impl SharedRegistry {
    /// Puts another registry in place.
    pub fn set(&self, registry: Registry) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = registry;
        self.version.fetch_add(1, Ordering::SeqCst);
    }

    #[must_use]
    pub fn get(&self) -> Registry {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Rises with each change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }
}

/// How long one look for new topics may take: nothing else is done meanwhile.
const LOOK: Duration = Duration::from_millis(200);
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// One worker's copy of the registry and the topics it found.
#[derive(Debug)]
pub(super) struct Directory {
    shared: Arc<SharedRegistry>,
    presence: Arc<SharedPresence>,
    health: Arc<SharedAgentHealth>,
    health_seen: Option<u64>,
    tracks_seen: Option<u64>,
    /// Of every topic keyed by task id.
    partitions: i32,
    /// Milliseconds of silence after which an agent is gone.
    patience: i64,
    /// When it was last looked who is gone, by the worker's clock.
    called: Option<Duration>,
    seen: Option<u64>,
    pub(super) registry: Registry,
    pub(super) availability: Availability,
    complete: bool,
    /// By the worker's clock.
    looked: Option<Duration>,
}

impl Directory {
    pub(super) fn new(
        shared: Arc<SharedRegistry>,
        presence: Arc<SharedPresence>,
        health: Arc<SharedAgentHealth>,
        partitions: i32,
        patience: i64,
    ) -> Self {
        Self {
            registry: shared.get(),
            shared,
            presence,
            health,
            health_seen: None,
            tracks_seen: None,
            partitions: partitions.max(1),
            patience,
            called: None,
            seen: None,
            availability: Availability::default(),
            complete: false,
            looked: None,
        }
    }

    /// How many assignments each agent of limited capacity may have: what its definition says; else what its instances say
    /// they work on at once, and as much again, so that none of them waits for its next one. None while all of them leave.
    pub(super) fn capacities(&self, now: Timestamp) -> impl Iterator<Item = (&Arc<Agent>, u32)> {
        let presence = self.presence.get();
        self.registry.current().iter().filter_map(move |agent| {
            let told = presence.capacity(agent.topic_name(), now, self.patience).map(|told| told.saturating_mul(2));
            let leaves = told.filter(|told| *told == 0);
            Some((agent, leaves.or_else(|| agent.capacity()).or(told)?))
        })
    }

    /// Looks who is gone and takes what is known of agents' work, at most once a second; says whether others are than before.
    fn call(&mut self, clock: &dyn Clock) -> bool {
        if self.called.is_some_and(|at| clock.elapsed() < at + LOOK_AGAIN) {
            return false;
        }
        self.called = Some(clock.elapsed());
        self.read_tracks();
        let (presence, health, now) = (self.presence.get(), self.health.get(), clock.now());
        // Heartbeats are kept for an hour; that an agent has been silent for longer, its health still says.
        let was_absent = |agent: &Agent| {
            let state = health.get(agent.topic_name()).map(|health| health.state);
            state == Some(HealthState::Absent) && !presence.knows(agent.topic_name())
        };
        let gone = self
            .registry
            .current()
            .iter()
            .filter(|agent| presence.is_gone(agent.topic_name(), now, self.patience) || was_absent(agent));
        self.availability.set_gone(gone.map(|agent| agent.topic_name().to_owned()))
    }

    /// Takes what is known of agents' work, if that is news.
    fn read_tracks(&mut self) {
        let version = self.health.version();
        if self.tracks_seen != Some(version) {
            self.tracks_seen = Some(version);
            let health = self.health.get();
            self.availability.set_tracks(health.iter().map(|(name, health)| (name.clone(), track(health))).collect());
        }
    }

    /// Looks which breakers are not closed; says whether others are than before.
    fn look_at_breakers(&mut self) -> bool {
        let version = self.health.version();
        if self.health_seen == Some(version) {
            return false;
        }
        self.health_seen = Some(version);
        let health = self.health.get();
        let broken = health.iter().filter_map(|(topic_name, health)| {
            Some((topic_name.clone(), broken(topic_name, health, self.partitions)?))
        });
        self.availability.set_broken(broken.collect())
    }

    /// Takes what changed; says whether anything did. A topic counts once it is in the producer's metadata: producing to
    /// one that is missing would block and abort.
    pub(super) fn refresh(&mut self, log: &mut impl Log, clock: &dyn Clock, prefix: &str) -> bool {
        let version = self.shared.version();
        let changed = self.seen != Some(version);
        if changed {
            self.seen = Some(version);
            self.registry = self.shared.get();
            self.complete = false;
            self.looked = None;
        }
        let changed = self.look_at_breakers() || changed;
        let changed = self.call(clock) || changed;
        if self.complete || self.looked.is_some_and(|at| clock.elapsed() < at + LOOK_AGAIN) {
            return changed;
        }
        let started = clock.elapsed();
        let mut topics = Vec::new();
        self.complete = true;
        for agent in self.registry.current() {
            let topic = agent.topic_name();
            if self.availability.has(topic) {
                topics.push(topic.to_owned());
            } else if clock.elapsed() > started + LOOK || log.partitions_of(&assignment_topic(prefix, topic)).is_none()
            {
                self.complete = false;
            } else {
                topics.push(topic.to_owned());
            }
        }
        self.looked = Some(clock.elapsed());
        self.availability.set_topics(topics) || changed
    }

    /// The producer is another one: it knows no topic yet.
    pub(super) fn forget_topics(&mut self) {
        self.availability.set_topics([]);
        self.complete = false;
        self.looked = None;
    }
}

/// What selection goes by.
fn track(health: &AgentHealth) -> Track {
    let kinds = |kinds: &BTreeMap<String, AgentStatistics>| {
        kinds.iter().map(|(name, statistics)| (fold(name), record(statistics))).collect()
    };
    #[allow(clippy::cast_precision_loss, reason = "a share")]
    let load = health.in_flight.zip(health.capacity).map(|(in_flight, capacity)| in_flight as f64 / capacity as f64);
    Track {
        overall: record(&health.overall),
        capabilities: kinds(&health.capabilities),
        task_types: kinds(&health.task_types),
        load: load.filter(|load| load.is_finite()).map(|load| load.clamp(0.0, 1.0)),
    }
}

fn record(statistics: &AgentStatistics) -> Record {
    let mean = |mean: &RunningMean| (mean.weight > 0.0).then_some(mean.mean);
    Record {
        successes: statistics.successes,
        failures: statistics.failures,
        latencies: statistics.latencies.iter().map(|one| (LatencyBucket::middle(one.index), one.weight)).collect(),
        cost_micros: mean(&statistics.cost_micros).filter(|micros| *micros > 0.0),
        quality: mean(&statistics.quality),
    }
}

/// What a breaker that is not closed means for this worker. One that is half open is probed by the tasks of one
/// partition at a time, the first by a hash of the agent's topic name.
fn broken(topic_name: &str, health: &AgentHealth, partitions: i32) -> Option<Broken> {
    let reason = &health.breaker_detail.reason;
    let (why, probed_by) = match health.breaker {
        BreakerState::Closed | BreakerState::Unknown => return None,
        BreakerState::Open => (format!("its circuit breaker is open: {reason}"), None),
        BreakerState::HalfOpen => {
            let turn = health.breaker_detail.turn.rem_euclid(partitions);
            let number = (home_partition(topic_name, partitions) + turn) % partitions;
            (format!("its circuit breaker is half open, and tasks elsewhere probe it: {reason}"), Some(number))
        }
    };
    Some(Broken { why: why.into(), probed_by })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::{Definition, Resolved, topic_name};
    use crate::worker::Sign;

    #[test]
    fn an_agent_takes_what_its_definition_says_else_twice_what_its_instances_say_and_nothing_while_they_leave() {
        let agent = |(name, most): (&str, Option<i32>)| {
            let mut definition = Definition::new(name);
            definition.description = "does what is asked".to_owned();
            definition.max_concurrency = most;
            let key = topic_name(name, 1);
            let compiled = Agent::compile(&key, definition, Resolved::Any, Resolved::Any).expect("a sound definition");
            (key, Ok(Arc::new(compiled)))
        };
        let shared = Arc::<SharedRegistry>::default();
        shared.set(Registry::new([("Bound", Some(3)), ("Free", None), ("Mute", None)].map(agent).into()));
        let presence = Arc::<SharedPresence>::default();
        let directory = Directory::new(shared, Arc::clone(&presence), Arc::default(), 6, 90_000);
        let capacities = || -> Vec<(&str, u32)> {
            directory.capacities(Timestamp(10)).map(|(agent, capacity)| (agent.name(), capacity)).collect()
        };
        let say = |name: &str, capacity| {
            let sign = Sign { at: Timestamp(1), capacity, in_flight: 0, version: "1.0.0".into() };
            presence.take(&topic_name(name, 1), "one", sign, None);
        };
        assert_eq!(capacities(), [("Bound", 3)]);
        for name in ["Bound", "Free"] {
            say(name, 5);
        }
        say("Mute", 0);
        assert_eq!(capacities(), [("Bound", 3), ("Free", 10)]);
        for name in ["Bound", "Free"] {
            say(name, 0);
        }
        assert_eq!(capacities(), [("Bound", 0), ("Free", 0)]);
    }
}
