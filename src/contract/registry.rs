//! The schema registry, through its Confluent API: Confluent's own, Apicurio's and others.
//!
//! Ids and schemas go through `schema_registry_converter`, by the functions that keep no cache: its caches also
//! keep errors. It does not retry either; nor do we, for every caller has its own way to wait: [`RegistryError::is_retriable`]
//! says whether to. What it cannot do (compatibility, contracts by name) is asked for directly. Never asked while a
//! Kafka transaction is open.

use super::cache::{SchemaCache, WriterSchema};
use super::contract_names::Contract;
use super::topics::Compatibility;
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use schema_registry_converter::async_impl::schema_registry::{
    SrSettings, get_schema_by_id, perform_sr_call, post_schema,
};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{RawError, SchemaType, SrCall, SuppliedSchema};
use serde::Deserialize;
use serde_json::{Value, json};
use std::error::Error as _;
use std::fmt;
use std::time::Duration;

/// How long one request may take; the crate's own 30 s are longer than a task may wait for a schema.
const TIMEOUT: Duration = Duration::from_secs(5);
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// How the registry knows us.
#[derive(Clone, PartialEq, Eq)]
pub enum RegistryAuth {
    Basic { user: String, password: String },
    Bearer(String),
}

impl fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { user, .. } => write!(f, "Basic({user}, …)"),
            Self::Bearer(_) => f.write_str("Bearer(…)"),
        }
    }
}

/// Why there is no answer; each says at which address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// No connection, no answer in time, or an answer that says "not now": try again.
    #[error("the registry at {url} cannot be asked: {problem}")]
    Unreachable { url: String, problem: String },
    /// An answer that stays the same until someone changes something.
    #[error("the registry at {url} refuses {what}: {problem}")]
    Refused { url: String, what: String, problem: String },
    #[error("`{url}` is no registry's address: {problem}; give one like http://localhost:8081")]
    BadUrl { url: String, problem: String },
}

impl RegistryError {
    /// Whether the same request may succeed later by itself.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// What a subject holds, for a writer of JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonSubject {
    /// A JSON Schema of this id.
    Json(u32),
    /// A schema of this other type.
    Other(String),
    /// Nothing is registered there.
    Missing,
}

/// A registry's client; clones share its connections.
#[derive(Clone)]
pub struct Registry {
    url: Url,
    client: reqwest::Client,
    settings: SrSettings,
    auth: Option<RegistryAuth>,
}

/// Only the address: settings and parsed address may hold credentials.
impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registry({})", self.url())
    }
}

impl Registry {
    /// `url` may have a path, as in `http://host:8080/apis/ccompat/v7`.
    ///
    /// # Errors
    ///
    /// The address is none.
    pub fn new(url: &str, auth: Option<RegistryAuth>) -> Result<Self, RegistryError> {
        let bad = |problem: String| RegistryError::BadUrl { url: url.to_owned(), problem };
        let parsed = Url::parse(url.trim_end_matches('/')).map_err(|error| bad(error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") || parsed.host().is_none() {
            return Err(bad("it has no http or https host".to_owned()));
        }
        let client = reqwest::Client::builder().timeout(TIMEOUT).build().map_err(|error| bad(error.to_string()))?;
        let mut builder = SrSettings::new_builder(parsed.as_str().trim_end_matches('/').to_owned());
        builder.set_timeout(TIMEOUT);
        match &auth {
            Some(RegistryAuth::Basic { user, password }) => {
                builder.set_basic_authorization(user, Some(password));
            }
            Some(RegistryAuth::Bearer(token)) => {
                builder.set_token_authorization(token);
            }
            None => {}
        }
        let settings = builder.build().map_err(|error| bad(error.error))?;
        Ok(Self { url: parsed, client, settings, auth })
    }

    /// The address, without credentials.
    #[must_use]
    pub fn url(&self) -> String {
        let mut url = self.url.clone();
        // Both only fail for addresses that cannot have credentials.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.to_string()
    }

    /// The id of an Avro schema under a subject, if it is registered there. Registers nothing.
    ///
    /// # Errors
    ///
    /// The registry cannot be asked or refuses.
    pub async fn id_of(&self, subject: &str, schema: &str) -> Result<Option<u32>, RegistryError> {
        let body = json!({"schema": schema, "schemaType": "AVRO"}).to_string();
        match perform_sr_call(&self.settings, SrCall::PostForVersion(subject, &body)).await {
            Ok(found) => Ok(found.id),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(self.error(&format!("the schema of {subject}"), &error)),
        }
    }

    /// Registers an Avro schema under a subject; the id it has now, or had already.
    ///
    /// # Errors
    ///
    /// The registry cannot be asked, or refuses, for example for compatibility.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let supplied = SuppliedSchema::new(None, SchemaType::Avro, schema.to_owned());
        let registered = post_schema(&self.settings, subject.to_owned(), supplied).await;
        registered.map(|schema| schema.id).map_err(|error| self.error(&format!("the schema of {subject}"), &error))
    }

    /// The schema of an id; none if the registry says that it has none.
    ///
    /// # Errors
    ///
    /// The registry cannot be asked or refuses. A 404 without the registry's own code for a missing schema is
    /// no answer: a wrong address must not make dead letters.
    pub async fn schema(&self, id: u32) -> Result<Option<WriterSchema>, RegistryError> {
        // Registries count in 31 bits, and some do not understand more: such an id comes from bytes that are no record.
        if i32::try_from(id).is_err() {
            return Ok(None);
        }
        let schema = match get_schema_by_id(id, &self.settings).await {
            Ok(schema) => schema,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(self.error(&format!("schema {id}"), &error)),
        };
        Ok(Some(match schema.schema_type {
            SchemaType::Avro => WriterSchema::parse("AVRO", &schema.schema),
            SchemaType::Json => WriterSchema::Json,
            SchemaType::Other(other) => WriterSchema::parse(&other, &schema.schema),
            other => WriterSchema::Other(format!("a schema of type {other:?}")),
        }))
    }

    /// Looks a schema up and keeps what the registry says, also that it has none.
    ///
    /// # Errors
    ///
    /// As of [`Self::schema`]; then nothing is kept.
    pub async fn learn(&self, id: u32, schemas: &SchemaCache) -> Result<(), RegistryError> {
        match self.schema(id).await? {
            Some(schema) => schemas.insert(id, schema),
            None => schemas.insert_missing(id),
        }
        Ok(())
    }

    /// What a contract's name stands for: the latest version of the subject of that name.
    ///
    /// # Errors
    ///
    /// The registry cannot be asked, or refuses us (not: the name).
    pub async fn contract(&self, name: &str) -> Result<Contract, RegistryError> {
        // As a part of a path these would mean another path.
        if matches!(name, "." | "..") {
            return Ok(Contract::Label);
        }
        let what = format!("the contract {name}");
        let answer = self.ask(Method::GET, &["subjects", name, "versions", "latest"], None, &what).await?;
        match answer {
            Answer::Ok(body) => {
                let kind = body["schemaType"].as_str().unwrap_or("AVRO");
                match (kind, body["schema"].as_str()) {
                    ("JSON", Some(schema)) => Ok(Contract::Schema(schema.into())),
                    (kind, _) => {
                        let problem =
                            format!("`{name}` is of type {kind} in the registry, a contract is a JSON Schema");
                        Ok(Contract::Unusable(problem.into()))
                    }
                }
            }
            Answer::Missing => Ok(Contract::Label),
            Answer::Refused(StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY, problem) => {
                Ok(Contract::Unusable(format!("the registry does not take the name `{name}`: {problem}").into()))
            }
            Answer::Refused(_, problem) => Err(self.refused(&what, problem)),
        }
    }

    /// The latest schema of a subject, where that is a JSON Schema.
    ///
    /// # Errors
    ///
    /// The registry cannot be asked or refuses.
    pub async fn json_subject(&self, subject: &str) -> Result<JsonSubject, RegistryError> {
        let what = format!("the latest schema of {subject}");
        match self.ask(Method::GET, &["subjects", subject, "versions", "latest"], None, &what).await? {
            Answer::Missing => Ok(JsonSubject::Missing),
            Answer::Refused(_, problem) => Err(self.refused(&what, problem)),
            Answer::Ok(body) => {
                let kind = body["schemaType"].as_str().unwrap_or("AVRO");
                match (kind, body["id"].as_u64().and_then(|id| u32::try_from(id).ok())) {
                    ("JSON", Some(id)) => Ok(JsonSubject::Json(id)),
                    ("JSON", None) => Err(self.refused(&what, "its answer has no id".to_owned())),
                    (kind, _) => Ok(JsonSubject::Other(kind.to_owned())),
                }
            }
        }
    }

    /// What a subject is held to, if that was set for it.
    ///
    /// # Errors
    ///
    /// The registry cannot be asked or refuses.
    pub async fn compatibility(&self, subject: &str) -> Result<Option<String>, RegistryError> {
        let what = format!("the compatibility of {subject}");
        match self.ask(Method::GET, &["config", subject], None, &what).await? {
            Answer::Ok(body) => {
                // Confluent's answer and its request name the level differently.
                let level = body["compatibilityLevel"].as_str().or_else(|| body["compatibility"].as_str());
                Ok(level.map(str::to_owned))
            }
            Answer::Missing => Ok(None),
            Answer::Refused(_, problem) => Err(self.refused(&what, problem)),
        }
    }

    /// Sets what a subject is held to.
    ///
    /// # Errors
    ///
    /// The registry cannot be asked or refuses.
    pub async fn set_compatibility(&self, subject: &str, level: Compatibility) -> Result<(), RegistryError> {
        let what = format!("the compatibility of {subject}");
        let body = json!({"compatibility": level.as_str()});
        match self.ask(Method::PUT, &["config", subject], Some(body), &what).await? {
            Answer::Ok(_) => Ok(()),
            Answer::Missing => Err(self.refused(&what, "it knows no such path".to_owned())),
            Answer::Refused(_, problem) => Err(self.refused(&what, problem)),
        }
    }

    /// Why a schema could not be registered under a subject; empty if it could. Registers nothing.
    ///
    /// # Errors
    ///
    /// The registry cannot be asked or refuses.
    pub async fn incompatibilities(&self, subject: &str, schema: &str) -> Result<Vec<String>, RegistryError> {
        let what = format!("the check of {subject}");
        let path = ["compatibility", "subjects", subject, "versions"];
        let body = json!({"schema": schema, "schemaType": "AVRO"});
        match self.ask(Method::POST, &path, Some(body), &what).await? {
            Answer::Ok(body) if body["is_compatible"] == true => Ok(Vec::new()),
            Answer::Ok(body) => {
                // Confluent gives a list, Apicurio one text.
                let said = body["messages"].as_array().into_iter().flatten().chain([&body["reason"]]);
                let said = said.filter_map(Value::as_str);
                let said: Vec<_> = said.map(str::to_owned).collect();
                Ok(if said.is_empty() { vec!["the registry says no, without a reason".to_owned()] } else { said })
            }
            // Nothing is registered there yet, so anything is compatible.
            Answer::Missing => Ok(Vec::new()),
            Answer::Refused(_, problem) => Err(self.refused(&what, problem)),
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Value>,
        what: &str,
    ) -> Result<Answer, RegistryError> {
        let mut url = self.url.clone();
        url.path_segments_mut().expect("an http address has a path").pop_if_empty().extend(path);
        if path.first() == Some(&"compatibility") {
            url.set_query(Some("verbose=true"));
        }
        let mut request = self.authorised(self.client.request(method, url)).header("accept", MEDIA_TYPE);
        if let Some(body) = body {
            request = request.header("content-type", MEDIA_TYPE).body(body.to_string());
        }
        let answer = request.send().await.map_err(|error| self.unreachable(chain(&error)))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| self.unreachable(chain(&error)))?;
        let parsed = serde_json::from_str::<Value>(&text);
        if status.is_success() {
            return parsed
                .map(Answer::Ok)
                .map_err(|error| self.refused(what, format!("its answer is no JSON: {error}")));
        }
        let problem = Problem::of(parsed.unwrap_or_default());
        if problem.is_missing() {
            Ok(Answer::Missing)
        } else if is_for_now(status.as_u16()) {
            Err(self.unreachable(format!("{status} {}", problem.message)))
        } else {
            Ok(Answer::Refused(status, format!("{status} {}", problem.message).trim_end().to_owned()))
        }
    }

    fn authorised(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.auth {
            Some(RegistryAuth::Basic { user, password }) => request.basic_auth(user, Some(password)),
            Some(RegistryAuth::Bearer(token)) => request.bearer_auth(token),
            None => request,
        }
    }

    fn unreachable(&self, problem: String) -> RegistryError {
        RegistryError::Unreachable { url: self.url(), problem }
    }

    fn refused(&self, what: &str, problem: String) -> RegistryError {
        RegistryError::Refused { url: self.url(), what: what.to_owned(), problem }
    }

    /// The crate tells an HTTP status in words only.
    fn error(&self, what: &str, error: &SRCError) -> RegistryError {
        let said = error.error.rsplit_once("failed with status ").map(|(_, status)| status);
        let status = said.and_then(|status| status.get(..3)).and_then(|code| code.parse::<u16>().ok());
        let cause = error.source().map(chain).or_else(|| error.cause.clone()).unwrap_or_default();
        match status {
            Some(code) if is_for_now(code) => self.unreachable(format!("{code} {cause}")),
            Some(code) => self.refused(what, format!("{code} {cause}")),
            None if error.retriable => self.unreachable(cause),
            None => self.refused(what, format!("{}: {cause}", error.error)),
        }
    }
}

enum Answer {
    Ok(Value),
    /// In the registry's own words, so that a wrong path does not count as one.
    Missing,
    Refused(StatusCode, String),
}

/// The registry's error body.
#[derive(Default, Deserialize)]
struct Problem {
    #[serde(default)]
    error_code: u32,
    #[serde(default)]
    message: String,
}

impl Problem {
    fn of(body: Value) -> Self {
        Self::deserialize(body).unwrap_or_default()
    }

    fn is_missing(&self) -> bool {
        is_missing_code(self.error_code)
    }
}

/// Subject, version, schema, or a subject's own compatibility, not found.
fn is_missing_code(code: u32) -> bool {
    matches!(code, 40401..=40403 | 40408)
}

fn is_missing(error: &SRCError) -> bool {
    let raw = error.source().and_then(|cause| cause.downcast_ref::<RawError>());
    raw.is_some_and(|raw| is_missing_code(raw.error_code))
}

/// Statuses that pass by themselves.
fn is_for_now(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..)
}

/// An error with its causes: the top of reqwest's says only that a request failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said.push_str(": ");
        said.push_str(&error.to_string());
        cause = error.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::http::{HeaderMap, Uri};
    use axum::response::IntoResponse;
    use std::sync::{Arc, Mutex};
    use tokio::net::TcpListener;

    type Seen = Arc<Mutex<Vec<String>>>;

    /// A server that answers every request with one status and body, below a path, and notes what it was asked.
    async fn registry(status: u16, body: &'static str) -> (Registry, Seen) {
        let seen = Seen::default();
        let sink = Arc::clone(&seen);
        let answer = move |method: Method, uri: Uri, headers: HeaderMap, request: String| {
            let auth = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or("-");
            sink.lock().unwrap().push(format!("{method} {uri} {auth} {request}"));
            async move { (StatusCode::from_u16(status).unwrap(), body).into_response() }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/apis/ccompat/v7/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        (Registry::new(&url, Some(RegistryAuth::Bearer("token".into()))).unwrap(), seen)
    }

    #[tokio::test]
    async fn a_schema_is_asked_for_below_the_path_and_with_the_token() {
        let (registry, seen) = registry(200, r#"{"schema":"\"string\""}"#).await;
        assert!(matches!(registry.schema(7).await, Ok(Some(WriterSchema::Avro(_)))));
        let seen = seen.lock().unwrap();
        assert!(seen[0].starts_with("GET /apis/ccompat/v7/schemas/ids/7"), "{seen:?}");
        assert!(seen[0].contains("Bearer token"), "{seen:?}");
    }

    #[tokio::test]
    async fn a_schema_the_registry_says_it_has_not_is_none_but_a_wrong_path_is_no_answer() {
        let (says_no, _) = registry(404, r#"{"error_code":40403,"message":"Schema not found"}"#).await;
        assert!(matches!(says_no.schema(7).await, Ok(None)));
        let (wrong_path, _) = registry(404, "<html>no such page</html>").await;
        let error = wrong_path.schema(7).await.unwrap_err();
        assert!(!error.is_retriable() && error.to_string().contains("schema 7"), "{error}");
    }

    #[tokio::test]
    async fn an_answer_that_says_not_now_is_retried_and_one_that_refuses_is_not() {
        for (status, retriable) in [(500, true), (502, true), (503, true), (429, true), (401, false), (403, false)] {
            let (registry, _) = registry(status, r#"{"error_code":1,"message":"m"}"#).await;
            assert_eq!(registry.schema(7).await.unwrap_err().is_retriable(), retriable, "{status}");
            assert_eq!(registry.contract("lead").await.unwrap_err().is_retriable(), retriable, "{status}");
            assert_eq!(registry.register("s", "{}").await.unwrap_err().is_retriable(), retriable, "{status}");
        }
    }

    #[tokio::test]
    async fn an_error_is_not_remembered() {
        let (registry, seen) = registry(503, "{}").await;
        assert!(registry.schema(7).await.is_err() && registry.schema(7).await.is_err());
        assert_eq!(seen.lock().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_registry_that_is_not_there_is_unreachable() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let registry = Registry::new(&url, None).unwrap();
        let error = registry.schema(7).await.unwrap_err();
        assert!(error.is_retriable() && error.to_string().contains(&url), "{error}");
        assert!(registry.contract("lead").await.unwrap_err().is_retriable());
    }

    #[tokio::test]
    async fn a_contract_is_a_schema_a_label_or_neither() {
        let (json, seen) = registry(200, r#"{"schemaType":"JSON","schema":"{}"}"#).await;
        assert_eq!(json.contract("a b/c").await, Ok(Contract::Schema("{}".into())));
        assert!(seen.lock().unwrap()[0].contains("/subjects/a%20b%2Fc/versions/latest"));
        let (none, _) = registry(404, r#"{"error_code":40401,"message":"Subject not found"}"#).await;
        assert_eq!(none.contract("lead").await, Ok(Contract::Label));
        let (avro, _) = registry(200, r#"{"schema":"\"string\""}"#).await;
        assert!(matches!(avro.contract("lead").await, Ok(Contract::Unusable(_))));
        let (page, _) = registry(404, "no such page").await;
        assert!(page.contract("lead").await.is_err());
    }

    #[tokio::test]
    async fn what_is_incompatible_is_said() {
        let (no, seen) = registry(200, r#"{"is_compatible":false,"messages":["a","b"]}"#).await;
        assert_eq!(no.incompatibilities("s", "{}").await.unwrap(), ["a", "b"]);
        assert!(seen.lock().unwrap()[0].contains("/compatibility/subjects/s/versions"));
        let (one, _) = registry(200, r#"{"is_compatible":false,"reason":"a"}"#).await;
        assert_eq!(one.incompatibilities("s", "{}").await.unwrap(), ["a"]);
        let (yes, _) = registry(200, r#"{"is_compatible":true}"#).await;
        assert!(yes.incompatibilities("s", "{}").await.unwrap().is_empty());
    }

    #[test]
    fn an_address_that_is_none_is_told_and_secrets_are_not() {
        assert!(matches!(Registry::new("localhost:8081", None), Err(RegistryError::BadUrl { .. })));
        let auth = RegistryAuth::Basic { user: "u".into(), password: "hidden".into() };
        let registry = Registry::new("http://x:hidden@localhost:8081", Some(auth)).unwrap();
        assert!(!format!("{registry:?} {:?}", registry.auth).contains("hidden"));
    }
}
