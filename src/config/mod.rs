//! The configuration: defaults, laid over by a file, the environment (`BATON__SECTION__KEY`) and flags, then typed and
//! checked.
//!
//! It comes back whole and sound, or as *all* its faults at once, each with key, value, where that came from and what to
//! do. An unknown key is a fault, so that a misspelt one is not silently a default. Secrets are read here (also from
//! `*_file`) and never shown: not by `Debug`, not by [`Config::effective`], not in a fault.

mod check;
mod dispatcher;
mod fault;
mod http;
mod insights;
mod kafka;
mod llm;
mod load;
mod pointer;
mod registry;
mod retry;
mod routing;
mod secret;
mod source;
mod strategy;
mod telemetry;
mod tree;
mod typed;
mod units;
mod worker;
mod workflow;

pub use dispatcher::{AgentSecret, Dispatcher};
pub use fault::{Fault, Faults};
pub use http::Http;
pub use insights::Insights;
pub use kafka::Kafka;
pub use llm::{Api, Llm, Prices, Provider, Structured};
pub use load::Sources;
pub use pointer::{Piece, Pointer, Template};
pub use registry::Registry;
pub use retry::{Agent as RetryAgent, CLASSES, Class, Retry};
pub use routing::{AskLlm, Routing, Weights};
pub use secret::Secret;
pub use source::{CONFLUENT, Confluent, Source, StartFrom};
pub use strategy::{Strategy, StrategyWeights};
pub use telemetry::{LogFormat, Telemetry};
pub use worker::Worker;
pub use workflow::{Auto, Fallback, Workflow};

use check::Checks;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that can be set. [`Config::default`] is sound and wants a broker and a registry on this machine.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub kafka: Kafka,
    pub registry: Registry,
    pub worker: Worker,
    pub workflow: Workflow,
    pub routing: Routing,
    pub llm: Llm,
    pub http: Http,
    pub dispatcher: Dispatcher,
    pub insights: Insights,
    pub telemetry: Telemetry,
    /// Topics whose records become tasks.
    pub sources: Vec<Source>,
    pub confluent: Confluent,
    /// Other ways to choose, by name, for experiments.
    pub strategies: BTreeMap<String, Strategy>,
}

impl Config {
    /// Every rule that no type expresses.
    ///
    /// # Errors
    /// All faults at once.
    pub fn validate(&self) -> Result<(), Faults> {
        let mut checks = Checks::default();
        self.check(&mut checks);
        let shown = self.effective();
        for fault in &mut checks.faults {
            fault.value = value_at(&shown, &fault.key);
        }
        if checks.faults.is_empty() { Ok(()) } else { Err(Faults(checks.faults)) }
    }

    /// The values in force, secrets redacted.
    #[must_use]
    pub fn effective(&self) -> toml::Value {
        toml::Value::try_from(self).expect("the configuration is made of what TOML can hold")
    }

    /// What is sound and yet probably not meant, as sentences.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let keyless = |provider: &&Provider| provider.api_key.is_none();
        self.llm
            .providers
            .iter()
            .filter(keyless)
            .filter_map(|provider| Some((provider, provider.api_key_env.as_ref()?)))
            .map(|(provider, variable)| {
                format!("{variable} is not set: calls to {} ({}) carry no key", provider.model, provider.base_url)
            })
            .chain(self.dispatcher.warnings())
            .collect()
    }

    fn check(&self, checks: &mut Checks) {
        self.kafka.check(checks);
        self.registry.check(checks);
        self.worker.check(checks);
        self.workflow.check(checks);
        self.routing.check(checks);
        self.llm.check(checks);
        self.http.check(checks);
        self.dispatcher.check(checks);
        self.insights.check(checks);
        self.telemetry.check(checks);
        source::check(&self.sources, &self.confluent, &self.kafka.prefix, checks);
        self.confluent.check(&self.kafka.prefix, checks);
        for (name, strategy) in &self.strategies {
            strategy.check(name, &self.llm, checks);
        }
    }
}

fn value_at(shown: &toml::Value, key: &str) -> Option<String> {
    let value = tree::path_of(key).into_iter().try_fold(shown, |value, segment| match value {
        toml::Value::Array(items) => items.get(segment.parse::<usize>().ok()?),
        other => other.get(&segment),
    })?;
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn read_secret(path: &str) -> Result<String, String> {
    match std::fs::read_to_string(path) {
        Ok(content) if content.trim().is_empty() => Err("names an empty file".to_owned()),
        // Editors and `echo` end a file with a line break that belongs to no secret.
        Ok(content) => Ok(content.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => Err(format!("names a file that cannot be read ({error})")),
    }
}

/// Fills `secret` from the file that `<name>_file` names.
fn secret_from_file(section: &str, name: &str, secret: &mut Option<Secret>, file: Option<&str>, checks: &mut Checks) {
    let Some(path) = file else { return };
    let key = format!("{section}.{name}_file");
    if secret.is_some() {
        return checks.that(false, &key, &format!("is given beside {name}"), "keep one of the two");
    }
    match read_secret(path) {
        Ok(content) => *secret = Some(Secret::from(content)),
        Err(problem) => checks.that(false, &key, &problem, "give the path of a readable file"),
    }
}
