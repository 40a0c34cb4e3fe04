//! An oversized record aborts its transaction, and every transaction it is in: the batch is split until it stands alone,
//! it is given up by name, and all the others go on.

use super::super::support::agents::Agents;
use super::super::support::{Topic, heavy};
use super::audit::audit;
use super::{SOON, by_contract, corner, echoes, register, submit, task};
use serde_json::json;

#[test]
fn the_culprit_is_named_and_the_batch_goes_on_without_it() {
    let _turn = heavy();
    let scratch = corner("culprit", 1);
    // The broker takes less here than Baton has reason to think.
    scratch.create("assignments.echo", 1, &[("max.message.bytes", "4000")]);
    register(&scratch, &[by_contract("Echo", "lead", "mail")]);
    let mut worker = scratch.worker("a").start();
    let agents = Agents::start(&scratch, vec![("Echo", echoes())]);
    let mut tasks: Vec<_> = (0..20).map(|n| task(&format!("t-{n}"), "lead")).collect();
    tasks[7]["input"] = json!({ "text": "x".repeat(20_000) });
    let places = submit(&scratch, &tasks);
    let mut completions = Topic::open(scratch.stack, &scratch.topic("completions"));
    completions.count(tasks.len(), SOON);
    agents.stop();
    let found = audit(&scratch, &["echo"]);
    for (number, task) in tasks.iter().enumerate() {
        let completion = &found.completions[task["taskId"].as_str().expect("it has an id")];
        let wanted = if number == 7 { "REJECTED" } else { "SUCCEEDED" };
        assert_eq!(completion.text("outcome"), wanted, "{:?}", completion.value);
    }
    let [dead] = &found.dead_letters[..] else { panic!("one dead letter: {:?}", found.dead_letters) };
    assert_eq!((dead.key.as_deref(), dead.header("baton.reason")), (Some("t-7"), "INTERNAL"));
    assert_eq!(dead.header("__streams.errors.offset"), places[7].1.to_string());
    assert!(worker.metric("baton_transactions_aborted_total") >= 3.0);
    assert_eq!(worker.metric("baton_transactions_unknown_total"), 0.0);
    assert!(worker.runs());
}
