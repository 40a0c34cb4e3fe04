//! Slots: a worker's name is its place in the group. Back within the session, nobody else notices; two of one name, one
//! ends; told to leave, its partitions are free at once.

use super::super::support::{Worker, heavy, until};
use super::{SOON, corner};
use std::time::{Duration, Instant};

#[track_caller]
fn hold(workers: &[&Worker], wanted: &[f64]) {
    until("the partitions are spread", SOON, || {
        let held: Vec<f64> = workers.iter().map(|worker| worker.metric("baton_partitions")).collect();
        if held == wanted { Ok(()) } else { Err(format!("{held:?}")) }
    });
}

#[test]
fn the_same_slot_is_back_without_a_rebalance_elsewhere() {
    let _turn = heavy();
    let scratch = corner("back", 2);
    let mut gone = scratch.worker("gone").start();
    let stays = scratch.worker("stays").start();
    hold(&[&gone, &stays], &[1.0, 1.0]);
    let rebalances = stays.metric("baton_rebalances_total");
    gone.kill9();
    let back = scratch.worker("gone").start();
    hold(&[&back, &stays], &[1.0, 1.0]);
    assert_eq!(stays.metric("baton_rebalances_total"), rebalances);
    assert_eq!(stays.metric("baton_producers_rebuilt_total"), 0.0, "nobody fenced it");
}

#[test]
fn of_two_workers_of_one_slot_one_ends_and_names_it() {
    let _turn = heavy();
    let scratch = corner("taken", 1);
    let mut older = scratch.worker("twin").start();
    let mut newer = scratch.worker("twin").start();
    until("one of them ends", SOON, || match (older.runs(), newer.runs()) {
        (true, true) => Err("both run".to_owned()),
        _ => Ok(()),
    });
    let ended = if older.runs() { &mut newer } else { &mut older };
    ended.ends_with(1, Duration::ZERO);
    assert!(ended.log().contains("\"twin\""), "it says which slot");
    assert!(older.runs() || newer.runs(), "the other goes on");
}

#[test]
fn an_interrupted_worker_frees_its_partitions_at_once() {
    let _turn = heavy();
    let scratch = corner("leaves", 2);
    let mut leaves = scratch.worker("leaves").start();
    let heir = scratch.worker("heir").start();
    hold(&[&leaves, &heir], &[1.0, 1.0]);
    let started = Instant::now();
    leaves.interrupt();
    hold(&[&heir], &[2.0]);
    // Its session would last six seconds more.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    leaves.ends_with(0, SOON);
}
