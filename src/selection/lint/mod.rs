//! What is wrong, or likely to go wrong, with definitions: looked at one by one and beside each other.
//!
//! A fault keeps the agent from being chosen or tries to steer who is; a warning is about how well choices will be made.
//! Pure: whether an endpoint answers is looked at elsewhere.

mod contracts;
mod instructions;
mod overlap;

use super::names::{same_name, shown};
use super::registry::Registry;
pub(super) use instructions::is_hidden;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Fault,
    Warning,
}

/// One thing to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    /// What is looked at: `definition`, `instructions`, `endpoint`, `name`, `overlap`, `examples`, `producer`, `consumer`,
    /// `empty` or `required`.
    pub rule: &'static str,
    pub agent_name: String,
    /// The key of the definition.
    pub topic_name: String,
    /// As the definition spells it, e.g. `input.contract`.
    pub field: String,
    /// What it is, and what to do.
    pub message: String,
}

/// Everything found, faults first, then by agent. Of an agent's versions the newest is compared with other agents; all are
/// looked at by themselves.
#[must_use]
pub fn lint(registry: &Registry) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (key, entry) in registry.entries() {
        let Err(fault) = entry else { continue };
        findings.extend(fault.faults.iter().map(|message| Finding {
            severity: Severity::Fault,
            rule: "definition",
            agent_name: fault.agent_name.clone(),
            topic_name: key.to_owned(),
            field: message.split([' ', ':']).next().unwrap_or_default().to_owned(),
            message: message.clone(),
        }));
    }
    for agent in registry.current() {
        let mut found = Findings { agent, all: &mut findings };
        instructions::look(&mut found);
        contracts::look(&mut found, registry);
        if agent.definition().examples.is_empty() {
            let message =
                "has none: texts of tasks it is right for make choices without an LLM better than anything else";
            found.warn("examples", "examples", message);
        }
    }
    names(registry, &mut findings);
    overlap::look(registry, &mut findings);
    findings
        .sort_by(|a, b| (a.severity, &a.agent_name, &a.topic_name).cmp(&(b.severity, &b.agent_name, &b.topic_name)));
    findings
}

/// What is found of one agent.
struct Findings<'a> {
    agent: &'a super::Agent,
    all: &'a mut Vec<Finding>,
}

impl Findings<'_> {
    fn fault(&mut self, rule: &'static str, field: impl Into<String>, message: impl Into<String>) {
        self.add(Severity::Fault, rule, field.into(), message.into());
    }

    fn warn(&mut self, rule: &'static str, field: impl Into<String>, message: impl Into<String>) {
        self.add(Severity::Warning, rule, field.into(), message.into());
    }

    fn add(&mut self, severity: Severity, rule: &'static str, field: String, message: String) {
        let (agent_name, topic_name) = (self.agent.name().to_owned(), self.agent.topic_name().to_owned());
        self.all.push(Finding { severity, rule, agent_name, topic_name, field, message });
    }
}

/// Names that people and models mix up: the same but for spaces and punctuation, or one a part of the other.
fn names(registry: &Registry, findings: &mut Vec<Finding>) {
    let bare = |name: &str| name.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>().to_lowercase();
    let agents: Vec<_> = registry.newest().map(|agent| (agent, bare(agent.name()))).collect();
    for (index, (agent, own)) in agents.iter().enumerate() {
        for (other, others) in &agents[index + 1..] {
            let name = shown(other.name());
            let mut found = Findings { agent, all: findings };
            if own == others {
                let message = format!("differs from `{name}` only by spaces or punctuation: rename one");
                found.warn("name", "agentName", message);
            } else if own.contains(others.as_str()) || others.contains(own.as_str()) {
                let message = format!(
                    "this name and `{name}` contain one another: names are matched whole, but a model may mix them up; tell them \
                     apart in name or description"
                );
                found.warn("name", "agentName", message);
            }
        }
    }
}

/// Whether a contract as written is this name.
fn is_called(contract: Option<&str>, name: &str) -> bool {
    contract.is_some_and(|contract| same_name(contract, name))
}
