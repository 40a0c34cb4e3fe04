//! A decision of the past made again by other rules, from what was recorded of it: the factors of its candidates, how likely
//! each was to be taken, and what the LLM answered.
//!
//! A score is made of the factors and the weights alone, so it comes out as it would have at the time. What the record does
//! not hold is not made up: then it says which ([`Unknowable`]).

use super::explore::{Bounds, Contender, probabilities};
use super::names::same_name;
use super::policy::{LlmUse, Policy};
use super::track::{Belief, Weights};
use crate::workflow::SettledBy;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A decision as it is recorded.
#[derive(Clone, Debug)]
pub struct Past {
    pub by: SettledBy,
    /// The agent; none where none was chosen.
    pub chosen: Option<String>,
    /// What would have been chosen without the LLM that decided.
    pub without_llm: Option<String>,
    pub confidence: Option<f64>,
    /// The code of why the LLM's answer did not decide, where one was to be had.
    pub degraded: Option<String>,
    pub propensity: Option<f64>,
    /// The version of the words in which the LLM was asked, and the model that answered last.
    pub words: Option<String>,
    pub model: Option<String>,
    /// Of the task.
    pub kind: Option<String>,
    /// Those that could be chosen.
    pub candidates: Vec<PastCandidate>,
}

#[derive(Clone, Debug)]
pub struct PastCandidate {
    pub agent_name: Arc<str>,
    pub score: Option<f64>,
    /// By name.
    pub factors: BTreeMap<Cow<'static, str>, f64>,
}

/// The other rules.
#[derive(Clone, Debug, Default)]
pub struct Otherwise {
    pub policy: Policy,
    /// The version of the rules in which an LLM is asked, and the models there are.
    pub words: String,
    pub models: Vec<String>,
}

/// What the other rules would have come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Again {
    /// How likely each of the candidates would be taken, in their order.
    pub probabilities: Vec<f64>,
    /// Of the one that was chosen.
    pub of_chosen: f64,
    /// How likely it was to be chosen when it was.
    pub propensity: f64,
    /// Whether an LLM would be asked.
    pub asks: bool,
}

/// Why nobody can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unknowable {
    /// No agent was chosen.
    NoAgent,
    /// A plan, a person, or the attempt before named the agent.
    Named,
    /// Contracts left one agent.
    Contract,
    /// An affinity chose, which the record does not hold.
    Affinity,
    /// The record does not hold all that scoring takes: an earlier version wrote it.
    Unscored,
    /// An LLM would be asked that was not.
    WouldAsk,
    /// The LLM would be asked in other words, or another model.
    OtherLlm,
    /// The LLM was not sure, and whether it would be sure enough depends on more than the record holds.
    Unsure,
}

impl Unknowable {
    /// As it is counted.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NoAgent => "noAgent",
            Self::Named => "named",
            Self::Contract => "contract",
            Self::Affinity => "affinity",
            Self::Unscored => "unscored",
            Self::WouldAsk => "wouldAsk",
            Self::OtherLlm => "otherLlm",
            Self::Unsure => "unsure",
        }
    }
}

impl Past {
    /// Makes the decision again. What chance has a part in goes by `seed`.
    ///
    /// # Errors
    /// [`Unknowable`].
    pub fn again(&self, other: &Otherwise, seed: u64) -> Result<Again, Unknowable> {
        let chosen = self.chosen.as_deref().ok_or(Unknowable::NoAgent)?;
        match self.by {
            SettledBy::Pinned | SettledBy::Operator => return Err(Unknowable::Named),
            SettledBy::Contract => return Err(Unknowable::Contract),
            SettledBy::Cache | SettledBy::ClearWinner | SettledBy::Llm | SettledBy::Local => {}
        }
        let place = self.place(chosen).ok_or(Unknowable::Unscored)?;
        let group = self.group(place)?;
        let asks = self.would_ask(other, &group)?;
        let was_asked = self.degraded.is_some() || self.was_llms();
        // An LLM's word is not drawn: asked the same it would say the same.
        let propensity = if self.was_llms() { 1.0 } else { self.propensity.ok_or(Unknowable::Affinity)? };
        let probabilities = if asks {
            self.as_the_llm_said(other, place, was_asked, &group)?
        } else {
            self.drawn(&other.policy, &group, seed, self.explores(&group))?
        };
        Ok(Again { of_chosen: probabilities[place], probabilities, propensity, asks })
    }

    /// Places of the candidates that fitted alike, from whom one is taken where no LLM is asked.
    fn group(&self, chosen: usize) -> Result<Vec<usize>, Unknowable> {
        let alike = |place: &usize| self.candidates[*place].factors.contains_key("fit");
        let group: Vec<usize> = (0..self.candidates.len()).filter(alike).collect();
        match group.as_slice() {
            [] if self.was_llms() => {
                let local = self.without_llm.as_deref().and_then(|name| self.place(name));
                Ok(vec![local.ok_or(Unknowable::NoAgent)?])
            }
            [] => Ok(vec![chosen]),
            group if group.contains(&chosen) || self.was_llms() => Ok(group.to_vec()),
            _ => Err(Unknowable::Unscored),
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.candidates.iter().position(|one| same_name(&one.agent_name, name))
    }

    fn was_llms(&self) -> bool {
        matches!(self.by, SettledBy::Llm | SettledBy::Cache)
    }

    /// Whether chance had a part in it.
    fn explores(&self, group: &[usize]) -> bool {
        let of = |place: &usize| self.candidates[*place].factors.get("probability").copied().unwrap_or(0.0);
        group.iter().map(of).any(|probability| probability > 0.0 && probability < 1.0)
    }

    fn would_ask(&self, other: &Otherwise, group: &[usize]) -> Result<bool, Unknowable> {
        let policy = &other.policy;
        match policy.llm_of(self.kind.as_deref()) {
            LlmUse::Never => Ok(false),
            LlmUse::Always => Ok(true),
            LlmUse::Ambiguous => Ok(self.lead(policy, group)? < policy.margin - 1e-9),
        }
    }

    /// By how much the best score would lead the second.
    fn lead(&self, policy: &Policy, group: &[usize]) -> Result<f64, Unknowable> {
        let score = |place: usize| self.candidates[place].score.ok_or(Unknowable::Unscored);
        let bounds = bounds(policy, false);
        let worth: Vec<f64> = match group {
            [_] => vec![1.0],
            _ => self.contenders(&policy.weights, group)?.iter().map(|one| one.score(&bounds)).collect(),
        };
        let all: f64 = worth.iter().sum();
        let mut chance = 0.0;
        let mut scores = Vec::with_capacity(self.candidates.len());
        for place in 0..self.candidates.len() {
            if group.contains(&place) {
                chance += score(place)?;
            } else {
                scores.push(score(place)?);
            }
        }
        scores.extend(worth.iter().map(|worth| chance * worth / all.max(f64::MIN_POSITIVE)));
        scores.sort_by(|a, b| b.total_cmp(a));
        Ok(scores[0] - scores.get(1).copied().unwrap_or(0.0))
    }

    fn as_the_llm_said(
        &self,
        other: &Otherwise,
        chosen: usize,
        was_asked: bool,
        group: &[usize],
    ) -> Result<Vec<f64>, Unknowable> {
        if !was_asked {
            return Err(Unknowable::WouldAsk);
        }
        let words = self.words.as_deref().map(|words| words.split_once('+').map_or(words, |(rules, _)| rules));
        let same_words = words.is_none_or(|words| words == other.words);
        let same_model = self.model.as_ref().is_none_or(|model| other.models.contains(model));
        if !same_words || !same_model {
            return Err(Unknowable::OtherLlm);
        }
        match (self.degraded.as_deref(), self.confidence) {
            (None, Some(confidence)) if confidence >= other.policy.threshold => {
                Ok((0..self.candidates.len()).map(|place| f64::from(place == chosen)).collect())
            }
            (None, _) | (Some("low_confidence"), _) => Err(Unknowable::Unsure),
            // It gave no answer, and would give none now: the best takes its place.
            (Some(_), _) => self.drawn(&other.policy, group, 0, false),
        }
    }

    /// How likely each candidate is to be taken without an LLM.
    fn drawn(&self, policy: &Policy, group: &[usize], seed: u64, explores: bool) -> Result<Vec<f64>, Unknowable> {
        let mut all = vec![0.0; self.candidates.len()];
        if let [alone] = group {
            all[*alone] = 1.0;
            return Ok(all);
        }
        let (contenders, bounds) = (self.contenders(&policy.weights, group)?, bounds(policy, explores));
        if bounds.exploration > 0.0 {
            for (place, probability) in group.iter().zip(probabilities(&contenders, &bounds, seed)) {
                all[*place] = probability;
            }
            return Ok(all);
        }
        let score = |at: &usize| contenders[*at].score(&bounds);
        // Of equals the first.
        let best = (0..group.len()).rev().max_by(|a, b| score(a).total_cmp(&score(b))).unwrap_or(0);
        all[group[best]] = 1.0;
        Ok(all)
    }

    fn contenders(&self, weights: &Weights, group: &[usize]) -> Result<Vec<Contender>, Unknowable> {
        group.iter().map(|place| contender(&self.candidates[*place].factors, weights)).collect()
    }
}

fn bounds(policy: &Policy, explores: bool) -> Bounds {
    let exploration = if explores { policy.exploration } else { 0.0 };
    Bounds { success: policy.weights.success, epsilon: policy.epsilon, exploration }
}

fn contender(factors: &BTreeMap<Cow<'static, str>, f64>, weights: &Weights) -> Result<Contender, Unknowable> {
    let of = |name: &str| factors.get(name).copied().filter(|value| value.is_finite()).ok_or(Unknowable::Unscored);
    let (success, evidence) = (of("success")?, of("evidence")?);
    let parts = [
        ("fit", weights.fit),
        ("latency", weights.latency),
        ("quality", weights.quality),
        ("specialization", weights.specialization),
        ("capacity", weights.capacity),
        ("cost", weights.cost),
    ];
    let mut rest = 1.0;
    for (name, weight) in parts {
        rest *= of(name)?.powf(weight);
    }
    // Rounding may have left nothing of the less likely side.
    let success = success.clamp(0.0001, 0.9999);
    Ok(Contender { belief: Belief { alpha: success * evidence, beta: (1.0 - success) * evidence }, rest })
}
