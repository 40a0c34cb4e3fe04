//! A member of an ordinary consumer group, for agents and those who call them: offsets are committed without a transaction, once
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
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks at what is committed.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A partition of a topic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub topic: Arc<str>,
    pub partition: i32,
}

impl Place {
    #[must_use]
    pub fn new(topic: &str, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// How a group shares its partitions out. All its members must agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// As clients do by default: at each change everything is given back and shared out anew.
    Range,
    /// Only what moves is given back: for a member whose topics come and go while work is in hand.
    CooperativeSticky,
}

/// What a call to [`GroupReader::next`] came to.
#[derive(Debug)]
pub enum Read {
    Record(Tailed),
    /// These partitions are ours from here on, each read from its committed offset.
    Assigned(Vec<Place>),
    /// These are somebody else's now; commits for them no longer count.
    Revoked(Vec<Place>),
    /// Nothing came within the time given.
    Idle,
}

/// A member of the group.
pub struct GroupReader {
    consumer: BaseConsumer<Member>,
    topics: BTreeSet<Arc<str>>,
    servers: String,
    /// Read in the same call as what the group decided before it.
    next: Option<Tailed>,
    /// Those of the topics whose records are not delivered for now.
    held: BTreeSet<Arc<str>>,
    /// Of each partition that is ours the offset last asked to be committed.
    asked: BTreeMap<Place, i64>,
    /// Whether the client did not even take a commit.
    refused: bool,
}

impl std::fmt::Debug for GroupReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupReader").field("topics", &self.topics).field("held", &self.held).finish_non_exhaustive()
    }
}

impl GroupReader {
    /// Joins `group` to read one topic, which should be there: one that is created later is found within minutes only.
    ///
    /// # Errors
    /// [`KafkaFault::Setup`].
    pub fn join(kafka: &config::Kafka, role: &str, group: &str, topic: &str) -> Result<Self, KafkaFault> {
        let mut reader = Self::new(kafka, role, group, Sharing::Range)?;
        reader.subscribe([topic.into()].into())?;
        Ok(reader)
    }

    /// A member to be, which reads nothing before [`Self::subscribe`].
    ///
    /// # Errors
    /// [`KafkaFault::Setup`].
    pub fn new(kafka: &config::Kafka, role: &str, group: &str, sharing: Sharing) -> Result<Self, KafkaFault> {
        let servers = kafka.bootstrap_servers.clone();
        let failed = |error: KafkaError| KafkaFault::of(&error, &format!("join {group}"), &servers);
        let mut settings = settings::client(kafka, role);
        settings.set("group.id", group);
        settings.set("enable.auto.commit", "false");
        settings.set("enable.auto.offset.store", "false");
        settings.set("auto.offset.reset", "earliest");
        settings.set("enable.partition.eof", "false");
        settings.set("isolation.level", "read_committed");
        // The default lets a full queue stall a reader for a second.
        settings.set("fetch.queue.backoff.ms", "10");
        if sharing == Sharing::CooperativeSticky {
            settings.set("partition.assignment.strategy", "cooperative-sticky");
            // Of many topics: what is fetched ahead is bounded over all of them.
            settings.set("queued.max.messages.kbytes", "8192");
            settings.set("fetch.max.bytes", "8388608");
            // Topics come while it runs, and a broker may hear of one later than we do.
            settings.set("topic.metadata.refresh.interval.ms", "10000");
        }
        let consumer = BaseConsumer::from_config_and_context(&settings, Member::default()).map_err(failed)?;
        Ok(Self {
            consumer,
            topics: BTreeSet::new(),
            servers,
            next: None,
            held: BTreeSet::new(),
            asked: BTreeMap::new(),
            refused: false,
        })
    }

    /// Reads these topics from now on, and no others.
    ///
    /// # Errors
    /// The client is done for.
    pub fn subscribe(&mut self, topics: BTreeSet<Arc<str>>) -> Result<(), KafkaFault> {
        let names: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
        if names.is_empty() {
            self.consumer.unsubscribe();
        } else {
            self.consumer.subscribe(&names).map_err(|error| self.failed(&error))?;
        }
        self.topics = topics;
        Ok(())
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
            Read::Assigned(places) => {
                self.apply(places.iter().filter(|place| self.held.contains(&place.topic)), true)?
            }
            Read::Revoked(places) => self.asked.retain(|place, _| !places.contains(place)),
            _ => {}
        }
        Ok(Some(change))
    }

    /// Stops or resumes the delivery of all records. Held back, librdkafka lets go of what it has fetched ahead, so this
    /// is nothing to do for each record.
    ///
    /// # Errors
    /// The client is done for.
    pub fn hold(&mut self, held: bool) -> Result<(), KafkaFault> {
        let all = if held { self.topics.clone() } else { BTreeSet::new() };
        self.hold_topics(all)
    }

    /// Stops the delivery of these topics' records, and of no others.
    ///
    /// # Errors
    /// The client is done for.
    pub fn hold_topics(&mut self, held: BTreeSet<Arc<str>>) -> Result<(), KafkaFault> {
        if self.held == held {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.held, held);
        let ours = self.consumer.assignment().map_err(|error| self.failed(&error))?;
        let ours: Vec<Place> =
            ours.elements().iter().map(|place| Place::new(place.topic(), place.partition())).collect();
        let (was, is) =
            (|place: &&Place| before.contains(&place.topic), |place: &&Place| self.held.contains(&place.topic));
        self.apply(ours.iter().filter(|place| is(place) && !was(place)), true)?;
        self.apply(ours.iter().filter(|place| was(place) && !is(place)), false)
    }

    fn apply<'a>(&self, places: impl Iterator<Item = &'a Place>, held: bool) -> Result<(), KafkaFault> {
        let mut list = TopicPartitionList::new();
        for place in places {
            list.add_partition(&place.topic, place.partition);
        }
        if list.count() == 0 {
            return Ok(());
        }
        let applied = if held { self.consumer.pause(&list) } else { self.consumer.resume(&list) };
        applied.map_err(|error| self.failed(&error))
    }

    /// Asks for these offsets (of the next record to read, by partition) to be committed, and does not wait.
    pub fn commit(&mut self, offsets: &[(Place, i64)]) {
        self.asked.extend(offsets.iter().cloned());
        let list = list(offsets.iter().map(|(place, offset)| (place, *offset)));
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
                if let Read::Revoked(places) = change {
                    self.asked.retain(|place, _| !places.contains(place));
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if self.asked.is_empty() || left.is_zero() {
                return self.asked.is_empty();
            }
            let list = list(self.asked.iter().map(|(place, offset)| (place, *offset)));
            match self.consumer.committed_offsets(list.clone(), left) {
                Ok(found) => {
                    self.asked.retain(|place, asked| {
                        let found = found.find_partition(&place.topic, place.partition).map(|found| found.offset());
                        !matches!(found, Some(Offset::Offset(committed)) if committed >= *asked)
                    });
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
                tracing::warn!(topics = ?self.topics, %code, "reading; the client tries again");
                Ok(())
            }
        }
    }

    fn failed(&self, error: &KafkaError) -> KafkaFault {
        KafkaFault::of(
            error,
            &format!("read {}", self.topics.iter().map(|topic| &**topic).collect::<Vec<_>>().join(", ")),
            &self.servers,
        )
    }
}

fn list<'a>(offsets: impl Iterator<Item = (&'a Place, i64)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (place, offset) in offsets {
        let added = list.add_partition_offset(&place.topic, place.partition, Offset::Offset(offset));
        added.expect("an offset that was read is a valid one");
    }
    list
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
        let places = |list: &TopicPartitionList| {
            list.elements().iter().map(|one| Place::new(one.topic(), one.partition())).collect()
        };
        let change = match rebalance {
            Rebalance::Assign(list) => Read::Assigned(places(list)),
            Rebalance::Revoke(list) => Read::Revoked(places(list)),
            // The client has given up its partitions; that comes as a revocation too.
            Rebalance::Error(error) => return tracing::warn!(%error, "rebalance"),
        };
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push_back(change);
    }
}
