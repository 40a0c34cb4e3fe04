//! `Assignment` on the wire: one attempt of one step by one agent.

use super::schema::{RecordKind, WireRecord};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    pub assignment_id: String,
    pub task_id: String,
    pub step_id: String,
    pub agent_name: String,
    pub agent_version: String,
    pub attempt: i32,
    /// The same over attempts and agents: for side effects that must happen once.
    pub effect_key: String,
    pub objective: String,
    #[serde(default)]
    pub input: Option<String>,
    #[serde(default)]
    pub context: Vec<ContextItem>,
    #[serde(default)]
    pub output_contract: Option<String>,
    #[serde(default = "default_priority")]
    pub priority: i32,
    #[serde(default)]
    pub attempt_deadline: Option<i64>,
    #[serde(default)]
    pub task_deadline: Option<i64>,
    #[serde(default)]
    pub feedback: Option<String>,
    #[serde(default)]
    pub report_url: Option<String>,
}

impl WireRecord for Assignment {
    const KIND: RecordKind = RecordKind::Assignment;
}

fn default_priority() -> i32 {
    5
}

/// What an earlier step produced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContextItem {
    pub step_id: String,
    pub agent_name: String,
    #[serde(default)]
    pub output: String,
}
