use reqwest::Url;
use std::fmt;

/// Most providers one ladder may hold: each takes a share of a budget of seconds.
pub const MAX_PROVIDERS: usize = 8;

/// Which LLMs are asked, in order. Plain values: where they come from is the caller's business.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Tried in this order; at least one, at most [`MAX_PROVIDERS`].
    pub providers: Vec<Provider>,
}

/// One endpoint with one model, and what may be asked of it.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Unique; what attempts and logs call it.
    pub name: String,
    pub api: Api,
    /// For OpenAI with the version (`http://localhost:11434/v1`), for Anthropic without or with it. A base without any path
    /// gets `/v1`.
    pub base_url: String,
    pub model: String,
    pub api_key: Option<Secret>,
    pub structured: Structured,
    /// Calls in any 60 seconds; none = no limit.
    pub requests_per_minute: Option<u32>,
    /// Input and output tokens in any 60 seconds; none = no limit.
    pub tokens_per_minute: Option<u64>,
    /// Calls at one time.
    pub max_in_flight: u32,
    /// Micros of the currency the prices are in, per UTC day and per process; none = no cap.
    pub daily_cost_cap_micros: Option<u64>,
    /// Price of a million input tokens, in micros.
    pub input_price_micros: u64,
    /// Price of a million output tokens, in micros.
    pub output_price_micros: u64,
    /// What one choice may take; a model that thinks before it answers needs more than the default. A plan may take 4,096, or
    /// this where it is more.
    pub max_output_tokens: u32,
}

impl Provider {
    /// A provider without key, prices and limits but the defaults.
    #[must_use]
    pub fn new(name: impl Into<String>, api: Api, base_url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            api,
            base_url: base_url.into(),
            model: model.into(),
            api_key: None,
            structured: Structured::JsonSchema,
            requests_per_minute: None,
            tokens_per_minute: None,
            max_in_flight: 16,
            daily_cost_cap_micros: None,
            input_price_micros: 0,
            output_price_micros: 0,
            max_output_tokens: 512,
        }
    }
}

/// The protocol an endpoint speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// `POST …/chat/completions`: OpenAI, llama.cpp, vLLM, Ollama's `/v1`, most gateways.
    OpenaiChat,
    /// `POST …/v1/messages`.
    AnthropicMessages,
}

/// How far an endpoint can be held to the answer's form. The answer is validated here in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Structured {
    /// The endpoint enforces a JSON Schema.
    JsonSchema,
    /// The endpoint promises some JSON object. Anthropic has no such mode: the same as `None` there, but a bare name is not
    /// accepted.
    JsonObject,
    /// Nothing is promised: the prompt alone asks for the form.
    None,
}

/// A credential. Neither `Debug` nor any error shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Surrounding white space is dropped: keys read from files end in a newline.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Settings {
    /// All faults at once, each naming provider, field, value and remedy.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.providers.is_empty() {
            faults.push("llm.providers is empty: name at least one provider, or leave out `llm`".to_owned());
        }
        if self.providers.len() > MAX_PROVIDERS {
            faults.push(format!(
                "llm.providers has {} entries: at most {MAX_PROVIDERS} can share one budget",
                self.providers.len()
            ));
        }
        for (index, provider) in self.providers.iter().enumerate() {
            let name = provider.name.as_str();
            if name.trim().is_empty() {
                faults.push(format!("llm.providers[{index}].name is empty: give it a name for logs and decisions"));
            }
            if self.providers[..index].iter().any(|earlier| earlier.name == name) {
                faults.push(format!("llm.providers[{index}].name = {name:?} is taken: names must differ"));
            }
            provider.faults(index, &mut faults);
        }
        faults
    }
}

impl Provider {
    fn faults(&self, index: usize, faults: &mut Vec<String>) {
        let mut fault =
            |field: &str, what: String| faults.push(format!("llm.providers[{index}].{field} ({}) {what}", self.name));
        if let Err(why) = self.endpoint() {
            fault("base_url", why);
        }
        if self.model.trim().is_empty() {
            fault("model", "is empty: name the model the endpoint serves".to_owned());
        }
        if let Some(key) = &self.api_key {
            if key.expose().is_empty() {
                fault("api_key", "is empty: set the key, or leave it out for an endpoint without one".to_owned());
            } else if !key.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
                fault("api_key", "holds a character no HTTP header may carry: check how it was copied".to_owned());
            }
        }
        if self.max_in_flight == 0 {
            fault("max_in_flight", "= 0 would never ask: use 1 or more".to_owned());
        }
        if self.requests_per_minute == Some(0) {
            fault("requests_per_minute", "= 0 would never ask: use 1 or more, or leave it out".to_owned());
        }
        if self.max_output_tokens == 0 {
            fault("max_output_tokens", "= 0 leaves no room for an answer: use 128 or more".to_owned());
        }
        if let Some(limit) = self.tokens_per_minute.filter(|limit| *limit <= u64::from(self.max_output_tokens)) {
            fault(
                "tokens_per_minute",
                format!(
                    "= {limit} leaves no room for one question: an answer alone may take {} (max_output_tokens)",
                    self.max_output_tokens
                ),
            );
        }
        if self.daily_cost_cap_micros.is_some() && self.input_price_micros == 0 && self.output_price_micros == 0 {
            fault("daily_cost_cap_micros", "can never be reached: both prices are 0, set them".to_owned());
        }
        let answer = u128::from(self.max_output_tokens) * u128::from(self.output_price_micros) / 1_000_000;
        if let Some(cap) = self.daily_cost_cap_micros.filter(|cap| answer > u128::from(*cap)) {
            fault(
                "daily_cost_cap_micros",
                format!("= {cap} pays for no question: one answer may cost {answer} (max_output_tokens)"),
            );
        }
    }

    /// Where the question is posted.
    pub(super) fn endpoint(&self) -> Result<Url, String> {
        let shown = &self.base_url;
        let mut url = Url::parse(self.base_url.trim()).map_err(|why| format!("= {shown:?} is no URL: {why}"))?;
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            // Not shown: this is where people put keys.
            return Err(
                "holds a user name, a query or a fragment: give scheme, host, port and path, and the key as api_key"
                    .to_owned(),
            );
        }
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(format!("= {shown:?} is not reachable over HTTP: use http://… or https://…"));
        }
        let base = url.path().trim_end_matches('/').to_owned();
        let path = match self.api {
            Api::OpenaiChat if base.is_empty() => "/v1/chat/completions".to_owned(),
            Api::OpenaiChat => format!("{base}/chat/completions"),
            Api::AnthropicMessages if base.ends_with("/v1") => format!("{base}/messages"),
            Api::AnthropicMessages => format!("{base}/v1/messages"),
        };
        url.set_path(&path);
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(api: Api, base_url: &str) -> String {
        Provider::new("p", api, base_url, "m").endpoint().unwrap().to_string()
    }

    #[test]
    fn a_base_url_is_joined_with_or_without_slash_and_version() {
        for base in ["http://h:1/v1", "http://h:1/v1/", "http://h:1", "http://h:1/"] {
            assert_eq!(endpoint(Api::OpenaiChat, base), "http://h:1/v1/chat/completions", "{base}");
            assert_eq!(endpoint(Api::AnthropicMessages, base), "http://h:1/v1/messages", "{base}");
        }
        assert_eq!(endpoint(Api::OpenaiChat, "https://gw/a/b"), "https://gw/a/b/chat/completions");
        assert_eq!(endpoint(Api::AnthropicMessages, "https://gw/a/v1"), "https://gw/a/v1/messages");
    }

    #[test]
    fn all_faults_are_named_at_once_and_no_fault_shows_a_key() {
        let mut provider = Provider::new("a", Api::OpenaiChat, "https://key:s3cret@host/v1", " ");
        provider.api_key = Some(Secret::new("s3cret with space"));
        provider.max_in_flight = 0;
        provider.requests_per_minute = Some(0);
        provider.tokens_per_minute = Some(512);
        provider.daily_cost_cap_micros = Some(5);
        let twin = Provider::new("a", Api::OpenaiChat, "ftp://host", "m");
        let faults = Settings { providers: vec![provider, twin] }.faults();
        let fields = [
            "base_url",
            "model",
            "api_key",
            "max_in_flight",
            "requests_per_minute",
            "tokens_per_minute",
            "daily_cost_cap_micros",
        ];
        for field in fields {
            assert!(faults.iter().any(|fault| fault.contains(&format!("[0].{field}"))), "{field}: {faults:#?}");
        }
        assert!(
            faults.iter().any(|fault| fault.contains("[1].name"))
                && faults.iter().any(|fault| fault.contains("[1].base_url"))
        );
        assert!(!faults.concat().contains("s3cret"));
        assert_eq!(Settings { providers: vec![] }.faults().len(), 1);
    }

    #[test]
    fn a_cap_below_one_answer_is_a_fault() {
        let mut provider = Provider::new("a", Api::OpenaiChat, "http://h/v1", "m");
        provider.output_price_micros = 2_000_000;
        provider.daily_cost_cap_micros = Some(1_023);
        let fault = Settings { providers: vec![provider.clone()] }.faults().concat();
        assert!(fault.contains("= 1023") && fault.contains("1024"), "{fault}");
        provider.daily_cost_cap_micros = Some(1_024);
        assert!(Settings { providers: vec![provider] }.faults().is_empty());
    }

    #[test]
    fn debug_never_shows_a_key() {
        let mut provider = Provider::new("a", Api::OpenaiChat, "https://host/v1", "m");
        provider.api_key = Some(Secret::new("s3cret\n"));
        assert!(!format!("{provider:?}").contains("s3cret"));
        assert_eq!(provider.api_key.unwrap().expose(), "s3cret");
    }
}
