//! A plain producer for what needs no transaction: tasks submitted, agents registered, reports. Idempotent, and a record
//! counts as sent only when all in-sync replicas have it. Keys are hashed by murmur2, so that a task's record lands at home.

use super::fault::KafkaFault;
use super::settings;
use crate::config;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a record may take to be acknowledged before it counts as not sent.
const DELIVERY: Duration = Duration::from_secs(30);
/// How long to wait for room when the client's queue is full.
const FULL: Duration = Duration::from_millis(10);

/// A producer without transactions. Cheap to clone; all clones share one client.
#[derive(Clone)]
pub struct PlainProducer {
    client: Arc<ThreadedProducer<Context>>,
    servers: String,
}

impl std::fmt::Debug for PlainProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlainProducer").field("servers", &self.servers).finish_non_exhaustive()
    }
}

type Delivery = Result<Delivered, KafkaError>;

/// Hands each delivery to whoever waits for it.
#[derive(Debug)]
struct Context;

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        settings::log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        settings::log_error(&error, reason);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<oneshot::Sender<Delivery>>;

    fn delivery(&self, result: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        let delivery = match result {
            Ok(message) => Ok(Delivered { partition: message.partition(), offset: message.offset() }),
            Err((error, _)) => Err(error.clone()),
        };
        // Nobody may be waiting any more: the record is delivered all the same.
        let _ = waiting.send(delivery);
    }
}

/// One record to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    pub topic: String,
    /// None = the client picks, from the key.
    pub partition: Option<i32>,
    pub key: Option<Vec<u8>>,
    /// None = a null value (a tombstone).
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
}

/// Where a record has come to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    pub partition: i32,
    pub offset: i64,
}

/// A record in the client's queue.
#[must_use = "a record counts as sent only once this has been awaited"]
pub struct Pending {
    delivery: oneshot::Receiver<Delivery>,
    topic: String,
    bytes: usize,
    servers: String,
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl PlainProducer {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// [`KafkaFault::Setup`].
    pub fn new(kafka: &config::Kafka, role: &str) -> Result<Self, KafkaFault> {
        let servers = kafka.bootstrap_servers.clone();
        let mut settings = settings::client(kafka, role);
        settings.set("enable.idempotence", "true");
        settings.set("partitioner", "murmur2_random");
        settings.set("message.timeout.ms", DELIVERY.as_millis().to_string());
        // The broker's limit is the one that counts: its answer names the topic.
        settings.set("message.max.bytes", "16777216");
        let client = ThreadedProducer::from_config_and_context(&settings, Context)
            .map_err(|error| KafkaFault::of(&error, "set up a producer", &servers))?;
        Ok(Self { client: Arc::new(client), servers })
    }

    /// Puts a record into the queue, waiting while that is full. Records of one key keep their order.
    ///
    /// # Errors
    /// A record the client itself refuses.
    pub async fn enqueue(&self, record: &Outgoing) -> Result<Pending, KafkaFault> {
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (key, value) in &record.headers {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let bytes = record.value.as_ref().map_or(0, Vec::len);
        let (waiting, delivery) = oneshot::channel();
        let mut waiting = Box::new(waiting);
        loop {
            let mut outgoing: BaseRecord<'_, [u8], [u8], _> =
                BaseRecord::with_opaque_to(&record.topic, waiting).headers(headers.clone());
            outgoing.partition = record.partition;
            outgoing.key = record.key.as_deref();
            outgoing.payload = record.value.as_deref();
            match self.client.send(outgoing) {
                Ok(()) => {
                    let (topic, servers) = (record.topic.clone(), self.servers.clone());
                    return Ok(Pending { delivery, topic, bytes, servers });
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    waiting = back.delivery_opaque;
                    tokio::time::sleep(FULL).await;
                }
                Err((error, _)) => return Err(refused(&error, &record.topic, bytes, &self.servers)),
            }
        }
    }

    /// Sends a record and waits until the brokers have it.
    ///
    /// # Errors
    /// [`KafkaFault::Unreachable`] after 30 s without an answer; what client or broker refuse.
    pub async fn send(&self, record: &Outgoing) -> Result<Delivered, KafkaFault> {
        self.enqueue(record).await?.delivered().await
    }

    /// Records not acknowledged yet.
    #[must_use]
    pub fn in_flight(&self) -> i32 {
        self.client.in_flight_count()
    }
}

impl Pending {
    /// Waits until the brokers have the record.
    ///
    /// # Errors
    /// As [`PlainProducer::send`].
    pub async fn delivered(self) -> Result<Delivered, KafkaFault> {
        match self.delivery.await {
            Ok(Ok(delivered)) => Ok(delivered),
            Ok(Err(error)) => Err(refused(&error, &self.topic, self.bytes, &self.servers)),
            Err(_) => Err(KafkaFault::Failed {
                what: format!("send to {}", self.topic),
                detail: "the producer was closed before the brokers answered".to_owned(),
                again: true,
            }),
        }
    }
}

fn refused(error: &KafkaError, topic: &str, bytes: usize, servers: &str) -> KafkaFault {
    let what = format!("send to {topic}");
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
            KafkaFault::NoTopic(topic.to_owned())
        }
        Some(code @ (RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize)) => {
            KafkaFault::TooLarge { what, bytes, detail: code.to_string() }
        }
        _ => KafkaFault::of(error, &what, servers),
    }
}
