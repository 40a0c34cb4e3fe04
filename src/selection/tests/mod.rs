//! What holds for every choice, as sentences. `World` keeps the noise out of them.

mod breakers;
mod choosing;
mod definitions;
mod grounds;
mod lint;
mod meaning;
mod memory;
mod preferring;
mod registry;
mod scoring;
mod settling;
mod succession;

use super::*;
use crate::workflow::{Answer, Choice, Choosing, Payload, Said, Settled, Task, Verdict};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A definition by its name and contracts, `{…}` a schema, else a label.
fn agent(name: &str, input: Option<&str>, output: Option<&str>) -> Definition {
    let mut definition = Definition::new(name);
    definition.input.contract = input.map(str::to_owned);
    definition.output.contract = output.map(str::to_owned);
    definition
}

/// A definition by its name and capabilities.
fn able(name: &str, capabilities: &[&str]) -> Definition {
    Definition { capabilities: capabilities.iter().map(|c| (*c).to_owned()).collect(), ..Definition::new(name) }
}

fn resolved(contract: Option<&str>) -> Resolved {
    match contract {
        None => Resolved::Any,
        Some(text) if text.starts_with('{') => Resolved::Schema { text: text.to_owned() },
        Some(label) => Resolved::Label(label.to_owned()),
    }
}

fn key_of(definition: &Definition) -> String {
    topic_name_of(&definition.agent_name, &definition.version)
}

fn compile(definition: Definition) -> Result<Agent, Vec<String>> {
    let key = key_of(&definition);
    compile_at(&key, definition)
}

fn compile_at(key: &str, mut definition: Definition) -> Result<Agent, Vec<String>> {
    if definition.description.is_empty() {
        // Must say something; this adds no word to the index.
        definition.description = "-".to_owned();
    }
    let input = resolved(definition.input.contract.as_deref());
    let output = resolved(definition.output.contract.as_deref());
    Agent::compile(key, definition, input, output)
}

fn registry_of(definitions: Vec<Definition>) -> Registry {
    let mut entries = BTreeMap::new();
    for definition in definitions {
        let key = key_of(&definition);
        entries.insert(key, Ok(Arc::new(compile(definition).expect("a valid definition"))));
    }
    Registry::new(entries)
}

/// One choice to be made, with everything it depends on.
struct World {
    registry: Registry,
    availability: Availability,
    policy: Policy,
    task: Task,
    last: Option<(Payload, String)>,
    declined: Vec<Arc<str>>,
    picked: Vec<Arc<str>>,
    seed: u64,
}

impl World {
    /// All topics there, no LLM.
    fn of(definitions: Vec<Definition>) -> Self {
        Self::of_registry(registry_of(definitions))
    }

    fn of_registry(registry: Registry) -> Self {
        let availability = registry.entries().map(|(key, _)| key).collect();
        Self {
            registry,
            availability,
            policy: Policy { llm: LlmUse::Ambiguous, llm_available: false, ..Policy::default() },
            task: Task::new("t", "do it"),
            last: None,
            declined: Vec::new(),
            picked: Vec::new(),
            seed: 0,
        }
    }

    fn asking(mut self, llm: LlmUse) -> Self {
        self.policy.llm = llm;
        self.policy.llm_available = true;
        self
    }

    fn objective(mut self, text: &str) -> Self {
        self.task.objective = text.to_owned();
        self
    }

    fn input_contract(mut self, contract: &str) -> Self {
        self.task.input_contract = Some(contract.to_owned());
        self
    }

    fn input(mut self, text: &str) -> Self {
        self.task.input = Some(text.into());
        self
    }

    fn after(mut self, output: &str, agent: &str) -> Self {
        self.last = Some((output.into(), topic_name(agent, 1)));
        self
    }

    fn allowing(mut self, names: &[&str]) -> Self {
        self.task.agents = owned(names);
        self
    }

    fn declined(mut self, names: &[&str]) -> Self {
        self.declined = owned(names);
        self
    }

    fn picked(mut self, names: &[&str]) -> Self {
        self.picked = owned(names);
        self
    }

    fn without_topic_of(mut self, topic: &str) -> Self {
        let keys: Vec<&str> = self.registry.entries().map(|(key, _)| key).filter(|key| *key != topic).collect();
        self.availability = keys.into_iter().collect();
        self
    }

    fn choosing(&self) -> Choosing<'_> {
        Choosing {
            value: self.last.as_ref().map(|(output, _)| output).or(self.task.input.as_ref()),
            producer: self.last.as_ref().map(|(_, agent)| agent.as_str()),
            contract: self.task.input_contract.as_deref(),
            may_end: self.last.is_some(),
            declined: &self.declined,
            picked_by_contract: &self.picked,
            seed: self.seed,
            ..Choosing::of(&self.task)
        }
    }

    fn choose(&self) -> Verdict {
        choose(&self.registry, &self.availability, &self.policy, &self.choosing())
    }

    fn eligible(&self) -> Vec<String> {
        prospects(&self.registry, &self.availability, &self.choosing()).eligible
    }

    #[track_caller]
    fn settled(&self) -> Settled {
        match self.choose() {
            Verdict::Settled(settled) => *settled,
            Verdict::Ask { set, .. } => panic!("asks about {set:?}"),
        }
    }

    /// The set asked about, and whether DONE is offered.
    #[track_caller]
    fn asked(&self) -> (Vec<String>, bool) {
        match self.choose() {
            Verdict::Ask { set, offers_done } => (set, offers_done),
            Verdict::Settled(settled) => panic!("settled: {settled:?}"),
        }
    }

    /// Asks, and settles what is answered.
    #[track_caller]
    fn answered(&self, answer: &Answer) -> Settled {
        let (set, offers_done) = self.asked();
        self.answered_to(&set, offers_done, answer)
    }

    fn answered_to(&self, set: &[String], offers_done: bool, answer: &Answer) -> Settled {
        settle(&self.registry, &self.availability, &self.policy, &self.choosing(), set, offers_done, answer)
    }
}

fn owned<T: for<'a> From<&'a str>>(names: &[&str]) -> Vec<T> {
    names.iter().map(|name| (*name).into()).collect()
}

fn said(choice: Choice, confidence: f64) -> Answer {
    let said = Said { choice, confidence, reason: "because".to_owned() };
    Answer { said: Ok(said), attempts: Vec::new(), prompt_version: None }
}

fn names(name: &str, confidence: f64) -> Answer {
    said(chose(name), confidence)
}

fn failed(code: &str) -> Answer {
    Answer { said: Err(code.to_owned()), attempts: Vec::new(), prompt_version: None }
}

fn chose(name: &str) -> Choice {
    Choice::Agent(name.to_owned())
}

fn eligible(settled: &Settled) -> Vec<&str> {
    settled.eligible.iter().map(AsRef::as_ref).collect()
}

fn excluded<'a>(settled: &'a Settled, name: &str) -> &'a str {
    let candidate = settled.candidates.iter().find(|candidate| *candidate.agent_name == *name);
    candidate.expect("a candidate of that name").excluded.as_deref().expect("an excluded one")
}
