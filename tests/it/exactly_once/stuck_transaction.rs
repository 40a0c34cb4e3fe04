//! The open transaction of a dead worker: its name stands beside the offsets, its successor ends it, and nobody waits for
//! the broker to find out.

use super::hand::{Hand, assigned, record, take};
use super::records_in;
use baton::kafka::Moment;
use baton::worker::{Log as _, Outcome};
use rdkafka::consumer::Consumer as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// The transaction's timeout is 10 s and the broker looks every 10 s: without being fenced it stays longer than this.
const BOUND: Duration = Duration::from_secs(5);

/// A worker dies at this moment of its first transaction; how long until its successor has restored.
fn dies_at(name: &str, last: Moment) {
    let hand = Hand::new(name, 2);
    let settings = hand.settings("dead");
    let (member, group) = hand.member(&settings);
    hand.claim(&member, &settings);
    let producer = hand.producer(&settings);
    let died = catch_unwind(AssertUnwindSafe(|| {
        let records = [record(&hand.state, "undecided", 10, 0)];
        producer.transact(&records, &hand.offsets(&settings, 9), &group, &mut |moment| {
            if moment == last {
                resume_unwind(Box::new("killed"));
            }
        })
    }));
    assert!(died.is_err(), "its transaction is open and stays so");
    member.unsubscribe();

    let mut heir = hand.connect("heir");
    let held = assigned(&mut heir);
    let started = Instant::now();
    let (offsets, found) = take(&mut heir, &held);
    let took = started.elapsed();
    assert!(took < BOUND, "restored after {took:?}");
    assert_eq!(found, [], "what was undecided is not");
    assert!(offsets.iter().all(|one| one.next == [0; 3]), "{offsets:?}");
    assert_eq!(heir.transact(&[record(&hand.state, "heir", 10, 0)], &offsets), Outcome::Committed);
    assert_eq!(records_in(&hand.scratch, &hand.state, "read_committed"), 1);
    drop(producer);
}

#[test]
fn a_transaction_left_open_with_offsets_pending_is_fenced_by_the_successor() {
    dies_at("pending", Moment::OffsetsSent);
}

#[test]
fn a_transaction_left_open_with_state_undecided_is_fenced_by_the_successor() {
    dies_at("undecided", Moment::Drained);
}
