//! Fencing needs offsets: only the offsets in a transaction, with a member's metadata, keep a worker that has lost its
//! partitions from writing. So every transaction sends them, also where nothing was read.

use super::super::support::{Topic, heavy, until};
use super::audit::audit;
use super::hand::{Hand, assigned, record, take};
use super::{SOON, by_contract, corner, records_in, register, submit, task};
use baton::kafka::Moment;
use baton::worker::{Log as _, Outcome};
use rdkafka::Offset;
use rdkafka::consumer::Consumer as _;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[test]
fn a_transaction_without_offsets_is_refused() {
    let hand = Hand::new("no-offsets", 1);
    let (mut log, offsets) = hand.owner("a");
    let outcome = log.transact(&[record(&hand.state, "k", 10, 0)], &[]);
    assert!(matches!(outcome, Outcome::Aborted { culprit: None, .. }), "{outcome:?}");
    assert_eq!(records_in(&hand.scratch, &hand.state, "read_uncommitted"), 0);
    assert_eq!(log.transact(&[record(&hand.state, "k", 10, 0)], &offsets), Outcome::Committed);
    assert_eq!(records_in(&hand.scratch, &hand.state, "read_committed"), 1);
}

#[test]
fn the_metadata_of_a_member_that_was_replaced_fences_its_transaction() {
    let hand = Hand::new("stale-member", 1);
    let settings = hand.settings("old");
    let (old, stale) = hand.member(&settings);
    hand.claim(&old, &settings);
    let producer = hand.producer(&settings);
    // Unchanged offsets, as of a transaction made of answers and timers.
    let unchanged = hand.offsets(&settings, 0);
    let outcome = producer.transact(&[record(&hand.state, "mine", 10, 0)], &unchanged, &stale, &mut |_| {});
    assert_eq!(outcome, Outcome::Committed, "while it is a member");

    old.unsubscribe();
    let mut new = hand.connect("new");
    let held = assigned(&mut new);
    let (offsets, found) = take(&mut new, &held);
    assert_eq!(found, [(0, "mine".to_owned())]);
    let mut moments = Vec::new();
    let late = [record(&hand.state, "late", 10, 0)];
    let outcome = producer.transact(&late, &unchanged, &stale, &mut |moment| moments.push(moment));
    assert!(matches!(outcome, Outcome::Aborted { culprit: None, .. }), "{outcome:?}");
    assert_eq!(moments, [Moment::Began, Moment::Drained, Moment::Aborted]);
    assert_eq!(new.transact(&[record(&hand.state, "new", 10, 0)], &offsets), Outcome::Committed);
    assert_eq!(records_in(&hand.scratch, &hand.state, "read_committed"), 2, "mine and new, not late");
    until("the offset is the new owner's", SOON, || match hand.committed() {
        Some(Offset::Offset(0)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn a_worker_frozen_past_its_session_and_thawed_writes_neither_records_nor_offsets() {
    let _turn = heavy();
    let scratch = corner("thawed", 2);
    // Nobody reads its topic: what the workers have to write by themselves are the deadlines' ends.
    register(&scratch, &[by_contract("Sleeper", "lead", "mail")]);
    let mut frozen = scratch.worker("frozen").start();
    let mut heir = scratch.worker("heir").start();
    until("each has a partition", SOON, || {
        let held = [&frozen, &heir].map(|worker| worker.metric("baton_partitions"));
        if held == [1.0, 1.0] { Ok(()) } else { Err(format!("{held:?}")) }
    });
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970") + Duration::from_secs(7);
    let tasks = (0..12).map(|number| {
        let mut task = task(&format!("t-{number}"), "lead");
        task["deadline"] = json!(u64::try_from(deadline.as_millis()).expect("it fits"));
        task
    });
    let tasks: Vec<_> = tasks.collect();
    submit(&scratch, &tasks);
    let mut assignments = Topic::open_all(scratch.stack, &[scratch.topic("assignments.sleeper")], SOON);
    assignments.count(tasks.len(), SOON);
    let before = frozen.metric("baton_rebalances_total");
    frozen.freeze();
    // The session ends, the heir has all, the deadlines pass: it ends every task.
    let mut completions = Topic::open(scratch.stack, &scratch.topic("completions"));
    completions.until("all tasks end while one worker is frozen", SOON, |all| {
        all.iter().map(|one| one.text("taskId")).collect::<BTreeSet<_>>().len() == tasks.len()
    });
    // It wakes up with the timers of its tasks overdue.
    frozen.thaw();
    until("the thawed worker is in the group again", SOON, || {
        let now = frozen.metric("baton_rebalances_total");
        if now > before && frozen.metric("baton_partitions") > 0.0 { Ok(()) } else { Err(now.to_string()) }
    });
    let found = audit(&scratch, &["sleeper"]);
    assert_eq!(found.completions.len(), tasks.len());
    assert!(found.completions.values().all(|one| one.text("outcome") == "EXPIRED"));
    assert!(frozen.runs() && heir.runs());
}
