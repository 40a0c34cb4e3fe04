//! One HTTP exchange with one provider: bounded in time and in bytes, never an error, never with the key in what it returns.

use super::codec::{self, Reading, Tokens};
use super::retry::Advice;
use super::settings::{Api, Provider, Secret};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, Url};
use std::error::Error as _;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, timeout_at};

/// More than this of a body is not read.
const BODY_CAP: usize = 1024 * 1024;
/// What a decision's record keeps of an answer.
const RECORD_CAP: usize = 1024;
/// So that a host that swallows packets leaves time for another call.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);
/// Below what proxies and NAT gateways usually allow, so that no question goes down a dead connection.
const IDLE: Duration = Duration::from_secs(45);

/// Where and how one provider is reached.
#[derive(Debug)]
pub(super) struct Endpoint {
    client: Client,
    url: Url,
    api: Api,
    /// The key is marked sensitive: `Debug` does not show it.
    headers: HeaderMap,
    key: Option<Secret>,
}

/// What came back. Texts are as sent, but for [`Endpoint::record`].
#[derive(Debug)]
pub(super) enum Outcome {
    Answered(Reading, Option<Tokens>),
    /// A success that is not in the API's form.
    Foreign(Vec<u8>),
    TooLarge,
    Status {
        status: u16,
        advice: Advice,
        body: Vec<u8>,
    },
    Timeout,
    /// No connection, or no TLS.
    Connect(String),
    /// The connection ended before the response did.
    Lost(String),
}

/// The client all endpoints share. Proxies are taken from the environment; a redirect is not followed, because the key would
/// go with it.
pub(super) fn client() -> Result<Client, String> {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE)
        .tcp_keepalive(Duration::from_secs(15))
        .user_agent(concat!("baton/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|why| format!("llm: no HTTP client, check TLS and proxy settings: {}", chain(why)))
}

impl Endpoint {
    pub(super) fn new(client: Client, provider: &Provider) -> Result<Self, String> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let (name, scheme) = match provider.api {
            Api::OpenaiChat => (HeaderName::from_static("authorization"), "Bearer "),
            Api::AnthropicMessages => {
                headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
                (HeaderName::from_static("x-api-key"), "")
            }
        };
        if let Some(key) = &provider.api_key {
            let mut value = HeaderValue::from_str(&format!("{scheme}{}", key.expose()))
                .map_err(|_| format!("llm provider {}: api_key cannot go into a header", provider.name))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(Self { client, url: provider.endpoint()?, api: provider.api, headers, key: provider.api_key.clone() })
    }

    /// Posts `body`; back by `until`, whatever the other side does.
    pub(super) async fn post(&self, body: String, until: Instant) -> Outcome {
        // The limit holds for name resolution, connecting, sending, and each byte of the response alike.
        timeout_at(until, self.exchange(body)).await.unwrap_or(Outcome::Timeout)
    }

    async fn exchange(&self, body: String) -> Outcome {
        let request = self.client.post(self.url.clone()).headers(self.headers.clone()).body(body);
        let response = match request.send().await {
            Ok(response) => response,
            Err(why) if why.is_connect() => return Outcome::Connect(chain(why)),
            Err(why) => return Outcome::Lost(chain(why)),
        };
        let status = response.status();
        let advice = Advice::read(response.headers(), SystemTime::now());
        let body = match read(response).await {
            Ok(Some(body)) => body,
            // An error's status says enough without its body.
            Ok(None) if status.is_success() => return Outcome::TooLarge,
            Err(why) if status.is_success() => return Outcome::Lost(chain(why)),
            Ok(None) | Err(_) => Vec::new(),
        };
        if !status.is_success() {
            return Outcome::Status { status: status.as_u16(), advice, body };
        }
        match codec::response(self.api, &body) {
            Some((reading, tokens)) => Outcome::Answered(reading, tokens),
            None => Outcome::Foreign(body),
        }
    }

    /// The beginning of a text for a record or a log: without the key, should a server have sent it back.
    pub(super) fn record(&self, text: &str) -> String {
        match &self.key {
            // Looked for before the cut, which could leave a part of it.
            Some(key) => truncate(&text.replace(key.expose(), "***"), RECORD_CAP).to_owned(),
            None => truncate(text, RECORD_CAP).to_owned(),
        }
    }
}

/// The whole body; none if it is larger than the cap.
async fn read(mut response: Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    if response.content_length().is_some_and(|length| length > BODY_CAP as u64) {
        return Ok(None);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > BODY_CAP {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// At most `cap` bytes, cut between characters.
pub(super) fn truncate(text: &str, cap: usize) -> &str {
    &text[..text.floor_char_boundary(cap)]
}

/// An error with its causes, without the address: it is known, and may be private.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
