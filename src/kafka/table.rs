//! A compacted topic that every process reads as a whole, and to its present end whenever a decision rests on it.
//!
//! It sees committed records only. Behind a transaction that is still open the end is not reached: the caller, who has a
//! group to serve, comes again. Blocking, without a group of its own.

use super::fault::KafkaFault;
use super::settings::{self, ClientLog, Isolation, REQUEST};
use super::tail::{Tailed, owned};
use crate::config;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Between two looks at whether the end is reached.
const LOOK: Duration = Duration::from_millis(5);

/// A reading under way.
pub struct Table {
    committed: BaseConsumer<ClientLog>,
    /// Its watermarks are the true ends.
    all: BaseConsumer<ClientLog>,
    topic: String,
    servers: String,
    /// The next offset to read, by partition.
    next: BTreeMap<i32, i64>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("topic", &self.topic).field("next", &self.next).finish_non_exhaustive()
    }
}

impl Table {
    /// Begins at the first record there is.
    ///
    /// # Errors
    /// [`KafkaFault::NoTopic`]; brokers that do not answer or refuse.
    pub fn open(kafka: &config::Kafka, topic: &str) -> Result<Self, KafkaFault> {
        let servers = kafka.bootstrap_servers.clone();
        let failed = |error: KafkaError| KafkaFault::of(&error, &format!("read {topic}"), &servers);
        let reader = |isolation| {
            let mut settings = settings::reader(kafka, "table", isolation);
            // Whoever looks waits for what comes.
            settings.set("fetch.wait.max.ms", "50");
            BaseConsumer::from_config_and_context(&settings, ClientLog).map_err(failed)
        };
        let (committed, all): (BaseConsumer<ClientLog>, BaseConsumer<ClientLog>) =
            (reader(Isolation::Committed)?, reader(Isolation::Uncommitted)?);
        let metadata = all.fetch_metadata(Some(topic), REQUEST).map_err(failed)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let (mut next, mut assignment) = (BTreeMap::new(), TopicPartitionList::new());
        for partition in found.into_iter().flat_map(|found| found.partitions()) {
            let (low, _) = all.fetch_watermarks(topic, partition.id(), REQUEST).map_err(failed)?;
            assignment.add_partition_offset(topic, partition.id(), Offset::Offset(low)).map_err(failed)?;
            next.insert(partition.id(), low);
        }
        if next.is_empty() {
            return Err(KafkaFault::NoTopic(topic.to_owned()));
        }
        committed.assign(&assignment).map_err(failed)?;
        Ok(Self { committed, all, topic: topic.to_owned(), servers, next })
    }

    /// Reads on to the end as it is now. False: for so long nothing came, and the end is still ahead.
    ///
    /// # Errors
    /// What the brokers refuse.
    pub fn catch_up(&mut self, patience: Duration, apply: &mut dyn FnMut(Tailed)) -> Result<bool, KafkaFault> {
        let mut ends = BTreeMap::new();
        for partition in self.next.keys() {
            let end = self.all.fetch_watermarks(&self.topic, *partition, REQUEST);
            ends.insert(*partition, end.map_err(|error| self.failed(&error))?.1);
        }
        let mut progress = Instant::now();
        loop {
            self.look_at_positions()?;
            if self.next.iter().all(|(partition, next)| *next >= ends[partition]) {
                return Ok(true);
            }
            if progress.elapsed() > patience {
                return Ok(false);
            }
            match self.committed.poll(LOOK) {
                Some(Ok(message)) => {
                    progress = Instant::now();
                    let record = owned(&message);
                    self.next.insert(record.partition, record.offset + 1);
                    apply(record);
                }
                Some(Err(error)) if is_passing(&error) => {}
                Some(Err(error)) => return Err(self.failed(&error)),
                None => {}
            }
        }
    }

    /// Markers and what was aborted move the position without a record.
    fn look_at_positions(&mut self) -> Result<(), KafkaFault> {
        let positions = self.committed.position().map_err(|error| self.failed(&error))?;
        for element in positions.elements_for_topic(&self.topic) {
            if let (Offset::Offset(at), Some(next)) = (element.offset(), self.next.get_mut(&element.partition())) {
                *next = (*next).max(at);
            }
        }
        Ok(())
    }

    fn failed(&self, error: &KafkaError) -> KafkaFault {
        KafkaFault::of(error, &format!("read {}", self.topic), &self.servers)
    }
}

/// The client finds lost brokers again by itself.
fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::Resolve
        )
    )
}
