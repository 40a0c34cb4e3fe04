use super::names::{self, shown, topic_name};
use super::version::Version;
use crate::workflow::fnv1a_64;
use std::collections::BTreeMap;
use url::Url;

/// The bounds of a definition. They keep prompts, the text index and the registry's memory small.
pub mod bounds {
    /// Characters of a description.
    pub const DESCRIPTION: usize = 2_000;
    /// Capabilities of one agent, and entries of `specialization`.
    pub const CAPABILITIES: usize = 64;
    /// Characters of one of them.
    pub const CAPABILITY: usize = 100;
    pub const EXAMPLES: usize = 1_000;
    /// Characters of one example's text.
    pub const EXAMPLE: usize = 500;
    /// Characters of a media type.
    pub const FORMAT: usize = 100;
    /// Characters of a contract that is a label.
    pub const LABEL_CONTRACT: usize = 200;
    /// Characters of an endpoint's URL.
    pub const ENDPOINT: usize = 2_000;
    /// Characters of `owner`.
    pub const OWNER: usize = 200;
    /// Entries of `labels`.
    pub const LABELS: usize = 64;
    /// Characters of a label's key and of its value.
    pub const LABEL: usize = 200;
}

/// An agent as somebody registered it; nothing in it has been checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    pub agent_name: String,
    pub description: String,
    pub capabilities: Vec<String>,
    pub input: Terms,
    pub output: Terms,
    /// Declared, in milliseconds.
    pub average_latency_ms: Option<i64>,
    /// Declared, 0 to 1.
    pub success_rate: Option<f64>,
    pub specialization: Vec<String>,
    pub version: String,
    pub examples: Vec<Example>,
    /// The URL it is called at; absent = it reads its topic itself.
    pub endpoint: Option<String>,
    pub max_concurrency: Option<i32>,
    pub cost_micros_per_task: Option<i64>,
    pub idempotent: bool,
    pub require_approval: bool,
    pub owner: Option<String>,
    pub labels: BTreeMap<String, String>,
}

/// One side of an agent: what it takes, or what it gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// A media type; empty = not said.
    pub format: String,
    /// As written: a JSON Schema inline, a name, or `any`.
    pub contract: Option<String>,
}

/// A text that this agent is right for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    pub text: String,
    pub capability: Option<String>,
}

impl Definition {
    /// A definition with defaults for all but the name.
    #[must_use]
    pub fn new(agent_name: impl Into<String>) -> Self {
        Self {
            agent_name: agent_name.into(),
            description: String::new(),
            capabilities: Vec::new(),
            input: Terms::default(),
            output: Terms::default(),
            average_latency_ms: None,
            success_rate: None,
            specialization: Vec::new(),
            version: "1.0.0".to_owned(),
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

    /// The same on every worker and in every version of Baton.
    pub(super) fn fingerprint(&self) -> u64 {
        let sides = [&self.input, &self.output];
        let sides =
            sides.into_iter().flat_map(|side| [side.format.as_str(), side.contract.as_deref().unwrap_or_default()]);
        let lists = [&self.capabilities, &self.specialization];
        // The empty text ends a list: what moves from one to the next is a change.
        let lists = lists.into_iter().flat_map(|list| list.iter().map(String::as_str).chain([""]));
        let texts = [self.agent_name.as_str(), &self.version, &self.description].into_iter().chain(lists).chain(sides);
        // With an end after each text.
        fnv1a_64(texts.flat_map(|text| text.trim().bytes().chain([0])))
    }

    /// All that is wrong with it under this key, each fault naming field, value and remedy; contracts apart.
    pub(super) fn faults(&self, key: &str) -> Vec<String> {
        let mut faults = Vec::new();
        let name_fault = names::fault_in(&self.agent_name);
        let version = Version::parse(&self.version);
        if version.is_none() {
            faults.push(format!("version `{}` is not major.minor.patch: write e.g. 1.0.0", shown(&self.version)));
        }
        if let (None, Some(version)) = (&name_fault, version) {
            let topic = topic_name(&self.agent_name, version.major);
            if key != topic {
                faults.push(format!("the record's key `{}` is not the topic name: use the key `{topic}`", shown(key)));
            }
        }
        faults.extend(name_fault);
        self.faults_in_texts(&mut faults);
        self.faults_in_numbers(&mut faults);
        faults
    }

    fn faults_in_texts(&self, faults: &mut Vec<String>) {
        // The choice goes by it: an agent that does not say what it does cannot be chosen for it.
        blank_or_long(faults, "description", &self.description, bounds::DESCRIPTION);
        too_many(faults, "capabilities", self.capabilities.len(), bounds::CAPABILITIES);
        for (i, capability) in self.capabilities.iter().enumerate() {
            blank_or_long(faults, &format!("capabilities[{i}]"), capability, bounds::CAPABILITY);
        }
        too_many(faults, "performance.specialization", self.specialization.len(), bounds::CAPABILITIES);
        for (i, field) in self.specialization.iter().enumerate() {
            blank_or_long(faults, &format!("performance.specialization[{i}]"), field, bounds::CAPABILITY);
        }
        too_many(faults, "examples", self.examples.len(), bounds::EXAMPLES);
        for (i, example) in self.examples.iter().enumerate() {
            blank_or_long(faults, &format!("examples[{i}].text"), &example.text, bounds::EXAMPLE);
            if let Some(capability) = &example.capability {
                blank_or_long(faults, &format!("examples[{i}].capability"), capability, bounds::CAPABILITY);
            }
        }
        too_long(faults, "input.format", &self.input.format, bounds::FORMAT);
        too_long(faults, "output.format", &self.output.format, bounds::FORMAT);
        too_long(faults, "owner", self.owner.as_deref().unwrap_or_default(), bounds::OWNER);
        too_many(faults, "labels", self.labels.len(), bounds::LABELS);
        for (key, value) in &self.labels {
            blank_or_long(faults, "a key of labels", key, bounds::LABEL);
            too_long(faults, &format!("labels.{}", shown(key)), value, bounds::LABEL);
        }
        if let Some(endpoint) = &self.endpoint {
            too_long(faults, "endpoint", endpoint, bounds::ENDPOINT);
            faults.extend(fault_in_endpoint(endpoint));
        }
    }

    fn faults_in_numbers(&self, faults: &mut Vec<String>) {
        if let Some(millis) = self.average_latency_ms.filter(|millis| *millis < 0) {
            faults.push(format!("performance.averageLatency {millis} ms is negative: give 0 or more, or leave it out"));
        }
        if let Some(rate) = self.success_rate.filter(|rate| !(0.0..=1.0).contains(rate)) {
            faults.push(format!("performance.successRate {rate} is not between 0 and 1: give e.g. 0.98 or `98%`"));
        }
        if let Some(most) = self.max_concurrency.filter(|most| *most < 1) {
            faults.push(format!("maxConcurrency {most} lets nothing run: give 1 or more, or leave it out"));
        }
        if let Some(cost) = self.cost_micros_per_task.filter(|cost| *cost < 0) {
            faults.push(format!("costMicrosPerTask {cost} is negative: give 0 or more, or leave it out"));
        }
    }
}

fn fault_in_endpoint(endpoint: &str) -> Option<String> {
    let at = |problem: &str| Some(format!("endpoint `{}` {problem}", shown(endpoint)));
    let Some(url) = Url::parse(endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https")) else {
        return at("is no http(s) URL: give one, or leave it out for an agent that reads its topic");
    };
    if !url.username().is_empty() || url.password().is_some() {
        // Everybody who reads the table would know them.
        return at("has credentials in it: take them out, they belong into [[dispatcher.secrets]]");
    }
    if url.fragment().is_some() {
        return at("has a fragment, which no server is told: leave it out");
    }
    None
}

fn too_many(faults: &mut Vec<String>, field: &str, count: usize, most: usize) {
    if count > most {
        faults.push(format!("{field} has {count} entries: keep at most {most}"));
    }
}

fn too_long(faults: &mut Vec<String>, field: &str, text: &str, most: usize) {
    let length = text.chars().count();
    if length > most {
        faults.push(format!("{field} `{}` has {length} characters: use at most {most}", shown(text)));
    }
}

fn blank_or_long(faults: &mut Vec<String>, field: &str, text: &str, most: usize) {
    if text.trim().is_empty() {
        faults.push(format!("{field} is blank: say something, or leave it out"));
    }
    too_long(faults, field, text, most);
}
