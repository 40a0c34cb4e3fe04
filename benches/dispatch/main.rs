//! The role `dispatcher` against agents that answer at once and agents that are busy. What is measured and how:
//! `benches/README.md`.
//!
//! ```text
//! cargo bench --bench dispatch              everything
//! cargo bench --bench dispatch -- --quick   a smoke run; its figures mean nothing
//! ```
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(dead_code, unused_imports, reason = "of what is shared only a part is used here")]
#![allow(clippy::print_stderr, reason = "the tests' support shows the logs of processes that failed")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails stops")]

mod agent;
#[path = "../pipeline/avro.rs"]
mod avro;
#[path = "../pipeline/machine.rs"]
mod machine;
#[path = "../pipeline/place.rs"]
mod place;
#[path = "../../tests/it/support/mod.rs"]
mod support;
mod work;

use machine::Cpu;
use place::Place;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use support::reaper::Kept;
use support::{Scratch, Worker, until};

const PARTITIONS: i32 = 6;
/// Deliveries per second, at least.
const LEAST: f64 = 3_000.0;
/// `dispatcher.max_waiting`.
const WAITING: usize = 10_000;
/// Of the dispatcher's process with so many waiting.
const MOST_MB: f64 = 100.0;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|role| role == "as-agent") {
        agent::serve();
        return ExitCode::SUCCESS;
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let (many, rounds) = if quick { (2_000, 1) } else { (30_000, 3) };
    machine::print_machine();
    let agents = Agents::start();
    let mut fine = true;
    for count in [1, 10] {
        fine &= throughput(&agents, count, many, rounds);
    }
    for count in [1, 10] {
        fine &= memory(&agents, count);
    }
    println!("{}", if fine { "all targets reached" } else { "NOT all targets reached" });
    if fine || quick { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The process in which all agents live.
struct Agents {
    _dir: tempfile::TempDir,
    process: Kept,
    url: String,
}

impl Agents {
    fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("baton-bench-").tempdir().expect("a directory can be made");
        support::reaper::dir(dir.path());
        let log = dir.path().join("agent.log");
        let mut command = Command::new(std::env::current_exe().expect("this binary has a path"));
        command.arg("as-agent");
        let process = Kept::spawn(&command, &log);
        let url = until("the agents listen", Duration::from_secs(30), || {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            said.lines().next().map(str::to_owned).ok_or(said)
        });
        Self { _dir: dir, process, url }
    }
}

/// A dispatcher with so many agents at a path of the process, and the names of their topics.
fn corner(agents: &Agents, name: &str, count: usize, path: &str) -> (Scratch, Worker, Place, Vec<String>) {
    let scratch = Scratch::new(name);
    let toml = format!("[kafka]\npartitions = {PARTITIONS}\n");
    scratch.baton_with(&toml, &["apply"], b"").ok();
    let file = scratch.dir().join("agents.json");
    let definitions: Vec<_> = (0..count).map(|number| work::agent(number, &format!("{}{path}", agents.url))).collect();
    std::fs::write(&file, serde_json::Value::from(definitions).to_string()).expect("the definitions can be written");
    scratch.baton_with(&toml, &["agents", "register", &file.to_string_lossy()], b"").ok();
    // While work is written for it, it is held: it must not lose its partitions for that.
    let toml = format!("{toml}[worker]\nsession_timeout = \"60s\"\n");
    let worker = scratch.worker("0").roles("dispatcher").toml(&toml).start();
    let topics: Vec<String> = (0..count).map(|number| scratch.topic(&work::topic(number))).collect();
    support::Topic::open_all(scratch.stack, &topics, Duration::from_secs(60));
    let place = Place { bootstrap: scratch.stack.bootstrap.clone(), prefix: scratch.prefix.clone() };
    (scratch, worker, place, topics)
}

/// From the first report to the last, of work that was written beforehand.
fn throughput(agents: &Agents, count: usize, many: usize, rounds: usize) -> bool {
    let (scratch, worker, place, topics) = corner(agents, "dispatch", count, "/well");
    let schema = work::schema(&scratch);
    let reports = place.reader(&[place.topic("agent-status")], false);
    // Once unmeasured: connections, caches, the broker's code.
    let (mut number, mut rates) = (0, Vec::new());
    for (round, many) in std::iter::once(many / 10).chain(std::iter::repeat_n(many, rounds)).enumerate() {
        worker.freeze();
        let bytes = work::write(&place, schema, &topics, number, many);
        number += many;
        let (mut dispatcher, mut answering) = (Cpu::of(Some(worker.pid())), Cpu::of(Some(agents.process.pid())));
        let mut broker = Cpu::of(machine::broker());
        worker.thaw();
        let (mut first, mut left, limit) = (None, many, Instant::now() + Duration::from_secs(120));
        while left > 0 {
            assert!(Instant::now() < limit, "{left} of {many} are not reported");
            if let Some(report) = reports.poll(Duration::from_millis(100)) {
                report.expect("reports can be read");
                first.get_or_insert_with(Instant::now);
                left -= 1;
            }
        }
        let rate = many as f64 / first.expect("there was one").elapsed().as_secs_f64();
        if round == 0 {
            continue;
        }
        let micros = |seconds: f64| seconds * 1e6 / many as f64;
        println!(
            "{count} agent(s), {} B each: {rate:.0} deliveries/s; CPU µs per delivery: dispatcher {:.0}, agents {:.0}, broker {:.0}",
            bytes / many,
            micros(dispatcher.used()),
            micros(answering.used()),
            micros(broker.used())
        );
        rates.push(rate);
    }
    rates.sort_by(f64::total_cmp);
    let median = rates[rates.len() / 2];
    println!("{count} agent(s): median {median:.0} deliveries/s (at least {LEAST:.0})");
    median >= LEAST
}

/// Agents that want to be asked later, until as much waits as may.
fn memory(agents: &Agents, count: usize) -> bool {
    let (scratch, worker, place, topics) = corner(agents, "waiting", count, "/busy");
    let schema = work::schema(&scratch);
    let resident = || machine::resident_mib(worker.pid()) * 1.048_576;
    let idle = resident();
    let bytes = work::write(&place, schema, &topics, 0, WAITING);
    until("all of it waits", Duration::from_secs(60), || {
        let waiting = worker.metric("baton_deliveries_in_hand") as usize;
        if waiting == WAITING { Ok(()) } else { Err(format!("{waiting}")) }
    });
    std::thread::sleep(Duration::from_secs(2));
    let full = resident();
    println!(
        "{count} busy agent(s): resident {idle:.0} MB idle, {full:.0} MB with {WAITING} waiting of {} B each (at most {MOST_MB:.0})",
        bytes / WAITING
    );
    full <= MOST_MB
}
