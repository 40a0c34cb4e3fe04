//! What every SDK promises, on the real broker with a real worker. Each language's module brings the command that starts its
//! moody agent: one that does as its input says.

use super::support::reaper::{Kept, tail};
use super::support::{Partitioner, Record, Scratch, Send, Sender, Topic, Worker, read_all, until};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

pub(crate) const SOON: Duration = Duration::from_secs(40);

/// A corner with its topics and a worker, for agents in one language.
pub(crate) struct Bench {
    pub(crate) scratch: Scratch,
    worker: Worker,
    command: fn() -> Command,
}

impl Bench {
    pub(crate) fn new(name: &str, toml: &str, command: fn() -> Command) -> Self {
        let scratch = Scratch::new(name);
        scratch.apply();
        let worker = scratch.worker("w").toml(toml).start();
        Self { scratch, worker, command }
    }

    pub(crate) fn gate(&self) -> PathBuf {
        self.scratch.dir().join("gate")
    }

    pub(crate) fn agent(&self, log: &str) -> Agent {
        self.agent_with(log, &[])
    }

    /// The same with further settings in its environment.
    pub(crate) fn agent_with(&self, log: &str, settings: &[(&str, &str)]) -> Agent {
        let mut command = (self.command)();
        command.env("GATE", self.gate()).env("PREFIX", &self.scratch.prefix);
        command.env("BOOTSTRAP", &self.scratch.stack.bootstrap).env("REGISTRY", &self.scratch.stack.registry);
        command.envs(settings.iter().copied());
        let log = self.scratch.dir().join(log);
        Agent { process: Kept::spawn(&command, &log), log }
    }

    /// Hands in tasks that bear the name of their input, once the agent's topic is there.
    pub(crate) fn submit(&self, inputs: &[&str]) {
        Topic::open_all(self.scratch.stack, &[self.scratch.topic("assignments.moody")], SOON);
        let tasks = self.scratch.topic("tasks");
        Sender::new(self.scratch.stack, Partitioner::Default).send_all(inputs.iter().map(|input| {
            let task = json!({ "taskId": input, "objective": "do it", "agents": ["Moody"], "input": input });
            Send::to(&tasks).key(input).json(&task)
        }));
    }

    pub(crate) fn completion(&self, task: &str) -> Value {
        let mut completions = Topic::open(self.scratch.stack, &self.scratch.topic("completions"));
        completions.find(&format!("the completion of {task}"), SOON, |record| record.text("taskId") == task).value
    }

    pub(crate) fn reports(&self, task: &str) -> Vec<Record> {
        let mut all = read_all(self.scratch.stack, &self.scratch.topic("agent-status"));
        // One that Baton has brought to its home is the same report.
        all.retain(|record| record.text("taskId") == task && !record.headers.contains_key("baton.arrived"));
        all
    }

    pub(crate) fn statuses(&self, task: &str) -> Vec<String> {
        self.reports(task).iter().map(|report| report.text("status").to_owned()).collect()
    }
}

pub(crate) struct Agent {
    pub(crate) process: Kept,
    log: PathBuf,
}

impl Agent {
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn says(&self, what: &str) {
        until(&format!("it says {what}"), SOON, || if self.log().contains(what) { Ok(()) } else { Err(self.log()) });
    }

    /// The assignments it has begun.
    pub(crate) fn begun(&self) -> Vec<String> {
        self.log().lines().filter_map(|line| line.strip_prefix("begun ").map(str::to_owned)).collect()
    }

    #[track_caller]
    pub(crate) fn ends_in_order(mut self) {
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

/// The bench has nothing configured.
pub(crate) fn it_registers_works_and_says_how_its_work_ended(bench: &Bench) {
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

/// The bench's assignments may take three seconds.
pub(crate) fn withdrawn_work_hears_of_it_and_is_not_reported(bench: &Bench) {
    let agent = bench.agent("agent.log");
    bench.submit(&["stuck"]);
    assert_eq!(bench.completion("stuck")["reason"], "assignment_timeout");
    agent.says("withdrawn: assignment_timeout");
    bench.submit(&["one-two"]);
    assert_eq!(bench.completion("one-two")["outcome"], "SUCCEEDED", "its only place is free again");
    assert_eq!(bench.statuses("stuck"), ["ACCEPTED"]);
    agent.ends_in_order();
}

/// The bench has nothing configured.
pub(crate) fn killed_its_work_comes_again_and_stopped_it_finishes(bench: &Bench) {
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
