//! A member of an ordinary consumer group on one topic, for agents: offsets are committed without a transaction, once
//! the caller says so, never by a clock. What was aborted is not seen; without an offset it begins at the beginning.
//!
//! Blocking: use it on a thread of its own, and call [`GroupReader::next`] again within `max.poll.interval.ms` whatever
//! else goes on; held back, it delivers nothing and stays in the group. Lost connections are waited out. Nobody says of
//! a commit how it went (the client has no word for those it was asked for), so [`GroupReader::finish_commits`] looks.
//! Dropped, the member leaves its group.

use super::fault::KafkaFault;
use super::settings;
use super::tail::{Tailed, owned};
use crate::config;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks at what is committed.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What a call to [`GroupReader::next`] came to.
#[derive(Debug)]
pub enum Read {
    Record(Tailed),
    /// These partitions are ours from here on, each read from its committed offset.
    Assigned(Vec<i32>),
    /// These are somebody else's now; commits for them no longer count.
    Revoked(Vec<i32>),
    /// Nothing came within the time given.
    Idle,
}

/// A member of the group.
pub struct GroupReader {
    consumer: BaseConsumer<Member>,
    topic: String,
    servers: String,
    /// Read in the same call as what the group decided before it.
    next: Option<Tailed>,
    held: bool,
    /// Of each partition that is ours the offset last asked to be committed.
    asked: BTreeMap<i32, i64>,
    /// Whether the client did not even take a commit.
    refused: bool,
}

impl std::fmt::Debug for GroupReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupReader").field("topic", &self.topic).field("held", &self.held).finish_non_exhaustive()
    }
}

impl GroupReader {
    /// Joins `group` to read `topic`, which should be there: one that is created later is found within minutes only.
    ///
    /// # Errors
    /// [`KafkaFault::Setup`].
    pub fn join(kafka: &config::Kafka, role: &str, group: &str, topic: &str) -> Result<Self, KafkaFault> {
        let servers = kafka.bootstrap_servers.clone();
        let failed = |error: KafkaError| KafkaFault::of(&error, &format!("read {topic}"), &servers);
        let mut settings = settings::client(kafka, role);
        settings.set("group.id", group);
        settings.set("enable.auto.commit", "false");
        settings.set("enable.auto.offset.store", "false");
        settings.set("auto.offset.reset", "earliest");
        settings.set("enable.partition.eof", "false");
        settings.set("isolation.level", "read_committed");
        // The default lets a full queue stall a reader for a second.
        settings.set("fetch.queue.backoff.ms", "10");
        let consumer = BaseConsumer::from_config_and_context(&settings, Member::default()).map_err(failed)?;
        consumer.subscribe(&[topic]).map_err(failed)?;
        Ok(Self {
            consumer,
            topic: topic.to_owned(),
            servers,
            next: None,
            held: false,
            asked: BTreeMap::new(),
            refused: false,
        })
    }

    /// The next record or decision of the group, in the order in which they count.
    ///
    /// # Errors
    /// What the brokers refuse and waiting does not mend.
    pub fn next(&mut self, timeout: Duration) -> Result<Read, KafkaFault> {
        if let Some(ready) = self.ready()? {
            return Ok(ready);
        }
        match self.consumer.poll(timeout) {
            Some(Ok(message)) => self.next = Some(owned(&message)),
            Some(Err(error)) => self.judge(&error)?,
            None => {}
        }
        Ok(self.ready()?.unwrap_or(Read::Idle))
    }

    fn ready(&mut self) -> Result<Option<Read>, KafkaFault> {
        let Some(change) = self.consumer.context().next() else {
            return Ok(self.next.take().map(Read::Record));
        };
        match &change {
            Read::Assigned(_) if self.held => self.apply()?,
            Read::Revoked(partitions) => self.asked.retain(|partition, _| !partitions.contains(partition)),
            _ => {}
        }
        Ok(Some(change))
    }

    /// Stops or resumes the delivery of records. Held back, librdkafka lets go of what it has fetched ahead, so this is
    /// nothing to do for each record.
    ///
    /// # Errors
    /// The client is done for.
    pub fn hold(&mut self, held: bool) -> Result<(), KafkaFault> {
        if self.held == held {
            return Ok(());
        }
        self.held = held;
        self.apply()
    }

    fn apply(&self) -> Result<(), KafkaFault> {
        let all = self.consumer.assignment().map_err(|error| self.failed(&error))?;
        let applied = if self.held { self.consumer.pause(&all) } else { self.consumer.resume(&all) };
        applied.map_err(|error| self.failed(&error))
    }

    /// Asks for these offsets (of the next record to read, by partition) to be committed, and does not wait.
    pub fn commit(&mut self, offsets: &[(i32, i64)]) {
        self.asked.extend(offsets.iter().copied());
        let list = self.list(offsets.iter().copied());
        if let Err(error) = self.consumer.commit(&list, CommitMode::Async) {
            tracing::warn!(%error, "an offset was not committed");
            self.refused = true;
        }
    }

    /// Whether a commit was refused since this was asked last.
    pub fn commit_failed(&mut self) -> bool {
        std::mem::take(&mut self.refused)
    }

    /// Waits until all offsets asked for are committed, at most so long; whether they are. Records that come meanwhile
    /// are dropped, for this is the end.
    pub fn finish_commits(&mut self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        loop {
            // First, for it is how news of the group comes.
            drop(self.consumer.poll(Duration::ZERO));
            while let Some(change) = self.consumer.context().next() {
                if let Read::Revoked(partitions) = change {
                    self.asked.retain(|partition, _| !partitions.contains(partition));
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if self.asked.is_empty() || left.is_zero() {
                return self.asked.is_empty();
            }
            let list = self.list(self.asked.iter().map(|(partition, offset)| (*partition, *offset)));
            match self.consumer.committed_offsets(list.clone(), left) {
                Ok(found) => {
                    let done = |partition: i32, offset: i64| {
                        let found = found.find_partition(&self.topic, partition).map(|found| found.offset());
                        matches!(found, Some(Offset::Offset(committed)) if committed >= offset)
                    };
                    let open: Vec<i32> = self.asked.iter().filter(|(p, o)| !done(**p, **o)).map(|(p, _)| *p).collect();
                    self.asked.retain(|partition, _| open.contains(partition));
                }
                Err(error) => tracing::debug!(%error, "the committed offsets cannot be looked at"),
            }
            if !self.asked.is_empty() {
                if let Err(error) = self.consumer.commit(&list, CommitMode::Async) {
                    tracing::debug!(%error, "an offset was not committed");
                }
                std::thread::sleep(LOOK_AGAIN.min(left));
            }
        }
    }

    fn list(&self, offsets: impl Iterator<Item = (i32, i64)>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            let added = list.add_partition_offset(&self.topic, partition, Offset::Offset(offset));
            added.expect("an offset that was read is a valid one");
        }
        list
    }

    /// Most errors are news of a client that helps itself.
    fn judge(&self, error: &KafkaError) -> Result<(), KafkaFault> {
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed
                | RDKafkaErrorCode::Fatal,
            )
            | None => Err(self.failed(error)),
            Some(code) => {
                tracing::warn!(topic = %self.topic, %code, "reading; the client tries again");
                Ok(())
            }
        }
    }

    fn failed(&self, error: &KafkaError) -> KafkaFault {
        KafkaFault::of(error, &format!("read {}", self.topic), &self.servers)
    }
}

/// Notes what the group decides, in its order.
#[derive(Debug, Default)]
struct Member {
    changes: Mutex<VecDeque<Read>>,
}

impl Member {
    fn next(&self) -> Option<Read> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        settings::log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        settings::log_error(&error, reason);
    }
}

impl ConsumerContext for Member {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let numbers = |list: &TopicPartitionList| list.elements().iter().map(|one| one.partition()).collect();
        let change = match rebalance {
            Rebalance::Assign(list) => Read::Assigned(numbers(list)),
            Rebalance::Revoke(list) => Read::Revoked(numbers(list)),
            // The client has given up its partitions; that comes as a revocation too.
            Rebalance::Error(error) => return tracing::warn!(%error, "rebalance"),
        };
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push_back(change);
    }
}
