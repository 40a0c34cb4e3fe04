//! Memory: texts of tasks that an agent is known to have been right for.
//!
//! What goes in is *confirmed*: the agent succeeded and its output was verified; who learns it sees to that. Memory sees
//! to the rest. Of each capability it keeps the newest, so many at most, and never more than a share of those from one
//! source, so that whoever floods it wins that share and no more; a text that one source brought is not taken over by
//! another that says it again. What it knows of an agent is worth nothing once the agent's definition says something else.

use super::agent::Agent;
use super::definition::{Example, bounds};
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
}

impl Default for Keep {
    fn default() -> Self {
        // More than ten for each capability made selection better by little, on an intent data set.
        Self { examples: 16, from_one_source: 6 }
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
    agents: Arc<BTreeMap<Whose, ByCapability>>,
}

/// An agent by topic name and by what its definition said.
type Whose = (String, u64);

/// Under the folded name, none under the empty one; the newest first.
type ByCapability = BTreeMap<String, Vec<Arc<Remembered>>>;

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
        let text = beginning(confirmed.text.trim(), bounds::EXAMPLE).to_owned();
        if text.is_empty() {
            return false;
        }
        let declared = |wanted: &String| agent.definition().capabilities.iter().find(|it| same_name(it, wanted));
        let capability = confirmed.capability.as_ref().and_then(declared).map(|name| name.trim().to_owned());
        let confirmed = Confirmed { text, capability, ..confirmed };
        let group = fold(confirmed.capability.as_deref().unwrap_or_default());
        let whose = (agent.topic_name().to_owned(), agent.fingerprint());
        let kept = self.agents.get(&whose).and_then(|of_agent| of_agent.get(&group)).map_or(&[][..], Vec::as_slice);
        let Some(kept) = with(kept, confirmed, self.keep) else { return false };
        Arc::make_mut(&mut self.agents).entry(whose).or_default().insert(group, kept);
        true
    }

    /// What is remembered of an agent as it is defined now, by capability, the newest first.
    pub fn examples(&self, agent: &Agent) -> impl Iterator<Item = &Confirmed> {
        self.of(agent).map(|remembered| &remembered.confirmed)
    }

    /// Drops what is known of agents that are gone or are defined otherwise now. Says whether there was any.
    pub fn forget_changed(&mut self, registry: &Registry) -> bool {
        let holds = |(topic_name, fingerprint): &Whose| {
            registry.by_topic(topic_name).is_some_and(|agent| agent.fingerprint() == *fingerprint)
        };
        if self.agents.keys().all(holds) {
            return false;
        }
        Arc::make_mut(&mut self.agents).retain(|whose, _| holds(whose));
        true
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.agents.values().flat_map(BTreeMap::values).map(Vec::len).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.agents.is_empty()
    }

    pub(super) fn texts(&self, agent: &Agent) -> impl Iterator<Item = &Text> {
        self.of(agent).map(|remembered| &remembered.text)
    }

    fn of(&self, agent: &Agent) -> impl Iterator<Item = &Remembered> {
        let whose = (agent.topic_name().to_owned(), agent.fingerprint());
        self.agents.get(&whose).into_iter().flat_map(BTreeMap::values).flatten().map(Arc::as_ref)
    }
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
