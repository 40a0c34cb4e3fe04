//! The Python example as it stands, on the real broker: what `docs/agents.md` promises of an agent that does so.

use super::support::reaper::{Kept, tail};
use super::support::{
    Partitioner, Record, Scratch, Send, Sender, Topic, encode, group_members, read_all, register_schema, until,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(40);

/// The topics of one agent, and the process.
struct Bench {
    scratch: Scratch,
    assignments: String,
    status: String,
}

impl Bench {
    fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let assignments = scratch.create("assignments.word-counter", 2, &[]);
        let status = scratch.create("agent-status", 3, &[]);
        for (topic, record) in [(&assignments, "Assignment"), (&status, "AgentReport")] {
            let file = repository().join("schemas").join(format!("{record}.avsc"));
            let schema = std::fs::read_to_string(file).expect("the schema is in the repository");
            register_schema(scratch.stack, &format!("{topic}-value"), &schema);
        }
        Self { scratch, assignments, status }
    }

    fn assign(&self, tasks: &[&str]) {
        let sender = Sender::new(self.scratch.stack, Partitioner::Murmur2);
        sender.send_all(tasks.iter().map(|task| {
            let assignment = json!({
                "assignmentId": format!("{task}~0-0~1~1"), "taskId": task, "stepId": "1",
                "agentName": "Word Counter", "agentVersion": "1.0.0", "attempt": 1,
                "effectKey": format!("{task}~0-0~1"), "objective": "count the words", "input": "one two three",
                "attemptDeadline": 1_900_000_000_000_i64,
            });
            let bytes = encode(self.scratch.stack, &format!("{}-value", self.assignments), &assignment);
            Send::to(&self.assignments).key(task).bytes(bytes)
        }));
    }

    /// The example with this much work per assignment and the shortest patience that the broker allows.
    fn agent(&self, seconds: &str) -> Agent {
        let mut python = Command::new(python());
        python.arg("-u").arg(repository().join("examples/agent.py"));
        python.env("BOOTSTRAP", &self.scratch.stack.bootstrap).env("REGISTRY", &self.scratch.stack.registry);
        python.env("PREFIX", &self.scratch.prefix).env("LEDGER", self.ledger()).env("SECONDS", seconds);
        python.env("CLIENT", r#"{"session.timeout.ms": 6000, "max.poll.interval.ms": 6000}"#);
        let log = self.scratch.dir().join("agent.log");
        Agent { process: Kept::spawn(&python, &log), log }
    }

    fn ledger(&self) -> PathBuf {
        self.scratch.dir().join("ledger.db")
    }

    /// What the ledger holds, by the key of the effect.
    fn effects(&self) -> Value {
        let script = "import sqlite3, json, sys\n\
            rows = sqlite3.connect(sys.argv[1]).execute('select key, output from effects order by key')\n\
            print(json.dumps(dict(rows.fetchall())))";
        let out = Command::new(python()).args(["-c", script]).arg(self.ledger()).output().expect("python runs");
        serde_json::from_slice(&out.stdout).unwrap_or_default()
    }

    /// Waits until an agent has opened the ledger and written nothing into it yet.
    fn in_the_middle(&self, agent: &Agent) {
        until("it is in the middle of its work", SOON, || match self.effects() {
            Value::Null => Err(agent.log()),
            effects => {
                assert_eq!(effects, json!({}));
                Ok(())
            }
        });
    }

    fn reports(&self) -> Vec<Record> {
        read_all(self.scratch.stack, &self.status)
    }
}

struct Agent {
    process: Kept,
    log: PathBuf,
}

impl Agent {
    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn stops_in_order(mut self) {
        self.process.signal("TERM");
        let ended = self.process.wait(SOON);
        assert!(ended.is_some_and(|status| status.success()), "{ended:?}\n{}", self.log());
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
fn the_python_example_answers_in_avro_and_stops_in_order() {
    let bench = Bench::new("py-well");
    bench.assign(&["t-1", "t-2", "t-3"]);
    let agent = bench.agent("0");
    let mut status = Topic::open(bench.scratch.stack, &bench.status);
    status.count(3, SOON);
    agent.stops_in_order();
    let reports = bench.reports();
    assert_eq!(reports.len(), 3);
    for report in &reports {
        let task = report.text("taskId");
        assert_eq!(report.raw.as_ref().map(|raw| raw[0]), Some(0), "Avro in the registry's wire format");
        assert_eq!(report.key.as_deref(), Some(task));
        assert_eq!(report.text("assignmentId"), format!("{task}~0-0~1~1"));
        assert_eq!((report.text("status"), report.text("agentName")), ("SUCCEEDED", "Word Counter"));
        assert_eq!(report.text("output"), r#"{"words": 3}"#);
    }
    // What was committed is not delivered again.
    let again = bench.agent("0");
    bench.assign(&["t-4"]);
    status.count(4, SOON);
    again.stops_in_order();
    assert_eq!(bench.reports().len(), 4);
}

#[test]
fn killed_in_the_middle_of_its_work_it_gets_the_assignment_again_and_has_one_effect() {
    let bench = Bench::new("py-kill");
    bench.assign(&["t-1"]);
    let mut agent = bench.agent("600");
    bench.in_the_middle(&agent);
    agent.process.kill();
    assert_eq!(bench.reports().len(), 0);
    assert_eq!(bench.effects(), json!({}));

    let mut agent = bench.agent("0");
    // As soon as the effect is there, whether or not the report is: killed once more.
    let effect = json!({ "t-1~0-0~1": "{\"words\": 3}" });
    until("the effect", SOON, || match bench.effects() {
        found if found == effect => Ok(()),
        other => Err(format!("{other} {}", agent.log())),
    });
    agent.process.kill();

    // Work that would never end shows that the third one does not do it again.
    let agent = bench.agent("600");
    bench.assign(&["t-1"]);
    let mut status = Topic::open(bench.scratch.stack, &bench.status);
    status.count(1, SOON);
    until("the copy is answered too", SOON, || match bench.reports().len() {
        0 | 1 => Err("not yet".into()),
        _ => Ok(()),
    });
    agent.stops_in_order();
    assert_eq!(bench.effects(), effect);
    for report in bench.reports() {
        assert_eq!((report.text("assignmentId"), report.text("output")), ("t-1~0-0~1~1", r#"{"words": 3}"#));
    }
}

#[test]
fn work_longer_than_the_poll_interval_keeps_its_partition() {
    let bench = Bench::new("py-long");
    // Whoever stopped polling would lose its partition to the other one after 6 s, and that one would do the work again.
    let (agent, other) = (bench.agent("9"), bench.agent("9"));
    let group = format!("{}.agent.word-counter", bench.scratch.prefix);
    until("both have joined", SOON, || match group_members(bench.scratch.stack, &group) {
        (state, 2) if state == "Stable" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    bench.assign(&["t-1"]);
    bench.in_the_middle(&agent);
    let started = Instant::now();
    let mut status = Topic::open(bench.scratch.stack, &bench.status);
    status.count(1, SOON);
    assert!(started.elapsed() > Duration::from_secs(7), "the work was longer than the poll interval");
    agent.stops_in_order();
    other.stops_in_order();
    assert_eq!(bench.effects(), json!({ "t-1~0-0~1": "{\"words\": 3}" }));
    assert_eq!(bench.reports().len(), 1, "one delivery, one report");
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The interpreter that has the example's packages: `BATON_TEST_PYTHON`, else `target/venv`.
#[track_caller]
pub(crate) fn python() -> PathBuf {
    let own = repository().join("target/venv/bin/python");
    let python = std::env::var_os("BATON_TEST_PYTHON").map_or(own, PathBuf::from);
    let has = Command::new(&python).args(["-c", "import confluent_kafka, fastavro, httpx"]).output();
    assert!(
        has.is_ok_and(|out| out.status.success()),
        "{} lacks the packages of the Python example. Install them by:\n  \
         python3 -m venv target/venv && target/venv/bin/pip install -r examples/requirements.txt",
        python.display()
    );
    python
}
