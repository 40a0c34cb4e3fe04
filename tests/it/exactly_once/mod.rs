//! Exactly once, rule by rule, on a real broker: each file holds one rule of the order in which Baton talks to Kafka and
//! fails when that rule is broken; `kills` breaks workers at random and recomputes from the topics that nothing was lost
//! or doubled.

mod abort_returns;
pub(crate) mod audit;
mod calls;
mod drain_before_offsets;
#[path = "../../simulation/kafka/mod.rs"]
mod fake;
mod fake_log;
mod fencing_needs_offsets;
mod group_metadata;
mod hand;
mod indefinite_commit;
mod keys_reach_home;
mod kills;
mod late_report;
mod missing_topic;
mod oversized_record;
mod poison;
mod rebalance_in_the_loop;
mod registry_away;
mod restore_reads_to_the_end;
mod slots;
mod stuck_transaction;
mod timers;

use super::support::agents::{self, definition};
use super::support::{Partitioner, Scratch, Send, Sender};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{Value, json};
use std::time::Duration;

/// For whatever ought to happen at once, on a machine that is busy.
const SOON: Duration = Duration::from_secs(40);

/// A corner with its topics, those of tasks with so many partitions.
fn corner(name: &str, partitions: i32) -> Scratch {
    let scratch = Scratch::new(name);
    prepare(&scratch, partitions);
    scratch
}

fn prepare(scratch: &Scratch, partitions: i32) {
    scratch.baton_with(&format!("[kafka]\npartitions = {partitions}\n"), &["apply"], b"").ok();
}

/// An agent found by contract: it takes what bears one label and makes what bears another.
fn by_contract(name: &str, takes: &str, makes: &str) -> Value {
    let mut agent = definition(name, &format!("makes a {makes} of a {takes}"));
    agent["input"]["contract"] = json!(takes);
    agent["output"]["contract"] = json!(makes);
    agent
}

/// Registers as any client may: a JSON record under the agent's topic name.
fn register(scratch: &Scratch, definitions: &[Value]) {
    let topic = scratch.topic("agents");
    let record = |definition: &Value| {
        let name = definition["agentName"].as_str().expect("an agent has a name").to_ascii_lowercase();
        Send::to(&topic).key(name.replace(' ', "-")).json(definition)
    };
    Sender::new(scratch.stack, Partitioner::Default).send_all(definitions.iter().map(record));
}

/// A task whose input bears the label.
fn task(id: &str, label: &str) -> Value {
    json!({ "taskId": id, "objective": "as the test says", "input": { "id": id }, "inputContract": label })
}

/// Hands tasks in, keyed as librdkafka's clients do by default.
fn submit(scratch: &Scratch, tasks: &[Value]) -> Vec<(i32, i64)> {
    let topic = scratch.topic("tasks");
    let record = |task: &Value| Send::to(&topic).key(task["taskId"].as_str().expect("it has an id")).json(task);
    Sender::new(scratch.stack, Partitioner::Default).send_all(tasks.iter().map(record))
}

/// An agent that echoes its input, as many tasks as there are.
fn echoes() -> agents::Behaviour {
    agents::works(Value::clone)
}

/// How many records a topic holds for readers of this isolation; `read_uncommitted` also sees what was aborted.
fn records_in(scratch: &Scratch, topic: &str, isolation: &str) -> usize {
    let reader: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &scratch.stack.bootstrap)
        .set("group.id", scratch.topic("counter"))
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", isolation)
        .create()
        .expect("a reader is built");
    let metadata = reader.fetch_metadata(Some(topic), SOON).expect("the broker answers");
    let partitions = metadata.topics()[0].partitions().len();
    let mut all = TopicPartitionList::new();
    for partition in 0..i32::try_from(partitions).expect("a topic has few partitions") {
        all.add_partition_offset(topic, partition, Offset::Beginning).expect("it is a valid offset");
    }
    reader.assign(&all).expect("a reader can be assigned");
    let (mut count, mut ended) = (0, 0);
    while ended < partitions {
        match reader.poll(SOON).expect("a record or an end comes") {
            Ok(record) => count += usize::from(record.topic() == topic),
            Err(rdkafka::error::KafkaError::PartitionEOF(_)) => ended += 1,
            Err(error) => panic!("{topic}: {error}"),
        }
    }
    count
}
