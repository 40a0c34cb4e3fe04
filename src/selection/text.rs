//! What an agent is known by: its texts, each as terms.

use super::definition::{Definition, Example};
use super::words::{Term, terms};
use std::sync::{Arc, OnceLock};

/// Characters of an objective, and of a last output, that are scored at most.
pub(super) const SCORED: usize = 2_000;

/// What a text says about its agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Its name as written.
    Capability(String),
    /// Something the agent did or would do, with the capability it belongs to as written.
    Example(String, Option<String>),
    /// Description and specialization.
    Description,
    Name,
}

/// One text as terms, worked out when the definition or the example is read.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) role: Role,
    pub(super) terms: Vec<Term>,
    /// All of it, for whoever reads it otherwise than as terms.
    pub(super) said: Box<str>,
    /// Where it lies by what it means, once that was asked.
    pub(super) vector: OnceLock<Arc<[f32]>>,
}

impl Text {
    /// All that a definition says, the capabilities first.
    pub(super) fn of(definition: &Definition) -> Vec<Self> {
        let mut texts = Vec::with_capacity(definition.capabilities.len() + definition.examples.len() + 2);
        texts.extend(
            definition.capabilities.iter().map(|name| Self::new(Role::Capability(name.trim().to_owned()), name)),
        );
        texts.extend(definition.examples.iter().map(Self::of_example));
        let described = [&definition.description].into_iter().chain(&definition.specialization);
        texts.push(Self::new(Role::Description, &described.map(String::as_str).collect::<Vec<_>>().join(" ")));
        texts.push(Self::new(Role::Name, &definition.agent_name));
        texts
    }

    pub(super) fn of_example(example: &Example) -> Self {
        let capability = example.capability.as_ref().map(|name| name.trim().to_owned());
        Self::new(Role::Example(example.text.trim().to_owned(), capability), &example.text)
    }

    fn new(role: Role, said: &str) -> Self {
        Self { role, terms: terms([said]), said: said.trim().into(), vector: OnceLock::new() }
    }
}
