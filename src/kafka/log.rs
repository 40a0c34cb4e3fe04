//! One worker's Kafka: group consumer, transactional producer, and how partitions are taken over.
//!
//! Everything here blocks and belongs to the worker's own thread.

use super::consumer::{GroupChange, GroupContext};
use super::error::is_fenced_member;
use super::producer::{Moment, TransactionalProducer};
use super::settings;
use super::takeover::{self, Predecessors};
use crate::config;
use crate::worker::INPUTS;
use crate::worker::{Apply, Log, Offsets, Outcome, Outgoing, Owned, Rebalance, Record, Stop, TakeOver};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{Headers, Message};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A fenced or lost producer is built anew at most this often within [`RENEW_WINDOW`].
const RENEW_LIMIT: usize = 3;
const RENEW_WINDOW: Duration = Duration::from_secs(60);
/// How long a broker may take to answer while partitions are taken over; then the group is served, and once more.
const PATIENCE: Duration = Duration::from_secs(10);
/// A broker that went away is waited for: nothing is lost meanwhile, and ending would mend nothing.
const OUTAGE: Duration = Duration::from_secs(24 * 3600);

/// Everything the log needs to know; the properties Baton owns are set already.
#[derive(Clone, Debug)]
pub struct LogSettings {
    pub consumer: ClientConfig,
    pub producer: ClientConfig,
    /// For readers beside the group: no `group.id`, no isolation set.
    pub plain: ClientConfig,
    pub group_id: String,
    /// Also the group instance id: the slot by its whole name.
    pub transactional_id: String,
    pub slot: String,
    pub session_timeout: Duration,
    /// The input topics, in the order of their numbers.
    pub inputs: [Arc<str>; INPUTS],
    pub state_topic: Arc<str>,
}

impl LogSettings {
    /// What a role's worker needs; the properties its guarantees rest on are laid over the user's.
    #[must_use]
    pub fn new(
        kafka: &config::Kafka,
        role: &str,
        slot: &str,
        session_timeout: Duration,
        transaction_timeout: Duration,
        batch: usize,
    ) -> Self {
        let topic = |name: &str| -> Arc<str> { format!("{}.{name}", kafka.prefix).into() };
        let transactional_id = format!("{}.{role}.{slot}", kafka.prefix);
        let group_id = format!("{}.{role}", kafka.prefix);
        let session = session_timeout.as_millis().to_string();
        let mut consumer = settings::client(kafka, role);
        consumer
            .set("group.id", &group_id)
            // The same slot is back without a rebalance; two of one slot and the older stops.
            .set("group.instance.id", &transactional_id)
            // What the group's list of members shows: whoever is in it need not be fenced.
            .set("client.id", &transactional_id)
            // Partition p of every input to the same member; no other assignor promises that.
            .set("partition.assignment.strategy", "range")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "error")
            .set("session.timeout.ms", &session)
            .set("heartbeat.interval.ms", (session_timeout.as_millis() / 3).to_string())
            // The default lets a full queue stall a partition for a second.
            .set("fetch.queue.backoff.ms", "10")
            .set("queued.min.messages", (batch * 2).clamp(1_000, 100_000).to_string())
            .set("queued.max.messages.kbytes", "65536");
        let timeout = transaction_timeout.as_millis().to_string();
        let mut producer = settings::client(kafka, role);
        producer
            .set("transactional.id", &transactional_id)
            .set("transaction.timeout.ms", &timeout)
            // May not exceed the transaction's.
            .set("message.timeout.ms", &timeout)
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            // A batch waits for nothing: the transaction's records are all there at once.
            .set("linger.ms", "0")
            // After a commit the coordinator is busy for a moment; the default waits 100 ms to ask again.
            .set("retry.backoff.ms", "1")
            .set("retry.backoff.max.ms", "100")
            .set("queue.buffering.max.messages", "1000000")
            // Above what any of our topics takes, so that the broker judges and not the client.
            .set("message.max.bytes", "8388608");
        Self {
            consumer,
            producer,
            plain: settings::client(kafka, role),
            group_id,
            transactional_id,
            slot: slot.to_owned(),
            session_timeout,
            inputs: [topic("tasks"), topic("agent-status"), topic("task-commands")],
            state_topic: topic("task-state"),
        }
    }
}

/// The real thing behind [`Log`].
pub struct KafkaLog {
    settings: LogSettings,
    consumer: BaseConsumer<GroupContext>,
    producer: TransactionalProducer,
    /// Captured once per assignment and used until revoke: none captured, no transaction.
    group: Option<ConsumerGroupMetadata>,
    predecessors: Predecessors,
    renewed: VecDeque<Instant>,
    rejoined: VecDeque<Instant>,
    partition_counts: BTreeMap<String, i32>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaLog").field("slot", &self.settings.slot).finish_non_exhaustive()
    }
}

impl Drop for KafkaLog {
    /// Closing the client waits for an answer to its last rebalance. A worker that panics is dropped without having been
    /// closed, and then the callback is the only one left to answer.
    fn drop(&mut self) {
        self.consumer.context().close();
    }
}

impl KafkaLog {
    /// Connects and joins the group. `wake` is called when records or a rebalance may be there.
    ///
    /// # Errors
    /// If the broker does not answer or another worker has the slot.
    pub fn connect(settings: LogSettings, wake: impl Fn() + Send + Sync + 'static) -> Result<Self, Stop> {
        let broken = |what: &str, error: KafkaError| Stop::Broken(format!("{what}: {error}"));
        let producer = TransactionalProducer::new(&settings.producer, Arc::clone(&settings.state_topic), OUTAGE)
            .map_err(|error| broken("transactional producer", error))?;
        let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(wake);
        let consumer = join(&settings, &wake).map_err(|error| broken("joining the group", error))?;
        let predecessors = Predecessors::new(&settings);
        Ok(Self {
            settings,
            consumer,
            producer,
            group: None,
            predecessors,
            renewed: VecDeque::new(),
            rejoined: VecDeque::new(),
            partition_counts: BTreeMap::new(),
            wake,
        })
    }

    /// The group knows another member under this slot's name. That may be a worker that was given the same slot, or only
    /// a ghost of this one: a broker that went away while we joined can have kept a membership nobody told us of. A ghost
    /// gives no sign of life and is gone after the session timeout; then we join again.
    fn rejoin(&mut self, error: &KafkaError) -> Result<(), Stop> {
        tracing::warn!(%error, "another member has this slot: waiting whether it lives");
        self.group = None;
        self.consumer.context().close();
        let now = Instant::now();
        self.rejoined.retain(|at| now.duration_since(*at) < RENEW_WINDOW);
        self.rejoined.push_back(now);
        let patience = self.settings.session_timeout * 2 + Duration::from_secs(1);
        let broken = |error: KafkaError| Stop::Broken(format!("joining the group again: {error}"));
        if self.rejoined.len() > RENEW_LIMIT || !self.predecessors.is_gone(patience).map_err(broken)? {
            return Err(Stop::SlotTaken { slot: self.settings.slot.clone(), detail: error.to_string() });
        }
        self.consumer = join(&self.settings, &self.wake).map_err(broken)?;
        self.consumer.context().lose();
        Ok(())
    }

    fn list(&self, partitions: &[i32]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(partitions.len() * INPUTS);
        for topic in &self.settings.inputs {
            for partition in partitions {
                list.add_partition(topic, *partition);
            }
        }
        list
    }

    /// The offsets as Kafka takes them, each with this worker's name: a successor reads whom to fence.
    fn offsets(&self, offsets: &[Offsets]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(offsets.len() * INPUTS);
        for Offsets { partition, next } in offsets {
            for (topic, next) in self.settings.inputs.iter().zip(next) {
                let mut one = list.add_partition(topic, *partition);
                one.set_offset(Offset::Offset(*next)).expect("an offset is a number");
                one.set_metadata(&self.settings.transactional_id);
            }
        }
        list
    }

    fn input_of(&self, topic: &str) -> Option<usize> {
        self.settings.inputs.iter().position(|input| **input == *topic)
    }

    fn stop(&self, error: &KafkaError) -> Stop {
        let why = match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                "a committed offset is not in the log any more (retention shorter than the outage?). Nothing is \
                 skipped by itself: set the group's offsets to where work may go on, then start again"
            }
            _ => "the consumer cannot go on",
        };
        Stop::Broken(format!("{why}: {error}"))
    }
}

/// A consumer that has asked to join.
fn join(settings: &LogSettings, wake: &Arc<dyn Fn() + Send + Sync>) -> KafkaResult<BaseConsumer<GroupContext>> {
    let mut consumer: BaseConsumer<GroupContext> = settings.consumer.create_with_context(GroupContext::default())?;
    let wake = Arc::clone(wake);
    consumer.set_nonempty_callback(move || wake());
    let topics: Vec<&str> = settings.inputs.iter().map(|topic| &**topic).collect();
    consumer.subscribe(&topics)?;
    Ok(consumer)
}

/// Errors that the client deals with by itself: it says so and goes on.
pub(super) fn is_passing(error: &KafkaError) -> bool {
    match error {
        KafkaError::MessageConsumptionFatal(_) => false,
        _ => !matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::AutoOffsetReset
                    | RDKafkaErrorCode::OffsetOutOfRange
                    | RDKafkaErrorCode::FencedInstanceId
                    | RDKafkaErrorCode::Fatal
                    | RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::GroupAuthorizationFailed
            )
        ),
    }
}

impl Log for KafkaLog {
    fn poll(&mut self, most: usize, into: &mut Vec<Record>) -> Result<(), Stop> {
        self.producer.poll();
        // Once even if nothing may be taken: a poll is also the sign of life.
        for _ in 0..most.max(1) {
            match self.consumer.poll(Duration::ZERO) {
                None => break,
                Some(Ok(message)) => {
                    let Some(input) = self.input_of(message.topic()) else { continue };
                    let headers = message.headers().map_or_else(Vec::new, |headers| {
                        headers.iter().map(|one| (one.key.to_owned(), one.value.map(<[u8]>::to_vec))).collect()
                    });
                    into.push(Record {
                        input,
                        partition: message.partition(),
                        offset: message.offset(),
                        timestamp: message.timestamp().to_millis().unwrap_or(0),
                        key: message.key().map(<[u8]>::to_vec),
                        value: message.payload().map(<[u8]>::to_vec),
                        headers,
                    });
                }
                // The client has said it already, and goes on by itself.
                Some(Err(error)) if is_passing(&error) => tracing::debug!(%error, "consumer"),
                Some(Err(error)) if is_fenced_member(&error) => return self.rejoin(&error),
                Some(Err(error)) => return Err(self.stop(&error)),
            }
            if self.consumer.context().is_pending() {
                break;
            }
        }
        Ok(())
    }

    fn wait(&mut self, at_most: Duration) {
        std::thread::park_timeout(at_most);
    }

    fn rebalance(&mut self) -> Option<Rebalance> {
        match self.consumer.context().next()? {
            GroupChange::Revoke { lost } => {
                self.group = None;
                Some(Rebalance::Revoked { lost })
            }
            GroupChange::Assign(named) => {
                let mut partitions: Vec<i32> = named.iter().map(|(_, partition)| *partition).collect();
                partitions.sort_unstable();
                partitions.dedup();
                Some(Rebalance::Assigned(partitions))
            }
        }
    }

    fn rebalance_is_pending(&self) -> bool {
        self.consumer.context().is_pending()
    }

    fn release(&mut self) {
        self.group = None;
        if let Err(error) = self.consumer.unassign() {
            tracing::warn!(%error, "giving partitions back");
        }
    }

    fn take_over(&mut self, partitions: &[i32]) -> Result<Vec<Owned>, TakeOver> {
        self.group = None;
        let list = self.list(partitions);
        if partitions.is_empty() {
            self.consumer.assign(&list).map_err(|error| self.stop(&error))?;
            return Ok(Vec::new());
        }
        let committed = takeover::committed(&self.consumer, &list, &self.predecessors, PATIENCE)?;
        let mut owned = Vec::with_capacity(partitions.len());
        let mut positions = TopicPartitionList::with_capacity(list.count());
        for partition in partitions {
            let mut next = [0; INPUTS];
            let mut any = false;
            for (topic, next) in self.settings.inputs.iter().zip(&mut next) {
                let found = committed.find_partition(topic, *partition).map(|one| one.offset());
                *next = match found {
                    Some(Offset::Offset(offset)) => {
                        any = true;
                        offset
                    }
                    _ => takeover::log_start(&self.consumer, topic, *partition, PATIENCE)?,
                };
                positions
                    .add_partition_offset(topic, *partition, Offset::Offset(*next))
                    .map_err(|error| self.stop(&error))?;
            }
            owned.push(Owned { offsets: Offsets { partition: *partition, next }, committed: any });
        }
        self.consumer.assign(&positions).map_err(|error| self.stop(&error))?;
        self.consumer.pause(&list).map_err(|error| self.stop(&error))?;
        Ok(owned)
    }

    fn restore(&mut self, from: &[(i32, i64)], apply: &mut Apply<'_>) -> Result<Vec<(i32, i64)>, TakeOver> {
        let consumer = &self.consumer;
        let mut alive = || {
            // Records are paused, so what a poll brings is the group's business only.
            match consumer.poll(Duration::ZERO) {
                // Its own next call says so again, and then it is dealt with.
                Some(Err(error)) if is_fenced_member(&error) => return Err(TakeOver::Rebalanced),
                Some(Err(error)) if !is_passing(&error) => return Err(TakeOver::Stop(self.stop(&error))),
                // One that slipped through is not lost: partitions are positioned anew before the next try.
                Some(Ok(_)) => return Err(TakeOver::Rebalanced),
                Some(Err(_)) | None => {}
            }
            if consumer.context().is_pending() { Err(TakeOver::Rebalanced) } else { Ok(()) }
        };
        takeover::restore(&self.settings, &self.predecessors, from, apply, &mut alive)
    }

    fn claim(&mut self, offsets: &[Offsets]) -> Result<(), TakeOver> {
        // Captured before the commit, which proves it a member's: the client may lose its membership at any moment after,
        // and would then give an empty one, which the broker accepts from anybody.
        let group = self.consumer.group_metadata();
        if !offsets.is_empty() {
            let list = self.offsets(offsets);
            if let Err(error) = self.consumer.commit(&list, CommitMode::Sync) {
                if is_fenced_member(&error) {
                    self.rejoin(&error)?;
                    return Err(TakeOver::Rebalanced);
                }
                // Most often the group has moved on: its word comes with the next polls.
                tracing::warn!(%error, "claiming partitions");
                return Err(TakeOver::Rebalanced);
            }
        }
        self.group = group;
        let partitions: Vec<i32> = offsets.iter().map(|one| one.partition).collect();
        let list = self.list(&partitions);
        self.consumer.resume(&list).map_err(|error| self.stop(&error))?;
        Ok(())
    }

    fn transact(&mut self, records: &[Outgoing], offsets: &[Offsets]) -> Outcome {
        let Some(group) = &self.group else {
            return Outcome::Aborted { culprit: None, reason: "not a member of the group now".to_owned() };
        };
        if offsets.is_empty() {
            // An empty list would be accepted silently, and nothing would fence the transaction.
            return Outcome::Aborted { culprit: None, reason: "a transaction without offsets".to_owned() };
        }
        self.producer.transact(records, &self.offsets(offsets), group, &mut |_: Moment| {})
    }

    fn renew(&mut self, reason: &str) -> Result<(), Stop> {
        let now = Instant::now();
        self.renewed.retain(|at| now.duration_since(*at) < RENEW_WINDOW);
        if self.renewed.len() >= RENEW_LIMIT {
            let (slot, times) = (self.settings.slot.clone(), self.renewed.len());
            return Err(Stop::Fenced { slot, times, detail: reason.to_owned() });
        }
        self.renewed.push_back(now);
        tracing::warn!(reason, "the outcome of a transaction is unknown: a new producer, and all state read anew");
        self.partition_counts.clear();
        self.producer =
            TransactionalProducer::new(&self.settings.producer, Arc::clone(&self.settings.state_topic), OUTAGE)
                .map_err(|error| Stop::Broken(format!("transactional producer: {error}")))?;
        Ok(())
    }

    fn state_end(&self, partition: i32) -> i64 {
        self.producer.end(partition).unwrap_or(0)
    }

    fn flow(&mut self, input: usize, partitions: &[i32], on: bool) {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            list.add_partition(&self.settings.inputs[input], *partition);
        }
        let done = if on { self.consumer.resume(&list) } else { self.consumer.pause(&list) };
        if let Err(error) = done {
            tracing::warn!(%error, on, "pausing or resuming");
        }
    }

    fn partitions_of(&mut self, topic: &str) -> Option<i32> {
        if let Some(count) = self.partition_counts.get(topic) {
            return Some(*count);
        }
        let count = self.producer.partitions_of(topic, Duration::from_millis(500))?;
        self.partition_counts.insert(topic.to_owned(), count);
        Some(count)
    }

    fn check_partitions(&mut self, expected: i32) -> Result<(), Stop> {
        for topic in self.settings.inputs.iter().chain([&self.settings.state_topic]) {
            let Some(count) = self.producer.partitions_of(topic, Duration::from_secs(1)) else { continue };
            if count != expected {
                return Err(Stop::Broken(format!(
                    "{topic} has {count} partitions, {expected} when this worker started: a task's home depends on the \
                     count, so it must never change"
                )));
            }
        }
        Ok(())
    }

    fn close(&mut self, at_once: bool) {
        self.consumer.context().close();
        if at_once {
            self.consumer.unsubscribe();
            // The leave is sent while the client is served.
            let until = Instant::now() + Duration::from_millis(300);
            while Instant::now() < until {
                let _ = self.consumer.poll(Duration::from_millis(20));
            }
        }
    }
}
