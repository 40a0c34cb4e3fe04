use super::foresight::Prediction;
use super::forgetting::{Forgetting, Mean};
use super::posterior::Posterior;
use super::sketch::Sketch;
use crate::contract::OutcomeClass;
use std::collections::BTreeMap;

/// How one assignment ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    pub class: OutcomeClass,
    /// From the assignment to its end, in milliseconds.
    pub latency_ms: i64,
    pub tokens: i64,
    pub cost_micros: i64,
    pub output_bytes: i64,
    /// 0 to 1, where somebody judged it.
    pub quality: Option<f64>,
    pub capability: Option<String>,
    pub task_type: Option<String>,
    /// What was expected of it, if anything was.
    pub prediction: Option<Prediction>,
    /// When it ended, in milliseconds since the epoch.
    pub at: i64,
}

/// What an outcome says of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Good,
    /// The agent's fault.
    Bad,
    /// It has too much to do: load, no failure.
    Overloaded,
    /// Nobody took the assignment in time: a full queue, or nobody there.
    Unheard,
    /// A word that says nothing of how well it works: its input was wrong, or the work is not its own.
    Neither,
    /// The work was withdrawn: no word at all.
    Nothing,
}

/// Whose fault it was.
#[must_use]
pub fn verdict(class: OutcomeClass) -> Verdict {
    match class {
        OutcomeClass::Succeeded => Verdict::Good,
        OutcomeClass::Transient
        | OutcomeClass::Timeout
        | OutcomeClass::InvalidOutput
        | OutcomeClass::Auth
        | OutcomeClass::Permanent => Verdict::Bad,
        OutcomeClass::RateLimited => Verdict::Overloaded,
        OutcomeClass::NotAccepted => Verdict::Unheard,
        OutcomeClass::Contract | OutcomeClass::Cancelled | OutcomeClass::Declined | OutcomeClass::InputRequired => {
            Verdict::Neither
        }
        OutcomeClass::Withdrawn | OutcomeClass::Unknown => Verdict::Nothing,
    }
}

/// What is known of an agent's outcomes, of all or of one kind. All but `counts` is forgotten with time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Outcomes by class, never forgotten.
    pub counts: BTreeMap<String, i64>,
    pub success: Posterior,
    /// Of successes.
    pub latency: Sketch,
    /// Tokens, millionths and bytes of one assignment that the agent answered.
    pub tokens: Mean,
    pub cost: Mean,
    pub output_bytes: Mean,
    pub quality: Mean,
    /// The last outcome, in milliseconds since the epoch.
    pub at: i64,
}

impl Statistics {
    pub fn take(&mut self, seen: &Observation, forgetting: &Forgetting) {
        *self.counts.entry(seen.class.symbol().to_owned()).or_default() += 1;
        let verdict = verdict(seen.class);
        let succeeded = match verdict {
            Verdict::Good => true,
            Verdict::Bad => false,
            Verdict::Overloaded | Verdict::Unheard | Verdict::Neither | Verdict::Nothing => return,
        };
        let factor = if self.at == 0 { 1.0 } else { forgetting.factor(seen.at - self.at) };
        self.at = self.at.max(seen.at);
        self.success.take(succeeded, factor);
        self.tokens.take(number(seen.tokens), factor);
        self.cost.take(number(seen.cost_micros), factor);
        if succeeded {
            self.latency.take(number(seen.latency_ms), factor);
            self.output_bytes.take(number(seen.output_bytes), factor);
        }
        if let Some(quality) = seen.quality {
            self.quality.take(quality.clamp(0.0, 1.0), factor);
        }
    }

    /// Outcomes of any class.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.counts.values().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// Nonsense counts as nothing.
fn number(value: i64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    let number = value.max(0) as f64;
    number
}
