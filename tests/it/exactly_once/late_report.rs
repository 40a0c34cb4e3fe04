//! A finished workflow is not resurrected by a late report: neither from memory nor from the receipt that is restored.

use super::super::support::agents::{Agents, Behaviour, Say};
use super::super::support::{Partitioner, Send, Sender, Topic, heavy, until};
use super::audit::audit;
use super::{SOON, by_contract, corner, register, submit, task};
use serde_json::json;

#[test]
fn a_report_after_the_end_changes_nothing_before_and_after_a_restart() {
    let _turn = heavy();
    let scratch = corner("late-report", 1);
    register(&scratch, &[by_contract("Echo", "lead", "mail")]);
    let mut worker = scratch.worker("a").start();
    let twice: Behaviour = Box::new(|_| vec![Say::succeeded(json!({ "n": 1 })), Say::succeeded(json!({ "n": 2 }))]);
    let agents = Agents::start(&scratch, vec![("Echo", twice)]);
    submit(&scratch, &[task("t", "lead")]);
    let mut completions = Topic::open(scratch.stack, &scratch.topic("completions"));
    completions.count(1, SOON);
    let stale = "baton_inputs_total{topic=\"agent-status\",outcome=\"stale\"}";
    until("the second report is taken", SOON, || match worker.metric(stale) {
        1.0 => Ok(()),
        other => Err(other.to_string()),
    });
    let history = audit(&scratch, &["echo"]);
    let assignment = agents.stop()[0].clone();

    worker.kill9();
    let worker = scratch.worker("a").start();
    let sender = Sender::new(scratch.stack, Partitioner::Murmur2);
    for status in ["SUCCEEDED", "FAILED", "DECLINED", "PROGRESS", "ACCEPTED"] {
        let mut late = json!({ "status": status, "output": { "n": 3 } });
        for field in ["taskId", "assignmentId", "agentName"] {
            late[field] = assignment.value[field].clone();
        }
        sender.send(Send::to(&scratch.topic("agent-status")).key("t").json(&late));
    }
    until("all five are taken", SOON, || match worker.metric(stale) {
        5.0 => Ok(()),
        other => Err(other.to_string()),
    });
    let found = audit(&scratch, &["echo"]);
    assert_eq!((found.facts, found.assignments), (history.facts, 1));
    assert_eq!(found.completions["t"].text("result"), "{\"n\":1}");
    assert_eq!(found.dead_letters.len(), 0, "late is not impossible");
}
