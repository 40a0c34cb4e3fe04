//! A poison record becomes a dead letter in the transaction that carries its offset, and the loop goes on.

use super::super::support::agents::Agents;
use super::super::support::{Partitioner, Send, Sender, Topic, heavy};
use super::audit::audit;
use super::{SOON, by_contract, corner, echoes, records_in, register, submit, task};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

#[test]
fn poison_is_set_aside_once_and_what_follows_is_done() {
    let _turn = heavy();
    let scratch = corner("poison", 1);
    register(&scratch, &[by_contract("Echo", "lead", "mail")]);
    let sender = Sender::new(scratch.stack, Partitioner::Default);
    let poison: [&[u8]; 3] = [b"\xff\xfe not Avro", b"{ not JSON", b"\x00\x00"];
    for topic in ["tasks", "agent-status"] {
        sender.send_all(poison.map(|bytes| Send::to(&scratch.topic(topic)).key("k").bytes(bytes).header("h", "kept")));
    }
    submit(&scratch, &[task("t", "lead")]);
    let mut worker = scratch.worker("a").start();
    let agents = Agents::start(&scratch, vec![("Echo", echoes())]);
    let mut completions = Topic::open(scratch.stack, &scratch.topic("completions"));
    completions.find("the task behind the poison", SOON, |one| one.text("taskId") == "t");
    // A restart reads none of it again: the offset went with the dead letter.
    worker.kill9();
    let _again = scratch.worker("a").start();
    submit(&scratch, &[task("u", "lead")]);
    completions.find("the task after the restart", SOON, |one| one.text("taskId") == "u");
    agents.stop();
    let found = audit(&scratch, &["echo"]);
    assert_eq!(found.dead_letters.len(), 6);
    for (dead, bytes) in found.dead_letters.iter().zip(poison.iter().cycle()) {
        assert_eq!(dead.raw.as_deref(), Some(*bytes), "as it came");
        assert_eq!((dead.key.as_deref(), dead.header("h")), (Some("k"), "kept"));
        assert_eq!(dead.header("baton.reason"), "UNDECODABLE");
    }
    // A record outside any transaction is followed by no marker: the end would be the number of records.
    for topic in ["tasks.dlq", "agent-status.dlq"] {
        let topic = scratch.topic(topic);
        let reader: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &scratch.stack.bootstrap)
            .set("group.id", scratch.topic("ends"))
            .create()
            .expect("a reader is built");
        let (_, end) = reader.fetch_watermarks(&topic, 0, SOON).expect("the topic is there");
        let records = records_in(&scratch, &topic, "read_committed");
        assert!(end > i64::try_from(records).expect("it is small"), "{topic}: {records} records, end {end}");
    }
}
