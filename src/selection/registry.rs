use super::agent::Agent;
use super::names::fold;
use super::scoring::Index;
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A definition that does not hold: never eligible, and shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// As written, or the record's key where it could not be read.
    pub agent_name: String,
    /// As written; empty where it could not be read.
    pub version: String,
    /// Each naming field, value and remedy.
    pub faults: Vec<String>,
}

/// All registered agents at one moment, with the text index over them. Never changes; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Registry(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    entries: BTreeMap<String, Result<Arc<Agent>, Fault>>,
    /// The newest version of each name, by name: those that new work goes to.
    current: Vec<Arc<Agent>>,
    /// Folded name to the place in `current`.
    places: FxHashMap<String, usize>,
    index: Index,
}

impl Registry {
    /// From what was read under each key (a topic name). Builds the index, so take changes together where many come.
    #[must_use]
    pub fn new(entries: BTreeMap<String, Result<Arc<Agent>, Fault>>) -> Self {
        let mut newest: BTreeMap<&str, &Arc<Agent>> = BTreeMap::new();
        for agent in entries.values().flatten() {
            let best = newest.entry(agent.folded_name()).or_insert(agent);
            if agent.version() > best.version() {
                *best = agent;
            }
        }
        let mut current: Vec<Arc<Agent>> = newest.into_values().cloned().collect();
        current.sort_by(|a, b| a.name().cmp(b.name()));
        let places = current.iter().enumerate().map(|(i, agent)| (agent.folded_name().to_owned(), i)).collect();
        let index = Index::new(&current);
        Self(Arc::new(Inner { entries, current, places, index }))
    }

    /// This registry with one definition more, or another in its place.
    #[must_use]
    pub fn upsert(&self, key: impl Into<String>, entry: Result<Arc<Agent>, Fault>) -> Self {
        let mut entries = self.0.entries.clone();
        entries.insert(key.into(), entry);
        Self::new(entries)
    }

    /// This registry without one definition.
    #[must_use]
    pub fn remove(&self, key: &str) -> Self {
        let mut entries = self.0.entries.clone();
        entries.remove(key);
        Self::new(entries)
    }

    /// The newest version of an agent, its name trimmed and case-folded; never by a part of it.
    #[must_use]
    pub fn agent(&self, name: &str) -> Option<&Arc<Agent>> {
        self.place(name).map(|place| &self.0.current[place])
    }

    /// The agent of a topic, whichever version that is.
    #[must_use]
    pub fn by_topic(&self, topic_name: &str) -> Option<&Arc<Agent>> {
        self.0.entries.get(topic_name)?.as_ref().ok()
    }

    /// Everything registered by key, the bad with their faults.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Result<Arc<Agent>, Fault>)> {
        self.0.entries.iter().map(|(key, entry)| (key.as_str(), entry))
    }

    /// The agents new work goes to, by name: of each name the newest version.
    #[must_use]
    pub fn current(&self) -> &[Arc<Agent>] {
        &self.0.current
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.entries.is_empty()
    }

    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.0.places.get(&fold(name)).copied()
    }

    pub(super) fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.0.entries.values().filter_map(|entry| entry.as_ref().err())
    }

    pub(super) fn index(&self) -> &Index {
        &self.0.index
    }
}

/// Who can be given work now: the topic names whose assignment topic this worker can produce to, and how much more
/// each agent takes. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Availability {
    topics: Arc<FxHashSet<String>>,
    /// Topic names of agents that showed signs of life and do so no more.
    gone: Arc<FxHashSet<String>>,
    /// By topic name; absent = any number.
    room: RefCell<FxHashMap<String, Room>>,
    /// Whose line the step that is decided now comes from, as its next.
    passing: RefCell<Option<String>>,
    /// By topic name, agents whose circuit breaker is not closed.
    broken: Arc<FxHashMap<String, Broken>>,
    /// The partition whose tasks are decided on now.
    here: Cell<Option<i32>>,
}

/// A circuit breaker that is not closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// In words.
    pub why: Arc<str>,
    /// It is half open, and the tasks of this partition probe it; none = open.
    pub probed_by: Option<i32>,
}

/// What an agent of limited capacity can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Assignments that may still be given to it; negative where it has more than its share.
    pub left: i64,
    /// Steps in its line, which go before all others.
    pub in_line: i64,
}

impl Availability {
    #[must_use]
    pub fn has(&self, topic_name: &str) -> bool {
        self.topics.contains(topic_name)
    }

    /// The same topics, with so much room by topic name.
    #[must_use]
    pub fn with_room(&self, room: FxHashMap<String, Room>) -> Self {
        let room = RefCell::new(room);
        Self { room, passing: RefCell::default(), here: Cell::default(), ..self.clone() }
    }

    /// Whether the agent takes so many assignments and no more.
    #[must_use]
    pub fn is_limited(&self, topic_name: &str) -> bool {
        self.room.borrow().contains_key(topic_name)
    }

    /// Whether one assignment more may be given to the agent.
    #[must_use]
    pub fn has_room(&self, topic_name: &str) -> bool {
        let next = self.passing.borrow().as_deref() == Some(topic_name);
        self.room.borrow().get(topic_name).is_none_or(|room| room.left > if next { 0 } else { room.in_line.max(0) })
    }

    /// One assignment more was given to the agent.
    pub fn take_room(&self, topic_name: &str) {
        let next = self.passing.borrow_mut().take_if(|passing| passing == topic_name).is_some();
        if let Some(room) = self.room.borrow_mut().get_mut(topic_name) {
            room.left -= 1;
            room.in_line -= i64::from(next);
        }
    }

    /// The step that is decided next is the next of this agent's line; none: of nobody's.
    pub fn let_through(&self, topic_name: Option<&str>) {
        *self.passing.borrow_mut() = topic_name.map(str::to_owned);
    }

    #[must_use]
    pub fn is_gone(&self, topic_name: &str) -> bool {
        self.gone.contains(topic_name)
    }

    /// What is decided next is of this partition's tasks.
    pub fn set_partition(&self, number: i32) {
        self.here.set(Some(number));
    }

    /// The agent's breaker, if it is not closed.
    #[must_use]
    pub fn breaker(&self, topic_name: &str) -> Option<&Broken> {
        self.broken.get(topic_name)
    }

    /// The same, if it keeps the agent from being chosen here.
    #[must_use]
    pub fn barred(&self, topic_name: &str) -> Option<&Broken> {
        self.breaker(topic_name).filter(|broken| broken.probed_by.is_none() || broken.probed_by != self.here.get())
    }

    /// Agents whose breaker is not closed, by topic name.
    pub fn breakers(&self) -> impl Iterator<Item = (&str, &Broken)> {
        self.broken.iter().map(|(topic_name, broken)| (topic_name.as_str(), broken))
    }

    /// Puts other breakers in place; says whether they are others.
    pub fn set_broken(&mut self, broken: FxHashMap<String, Broken>) -> bool {
        let differs = *self.broken != broken;
        if differs {
            self.broken = Arc::new(broken);
        }
        differs
    }

    /// Puts other topics in place; says whether they are others.
    pub fn set_topics(&mut self, topic_names: impl IntoIterator<Item = String>) -> bool {
        replaced(&mut self.topics, topic_names.into_iter().collect())
    }

    /// The same for those that are gone.
    pub fn set_gone(&mut self, topic_names: impl IntoIterator<Item = String>) -> bool {
        replaced(&mut self.gone, topic_names.into_iter().collect())
    }
}

impl<S: Into<String>> FromIterator<S> for Availability {
    fn from_iter<I: IntoIterator<Item = S>>(topic_names: I) -> Self {
        let topics = topic_names.into_iter().map(Into::into).collect();
        Self { topics: Arc::new(topics), ..Self::default() }
    }
}

fn replaced(names: &mut Arc<FxHashSet<String>>, by: FxHashSet<String>) -> bool {
    let differs = **names != by;
    if differs {
        *names = Arc::new(by);
    }
    differs
}
