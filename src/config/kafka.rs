use super::check::Checks;
use super::secret::{self, REDACTED};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// `[kafka]`: where the brokers are and what ours is called there.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kafka {
    /// `host:port`, several separated by commas.
    pub bootstrap_servers: String,
    /// Of every topic, group and transactional id.
    pub prefix: String,
    /// Stable name of this worker; none = the first free one of this host.
    pub slot: Option<String>,
    /// Of the topics Baton creates; none = the broker's default.
    pub replication_factor: Option<i16>,
    /// Of the topics Baton creates; none = the broker's default.
    pub min_insync_replicas: Option<i16>,
    /// Of every topic keyed by task id; none = what the topic files say.
    pub partitions: Option<i32>,
    /// Properties of librdkafka, passed on as they are.
    #[serde(deserialize_with = "properties", serialize_with = "without_secrets")]
    pub client: BTreeMap<String, String>,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            bootstrap_servers: "localhost:9092".to_owned(),
            prefix: "baton".to_owned(),
            slot: None,
            replication_factor: None,
            min_insync_replicas: None,
            partitions: None,
            client: BTreeMap::new(),
        }
    }
}

/// Without the secrets among the client's properties.
impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = toml::Value::try_from(self).map_err(|_| fmt::Error)?;
        write!(f, "Kafka {shown}")
    }
}

/// What Baton sets itself because its guarantees rest on it, and where to turn instead.
const OWNED: [(&str, &str); 36] = [
    ("bootstrap.servers", "set kafka.bootstrap_servers"),
    ("metadata.broker.list", "set kafka.bootstrap_servers"),
    ("client.id", "it is made of kafka.prefix and kafka.slot: set those"),
    ("group.id", "it is made of kafka.prefix: set that"),
    ("group.instance.id", "it is made of kafka.prefix and kafka.slot: set those"),
    ("group.protocol", "remove it: partitions are assigned by the classic protocol"),
    ("group.protocol.type", "remove it: partitions are assigned by the classic protocol"),
    ("group.remote.assignor", "remove it: one worker must get the same partition of every topic"),
    ("transactional.id", "it is made of kafka.prefix and kafka.slot: set those"),
    ("session.timeout.ms", "set worker.session_timeout"),
    ("heartbeat.interval.ms", "set worker.session_timeout: it follows from that"),
    ("transaction.timeout.ms", "set worker.transaction_timeout"),
    ("message.timeout.ms", "set worker.transaction_timeout: it follows from that"),
    ("delivery.timeout.ms", "set worker.transaction_timeout: it follows from that"),
    ("enable.auto.commit", "remove it: offsets are committed in transactions only"),
    ("auto.commit.enable", "remove it: offsets are committed in transactions only"),
    ("auto.commit.interval.ms", "remove it: offsets are committed in transactions only"),
    ("enable.auto.offset.store", "remove it: offsets are committed in transactions only"),
    ("offset.store.method", "remove it: offsets are committed in transactions only"),
    ("isolation.level", "remove it: what was aborted must never be read"),
    ("auto.offset.reset", "remove it: an offset out of range stops the worker rather than skipping records"),
    ("partition.assignment.strategy", "remove it: one worker must get the same partition of every topic"),
    ("enable.partition.eof", "remove it: Baton sets it where it needs it"),
    ("enable.idempotence", "remove it: every producer is idempotent"),
    ("enable.gapless.guarantee", "remove it: every producer is idempotent"),
    ("acks", "remove it: every record waits for all in-sync replicas"),
    ("request.required.acks", "remove it: every record waits for all in-sync replicas"),
    ("retries", "remove it: every producer is idempotent"),
    ("message.send.max.retries", "remove it: every producer is idempotent"),
    ("max.in.flight", "remove it: every producer is idempotent"),
    ("max.in.flight.requests.per.connection", "remove it: every producer is idempotent"),
    ("partitioner", "remove it: a task's home is the murmur2 hash of its id"),
    ("message.max.bytes", "remove it: it follows from the topics' own limits"),
    ("queue.buffering.max.messages", "set worker.batch: it follows from that"),
    ("allow.auto.create.topics", "remove it: `baton apply` creates topics"),
    ("log.queue", "remove it: the client's log goes into Baton's own"),
];

impl Kafka {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.that(!self.bootstrap_servers.trim().is_empty(), "kafka.bootstrap_servers", "is empty", "give host:port");
        for server in self.bootstrap_servers.split(',').filter(|server| !server.trim().is_empty()) {
            let port = server.trim().rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
            checks.that(
                port.is_some_and(|(host, port)| !host.is_empty() && port > 0),
                "kafka.bootstrap_servers",
                &format!("has {:?}, which is no host:port", server.trim()),
                "give host:port, several separated by commas",
            );
        }
        let legal = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        checks.that(
            (1..=64).contains(&self.prefix.len()) && legal(&self.prefix),
            "kafka.prefix",
            "cannot begin a topic's name",
            "use 1 to 64 of A-Z a-z 0-9 . _ -",
        );
        if let Some(slot) = &self.slot {
            checks.that(
                (1..=64).contains(&slot.len()) && legal(slot),
                "kafka.slot",
                "cannot be part of a transactional id",
                "use 1 to 64 of A-Z a-z 0-9 . _ -, or remove it",
            );
        }
        let positive = "must be 1 or more";
        checks.that(self.partitions.is_none_or(|n| n >= 1), "kafka.partitions", positive, "raise or remove it");
        checks.that(
            self.replication_factor.is_none_or(|n| n >= 1),
            "kafka.replication_factor",
            positive,
            "raise it, or remove it to take the broker's default",
        );
        checks.that(
            self.min_insync_replicas.is_none_or(|n| n >= 1 && self.replication_factor.is_none_or(|of| n <= of)),
            "kafka.min_insync_replicas",
            "must be 1 or more and no more than kafka.replication_factor",
            "lower it, or remove it to take the broker's default",
        );
        for (property, remedy) in OWNED {
            if self.client.contains_key(property) {
                checks.fault_in_client(property, "is Baton's own", remedy);
            }
        }
    }

    /// Puts the content of `sasl.password_file` and its like in place of the path.
    pub(super) fn read_secret_files(&mut self, checks: &mut Checks) {
        let named: Vec<String> = self.client.keys().filter(|key| secret_behind(key).is_some()).cloned().collect();
        for key in named {
            let path = self.client.remove(&key).expect("the key was just listed");
            match super::read_secret(&path) {
                Ok(content) => {
                    let property = secret_behind(&key).expect("only such keys were listed").to_owned();
                    self.client.insert(property, content);
                }
                Err(problem) => checks.fault_in_client(&key, &problem, "give the path of a readable file"),
            }
        }
    }
}

/// The secret property whose value lies in the file that `key` names. In an environment variable `_` stands for `.`.
fn secret_behind(key: &str) -> Option<&str> {
    key.strip_suffix("_file").or_else(|| key.strip_suffix(".file")).filter(|property| secret::is_secret(property))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Property {
    Flag(bool),
    Whole(i64),
    Fraction(f64),
    Text(String),
    /// A name written without quotes: TOML takes its dots for tables.
    Group(BTreeMap<String, Property>),
}

fn properties<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let mut flat = BTreeMap::new();
    flatten("", Property::Group(BTreeMap::deserialize(deserializer)?), &mut flat);
    Ok(flat)
}

fn flatten(name: &str, property: Property, into: &mut BTreeMap<String, String>) {
    let value = match property {
        Property::Flag(value) => value.to_string(),
        Property::Whole(value) => value.to_string(),
        Property::Fraction(value) => value.to_string(),
        Property::Text(value) => value,
        Property::Group(inner) => {
            for (key, value) in inner {
                let dot = if name.is_empty() { "" } else { "." };
                flatten(&format!("{name}{dot}{key}"), value, into);
            }
            return;
        }
    };
    into.insert(name.to_owned(), value);
}

fn without_secrets<S: Serializer>(client: &BTreeMap<String, String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(
        client.iter().map(|(key, value)| (key, if secret::is_secret(key) { REDACTED } else { value.as_str() })),
    )
}
