//! An abort with undelivered records returns: they are purged and polled away first, and the producer is good for the
//! next transaction.

use super::super::support::until;
use super::hand::{Hand, record};
use super::records_in;
use baton::kafka::{LogSettings, TransactionalProducer};
use baton::worker::{Outcome, Outgoing};
use rdkafka::consumer::{BaseConsumer, ConsumerGroupMetadata};
use std::sync::mpsc::channel;
use std::time::Duration;

/// What an abort may take on a busy machine; a hung one takes for ever.
const BOUND: Duration = Duration::from_secs(15);

struct Bench {
    hand: Hand,
    settings: LogSettings,
    _member: BaseConsumer,
    group: ConsumerGroupMetadata,
    producer: TransactionalProducer,
}

impl Bench {
    fn new(name: &str, adjust: impl FnOnce(&mut LogSettings)) -> Self {
        let hand = Hand::new(name, 1);
        let mut settings = hand.settings("a");
        adjust(&mut settings);
        let (member, group) = hand.member(&settings);
        let producer = hand.producer(&settings);
        Self { hand, settings, _member: member, group, producer }
    }

    fn transact(&self, records: &[Outgoing]) -> Outcome {
        self.producer.transact(records, &self.hand.offsets(&self.settings, 0), &self.group, &mut |_| {})
    }

    /// Aborts in time, for whom; and nothing of it is seen while the next transaction commits.
    #[track_caller]
    fn aborts(self, records: Vec<Outgoing>) -> Option<usize> {
        let (sent, returned) = channel();
        std::thread::spawn(move || {
            let outcome = self.transact(&records);
            let _ = sent.send((self, outcome));
        });
        let (this, outcome) = returned.recv_timeout(BOUND).expect("the abort returns");
        let Outcome::Aborted { culprit, reason } = outcome else { panic!("it must abort: {outcome:?}") };
        // As the loop does it: what the client has not yet told of the purged records may abort once more.
        until("the next transaction commits", BOUND, || {
            match this.transact(&[record(&this.hand.state, "next", 10, 0)]) {
                Outcome::Committed => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        assert_eq!(records_in(&this.hand.scratch, &this.hand.state, "read_committed"), 1, "{reason}");
        culprit
    }
}

fn many(topic: &str, count: usize) -> Vec<Outgoing> {
    (0..count).map(|n| record(topic, &n.to_string(), 1_000, n)).collect()
}

#[test]
fn a_record_over_the_brokers_limit_aborts_and_is_named() {
    let bench = Bench::new("oversized", |_| {});
    let small = bench.hand.scratch.create("small", 1, &[("max.message.bytes", "1000")]);
    let mut records = many(&bench.hand.state, 200);
    records.insert(100, record(&small, "large", 5_000, 777));
    assert_eq!(bench.aborts(records), Some(777));
}

#[test]
fn a_record_over_the_clients_limit_aborts_with_everything_before_it_undelivered() {
    let bench = Bench::new("undelivered", |_| {});
    let mut records = many(&bench.hand.state, 20_000);
    records.push(record(&bench.hand.state, "huge", 9 << 20, 777));
    assert_eq!(bench.aborts(records), Some(777));
}

#[test]
fn a_missing_topic_aborts_once_delivery_has_had_its_time() {
    let bench = Bench::new("no-topic", |settings| {
        settings.producer.set("message.timeout.ms", "3000");
    });
    let mut records = many(&bench.hand.state, 200);
    records.push(record(&bench.hand.scratch.topic("nowhere"), "lost", 10, 777));
    bench.aborts(records);
}
