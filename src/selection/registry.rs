use super::agent::Agent;
use super::contract::Contract;
use super::meaning::Embed;
use super::memory::Memory;
use super::names::fold;
use super::scoring::{Index, rounded};
use super::text::SCORED;
use super::track::Track;
use super::words::beginning;
use crate::workflow::Labels;
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;
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
    /// All that are sound, by name, of each name the newest version first.
    current: Vec<Arc<Agent>>,
    /// Folded name to the places in `current`.
    places: FxHashMap<String, Range<usize>>,
    memory: Memory,
    embed: Option<Arc<dyn Embed>>,
    index: Index,
}

impl Registry {
    /// From what was read under each key (a topic name).
    #[must_use]
    pub fn new(entries: BTreeMap<String, Result<Arc<Agent>, Fault>>) -> Self {
        Self::remembering(entries, Memory::default(), None)
    }

    /// The same, with what is remembered of these agents, and by what texts mean if somebody can tell. Builds the index and
    /// learns from the examples, which with many takes seconds: never where a decision waits for it, and with changes taken
    /// together where many come.
    #[must_use]
    pub fn remembering(
        entries: BTreeMap<String, Result<Arc<Agent>, Fault>>,
        memory: Memory,
        embed: Option<Arc<dyn Embed>>,
    ) -> Self {
        let mut by_name: BTreeMap<&str, Vec<&Arc<Agent>>> = BTreeMap::new();
        for agent in entries.values().flatten() {
            by_name.entry(agent.folded_name()).or_default().push(agent);
        }
        let mut by_name: Vec<Vec<&Arc<Agent>>> = by_name.into_values().collect();
        for versions in &mut by_name {
            versions.sort_by(|a, b| b.version().cmp(a.version()));
        }
        by_name.sort_by_key(|versions| versions[0].name());
        let (mut current, mut places) = (Vec::new(), FxHashMap::default());
        for versions in by_name {
            let start = current.len();
            current.extend(versions.iter().map(|agent| Arc::clone(agent)));
            places.insert(versions[0].folded_name().to_owned(), start..current.len());
        }
        let texts = current.iter().map(|agent| agent.texts.iter().chain(memory.texts(agent)).collect());
        let index = Index::new(texts, embed.clone());
        Self(Arc::new(Inner { entries, current, places, memory, embed, index }))
    }

    /// This registry with one definition more, or another in its place.
    #[must_use]
    pub fn upsert(&self, key: impl Into<String>, entry: Result<Arc<Agent>, Fault>) -> Self {
        let mut entries = self.0.entries.clone();
        entries.insert(key.into(), entry);
        Self::remembering(entries, self.0.memory.clone(), self.0.embed.clone())
    }

    /// This registry without one definition.
    #[must_use]
    pub fn remove(&self, key: &str) -> Self {
        let mut entries = self.0.entries.clone();
        entries.remove(key);
        Self::remembering(entries, self.0.memory.clone(), self.0.embed.clone())
    }

    /// The newest version of an agent, its name trimmed and case-folded; never by a part of it.
    #[must_use]
    pub fn agent(&self, name: &str) -> Option<&Arc<Agent>> {
        self.versions(name).first()
    }

    /// All versions of an agent, the newest first.
    #[must_use]
    pub fn versions(&self, name: &str) -> &[Arc<Agent>] {
        &self.0.current[self.places(name)]
    }

    /// The newest version of each name, those first whose texts fit this one best, equals by name.
    #[must_use]
    pub fn by_fit(&self, text: &str) -> Vec<&Arc<Agent>> {
        let fits = self.0.index.fits([beginning(text, SCORED), ""]);
        let mut places: Vec<usize> = self.groups().map(|places| places.start).collect();
        places.sort_by(|a, b| rounded(fits[*b].strength).total_cmp(&rounded(fits[*a].strength)));
        places.into_iter().map(|place| &self.0.current[place]).collect()
    }

    /// The newest version of each name, by name.
    pub fn newest(&self) -> impl Iterator<Item = &Arc<Agent>> {
        self.groups().map(|places| &self.0.current[places.start])
    }

    /// What the versions of an agent take and give; none if it is not registered.
    #[must_use]
    pub fn labels(&self, name: &str) -> Option<Labels> {
        let versions = self.versions(name);
        let all = |side: fn(&Agent) -> &Contract| {
            let label = |agent: &Arc<Agent>| match side(agent) {
                Contract::Label(label) => Some(label.clone()),
                Contract::Any | Contract::Schema(_) => None,
            };
            versions.iter().map(label).collect::<Option<Vec<_>>>().unwrap_or_default()
        };
        (!versions.is_empty()).then(|| Labels { takes: all(Agent::input), gives: all(Agent::output) })
    }

    /// The agent of a topic, whichever version that is.
    #[must_use]
    pub fn by_topic(&self, topic_name: &str) -> Option<&Arc<Agent>> {
        self.0.entries.get(topic_name)?.as_ref().ok()
    }

    /// What is registered under a topic name.
    #[must_use]
    pub fn entry(&self, topic_name: &str) -> Option<&Result<Arc<Agent>, Fault>> {
        self.0.entries.get(topic_name)
    }

    /// The capability by which an agent fits a text, if it is one.
    #[must_use]
    pub fn capability_by(&self, agent: &Agent, text: &str) -> Option<&str> {
        let place = self.0.current.iter().position(|one| one.topic_name() == agent.topic_name())?;
        let fits = self.0.index.fits([beginning(text, SCORED), ""]);
        self.0.index.deciding_capability(&fits[place])
    }

    /// Everything registered by key, the bad with their faults.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Result<Arc<Agent>, Fault>)> {
        self.0.entries.iter().map(|(key, entry)| (key.as_str(), entry))
    }

    /// All agents whose definition is sound, by name, of each name the newest version first. Which version of a name gets
    /// new work depends on the work; the others are drained: what they were given ends there.
    #[must_use]
    pub fn current(&self) -> &[Arc<Agent>] {
        &self.0.current
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.entries.is_empty()
    }

    /// About how many bytes the text index takes, what was learned from examples included.
    #[must_use]
    pub fn index_bytes(&self) -> usize {
        self.0.index.bytes()
    }

    /// The places of the versions of a name, the newest first; an empty range if it is not registered.
    pub(super) fn places(&self, name: &str) -> Range<usize> {
        self.0.places.get(&fold(name)).cloned().unwrap_or_default()
    }

    /// The places of each name's versions, in the order of names.
    pub(super) fn groups(&self) -> impl Iterator<Item = Range<usize>> {
        let current = &self.0.current;
        let mut start = 0;
        std::iter::from_fn(move || {
            let name = current.get(start)?.folded_name();
            let end = start + current[start..].iter().take_while(|agent| agent.folded_name() == name).count();
            Some(std::mem::replace(&mut start, end)..end)
        })
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
    /// What is known of agents' work, by topic name.
    tracks: Arc<FxHashMap<String, Track>>,
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

    #[must_use]
    pub fn track(&self, topic_name: &str) -> Option<&Track> {
        self.tracks.get(topic_name)
    }

    /// Puts in place what is known of agents' work now. Nobody waits for it to change.
    pub fn set_tracks(&mut self, tracks: FxHashMap<String, Track>) {
        self.tracks = Arc::new(tracks);
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
