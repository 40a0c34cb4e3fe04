//! What a model is told before every question of a kind: our rules or those of a file, and always the rule about what others
//! wrote, which no file can take away.

use super::{plan, prompt};
use crate::workflow::fnv1a_32;
use std::sync::Arc;

/// The rules of one kind of question.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) text: Arc<str>,
    /// Another one for other words.
    pub(super) version: Arc<str>,
}

impl Rules {
    fn new(built_in: &str, guard: &str, version: &str, given: Option<&str>) -> Self {
        match given {
            None => Self { text: format!("{built_in}{guard}").into(), version: version.into() },
            Some(given) => Self {
                text: format!("{}\n{guard}", given.trim()).into(),
                version: format!("{version}/{:08x}", fnv1a_32(given.trim())).into(),
            },
        }
    }
}

/// The rules of both kinds of question.
#[derive(Clone, Debug)]
pub struct Prompts {
    pub(super) select: Rules,
    pub(super) plan: Rules,
}

impl Prompts {
    /// These words in place of the built-in rules for choices and for plans; none = the built-in ones.
    #[must_use]
    pub fn new(select: Option<&str>, plan: Option<&str>) -> Self {
        Self {
            select: Rules::new(prompt::RULES, prompt::GUARD, prompt::VERSION, select),
            plan: Rules::new(plan::RULES, plan::GUARD, plan::VERSION, plan),
        }
    }

    /// The same, with these rules for choices.
    pub(super) fn selecting_by(&self, select: &str) -> Self {
        Self { select: Self::new(Some(select), None).select, plan: self.plan.clone() }
    }

    /// What a model would be told of this choice.
    #[must_use]
    pub fn select(&self, ask: &super::Ask) -> Worded {
        let prompt = prompt::Prompt::new(ask, &self.select);
        Worded { version: prompt.version, system: self.select.text.to_string(), user: prompt.user }
    }

    /// What a model would be told of this plan.
    #[must_use]
    pub fn plan(&self, ask: &super::PlanAsk) -> Worded {
        let prompt = plan::PlanPrompt::new(ask, &self.plan);
        Worded { version: prompt.version, system: self.plan.text.to_string(), user: prompt.user }
    }
}

impl Default for Prompts {
    fn default() -> Self {
        Self::new(None, None)
    }
}

/// A question as a model is told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worded {
    /// Of the rules and of what is told of the agents.
    pub version: String,
    pub system: String,
    pub user: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_words_are_another_version_and_the_guard_stays() {
        let (ours, theirs) = (Prompts::default(), Prompts::new(Some(" Choose the cheapest.\n"), None));
        assert_eq!((&*ours.select.version, &*ours.plan.version), (prompt::VERSION, plan::VERSION));
        assert!(theirs.select.version.starts_with(&format!("{}/", prompt::VERSION)), "{}", theirs.select.version);
        assert_eq!(&*theirs.select.text, &format!("Choose the cheapest.\n{}", prompt::GUARD));
        assert_eq!(&*theirs.plan.text, &*ours.plan.text);
    }
}
