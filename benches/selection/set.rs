//! A labelled set: agents, tasks whose agent is known, and what agents succeeded with.

use baton::selection::{Agent, Definition, Resolved, topic_name};
use baton::service::Known;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub(crate) struct Task {
    pub(crate) text: String,
    pub(crate) agent: Option<String>,
}

pub(crate) struct Set {
    pub(crate) agents: Vec<Arc<Agent>>,
    pub(crate) tasks: Vec<Task>,
    examples: Vec<Known>,
}

impl Set {
    pub(crate) fn read(dir: &Path) -> Self {
        let tasks = if dir.join("dev.jsonl").exists() { "dev.jsonl" } else { "tasks.jsonl" };
        let agents: Vec<Value> = serde_json::from_str(&text(&dir.join("agents.json"))).unwrap();
        let task = |line: Value| Task { text: word(&line["text"]), agent: line["agent"].as_str().map(str::to_owned) };
        let example = |line: Value| Known {
            agent_name: word(&line["agent"]),
            text: word(&line["text"]),
            capability: line["capability"].as_str().map(str::to_owned),
        };
        Self {
            agents: agents.iter().map(defined).collect(),
            tasks: lines(&dir.join(tasks)).map(task).collect(),
            examples: lines(&dir.join("examples.jsonl")).map(example).collect(),
        }
    }

    /// The first examples of each capability, so many at most.
    pub(crate) fn examples(&self, most: usize) -> Vec<Known> {
        let mut counts: BTreeMap<(&str, Option<&str>), usize> = BTreeMap::new();
        let mut chosen = Vec::new();
        for known in &self.examples {
            let count = counts.entry((&known.agent_name, known.capability.as_deref())).or_default();
            *count += 1;
            if *count <= most {
                chosen.push(known.clone());
            }
        }
        chosen
    }
}

/// An agent that takes and gives anything.
pub(crate) fn agent(definition: Definition) -> Arc<Agent> {
    let key = topic_name(&definition.agent_name, 1);
    Arc::new(Agent::compile(&key, definition, Resolved::Any, Resolved::Any).expect("the definition is sound"))
}

fn defined(json: &Value) -> Arc<Agent> {
    let words = |list: &Value| list.as_array().into_iter().flatten().map(word).collect();
    let mut definition = Definition::new(word(&json["agentName"]));
    definition.description = word(&json["description"]);
    definition.capabilities = words(&json["capabilities"]);
    definition.specialization = words(&json["performance"]["specialization"]);
    agent(definition)
}

fn lines(path: &Path) -> impl Iterator<Item = Value> {
    text(path).lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>().into_iter()
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
