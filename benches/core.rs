//! The pure core alone: `Partition::stage` and `adopt`, no Kafka, no encoding. Prints its figures; see `README.md`.
//!
//! The population is held steady: each batch brings as many new tasks as it ends old ones, and the reports are those of
//! the tasks that waited longest, so with a million of them every one is out of the processor's caches when its turn comes.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "engine/measure.rs"]
mod measure;

use baton::partition::{Arrival, Kept, Partition, Source, View, What, Window};
use baton::selection::{Agent, Availability, Definition, Registry, Resolved, Schemas, Strategies, Version, topic_name};
use baton::workflow::{
    AssignmentId, Input, Payload, Position, Report, ReportStatus, Rules, Submission, Task, Timestamp, Usage,
};
use measure::{on_cpu, resident};
use std::collections::{BTreeMap, VecDeque};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// The binary's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Inputs of one batch, as `worker.batch` has it.
const BATCH: usize = 2_000;
/// A task and three reports.
const INPUTS_PER_TASK: usize = 4;
/// Inputs per second of one core, at least.
const LEAST: f64 = 500_000.0;
/// How much slower an input may be among a million workflows than among a thousand.
const SLOWER: f64 = 3.0;
const WINDOW: Window = Window { millis: 3_600_000, count: 10_000 };

/// What a population did.
struct Figures {
    live: usize,
    inputs: usize,
    took: Duration,
    bytes_per_workflow: Option<usize>,
}

impl Figures {
    fn per_second(&self) -> f64 {
        self.inputs as f64 / self.took.as_secs_f64()
    }
}

fn main() -> ExitCode {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (large, inputs) = if quick { (50_000, 200_000) } else { (1_000_000, 4_000_000) };
    // Twice the small one: the first run of a process is slower for reasons of its own.
    let runs = [(1_000, inputs / 2), (1_000, inputs), (large, inputs)];
    let figures: Vec<Figures> = runs.into_iter().map(|(live, inputs)| Population::new(live).run(inputs)).collect();
    println!("core: stage + adopt, routes of 3 steps by contract, ten agents, one core");
    for one in &figures[1..] {
        let memory = one.bytes_per_workflow.map_or_else(String::new, |bytes| format!(", {bytes} B per live workflow"));
        println!(
            "  {:>9} live workflows: {:>9.0} inputs/s, {:.3} µs per input{memory}",
            one.live,
            one.per_second(),
            1e6 / one.per_second()
        );
    }
    let (small, large) = (figures[1].per_second(), figures[2].per_second());
    println!("  slower by {:.2} with {} live (at most {SLOWER})", small / large, figures[2].live);
    let reached = small >= LEAST && small / large <= SLOWER;
    println!("  at least {LEAST:.0} inputs/s: {}", if reached { "reached" } else { "MISSED" });
    if reached || quick { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Three chains of three agents, and one more that nothing leads to.
fn registry() -> Registry {
    let stages = ["raw", "checked", "scored", "answered"];
    let mut entries = BTreeMap::new();
    let mut add = |name: String, takes: String, gives: String| {
        let mut definition = Definition::new(name);
        definition.description = "Takes one kind of record and hands on another.".to_owned();
        definition.capabilities = vec!["read a record".to_owned(), "add what is known of a customer".to_owned()];
        definition.input.contract = Some(takes.clone());
        definition.output.contract = Some(gives.clone());
        let key = topic_name(&definition.agent_name, Version::parse(&definition.version).expect("a version").major);
        let agent = Agent::compile(&key, definition, Resolved::Label(takes), Resolved::Label(gives));
        entries.insert(key, Ok(Arc::new(agent.expect("a sound definition"))));
    };
    for chain in 0..3 {
        for (stage, pair) in stages.windows(2).enumerate() {
            add(format!("Agent {chain} {stage}"), format!("{}-{chain}", pair[0]), format!("{}-{chain}", pair[1]));
        }
    }
    add("Letter Writer".to_owned(), "letter".to_owned(), "printed letter".to_owned());
    Registry::new(entries)
}

/// A task under way: what its next report needs.
struct Running {
    id: Arc<str>,
    number: usize,
    accepted: i64,
}

struct Population {
    partition: Partition,
    registry: Registry,
    availability: Availability,
    live: usize,
    /// Tasks by the step they wait in, longest waiting first.
    waiting: [VecDeque<Running>; INPUTS_PER_TASK - 1],
    started: usize,
    offsets: [i64; 3],
    now: Timestamp,
}

impl Population {
    fn new(live: usize) -> Self {
        let registry = registry();
        let availability = registry.entries().map(|(key, _)| key).collect();
        Self {
            partition: Partition::new(0, [Some(0); 3], BTreeMap::<Arc<str>, Kept>::new()),
            registry,
            availability,
            live,
            waiting: Default::default(),
            started: 0,
            offsets: [0; 3],
            now: Timestamp(1_700_000_000_000),
        }
    }

    /// Fills up, then measures.
    fn run(mut self, inputs: usize) -> Figures {
        let before = resident();
        // A third of the tasks in each step; the last third has gone through all three batches.
        let third = self.live / 3;
        for steps in (0..3).rev() {
            let target = if steps == 2 { self.live - 2 * third } else { third };
            let mut left = target;
            while left > 0 {
                let many = left.min(BATCH);
                let batch = (0..many).map(|_| self.submit()).collect();
                self.apply(batch);
                left -= many;
            }
            for step in 0..steps {
                let mut left = target;
                while left > 0 {
                    let many = left.min(BATCH);
                    let batch = (0..many).filter_map(|_| self.report(step)).collect();
                    self.apply(batch);
                    left -= many;
                }
            }
        }
        let bytes_per_workflow =
            before.zip(resident()).map(|(before, after)| after.saturating_sub(before) / self.partition.live());
        // Few live tasks: small batches, so that no report is about a task of the same batch.
        let rounds = (BATCH / INPUTS_PER_TASK).min(third);
        let (mut done, mut took) = (0, Duration::ZERO);
        while done < inputs {
            let mut batch = Vec::with_capacity(BATCH);
            for _ in 0..rounds {
                batch.extend((0..3).rev().filter_map(|step| self.report(step)));
                batch.push(self.submit());
            }
            done += batch.len();
            for task_id in self.partition.forgettable(WINDOW, self.now, BATCH) {
                batch.push(Arrival { task_id, what: What::Forget, source: None, at: self.now });
            }
            took += self.apply(batch);
        }
        assert_eq!(self.partition.live(), self.live, "as many tasks ended as came");
        Figures { live: self.live, inputs: done, took, bytes_per_workflow }
    }

    /// Stages and adopts one batch; only that is timed.
    fn apply(&mut self, batch: Vec<Arrival>) -> Duration {
        self.now = self.now.plus(10);
        let rules = Rules::default();
        let schemas = Schemas::default();
        let view = View {
            registry: &self.registry,
            availability: self.availability.clone(),
            strategies: Strategies::default(),
            rules: &rules,
            schemas: &schemas,
        };
        let started = on_cpu();
        let staged = self.partition.stage(&batch, &view, self.now);
        let counts = &staged.counts;
        let fine: u64 = counts.inputs[..2].iter().map(|tally| tally.accepted).sum();
        let records = batch.iter().filter(|arrival| arrival.source.is_some()).count() as u64;
        assert_eq!(fine, records, "every input counts: {:?} {:?}", counts, staged.dead.first());
        self.partition.adopt(staged);
        on_cpu().saturating_sub(started)
    }

    fn source(&mut self, input: usize) -> (Option<Source>, i64) {
        let offset = self.offsets[input];
        self.offsets[input] += 1;
        (Some(Source { input, offset }), offset)
    }

    fn submit(&mut self) -> Arrival {
        let number = self.started;
        self.started += 1;
        let id: Arc<str> = format!("lead-2026-{number:09}").into();
        let (source, accepted) = self.source(0);
        let mut task = Task::new(&*id, "Qualify this lead: check the company, score it, and write a first answer.");
        let company = number % 977;
        task.input = Some(Payload::from(format!(
            "{{\"company\":\"Customer {company}\",\"contact\":{{\"name\":\"Person {number}\",\"mail\":\"person{number}@example.org\"}},\
             \"message\":\"We are looking for a system that reads our invoices and books them. Please call us back this week.\",\
             \"employees\":{},\"country\":\"DE\"}}",
            number % 5_000
        )));
        task.input_contract = Some(format!("raw-{}", number % 3));
        self.waiting[0].push_back(Running { id: Arc::clone(&id), number, accepted });
        let submission = Submission {
            task: Arc::new(task),
            content_hash: [number as u8; 16],
            accepted: Position { partition: 0, offset: accepted },
            submitted_at: self.now,
            traceparent: None,
        };
        Arrival { task_id: id, what: What::Input(Input::Submitted(submission)), source, at: self.now }
    }

    /// The report on the step of the task that has waited longest in it.
    fn report(&mut self, step: usize) -> Option<Arrival> {
        let Running { id, number, accepted } = self.waiting[step].pop_front()?;
        let step_id = (step + 1).to_string();
        let accepted_at = Position { partition: 0, offset: accepted };
        let assignment = AssignmentId { task_id: &id, accepted: accepted_at, step_id: &step_id, attempt: 1 };
        let report = Report {
            task_id: id.to_string(),
            assignment_id: assignment.to_string(),
            agent_name: format!("Agent {} {step}", number % 3),
            instance: Some("pool-1".to_owned()),
            status: ReportStatus::Succeeded,
            output: Some(Payload::from(format!(
                "{{\"company\":\"Customer {}\",\"score\":{},\"why\":\"It asks for what we sell, and says by when it wants it.\"}}",
                number % 977,
                number % 100
            ))),
            progress: None,
            message: None,
            error: None,
            usage: Some(Usage { input_tokens: 900, output_tokens: 120, cost_micros: 350 }),
            time: None,
        };
        if step + 1 < self.waiting.len() {
            self.waiting[step + 1].push_back(Running { id: Arc::clone(&id), number, accepted });
        }
        let (source, _) = self.source(1);
        let what = What::Input(Input::Reported { report: Arc::new(report), too_large: None });
        Some(Arrival { task_id: id, what, source, at: self.now })
    }
}
