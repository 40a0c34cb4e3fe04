use super::check::Checks;
use super::units::duration;
use crate::workflow::{ErrorClass, Prefer, RetryRule, RetryRules};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// `[workflow.retry]`: what follows a failed attempt, by the class of its error, and for single agents.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    pub transient: Class,
    pub rate_limited: Class,
    /// Not accepted, not done or not heard of in time, and what an agent reports as TIMEOUT.
    pub timeout: Class,
    pub invalid_output: Class,
    pub contract: Class,
    pub auth: Class,
    pub permanent: Class,
    pub cancelled: Class,
    /// By agent name, then class; what is absent is as above.
    pub agents: BTreeMap<String, BTreeMap<String, Class>>,
}

/// One class's rule; what is absent is the class's default.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Class {
    /// Attempts in all, the first one too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// The bound of the first wait; each further one has twice that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Wait>,
    /// The bound of all waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_cap: Option<Wait>,
    /// Who makes the next attempt, if there is a choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Wait(#[serde(with = "duration")] pub Duration);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Agent {
    Same,
    Other,
}

impl Retry {
    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> RetryRules {
        let defaults = RetryRules::default();
        let by_class = ErrorClass::ALL.map(|class| self.class(class).over(defaults.by_class[class as usize]));
        let mut by_agent = BTreeMap::new();
        for (agent, classes) in &self.agents {
            for class in ErrorClass::ALL {
                if let Some(own) = classes.get(&key(class)) {
                    let name = agent.trim().to_ascii_lowercase();
                    by_agent.insert((name, class.symbol()), own.over(by_class[class as usize]));
                }
            }
        }
        RetryRules { by_class, by_agent }
    }

    fn class(&self, class: ErrorClass) -> &Class {
        match class {
            ErrorClass::Transient => &self.transient,
            ErrorClass::RateLimited => &self.rate_limited,
            ErrorClass::Timeout => &self.timeout,
            ErrorClass::InvalidOutput => &self.invalid_output,
            ErrorClass::Contract => &self.contract,
            ErrorClass::Auth => &self.auth,
            ErrorClass::Permanent => &self.permanent,
            ErrorClass::Cancelled => &self.cancelled,
        }
    }

    pub(super) fn check(&self, checks: &mut Checks) {
        for class in ErrorClass::ALL {
            self.class(class).check(&format!("workflow.retry.{}", key(class)), checks);
        }
        let known = ErrorClass::ALL.map(key);
        for (agent, classes) in &self.agents {
            for (class, own) in classes {
                let path = format!("workflow.retry.agents.{agent}.{class}");
                let remedy = format!("name one of {}", known.join(", "));
                checks.that(known.contains(class), &path, "is no class of errors", &remedy);
                own.check(&path, checks);
            }
        }
    }
}

/// The class as the configuration spells it.
fn key(class: ErrorClass) -> String {
    class.symbol().to_ascii_lowercase()
}

impl Class {
    fn over(&self, rule: RetryRule) -> RetryRule {
        let millis = |wait: Wait| i64::try_from(wait.0.as_millis()).unwrap_or(i64::MAX);
        RetryRule {
            attempts: self.attempts.unwrap_or(rule.attempts),
            backoff: self.backoff.map_or(rule.backoff, millis),
            backoff_cap: self.backoff_cap.map_or(rule.backoff_cap, millis),
            agent: match self.agent {
                Some(Agent::Same) => Prefer::Same,
                Some(Agent::Other) => Prefer::Other,
                None => rule.agent,
            },
        }
    }

    fn check(&self, path: &str, checks: &mut Checks) {
        if let Some(attempts) = self.attempts {
            checks.range(&format!("{path}.attempts"), attempts, 1, 100);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_the_classs_default_and_an_agents_word_goes_first() {
        let text = r#"
            [transient]
            attempts = 5
            [agents."Slow One".transient]
            backoff = "10s"
        "#;
        let retry: Retry = toml::from_str(text).expect("it parses");
        let rules = retry.rules();
        let of = |agent| rules.of(agent, ErrorClass::Transient);
        assert_eq!((of("any").attempts, of("any").backoff), (5, 1_000));
        assert_eq!((of("slow one").attempts, of("slow one").backoff), (5, 10_000));
        assert_eq!(rules.of("slow one", ErrorClass::Permanent).attempts, 1);
    }
}
