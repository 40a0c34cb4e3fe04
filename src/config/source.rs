use super::check::Checks;
use super::pointer::{Pointer, Template};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// `[[sources]]`: a topic whose records become tasks. Paths are JSON Pointers, also into Avro values.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Source {
    /// The topic, by its full name.
    pub topic: String,
    /// Of its consumer group and of the ids it makes; none = the topic's name.
    pub name: Option<String>,
    /// Where a group that has no offsets begins.
    pub from: StartFrom,
    /// What the task's id is made from; none = name, partition and offset.
    pub id: Option<Pointer>,
    pub objective: Template,
    /// The part that becomes the task's input; empty = all of the value.
    pub input: Pointer,
    pub input_contract: Option<String>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub priority: Option<u16>,
    /// A moment in the value: RFC 3339, or milliseconds since the epoch. Null or not there = none.
    pub deadline: Option<Pointer>,
    /// Allowed agents; empty = all.
    pub agents: Vec<String>,
    pub labels: BTreeMap<String, Template>,
}

/// Where to begin without an offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StartFrom {
    #[default]
    Earliest,
    Latest,
}

/// `[confluent]`: the topics of Confluent's example as they are. Without agents it is off.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Confluent {
    /// The agents behind its connectors, by their registered names.
    pub agents: Vec<String>,
    /// The topic of leads and of the agents' outputs.
    pub messages: String,
    /// The topic its connectors read.
    pub predictions: String,
    pub from: StartFrom,
    /// Which lead it is, a path into `lead_data`; none = all of `lead_data`.
    pub id: Option<Pointer>,
    /// Over `lead_data`.
    pub objective: Template,
    pub input_contract: Option<String>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub priority: Option<u16>,
    /// A field of `lead_data` in which a prediction carries its assignment's id, for agents that hand `lead_data` on
    /// as it is; none = nothing is added.
    pub link: Option<String>,
}

impl Default for Confluent {
    fn default() -> Self {
        Self {
            agents: Vec::new(),
            messages: "agent_messages".to_owned(),
            predictions: "agent_predictions".to_owned(),
            from: StartFrom::Earliest,
            id: None,
            objective: Template::parse("Work on the lead").expect("a text without braces is a template"),
            input_contract: Some("lead".to_owned()),
            kind: Some("lead".to_owned()),
            priority: None,
            link: None,
        }
    }
}

impl Source {
    /// The name in force.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.topic)
    }

    fn check(&self, index: usize, prefix: &str, checks: &mut Checks) {
        let key = |name: &str| format!("sources[{index}].{name}");
        topic(checks, &key("topic"), &self.topic, prefix);
        if let Some(name) = &self.name {
            checks.that(
                is_name(name) && name.len() <= LONGEST_NAME,
                &key("name"),
                "cannot be part of a group's name",
                "use 1 to 64 of A-Z a-z 0-9 . _ -",
            );
        }
        checks.that(!self.objective.is_blank(), &key("objective"), "is missing", "say what is to be achieved");
        common(checks, &key, self.priority, self.input_contract.as_deref(), self.kind.as_deref());
        names(checks, &key("agents"), &self.agents);
    }
}

impl Confluent {
    /// Whether it is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.agents.is_empty()
    }

    pub(super) fn check(&self, prefix: &str, checks: &mut Checks) {
        let key = |name: &str| format!("confluent.{name}");
        topic(checks, &key("messages"), &self.messages, prefix);
        topic(checks, &key("predictions"), &self.predictions, prefix);
        checks.that(
            self.messages != self.predictions,
            &key("predictions"),
            "is the topic of the messages too",
            "give its connectors' topic",
        );
        checks.that(!self.objective.is_blank(), &key("objective"), "is empty", "say what is to be achieved");
        common(checks, &key, self.priority, self.input_contract.as_deref(), self.kind.as_deref());
        names(checks, &key("agents"), &self.agents);
        checks.that(
            self.link.as_ref().is_none_or(|field| !field.is_empty()),
            &key("link"),
            "is empty",
            "name a field, or remove it",
        );
    }
}

/// Every rule that concerns several of them too.
pub(super) fn check(sources: &[Source], confluent: &Confluent, prefix: &str, checks: &mut Checks) {
    let mut taken = BTreeSet::new();
    if confluent.is_on() {
        taken.insert(CONFLUENT);
    }
    for (index, source) in sources.iter().enumerate() {
        source.check(index, prefix, checks);
        let fresh = source.topic.is_empty() || taken.insert(source.name());
        let key = format!("sources[{index}].{}", if source.name.is_some() { "name" } else { "topic" });
        checks.that(fresh, &key, "is the name of another source", "give each a name of its own: they share no group");
    }
}

/// The name of the mapping of Confluent's example, as of a source.
pub const CONFLUENT: &str = "confluent";
/// Of a given name: it becomes part of a transactional id.
const LONGEST_NAME: usize = 64;

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn topic(checks: &mut Checks, key: &str, topic: &str, prefix: &str) {
    if topic.is_empty() {
        return checks.that(false, key, "is missing", "give the topic's full name");
    }
    checks.that(is_name(topic) && topic.len() <= 249, key, "is no topic's name", "use 1 to 249 of A-Z a-z 0-9 . _ -");
    let ours = topic.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'));
    checks.that(!ours, key, "is one of Baton's own topics", "give another topic, or Baton another kafka.prefix");
}

fn common(
    checks: &mut Checks,
    key: &dyn Fn(&str) -> String,
    priority: Option<u16>,
    contract: Option<&str>,
    kind: Option<&str>,
) {
    checks.that(priority.is_none_or(|priority| priority <= 9), &key("priority"), "is over 9", "give 0 to 9");
    let filled = |text: Option<&str>| text.is_none_or(|text| !text.trim().is_empty());
    checks.that(filled(contract), &key("input_contract"), "is empty", "name a contract, or remove it");
    checks.that(filled(kind), &key("type"), "is empty", "give a word, or remove it");
}

fn names(checks: &mut Checks, key: &str, names: &[String]) {
    checks.that(names.iter().all(|name| !name.trim().is_empty()), key, "holds an empty name", "name agents");
}
