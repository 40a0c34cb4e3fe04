//! Too many dead letters: said once, shown while it lasts, and no reason to take a worker out of service.

use super::super::support::{Scratch, Send, Sender, until};
use super::*;

#[test]
fn a_worker_says_once_that_too_many_inputs_are_dead_letters_and_once_that_they_are_few_again() {
    let scratch = Scratch::new("alert");
    scratch.apply();
    let mut worker = scratch.worker("w").toml("[worker]\ndead_letter_ratio = 0.5").start();
    let sender = Sender::new(scratch.stack, Partitioner::Default);
    let bad = |count: usize| {
        let tasks = scratch.topic("tasks");
        sender.send_all((0..count).map(|_| Send::to(&tasks).bytes("{\"objectiv")));
    };
    let counted = |bad: f64| {
        let inputs = "baton_inputs_total{topic=\"tasks\",outcome=\"dead\"}";
        until(&format!("{bad} dead letters are counted"), SOON, || match worker.metric(inputs) {
            seen if seen == bad => Ok(()),
            seen => Err(seen.to_string()),
        });
    };
    let shown = || (worker.metric("baton_dead_letter_ratio"), worker.metric("baton_dead_letters_over_ratio"));
    let said = |words: &str| worker.log().matches(words).count();
    let (over, within) = ("too many inputs are dead letters", "dead letters are few again");

    bad(19);
    counted(19.0);
    assert_eq!((shown(), said(over)), ((1.0, 0.0), 0), "19 are no trend");
    bad(11);
    counted(30.0);
    assert_eq!((shown(), said(over), said(within)), ((1.0, 1.0), 1, 0));
    assert!(worker.log().contains("WARN"), "{}", worker.log());

    // Nobody is there to do them: they are taken, and wait.
    let task = |n: usize| json!({ "taskId": format!("good-{n}"), "objective": "do it" });
    submit(&scratch, &(0..100).map(task).collect::<Vec<_>>());
    until("they are few again", SOON, || match shown() {
        (share, 0.0) => Ok(share),
        seen => Err(format!("{seen:?}")),
    });
    assert_eq!((said(over), said(within)), (1, 1));
    worker.ready(SOON);
}
