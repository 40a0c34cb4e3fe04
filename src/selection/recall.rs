//! What an LLM answered: a question that was answered before need not be put to it again.
//!
//! It is the same question if all that the LLM would be told is the same: the type of the task, the objective but for case
//! and spaces, the last output and whose it is, the steps so far, what is asked for by contract and capability, and the agents
//! to choose from. The words they are described in are the same as long as the registry is. What chance or other tasks
//! change (load, track records, `explore`) is no part of it: an LLM's choice is not drawn.
//!
//! A recalled answer is judged like a new one: its agent must be eligible now. Nothing is recalled where the step was tried
//! before, and nothing of an agent after it failed. What is kept stands still while a batch is staged, so that a batch staged
//! again comes out the same: it changes only by what is durable.

use super::agent::Agent;
use super::names::fold;
use super::registry::{Availability, Registry};
use super::settle::settle;
use super::strategies::InForce;
use crate::workflow::{Answer, Choice, Choosing, Grounds, QuestionKey, Said, Settled, SettledBy};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Bytes of an answer's reason that are kept.
const REASON: usize = 300;

/// The answers of one worker's LLM, so many at most: the oldest goes first, however often it is used, and is asked for again.
#[derive(Debug)]
pub struct Answers {
    most: usize,
    kept: BTreeMap<QuestionKey, Kept>,
    /// The keys of `kept`, the oldest first.
    order: VecDeque<QuestionKey>,
    /// How often an agent failed since the registry changed, by its name: what was answered before counts no more.
    failures: BTreeMap<Arc<str>, u64>,
    /// The agents that the answers are about.
    agents: Vec<Arc<Agent>>,
}

#[derive(Debug)]
struct Kept {
    said: Said,
    /// Those of the agent when it was named.
    failures: u64,
}

impl Answers {
    /// `most` 0 = nothing is kept.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let (kept, order, failures) = (BTreeMap::new(), VecDeque::new(), BTreeMap::new());
        Self { most, kept, order, failures, agents: Vec::new() }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Keeps what an LLM decided, if it may be recalled.
    pub fn learn(&mut self, settled: &Settled) {
        let (Some(question), Some(confidence)) = (settled.question, settled.confidence) else { return };
        if self.most == 0 {
            return;
        }
        let mut reason = settled.reason.clone();
        reason.truncate(reason.floor_char_boundary(REASON));
        let said = Said { choice: settled.choice.clone(), confidence, reason };
        let failures = self.failures_of(&said.choice);
        if self.kept.insert(question, Kept { said, failures }).is_none() {
            self.order.push_back(question);
        }
        while self.kept.len() > self.most {
            let Some(oldest) = self.order.pop_front() else { return };
            self.kept.remove(&oldest);
        }
    }

    /// The agent of this name failed.
    pub fn failed(&mut self, agent_name: &Arc<str>) {
        if self.most > 0 {
            *self.failures.entry(Arc::clone(agent_name)).or_default() += 1;
        }
    }

    /// Takes note of who is registered and whose breaker is not closed. Where anybody is registered anew, otherwise or no
    /// more, nothing that was answered before counts.
    pub fn look(&mut self, registry: &Registry, availability: &Availability) {
        if self.most == 0 {
            return;
        }
        let now = registry.current();
        let same = self.agents.len() == now.len() && self.agents.iter().zip(now).all(|(a, b)| Arc::ptr_eq(a, b));
        if !same {
            (self.kept, self.order, self.failures) = (BTreeMap::new(), VecDeque::new(), BTreeMap::new());
            self.agents = now.to_vec();
        }
        for agent in now.iter().filter(|agent| availability.breaker(agent.topic_name()).is_some()) {
            self.failed(&agent.shown_name);
        }
    }

    fn find(&self, question: &QuestionKey) -> Option<&Said> {
        let kept = self.kept.get(question)?;
        (kept.failures == self.failures_of(&kept.said.choice)).then_some(&kept.said)
    }

    fn failures_of(&self, choice: &Choice) -> u64 {
        match choice {
            Choice::Agent(name) => self.failures.get(name.as_str()).copied().unwrap_or(0),
            Choice::None | Choice::Done => 0,
        }
    }
}

/// The decision on a question that was answered before, if the answer still holds: it is settled like a new one.
#[must_use]
pub fn recall(
    answers: &Answers,
    registry: &Registry,
    availability: &Availability,
    in_force: &InForce<'_>,
    choosing: &Choosing<'_>,
    set: &[String],
    offers_done: bool,
) -> Option<Settled> {
    if answers.is_empty() {
        return None;
    }
    let said = answers.find(&asked_by(key(choosing, set, offers_done)?, in_force.strategy))?;
    let answer = Answer { said: Ok(said.clone()), attempts: Vec::new(), prompt_version: None };
    let settled = settle(registry, availability, in_force.policy, choosing, set, offers_done, &answer);
    let reason = format!("the LLM answered the same question before: {}", settled.reason);
    if settled.by != SettledBy::Llm {
        return None;
    }
    // The same text was learned from when it was answered.
    let grounds = settled.grounds.as_deref().map(|grounds| Arc::new(Grounds { teaches: None, ..*grounds }));
    Some(Settled { by: SettledBy::Cache, reason, question: None, grounds, ..settled })
}

/// The same question put by a strategy: each may have words and a model of its own. None = the default one.
pub(super) fn asked_by(question: QuestionKey, strategy: Option<&Arc<str>>) -> QuestionKey {
    let by =
        |name: &Arc<str>| QuestionKey(Sha256::new().chain_update(question.0).chain_update(&**name).finalize().into());
    strategy.map_or(question, by)
}

/// What the question is known by; none where the step was tried before, for then it is to go elsewhere.
pub(super) fn key(choosing: &Choosing<'_>, set: &[String], offers_done: bool) -> Option<QuestionKey> {
    if choosing.tried {
        return None;
    }
    let mut hash = Sha256::new();
    // Each with its length before it, so that no two lists of texts are the same bytes.
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    };
    add(&fold(choosing.task.kind.as_deref().unwrap_or_default()));
    let objective: Vec<String> = choosing.objective.split_whitespace().map(str::to_lowercase).collect();
    add(&objective.join(" "));
    add(choosing.contract.unwrap_or_default());
    add(&fold(choosing.capability.unwrap_or_default()));
    let output = choosing.producer.and(choosing.value);
    add(choosing.producer.unwrap_or_default());
    add(output.map_or("", |output| output.text()));
    add(if offers_done { "DONE" } else { "" });
    let mut names: Vec<&String> = set.iter().collect();
    names.sort();
    add(&names.len().to_string());
    names.into_iter().for_each(|name| add(name));
    for step in choosing.steps.iter().flat_map(|steps| steps.iter()).filter(|step| step.output.is_some()) {
        add(&step.id);
        add(&step.agent_name);
    }
    Some(QuestionKey(hash.finalize().into()))
}
