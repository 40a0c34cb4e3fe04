//! `Assignment` on the wire: one attempt of one step by one agent.

use super::json_out::rfc3339;
use super::schema::{RecordKind, WireRecord};
use serde::{Deserialize, Serialize};
use serde_json::Value;

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

impl Assignment {
    /// The assignment as JSON for those who read no Avro: times as RFC 3339, and a payload as the value whose text it is.
    /// A payload that is no JSON is a string, and so is the input wherever `takes_text`: whoever takes text gets it as it
    /// is.
    #[must_use]
    pub fn to_json(&self, takes_text: bool) -> Value {
        let mut json = serde_json::to_value(self).expect("our records have a form in JSON");
        let opened = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
        if let Some(input) = self.input.as_deref().filter(|_| !takes_text) {
            json["input"] = opened(input);
        }
        for (index, item) in self.context.iter().enumerate() {
            json["context"][index]["output"] = opened(&item.output);
        }
        for (field, time) in [("attemptDeadline", self.attempt_deadline), ("taskDeadline", self.task_deadline)] {
            json[field] = time.map(rfc3339).into();
        }
        json
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn payloads_are_values_and_times_can_be_read() {
        let item = |output: &str| ContextItem { output: output.to_owned(), ..ContextItem::default() };
        let assignment = Assignment {
            input: Some("{\"a\":[1]}".to_owned()),
            context: vec![item("2"), item("no {json")],
            attempt_deadline: Some(1_700_000_000_123),
            ..Assignment::default()
        };
        let shown = assignment.to_json(false);
        assert_eq!(shown["input"], json!({ "a": [1] }));
        assert_eq!([&shown["context"][0]["output"], &shown["context"][1]["output"]], [&json!(2), &json!("no {json")]);
        assert_eq!(shown["attemptDeadline"], "2023-11-14T22:13:20.123Z");
        assert_eq!((&shown["taskDeadline"], &shown["effectKey"]), (&Value::Null, &json!("")));
        assert_eq!(assignment.to_json(true)["input"], "{\"a\":[1]}");
    }
}
