//! What an agent is known by: its texts, each as terms.

use super::definition::{Definition, Example};
use super::words::{Term, terms};

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
}

impl Text {
    /// All that a definition says, the capabilities first.
    pub(super) fn of(definition: &Definition) -> Vec<Self> {
        let one = |role, text: &str| Self { role, terms: terms([text]) };
        let mut texts = Vec::with_capacity(definition.capabilities.len() + definition.examples.len() + 2);
        texts.extend(definition.capabilities.iter().map(|name| one(Role::Capability(name.trim().to_owned()), name)));
        texts.extend(definition.examples.iter().map(Self::of_example));
        let described = [&definition.description].into_iter().chain(&definition.specialization);
        texts.push(Self { role: Role::Description, terms: terms(described.map(String::as_str)) });
        texts.push(one(Role::Name, &definition.agent_name));
        texts
    }

    pub(super) fn of_example(example: &Example) -> Self {
        let capability = example.capability.as_ref().map(|name| name.trim().to_owned());
        Self { role: Role::Example(example.text.trim().to_owned(), capability), terms: terms([example.text.as_str()]) }
    }
}
