use super::check::Checks;
use super::secret::Secret;
use super::units::duration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Bytes of a file of rules at most.
const MOST_RULES: usize = 32 * 1024;

/// `[llm]`: whom to ask and what that may cost. Without a provider, selection is local.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Llm {
    /// For one whole choice, with every retry and re-ask; a plan has `workflow.plan_budget`.
    #[serde(with = "duration")]
    pub budget: Duration,
    /// Choices and plans under way at once.
    pub max_in_flight: usize,
    /// The file of the rules that choices are asked under, in place of the built-in ones.
    pub select_rules_file: Option<String>,
    /// The file of the rules that plans are asked under, likewise.
    pub plan_rules_file: Option<String>,
    /// What is in these files.
    #[serde(skip)]
    pub select_rules: Option<String>,
    #[serde(skip)]
    pub plan_rules: Option<String>,
    /// Tried in order.
    pub providers: Vec<Provider>,
}

impl Default for Llm {
    fn default() -> Self {
        Self {
            budget: Duration::from_secs(3),
            max_in_flight: 64,
            providers: Vec::new(),
            select_rules_file: None,
            plan_rules_file: None,
            select_rules: None,
            plan_rules: None,
        }
    }
}

/// `[[llm.providers]]`: one model behind one endpoint.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Provider {
    pub api: Api,
    /// Up to and without the API's own path: `https://api.openai.com/v1`.
    pub base_url: String,
    pub model: String,
    /// The environment variable that holds the key. Unset = calls carry no key.
    pub api_key_env: Option<String>,
    /// The file that holds the key.
    pub api_key_file: Option<String>,
    /// The key, read from one of the two.
    #[serde(skip_deserializing)]
    pub api_key: Option<Secret>,
    pub structured: Structured,
    pub requests_per_minute: Option<u32>,
    /// Under some 6,000 there is no room for a plan.
    pub tokens_per_minute: Option<u32>,
    pub max_in_flight: Option<usize>,
    /// Beyond it the provider is not asked until the next day (UTC).
    pub daily_cost_cap_micros: Option<u64>,
    pub prices: Prices,
}

/// The API a provider speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    #[default]
    OpenaiChat,
    AnthropicMessages,
}

/// How far a provider can be held to a form of answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Structured {
    #[default]
    JsonSchema,
    JsonObject,
    None,
}

/// `[llm.providers.prices]`: in millionths of the currency for a million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prices {
    pub input_micros_per_million: u64,
    pub output_micros_per_million: u64,
}

impl Llm {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.positive("llm.budget", self.budget);
        checks.range("llm.max_in_flight", self.max_in_flight, 1, 10_000);
        for (index, provider) in self.providers.iter().enumerate() {
            let key = |name: &str| format!("llm.providers[{index}].{name}");
            checks.url(&key("base_url"), &provider.base_url);
            checks.that(!provider.model.trim().is_empty(), &key("model"), "is missing", "name the model to ask");
            checks.that(
                provider.api_key_env.is_none() || provider.api_key_file.is_none(),
                &key("api_key_file"),
                "is given beside api_key_env",
                "keep one of the two",
            );
            let zero = "must be 1 or more";
            let some = |limit: Option<usize>| limit.is_none_or(|limit| limit > 0);
            checks.that(
                provider.requests_per_minute != Some(0),
                &key("requests_per_minute"),
                zero,
                "raise it, or remove it for no limit",
            );
            checks.that(
                provider.tokens_per_minute != Some(0),
                &key("tokens_per_minute"),
                zero,
                "raise it, or remove it for no limit",
            );
            checks.that(some(provider.max_in_flight), &key("max_in_flight"), zero, "raise or remove it");
            checks.that(
                provider.daily_cost_cap_micros.is_none() || provider.prices != Prices::default(),
                &key("daily_cost_cap_micros"),
                "cannot be kept without prices",
                "set prices.input_micros_per_million and prices.output_micros_per_million",
            );
        }
    }

    pub(super) fn read_rules(&mut self, checks: &mut Checks) {
        for (name, file, rules) in [
            ("select_rules_file", &self.select_rules_file, &mut self.select_rules),
            ("plan_rules_file", &self.plan_rules_file, &mut self.plan_rules),
        ] {
            *rules = file.as_ref().and_then(|path| read_rules(&format!("llm.{name}"), path, checks));
        }
    }

    pub(super) fn read_keys(&mut self, environment: &BTreeMap<String, String>, checks: &mut Checks) {
        for (index, provider) in self.providers.iter_mut().enumerate() {
            let section = format!("llm.providers[{index}]");
            let file = provider.api_key_file.as_deref();
            super::secret_from_file(&section, "api_key", &mut provider.api_key, file, checks);
            if let Some(key) = provider.api_key_env.as_ref().and_then(|name| environment.get(name)) {
                provider.api_key = Some(Secret::from(key.trim().to_owned()));
            }
        }
    }
}

/// The rules in the file that `key` names.
pub(super) fn read_rules(key: &str, path: &str, checks: &mut Checks) -> Option<String> {
    match std::fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => {
            checks.that(false, key, "names an empty file", "begin with what `baton prompts show` says");
        }
        Ok(text) if text.len() > MOST_RULES => {
            let problem = format!("names a file of {} bytes, more than {MOST_RULES}", text.len());
            checks.that(false, key, &problem, "say it in fewer words: it is sent with every question");
        }
        Ok(text) => return Some(text),
        Err(error) => {
            let problem = format!("names a file that cannot be read ({error})");
            checks.that(false, key, &problem, "give the path of a text file");
        }
    }
    None
}
