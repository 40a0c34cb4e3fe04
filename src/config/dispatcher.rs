use super::check::Checks;
use super::secret::Secret;
use super::units::{duration, size};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// `[dispatcher]`: how agents with an endpoint are called.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dispatcher {
    /// Requests under way at once; beyond it each agent still has one.
    pub max_in_flight: usize,
    /// Requests to one agent at once, unless its definition says `maxConcurrency`.
    pub max_in_flight_per_agent: usize,
    /// Assignments of one agent that are read and not begun.
    pub max_waiting: usize,
    /// What they may take of all agents together; beyond it those are held back that have more than their share.
    #[serde(with = "size")]
    pub max_waiting_bytes: usize,
    /// Until an agent has answered. Longer work is answered by 202 and reported later.
    #[serde(with = "duration")]
    pub request_timeout: Duration,
    /// Where agents report later, as they reach it; none = made of `http.listen`.
    pub report_url: Option<String>,
    /// A file of further certificate authorities to be trusted, in PEM.
    pub ca_file: Option<String>,
    /// What is sent to whom.
    pub secrets: Vec<AgentSecret>,
}

/// `[[dispatcher.secrets]]`: a header that only one agent gets, its value from one of four places.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentSecret {
    /// The agent's name.
    pub agent: String,
    pub header: String,
    /// Only endpoints that begin so get it; none = whichever the definition names. Whoever may write the table of agents
    /// could point the agent elsewhere.
    pub endpoint: Option<String>,
    /// The environment variable that holds a token, sent as `Bearer <token>`. Unset = nothing is sent.
    pub bearer_env: Option<String>,
    /// The file that holds one.
    pub bearer_file: Option<String>,
    /// The environment variable that holds the whole value of the header.
    pub value_env: Option<String>,
    /// The file that holds it.
    pub value_file: Option<String>,
    /// The whole value, read from one of the four.
    #[serde(skip_deserializing)]
    pub value: Option<Secret>,
}

impl Default for Dispatcher {
    fn default() -> Self {
        Self {
            // Each is a connection over HTTP/1.1, and a process may open 1,024 files unless told otherwise.
            max_in_flight: 512,
            max_in_flight_per_agent: 32,
            max_waiting: 10_000,
            max_waiting_bytes: 32 << 20,
            request_timeout: Duration::from_secs(120),
            report_url: None,
            ca_file: None,
            secrets: Vec::new(),
        }
    }
}

impl Default for AgentSecret {
    fn default() -> Self {
        Self {
            agent: String::new(),
            header: "Authorization".to_owned(),
            endpoint: None,
            bearer_env: None,
            bearer_file: None,
            value_env: None,
            value_file: None,
            value: None,
        }
    }
}

/// What says who is asked, how and for what: a secret must not take its place.
const TAKEN: [&str; 10] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "idempotency-key",
    "te",
    "traceparent",
    "transfer-encoding",
    "upgrade",
];

impl Dispatcher {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.range("dispatcher.max_in_flight", self.max_in_flight, 1, 100_000);
        checks.range("dispatcher.max_in_flight_per_agent", self.max_in_flight_per_agent, 1, 100_000);
        checks.range("dispatcher.max_waiting", self.max_waiting, 1, 1_000_000);
        checks.range("dispatcher.max_waiting_bytes", self.max_waiting_bytes, 1 << 20, 1 << 40);
        checks.positive("dispatcher.request_timeout", self.request_timeout);
        if let Some(url) = &self.report_url {
            checks.url("dispatcher.report_url", url);
        }
        for (index, secret) in self.secrets.iter().enumerate() {
            let key = |name: &str| format!("dispatcher.secrets[{index}].{name}");
            checks.that(!secret.agent.trim().is_empty(), &key("agent"), "is missing", "name the agent it is for");
            let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            let sound = !secret.header.is_empty() && secret.header.bytes().all(token);
            checks.that(sound, &key("header"), "is no name of a header", "give one such as Authorization or X-Api-Key");
            let taken = TAKEN.iter().any(|taken| secret.header.eq_ignore_ascii_case(taken));
            checks.that(!taken, &key("header"), "is a header that the dispatcher sets itself", "choose another");
            let twice = self.secrets[..index].iter().any(|earlier| {
                earlier.agent.trim().eq_ignore_ascii_case(secret.agent.trim())
                    && earlier.header.eq_ignore_ascii_case(&secret.header)
            });
            checks.that(!twice, &key("agent"), "has this header already", "keep one of the two");
            if let Some(endpoint) = &secret.endpoint {
                checks.url(&key("endpoint"), endpoint);
            }
            let places = [&secret.bearer_env, &secret.bearer_file, &secret.value_env, &secret.value_file];
            let given = places.iter().filter(|place| place.is_some()).count();
            let remedy = "give one of bearer_env, bearer_file, value_env and value_file";
            checks.that(given == 1, &key("bearer_env"), "is not the one place the secret comes from", remedy);
            let printable =
                |value: &Secret| value.reveal().bytes().all(|byte| byte == b'\t' || (32..127).contains(&byte));
            let fits = secret.value.as_ref().is_none_or(printable);
            checks.that(fits, &key("value"), "cannot go into a header", "use visible ASCII on one line");
        }
    }

    pub(super) fn read_secrets(&mut self, environment: &BTreeMap<String, String>, checks: &mut Checks) {
        for (index, secret) in self.secrets.iter_mut().enumerate() {
            let section = format!("dispatcher.secrets[{index}]");
            let of_env = |name: &Option<String>| Some(environment.get(name.as_ref()?)?.trim().to_owned());
            let mut bearer = of_env(&secret.bearer_env).map(Secret::from);
            super::secret_from_file(&section, "bearer", &mut bearer, secret.bearer_file.as_deref(), checks);
            let mut value = of_env(&secret.value_env).map(Secret::from);
            super::secret_from_file(&section, "value", &mut value, secret.value_file.as_deref(), checks);
            let bearer = bearer.map(|token| Secret::from(format!("Bearer {}", token.reveal())));
            secret.value = bearer.or(value).filter(|value| !value.reveal().trim().is_empty());
        }
    }

    /// Variables that were named and are not set, as sentences.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        self.secrets.iter().filter(|secret| secret.value.is_none()).filter_map(|secret| {
            let variable = secret.bearer_env.as_ref().or(secret.value_env.as_ref())?;
            Some(format!("{variable} is not set: calls to the agent {} carry no {}", secret.agent, secret.header))
        })
    }
}
