//! `AgentExamples` on the wire: texts of tasks that an agent turned out to be right for.

use super::schema::{RecordKind, WireRecord};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentExamples {
    pub agent_name: String,
    /// Of what its definition says: of another one they say nothing.
    pub definition: i64,
    #[serde(default)]
    pub examples: Vec<ConfirmedExample>,
    pub at: i64,
}

impl WireRecord for AgentExamples {
    const KIND: RecordKind = RecordKind::AgentExamples;
}

/// A task that the agent succeeded with, its output verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfirmedExample {
    pub text: String,
    #[serde(default)]
    pub capability: Option<String>,
    /// Whoever submitted the task; empty = it did not say.
    #[serde(default)]
    pub source: String,
    pub at: i64,
}
