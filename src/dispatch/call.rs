//! One request to an agent, and what its answer means.

use super::lane::Lane;
use crate::config::Dispatcher;
use crate::contract::{AgentReport, Assignment, ErrorClass};
use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Client, Response, StatusCode, redirect};
use std::time::{Duration, SystemTime};

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(10);
/// For a withdrawal, on which nothing rests.
const WITHDRAW: Duration = Duration::from_secs(5);
/// The longest that an agent is not asked again because it said so.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Of an answer that is quoted in a failure.
const QUOTED: usize = 300;

/// What came of a request.
#[derive(Debug, PartialEq)]
pub(super) enum Answered {
    Report(Box<AgentReport>),
    /// It works on it and reports later.
    TakenOver,
    /// Another time; when, if it said so.
    Later(Option<Duration>, String),
    Failed(ErrorClass, &'static str, String),
}

/// What all requests share.
#[derive(Debug)]
pub(super) struct Caller {
    client: Client,
    timeout: Duration,
    /// Of an answer.
    most_bytes: usize,
}

impl Caller {
    /// # Errors
    /// The file of authorities, with the key it is configured by.
    pub(super) fn new(settings: &Dispatcher, most_bytes: usize) -> Result<Self, String> {
        let mut builder = Client::builder()
            .user_agent(concat!("baton/", env!("CARGO_PKG_VERSION")))
            // Whoever is redirected would carry the task, and its secrets, where nobody sent them.
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT);
        if let Some(file) = &settings.ca_file {
            let fault = |error: &dyn std::fmt::Display| format!("dispatcher.ca_file = {file}: {error}");
            let pem = std::fs::read(file).map_err(|error| fault(&error))?;
            let authorities = Certificate::from_pem_bundle(&pem).map_err(|error| fault(&error))?;
            if authorities.is_empty() {
                return Err(fault(&"holds no certificate in PEM"));
            }
            for authority in authorities {
                builder = builder.add_root_certificate(authority);
            }
        }
        let client = builder.build().map_err(|error| format!("the HTTP client cannot be made: {error}"))?;
        Ok(Self { client, timeout: settings.request_timeout, most_bytes })
    }

    /// Posts the assignment. `body` is its JSON.
    pub(super) async fn post(
        &self,
        lane: &Lane,
        assignment: &Assignment,
        body: Bytes,
        trace: Option<&str>,
        within: Option<Duration>,
    ) -> Answered {
        let timeout = within.map_or(self.timeout, |within| within.min(self.timeout));
        let mut request = self.client.post(lane.endpoint.clone()).headers(lane.headers.clone()).timeout(timeout);
        request = request.header(CONTENT_TYPE, "application/json").header(ACCEPT, "application/json");
        request = request.header("Idempotency-Key", &assignment.assignment_id);
        if let Some(trace) = trace {
            request = request.header("traceparent", trace);
        }
        match request.body(body).send().await {
            Ok(response) => self.judge(response, assignment).await,
            Err(error) => self.no_answer(&error),
        }
    }

    /// Tells the agent that nobody wants its work any more. It need not understand.
    pub(super) async fn withdraw(&self, lane: &Lane, assignment_id: &str) {
        let mut url = lane.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(assignment_id);
        }
        let request = self.client.delete(url).headers(lane.headers.clone()).timeout(WITHDRAW);
        match request.send().await {
            Ok(response) => tracing::debug!(assignment = assignment_id, status = %response.status(), "withdrawn there"),
            Err(error) => tracing::debug!(assignment = assignment_id, %error, "the agent heard of no withdrawal"),
        }
    }

    fn no_answer(&self, error: &reqwest::Error) -> Answered {
        let said = with_sources(error);
        if error.is_connect() {
            Answered::Later(None, format!("no connection: {said}"))
        } else if error.is_timeout() {
            Answered::Failed(ErrorClass::Timeout, "no_answer", format!("no answer within {:?}", self.timeout))
        } else {
            Answered::Failed(ErrorClass::Transient, "no_answer", said)
        }
    }

    async fn judge(&self, response: Response, assignment: &Assignment) -> Answered {
        let (status, headers) = (response.status(), response.headers().clone());
        if status == StatusCode::ACCEPTED {
            return Answered::TakenOver;
        }
        let later = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        if later {
            return Answered::Later(retry_after(&headers, SystemTime::now()), format!("it answered {status}"));
        }
        if status == StatusCode::OK {
            return match self.body(response).await {
                Ok(body) => match AgentReport::from_answer(&body, assignment) {
                    Ok(report) => Answered::Report(Box::new(report)),
                    Err(refusal) => Answered::Failed(
                        ErrorClass::InvalidOutput,
                        "no_report",
                        format!("{}; it answered: {}", refusal.detail, quoted(&body)),
                    ),
                },
                Err(failed) => failed,
            };
        }
        let (class, code) = class_of(status);
        let said = match self.body(response).await {
            Ok(body) if !body.is_empty() => format!(": {}", quoted(&body)),
            _ => String::new(),
        };
        Answered::Failed(class, code, format!("it answered {status}{said}"))
    }

    /// Reads no more than an answer may have.
    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Answered> {
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(None) => return Ok(body),
                Ok(Some(chunk)) if body.len() + chunk.len() <= self.most_bytes => body.extend_from_slice(&chunk),
                Ok(Some(_)) => {
                    let said = format!("its answer is longer than {} bytes", self.most_bytes);
                    return Err(Answered::Failed(ErrorClass::InvalidOutput, "too_large", said));
                }
                Err(error) => return Err(self.no_answer(&error)),
            }
        }
    }
}

/// The class of a failure by its status, and its code.
fn class_of(status: StatusCode) -> (ErrorClass, &'static str) {
    match status.as_u16() {
        // Of the good ones only 200 brings a report.
        200..300 => (ErrorClass::InvalidOutput, "no_report"),
        300..400 => (ErrorClass::Permanent, "redirect"),
        401 | 403 | 407 => (ErrorClass::Auth, "refused"),
        408 | 504 => (ErrorClass::Timeout, "no_answer"),
        400 | 413 | 415 | 422 => (ErrorClass::Contract, "refused"),
        425 | 500.. => (ErrorClass::Transient, "server_error"),
        _ => (ErrorClass::Permanent, "refused"),
    }
}

/// RFC 9110, 10.2.3: seconds or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(pause.min(LONGEST_PAUSE))
}

fn quoted(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(QUOTED)]);
    let more = if body.len() > QUOTED { "…" } else { "" };
    format!("`{}{more}`", text.trim().escape_debug())
}

/// An error of the client says what failed, and only its sources why.
fn with_sources(error: &reqwest::Error) -> String {
    let mut said = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        said = format!("{said}: {inner}");
        source = inner.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_770);
        for (text, seconds) in [
            ("3", Some(3)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(0)),
            ("1000000", Some(600)),
            ("soon", None),
            ("-1", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn each_status_has_a_class() {
        for (status, class) in [
            (204, ErrorClass::InvalidOutput),
            (302, ErrorClass::Permanent),
            (400, ErrorClass::Contract),
            (401, ErrorClass::Auth),
            (404, ErrorClass::Permanent),
            (408, ErrorClass::Timeout),
            (500, ErrorClass::Transient),
            (504, ErrorClass::Timeout),
            (999, ErrorClass::Transient),
        ] {
            assert_eq!(class_of(StatusCode::from_u16(status).unwrap()).0, class, "{status}");
        }
    }
}
