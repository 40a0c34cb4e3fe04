//! `RoutingDecision` on the wire: which agent was chosen for a step, among whom and why.

use super::schema::{RecordKind, WireRecord};
use crate::workflow;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoutingDecision {
    pub decision_id: String,
    pub task_id: String,
    #[serde(default)]
    pub step_id: Option<String>,
    pub question: i32,
    pub choice: Choice,
    /// The agent; none unless `choice` is AGENT.
    #[serde(default)]
    pub chosen: Option<String>,
    pub by: SettledBy,
    #[serde(default)]
    pub confidence: Option<f64>,
    pub reason: String,
    #[serde(default)]
    pub candidates: Vec<Candidate>,
    #[serde(default)]
    pub degraded: bool,
    #[serde(default)]
    pub degraded_reason: Option<String>,
    #[serde(default)]
    pub strategy: String,
    #[serde(default)]
    pub variant: Option<String>,
    #[serde(default)]
    pub propensity: Option<f64>,
    /// What would have been chosen without the LLM that decided: an agent's name, NONE or DONE.
    #[serde(default)]
    pub local_choice: Option<String>,
    #[serde(default)]
    pub local_confidence: Option<f64>,
    #[serde(default)]
    pub prompt_version: Option<String>,
    #[serde(default)]
    pub attempts: Vec<Attempt>,
    #[serde(default)]
    pub overhead_micros: i64,
    pub decided_at: i64,
}

impl WireRecord for RoutingDecision {
    const KIND: RecordKind = RecordKind::RoutingDecision;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Choice {
    Agent,
    None,
    Done,
    #[serde(other)]
    Unknown,
}

impl From<&workflow::Choice> for Choice {
    fn from(choice: &workflow::Choice) -> Self {
        match choice {
            workflow::Choice::Agent(_) => Self::Agent,
            workflow::Choice::None => Self::None,
            workflow::Choice::Done => Self::Done,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SettledBy {
    Pinned,
    Operator,
    Contract,
    Cache,
    ClearWinner,
    Llm,
    Local,
    #[serde(other)]
    Unknown,
}

impl From<workflow::SettledBy> for SettledBy {
    fn from(by: workflow::SettledBy) -> Self {
        match by {
            workflow::SettledBy::Pinned => Self::Pinned,
            workflow::SettledBy::Operator => Self::Operator,
            workflow::SettledBy::Contract => Self::Contract,
            workflow::SettledBy::Cache => Self::Cache,
            workflow::SettledBy::ClearWinner => Self::ClearWinner,
            workflow::SettledBy::Llm => Self::Llm,
            workflow::SettledBy::Local => Self::Local,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    pub agent_name: Arc<str>,
    pub version: Arc<str>,
    #[serde(default)]
    pub score: Option<f64>,
    #[serde(default)]
    pub factors: BTreeMap<Cow<'static, str>, f64>,
    #[serde(default)]
    pub excluded: Option<Arc<str>>,
}

impl From<&workflow::Candidate> for Candidate {
    fn from(candidate: &workflow::Candidate) -> Self {
        Self {
            agent_name: Arc::clone(&candidate.agent_name),
            version: Arc::clone(&candidate.version),
            score: candidate.score,
            factors: candidate.factors.iter().map(|(name, factor)| ((*name).into(), *factor)).collect(),
            excluded: candidate.excluded.clone(),
        }
    }
}

/// One call to one provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    pub provider: String,
    pub model: String,
    #[serde(default)]
    pub answer: String,
    #[serde(default)]
    pub verdict: String,
    #[serde(default)]
    pub millis: i64,
    #[serde(default)]
    pub input_tokens: i64,
    #[serde(default)]
    pub output_tokens: i64,
}

impl From<&workflow::Attempt> for Attempt {
    fn from(attempt: &workflow::Attempt) -> Self {
        Self {
            provider: attempt.provider.clone(),
            model: attempt.model.clone(),
            answer: attempt.answer.clone(),
            verdict: attempt.verdict.clone(),
            millis: attempt.millis,
            input_tokens: attempt.usage.input_tokens,
            output_tokens: attempt.usage.output_tokens,
        }
    }
}
