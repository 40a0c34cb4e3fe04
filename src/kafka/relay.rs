//! From topics into topics, exactly once: a member of a consumer group whose offsets travel in the transactions of the
//! records made from what it read.
//!
//! ```text
//! join ─▶ poll ─▶ (the caller makes records) ─▶ transact: produce, drain, offsets, commit ─▶ poll …
//!   ▲                                              │
//!   └── a new relay, from the committed offsets ◀──┴─ anything but a commit, a fault, a lost member
//! ```
//!
//! It keeps nothing of its own, so whatever goes wrong has one answer: drop it and join anew. A record that Kafka refuses
//! for itself is named by its origin; the caller makes another of that input. Offsets bear the writer's name and are
//! claimed on each assignment, so that a successor ends the open transaction of a dead predecessor instead of waiting.
//!
//! Blocking, and for one thread.

use super::consumer::{GroupChange, GroupContext};
use super::error::is_fenced_member;
use super::log::{LogSettings, is_passing};
use super::producer::TransactionalProducer;
use super::tail::{Tailed, owned};
use super::takeover::{self, Predecessors};
use crate::config::StartFrom;
pub use crate::worker::{Outcome, Outgoing};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a broker may take to answer while partitions are taken over.
const PATIENCE: Duration = Duration::from_secs(10);
const REQUEST: Duration = Duration::from_secs(5);
/// Bytes of values in one batch, about: with what is made of them that is what a transaction holds in memory.
const BATCH_BYTES: usize = 16 << 20;
/// For the last word of a member that leaves.
const FAREWELL: Duration = Duration::from_millis(300);

/// Where from, and as whom.
#[derive(Clone, Debug)]
pub struct RelaySettings {
    /// Group, transactional id and slot; its inputs are not looked at.
    pub log: LogSettings,
    pub topics: Vec<String>,
    /// Where partitions without an offset begin.
    pub from: StartFrom,
}

impl RelaySettings {
    /// Room for records as large as a topic of others may hold.
    const MAX_MESSAGE_BYTES: &str = "16777216";

    /// `log` as for any role; the limits of others' topics are laid over it.
    #[must_use]
    pub fn new(mut log: LogSettings, topics: Vec<String>, from: StartFrom) -> Self {
        log.producer.set("message.max.bytes", Self::MAX_MESSAGE_BYTES);
        log.consumer.set("fetch.message.max.bytes", Self::MAX_MESSAGE_BYTES);
        Self { log, topics, from }
    }
}

/// Why a relay is done for.
#[derive(Debug, thiserror::Error)]
pub enum RelayFault {
    /// A new one, from the committed offsets, may do better.
    #[error("{0}")]
    Again(String),
    /// Another member took its place.
    #[error("another process has this slot: give each a kafka.slot of its own ({0})")]
    Fenced(String),
}

impl RelayFault {
    fn of(what: &str, error: &KafkaError) -> Self {
        if is_fenced_member(error) {
            return Self::Fenced(format!("{what}: {error}"));
        }
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => Self::Again(format!(
                "{what}: a committed offset is not in the log any more (retention shorter than the outage?). Nothing is \
                 skipped by itself: set the group's offsets to where work may go on ({error})"
            )),
            _ => Self::Again(format!("{what}: {error}")),
        }
    }
}

/// A member of the group with its producer.
pub struct Relay {
    consumer: BaseConsumer<GroupContext>,
    producer: TransactionalProducer,
    predecessors: Predecessors,
    transactional_id: String,
    from: StartFrom,
    /// Rises with each word of the group.
    generation: u64,
    /// The next offset of each partition held, as it is committed.
    committed: BTreeMap<(String, i32), i64>,
    /// Captured once per assignment: none captured, no transaction.
    group: Option<ConsumerGroupMetadata>,
    held: bool,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("transactional_id", &self.transactional_id).finish_non_exhaustive()
    }
}

impl Drop for Relay {
    /// Closing waits for an answer to the last rebalance, which nobody else is left to give.
    fn drop(&mut self) {
        self.consumer.context().close();
    }
}

impl Relay {
    /// Ends what a predecessor of the same name left open, and asks to join. All topics should be there: one that is
    /// created later is found within minutes only.
    ///
    /// # Errors
    /// [`RelayFault`]
    pub fn join(settings: &RelaySettings) -> Result<Self, RelayFault> {
        let log = &settings.log;
        let tracked = std::sync::Arc::clone(&log.state_topic);
        let producer = TransactionalProducer::new(&log.producer, tracked, Duration::ZERO)
            .map_err(|error| RelayFault::of("transactional producer", &error))?;
        let joining = |error: KafkaError| RelayFault::of("joining the group", &error);
        let consumer: BaseConsumer<GroupContext> =
            log.consumer.create_with_context(GroupContext::default()).map_err(joining)?;
        let topics: Vec<&str> = settings.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(joining)?;
        Ok(Self {
            consumer,
            producer,
            predecessors: Predecessors::new(log),
            transactional_id: log.transactional_id.clone(),
            from: settings.from,
            generation: 0,
            committed: BTreeMap::new(),
            group: None,
            held: false,
        })
    }

    /// Whether partitions may be ours: false until the group has decided for the first time.
    #[must_use]
    pub fn is_member(&self) -> bool {
        self.group.is_some()
    }

    /// Another number than before: the group decided anew, and what was read and is not committed comes again to whoever
    /// has its partition.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Topic, partition and next offset of each partition held, as it is committed.
    #[must_use]
    pub fn committed(&self) -> &BTreeMap<(String, i32), i64> {
        &self.committed
    }

    /// Waits for records at most so long, then takes what is there, up to `most`. What the group decides is answered in
    /// between.
    ///
    /// # Errors
    /// [`RelayFault`]
    pub fn poll(&mut self, wait: Duration, most: usize) -> Result<Vec<Tailed>, RelayFault> {
        self.producer.poll();
        self.serve()?;
        if self.held {
            self.flow(true)?;
        }
        let (mut batch, mut bytes, mut wait) = (Vec::new(), 0, wait);
        while batch.len() < most && bytes < BATCH_BYTES {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    let record = owned(&message);
                    bytes += record.value.as_ref().map_or(0, Vec::len);
                    batch.push(record);
                    wait = Duration::ZERO;
                }
                Some(Err(error)) if is_passing(&error) => tracing::debug!(%error, "consumer"),
                Some(Err(error)) => return Err(RelayFault::of("reading", &error)),
            }
            if self.consumer.context().is_pending() {
                break;
            }
        }
        Ok(batch)
    }

    /// Stays in the group for so long without reading on. False: the group decided anew, and what was read and is not
    /// committed comes again to whoever has its partition.
    ///
    /// # Errors
    /// [`RelayFault`]
    pub fn hold(&mut self, wait: Duration) -> Result<bool, RelayFault> {
        if !self.held {
            self.flow(false)?;
        }
        self.producer.poll();
        match self.consumer.poll(wait) {
            None => {}
            // It slipped through before the pause: only the committed offset still knows of it.
            Some(Ok(_)) => return Err(RelayFault::Again("a record came while held back".to_owned())),
            Some(Err(error)) if is_passing(&error) => tracing::debug!(%error, "consumer"),
            Some(Err(error)) => return Err(RelayFault::of("reading", &error)),
        }
        Ok(!self.serve()?)
    }

    /// One transaction: `records`, then the offsets behind `batch`.
    pub fn transact(&mut self, records: &[Outgoing], batch: &[Tailed]) -> Outcome {
        let mut next: BTreeMap<(String, i32), i64> = BTreeMap::new();
        for record in batch {
            let next = next.entry((record.topic.clone(), record.partition)).or_default();
            *next = (*next).max(record.offset + 1);
        }
        self.transact_to(records, &next)
    }

    /// One transaction: `records`, then these offsets, by topic and partition. Those of a partition of which nothing was
    /// read go along unchanged: they are what fences the transaction.
    pub fn transact_to(&mut self, records: &[Outgoing], next: &BTreeMap<(String, i32), i64>) -> Outcome {
        let Some(group) = &self.group else {
            return Outcome::Aborted { culprit: None, reason: "not a member of the group now".to_owned() };
        };
        if next.is_empty() {
            // An empty list would be accepted silently, and nothing would fence the transaction.
            return Outcome::Aborted { culprit: None, reason: "a transaction without offsets".to_owned() };
        }
        let offsets = self.signed(next.iter().map(|((topic, partition), next)| (topic.as_str(), *partition, *next)));
        match self.producer.transact(records, &offsets, group, &mut |_| {}) {
            Outcome::Committed => {
                self.committed.extend(next.iter().map(|(place, next)| (place.clone(), *next)));
                Outcome::Committed
            }
            // No other record made of the same input would fare better.
            Outcome::Aborted { culprit: Some(_), reason } if !self.producer.refused_content() => {
                Outcome::Aborted { culprit: None, reason }
            }
            outcome => outcome,
        }
    }

    /// The number of partitions of a topic; asks the broker.
    #[must_use]
    pub fn partitions_of(&self, topic: &str) -> Option<i32> {
        self.producer.partitions_of(topic, REQUEST)
    }

    /// Leaves. `at_once`: others take over now; else the same slot is expected back.
    pub fn close(self, at_once: bool) {
        self.consumer.context().close();
        if at_once {
            self.consumer.unsubscribe();
            let until = Instant::now() + FAREWELL;
            while Instant::now() < until {
                drop(self.consumer.poll(Duration::from_millis(20)));
            }
        }
    }

    /// Offsets with this writer's name: a successor reads whom to fence.
    fn signed<'a>(&self, offsets: impl Iterator<Item = (&'a str, i32, i64)>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (topic, partition, next) in offsets {
            let mut one = list.add_partition(topic, partition);
            one.set_offset(Offset::Offset(next)).expect("an offset is a number");
            one.set_metadata(&self.transactional_id);
        }
        list
    }

    /// Answers what the group has decided; whether it had.
    fn serve(&mut self) -> Result<bool, RelayFault> {
        let mut changed = false;
        while let Some(change) = self.consumer.context().next() {
            changed = true;
            self.group = None;
            self.held = false;
            self.generation += 1;
            self.committed.clear();
            match change {
                GroupChange::Revoke { lost } => {
                    tracing::info!(transactional_id = self.transactional_id, lost, "partitions revoked");
                    self.consumer.unassign().map_err(|error| RelayFault::of("giving partitions back", &error))?;
                }
                GroupChange::Assign(named) => self.take_over(&named)?,
            }
        }
        Ok(changed)
    }

    /// Reads on from the committed offsets, which wait until those of a predecessor are decided, and claims them.
    fn take_over(&mut self, named: &[(String, i32)]) -> Result<(), RelayFault> {
        tracing::info!(transactional_id = self.transactional_id, partitions = ?named, "partitions assigned");
        let mut list = TopicPartitionList::with_capacity(named.len());
        for (topic, partition) in named {
            list.add_partition(topic, *partition);
        }
        let failed = |error: KafkaError| RelayFault::of("taking partitions over", &error);
        if named.is_empty() {
            self.group = self.consumer.group_metadata();
            return self.consumer.assign(&list).map_err(failed);
        }
        // What a dead predecessor left open holds up readers of all it wrote to, whether its offsets are pending or not.
        if let Err(error) = self.predecessors.fence(&list) {
            tracing::warn!(%error, "looking for a process that left a transaction open");
        }
        let committed = takeover::committed(&self.consumer, &list, &self.predecessors, PATIENCE)
            .map_err(|reason| RelayFault::Again(format!("committed offsets: {reason}")))?;
        let mut positions = Vec::with_capacity(named.len());
        for (topic, partition) in named {
            let found = committed.find_partition(topic, *partition).map(|one| one.offset());
            let next = match found {
                Some(Offset::Offset(offset)) => offset,
                _ => self.start_of(topic, *partition).map_err(failed)?,
            };
            positions.push((topic.as_str(), *partition, next));
        }
        let owned = |(topic, partition, next): &(&str, i32, i64)| (((*topic).to_owned(), *partition), *next);
        let found: BTreeMap<(String, i32), i64> = positions.iter().map(owned).collect();
        let positions = self.signed(positions.into_iter());
        self.consumer.assign(&positions).map_err(failed)?;
        // Captured before the commit, which proves it a member's: an empty one the broker would accept from anybody.
        let group = self.consumer.group_metadata();
        self.consumer
            .commit(&positions, CommitMode::Sync)
            .map_err(|error| RelayFault::of("claiming partitions", &error))?;
        (self.group, self.committed) = (group, found);
        Ok(())
    }

    /// Committed with the claim, so that "the end" stays what it was when the source was first seen.
    fn start_of(&self, topic: &str, partition: i32) -> Result<i64, KafkaError> {
        let (low, high) = self.consumer.fetch_watermarks(topic, partition, REQUEST)?;
        Ok(match self.from {
            StartFrom::Earliest => low,
            StartFrom::Latest => high,
        })
    }

    fn flow(&mut self, on: bool) -> Result<(), RelayFault> {
        let failed = |error: KafkaError| RelayFault::of("pausing or resuming", &error);
        let all = self.consumer.assignment().map_err(failed)?;
        if on { self.consumer.resume(&all) } else { self.consumer.pause(&all) }.map_err(failed)?;
        self.held = !on;
        Ok(())
    }
}
