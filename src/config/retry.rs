use super::check::Checks;
use super::units::duration;
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

/// The classes of errors, as the configuration spells them.
pub const CLASSES: [&str; 8] =
    ["transient", "rate_limited", "timeout", "invalid_output", "contract", "auth", "permanent", "cancelled"];

impl Retry {
    /// What is said of each class, in the order of [`CLASSES`].
    #[must_use]
    pub fn classes(&self) -> [&Class; CLASSES.len()] {
        [
            &self.transient,
            &self.rate_limited,
            &self.timeout,
            &self.invalid_output,
            &self.contract,
            &self.auth,
            &self.permanent,
            &self.cancelled,
        ]
    }

    pub(super) fn check(&self, checks: &mut Checks) {
        for (class, own) in CLASSES.iter().zip(self.classes()) {
            own.check(&format!("workflow.retry.{class}"), checks);
        }
        for (agent, classes) in &self.agents {
            for (class, own) in classes {
                let path = format!("workflow.retry.agents.{agent}.{class}");
                let remedy = format!("name one of {}", CLASSES.join(", "));
                checks.that(CLASSES.contains(&class.as_str()), &path, "is no class of errors", &remedy);
                own.check(&path, checks);
            }
        }
    }
}

impl Class {
    fn check(&self, path: &str, checks: &mut Checks) {
        if let Some(attempts) = self.attempts {
            checks.range(&format!("{path}.attempts"), attempts, 1, 100);
        }
    }
}
