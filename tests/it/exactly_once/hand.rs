//! One worker's Kafka without its loop: what the loop would do, done by hand and in slow motion.

use super::super::support::{Scratch, until};
use super::SOON;
use baton::config;
use baton::kafka::{KafkaLog, LogSettings, TransactionalProducer};
use baton::partition::INPUTS;
use baton::worker::{Log as _, Offsets, Outgoing, Rebalance};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerGroupMetadata};
use rdkafka::{Offset, TopicPartitionList};
use std::time::Duration;

/// The topics a worker needs, and nothing else.
pub(super) struct Hand {
    pub(super) scratch: Scratch,
    pub(super) state: String,
    partitions: i32,
}

impl Hand {
    pub(super) fn new(name: &str, partitions: i32) -> Self {
        let scratch = Scratch::new(name);
        for topic in ["tasks", "agent-status", "task-commands"] {
            scratch.create(topic, partitions, &[]);
        }
        let state = scratch.create("task-state", partitions, &[]);
        Self { scratch, state, partitions }
    }

    /// What the worker of this slot would have.
    pub(super) fn settings(&self, slot: &str) -> LogSettings {
        settings(&self.scratch, slot)
    }

    /// A worker that waits for its partitions.
    pub(super) fn connect(&self, slot: &str) -> KafkaLog {
        KafkaLog::connect(self.settings(slot), || {}).expect("the broker is there")
    }

    /// A worker that has them all, and their offsets.
    pub(super) fn owner(&self, slot: &str) -> (KafkaLog, Vec<Offsets>) {
        let mut log = self.connect(slot);
        let held = assigned(&mut log);
        assert_eq!(held.len(), usize::try_from(self.partitions).expect("it is small"), "it is alone");
        let (offsets, _) = take(&mut log, &held);
        (log, offsets)
    }

    pub(super) fn member(&self, settings: &LogSettings) -> (BaseConsumer, ConsumerGroupMetadata) {
        let consumer = member(settings);
        let group = consumer.group_metadata().expect("it is a member");
        (consumer, group)
    }

    pub(super) fn producer(&self, settings: &LogSettings) -> TransactionalProducer {
        TransactionalProducer::new(&settings.producer, (&*self.state).into(), SOON).expect("the broker is there")
    }

    /// `next` for every input of every partition, with the writer's name beside it.
    pub(super) fn offsets(&self, settings: &LogSettings, next: i64) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for topic in &settings.inputs {
            for partition in 0..self.partitions {
                let mut one = list.add_partition(topic, partition);
                one.set_offset(Offset::Offset(next)).expect("it is a valid offset");
                one.set_metadata(&settings.transactional_id);
            }
        }
        list
    }

    /// What a worker does before its first transaction. The group's coordinator may hear of a new topic late.
    pub(super) fn claim(&self, consumer: &BaseConsumer, settings: &LogSettings) {
        let offsets = self.offsets(settings, 0);
        until("a member may commit", SOON, || {
            consumer.commit(&offsets, CommitMode::Sync).map_err(|error| error.to_string())
        });
    }

    /// The group's committed offset of the first input's partition 0, as a new owner reads it; none while one is pending.
    pub(super) fn committed(&self) -> Option<Offset> {
        let settings = self.settings("reader");
        let mut reader = settings.plain.clone();
        reader.set("group.id", &settings.group_id).set("isolation.level", "read_committed");
        let reader: BaseConsumer = reader.create().expect("a reader is built");
        let mut list = TopicPartitionList::new();
        list.add_partition(&settings.inputs[0], 0);
        let found = reader.committed_offsets(list, Duration::from_secs(2)).ok()?;
        let one = found.find_partition(&settings.inputs[0], 0)?;
        one.error().is_ok().then(|| one.offset())
    }

    /// The end of partition 0 of a topic, whether decided or not.
    pub(super) fn end(&self, topic: &str) -> i64 {
        let mut reader = self.settings("reader").plain;
        reader.set("group.id", self.scratch.topic("ends")).set("isolation.level", "read_uncommitted");
        let reader: BaseConsumer = reader.create().expect("a reader is built");
        reader.fetch_watermarks(topic, 0, SOON).expect("the topic is there").1
    }
}

/// What the worker of this slot would have.
pub(super) fn settings(scratch: &Scratch, slot: &str) -> LogSettings {
    let kafka = config::Kafka {
        bootstrap_servers: scratch.stack.bootstrap.clone(),
        prefix: scratch.prefix.clone(),
        slot: Some(slot.to_owned()),
        ..config::Kafka::default()
    };
    LogSettings::new(&kafka, "orchestrator", slot, Duration::from_secs(6), Duration::from_secs(10), 100)
}

/// A member of the workers' group that is a bare client, once it has partitions.
pub(super) fn member(settings: &LogSettings) -> BaseConsumer {
    let consumer: BaseConsumer = settings.consumer.create().expect("a consumer is built");
    let inputs: Vec<&str> = settings.inputs.iter().map(|topic| &**topic).collect();
    consumer.subscribe(&inputs).expect("it can subscribe");
    until("the bare member has its partitions", SOON, || {
        // `auto.offset.reset=error`: there may be nothing committed yet, which a poll says.
        let _ = consumer.poll(Duration::from_millis(20));
        let held = consumer.assignment().map_err(|e| e.to_string())?.count();
        if held > 0 { Ok(()) } else { Err("none yet".into()) }
    });
    consumer
}

/// Waits until the group gives it partitions.
pub(super) fn assigned(log: &mut KafkaLog) -> Vec<i32> {
    until("partitions are assigned", SOON, || {
        log.poll(0, &mut Vec::new()).map_err(|e| e.to_string())?;
        match log.rebalance() {
            Some(Rebalance::Assigned(partitions)) => Ok(partitions),
            Some(Rebalance::Revoked { .. }) => {
                log.release();
                Err("revoked".into())
            }
            None => Err("nothing".into()),
        }
    })
}

/// Takes partitions over as the loop does; gives their offsets and what `task-state` holds: partition and key.
pub(super) fn take(log: &mut KafkaLog, partitions: &[i32]) -> (Vec<Offsets>, Vec<(i32, String)>) {
    let owned = log.take_over(partitions).expect("the group is quiet");
    let mut found = Vec::new();
    let from: Vec<(i32, i64)> = partitions.iter().map(|number| (*number, 0)).collect();
    let mut apply = |number, key: &[u8], _: Option<&[u8]>| {
        found.push((number, String::from_utf8_lossy(key).into_owned()));
        Ok(())
    };
    log.restore(&from, &mut apply).expect("the group is quiet");
    let offsets: Vec<Offsets> = owned.iter().map(|one| one.offsets).collect();
    log.claim(&offsets).expect("the group is quiet");
    (offsets, found)
}

/// A record to partition 0.
pub(super) fn record(topic: &str, key: &str, bytes: usize, origin: usize) -> Outgoing {
    Outgoing {
        topic: topic.into(),
        partition: 0,
        key: Some(key.as_bytes().to_vec()),
        value: Some(vec![b'x'; bytes]),
        headers: Vec::new(),
        timestamp: None,
        origin,
    }
}

/// The same offsets, so many records further on in the first input.
pub(super) fn further(offsets: &[Offsets], by: i64) -> Vec<Offsets> {
    let on = |one: &Offsets| {
        let mut next = [0; INPUTS];
        next.copy_from_slice(&one.next);
        next[0] += by;
        Offsets { partition: one.partition, next }
    };
    offsets.iter().map(on).collect()
}
