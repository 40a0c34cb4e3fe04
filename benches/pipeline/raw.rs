//! The loop without logic: consume, produce, offsets, commit, as fast as the client goes.

use super::place::{Place, drain};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::util::Timeout;
use rdkafka::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What is written to one topic.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Written {
    pub(crate) topic: String,
    /// Records per input; a share of one is written to every so manieth.
    pub(crate) per_input: f64,
    /// Of key, value and headers together.
    pub(crate) bytes: usize,
    /// Headers of each record.
    pub(crate) headers: usize,
    /// All records of a transaction go to one partition, another each time; else to the input's.
    pub(crate) rotates: bool,
}

/// One run of the loop.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) inputs: usize,
    /// Topics and the bytes of their records; read alike.
    pub(crate) reads: Vec<(String, usize)>,
    pub(crate) batch: usize,
    pub(crate) writes: Vec<Written>,
    pub(crate) partitions: i32,
    /// Names group and transactional id.
    pub(crate) name: String,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Result {
    pub(crate) seconds: f64,
    pub(crate) transactions: usize,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Fills the topics that are read.
pub(crate) fn fill(place: &Place, plan: &Plan) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &place.bootstrap).set("queue.buffering.max.messages", "1000000");
    let producer: BaseProducer = config.create().expect("a producer is made");
    let key = "raw-2026-000000000000";
    for number in 0..plan.inputs {
        let (topic, bytes) = &plan.reads[number % plan.reads.len()];
        let value = vec![b'x'; bytes.saturating_sub(key.len())];
        let partition = i32::try_from(number / plan.reads.len()).expect("few inputs") % plan.partitions;
        let record = BaseRecord::to(topic).key(key).payload(&value).partition(partition);
        producer.send(record).map_err(|(error, _)| error).expect("there is room for all of them");
        if number % 1_000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    drain(&producer);
}

pub(crate) fn run(place: &Place, plan: &Plan) -> Result {
    let name = format!("{}.{}", place.prefix, plan.name);
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &place.bootstrap);
    let producer: BaseProducer = config
        .clone()
        .set("transactional.id", &name)
        .set("linger.ms", "0")
        .set("retry.backoff.ms", "1")
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .expect("a producer is made");
    producer.init_transactions(Duration::from_secs(30)).expect("the coordinator answers");
    let consumer: BaseConsumer = config
        .set("group.id", &name)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("partition.assignment.strategy", "range")
        .set("fetch.queue.backoff.ms", "10")
        .create()
        .expect("a consumer is made");
    let mut topics: Vec<&str> = plan.reads.iter().map(|(topic, _)| topic.as_str()).collect();
    topics.dedup();
    consumer.subscribe(&topics).expect("topics can be subscribed");
    let largest = plan.writes.iter().map(|written| written.bytes).max().unwrap_or(0);
    let filler = vec![b'x'; largest];
    let key = "raw-2026-000000000000";

    let (mut done, mut turn, mut started) = (0, 0, None);
    let mut owed = vec![0.0; plan.writes.len()];
    let mut took: Vec<f64> = Vec::new();
    while done < plan.inputs {
        let mut batch: Vec<i32> = Vec::with_capacity(plan.batch);
        let mut next: BTreeMap<(usize, i32), i64> = BTreeMap::new();
        while batch.len() < plan.batch {
            // As the engine does: what is there is taken, and not waited for more.
            let wait = if batch.is_empty() { Duration::from_millis(100) } else { Duration::ZERO };
            let Some(message) = consumer.poll(wait) else { if batch.is_empty() { continue } else { break } };
            let message = message.expect("inputs can be read");
            started.get_or_insert_with(Instant::now);
            let input = topics.iter().position(|topic| *topic == message.topic()).expect("one of ours");
            // Taken over into memory of one's own, as anything that decides later must.
            std::hint::black_box((message.key().map(<[u8]>::to_vec), message.payload().map(<[u8]>::to_vec)));
            next.insert((input, message.partition()), message.offset() + 1);
            batch.push(message.partition());
        }
        turn += 1;
        let began = Instant::now();
        producer.begin_transaction().expect("a transaction begins");
        for partition in &batch {
            for (written, owed) in plan.writes.iter().zip(&mut owed) {
                *owed += written.per_input;
                while *owed >= 1.0 {
                    *owed -= 1.0;
                    let to = if written.rotates { turn % plan.partitions } else { *partition };
                    // A header is a name and a value of 16 bytes each.
                    let value = written.bytes.saturating_sub(key.len() + written.headers * 32);
                    let mut record = BaseRecord::to(&written.topic).key(key).payload(&filler[..value]).partition(to);
                    if written.headers > 0 {
                        let mut headers = OwnedHeaders::new_with_capacity(written.headers);
                        for _ in 0..written.headers {
                            headers = headers.insert(Header { key: "a-header-of-some", value: Some(&filler[..16]) });
                        }
                        record = record.headers(headers);
                    }
                    producer.send(record).map_err(|(error, _)| error).expect("a record is taken");
                }
            }
        }
        drain(&producer);
        let mut offsets = TopicPartitionList::new();
        for ((input, partition), next) in next {
            offsets.add_partition_offset(topics[input], partition, Offset::Offset(next)).expect("a number");
        }
        let group = consumer.group_metadata().expect("a member of the group");
        producer.send_offsets_to_transaction(&offsets, &group, Duration::from_secs(10)).expect("offsets are taken");
        producer.commit_transaction(Timeout::Never).expect("a transaction commits");
        took.push(began.elapsed().as_secs_f64() * 1e3);
        done += batch.len();
    }
    let seconds = started.expect("something was read").elapsed().as_secs_f64();
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took[((took.len() - 1) as f64 * share).round() as usize];
    Result { seconds, transactions: took.len(), p50_ms: at(0.5), p99_ms: at(0.99) }
}
