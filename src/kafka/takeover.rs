//! Taking partitions over from whoever had them: alive, dead, or frozen with a transaction open.
//!
//! Order: committed offsets first (they wait for pending ones), then the end of `task-state`, then
//! read. An open transaction of a dead predecessor would block both for up to twenty seconds; its
//! transactional id stands beside the last decided offsets, so it is fenced instead.

use super::log::LogSettings;
use super::settings::{self as client, ClientLog, Isolation};
use crate::worker::{Apply, Stop, TakeOver};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, DefaultProducerContext, Producer};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// After this an offset or a state that is still undecided is taken for a dead worker's.
const UNDECIDED: Duration = Duration::from_millis(200);
const REQUEST: Duration = Duration::from_secs(5);

fn stop(what: &str, error: &KafkaError) -> TakeOver {
    TakeOver::Stop(Stop::Broken(format!("{what}: {error}")))
}

/// Finds and fences the workers that had partitions before.
#[derive(Clone, Debug)]
pub(crate) struct Predecessors {
    lookup: ClientConfig,
    producer: ClientConfig,
    group_id: String,
    own: String,
}

impl Predecessors {
    pub(crate) fn new(settings: &LogSettings) -> Self {
        let mut lookup = settings.plain.clone();
        // Reads the last decided offsets of the group without waiting for pending ones, and without joining.
        lookup.set("group.id", &settings.group_id).set("isolation.level", "read_uncommitted");
        let (producer, group_id) = (settings.producer.clone(), settings.group_id.clone());
        Self { lookup, producer, group_id, own: settings.transactional_id.clone() }
    }

    /// Ends the open transactions of whoever last decided an offset of these partitions.
    pub(super) fn fence(&self, list: &TopicPartitionList) -> KafkaResult<()> {
        let reader: BaseConsumer<ClientLog> = self.lookup.create_with_context(ClientLog)?;
        let decided = reader.committed_offsets(list.clone(), REQUEST)?;
        let names = decided.elements();
        let mut ids: BTreeSet<&str> = names.iter().map(|one| one.metadata()).filter(|id| !id.is_empty()).collect();
        ids.remove(self.own.as_str());
        if ids.is_empty() {
            return Ok(());
        }
        // Whoever is in the group lives, and gave these partitions back between two transactions: then it is the
        // broker that is slow, and fencing would only disturb.
        for living in self.members(&reader)? {
            ids.remove(living.as_str());
        }
        for id in ids {
            tracing::info!(transactional_id = id, "ending the open transaction of the worker that was here before");
            let mut config = self.producer.clone();
            config.set("transactional.id", id);
            let producer: BaseProducer<DefaultProducerContext> = config.create()?;
            producer.init_transactions(REQUEST)?;
        }
        Ok(())
    }
}

impl Predecessors {
    /// The client ids of the group's members, which are the workers' transactional ids.
    fn members(&self, client: &BaseConsumer<ClientLog>) -> KafkaResult<BTreeSet<String>> {
        let groups = client.fetch_group_list(Some(&self.group_id), REQUEST)?;
        let members = groups.groups().iter().flat_map(|group| group.members());
        Ok(members.map(|member| member.client_id().to_owned()).collect())
    }

    /// Whether nobody is in the group under this worker's own name, or nobody is any more after `patience`, which begins
    /// with the first answer of a broker.
    pub(crate) fn is_gone(&self, patience: Duration) -> KafkaResult<bool> {
        let client: BaseConsumer<ClientLog> = self.lookup.create_with_context(ClientLog)?;
        let mut deadline = None;
        loop {
            if let Ok(members) = self.members(&client) {
                if !members.contains(&self.own) {
                    return Ok(true);
                }
                if Instant::now() >= *deadline.get_or_insert_with(|| Instant::now() + patience) {
                    return Ok(false);
                }
            }
            std::thread::sleep(UNDECIDED);
        }
    }
}

/// The committed offsets, once none is pending. A broker that does not say within `patience` is asked again after the
/// group was served.
pub(crate) fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    list: &TopicPartitionList,
    predecessors: &Predecessors,
    patience: Duration,
) -> Result<TopicPartitionList, TakeOver> {
    let deadline = Instant::now() + patience;
    let mut wait = UNDECIDED;
    loop {
        match consumer.committed_offsets(list.clone(), wait) {
            Ok(found) if found.elements().iter().all(|one| one.error().is_ok()) => return Ok(found),
            Ok(_) | Err(_) if Instant::now() < deadline => {
                if let Err(error) = predecessors.fence(list) {
                    tracing::warn!(%error, "looking for a worker that left a transaction open");
                }
                wait = Duration::from_secs(2);
            }
            Ok(_) => {
                tracing::warn!("committed offsets are still undecided");
                return Err(TakeOver::Rebalanced);
            }
            Err(error) => {
                tracing::warn!(%error, "committed offsets");
                return Err(TakeOver::Rebalanced);
            }
        }
    }
}

/// Where a log starts: for an input nobody has read.
pub(crate) fn log_start<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
    patience: Duration,
) -> Result<i64, TakeOver> {
    let deadline = Instant::now() + patience;
    loop {
        match consumer.fetch_watermarks(topic, partition, REQUEST) {
            Ok((low, _)) => return Ok(low),
            Err(error) if Instant::now() < deadline => tracing::warn!(%error, topic, partition, "log start"),
            Err(_) => return Err(TakeOver::Rebalanced),
        }
    }
}

/// Reads `task-state` from the given offsets to its end as of now.
///
/// The end comes from a `read_uncommitted` client: one that reads committed records only would stop short at an
/// open transaction. Only when all up to that end is decided are the records read, to the reader's own end of
/// partition, which accounts for the gaps that markers and compaction leave.
pub(crate) fn restore(
    settings: &LogSettings,
    predecessors: &Predecessors,
    from: &[(i32, i64)],
    apply: &mut Apply<'_>,
    alive: &mut dyn FnMut() -> Result<(), TakeOver>,
) -> Result<Vec<(i32, i64)>, TakeOver> {
    let topic = &*settings.state_topic;
    let mut ends = Vec::with_capacity(from.len());
    let reader = |isolation| -> Result<BaseConsumer<ClientLog>, TakeOver> {
        let group_id = format!("{}.restore", settings.group_id);
        let mut config = client::reading(settings.plain.clone(), &group_id, isolation);
        // That a partition is read to its end is told at once, and not after half a second.
        config.set("enable.partition.eof", "true").set("fetch.wait.max.ms", "10");
        config.create_with_context(ClientLog).map_err(|error| stop("reader of task-state", &error))
    };
    let (all, decided) = (reader(Isolation::Uncommitted)?, reader(Isolation::Committed)?);
    let mut positions = TopicPartitionList::with_capacity(from.len());
    let mut open = BTreeSet::new();
    for (partition, offset) in from {
        let (low, end) = retry(|| all.fetch_watermarks(topic, *partition, REQUEST), alive, "end of task-state")?;
        ends.push((*partition, end));
        if end <= low || end <= *offset {
            continue;
        }
        await_decided(settings, &decided, predecessors, *partition, end, alive)?;
        let start = Offset::Offset((*offset).max(low));
        positions.add_partition_offset(topic, *partition, start).map_err(|error| stop("task-state", &error))?;
        open.insert(*partition);
    }
    if open.is_empty() {
        return Ok(ends);
    }
    decided.assign(&positions).map_err(|error| stop("reader of task-state", &error))?;
    let mut polled = 0_u32;
    while !open.is_empty() {
        // The group's consumer must be served while a large state is read.
        if polled.is_multiple_of(1_000) {
            alive()?;
        }
        polled = polled.wrapping_add(1);
        match decided.poll(Duration::from_millis(100)) {
            None => alive()?,
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            Some(Err(error)) if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
                return Err(stop("reading task-state", &error));
            }
            Some(Err(error)) => tracing::warn!(%error, "reading task-state"),
            Some(Ok(message)) => apply(message.partition(), message.key().unwrap_or_default(), message.payload())?,
        }
    }
    Ok(ends)
}

/// Waits until everything below `end` is committed or aborted; fences whoever holds it up.
fn await_decided(
    settings: &LogSettings,
    decided: &BaseConsumer<ClientLog>,
    predecessors: &Predecessors,
    partition: i32,
    end: i64,
    alive: &mut dyn FnMut() -> Result<(), TakeOver>,
) -> Result<(), TakeOver> {
    let topic = &*settings.state_topic;
    let mut fence_at = Instant::now() + UNDECIDED;
    loop {
        let (_, stable) = retry(|| decided.fetch_watermarks(topic, partition, REQUEST), alive, "end of task-state")?;
        if stable >= end {
            return Ok(());
        }
        alive()?;
        if Instant::now() >= fence_at {
            let mut list = TopicPartitionList::new();
            for input in &settings.inputs {
                list.add_partition(input, partition);
            }
            if let Err(error) = predecessors.fence(&list) {
                tracing::warn!(%error, partition, "fencing the worker that was here before");
            }
            fence_at = Instant::now() + Duration::from_secs(2);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Asks until the broker answers: it may be away for a while.
fn retry<T>(
    ask: impl Fn() -> KafkaResult<T>,
    alive: &mut dyn FnMut() -> Result<(), TakeOver>,
    what: &str,
) -> Result<T, TakeOver> {
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) => {
                tracing::warn!(%error, "{what}: again");
                alive()?;
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}
