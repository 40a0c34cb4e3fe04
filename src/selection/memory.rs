//! Memory: texts of tasks that an agent is known to have been right for.
//!
//! What goes in is *confirmed*: the agent succeeded and its output was verified; who learns it sees to that. Memory sees
//! to the rest. Of each capability it keeps the newest, so many at most, and never more than a share of those from one
//! source, so that whoever floods it wins that share and no more; a text that one source brought is not taken over by
//! another that says it again. Of an agent with many capabilities so many in all; beyond that the oldest goes of whoever
//! brought most. What it knows of an agent is worth nothing once the agent's definition says something else.

use super::agent::Agent;
use super::definition::{Example, bounds};
use super::lint::is_hidden;
use super::names::{fold, same_name};
use super::registry::Registry;
use super::text::Text;
use super::words::beginning;
use crate::workflow::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How much is kept of each capability of each agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    pub examples: usize,
    /// Of those, from one source at most.
    pub from_one_source: usize,
    /// Of all capabilities of one agent together.
    pub of_agent: usize,
}

impl Default for Keep {
    fn default() -> Self {
        // More than ten for each capability made selection better by little, on an intent data set.
        // All of an agent have to fit into one record of a topic, however long they are.
        Self { examples: 16, from_one_source: 6, of_agent: 256 }
    }
}

/// A task that an agent succeeded with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// What was asked for; its beginning is kept.
    pub text: String,
    /// The capability that was wanted, if one was; one that the agent does not declare is none.
    pub capability: Option<String>,
    /// Whoever submitted the task.
    pub source: String,
    /// When it was confirmed.
    pub at: Timestamp,
}

/// What is remembered of all agents. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    keep: Keep,
    /// By topic name.
    agents: Arc<BTreeMap<String, Known>>,
}

/// What is remembered of one agent.
#[derive(Clone, Debug)]
struct Known {
    /// The fingerprint of the definition that it is of.
    definition: u64,
    /// Under the folded name, none under the empty one; the newest first.
    by_capability: BTreeMap<String, Vec<Arc<Remembered>>>,
}

#[derive(Debug)]
struct Remembered {
    confirmed: Confirmed,
    text: Text,
}

impl Memory {
    #[must_use]
    pub fn new(keep: Keep) -> Self {
        Self { keep, agents: Arc::default() }
    }

    /// Takes in what was confirmed of `agent`. Says whether memory holds something else now, so that whoever chooses by it
    /// is to be built anew; a text that says nothing and one too old to be kept change nothing.
    pub fn learn(&mut self, agent: &Agent, confirmed: Confirmed) -> bool {
        let declared = |wanted: &String| agent.definition().capabilities.iter().find(|it| same_name(it, wanted));
        let capability = confirmed.capability.as_ref().and_then(declared).cloned();
        let known = self.agents.get(agent.topic_name()).filter(|known| known.definition == agent.fingerprint());
        let mut known = known.cloned().unwrap_or_else(|| Known::nothing(agent.fingerprint()));
        let learned = known.take(Confirmed { capability, ..confirmed }, self.keep);
        if learned {
            Arc::make_mut(&mut self.agents).insert(agent.topic_name().to_owned(), known);
        }
        learned
    }

    /// Puts these in place of what is remembered of the agent of a topic, as it is defined by that fingerprint. Says whether
    /// its texts are others now.
    pub fn put(&mut self, topic_name: &str, definition: u64, examples: impl IntoIterator<Item = Confirmed>) -> bool {
        let mut known = Known::nothing(definition);
        for confirmed in examples {
            known.take(confirmed, self.keep);
        }
        if known.is_empty() {
            return self.forget(topic_name);
        }
        let differs = self.agents.get(topic_name).is_none_or(|before| !before.says_the_same(&known));
        Arc::make_mut(&mut self.agents).insert(topic_name.to_owned(), known);
        differs
    }

    /// Drops what is known of one agent. Says whether there was anything.
    pub fn forget(&mut self, topic_name: &str) -> bool {
        self.agents.contains_key(topic_name) && Arc::make_mut(&mut self.agents).remove(topic_name).is_some()
    }

    /// What is remembered of an agent as it is defined now, by capability, the newest first.
    pub fn examples(&self, agent: &Agent) -> impl Iterator<Item = &Confirmed> {
        self.of(agent).map(|remembered| &remembered.confirmed)
    }

    /// The fingerprint of the definition that the examples of the agent of a topic are of, and all of them; none if there
    /// are none.
    #[must_use]
    pub fn remembered(&self, topic_name: &str) -> Option<(u64, impl Iterator<Item = &Confirmed>)> {
        let known = self.agents.get(topic_name)?;
        Some((known.definition, known.iter().map(|remembered| &remembered.confirmed)))
    }

    /// Topic names of the agents of which something is remembered.
    pub fn topic_names(&self) -> impl Iterator<Item = &str> {
        self.agents.keys().map(String::as_str)
    }

    /// Drops what is known of agents that are gone or are defined otherwise now; returns their topic names. Of a definition
    /// with a fault nobody knows yet what it will say.
    pub fn forget_changed(&mut self, registry: &Registry) -> Vec<String> {
        let is_changed = |topic_name: &str, known: &Known| match registry.entry(topic_name) {
            Some(Ok(agent)) => agent.fingerprint() != known.definition,
            Some(Err(_)) => false,
            None => true,
        };
        let changed: Vec<String> = self
            .agents
            .iter()
            .filter(|(topic_name, known)| is_changed(topic_name, known))
            .map(|(topic_name, _)| topic_name.clone())
            .collect();
        for topic_name in &changed {
            self.forget(topic_name);
        }
        changed
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.agents.values().map(|known| known.iter().count()).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.agents.is_empty()
    }

    pub(super) fn texts(&self, agent: &Agent) -> impl Iterator<Item = &Text> {
        self.of(agent).map(|remembered| &remembered.text)
    }

    fn of(&self, agent: &Agent) -> impl Iterator<Item = &Remembered> {
        let known = self.agents.get(agent.topic_name()).filter(|known| known.definition == agent.fingerprint());
        known.into_iter().flat_map(Known::iter)
    }
}

impl Known {
    fn nothing(definition: u64) -> Self {
        Self { definition, by_capability: BTreeMap::new() }
    }

    fn is_empty(&self) -> bool {
        self.by_capability.is_empty()
    }

    fn iter(&self) -> impl Iterator<Item = &Remembered> {
        self.by_capability.values().flatten().map(Arc::as_ref)
    }

    /// Whether the texts are the same, whenever and by whomever they were confirmed.
    fn says_the_same(&self, other: &Self) -> bool {
        let says = |one: &Self| {
            let texts = one.iter().map(|it| (it.confirmed.text.clone(), it.confirmed.capability.clone()));
            texts.collect::<std::collections::BTreeSet<_>>()
        };
        self.definition == other.definition && says(self) == says(other)
    }

    /// Says whether it holds something else now.
    fn take(&mut self, confirmed: Confirmed, keep: Keep) -> bool {
        let text = readable(&confirmed.text);
        if text.is_empty() {
            return false;
        }
        let capability = confirmed.capability.map(|name| name.trim().to_owned());
        let confirmed = Confirmed { text, capability, ..confirmed };
        let group = fold(confirmed.capability.as_deref().unwrap_or_default());
        let kept = self.by_capability.get(&group).map_or(&[][..], Vec::as_slice);
        let Some(kept) = with(kept, confirmed.clone(), keep) else { return false };
        self.by_capability.insert(group, kept);
        if self.iter().count() > keep.of_agent {
            return self.drop_one() != Some(confirmed);
        }
        true
    }

    /// Drops the oldest of the source that has most.
    fn drop_one(&mut self) -> Option<Confirmed> {
        let mut by_source: BTreeMap<&str, (usize, &Confirmed)> = BTreeMap::new();
        for Remembered { confirmed, .. } in self.iter() {
            let (count, oldest) = by_source.entry(&confirmed.source).or_insert((0, confirmed));
            *count += 1;
            if rank(confirmed) > rank(oldest) {
                *oldest = confirmed;
            }
        }
        let most = by_source.into_values().max_by(|a, b| a.0.cmp(&b.0).then_with(|| rank(a.1).cmp(&rank(b.1))));
        let dropped = most.map(|(_, oldest)| oldest.clone())?;
        for of_capability in self.by_capability.values_mut() {
            of_capability.retain(|one| one.confirmed != dropped);
        }
        self.by_capability.retain(|_, of_capability| !of_capability.is_empty());
        Some(dropped)
    }
}

/// The beginning of a text, without what nobody sees.
fn readable(text: &str) -> String {
    // Enough for what is left of it.
    let seen: String = beginning(text, 4 * bounds::EXAMPLE)
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .filter(|letter| !is_hidden(*letter))
        .collect();
    let words: Vec<&str> = seen.split_whitespace().collect();
    beginning(&words.join(" "), bounds::EXAMPLE).trim_end().to_owned()
}

/// These and one more, as far as there is room; none if that changes nothing.
fn with(kept: &[Arc<Remembered>], confirmed: Confirmed, keep: Keep) -> Option<Vec<Arc<Remembered>>> {
    let key = fold(&confirmed.text);
    let known = kept.iter().map(|other| &other.confirmed).find(|other| fold(&other.text) == key);
    if known.is_some_and(|known| known.source != confirmed.source || known.at >= confirmed.at) {
        return None;
    }
    let example = Example { text: confirmed.text.clone(), capability: confirmed.capability.clone() };
    let one = Arc::new(Remembered { text: Text::of_example(&example), confirmed });
    let mut all: Vec<Arc<Remembered>> =
        kept.iter().filter(|other| fold(&other.confirmed.text) != key).cloned().chain([Arc::clone(&one)]).collect();
    all.sort_by(|a, b| rank(&a.confirmed).cmp(&rank(&b.confirmed)));
    let mut by_source: BTreeMap<&str, usize> = BTreeMap::new();
    let chosen: Vec<Arc<Remembered>> = all
        .iter()
        .filter(|remembered| {
            let count = by_source.entry(&remembered.confirmed.source).or_default();
            *count += 1;
            *count <= keep.from_one_source
        })
        .take(keep.examples)
        .cloned()
        .collect();
    chosen.iter().any(|remembered| Arc::ptr_eq(remembered, &one)).then_some(chosen)
}

/// The newest first; of the same moment in one order everywhere.
fn rank(confirmed: &Confirmed) -> (std::cmp::Reverse<Timestamp>, &str, &str) {
    (std::cmp::Reverse(confirmed.at), &confirmed.text, &confirmed.source)
}
