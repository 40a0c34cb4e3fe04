//! After a commit whose outcome is not known: a new producer, everything read anew, and on it goes; too often within a
//! minute, and the process ends and says so.

use super::super::support::agents::Agents;
use super::super::support::{Partitioner, Scratch, Sender, Topic, heavy, until};
use super::audit::audit;
use super::{SOON, by_contract, corner, echoes, register, submit, task};
use rdkafka::producer::Producer as _;
use std::time::Duration;

/// Takes the worker's transactional id: whatever it does next is refused, and it cannot know why.
fn fence(scratch: &Scratch, slot: &str) {
    let id = scratch.topic(&format!("orchestrator.{slot}"));
    let other =
        Sender::configured(&scratch.stack.bootstrap, Partitioner::Default, &[("transactional.id", id.as_str())]);
    other.client().init_transactions(SOON).expect("the broker is there");
}

#[test]
fn a_fenced_producer_is_rebuilt_and_the_fourth_time_within_a_minute_the_process_ends() {
    let _turn = heavy();
    let scratch = corner("fenced", 1);
    register(&scratch, &[by_contract("Echo", "lead", "mail")]);
    let mut worker = scratch.worker("a").start();
    let agents = Agents::start(&scratch, vec![("Echo", echoes())]);
    let mut completions = Topic::open(scratch.stack, &scratch.topic("completions"));
    let mut done = Vec::new();
    for time in 1..=3_u8 {
        fence(&scratch, "a");
        submit(&scratch, &[task(&format!("t-{time}"), "lead")]);
        until(&format!("task {time} is done after a fencing"), SOON, || {
            done.extend(completions.take(Duration::from_millis(20)));
            let accepted =
                |topic| worker.metric(&format!("baton_inputs_total{{topic=\"{topic}\",outcome=\"accepted\"}}"));
            match done.len() {
                all if all >= usize::from(time) => Ok(()),
                all => Err(format!(
                    "{all} done, {} tasks and {} reports accepted, {} live, {} partitions, {} aborted, {} unknown",
                    accepted("tasks"),
                    accepted("agent-status"),
                    worker.metric("baton_live_workflows"),
                    worker.metric("baton_partitions"),
                    worker.metric("baton_transactions_aborted_total"),
                    worker.metric("baton_transactions_unknown_total"),
                )),
            }
        });
        until("it has a new producer", SOON, || match worker.metric("baton_producers_rebuilt_total") {
            rebuilt if rebuilt >= f64::from(time) => Ok(()),
            rebuilt => Err(rebuilt.to_string()),
        });
    }
    fence(&scratch, "a");
    submit(&scratch, &[task("t-4", "lead")]);
    worker.ends_with(1, SOON);
    assert!(worker.log().contains("fenced and rebuilt 3 times within a minute"), "it says why it ends");
    // What it could not finish is finished by the next.
    let _next = scratch.worker("a").start();
    completions.count(4 - done.len(), SOON);
    agents.stop();
    let found = audit(&scratch, &["echo"]);
    assert_eq!(found.completions.len(), 4);
    assert!(found.completions.values().all(|one| one.text("outcome") == "SUCCEEDED"));
}
