//! The embedded broker by itself: what it adds to the state machine it stands on.

use super::super::support::reaper::Kept;
use super::super::support::until;
use super::{SOON, folder};
use baton::embedded::{Broker, EmbeddedError};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn start(data: Option<&Path>) -> Broker {
    Broker::start(any(), data).expect("it starts")
}

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

fn client(broker: &Broker, settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.address().to_string());
    config.set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config
}

fn create(broker: &Broker, topic: &str, partitions: i32) {
    let admin: AdminClient<DefaultClientContext> = client(broker, &[]).create().expect("an admin client");
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let made = runtime.block_on(admin.create_topics([&new], &AdminOptions::new()));
    made.expect("the broker answers").remove(0).expect("the topic is made");
}

fn transactional(broker: &Broker, id: &str, timeout: &str) -> BaseProducer {
    let settings = [("transactional.id", id), ("transaction.timeout.ms", timeout), ("message.timeout.ms", timeout)];
    let producer: BaseProducer = client(broker, &settings).create().expect("a producer");
    producer.init_transactions(SOON).expect("the broker answers");
    producer
}

fn send(producer: &BaseProducer, topic: &str, value: &str) {
    producer.send(BaseRecord::<(), str>::to(topic).partition(0).payload(value)).map_err(|(e, _)| e).expect("queued");
    producer.flush(SOON).expect("delivered");
}

/// What a reader of committed records sees from an offset to the end.
fn read(broker: &Broker, topic: &str, from: i64) -> Vec<String> {
    let settings = [
        ("group.id", "reader"),
        ("isolation.level", "read_committed"),
        ("enable.partition.eof", "true"),
        ("auto.offset.reset", "error"),
    ];
    let consumer: BaseConsumer = client(broker, &settings).create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(from)).expect("an offset");
    consumer.assign(&list).expect("assigned");
    let mut seen = Vec::new();
    let deadline = Instant::now() + SOON;
    while Instant::now() < deadline {
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Ok(message)) => seen.push(String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned()),
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => return seen,
            Some(Err(error)) => panic!("{error}"),
        }
    }
    panic!("no end within {SOON:?}: {seen:?}")
}

#[test]
fn what_a_producer_writes_after_an_abort_is_read_from_there_on() {
    let broker = start(None);
    create(&broker, "t", 1);
    let producer = transactional(&broker, "p", "10000");
    for (value, commit) in [("dropped", false), ("kept", true), ("dropped too", false), ("kept too", true)] {
        producer.begin_transaction().unwrap();
        send(&producer, "t", value);
        let ended = if commit { producer.commit_transaction(SOON) } else { producer.abort_transaction(SOON) };
        ended.unwrap();
    }
    assert_eq!(read(&broker, "t", 0), ["kept", "kept too"]);
    assert_eq!(read(&broker, "t", 2), ["kept", "kept too"], "a reader that begins after the first abort");
    assert_eq!(read(&broker, "t", 4), ["kept too"]);
    assert_eq!(read(&broker, "t", 6), ["kept too"]);
}

#[test]
fn a_transaction_past_its_timeout_is_aborted_and_its_producer_fenced() {
    let broker = start(None);
    create(&broker, "t", 1);
    let producer = transactional(&broker, "p", "1000");
    producer.begin_transaction().unwrap();
    send(&producer, "t", "never");
    let other: BaseProducer = client(&broker, &[]).create().unwrap();
    send(&other, "t", "behind it");
    assert!(read(&broker, "t", 0).is_empty(), "it is open yet");
    until("the broker has aborted it", SOON, || match read(&broker, "t", 0) {
        seen if seen == ["behind it"] => Ok(()),
        seen => Err(format!("{seen:?}")),
    });
    assert!(producer.commit_transaction(SOON).is_err());
    assert_eq!(read(&broker, "t", 0), ["behind it"]);
}

#[test]
fn the_successor_of_a_dead_transaction_ends_it_also_after_a_restart_of_the_broker() {
    let data = folder();
    let broker = start(Some(data.path()));
    create(&broker, "t", 1);
    let dead = transactional(&broker, "p", "60000");
    dead.begin_transaction().unwrap();
    send(&dead, "t", "never");
    broker.stop().unwrap();
    let broker = start(Some(data.path()));
    assert!(read(&broker, "t", 0).is_empty());
    let other: BaseProducer = client(&broker, &[]).create().unwrap();
    send(&other, "t", "behind it");
    assert!(read(&broker, "t", 0).is_empty(), "what was open is open still");
    let successor = transactional(&broker, "p", "60000");
    assert_eq!(read(&broker, "t", 0), ["behind it"]);
    successor.begin_transaction().unwrap();
    send(&successor, "t", "its own");
    successor.commit_transaction(SOON).unwrap();
    assert_eq!(read(&broker, "t", 0), ["behind it", "its own"]);
    drop(dead);
}

fn member(broker: &Broker, topic: &str) -> BaseConsumer {
    member_of(broker, topic, &[])
}

fn member_of(broker: &Broker, topic: &str, more: &[(&str, &str)]) -> BaseConsumer {
    let settings = [
        ("group.id", "g"),
        ("auto.offset.reset", "earliest"),
        ("enable.auto.commit", "false"),
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "500"),
        ("partition.assignment.strategy", "range"),
    ];
    let settings = [&settings[..], more].concat();
    let consumer: BaseConsumer = client(broker, &settings).create().expect("a consumer");
    consumer.subscribe(&[topic]).expect("subscribed");
    consumer
}

fn owns(consumers: &[&BaseConsumer], counts: &[usize]) {
    until(&format!("partitions are {counts:?}"), SOON, || {
        for consumer in consumers {
            drop(consumer.poll(Duration::from_millis(10)));
        }
        let found: Vec<usize> = consumers.iter().map(|one| one.assignment().map_or(0, |list| list.count())).collect();
        if found == counts { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

#[test]
fn members_come_and_go_and_a_silent_one_is_put_out() {
    let broker = start(None);
    create(&broker, "t", 6);
    let first = member(&broker, "t");
    owns(&[&first], &[6]);
    let second = member(&broker, "t");
    owns(&[&first, &second], &[3, 3]);
    drop(second);
    owns(&[&first], &[6]);
    for _ in 0..3 {
        let another = member(&broker, "t");
        owns(&[&first, &another], &[3, 3]);
        drop(another);
        owns(&[&first], &[6]);
    }
    // One that is gone without a word.
    let dir = folder();
    let mut kcat = Command::new("kcat");
    kcat.args(["-b", &broker.address().to_string(), "-G", "g", "-X", "session.timeout.ms=6000"]);
    kcat.args(["-X", "partition.assignment.strategy=range", "t"]);
    let mut silent = Kept::spawn(&kcat, &dir.path().join("kcat.log"));
    owns(&[&first], &[3]);
    silent.kill();
    owns(&[&first], &[6]);
}

#[test]
fn a_static_member_keeps_its_place_until_its_session_is_over() {
    let broker = start(None);
    create(&broker, "t", 6);
    let first = member_of(&broker, "t", &[("group.instance.id", "one")]);
    owns(&[&first], &[6]);
    let second = member_of(&broker, "t", &[("group.instance.id", "two")]);
    owns(&[&first, &second], &[3, 3]);
    drop(second);
    let second = member_of(&broker, "t", &[("group.instance.id", "two")]);
    owns(&[&first, &second], &[3, 3]);
    drop(second);
    owns(&[&first], &[6]);
    let third = member(&broker, "t");
    owns(&[&first, &third], &[3, 3]);
}

#[test]
fn while_a_round_gathers_the_members_of_the_last_one_may_commit() {
    let broker = start(None);
    create(&broker, "t", 2);
    let first = member(&broker, "t");
    owns(&[&first], &[2]);
    let second = member(&broker, "t");
    // The first one is not polled and so does not give its partitions back.
    until("the round gathers", SOON, || {
        drop(second.poll(Duration::from_millis(10)));
        let groups = second.fetch_group_list(Some("g"), SOON).map_err(|error| error.to_string())?;
        match groups.groups()[0].state() {
            "PreparingRebalance" => Ok(()),
            other => Err(other.to_owned()),
        }
    });
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("t", 0, Offset::Offset(1)).unwrap();
    let producer = transactional(&broker, "p", "10000");
    producer.begin_transaction().unwrap();
    producer.send_offsets_to_transaction(&list, &first.group_metadata().unwrap(), SOON).unwrap();
    producer.commit_transaction(SOON).unwrap();
    first.commit(&list, CommitMode::Sync).unwrap();
    owns(&[&first, &second], &[1, 1]);
}

#[test]
fn offsets_of_a_member_that_is_one_no_more_are_refused_in_a_transaction() {
    let broker = start(None);
    create(&broker, "t", 2);
    let first = member(&broker, "t");
    owns(&[&first], &[2]);
    let stale = first.group_metadata().expect("it is a member");
    let second = member(&broker, "t");
    owns(&[&first, &second], &[1, 1]);
    let producer = transactional(&broker, "p", "10000");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("t", 0, Offset::Offset(1)).unwrap();
    producer.begin_transaction().unwrap();
    assert!(producer.send_offsets_to_transaction(&list, &stale, SOON).is_err());
    producer.abort_transaction(SOON).unwrap();
    producer.begin_transaction().unwrap();
    producer.send_offsets_to_transaction(&list, &first.group_metadata().unwrap(), SOON).unwrap();
    // Undecided: who asks for decided offsets is not told.
    let asked = first.committed_offsets(list.clone(), Duration::from_millis(500));
    assert!(asked.is_err(), "{asked:?}");
    producer.commit_transaction(SOON).unwrap();
    let found = first.committed_offsets(list, SOON).unwrap();
    assert_eq!(found.elements()[0].offset(), Offset::Offset(1));
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart_and_half_a_write_is_not() {
    let data = folder();
    let broker = start(Some(data.path()));
    create(&broker, "t", 1);
    let producer: BaseProducer = client(&broker, &[("enable.idempotence", "true")]).create().unwrap();
    for number in 0..100 {
        send(&producer, "t", &number.to_string());
    }
    let consumer = member(&broker, "t");
    owns(&[&consumer], &[1]);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("t", 0, Offset::Offset(42)).unwrap();
    consumer.commit(&list, CommitMode::Sync).unwrap();
    drop(consumer);
    let other = Broker::start(any(), Some(data.path()));
    assert!(matches!(other, Err(EmbeddedError::InUse(_))), "{other:?}");
    broker.stop().unwrap();

    let journal = data.path().join("broker.journal");
    let mut bytes = std::fs::read(&journal).unwrap();
    let whole = bytes.len();
    bytes.extend_from_slice(&[0, 0, 1, 0, 0, 0, 0, 9, 1, 2, 3]);
    std::fs::write(&journal, bytes).unwrap();
    let broker = start(Some(data.path()));
    assert_eq!(broker.kept(), whole as u64);
    let all = read(&broker, "t", 0);
    assert_eq!((all.len(), all[99].as_str()), (100, "99"));
    let consumer = member(&broker, "t");
    let found = consumer.committed_offsets(list, SOON).unwrap();
    assert_eq!(found.elements()[0].offset(), Offset::Offset(42));
    drop(consumer);
    broker.stop().unwrap();

    std::fs::write(&journal, "something else entirely, and longer than that").unwrap();
    let damaged = Broker::start(any(), Some(data.path()));
    assert!(matches!(damaged, Err(EmbeddedError::Damaged { .. })), "{damaged:?}");
}

#[test]
fn a_topic_nobody_made_is_not_there_and_a_stranger_is_sent_away() {
    use std::io::{Read as _, Write as _};
    let broker = start(None);
    let producer: BaseProducer = client(&broker, &[]).create().unwrap();
    let found = producer.client().fetch_metadata(Some("typo"), SOON).unwrap();
    assert!(found.topics()[0].error().is_some());
    let mut stream = std::net::TcpStream::connect(broker.address()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert_eq!(stream.read(&mut [0; 16]).unwrap_or(0), 0, "closed without a word");
}
