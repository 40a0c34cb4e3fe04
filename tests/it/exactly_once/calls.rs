//! Calls to an LLM stand outside: no transaction is open during one, and an answer that comes after its partition was
//! given up is dropped.

use super::super::support::agents::{Agents, definition};
use super::super::support::llm::{Llm, Reply};
use super::super::support::{Record, Topic, heavy, until};
use super::audit::audit;
use super::hand::{member, settings};
use super::{SOON, by_contract, corner, echoes, register, submit, task};
use rdkafka::consumer::Consumer as _;
use serde_json::{Value, json};

/// Two agents that only an LLM tells apart.
fn alike() -> [Value; 2] {
    ["One", "Other"].map(|name| definition(name, "does whatever is asked"))
}

fn tells(record: &Record, fact: &str) -> bool {
    record.value["facts"].as_array().is_some_and(|facts| facts.iter().any(|one| one["type"] == fact))
}

fn asks(id: &str) -> Value {
    json!({ "taskId": id, "objective": "do whatever is asked" })
}

#[test]
fn no_transaction_is_open_while_a_call_hangs() {
    let _turn = heavy();
    let scratch = corner("hangs", 1);
    register(&scratch, &[alike().as_slice(), &[by_contract("Echo", "lead", "mail")]].concat());
    let llm = Llm::replies([Reply::Hang]);
    let toml = format!("{}[llm]\nbudget = \"20s\"\n[routing]\nllm = \"ambiguous\"\n", llm.toml());
    let _worker = scratch.worker("a").toml(&toml).start();
    let agents = Agents::start(&scratch, vec![("Echo", echoes())]);
    submit(&scratch, &[asks("hangs")]);
    until("the LLM is asked", SOON, || if llm.asked().is_empty() { Err("not yet".into()) } else { Ok(()) });
    // On the same partition, one transaction after the other, while that call hangs.
    let mut facts = Topic::open(scratch.stack, &scratch.topic("task-events"));
    for number in 0..3 {
        let id = format!("t-{number}");
        submit(&scratch, &[task(&id, "lead")]);
        facts.find("another task goes on", SOON, |one| one.text("taskId") == id && tells(one, "STEP_SUCCEEDED"));
    }
    facts.find("that it asks is durable", SOON, |one| one.text("taskId") == "hangs" && tells(one, "AGENT_ASKED"));
    let decided = facts.settle().iter().any(|one| one.text("taskId") == "hangs" && tells(one, "AGENT_CHOSEN"));
    assert!(!decided, "the call still hangs: the rest did not wait for it");
    agents.stop();
}

#[test]
fn an_answer_after_the_partition_was_given_up_decides_nothing() {
    let _turn = heavy();
    let scratch = corner("late-answer", 2);
    register(&scratch, &alike());
    // Nobody is ever answered: after its budget each question comes back to be decided without.
    let llm = Llm::replies([Reply::Hang]);
    let toml = format!("{}[llm]\nbudget = \"10s\"\n", llm.toml());
    let worker = scratch.worker("a").toml(&toml).start();
    let tasks: Vec<_> = (0..8).map(|n| asks(&format!("t-{n}"))).collect();
    submit(&scratch, &tasks);
    let mut facts = Topic::open(scratch.stack, &scratch.topic("task-events"));
    facts.until("every question is asked", SOON, |all| {
        all.iter().filter(|one| tells(one, "AGENT_ASKED")).count() == tasks.len()
    });
    // While the calls hang one of the two partitions goes to somebody who does nothing with it.
    let thief = member(&settings(&scratch, "thief"));
    let stolen = thief.assignment().expect("it is a member").elements()[0].partition();
    let mut decisions = Topic::open(scratch.stack, &scratch.topic("routing-decisions"));
    assert_eq!(decisions.settle().len(), 0, "the calls hang for longer");
    let kept = facts.records().iter().filter(|one| tells(one, "AGENT_ASKED") && one.partition != stolen).count();
    assert!(0 < kept && kept < tasks.len(), "both partitions have tasks");
    // All were asked at one time, so all come back at one time.
    decisions.count(kept, SOON);
    let decided = decisions.settle();
    assert!(decided.iter().all(|one| one.partition != stolen), "an answer for a partition that was given up");
    assert_eq!(decided.len(), kept);
    drop(thief);
    decisions.count(tasks.len(), SOON);
    let found = audit(&scratch, &["one", "other"]);
    assert_eq!(found.decisions, tasks.len());
    assert!(!worker.log().contains("cannot follow from anything done"), "{}", worker.log());
    assert_eq!(worker.metric("baton_transactions_aborted_total"), 0.0);
}
