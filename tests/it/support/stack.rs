//! A real Kafka 4.3 and a real schema registry, found once per test process.
//!
//! In this order: addresses in the environment, Docker, Maven. Nothing found is a failure that says what to install,
//! never a skipped test.

use super::{containers, maven, wait};
use std::any::Any;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

/// Where the broker and the registry answer.
#[derive(Debug)]
pub(crate) struct Stack {
    /// How it was found: `environment`, `docker` or `maven`.
    pub(crate) way: &'static str,
    pub(crate) bootstrap: String,
    /// Base URL of the Confluent-compatible API.
    pub(crate) registry: String,
    /// Only by Maven.
    pub(crate) secure: Option<Secure>,
    /// What ends when the stack goes out of scope.
    _held: Vec<Box<dyn Held>>,
}

pub(crate) trait Held: Any + Send + Sync + std::fmt::Debug {}
impl<T: Any + Send + Sync + std::fmt::Debug> Held for T {}

/// The same broker's listeners that ask who is there. `baton` may do everything, `guest` nothing.
#[derive(Clone, Debug)]
pub(crate) struct Secure {
    /// `SASL_SSL` with SCRAM-SHA-512; users `baton` and `guest`, each with [`Secure::PASSWORD`].
    pub(crate) scram: String,
    /// `SASL_PLAINTEXT` with OAUTHBEARER and unsecured tokens.
    pub(crate) oauth: String,
    /// The certificate of the authority that signed the broker's.
    pub(crate) ca: PathBuf,
}

impl Secure {
    pub(crate) const PASSWORD: &str = "right-password";
}

impl Stack {
    pub(crate) fn new(way: &'static str, bootstrap: String, registry: String, held: Vec<Box<dyn Held>>) -> Self {
        Self { way, bootstrap, registry, secure: None, _held: held }
    }

    pub(crate) fn with_secure(mut self, secure: Option<Secure>) -> Self {
        self.secure = secure;
        self
    }
}

/// The stack all tests share. Panics with what to install when there is none; every test then says the same.
pub(crate) fn stack() -> &'static Stack {
    static STACK: OnceLock<Result<Stack, String>> = OnceLock::new();
    match STACK.get_or_init(find) {
        Ok(stack) => stack,
        Err(why) => panic!("{why}"),
    }
}

fn find() -> Result<Stack, String> {
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    match (variable("BATON_TEST_KAFKA"), variable("BATON_TEST_REGISTRY")) {
        (Some(kafka), Some(registry)) => return given(kafka, registry),
        (None, None) => {}
        _ => return Err("BATON_TEST_KAFKA and BATON_TEST_REGISTRY go together: set both or neither".into()),
    }
    let forced = variable("BATON_TEST_STACK");
    let (docker, maven) = match forced.as_deref() {
        None => (true, true),
        Some("docker") => (true, false),
        Some("maven") => (false, true),
        Some(other) => return Err(format!("BATON_TEST_STACK={other}: it is `docker`, `maven` or not set")),
    };
    let mut tried = vec![];
    if docker {
        match containers::start() {
            Ok(stack) => return Ok(stack),
            Err(why) => tried.push(format!("  Docker: {why}")),
        }
    }
    if maven {
        match maven::start() {
            Ok(stack) => return Ok(stack),
            Err(why) => tried.push(format!("  Maven: {why}")),
        }
    }
    Err(format!(
        "These tests need a real Kafka and a schema registry. Tried:\n{}\nProvide one of:\n\
         - BATON_TEST_KAFKA=host:port and BATON_TEST_REGISTRY=http://host:port of ones that run\n\
         - a Docker engine that has or can pull {} and {}\n\
         - Java 17 or later, Maven and OpenSSL (Debian: apt-get install openjdk-17-jre-headless maven openssl), which fetch {} once",
        tried.join("\n"),
        containers::KAFKA,
        containers::REGISTRY,
        "Apache Kafka and Apicurio Registry from Maven Central"
    ))
}

fn given(kafka: String, registry: String) -> Result<Stack, String> {
    broker_answers(&kafka).map_err(|seen| format!("BATON_TEST_KAFKA={kafka} does not answer: {seen}"))?;
    let registry = registry.trim_end_matches('/').to_owned();
    registry_answers(&registry).map_err(|seen| format!("BATON_TEST_REGISTRY={registry} does not answer: {seen}"))?;
    Ok(Stack::new("environment", kafka, registry, vec![]))
}

/// One look whether a broker gives its metadata.
pub(crate) fn broker_answers(bootstrap: &str) -> Result<(), String> {
    use rdkafka::consumer::{BaseConsumer, Consumer as _};
    let client: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "baton-test-probe")
        .set("reconnect.backoff.max.ms", "200")
        .set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg)
        .create()
        .map_err(|e| e.to_string())?;
    let found = client.fetch_metadata(None, Duration::from_secs(3)).map_err(|e| e.to_string())?;
    if found.brokers().is_empty() { Err("no broker in its metadata".into()) } else { Ok(()) }
}

/// One look whether a registry lists its subjects.
pub(crate) fn registry_answers(url: &str) -> Result<(), String> {
    match wait::get(&format!("{url}/subjects"))? {
        (200, _) => Ok(()),
        (status, body) => Err(format!("{status} {body}")),
    }
}
