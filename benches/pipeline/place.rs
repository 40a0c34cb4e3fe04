//! Where the broker is, and plain clients of it.

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use std::time::Duration;

/// Where things are; the first arguments of every process.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) bootstrap: String,
    pub(crate) prefix: String,
}

impl Place {
    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    /// Reads what was committed of all partitions of these topics, in no group: from their ends on, or all of it.
    pub(crate) fn reader(&self, topics: &[String], from_start: bool) -> BaseConsumer {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", format!("{}.bench", self.prefix))
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("fetch.queue.backoff.ms", "10")
            .create()
            .expect("a consumer is made");
        let mut list = TopicPartitionList::new();
        for topic in topics {
            for (partition, (start, end)) in watermarks(&consumer, topic) {
                let from = Offset::Offset(if from_start { start } else { end });
                list.add_partition_offset(topic, partition, from).expect("an offset is a number");
            }
        }
        consumer.assign(&list).expect("partitions can be assigned");
        consumer
    }

    pub(crate) fn producer(&self) -> BaseProducer {
        self.client()
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "0")
            .set("queue.buffering.max.messages", "1000000")
            .create()
            .expect("a producer is made")
    }
}

/// First and next offset of each partition.
pub(crate) fn watermarks(consumer: &BaseConsumer, topic: &str) -> Vec<(i32, (i64, i64))> {
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).expect("the broker answers");
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions()).map(|one| one.id());
    let ends = |partition| consumer.fetch_watermarks(topic, partition, Duration::from_secs(10));
    partitions.map(|partition| (partition, ends(partition).expect("the broker answers"))).collect()
}

/// Puts a record into the client's queue, waiting while that is full.
pub(crate) fn send(producer: &BaseProducer, mut record: BaseRecord<'_, str, [u8]>) {
    while let Err((error, back)) = producer.send(record) {
        let full = matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
        assert!(full, "a record to {}: {error}", back.topic);
        producer.poll(Duration::from_millis(1));
        record = back;
    }
}

/// Serves deliveries until nothing is in flight. Sleeps between: the client's poll spins through its last millisecond.
pub(crate) fn drain(producer: &BaseProducer) {
    loop {
        let left = producer.in_flight_count();
        if left == 0 {
            return;
        }
        producer.poll(Duration::ZERO);
        if producer.in_flight_count() == left {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}
