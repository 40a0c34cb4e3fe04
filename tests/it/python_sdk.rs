//! The SDK for Python on the real broker with real workers: what its section in `docs/agents.md` promises, from a task to
//! its completion. Its agent is `sdk/python/moody_agent.py`.

use super::python_agent::python;
use super::support::reaper::{Kept, tail};
use super::support::{Gate, Partitioner, Record, Scratch, Send, Sender, Topic, Worker, encode, read_all, until};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(40);

/// A corner with its topics and a worker.
struct Bench {
    scratch: Scratch,
    worker: Worker,
}

impl Bench {
    fn new(name: &str, toml: &str) -> Self {
        let scratch = Scratch::new(name);
        scratch.apply();
        let worker = scratch.worker("w").toml(toml).start();
        Self { scratch, worker }
    }

    fn gate(&self) -> PathBuf {
        self.scratch.dir().join("gate")
    }

    fn agent(&self, log: &str) -> Agent {
        self.agent_with(log, &self.scratch.stack.registry, 1)
    }

    fn agent_with(&self, log: &str, registry: &str, concurrency: u32) -> Agent {
        let mut command = Command::new(python());
        command.arg("-Wignore").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk/python/moody_agent.py"));
        command.env("GATE", self.gate()).env("CONCURRENCY", concurrency.to_string());
        command.env("BOOTSTRAP", &self.scratch.stack.bootstrap).env("REGISTRY", registry);
        command.env("PREFIX", &self.scratch.prefix);
        command.env("CLIENT", r#"{"session.timeout.ms": 6000, "max.poll.interval.ms": 6000}"#);
        let log = self.scratch.dir().join(log);
        Agent { process: Kept::spawn(&command, &log), log }
    }

    /// Hands in tasks that bear the name of their input, once the agent's topic is there.
    fn submit(&self, inputs: &[&str]) {
        Topic::open_all(self.scratch.stack, &[self.scratch.topic("assignments.moody")], SOON);
        let tasks = self.scratch.topic("tasks");
        Sender::new(self.scratch.stack, Partitioner::Default).send_all(inputs.iter().map(|input| {
            let task = json!({ "taskId": input, "objective": "do it", "agents": ["Moody"], "input": input });
            Send::to(&tasks).key(input).json(&task)
        }));
    }

    fn completion(&self, task: &str) -> Value {
        let mut completions = Topic::open(self.scratch.stack, &self.scratch.topic("completions"));
        completions.find(&format!("the completion of {task}"), SOON, |record| record.text("taskId") == task).value
    }

    fn reports(&self, task: &str) -> Vec<Record> {
        let mut all = read_all(self.scratch.stack, &self.scratch.topic("agent-status"));
        // One that Baton has brought to its home is the same report.
        all.retain(|record| record.text("taskId") == task && !record.headers.contains_key("baton.arrived"));
        all
    }

    fn statuses(&self, task: &str) -> Vec<String> {
        self.reports(task).iter().map(|report| report.text("status").to_owned()).collect()
    }
}

struct Agent {
    process: Kept,
    log: PathBuf,
}

impl Agent {
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    #[track_caller]
    fn says(&self, what: &str) {
        until(&format!("it says {what}"), SOON, || if self.log().contains(what) { Ok(()) } else { Err(self.log()) });
    }

    /// The assignments it has begun.
    fn begun(&self) -> Vec<String> {
        self.log().lines().filter_map(|line| line.strip_prefix("begun ").map(str::to_owned)).collect()
    }

    #[track_caller]
    fn ends_in_order(mut self) {
        self.process.signal("TERM");
        let ended = self.process.wait(SOON);
        assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
        assert!(self.log().contains("ended in order"));
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- the agent's log ----\n{}", tail(&self.log(), 60));
        }
    }
}

#[test]
fn an_agent_in_python_registers_works_and_says_how_its_work_ended() {
    let bench = Bench::new("pysdk-well", "");
    let agent = bench.agent("agent.log");
    bench.submit(&["one-two-three", "rate", "contract", "crash", "rubbish", "huge"]);
    let completion = bench.completion("one-two-three");
    assert_eq!((&completion["outcome"], &completion["result"]), (&json!("SUCCEEDED"), &json!(r#"{"words":3}"#)));
    assert_eq!(completion["usage"]["inputTokens"], 3, "{completion}");
    assert_eq!(bench.statuses("one-two-three"), ["ACCEPTED", "PROGRESS", "SUCCEEDED"]);
    for (task, class, code) in [
        ("rate", "RATE_LIMITED", Some("quota")),
        ("contract", "CONTRACT", None),
        ("crash", "TRANSIENT", Some("TypeError")),
        ("rubbish", "INVALID_OUTPUT", None),
        ("huge", "PERMANENT", Some("too_large")),
    ] {
        let completion = bench.completion(task);
        assert_eq!((&completion["outcome"], &completion["reason"]), (&json!("FAILED"), &json!(class)), "{completion}");
        let error = bench.reports(task).pop().expect("it was reported").value["error"].take();
        assert_eq!((error["class"].as_str(), error["code"].as_str()), (Some(class), code));
    }
    let beats = bench.scratch.topic("heartbeats");
    Topic::open(bench.scratch.stack, &beats).find("a sign of life", SOON, |beat| beat.value["capacity"] == 1);
    agent.ends_in_order();
    let last = read_all(bench.scratch.stack, &beats).pop().expect("it lived");
    assert_eq!((last.text("agentName"), &last.value["capacity"]), ("Moody", &json!(0)));
    // What was committed is not delivered again.
    let again = bench.agent("again.log");
    bench.submit(&["one-more"]);
    assert_eq!(bench.completion("one-more")["outcome"], "SUCCEEDED");
    assert_eq!(again.begun().len(), 1);
    again.ends_in_order();
    let dead = bench.worker.metric(r#"baton_inputs_total{topic="agent-status",outcome="dead"}"#);
    assert!(dead.abs() < 0.5, "no report is a dead letter");
}

#[test]
fn withdrawn_work_in_python_hears_of_it_and_is_not_reported() {
    let bench = Bench::new("pysdk-withdrawn", "[workflow]\nassignment_timeout = \"3s\"");
    let agent = bench.agent("agent.log");
    bench.submit(&["stuck"]);
    assert_eq!(bench.completion("stuck")["reason"], "assignment_timeout");
    agent.says("withdrawn: assignment_timeout");
    bench.submit(&["one-two"]);
    assert_eq!(bench.completion("one-two")["outcome"], "SUCCEEDED", "its only place is free again");
    assert_eq!(bench.statuses("stuck"), ["ACCEPTED"]);
    agent.ends_in_order();
}

#[test]
fn a_killed_python_agents_work_comes_again_and_a_stopped_ones_is_finished() {
    let bench = Bench::new("pysdk-drain", "");
    let mut killed = bench.agent("killed.log");
    bench.submit(&["wait"]);
    killed.says("begun");
    killed.process.kill();
    let stopped = bench.agent("stopped.log");
    stopped.says("begun");
    assert_eq!(stopped.begun(), killed.begun(), "the same assignment");
    stopped.process.signal("TERM");
    bench.submit(&["one", "two"]);
    until("it takes nothing more", SOON, || {
        let beats = read_all(bench.scratch.stack, &bench.scratch.topic("heartbeats"));
        if beats.last().is_some_and(|beat| beat.value["capacity"] == 0) { Ok(()) } else { Err(stopped.log()) }
    });
    fs::write(bench.gate(), "").expect("the gate can be opened");
    let mut stopped = stopped;
    assert!(stopped.process.wait(SOON).is_some_and(|status| status.success()));
    assert_eq!(bench.completion("wait")["result"], r#""waited""#);
    assert_eq!(stopped.begun().len(), 1, "nothing more was begun");
    let next = bench.agent("next.log");
    for task in ["one", "two"] {
        assert_eq!(bench.completion(task)["outcome"], "SUCCEEDED");
    }
    assert_eq!(next.begun().len(), 2, "what was done does not come again");
    next.ends_in_order();
}

#[test]
fn what_is_done_before_an_earlier_assignment_is_not_committed_and_what_cannot_be_read_is_passed_over() {
    let bench = Bench::new("pysdk-order", "");
    let mut killed = bench.agent_with("killed.log", &bench.scratch.stack.registry, 3);
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
    let next = bench.agent_with("next.log", &bench.scratch.stack.registry, 3);
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
    let bench = Bench::new("pysdk-away", "");
    let (registry, url) = Gate::before(&bench.scratch.stack.registry);
    registry.shut();
    let agent = bench.agent_with("agent.log", &url, 1);
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
