//! A restore's end is the end of all records, decided or not: a client that reads committed records only stops at the
//! first open transaction, and what lies behind it would be missing.

use super::super::support::agents::{Agents, Say, always};
use super::super::support::{Partitioner, Scratch, Send, Sender, Topic, get, heavy, until};
use super::audit::audit;
use super::hand::{Hand, assigned, record, take};
use super::{SOON, by_contract, corner, register, submit, task};
use baton::worker::{Log as _, Outcome};
use rdkafka::producer::Producer as _;
use serde_json::json;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Somebody else's transaction, open on partition 0 of `task-state`.
fn open_transaction(scratch: &Scratch, state: &str) -> Sender {
    let id = scratch.topic("somebody-else");
    let settings = [("transactional.id", id.as_str()), ("transaction.timeout.ms", "60000")];
    let foreign = Sender::configured(&scratch.stack.bootstrap, Partitioner::Default, &settings);
    foreign.client().init_transactions(SOON).expect("the broker is there");
    foreign.client().begin_transaction().expect("it is not in one");
    foreign.send(Send::to(state).key("foreign").bytes("x").partition(0));
    foreign
}

#[test]
fn what_lies_behind_an_open_transaction_is_restored() {
    let hand = Hand::new("behind", 1);
    let (mut log, offsets) = hand.owner("a");
    assert_eq!(log.transact(&[record(&hand.state, "before", 10, 0)], &offsets), Outcome::Committed);
    let foreign = open_transaction(&hand.scratch, &hand.state);
    assert_eq!(log.transact(&[record(&hand.state, "behind", 10, 0)], &offsets), Outcome::Committed);
    log.close(true);
    drop(log);

    let mut heir = hand.connect("b");
    let held = assigned(&mut heir);
    let (sent, restored) = channel();
    let restoring = std::thread::spawn(move || {
        let (_, found) = take(&mut heir, &held);
        sent.send(found).expect("the test waits");
    });
    let early = restored.recv_timeout(Duration::from_secs(1));
    assert_eq!(early, Err(RecvTimeoutError::Timeout), "nobody knows yet what the open transaction hides");
    foreign.client().abort_transaction(SOON).expect("it is open");
    let found = restored.recv_timeout(SOON).expect("it goes on once all is decided");
    assert_eq!(found, [(0, "before".to_owned()), (0, "behind".to_owned())]);
    restoring.join().expect("it has ended");
}

#[test]
fn a_task_behind_an_open_transaction_goes_on_after_a_restart() {
    let _turn = heavy();
    let scratch = corner("restart", 1);
    register(&scratch, &[by_contract("Echo", "lead", "mail")]);
    let mut worker = scratch.worker("a").start();
    let foreign = open_transaction(&scratch, &scratch.topic("task-state"));
    submit(&scratch, &[task("t", "lead")]);
    let mut assignments = Topic::open_all(scratch.stack, &[scratch.topic("assignments.echo")], SOON);
    assignments.count(1, SOON);
    worker.kill9();
    // The report is there when the worker comes back: without the task's state it would be of a task not known.
    let agents = Agents::start(&scratch, vec![("Echo", always(Say::succeeded(json!({ "id": "t" }))))]);
    Topic::open(scratch.stack, &scratch.topic("agent-status")).count(1, SOON);
    let worker = scratch.worker("a").spawn();
    let mut waits_since = None;
    until("it waits for the open transaction", SOON, || match get(&worker.url("/readyz")) {
        Ok((503, body)) if body.contains("restoring") => {
            let waits = waits_since.get_or_insert_with(Instant::now).elapsed();
            if waits > Duration::from_secs(1) { Ok(()) } else { Err(body) }
        }
        Ok((200, _)) => panic!("it is ready without the task's state"),
        other => Err(format!("{other:?}")),
    });
    foreign.client().abort_transaction(SOON).expect("it is open");
    let mut completions = Topic::open(scratch.stack, &scratch.topic("completions"));
    assert_eq!(completions.count(1, SOON)[0].text("outcome"), "SUCCEEDED");
    agents.stop();
    audit(&scratch, &["echo"]);
}
