//! `baton::agent` on the real broker with real workers: what its documentation promises, from a task to its completion.

use super::support::maven::Broker;
use super::support::reaper::{Kept, tail};
use super::support::{
    Partitioner, Record, Scratch, Send, Sender, Stack, Topic, Worker, group_members, heavy, read_all, stack, until,
};
use baton::agent::{
    Agent, AgentDefinition, AgentError, Answer, Assignment, Builder, Connection, Encoding, Failure, Handle,
};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(60);

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("a runtime starts"))
}

/// A corner with its topics and a worker.
struct Bench {
    scratch: Scratch,
    worker: Worker,
}

impl Bench {
    fn new(name: &str) -> Self {
        Self::on(stack(), name)
    }

    fn on(stack: &'static Stack, name: &str) -> Self {
        Self::with(stack, name, "")
    }

    fn with(stack: &'static Stack, name: &str, toml: &str) -> Self {
        let scratch = Scratch::on(stack, name);
        scratch.apply();
        let worker = scratch.worker("w").toml(toml).start();
        Self { scratch, worker }
    }

    fn builder(&self, definition: AgentDefinition) -> Builder {
        let client = [("session.timeout.ms", "6000"), ("max.poll.interval.ms", "6000")];
        let kafka = Connection {
            bootstrap_servers: self.scratch.stack.bootstrap.clone(),
            prefix: self.scratch.prefix.clone(),
            client: client.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..Connection::default()
        };
        Agent::builder(definition).kafka(kafka).registry(&self.scratch.stack.registry)
    }

    /// Hands tasks in whose input bears the label `text`, once the agents' topics say that the worker knows them.
    fn submit(&self, agents: &[&str], tasks: &[&str]) {
        let topics: Vec<_> = agents.iter().map(|agent| self.scratch.topic(&format!("assignments.{agent}"))).collect();
        Topic::open_all(self.scratch.stack, &topics, SOON);
        let topic = self.scratch.topic("tasks");
        Sender::new(self.scratch.stack, Partitioner::Default).send_all(tasks.iter().map(|id| {
            let task = json!({
                "taskId": id, "objective": "count the words of this text", "input": "one two three", "inputContract": "text",
            });
            Send::to(&topic).key(id).json(&task)
        }));
    }

    fn completion(&self, task: &str) -> Value {
        let mut completions = Topic::open(self.scratch.stack, &self.scratch.topic("completions"));
        completions.find(&format!("the completion of {task}"), SOON, |record| record.text("taskId") == task).value
    }

    /// Waits until somebody said this of the task.
    fn said(&self, task: &str, status: &str) -> Record {
        let mut reports = Topic::open(self.scratch.stack, &self.scratch.topic("agent-status"));
        let wanted = |record: &Record| record.text("taskId") == task && record.text("status") == status;
        reports.find(&format!("{status} of {task}"), SOON, wanted)
    }

    /// All that was said, in order by task.
    fn reports(&self, task: &str) -> Vec<Record> {
        let mut all = read_all(self.scratch.stack, &self.scratch.topic("agent-status"));
        all.retain(|record| record.text("taskId") == task);
        all
    }

    fn statuses(&self, task: &str) -> Vec<String> {
        self.reports(task).iter().map(|report| report.text("status").to_owned()).collect()
    }

    fn assignments(&self, agent: &str) -> Vec<Record> {
        read_all(self.scratch.stack, &self.scratch.topic(&format!("assignments.{agent}")))
    }

    fn is_stale(&self, reports: f64) {
        until("so many reports are stale", SOON, || {
            let seen = self.worker.metric(r#"baton_inputs_total{topic="agent-status",outcome="stale"}"#);
            if (seen - reports).abs() < 0.5 { Ok(()) } else { Err(seen.to_string()) }
        });
    }
}

/// An agent found by contract.
fn by_contract(name: &str, takes: &str, makes: &str) -> AgentDefinition {
    let mut definition = AgentDefinition::new(name, format!("makes a {makes} of a {takes}"));
    definition.input.contract = takes.to_owned();
    definition.output.contract = makes.to_owned();
    definition.output.format = "application/json".to_owned();
    definition
}

/// An agent in this process; stopped when dropped.
struct Running {
    stop: CancellationToken,
    end: Option<JoinHandle<Result<(), AgentError>>>,
}

impl Running {
    fn start<H, F>(builder: Builder, handler: H) -> Self
    where
        H: Fn(Assignment, Handle) -> F + std::marker::Send + Sync + 'static,
        F: Future<Output = Result<Answer, Failure>> + std::marker::Send + 'static,
    {
        let stop = CancellationToken::new();
        let agent = builder.build().expect("the agent is well described");
        let end = Some(runtime().spawn(agent.run(handler, stop.clone())));
        Self { stop, end }
    }

    /// Ends in order.
    #[track_caller]
    fn stops(mut self) {
        self.stop.cancel();
        let end = self.end.take().expect("it is stopped once");
        let ended = runtime().block_on(async { tokio::time::timeout(SOON, end).await });
        ended.expect("it drains in time").expect("it does not panic").expect("it ends well");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The example as a process of its own.
struct Example {
    process: Kept,
    log: PathBuf,
}

impl Example {
    #[track_caller]
    fn start(scratch: &Scratch, seconds: &str) -> Self {
        let tests = std::env::current_exe().expect("this test has a path");
        let target = tests.parent().and_then(|deps| deps.parent()).expect("it is in target/<profile>/deps");
        let binary = target.join("examples/rust_agent");
        assert!(binary.exists(), "{} is missing: run `cargo build --example rust_agent`", binary.display());
        let mut command = Command::new(binary);
        command.env("BOOTSTRAP", &scratch.stack.bootstrap).env("REGISTRY", &scratch.stack.registry);
        command.env("PREFIX", &scratch.prefix).env("SECONDS", seconds).env("NO_COLOR", "1");
        command.env("CLIENT", r#"{"session.timeout.ms": "6000", "max.poll.interval.ms": "6000"}"#);
        let log = scratch.dir().join("agent.log");
        Self { process: Kept::spawn(&command, &log), log }
    }
}

impl Example {
    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- the agent's log ----\n{}", tail(&self.log(), 60));
        }
    }
}

#[test]
fn a_task_goes_through_two_agents_in_rust() {
    let bench = Bench::new("rs-two");
    let first = Running::start(
        bench.builder(by_contract("Counter", "text", "count")).instance("one"),
        |assignment, handle| async move {
            handle.progress(0.5, "counting").await;
            assert!(handle.time_left().is_some_and(|left| left > Duration::ZERO));
            handle.used(baton::agent::Usage { input_tokens: 3, output_tokens: 1, cost_micros: 7 });
            let text: String = baton::agent::input(&assignment)?;
            Answer::json(json!({ "words": text.split_whitespace().count() }))
        },
    );
    let second = Running::start(
        bench.builder(by_contract("Judge", "count", "verdict")).instance("two"),
        |assignment, _| async move {
            let count: Value = baton::agent::input(&assignment)?;
            Answer::json(if count["words"] == 3 { "as many as it should" } else { "not so many" })
        },
    );
    bench.submit(&["counter", "judge"], &["t-1"]);
    let completion = bench.completion("t-1");
    assert_eq!(completion["outcome"], "SUCCEEDED", "{completion}");
    assert_eq!(completion["result"], json!(r#""as many as it should""#), "{completion}");
    assert_eq!(completion["usage"]["inputTokens"], 3, "{completion}");
    let reports = bench.reports("t-1");
    let count =
        |outcome| bench.worker.metric(&format!(r#"baton_inputs_total{{topic="agent-status",outcome="{outcome}"}}"#));
    let outcomes = ["accepted", "stale", "duplicate", "forwarded", "dead"].map(count);
    let [accepted, stale, others @ ..] = outcomes;
    // Progress that follows at once is not noted.
    assert_eq!((accepted + stale, others), (5.0, [0.0; 3]), "each report is sent to its home, and counts");
    assert_eq!(reports[0].raw.as_ref().map(|raw| raw[0]), Some(0), "Avro in the registry's wire format");
    assert_eq!(reports[0].header("ce_type"), "io.baton.v1.AgentReport");
    let statuses = ["ACCEPTED", "PROGRESS", "SUCCEEDED", "ACCEPTED", "SUCCEEDED"];
    assert_eq!(bench.statuses("t-1"), statuses);

    // Started once more as it is, it registers nothing.
    first.stops();
    let again =
        Running::start(bench.builder(by_contract("Counter", "text", "count")).instance("three"), |_, _| async {
            Ok(Answer::Text("unused".to_owned()))
        });
    let heartbeats = bench.scratch.topic("heartbeats");
    Topic::open(bench.scratch.stack, &heartbeats)
        .until("three lives", SOON, |beats| beats.iter().filter(|beat| beat.value["capacity"] == 1).count() >= 3);
    again.stops();
    second.stops();
    assert_eq!(read_all(bench.scratch.stack, &bench.scratch.topic("agents")).len(), 2);
    let beats = read_all(bench.scratch.stack, &heartbeats);
    for (agent, instance) in [("Counter", "one"), ("Judge", "two"), ("Counter", "three")] {
        let last = beats.iter().rfind(|beat| beat.text("instance") == instance).expect("it lived");
        assert_eq!(
            (last.key.as_deref(), &last.value["inFlight"], &last.value["capacity"]),
            (Some(agent), &json!(0), &json!(0))
        );
    }
}

#[test]
fn killed_in_the_middle_its_assignment_is_delivered_again_and_completes_once() {
    let bench = Bench::new("rs-kill");
    let mut first = Example::start(&bench.scratch, "600");
    bench.submit(&["word-counter"], &["t-1"]);
    bench.said("t-1", "ACCEPTED");
    first.process.kill();
    let mut second = Example::start(&bench.scratch, "0");
    let completion = bench.completion("t-1");
    assert_eq!((&completion["outcome"], &completion["result"]), (&json!("SUCCEEDED"), &json!(r#"{"words":3}"#)));
    assert_eq!(bench.assignments("word-counter").len(), 1);
    let reports = bench.reports("t-1");
    assert_eq!(bench.statuses("t-1"), ["ACCEPTED", "PROGRESS", "ACCEPTED", "PROGRESS", "SUCCEEDED"]);
    assert!(reports.iter().all(|report| report.text("assignmentId") == reports[0].text("assignmentId")));
    assert_eq!(read_all(bench.scratch.stack, &bench.scratch.topic("completions")).len(), 1);
    second.process.signal("TERM");
    assert!(second.process.wait(SOON).is_some_and(|status| status.success()));
}

#[test]
fn work_longer_than_the_poll_interval_is_done_once() {
    let _turn = heavy();
    let bench = Bench::new("rs-long");
    let begun = Arc::new(AtomicUsize::new(0));
    let start = || {
        let begun = Arc::clone(&begun);
        Running::start(bench.builder(by_contract("Slow", "text", "count")), move |_, _| {
            begun.fetch_add(1, Ordering::SeqCst);
            async {
                tokio::time::sleep(Duration::from_secs(9)).await;
                Answer::json(3)
            }
        })
    };
    let (one, other) = (start(), start());
    let group = bench.scratch.topic("agent.slow");
    let both = || match group_members(bench.scratch.stack, &group) {
        (state, 2) if state == "Stable" => Ok(()),
        other => Err(format!("{other:?}")),
    };
    until("both have joined", SOON, both);
    let started = Instant::now();
    bench.submit(&["slow"], &["t-1"]);
    assert_eq!(bench.completion("t-1")["outcome"], "SUCCEEDED");
    assert!(started.elapsed() > Duration::from_secs(8), "the work was longer than the poll interval");
    until("nobody was sent away", Duration::ZERO, both);
    assert_eq!(begun.load(Ordering::SeqCst), 1);
    one.stops();
    other.stops();
}

#[test]
fn a_second_delivery_gets_the_first_ones_answer_and_that_is_stale() {
    let bench = Bench::new("rs-again");
    let begun = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&begun);
    let agent = Running::start(bench.builder(by_contract("Counter", "text", "count")), move |_, _| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        async move { Answer::json(number) }
    });
    bench.submit(&["counter"], &["t-1"]);
    assert_eq!(bench.completion("t-1")["result"], "0");
    bench.is_stale(0.0);
    let assignment = bench.assignments("counter").remove(0);
    let copy = Send::to(&assignment.topic).key("t-1").bytes(assignment.raw.as_ref().expect("it has a value"));
    Sender::new(bench.scratch.stack, Partitioner::Murmur2).send(copy);
    bench.is_stale(1.0);
    assert_eq!(begun.load(Ordering::SeqCst), 1, "the handler is not called again");
    let reports = bench.reports("t-1");
    let answers: Vec<_> = reports.iter().filter(|report| report.text("status") == "SUCCEEDED").collect();
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0].text("output"), answers[1].text("output"));
    agent.stops();
}

#[test]
fn a_panic_fails_the_task_and_the_agent_goes_on() {
    let bench = Bench::new("rs-panic");
    let agent = Running::start(bench.builder(by_contract("Counter", "text", "count")), |assignment, _| async move {
        assert!(assignment.task_id != "t-1", "no words left");
        Answer::json(3)
    });
    bench.submit(&["counter"], &["t-1", "t-2"]);
    let failed = bench.completion("t-1");
    assert_eq!(
        (&failed["outcome"], failed["reason"].as_str().map(str::to_lowercase)),
        (&json!("FAILED"), Some("transient".to_owned())),
        "{failed}"
    );
    assert_eq!(bench.completion("t-2")["outcome"], "SUCCEEDED");
    let report = bench.said("t-1", "FAILED").value;
    assert_eq!((&report["error"]["class"], &report["error"]["code"]), (&json!("TRANSIENT"), &json!("panic")));
    assert!(report["error"]["message"].as_str().is_some_and(|message| message.contains("no words left")), "{report}");
    agent.stops();
}

#[test]
fn what_one_declines_another_gets_and_reports_may_be_json() {
    let bench = Bench::new("rs-decline");
    // The better one by far is asked first.
    let mut better = by_contract("Counter of words", "text", "count");
    better.capabilities = vec!["count the words of this text".to_owned()];
    let shy = bench.builder(better).encoding(Encoding::Json);
    let shy = Running::start(shy, |_, _| async { Ok(Answer::Declined("not on Mondays".to_owned())) });
    let willing = bench.builder(by_contract("Other", "text", "count")).encoding(Encoding::Json);
    let willing = Running::start(willing, |_, _| async { Answer::json(json!({ "words": 3 })) });
    bench.submit(&["counter-of-words", "other"], &["t-1"]);
    let completion = bench.completion("t-1");
    assert_eq!((&completion["outcome"], &completion["result"]), (&json!("SUCCEEDED"), &json!(r#"{"words":3}"#)));
    let reports = bench.reports("t-1");
    assert!(reports.iter().all(|report| report.raw.as_ref().is_some_and(|raw| raw[0] == b'{')));
    assert_eq!(reports[0].header("content-type"), "application/json");
    assert_eq!(bench.statuses("t-1"), ["ACCEPTED", "DECLINED", "ACCEPTED", "SUCCEEDED"]);
    shy.stops();
    willing.stops();
}

#[test]
fn stopped_it_finishes_what_it_has_begun_and_leaves_the_rest() {
    let bench = Bench::new("rs-drain");
    let (begun, gate) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Semaphore::new(0)));
    let start = || {
        let (begun, gate) = (Arc::clone(&begun), Arc::clone(&gate));
        Running::start(bench.builder(by_contract("Counter", "text", "count")), move |assignment: Assignment, _| {
            begun.lock().unwrap().push(assignment.task_id);
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await?.forget();
                Answer::json(3)
            }
        })
    };
    let first = start();
    bench.submit(&["counter"], &["t-1", "t-2", "t-3"]);
    until("one is begun", SOON, || if begun.lock().unwrap().len() == 1 { Ok(()) } else { Err("none".into()) });
    let done = begun.lock().unwrap()[0].clone();
    // One permit: it is told to stop while it works, and the work ends after that.
    first.stop.cancel();
    gate.add_permits(1);
    first.stops();
    assert_eq!(bench.completion(&done)["outcome"], "SUCCEEDED");
    assert_eq!(begun.lock().unwrap().len(), 1, "nothing more was begun");
    gate.add_permits(100);
    let second = start();
    for task in ["t-1", "t-2", "t-3"] {
        assert_eq!(bench.completion(task)["outcome"], "SUCCEEDED");
    }
    second.stops();
    let mut begun = begun.lock().unwrap().clone();
    // Delivery is at least once: where the group refused the last commit, what was done comes again, and nothing else.
    let again = begun.iter().skip(1).position(|task| *task == done);
    begun.extract_if(again.map_or(0..0, |at| at + 1..at + 2), |_| true).for_each(drop);
    begun.sort();
    assert_eq!(begun, ["t-1", "t-2", "t-3"], "what was not begun is begun once");
}

#[test]
fn a_handler_hears_that_its_work_is_withdrawn_and_nothing_of_it_is_reported() {
    let bench = Bench::with(stack(), "rs-withdrawn", "[workflow]\nassignment_timeout = \"2s\"");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let start = || {
        let heard = Arc::clone(&heard);
        Running::start(bench.builder(by_contract("Counter", "text", "count")), move |assignment, handle: Handle| {
            let heard = Arc::clone(&heard);
            async move {
                assert!(!handle.is_withdrawn(), "it is wanted when it begins");
                if assignment.task_id == "t-1" {
                    handle.withdrawn().await;
                    heard.lock().unwrap().push(handle.is_withdrawn());
                }
                Answer::json(3)
            }
        })
    };
    let agent = start();
    bench.submit(&["counter"], &["t-1"]);
    assert_eq!(bench.completion("t-1")["reason"], "assignment_timeout");
    bench.submit(&["counter"], &["t-2"]);
    assert_eq!(bench.completion("t-2")["outcome"], "SUCCEEDED", "its only place is free again");
    assert_eq!(bench.statuses("t-1"), ["ACCEPTED"], "the answer is not reported");
    agent.stops();
    assert_eq!(*heard.lock().unwrap(), [true]);
}

#[test]
fn what_is_withdrawn_before_its_turn_comes_is_not_begun() {
    let bench = Bench::with(stack(), "rs-early", "[workflow]\naccept_timeout = \"2s\"");
    let begun = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&begun);
    let agent = Running::start(
        bench.builder(by_contract("Counter", "text", "count")).heartbeat(None),
        move |assignment, handle: Handle| {
            log.lock().unwrap().push(assignment.task_id);
            async move {
                // It keeps the only place until long after the others were withdrawn.
                handle.withdrawn().await;
                Answer::json(3)
            }
        },
    );
    let deadline = std::time::SystemTime::now() + Duration::from_secs(8);
    let deadline = deadline.duration_since(std::time::UNIX_EPOCH).expect("it is after 1970").as_millis();
    let topic = bench.scratch.topic("tasks");
    Topic::open_all(bench.scratch.stack, &[bench.scratch.topic("assignments.counter")], SOON);
    let send = |id: &str| {
        let task = json!({
            "taskId": id, "objective": "count the words of this text", "input": "one", "inputContract": "text",
            "deadline": if id == "first" { json!(deadline) } else { Value::Null },
        });
        Sender::new(bench.scratch.stack, Partitioner::Default).send(Send::to(&topic).key(id).json(&task));
    };
    send("first");
    bench.said("first", "ACCEPTED");
    send("second");
    send("third");
    for task in ["second", "third"] {
        assert_eq!(bench.completion(task)["reason"], "assignment_timeout");
    }
    assert_eq!(bench.completion("first")["reason"], "deadline");
    agent.stops();
    assert_eq!(*begun.lock().unwrap(), ["first"]);
}

#[test]
fn a_report_outlives_a_broker_that_is_away() {
    let _turn = heavy();
    let mut broker = Broker::start().expect("Java and Maven are here");
    broker.ready().unwrap();
    let bench = Bench::on(broker.stack(), "rs-away");
    let mut agent = Example::start(&bench.scratch, "2");
    bench.submit(&["word-counter"], &["t-1"]);
    bench.said("t-1", "PROGRESS");
    broker.kill();
    // The client itself has given up by then.
    until("the report waits", SOON, || match agent.log() {
        log if log.contains("the report waits") => Ok(()),
        log => Err(tail(&log, 3)),
    });
    broker.resume();
    broker.ready().unwrap();
    bench.said("t-1", "SUCCEEDED");
    assert_eq!(bench.completion("t-1")["outcome"], "SUCCEEDED", "the worker is back, and what was under way goes on");
    let accepted = bench.statuses("t-1").iter().filter(|status| *status == "ACCEPTED").count();
    assert_eq!(accepted, 1, "delivered again or not, it was worked on once");
    agent.process.signal("TERM");
    assert!(agent.process.wait(SOON).is_some_and(|status| status.success()));
}
