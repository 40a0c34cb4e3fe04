//! `baton dev` as a newcomer meets it: a child process, stock clients, agents of several kinds. What is seen here is said
//! of the embedded broker and registry, and of nothing else.

mod broker;

use super::exactly_once::audit::audit;
use super::python_agent::python;
use super::support::agents::{self, Agents, Say};
use super::support::reaper::{Kept, tail};
use super::support::{Partitioner, Scratch, Send, Sender, Stack, Topic, free_port, get, heavy, post, until};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(40);
/// Of the process after its start, in KiB: what the demo promises.
const MEMORY: u64 = 120 * 1024;

/// The process and what it said of itself.
struct Dev {
    process: Kept,
    log: PathBuf,
    kafka: u16,
    registry: u16,
    http: u16,
}

impl Dev {
    /// Free ports, data in `dir`.
    fn start(dir: &Path) -> Self {
        let mut dev = Self::spawn(dir, &dir.join("data"), [free_port(), free_port(), free_port()]);
        dev.ready();
        dev
    }

    fn spawn(dir: &Path, data: &Path, [kafka, registry, http]: [u16; 3]) -> Self {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let log = dir.join(format!("dev-{}.log", STARTED.fetch_add(1, Ordering::Relaxed)));
        let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
        command.arg("dev").arg("--data").arg(data).current_dir(dir);
        for (flag, port) in [("--kafka-port", kafka), ("--registry-port", registry), ("--http-port", http)] {
            command.args([flag, &port.to_string()]);
        }
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BATON_")) {
            command.env_remove(name);
        }
        Self { process: Kept::spawn(&command, &log), log, kafka, registry, http }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn ready(&mut self) {
        until("dev is ready", SOON, || {
            if let Some(status) = self.process.ended() {
                panic!("dev ended before it was ready: {status}\n{}", self.said());
            }
            if self.said().contains("ready after") { Ok(()) } else { Err(self.said()) }
        });
    }

    /// `kill -9`, then the same again.
    fn dies_and_comes_back(mut self, dir: &Path) -> Self {
        let ports = [self.kafka, self.registry, self.http];
        self.process.kill();
        let mut dev = Self::spawn(dir, &dir.join("data"), ports);
        dev.ready();
        dev
    }

    #[track_caller]
    fn ends_in_order(mut self, signal: &str) {
        self.process.signal(signal);
        let ended = self.process.wait(SOON);
        assert!(ended.is_some_and(|status| status.success()), "{ended:?}\n{}", self.said());
    }

    /// How it ended by itself, and what it said.
    fn fails(mut self) -> String {
        let ended = self.process.wait(SOON).expect("it ends by itself");
        assert_eq!(ended.code(), Some(1), "{}", self.said());
        self.said()
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http)
    }

    /// Resident memory in KiB.
    fn memory(&self) -> u64 {
        // The process on the list is a shell that became it.
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel says it");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Commands and agents against it, under the prefix that it has.
    fn scratch(&self, name: &str) -> Scratch {
        let (kafka, registry) = (format!("127.0.0.1:{}", self.kafka), format!("http://127.0.0.1:{}", self.registry));
        let stack = Box::leak(Box::new(Stack::new("dev", kafka, registry, vec![])));
        let mut scratch = Scratch::on(stack, name);
        scratch.prefix = "baton".to_owned();
        scratch
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- dev's log ----\n{}", tail(&self.said(), 60));
        }
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory can be made")
}

fn counter() -> Value {
    agents::definition("Word Counter", "counts words")
}

fn count_words() -> agents::Behaviour {
    agents::works(|input| json!({ "words": input.as_str().unwrap_or_default().split_whitespace().count() }))
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn one_command_takes_agents_and_tasks_and_keeps_what_was_done() {
    let dir = folder();
    let dev = Dev::start(dir.path());
    let memory = dev.memory();
    assert!(memory <= MEMORY, "{memory} KiB after start");
    let scratch = dev.scratch("dev-well");
    scratch.register(&[counter()]);
    let pool = Agents::start(&scratch, vec![("Word Counter", count_words())]);
    let submitted = ["submit", "Count the words", "--id", "t-1", "--input", "\"one two three\"", "--wait"];
    assert!(scratch.baton(&submitted).ok().stdout.contains(r#"{"words":3}"#));
    assert_eq!(pool.stop().len(), 1);
    Sender::new(scratch.stack, Partitioner::Default).send(Send::to(&scratch.topic("tasks")).key("x").bytes("{"));
    until("the bad record is a dead letter", SOON, || {
        let listed = scratch.baton(&["dlq", "list"]).ok().stdout;
        if listed.contains("baton.tasks") { Ok(()) } else { Err(listed) }
    });
    let checked = scratch.baton_with("[kafka]\npartitions = 6\n", &["doctor"], b"").ok();
    assert!(checked.stdout.contains("all is well") || checked.stderr.contains("all is well"), "{checked:?}");
    assert!(get(&dev.url("/readyz")).is_ok_and(|(status, _)| status == 200));
    let ports = [dev.kafka, dev.registry, dev.http];
    dev.ends_in_order("TERM");

    let mut again = Dev::spawn(dir.path(), &dir.path().join("data"), ports);
    again.ready();
    let shown = scratch.baton(&["tasks", "show", "t-1"]).ok().stdout;
    assert!(shown.contains("SUCCEEDED") && shown.contains(r#"{"words":3}"#), "{shown}");
    assert!(scratch.baton(&["agents", "list"]).ok().stdout.contains("Word Counter"));
    again.ends_in_order("INT");
}

#[test]
fn tasks_in_flight_at_a_kill_complete_once_after_it() {
    let _turn = heavy();
    let dir = folder();
    let mut dev = Dev::start(dir.path());
    let scratch = dev.scratch("dev-kill");
    scratch.register(&[counter()]);
    // Reads without a group, from the start, and answers all again: an assignment made twice would show.
    let pool = || {
        let answer = Say::succeeded(json!({ "words": 1 })).after(Duration::from_millis(400));
        let slow: agents::Behaviour = Box::new(move |_| vec![Say::accepted(), answer.clone()]);
        Agents::start(&scratch, vec![("Word Counter", slow)])
    };
    let tasks: Vec<String> = (0..60).map(|number| format!("t-{number}")).collect();
    for (round, together) in tasks.chunks(20).enumerate() {
        let agents = pool();
        // Acknowledged, so none may be lost.
        Sender::new(scratch.stack, Partitioner::Default).send_all(together.iter().map(|id| {
            let task = json!({ "taskId": id, "objective": "count", "input": "a" });
            Send::to(&scratch.topic("tasks")).key(id).json(&task)
        }));
        until("some are with the agent", SOON, || match agents.seen().len() {
            seen if seen > round * 20 => Ok(()),
            seen => Err(format!("{seen} of {}", round * 20)),
        });
        drop(agents);
        dev = dev.dies_and_comes_back(dir.path());
    }
    let pool = pool();
    let completions = scratch.topic("completions");
    Topic::open(scratch.stack, &completions).count(tasks.len(), SOON);
    drop(pool);
    let found = audit(&scratch, &["word-counter"]);
    assert_eq!((found.completions.len(), found.assignments), (tasks.len(), tasks.len()));
    assert!(found.completions.values().all(|record| record.text("outcome") == "SUCCEEDED"), "{found:?}");
    assert!(found.dead_letters.is_empty(), "{found:?}");
    dev.ends_in_order("TERM");
}

#[test]
fn the_python_example_works_on_it() {
    let dir = folder();
    let dev = Dev::start(dir.path());
    let scratch = dev.scratch("dev-python");
    let definition = repository().join("examples/agent.json");
    scratch.baton(&["agents", "register", &definition.to_string_lossy()]).ok();
    let mut command = Command::new(python());
    command.arg("-u").arg(repository().join("examples/agent.py"));
    command.env("BOOTSTRAP", &scratch.stack.bootstrap).env("REGISTRY", &scratch.stack.registry);
    command.env("LEDGER", dir.path().join("ledger.db"));
    let agent = Kept::spawn(&command, &dir.path().join("agent.log"));
    let submitted = ["submit", "Count the words of this text", "--input", "\"one two three\"", "--wait"];
    let said = scratch.baton(&submitted);
    let log = std::fs::read_to_string(dir.path().join("agent.log")).unwrap_or_default();
    assert!(said.stdout.contains(r#""words": 3"#) || said.stdout.contains(r#""words":3"#), "{said:?}\n{log}");
    drop(agent);
    dev.ends_in_order("TERM");
}

#[test]
fn a_second_worker_shares_the_work_and_its_kill_leaves_nothing_undone() {
    let _turn = heavy();
    let dir = folder();
    let dev = Dev::start(dir.path());
    let scratch = dev.scratch("dev-worker");
    scratch.register(&[counter()]);
    let pool = Agents::start(&scratch, vec![("Word Counter", count_words())]);
    let mut second = scratch.worker("second").start();
    let sender = Sender::new(scratch.stack, Partitioner::Default);
    let submit = |from: usize| {
        sender.send_all((from..from + 200).map(|id| {
            let task = json!({ "taskId": format!("t-{id}"), "objective": "count", "input": "a" });
            Send::to(&scratch.topic("tasks")).key(format!("t-{id}")).json(&task)
        }));
    };
    submit(0);
    until("it has work", SOON, || match pool.seen().len() {
        0 => Err("none".to_owned()),
        _ => Ok(()),
    });
    second.kill9();
    submit(200);
    let completions = scratch.topic("completions");
    Topic::open(scratch.stack, &completions).count(400, SOON);
    drop(pool);
    let found = audit(&scratch, &["word-counter"]);
    assert_eq!((found.completions.len(), found.assignments), (400, 400));
    dev.ends_in_order("TERM");
}

#[test]
fn a_port_or_data_in_use_is_said_with_the_flag_that_changes_it() {
    let dir = folder();
    let dev = Dev::start(dir.path());
    let (data, other) = (dir.path().join("data"), dir.path().join("other"));
    let free = free_port;
    let said = Dev::spawn(dir.path(), &other, [dev.kafka, free(), free()]).fails();
    assert!(said.contains(&format!("127.0.0.1:{}", dev.kafka)) && said.contains("--kafka-port"), "{said}");
    let said = Dev::spawn(dir.path(), &other, [free(), dev.registry, free()]).fails();
    assert!(said.contains(&format!("127.0.0.1:{}", dev.registry)) && said.contains("--registry-port"), "{said}");
    let said = Dev::spawn(dir.path(), &other, [free(), free(), dev.http]).fails();
    assert!(said.contains(&format!("127.0.0.1:{}", dev.http)) && said.contains("--http-port"), "{said}");
    let said = Dev::spawn(dir.path(), &data, [free(), free(), free()]).fails();
    assert!(said.contains("in use") && said.contains("--data"), "{said}");
    let said = dev.said();
    for word in [format!("127.0.0.1:{}", dev.kafka), "only grows".to_owned(), "baton agents register".to_owned()] {
        assert!(said.contains(&word), "{word}: {said}");
    }
    assert_eq!(post(&dev.url("/healthz"), &json!({}), SOON).map(|answer| answer.status), Ok(405));
    dev.ends_in_order("TERM");
}

#[test]
fn what_the_file_says_of_another_broker_is_not_used_and_said() {
    let dir = folder();
    let file =
        "[kafka]\nbootstrap_servers = \"kafka.example:9092\"\n[kafka.client]\n\"security.protocol\" = \"SASL_SSL\"\n";
    std::fs::write(dir.path().join("baton.toml"), file).expect("the file can be written");
    let dev = Dev::start(dir.path());
    let said = dev.said();
    assert!(said.contains("kafka.bootstrap_servers = kafka.example:9092") && said.contains("kafka.client"), "{said}");
    assert!(said.contains(&format!("BATON__KAFKA__BOOTSTRAP_SERVERS=127.0.0.1:{}", dev.kafka)), "{said}");
    dev.ends_in_order("INT");
}
