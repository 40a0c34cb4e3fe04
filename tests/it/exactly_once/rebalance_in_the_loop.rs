//! A rebalance is answered in the loop: the callback only records it, so that a transaction under way is finished with
//! the partitions still held, and given up only after its commit.

use super::super::support::agents::Agents;
use super::super::support::{Topic, heavy, until};
use super::audit::audit;
use super::hand::{Hand, assigned, further, record};
use super::{SOON, by_contract, corner, echoes, records_in, register, submit, task};
use baton::worker::{Log as _, Outcome, Rebalance};
use std::sync::mpsc::channel;

#[test]
fn a_transaction_commits_while_the_group_waits_for_the_answer() {
    let hand = Hand::new("answered", 2);
    let (mut log, offsets) = hand.owner("a");
    let mut other = hand.connect("b");
    until("the group asks for the partitions back", SOON, || {
        other.poll(0, &mut Vec::new()).map_err(|e| e.to_string())?;
        log.poll(0, &mut Vec::new()).map_err(|e| e.to_string())?;
        if log.rebalance_is_pending() { Ok(()) } else { Err("not yet".into()) }
    });
    // Polled again and again, the group still has no answer: it waits for the loop's.
    for _ in 0..20 {
        log.poll(0, &mut Vec::new()).expect("the client goes on");
        other.poll(0, &mut Vec::new()).expect("the client goes on");
    }
    let outcome = log.transact(&[record(&hand.state, "last", 10, 0)], &further(&offsets, 0));
    assert_eq!(outcome, Outcome::Committed);
    assert_eq!(log.rebalance(), Some(Rebalance::Revoked { lost: false }));
    log.release();
    let mut held = vec![];
    until("each has one partition", SOON, || {
        held = vec![];
        for log in [&mut log, &mut other] {
            log.poll(0, &mut Vec::new()).map_err(|e| e.to_string())?;
        }
        match (log.rebalance_is_pending(), other.rebalance_is_pending()) {
            (true, true) => {
                held.extend(assigned(&mut log));
                held.extend(assigned(&mut other));
                Ok(())
            }
            pending => Err(format!("{pending:?}")),
        }
    });
    held.sort_unstable();
    assert_eq!(held, [0, 1]);
    assert_eq!(records_in(&hand.scratch, &hand.state, "read_committed"), 1);
}

#[test]
fn a_worker_that_is_dropped_with_partitions_does_not_wait_for_an_answer() {
    let hand = Hand::new("dropped", 1);
    let (log, _) = hand.owner("a");
    let (sent, dropped) = channel();
    std::thread::spawn(move || {
        drop(log);
        let _ = sent.send(());
    });
    assert_eq!(dropped.recv_timeout(SOON), Ok(()), "as when the loop panics: the process must end");
}

#[test]
fn workers_come_and_go_without_an_abort() {
    let _turn = heavy();
    let scratch = corner("come-and-go", 3);
    register(&scratch, &[by_contract("Echo", "lead", "mail")]);
    let first = scratch.worker("first").start();
    let agents = Agents::start(&scratch, vec![("Echo", echoes())]);
    let mut completions = Topic::open(scratch.stack, &scratch.topic("completions"));
    let mut sent = 0;
    let mut more = |count: usize| {
        let tasks: Vec<_> = (sent..sent + count).map(|n| task(&format!("t-{n}"), "lead")).collect();
        submit(&scratch, &tasks);
        sent += count;
        sent
    };
    more(100);
    let second = scratch.worker("second").start();
    let so_far = more(100);
    completions.count(so_far, SOON);
    second.interrupt();
    let all = more(100);
    completions.count(all, SOON);
    assert_eq!(first.metric("baton_transactions_aborted_total"), 0.0, "{}", first.log());
    assert_eq!(first.metric("baton_transactions_unknown_total"), 0.0);
    assert!(first.metric("baton_rebalances_total") >= 3.0, "assigned, revoked, assigned");
    agents.stop();
    assert_eq!(audit(&scratch, &["echo"]).completions.len(), all);
}
