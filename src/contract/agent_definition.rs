//! `AgentDefinition` on the wire: an agent as it registers itself.

use super::schema::{RecordKind, WireRecord};
use super::task_submitted::yes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentDefinition {
    pub agent_name: String,
    pub description: String,
    #[serde(default)]
    pub capabilities: Vec<String>,
    #[serde(default)]
    pub input: Format,
    #[serde(default)]
    pub output: Format,
    #[serde(default)]
    pub performance: Performance,
    #[serde(default = "first_version")]
    pub version: String,
    #[serde(default)]
    pub examples: Vec<Example>,
    /// URL that takes its assignments; absent = it reads its topic itself.
    #[serde(default)]
    pub endpoint: Option<String>,
    #[serde(default)]
    pub max_concurrency: Option<i32>,
    #[serde(default)]
    pub cost_micros_per_task: Option<i64>,
    #[serde(default = "yes")]
    pub idempotent: bool,
    #[serde(default)]
    pub require_approval: bool,
    #[serde(default)]
    pub owner: Option<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

impl WireRecord for AgentDefinition {
    const KIND: RecordKind = RecordKind::AgentDefinition;
}

impl AgentDefinition {
    /// An agent with nothing but what it must have.
    #[must_use]
    pub fn new(agent_name: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            agent_name: agent_name.into(),
            description: description.into(),
            capabilities: Vec::new(),
            input: Format::default(),
            output: Format::default(),
            performance: Performance::default(),
            version: first_version(),
            examples: Vec::new(),
            endpoint: None,
            max_concurrency: None,
            cost_micros_per_task: None,
            idempotent: true,
            require_approval: false,
            owner: None,
            labels: BTreeMap::new(),
        }
    }
}

fn first_version() -> String {
    "1.0.0".to_owned()
}

/// What goes in or out of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Format {
    /// Media type.
    #[serde(default = "plain_text")]
    pub format: String,
    /// A JSON Schema inline, or the name of a schema or label; `any` or empty = none.
    #[serde(default = "any")]
    pub contract: String,
}

impl Format {
    /// The contract as written, if there is one.
    #[must_use]
    pub fn contract(&self) -> Option<&str> {
        let contract = self.contract.trim();
        (!contract.is_empty() && !contract.eq_ignore_ascii_case("any")).then_some(contract)
    }

    /// Whether the format is declared to be JSON, so that an output must parse.
    #[must_use]
    pub fn is_json(&self) -> bool {
        let essence = self.format.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/json")
    }
}

impl Default for Format {
    fn default() -> Self {
        Self { format: plain_text(), contract: any() }
    }
}

fn plain_text() -> String {
    "text/plain".to_owned()
}

fn any() -> String {
    "any".to_owned()
}

/// What an agent says of itself, as it wrote it (`200ms`, `98%`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Performance {
    #[serde(default)]
    pub average_latency: String,
    #[serde(default)]
    pub success_rate: String,
    #[serde(default)]
    pub specialization: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Example {
    pub text: String,
    #[serde(default)]
    pub capability: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_contract_and_any_are_none() {
        let none = |contract: &str| Format { contract: contract.into(), ..Format::default() }.contract().is_none();
        assert!(none("any") && none("Any ") && none("") && !none("lead"));
    }

    #[test]
    fn a_media_type_with_parameters_is_still_json() {
        let json = |format: &str| Format { format: format.into(), ..Format::default() }.is_json();
        assert!(json("application/json") && json("Application/JSON; charset=utf-8"));
        assert!(!json("text/plain") && !json("application/jsonl"));
    }
}
