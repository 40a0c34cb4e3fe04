use super::check::Checks;
use serde::{Deserialize, Serialize};

/// `[routing]`: when an LLM is asked, and when its word or the local score is enough.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Routing {
    pub llm: AskLlm,
    /// By how much the chance of the best, as the local selector sees it, must lead that of the second to decide without
    /// a call; 0 to 1.
    pub margin: f64,
    /// Least confidence at which the LLM's choice of an agent counts; 0 to 1.
    pub threshold: f64,
    /// Agents offered to the LLM at most.
    pub shortlist: usize,
}

/// When the LLM is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AskLlm {
    /// Also where contracts or scores leave no doubt.
    Always,
    /// Where they leave some.
    Ambiguous,
    Never,
}

impl Default for Routing {
    fn default() -> Self {
        Self { llm: AskLlm::Ambiguous, margin: 0.6, threshold: 0.5, shortlist: 20 }
    }
}

impl Routing {
    pub(super) fn check(&self, checks: &mut Checks) {
        let unit = 0.0..=1.0;
        checks.that(unit.contains(&self.margin), "routing.margin", "must be between 0 and 1", "use 0.6");
        checks.that(unit.contains(&self.threshold), "routing.threshold", "must be between 0 and 1", "use 0.5");
        checks.range("routing.shortlist", self.shortlist, 1, 20);
    }
}
