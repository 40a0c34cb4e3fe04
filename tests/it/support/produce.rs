//! Producing as strangers do: any bytes, any partitioner, with and without key.

use super::stack::Stack;
use super::wait::until;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Which client a producer behaves like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Partitioner {
    /// librdkafka's default (CRC32): kcat, Python, Go, .NET.
    Default,
    /// Java's.
    Murmur2,
}

/// A record to send. Build with [`Send::to`].
#[derive(Clone, Debug)]
pub(crate) struct Send {
    topic: String,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    partition: Option<i32>,
    headers: Vec<(String, Vec<u8>)>,
}

impl Send {
    /// Null key, null value.
    pub(crate) fn to(topic: &str) -> Self {
        Self { topic: topic.into(), key: None, value: None, partition: None, headers: vec![] }
    }

    pub(crate) fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.key = Some(key.as_ref().to_vec());
        self
    }

    pub(crate) fn bytes(mut self, value: impl AsRef<[u8]>) -> Self {
        self.value = Some(value.as_ref().to_vec());
        self
    }

    pub(crate) fn json(self, value: &serde_json::Value) -> Self {
        self.bytes(value.to_string())
    }

    /// To this partition, whatever the key says.
    pub(crate) fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }
}

type Outcome = Result<(i32, i64), String>;

#[derive(Clone, Default)]
struct Outcomes(Arc<Mutex<Vec<(usize, Outcome)>>>);

impl rdkafka::ClientContext for Outcomes {}

impl ProducerContext for Outcomes {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Box<usize>) {
        let at = |message: &BorrowedMessage<'_>| (message.partition(), message.offset());
        let outcome = result.as_ref().map(at).map_err(|(error, _)| error.to_string());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((*number, outcome));
    }
}

/// A producer with large limits, so that the broker's are what is met.
pub(crate) struct Sender {
    producer: BaseProducer<Outcomes>,
    outcomes: Outcomes,
}

impl Sender {
    pub(crate) fn new(stack: &Stack, partitioner: Partitioner) -> Self {
        Self::configured(&stack.bootstrap, partitioner, &[])
    }

    /// With further client settings, such as a `transactional.id`.
    pub(crate) fn configured(bootstrap: &str, partitioner: Partitioner, settings: &[(&str, &str)]) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap).set("message.max.bytes", "16000000").set("linger.ms", "1");
        config.set("message.timeout.ms", "10000");
        if let Partitioner::Murmur2 = partitioner {
            config.set("partitioner", "murmur2_random");
        }
        for (name, value) in settings {
            config.set(*name, *value);
        }
        let outcomes = Outcomes::default();
        Self { producer: config.create_with_context(outcomes.clone()).expect("a producer is built"), outcomes }
    }

    /// Sends one and gives where it is: partition and offset.
    #[track_caller]
    pub(crate) fn send(&self, record: Send) -> (i32, i64) {
        self.send_all([record])[0]
    }

    /// Sends many and gives where each is, in order.
    #[track_caller]
    pub(crate) fn send_all(&self, records: impl IntoIterator<Item = Send>) -> Vec<(i32, i64)> {
        self.try_all(records).into_iter().map(|outcome| outcome.expect("the broker takes the record")).collect()
    }

    /// Sends many and gives what became of each, in order.
    #[track_caller]
    pub(crate) fn try_all(&self, records: impl IntoIterator<Item = Send>) -> Vec<Outcome> {
        let mut sent = 0;
        for record in records {
            self.queue(&record, sent);
            sent += 1;
        }
        until("delivery", Duration::from_secs(60), || {
            self.producer.poll(Duration::from_millis(1));
            match self.producer.in_flight_count() {
                0 => Ok(()),
                left => Err(format!("{left} in flight")),
            }
        });
        let mut outcomes = std::mem::take(&mut *self.outcomes.0.lock().unwrap_or_else(PoisonError::into_inner));
        outcomes.sort_by_key(|(number, _)| *number);
        assert_eq!(outcomes.len(), sent, "each record has an outcome");
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }

    /// The client itself, for transactions.
    pub(crate) fn client(&self) -> &BaseProducer<impl ProducerContext> {
        &self.producer
    }

    fn queue(&self, record: &Send, number: usize) {
        let mut headers = OwnedHeaders::new();
        for (name, value) in &record.headers {
            headers = headers.insert(Header { key: name, value: Some(value) });
        }
        let mut next: BaseRecord<'_, [u8], [u8], Box<usize>> =
            BaseRecord::with_opaque_to(&record.topic, Box::new(number)).headers(headers);
        next.key = record.key.as_deref();
        next.payload = record.value.as_deref();
        next.partition = record.partition;
        loop {
            match self.producer.send(next) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    self.producer.poll(Duration::from_millis(10));
                    next = back;
                }
                Err((error, _)) => panic!("{} to {}: {error}", number, record.topic),
            }
        }
    }
}
