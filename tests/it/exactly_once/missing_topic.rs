//! A missing assignment topic never blocks: an agent is eligible once its topic is in the worker's metadata, so nothing is
//! ever produced to one that is not there.

use super::super::support::agents::Agents;
use super::super::support::{Topic, heavy, until};
use super::audit::audit;
use super::{SOON, by_contract, corner, echoes, register, submit, task};
use serde_json::json;
use std::time::{Duration, Instant};

/// Producing to a missing topic blocks for 16 s.
const BLOCKED: Duration = Duration::from_secs(12);

#[test]
fn an_agent_whose_topic_is_missing_waits_and_nobody_waits_for_it() {
    let _turn = heavy();
    let scratch = corner("no-topic", 1);
    // Of the two, one has its topic; a single broker cannot make one of three replicas.
    scratch.create("assignments.here", 1, &[]);
    register(&scratch, &[by_contract("Here", "lead", "mail"), by_contract("Nowhere", "lead", "mail")]);
    let mut worker = scratch.worker("a").toml("[kafka]\nreplication_factor = 3\n").start();
    let here = Agents::start(&scratch, vec![("Here", echoes())]);
    let mut waits = task("waits", "lead");
    waits["agents"] = json!(["Nowhere"]);
    let started = Instant::now();
    submit(&scratch, &[waits]);
    submit(&scratch, &[task("goes", "lead")]);
    let mut completions = Topic::open(scratch.stack, &scratch.topic("completions"));
    let first = completions.count(1, SOON)[0].clone();
    assert!(started.elapsed() < BLOCKED, "{:?}", started.elapsed());
    assert_eq!((first.text("taskId"), first.text("outcome")), ("goes", "SUCCEEDED"));
    let mut decisions = Topic::open(scratch.stack, &scratch.topic("routing-decisions"));
    let decided = decisions.find("the decision", SOON, |one| one.text("taskId") == "goes");
    let nowhere =
        decided.value["candidates"].as_array().and_then(|all| all.iter().find(|one| one["agentName"] == "Nowhere"));
    assert!(nowhere.is_some_and(|one| one["excluded"].to_string().contains("topic")), "{:?}", decided.value);
    assert_eq!(worker.metric("baton_transactions_aborted_total"), 0.0);

    scratch.create("assignments.nowhere", 1, &[]);
    let nowhere = Agents::start(&scratch, vec![("Nowhere", echoes())]);
    completions.count(2, SOON);
    until("both are eligible", SOON, || match worker.metric("baton_agents_eligible") {
        2.0 => Ok(()),
        other => Err(other.to_string()),
    });
    drop((here, nowhere));
    let found = audit(&scratch, &["here", "nowhere"]);
    assert_eq!(found.completions["waits"].text("outcome"), "SUCCEEDED");
    assert!(worker.runs());
}
