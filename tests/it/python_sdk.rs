//! The SDK for Python on the real broker with real workers: what its section in `docs/agents.md` promises, from a task to
//! its completion. Its agent is `sdk/python/moody_agent.py`.

use super::python_agent::python;
use super::sdk::{self, Bench, SOON};
use super::support::{Gate, Partitioner, Send, Sender, encode, until};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn bench(name: &str, toml: &str) -> Bench {
    Bench::new(name, toml, || {
        let mut command = Command::new(python());
        command.arg("-Wignore").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk/python/moody_agent.py"));
        command.env("CONCURRENCY", "1");
        command.env("CLIENT", r#"{"session.timeout.ms": 6000, "max.poll.interval.ms": 6000}"#);
        command
    })
}

#[test]
fn an_agent_in_python_registers_works_and_says_how_its_work_ended() {
    sdk::it_registers_works_and_says_how_its_work_ended(&bench("pysdk-well", ""));
}

#[test]
fn withdrawn_work_in_python_hears_of_it_and_is_not_reported() {
    sdk::withdrawn_work_hears_of_it_and_is_not_reported(&bench(
        "pysdk-withdrawn",
        "[workflow]\nassignment_timeout = \"3s\"",
    ));
}

#[test]
fn a_killed_python_agents_work_comes_again_and_a_stopped_ones_is_finished() {
    sdk::killed_its_work_comes_again_and_stopped_it_finishes(&bench("pysdk-drain", ""));
}

#[test]
fn what_is_done_before_an_earlier_assignment_is_not_committed_and_what_cannot_be_read_is_passed_over() {
    let bench = bench("pysdk-order", "");
    let mut killed = bench.agent_with("killed.log", &[("CONCURRENCY", "3")]);
    bench.submit(&["one"]); // its assignment shows that the topic and the schema are there
    assert_eq!(bench.completion("one")["outcome"], "SUCCEEDED");
    let topic = bench.scratch.topic("assignments.moody");
    let assignment = |id: &str, input: &str, deadline: i64| {
        let fields = json!({
            "assignmentId": id, "taskId": id, "stepId": "1", "agentName": "Moody", "agentVersion": "1.0.0", "attempt": 1,
            "effectKey": id, "objective": "do it", "input": input, "attemptDeadline": deadline,
        });
        Send::to(&topic).partition(0).bytes(encode(bench.scratch.stack, &format!("{topic}-value"), &fields))
    };
    let year = 1_900_000_000_000;
    Sender::new(bench.scratch.stack, Partitioner::Default).send_all([
        Send::to(&topic).partition(0).bytes("no record of ours"),
        Send::to(&topic).partition(0).bytes([0, 0x7f, 0xff, 0xff, 0xff, 1]),
        assignment("late", "one", 1_000),
        assignment("first", "wait", year),
        assignment("second", "one-two", year),
        assignment("second", "one-two", year),
    ]);
    let done = |task: &str| bench.statuses(task).iter().filter(|status| *status == "SUCCEEDED").count();
    until("both deliveries are answered", SOON, || if done("second") == 2 { Ok(()) } else { Err(killed.log()) });
    killed.says("late is passed over: its deadline was 1970-01-01");
    assert_eq!(killed.log().matches("is passed over").count(), 3, "{}", killed.log());
    let mut begun = killed.begun().split_off(1);
    begun.sort_unstable();
    assert_eq!(begun, ["first", "second"], "a second delivery begins nothing");
    killed.process.kill();
    fs::write(bench.gate(), "").expect("the gate can be opened");
    let next = bench.agent_with("next.log", &[("CONCURRENCY", "3")]);
    until("the first is answered", SOON, || if done("first") == 1 { Ok(()) } else { Err(next.log()) });
    until("the second once more", SOON, || if done("second") == 4 { Ok(()) } else { Err(next.log()) });
    next.ends_in_order();
    let last = bench.agent("last.log");
    bench.submit(&["two"]);
    assert_eq!(bench.completion("two")["outcome"], "SUCCEEDED");
    assert_eq!(last.begun().len(), 1, "now all of them are committed");
    last.ends_in_order();
}

#[test]
fn an_agent_in_python_waits_for_the_registry_and_says_each_reason_once() {
    let bench = bench("pysdk-away", "");
    let (registry, url) = Gate::before(&bench.scratch.stack.registry);
    registry.shut();
    let agent = bench.agent_with("agent.log", &[("REGISTRY", &url)]);
    bench.submit(&["one", "two"]);
    agent.says("a record waits for its schema");
    std::thread::sleep(Duration::from_secs(3)); // time for some more tries
    assert_eq!(agent.begun().len(), 0);
    let log = agent.log();
    let mut reasons: Vec<&str> = log.lines().filter(|line| line.starts_with("a record waits")).collect();
    let said = reasons.len(); // a connection may be refused in two ways
    reasons.sort_unstable();
    reasons.dedup();
    assert!(said == reasons.len() && said <= 2, "{log}");
    registry.open();
    for task in ["one", "two"] {
        assert_eq!(bench.completion(task)["outcome"], "SUCCEEDED");
    }
    agent.ends_in_order();
}
