//! From the configuration to librdkafka's clients: what they all share, and their log.
//!
//! The user's own properties are laid down first and Baton's over them; what the two would dispute is refused when the
//! configuration is read. OAUTHBEARER works with librdkafka's built-in unsecured tokens (`sasl.oauthbearer.config` with
//! `enable.sasl.oauthbearer.unsecure.jwt`).

use crate::config;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// For one request to the brokers where a person waits for its answer.
pub const REQUEST: Duration = Duration::from_secs(10);

/// What every client has. `role` says what this one is for and becomes part of its `client.id`.
#[must_use]
pub fn client(kafka: &config::Kafka, role: &str) -> ClientConfig {
    let mut settings = ClientConfig::new();
    // Brokers close connections that idle; that is no news.
    settings.set("log.connection.close", "false");
    // A broker that comes back is found again within seconds, not after the default 10.
    settings.set("reconnect.backoff.max.ms", "2000");
    for (property, value) in &kafka.client {
        settings.set(property, value);
    }
    settings.set("bootstrap.servers", &kafka.bootstrap_servers);
    let slot = kafka.slot.as_deref().map(|slot| format!("-{slot}")).unwrap_or_default();
    settings.set("client.id", format!("{}-{role}{slot}", kafka.prefix));
    settings.set_log_level(RDKafkaLogLevel::Info);
    settings
}

/// A client that reads without a group: nothing of it is committed, and what was aborted is not seen.
#[must_use]
pub fn reader(kafka: &config::Kafka, role: &str, isolation: Isolation) -> ClientConfig {
    reading(client(kafka, role), &format!("{}.reader", kafka.prefix), isolation)
}

/// The same of a client that there is already. `assign` fails without a group id, though none is joined and nothing
/// committed.
#[must_use]
pub(super) fn reading(mut settings: ClientConfig, group_id: &str, isolation: Isolation) -> ClientConfig {
    settings.set("group.id", group_id);
    settings.set("enable.auto.commit", "false");
    settings.set("enable.auto.offset.store", "false");
    settings.set("auto.offset.reset", "error");
    settings.set("isolation.level", isolation.level());
    // By default a reader whose queue was full rests for a second: of a large state that was most of the time.
    settings.set("fetch.queue.backoff.ms", "10");
    settings
}

/// What a reader sees of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Only what was committed.
    Committed,
    /// Everything; its watermarks are the true end of a partition.
    Uncommitted,
}

impl Isolation {
    fn level(self) -> &'static str {
        match self {
            Self::Committed => "read_committed",
            Self::Uncommitted => "read_uncommitted",
        }
    }
}

/// The client's log and errors as events of ours.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientLog;

impl ClientContext for ClientLog {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl rdkafka::consumer::ConsumerContext for ClientLog {}

/// For contexts with more to do than [`ClientLog`].
pub fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::error!(target: "baton::kafka::client", facility, "{message}");
        }
        RDKafkaLogLevel::Warning => tracing::warn!(target: "baton::kafka::client", facility, "{message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
            tracing::info!(target: "baton::kafka::client", facility, "{message}");
        }
        RDKafkaLogLevel::Debug => tracing::debug!(target: "baton::kafka::client", facility, "{message}"),
    }
}

/// For contexts with more to do than [`ClientLog`]. A warning, not an error: the client goes on by itself, and what it
/// cannot get over comes back from the call that needed it.
pub fn log_error(error: &KafkaError, reason: &str) {
    // Asked for where the end of a partition matters, and no error there.
    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
        return;
    }
    tracing::warn!(target: "baton::kafka::client", "{error}: {reason}");
}

/// How long to look for the reason why no broker answers.
const LOOK: Duration = Duration::from_secs(3);

/// Why no broker can be reached: a request only says that none answered in time, while the client tells of a refused
/// connection, an unknown host or a wrong password on the side. None if it says nothing either.
#[must_use]
pub fn why_unreachable(kafka: &config::Kafka) -> Option<(KafkaError, String)> {
    let settings = reader(kafka, "probe", Isolation::Committed);
    let consumer: BaseConsumer<Probe> = settings.create_with_context(Probe::default()).ok()?;
    let deadline = Instant::now() + LOOK;
    let mut found = None;
    while Instant::now() < deadline {
        // Errors come to the context; what polling gives back lacks their reason.
        drop(consumer.poll(Duration::from_millis(100)));
        let heard = consumer.context().heard.lock().unwrap_or_else(PoisonError::into_inner).take();
        found = match (found, heard) {
            (_, Some(heard)) if heard.0.rdkafka_error_code() == Some(RDKafkaErrorCode::Authentication) => {
                return Some(heard);
            }
            (None, heard) => heard,
            (found, _) => found,
        };
    }
    found
}

/// A client whose complaints are what is looked for.
#[derive(Default)]
struct Probe {
    heard: Mutex<Option<(KafkaError, String)>>,
}

impl ClientContext for Probe {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        // That all brokers are down only follows from what was said of each.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some((error, reason.to_owned()));
        }
    }
}

impl rdkafka::consumer::ConsumerContext for Probe {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_properties_are_passed_on_and_ours_stand() {
        let mut kafka = config::Kafka { slot: Some("7".to_owned()), ..config::Kafka::default() };
        kafka.client.insert("security.protocol".to_owned(), "SASL_SSL".to_owned());
        kafka.client.insert("reconnect.backoff.max.ms".to_owned(), "9000".to_owned());
        let settings = reader(&kafka, "tail", Isolation::Committed);
        assert_eq!(settings.get("security.protocol"), Some("SASL_SSL"));
        assert_eq!(settings.get("reconnect.backoff.max.ms"), Some("9000"));
        assert_eq!(settings.get("client.id"), Some("baton-tail-7"));
        assert_eq!(settings.get("isolation.level"), Some("read_committed"));
    }
}
