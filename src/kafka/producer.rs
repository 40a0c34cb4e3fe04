//! The transactional producer: one transaction at a time, in the one order that is safe.
//!
//! ```text
//! begin ─▶ produce ─▶ drain until nothing is in flight ─▶ offsets ─▶ commit
//!             └──────────── refused ──────────────────────────┴─▶ purge, poll until empty, abort in slices
//! ```
//!
//! Offsets are sent only once the data is on the broker: sent before, a frozen worker's records could
//! appear after its successor restored. `commit` is called with nothing in flight, because the client's
//! own flush waits in slices of 100 ms.

use super::error::{Disposition, disposition, is_content, is_culprit};
use super::settings::{log_error, log_line};
use crate::worker::{Outcome, Outgoing};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig};
use rdkafka::{TopicPartitionList, util::Timeout};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks while a transaction drains: the granularity of a commit's latency. Slept, not polled for: the
/// client's poll spins through its last millisecond, on a core that the broker or the client's own threads could use.
const DRAIN_PAUSE: Duration = Duration::from_micros(200);
/// One try of `abort_transaction`; it does not poll, so it must not wait for long.
const ABORT_SLICE: Duration = Duration::from_millis(500);
/// After this an abort counts as unknown.
const ABORT_LIMIT: Duration = Duration::from_secs(30);
/// One try to send offsets; the call is repeated with the same arguments while the error is retriable.
const OFFSETS_SLICE: Duration = Duration::from_secs(5);
/// Marks the records whose offset is wanted back, in the delivery opaque.
const WANTS_OFFSET: usize = 1 << (usize::BITS - 1);

/// Moments of a transaction, for whoever wants to look in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Began,
    /// All records are on the broker.
    Drained,
    OffsetsSent,
    Committed,
    Aborted,
}

/// What was delivered, filled in by the client's callback.
#[derive(Debug, Default)]
struct Deliveries {
    refused: Option<(usize, RDKafkaErrorCode)>,
    failed: Option<RDKafkaErrorCode>,
    /// Next offset by partition of the topic whose offsets are wanted.
    ends: BTreeMap<i32, i64>,
}

#[derive(Debug, Default)]
pub(crate) struct Delivered(Mutex<Deliveries>);

impl Delivered {
    fn take_failure(&self) -> (Option<(usize, RDKafkaErrorCode)>, Option<RDKafkaErrorCode>) {
        let mut deliveries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (deliveries.refused.take(), deliveries.failed.take())
    }
}

#[derive(Debug, Default)]
pub(crate) struct Context {
    delivered: Arc<Delivered>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        match result {
            Ok(message) if opaque & WANTS_OFFSET != 0 => {
                let mut deliveries = self.delivered.0.lock().unwrap_or_else(PoisonError::into_inner);
                deliveries.ends.insert(message.partition(), message.offset() + 1);
            }
            Ok(_) => {}
            Err((error, _)) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
                let mut deliveries = self.delivered.0.lock().unwrap_or_else(PoisonError::into_inner);
                if is_culprit(code) && deliveries.refused.is_none() {
                    deliveries.refused = Some((opaque & !WANTS_OFFSET, code));
                }
                deliveries.failed = Some(code);
            }
        }
    }
}

/// A producer whose transactions carry the worker's offsets.
pub struct TransactionalProducer {
    producer: BaseProducer<Context>,
    delivered: Arc<Delivered>,
    /// The topic whose end offsets are kept.
    tracked: Arc<str>,
    /// Why the last culprit was refused.
    refusal: Cell<Option<RDKafkaErrorCode>>,
}

impl std::fmt::Debug for TransactionalProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransactionalProducer").field("tracked", &self.tracked).finish_non_exhaustive()
    }
}

impl TransactionalProducer {
    /// Creates the producer and ends whatever its predecessor of the same transactional id left open.
    ///
    /// # Errors
    /// If the client cannot be made or the broker does not answer in time.
    pub fn new(config: &ClientConfig, tracked: Arc<str>, patience: Duration) -> KafkaResult<Self> {
        let delivered = Arc::<Delivered>::default();
        let producer: BaseProducer<Context> =
            config.create_with_context(Context { delivered: Arc::clone(&delivered) })?;
        let deadline = Instant::now() + patience;
        loop {
            match producer.init_transactions(Duration::from_secs(10)) {
                Ok(()) => return Ok(Self { producer, delivered, tracked, refusal: Cell::new(None) }),
                Err(error) if disposition(&error) == Disposition::Retry && Instant::now() < deadline => {
                    tracing::warn!(%error, "waiting for the transaction coordinator");
                    producer.poll(Duration::from_millis(100));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The offset after the last record delivered to the tracked topic's partition; none if none was.
    #[must_use]
    pub fn end(&self, partition: i32) -> Option<i64> {
        self.delivered.0.lock().unwrap_or_else(PoisonError::into_inner).ends.get(&partition).copied()
    }

    /// The number of partitions of a topic; asks the broker, at most for `wait`.
    pub fn partitions_of(&self, topic: &str, wait: Duration) -> Option<i32> {
        let metadata = self.producer.client().fetch_metadata(Some(topic), wait).ok()?;
        let topic = metadata.topics().iter().find(|found| found.name() == topic)?;
        let count = i32::try_from(topic.partitions().len()).ok()?;
        (topic.error().is_none() && count > 0).then_some(count)
    }

    /// Whether the last record that was refused for itself was so for what it holds, and not for where it should go.
    pub(super) fn refused_content(&self) -> bool {
        self.refusal.get().is_some_and(is_content)
    }

    /// Serves the client: delivery reports and errors.
    pub fn poll(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// One transaction with the offsets of what its records were made from. `look` is called at each [`Moment`].
    pub fn transact(
        &self,
        records: &[Outgoing],
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
        look: &mut dyn FnMut(Moment),
    ) -> Outcome {
        self.transaction(records, Some((offsets, group)), look)
    }

    /// One transaction of a writer that has no group: all of the records, or none.
    pub fn write(&self, records: &[Outgoing]) -> Outcome {
        self.transaction(records, None, &mut |_| {})
    }

    fn transaction(
        &self,
        records: &[Outgoing],
        offsets: Option<(&TopicPartitionList, &ConsumerGroupMetadata)>,
        look: &mut dyn FnMut(Moment),
    ) -> Outcome {
        // What an earlier purge left behind is not this transaction's.
        let _ = self.delivered.take_failure();
        if let Err(error) = self.producer.begin_transaction() {
            return Outcome::Unknown { reason: format!("begin: {error}") };
        }
        look(Moment::Began);
        for record in records {
            if let Err(error) = self.produce(record) {
                let code = error.rdkafka_error_code().filter(|code| is_culprit(*code));
                self.refusal.set(code);
                let culprit = code.map(|_| record.origin);
                return self.abort(culprit, format!("a record to {}: {error}", record.topic), look);
            }
        }
        self.drain(None);
        match self.delivered.take_failure() {
            (Some((origin, code)), _) => {
                self.refusal.set(Some(code));
                return self.abort(Some(origin), format!("delivery: {code}"), look);
            }
            (None, Some(code)) => return self.abort(None, format!("delivery: {code}"), look),
            (None, None) => look(Moment::Drained),
        }
        if let Some((offsets, group)) = offsets {
            let send = || self.producer.send_offsets_to_transaction(offsets, group, OFFSETS_SLICE);
            match self.call("offsets", send) {
                Ok(()) => look(Moment::OffsetsSent),
                Err((Disposition::Abort, reason)) => return self.abort(None, reason, look),
                Err((_, reason)) => return Outcome::Unknown { reason },
            }
        }
        // Other timeouts than none desynchronise the client's state.
        match self.call("commit", || self.producer.commit_transaction(Timeout::Never)) {
            Ok(()) => {
                look(Moment::Committed);
                Outcome::Committed
            }
            Err((Disposition::Abort, reason)) => self.abort(None, reason, look),
            Err((_, reason)) => Outcome::Unknown { reason },
        }
    }

    fn produce(&self, record: &Outgoing) -> KafkaResult<()> {
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (key, value) in &record.headers {
            headers = headers.insert(Header { key: key.as_ref(), value: value.as_deref() });
        }
        let wants_offset = if *record.topic == *self.tracked { WANTS_OFFSET } else { 0 };
        let mut message = BaseRecord::<[u8], [u8], usize>::with_opaque_to(&record.topic, record.origin | wants_offset)
            .partition(record.partition);
        if !record.headers.is_empty() {
            message = message.headers(headers);
        }
        if let Some(key) = &record.key {
            message = message.key(key);
        }
        if let Some(value) = &record.value {
            message = message.payload(value);
        }
        if let Some(timestamp) = record.timestamp {
            message = message.timestamp(timestamp);
        }
        loop {
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    // The client's queue is bounded; a delivery frees a place. A transaction in error drains too.
                    self.poll();
                    std::thread::sleep(DRAIN_PAUSE);
                    message = back;
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// Serves deliveries until nothing is in flight, or until a deadline.
    fn drain(&self, deadline: Option<Instant>) {
        loop {
            let left = self.producer.in_flight_count();
            if left == 0 || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return;
            }
            // One poll serves one event, which is what was delivered to one partition at once.
            self.poll();
            if self.producer.in_flight_count() == left {
                std::thread::sleep(DRAIN_PAUSE);
            }
        }
    }

    /// Repeats a call while its error says so.
    fn call(&self, what: &str, call: impl Fn() -> KafkaResult<()>) -> Result<(), (Disposition, String)> {
        loop {
            match call() {
                Ok(()) => return Ok(()),
                Err(error) => match disposition(&error) {
                    Disposition::Retry => {
                        tracing::warn!(%error, "{what}: again");
                        self.producer.poll(Duration::from_millis(20));
                    }
                    other => return Err((other, format!("{what}: {error}"))),
                },
            }
        }
    }

    /// Purges, polls until nothing is in flight, then aborts in slices: an abort does not poll, and with
    /// undelivered records it would never return.
    fn abort(&self, culprit: Option<usize>, reason: String, look: &mut dyn FnMut(Moment)) -> Outcome {
        let deadline = Instant::now() + ABORT_LIMIT;
        self.producer.purge(PurgeConfig::default().queue().inflight());
        self.drain(Some(deadline));
        loop {
            match self.producer.abort_transaction(ABORT_SLICE) {
                Ok(()) => {
                    look(Moment::Aborted);
                    let _ = self.delivered.take_failure();
                    return Outcome::Aborted { culprit, reason };
                }
                Err(error) if disposition(&error) == Disposition::Retry && Instant::now() < deadline => {
                    self.producer.poll(Duration::from_millis(20));
                }
                Err(error) => return Outcome::Unknown { reason: format!("abort: {error}; after {reason}") },
            }
        }
    }
}
