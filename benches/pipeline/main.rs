//! Baton against the loop without logic, on a real broker, in one run. What is measured and how: `benches/README.md`.
//!
//! ```text
//! cargo bench --bench pipeline              everything
//! cargo bench --bench pipeline -- --quick   a smoke run; its figures mean nothing
//! cargo bench --bench pipeline -- --against other/baton [--pairs 7]
//! ```
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(dead_code, unused_imports, reason = "of the tests' support only a part is used here")]
#![allow(clippy::print_stderr, reason = "the tests' support shows the logs of processes that failed")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails stops")]

mod avro;
mod clients;
mod corner;
mod machine;
mod measure;
mod pairs;
mod place;
mod raw;
#[path = "../../tests/it/support/mod.rs"]
mod support;
mod workload;

use clients::INPUTS_PER_TASK;
use corner::{Corner, PARTITIONS};
use machine::Cpu;
use measure::{Histogram, Sizes};
use place::Place;
use raw::{Plan, Written};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use support::reaper::Kept;
use support::{Scratch, Worker, until};
use workload::Workload;

/// The binary's, so that the loop without logic has the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `worker.batch`.
const BATCH: usize = 2_000;
/// Under this the machine is too slow or too busy for the run to count.
const RAW_LEAST: f64 = 45_000.0;
const RATIO: f64 = 0.40;
/// While agents answer, the worker is held: it must not lose its partitions for that.
const FROZEN: &str = "[worker]\nsession_timeout = \"60s\"\n";
const PAIRS: usize = 7;

/// How much of everything.
struct Amounts {
    raw_inputs: usize,
    tasks: usize,
    scored_tasks: usize,
    live_tasks: usize,
    probes: usize,
    rounds: usize,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((role, rest)) = arguments.split_first()
        && let Some(role) = role.strip_prefix("as-")
    {
        play(role, rest);
        return ExitCode::SUCCESS;
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let amounts = if quick {
        Amounts { raw_inputs: 10_000, tasks: 2_000, scored_tasks: 1_000, live_tasks: 2_000, probes: 100, rounds: 1 }
    } else {
        Amounts {
            raw_inputs: 200_000,
            tasks: 50_000,
            scored_tasks: 20_000,
            live_tasks: 10_000,
            probes: 1_000,
            rounds: 3,
        }
    };
    let bench = Bench::new();
    let value = |flag: &str| arguments.iter().position(|one| one == flag).and_then(|at| arguments.get(at + 1));
    let fine = match value("--against") {
        Some(other) => {
            let pairs = value("--pairs").map_or(PAIRS, |pairs| pairs.parse().expect("--pairs takes a number"));
            pairs::run(&bench, Path::new(other), pairs, amounts.scored_tasks)
        }
        None => bench.run(&amounts),
    };
    if fine || quick { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What a process of its own does: the role and its arguments come from [`Bench::role`].
fn play(role: &str, arguments: &[String]) {
    let place = Place { bootstrap: arguments[0].clone(), prefix: arguments[1].clone() };
    let number = |at: usize| arguments[at].parse::<usize>().expect("a number");
    let schema = || u32::try_from(number(3)).expect("a schema's id");
    let workload = || Workload::parse(&arguments[2]);
    let plan = || serde_json::from_str::<Plan>(&arguments[2]).expect("a plan");
    match role {
        "load" => clients::load(&place, workload(), schema(), number(4), number(5)),
        "agents" => clients::agents(&place, workload(), schema(), arguments[4] == "start"),
        "probe" => clients::probe(&place, workload(), schema(), number(4), number(5), number(6)),
        "fill" => raw::fill(&place, &plan()),
        "raw" => clients::say(&serde_json::to_string(&raw::run(&place, &plan())).expect("numbers")),
        _ => unreachable!("no role {role}"),
    }
}

struct Bench {
    dir: tempfile::TempDir,
}

/// What one measured stretch of Baton's work came to.
#[derive(Clone, Debug)]
struct Stretch {
    tasks: usize,
    seconds: f64,
    worker: f64,
    broker: f64,
    agents: f64,
}

impl Stretch {
    fn inputs(&self) -> f64 {
        (self.tasks * INPUTS_PER_TASK) as f64
    }

    fn inputs_per_second(&self) -> f64 {
        self.inputs() / self.seconds
    }
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("baton-bench-").tempdir().expect("a directory can be made");
        support::reaper::dir(dir.path());
        Self { dir }
    }

    fn run(&self, amounts: &Amounts) -> bool {
        machine::print_machine();
        let loop_check = self.loop_check(amounts);
        let mut fine = loop_check >= RAW_LEAST;
        if !fine {
            println!("  under {RAW_LEAST:.0} inputs/s: THIS RUN DOES NOT COUNT");
        }

        let mut corner = Corner::new(Workload::Contract, None, FROZEN);
        fine &= self.unloaded(&mut corner, amounts);
        fine &= self.throughput(corner, amounts.tasks, amounts.rounds);
        let mut corner = Corner::new(Workload::Scored, None, FROZEN);
        self.warm_up(&mut corner, 2_000.min(amounts.scored_tasks));
        fine &= self.throughput(corner, amounts.scored_tasks, amounts.rounds);
        println!("{}", if fine { "all targets reached" } else { "NOT all targets reached" });
        fine
    }

    // --- the loop without logic --------------------------------------------------------------------

    /// One input, four outputs of 300 B: what the machine gives right now.
    fn loop_check(&self, amounts: &Amounts) -> f64 {
        let scratch = Scratch::new("rawcheck");
        let place = place_of(&scratch);
        let writes = (0..4).map(|number| Written {
            topic: scratch.create(&format!("out-{number}"), PARTITIONS, &[]),
            per_input: 1.0,
            bytes: 300,
            headers: 0,
            rotates: false,
        });
        let writes: Vec<Written> = writes.collect();
        let plan = |number: usize| Plan {
            inputs: amounts.raw_inputs,
            writes: writes.clone(),
            reads: vec![(scratch.create(&format!("in-{number}"), PARTITIONS, &[]), 300)],
            batch: 1_000,
            partitions: PARTITIONS,
            name: format!("check-{number}"),
        };
        // The broker's first records run through code that is not compiled yet: the best of three counts.
        let title = "raw loop, 1 input, 4 outputs of 300 B, 1,000 inputs per transaction";
        let rates = (0..3).map(|number| self.raw(&place, &plan(number), title));
        let rate = rates.fold(0.0, f64::max);
        println!();
        rate
    }

    fn raw(&self, place: &Place, plan: &Plan, title: &str) -> f64 {
        let text = serde_json::to_string(plan).expect("a plan is plain");
        self.finish("fill", place, &[&text]);
        let (mut raw, log) = self.role("raw", place, &[&text]);
        let mut broker = Cpu::of(machine::broker());
        let mut cpu = Cpu::of(Some(raw.pid()));
        let mut last = 0.0;
        while raw.wait(Duration::from_millis(20)).is_none() {
            // Gone with the process: the last look before its end is what it used.
            last = cpu.used().max(last);
        }
        let said = std::fs::read_to_string(&log).expect("it said something");
        let line = said.lines().last().unwrap_or_default();
        let result: raw::Result = serde_json::from_str(line).unwrap_or_else(|_| panic!("the raw loop: {said}"));
        let rate = plan.inputs as f64 / result.seconds;
        let micros = |seconds: f64| seconds * 1e6 / plan.inputs as f64;
        println!(
            "{title}: {rate:.0} inputs/s; CPU µs per input: loop {:.1}, broker {:.1}; {} transactions, p50 {:.1} ms, p99 {:.1} ms",
            micros(last),
            micros(broker.used()),
            result.transactions,
            result.p50_ms,
            result.p99_ms
        );
        rate
    }

    // --- Baton -------------------------------------------------------------------------------------

    /// Memory with many live tasks, then latencies at a steady rate.
    fn unloaded(&self, corner: &mut Corner, amounts: &Amounts) -> bool {
        let before = machine::resident_mib(corner.worker.pid());
        let from = corner.tasks;
        self.load(corner, amounts.live_tasks);
        until("the tasks are live", Duration::from_secs(120), || {
            let live = corner.worker.metric("baton_live_workflows");
            if live as usize == amounts.live_tasks { Ok(()) } else { Err(format!("{live}")) }
        });
        std::thread::sleep(Duration::from_millis(500));
        let memory = machine::resident_mib(corner.worker.pid());
        println!(
            "resident memory: {before:.0} MiB idle, {memory:.0} MiB with {} live tasks (at most 150)",
            amounts.live_tasks
        );
        self.end_all(corner, from, amounts.live_tasks);

        let agents = self.agents(corner);
        let pace = 50;
        // Once unmeasured: caches, pages and schemas are as in a worker that has run for a while.
        self.probe(corner, 100, pace);
        let (histogram, mut cpu) = (Histogram::read(&corner.worker), Cpu::of(Some(corner.worker.pid())));
        let (p50, p99, most) = self.probe(corner, amounts.probes, pace);
        let transactions = Histogram::read(&corner.worker).since(&histogram);
        let micros = cpu.used() * 1e6 / (amounts.probes * INPUTS_PER_TASK) as f64;
        drop(agents);
        println!(
            "unloaded, {pace} tasks/s of {STEPS} steps: task p50 {p50:.1} ms (at most 50), p99 {p99:.1} ms (at most 150), max {most:.1} ms",
            STEPS = workload::STEPS
        );
        let (transaction_p50, transaction_p99) = (transactions.quantile(0.5), transactions.quantile(0.99));
        println!(
            "unloaded transactions: p50 {transaction_p50:.1} ms (at most 8), p99 {transaction_p99:.1} ms, {:.1} inputs each; worker CPU {micros:.0} µs per input",
            (amounts.probes * INPUTS_PER_TASK) as f64 / transactions.count()
        );
        println!();
        memory <= 150.0 && p50 <= 50.0 && p99 <= 150.0 && transaction_p50 <= 8.0
    }

    fn warm_up(&self, corner: &mut Corner, tasks: usize) {
        let from = corner.tasks;
        self.load(corner, tasks);
        self.end_all(corner, from, tasks);
    }

    /// Lets agents answer until these tasks have ended.
    fn end_all(&self, corner: &mut Corner, from: usize, tasks: usize) {
        // Started late, agents would miss what was assigned: they read from the start of what is there.
        let agents = self.agents_from(corner, true);
        self.wait_completed(corner, from + tasks);
        drop(agents);
    }

    fn throughput(&self, mut corner: Corner, tasks: usize, rounds: usize) -> bool {
        let name = corner.workload.name();
        // Everything at once, as users see it: load, agents, broker and worker share the machine.
        let mut live: Vec<Stretch> = Vec::new();
        let mut alone: Vec<Stretch> = Vec::new();
        let mut raw: Vec<f64> = Vec::new();
        let mut sizes = None;
        for _ in 0..rounds {
            live.push(self.together(&mut corner, tasks));
            let before = Sizes::ends(&corner.place, corner.workload);
            alone.push(self.taking_turns(&mut corner, tasks));
            let plan = sizes.get_or_insert_with(|| {
                let sizes = Sizes::read(&corner.place, corner.workload, &before);
                sizes.print(tasks * INPUTS_PER_TASK);
                sizes
            });
            let number = raw.len();
            let plan = self.same_records(&corner, plan, tasks * INPUTS_PER_TASK, number);
            let title = format!("[{name}] raw loop, the same records");
            raw.push(self.raw(&corner.place, &plan, &title));
        }
        let median = |mut all: Vec<f64>| {
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        for (what, stretches) in [("live, with load and agents", &live), ("backlog, worker and broker alone", &alone)] {
            for stretch in stretches {
                let micros = |seconds: f64| seconds * 1e6 / stretch.inputs();
                println!(
                    "[{name}] {what}: {:.0} workflows/s, {:.0} inputs/s; CPU µs per input: worker {:.1}, broker {:.1}, agents {:.1}",
                    stretch.tasks as f64 / stretch.seconds,
                    stretch.inputs_per_second(),
                    micros(stretch.worker),
                    micros(stretch.broker),
                    micros(stretch.agents),
                );
            }
        }
        let rates = |all: &[Stretch]| median(all.iter().map(Stretch::inputs_per_second).collect());
        let raw = median(raw);
        let (engine, live) = (rates(&alone), rates(&live));
        println!(
            "[{name}] engine / raw loop: {:.0} % ({engine:.0} of {raw:.0} inputs/s; at least {:.0} %); live / raw loop: {:.0} %",
            engine / raw * 100.0,
            RATIO * 100.0,
            live / raw * 100.0
        );
        println!();
        engine / raw >= RATIO
    }

    /// Load, agents and worker at the same time.
    fn together(&self, corner: &mut Corner, tasks: usize) -> Stretch {
        let agents = self.agents(corner);
        let (mut worker, mut broker) = (Cpu::of(Some(corner.worker.pid())), Cpu::of(machine::broker()));
        let mut answering = Cpu::of(Some(agents.pid()));
        let from = corner.tasks;
        let start = Instant::now();
        self.load(corner, tasks);
        self.wait_completed(corner, from + tasks);
        let seconds = start.elapsed().as_secs_f64();
        Stretch { tasks, seconds, worker: worker.used(), broker: broker.used(), agents: answering.used() }
    }

    /// Worker and agents by turns, the other one stopped: what the worker does with a backlog, as the raw loop has it.
    fn taking_turns(&self, corner: &mut Corner, tasks: usize) -> Stretch {
        let agents = self.agents(corner);
        let (mut worker, mut broker) = (Cpu::of(Some(corner.worker.pid())), Cpu::of(machine::broker()));
        let status = corner.place.topic("agent-status");
        let ends = corner.place.reader(&[], false);
        let reports = || -> i64 { place::watermarks(&ends, &status).iter().map(|(_, (_, end))| end).sum() };
        let taken = |worker: &Worker, topic: &str| {
            worker.metric(&format!("baton_inputs_total{{topic=\"{topic}\",outcome=\"accepted\"}}")) as usize
        };
        let mut stretch = Stretch { tasks, seconds: 0.0, worker: 0.0, broker: 0.0, agents: 0.0 };
        for phase in 0..INPUTS_PER_TASK {
            let topic = if phase == 0 { "tasks" } else { "agent-status" };
            let before = taken(&corner.worker, topic);
            corner.worker.freeze();
            if phase == 0 {
                self.load(corner, tasks);
            } else {
                let already = reports();
                agents.signal("CONT");
                until("the agents have answered", Duration::from_secs(50), || {
                    let answered = reports() - already;
                    if answered >= tasks as i64 { Ok(()) } else { Err(format!("{answered} of {tasks}")) }
                });
            }
            agents.signal("STOP");
            let (worker_before, broker_before) = (worker.used(), broker.used());
            let start = Instant::now();
            corner.worker.thaw();
            until("the worker has taken them", Duration::from_secs(120), || {
                let taken = taken(&corner.worker, topic) - before;
                if taken >= tasks { Ok(()) } else { Err(format!("{taken} of {tasks}")) }
            });
            stretch.seconds += start.elapsed().as_secs_f64();
            stretch.worker += worker.used() - worker_before;
            stretch.broker += broker.used() - broker_before;
        }
        stretch
    }

    /// The raw loop's plan to read and write what Baton read and wrote.
    fn same_records(&self, corner: &Corner, sizes: &Sizes, inputs: usize, number: usize) -> Plan {
        let create = |topic: &str| corner.scratch.create(&format!("raw-{number}.{topic}"), PARTITIONS, &[]);
        let reads = ["tasks", "agent-status"].map(|topic| (create(topic), sizes.mean(topic)));
        let writes = sizes.written().map(|(topic, records, bytes)| Written {
            topic: create(topic),
            per_input: records as f64 / inputs as f64,
            bytes,
            headers: sizes.headers(topic),
            rotates: topic.starts_with("assignments."),
        });
        let writes = writes.collect();
        // Of four inputs three are reports.
        let [tasks, reports] = reads;
        let reads = vec![tasks, reports.clone(), reports.clone(), reports];
        Plan { inputs, reads, batch: BATCH, writes, partitions: PARTITIONS, name: format!("raw-{number}") }
    }

    fn wait_completed(&self, corner: &Corner, tasks: usize) {
        let line = r#"baton_completions_total{outcome="SUCCEEDED",reason="completed"}"#;
        until("all tasks succeed", Duration::from_secs(180), || {
            let ended = corner.worker.metric(line) as usize;
            if ended >= tasks { Ok(()) } else { Err(format!("{ended} of {tasks}\n{}", tail(&corner.worker))) }
        });
    }

    // --- processes ---------------------------------------------------------------------------------

    fn role(&self, role: &str, place: &Place, arguments: &[&str]) -> (Kept, PathBuf) {
        let mut command = Command::new(std::env::current_exe().expect("this binary has a path"));
        command.arg(format!("as-{role}")).args([&place.bootstrap, &place.prefix]).args(arguments);
        let log = self.dir.path().join(format!("{role}-{}.log", machine::unique()));
        (Kept::spawn(&command, &log), log)
    }

    /// Runs a role to its end and gives what it said.
    fn finish(&self, role: &str, place: &Place, arguments: &[&str]) -> String {
        let (mut process, log) = self.role(role, place, arguments);
        let status = process.wait(Duration::from_secs(300));
        let said = std::fs::read_to_string(log).unwrap_or_default();
        assert!(status.is_some_and(|status| status.success()), "{role}: {status:?}\n{said}");
        said
    }

    fn load(&self, corner: &mut Corner, tasks: usize) {
        let arguments = [corner.workload.name(), &corner.task_schema, &corner.tasks.to_string(), &tasks.to_string()];
        self.finish("load", &corner.place, &arguments);
        corner.tasks += tasks;
    }

    fn agents(&self, corner: &Corner) -> Kept {
        self.agents_from(corner, false)
    }

    fn agents_from(&self, corner: &Corner, start: bool) -> Kept {
        let from = if start { "start" } else { "end" };
        let arguments = [corner.workload.name(), &corner.report_schema, from];
        let (process, log) = self.role("agents", &corner.place, &arguments);
        until("the agents read", Duration::from_secs(30), || {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            if said.contains("ready") { Ok(()) } else { Err(said) }
        });
        process
    }

    /// p50, p99 and the longest, in milliseconds.
    fn probe(&self, corner: &mut Corner, tasks: usize, per_second: usize) -> (f64, f64, f64) {
        let [from, many, pace] = [corner.tasks, tasks, per_second].map(|number| number.to_string());
        let arguments = [corner.workload.name(), &corner.task_schema, &from, &many, &pace];
        let said = self.finish("probe", &corner.place, &arguments);
        corner.tasks += tasks;
        let mut numbers = said.lines().last().unwrap_or_default().split(' ').map(|one| one.parse().expect("a number"));
        let mut next = || numbers.next().expect("three numbers");
        (next(), next(), next())
    }
}

fn place_of(scratch: &Scratch) -> Place {
    Place { bootstrap: scratch.stack.bootstrap.clone(), prefix: scratch.prefix.clone() }
}

fn tail(worker: &Worker) -> String {
    support::reaper::tail(&worker.log(), 10)
}
