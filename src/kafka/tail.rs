//! A plain reader of one topic, without a group: for people who look, and for tables read to their end.
//!
//! It commits nothing and sees only committed records. The end is each partition's true one at the start (the watermark of
//! a `read_uncommitted` client), and it is reached when the *position* is: transaction markers and compaction leave
//! gaps that no record ever fills. Where an open transaction holds the reader back before the end, it says so after
//! [`PATIENCE`] rather than wait for ever.

use super::admin::on_a_thread;
use super::fault::{Disposition, KafkaFault};
use super::settings::{self, ClientLog, Isolation, REQUEST};
use crate::config;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Longer than a broker needs to end the transaction of a dead worker (its timeout of at most 15 s, and 10 s to notice).
pub const PATIENCE: Duration = Duration::from_secs(27);

/// Between two tries to begin.
const AGAIN: Duration = Duration::from_millis(200);

/// One record, with nothing decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tailed {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since the epoch, by the producer's or the broker's clock as the topic has it.
    pub timestamp: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Beginning,
    /// Only what comes from now on.
    End,
    /// That many offsets before each partition's end.
    Back(i64),
    /// At this offset of each partition read.
    At(i64),
    /// At the first record from this moment on, in milliseconds since the epoch.
    Since(i64),
}

/// What a call to [`Tail::next`] came to.
#[derive(Debug)]
pub enum Next {
    Record(Tailed),
    /// Every partition is at the end it had when the reading began. Said once; what comes later follows.
    End,
    /// Nothing came within the time given.
    Idle,
}

/// A reading under way. Blocking: use it on a thread of its own.
pub struct Tail {
    consumer: BaseConsumer<ClientLog>,
    topic: String,
    servers: String,
    /// Partitions not yet at their end, and where that is.
    ahead: BTreeMap<i32, i64>,
    said_end: bool,
    whole: bool,
    progress: Instant,
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").field("topic", &self.topic).field("ahead", &self.ahead).finish_non_exhaustive()
    }
}

impl Tail {
    /// Begins to read `partitions` (none = all) of a topic.
    ///
    /// # Errors
    /// [`KafkaFault::NoTopic`]; brokers that do not answer or refuse.
    pub fn open(
        kafka: &config::Kafka,
        topic: &str,
        partitions: Option<&[i32]>,
        start: Start,
    ) -> Result<Self, KafkaFault> {
        let servers = kafka.bootstrap_servers.clone();
        let what = format!("read {topic}");
        let failed = |error: KafkaError| KafkaFault::of(&error, &what, &servers);
        let reader = |isolation| -> Result<BaseConsumer<ClientLog>, KafkaFault> {
            BaseConsumer::from_config_and_context(&settings::reader(kafka, "tail", isolation), ClientLog)
                .map_err(failed)
        };
        let (consumer, uncommitted) = (reader(Isolation::Committed)?, reader(Isolation::Uncommitted)?);
        let all = partitions_of(&consumer, topic, &servers).map_err(|fault| fault.explained(kafka))?;
        let chosen: Vec<i32> = match partitions {
            Some(chosen) => chosen.iter().copied().filter(|partition| all.contains(partition)).collect(),
            None => all.into_iter().collect(),
        };
        let since = match start {
            Start::Since(moment) => Some(offsets_since(&consumer, topic, &chosen, moment).map_err(failed)?),
            _ => None,
        };
        let mut assignment = TopicPartitionList::with_capacity(chosen.len());
        let (mut ahead, mut whole) = (BTreeMap::new(), true);
        for partition in chosen {
            let (low, end) = watermarks(&uncommitted, topic, partition).map_err(failed)?;
            let from = match start {
                Start::Beginning => low,
                Start::End => end,
                Start::Back(records) => end.saturating_sub(records).max(low),
                Start::At(offset) => offset.max(low),
                Start::Since(_) => since.as_ref().and_then(|it| it.get(&partition).copied()).unwrap_or(end).max(low),
            };
            assignment.add_partition_offset(topic, partition, Offset::Offset(from)).map_err(failed)?;
            whole &= from <= low;
            if from < end {
                ahead.insert(partition, end);
            }
        }
        consumer.assign(&assignment).map_err(failed)?;
        Ok(Self { consumer, topic: topic.to_owned(), servers, ahead, said_end: false, whole, progress: Instant::now() })
    }

    /// Whether the reading began at the first record there is.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// The next record, or that there is none for now.
    ///
    /// # Errors
    /// [`KafkaFault::HeldBack`]; what the brokers refuse. Lost connections are waited out.
    pub fn next(&mut self, timeout: Duration) -> Result<Next, KafkaFault> {
        let deadline = Instant::now() + timeout;
        loop {
            self.strike_reached()?;
            if self.ahead.is_empty() && !self.said_end {
                self.said_end = true;
                return Ok(Next::End);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            // Short waits while the end is not reached: a marker moves the position without a record.
            let wait = if self.said_end { left } else { left.min(Duration::from_millis(20)) };
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    self.progress = Instant::now();
                    return Ok(Next::Record(owned(&message)));
                }
                Some(Err(error)) => self.judge(&error)?,
                None if left.is_zero() => return Ok(Next::Idle),
                None => {}
            }
        }
    }

    /// Takes the partitions off the list whose position has reached the end.
    fn strike_reached(&mut self) -> Result<(), KafkaFault> {
        if self.ahead.is_empty() {
            return Ok(());
        }
        let positions = self
            .consumer
            .position()
            .map_err(|error| KafkaFault::of(&error, &format!("read {}", self.topic), &self.servers))?;
        let before = self.ahead.len();
        let mut behind = None;
        for element in positions.elements_for_topic(&self.topic) {
            if let (Offset::Offset(position), Some(end)) = (element.offset(), self.ahead.get(&element.partition())) {
                if position >= *end {
                    self.ahead.remove(&element.partition());
                } else {
                    behind = Some((element.partition(), position));
                }
            }
        }
        if self.ahead.len() < before {
            self.progress = Instant::now();
        }
        match behind {
            Some((partition, offset)) if self.progress.elapsed() > PATIENCE => {
                Err(KafkaFault::HeldBack { topic: self.topic.clone(), partition, offset })
            }
            None if !self.ahead.is_empty() && self.progress.elapsed() > PATIENCE => Err(KafkaFault::Unreachable {
                servers: self.servers.clone(),
                detail: format!("nothing of {} came for {} s", self.topic, PATIENCE.as_secs()),
            }),
            _ => Ok(()),
        }
    }

    fn judge(&self, error: &KafkaError) -> Result<(), KafkaFault> {
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::Resolve,
            ) => Ok(()),
            Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
                Err(KafkaFault::NoTopic(self.topic.clone()))
            }
            _ => Err(KafkaFault::of(error, &format!("read {}", self.topic), &self.servers)),
        }
    }
}

/// Where a partition starts and ends. One that was just created has its leader a moment later.
fn watermarks(consumer: &BaseConsumer<ClientLog>, topic: &str, partition: i32) -> KafkaResult<(i64, i64)> {
    let deadline = Instant::now() + REQUEST;
    loop {
        let found = consumer.fetch_watermarks(topic, partition, REQUEST);
        let no_leader = matches!(
            found.as_ref().err().and_then(KafkaError::rdkafka_error_code),
            Some(RDKafkaErrorCode::NotLeaderForPartition | RDKafkaErrorCode::LeaderNotAvailable)
        );
        if !no_leader || Instant::now() >= deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Everything committed from `start` to the end that is there now, of all `partitions` (none = all) together by time.
/// Holds at most the last `most` records that `wanted` lets through.
///
/// # Errors
/// As [`Tail::open`] and [`Tail::next`].
pub async fn read(
    kafka: &config::Kafka,
    topic: &str,
    partitions: Option<Vec<i32>>,
    start: Start,
    most: usize,
    wanted: impl Fn(&Tailed) -> bool + Send + 'static,
) -> Result<Vec<Tailed>, KafkaFault> {
    let keep = move |mut held: VecDeque<Tailed>, record: Tailed| {
        if wanted(&record) {
            if held.len() == most {
                held.pop_front();
            }
            held.push_back(record);
        }
        held
    };
    let mut records: Vec<Tailed> = fold(kafka, topic, partitions, start, VecDeque::new(), keep).await?.into();
    records.sort_by_key(|record| (record.timestamp, record.partition, record.offset));
    Ok(records)
}

/// The same, each record given to `take` with what came of those before: for who wants not all of each record.
///
/// # Errors
/// As [`Tail::open`] and [`Tail::next`].
pub async fn fold<T: Send + 'static>(
    kafka: &config::Kafka,
    topic: &str,
    partitions: Option<Vec<i32>>,
    start: Start,
    mut folded: T,
    mut take: impl FnMut(T, Tailed) -> T + Send + 'static,
) -> Result<T, KafkaFault> {
    let (kafka, topic) = (kafka.clone(), topic.to_owned());
    on_a_thread(move || {
        let begun = Instant::now();
        let mut tail = loop {
            match Tail::open(&kafka, &topic, partitions.as_deref(), start) {
                // A topic just made has no leader for a moment.
                Err(fault) if fault.disposition() == Disposition::Again && begun.elapsed() < REQUEST => {
                    std::thread::sleep(AGAIN);
                }
                opened => break opened?,
            }
        };
        loop {
            match tail.next(REQUEST)? {
                Next::Record(record) => folded = take(folded, record),
                Next::Idle => {}
                Next::End => return Ok(folded),
            }
        }
    })
    .await
}

fn partitions_of(consumer: &BaseConsumer<ClientLog>, topic: &str, servers: &str) -> Result<BTreeSet<i32>, KafkaFault> {
    let metadata = consumer
        .fetch_metadata(Some(topic), REQUEST)
        .map_err(|error| KafkaFault::of(&error, &format!("look at {topic}"), servers))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let partitions: BTreeSet<i32> =
        found.into_iter().flat_map(|found| found.partitions()).map(|partition| partition.id()).collect();
    if partitions.is_empty() { Err(KafkaFault::NoTopic(topic.to_owned())) } else { Ok(partitions) }
}

fn offsets_since(
    consumer: &BaseConsumer<ClientLog>,
    topic: &str,
    partitions: &[i32],
    moment: i64,
) -> Result<BTreeMap<i32, i64>, KafkaError> {
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        asked.add_partition_offset(topic, *partition, Offset::Offset(moment))?;
    }
    let found = consumer.offsets_for_times(asked, REQUEST)?;
    Ok(found
        .elements_for_topic(topic)
        .iter()
        .filter_map(|element| Some((element.partition(), element.offset().to_raw().filter(|raw| *raw >= 0)?)))
        .collect())
}

pub(super) fn owned(message: &BorrowedMessage<'_>) -> Tailed {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    });
    Tailed {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
    }
}
