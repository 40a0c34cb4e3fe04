//! Plans in the pure core: how fast they go on, are judged, and what a live one takes.

use super::measure::{on_cpu, resident};
use super::{median, show};
use baton::partition::{Arrival, Output, Partition, Source, View, What};
use baton::selection::{Agent, Availability, Definition, Registry, Resolved, Schemas, Strategies, Version, topic_name};
use baton::workflow::{
    AssignmentId, Input, Payload, PlannedStep, Position, Report, ReportStatus, Rules, Submission, Task, Timestamp,
    Usage, plan_faults,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Inputs of one batch, as `worker.batch` has it.
const BATCH: usize = 2_000;
const LEAST_FACTS: f64 = 200_000.0;
const MOST_VALIDATION_MS: f64 = 10.0;
const MOST_BYTES: usize = 4_096;

/// Plans of 100 steps, 10 wide and 10 deep, from the task to its end; all reports of a batch are on different tasks.
pub(crate) fn throughput(quick: bool) -> bool {
    let tasks = if quick { 200 } else { BATCH };
    let mut engine = Engine::new(10);
    let mut figures = Vec::new();
    // The first run of a process is slower for reasons of its own.
    for round in 0..if quick { 2 } else { 4 } {
        let (mut facts, mut took) = (0, Duration::ZERO);
        let batch = (0..tasks).map(|_| engine.submit(plan(10, 10))).collect();
        engine.apply(batch, &mut facts, &mut took);
        while let Some(batch) = engine.reports(usize::MAX) {
            engine.apply(batch, &mut facts, &mut took);
        }
        assert_eq!((engine.partition.live(), facts), (0, tasks * (4 * 100 + 3)), "every plan came to its end");
        if round > 0 {
            figures.push(facts as f64 / took.as_secs_f64());
        }
    }
    let rate = median(figures);
    let figure = format!("{rate:.0} facts/s ({:.1} µs per input)", 4e6 / rate);
    show("plan of 100 steps, 10 wide, 10 deep", &figure, "200,000 facts/s", rate >= LEAST_FACTS)
}

/// A plan of 1,000 steps that nothing is wrong with, so that all of it is looked at, among 100 agents.
pub(crate) fn validation(quick: bool) -> bool {
    let engine = Engine::new(100);
    let mut plan = plan(10, 100);
    for (number, step) in plan.iter_mut().enumerate() {
        if number % 2 == 0 {
            step.agent_name = None;
            step.capability = Some(format!("skill {}", number % 100));
        }
    }
    let took: Vec<f64> = (0..if quick { 3 } else { 101 })
        .map(|_| {
            let start = Instant::now();
            let faults = engine.with_view(|view| plan_faults(&plan, &[], view));
            assert_eq!(faults, Vec::<String>::new());
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    let took = median(took);
    show("validation of a plan of 1,000 steps", &format!("{took:.2} ms"), "10 ms", took <= MOST_VALIDATION_MS)
}

/// Plans of 10 steps, 2 wide, half of which have succeeded: no input, and outputs of one byte.
pub(crate) fn memory(quick: bool) -> bool {
    let live = if quick { 5_000 } else { 100_000 };
    let mut engine = Engine::new(10);
    let before = resident();
    let (mut facts, mut took) = (0, Duration::ZERO);
    let mut left = live;
    while left > 0 {
        let many = left.min(BATCH);
        let batch = (0..many).map(|_| engine.submit(plan(2, 5))).collect();
        engine.apply(batch, &mut facts, &mut took);
        for _ in 0..5 {
            let batch = engine.reports(many).expect("a step is with an agent");
            engine.apply(batch, &mut facts, &mut took);
        }
        // What waits to be reported is the bench's own.
        engine.waiting = VecDeque::new();
        left -= many;
    }
    assert_eq!(engine.partition.live(), live);
    let bytes = before.zip(resident()).map_or(0, |(before, after)| after.saturating_sub(before) / live);
    let (step, planned) = (size_of::<baton::workflow::Step>(), size_of::<PlannedStep>());
    let figure = format!("{bytes} B, its plan included (a step {step} B, a planned one {planned} B without its texts)");
    show("a live workflow of 10 steps without payloads", &figure, "4 KB", bytes <= MOST_BYTES)
}

/// `deep` rows of `wide` steps; each step depends on two of the row before, and is for a named agent.
fn plan(wide: usize, deep: usize) -> Vec<PlannedStep> {
    let id = |row: usize, place: usize| format!("{row}-{}", place % wide);
    let steps = (0..deep).flat_map(|row| (0..wide).map(move |place| (row, place)));
    let step = |(row, place): (usize, usize)| {
        let depends_on = if row == 0 { vec![] } else { vec![id(row - 1, place), id(row - 1, place + 1)] };
        PlannedStep {
            step_id: id(row, place),
            objective: "Read what was collected and add what is known of it.".to_owned(),
            depends_on,
            agent_name: Some(format!("Agent {}", place % 10)),
            ..PlannedStep::default()
        }
    };
    steps.map(step).collect()
}

/// A step that is with an agent.
struct Assigned {
    step_id: Arc<str>,
    agent_name: Arc<str>,
    attempt: u32,
}

/// A task under way, with those of its steps that are with agents, longest waiting first.
struct Running {
    id: Arc<str>,
    accepted: Position,
    assigned: VecDeque<Assigned>,
}

struct Engine {
    partition: Partition,
    registry: Registry,
    availability: Availability,
    waiting: VecDeque<Running>,
    started: usize,
    offsets: [i64; 2],
    now: Timestamp,
}

impl Engine {
    fn new(agents: usize) -> Self {
        let mut entries = BTreeMap::new();
        for number in 0..agents {
            let mut definition = Definition::new(format!("Agent {number}"));
            definition.description = "Takes one kind of record and hands on another.".to_owned();
            definition.capabilities = vec![format!("skill {number}"), "read a record".to_owned()];
            let major = Version::parse(&definition.version).expect("a version").major;
            let key = topic_name(&definition.agent_name, major);
            let agent = Agent::compile(&key, definition, Resolved::Any, Resolved::Any).expect("a sound definition");
            entries.insert(key, Ok(Arc::new(agent)));
        }
        let registry = Registry::new(entries);
        let availability = registry.entries().map(|(key, _)| key).collect();
        Self {
            partition: Partition::new(0, [Some(0); 3], BTreeMap::new()),
            registry,
            availability,
            waiting: VecDeque::new(),
            started: 0,
            offsets: [0; 2],
            now: Timestamp(1_700_000_000_000),
        }
    }

    fn with_view<R>(&self, with: impl FnOnce(&View<'_>) -> R) -> R {
        let (rules, schemas) = (Rules::default(), Schemas::default());
        with(&View {
            registry: &self.registry,
            availability: self.availability.clone(),
            strategies: Strategies::default(),
            rules: &rules,
            schemas: &schemas,
        })
    }

    /// Stages and adopts one batch; only that is timed. Takes note of whom the steps are with.
    fn apply(&mut self, batch: Vec<Arrival>, facts: &mut usize, took: &mut Duration) {
        self.now = self.now.plus(10);
        let start = on_cpu();
        let staged = self.with_view(|view| self.partition.stage(&batch, view, self.now));
        let mut busy = on_cpu().saturating_sub(start);
        assert!(staged.dead.is_empty(), "every input counts: {:?}", staged.dead.first());
        let mut running: BTreeMap<Arc<str>, Running> = BTreeMap::new();
        for planned in &staged.outputs {
            match &planned.item {
                Output::Facts(out) => *facts += out.events.len(),
                Output::Assignment(out) => {
                    let id = Arc::clone(&out.task.task_id);
                    let accepted = out.task.accepted;
                    let task = running.entry(Arc::clone(&id));
                    let task = task.or_insert_with(|| Running { id, accepted, assigned: VecDeque::new() });
                    task.assigned.push_back(Assigned {
                        step_id: Arc::clone(&out.assigned.step_id),
                        agent_name: Arc::clone(&out.assigned.chosen.agent_name),
                        attempt: out.assigned.attempt,
                    });
                }
                _ => {}
            }
        }
        for task in &mut self.waiting {
            if let Some(more) = running.remove(&task.id) {
                task.assigned.extend(more.assigned);
            }
        }
        self.waiting.extend(running.into_values());
        self.waiting.retain(|task| !task.assigned.is_empty());
        let start = on_cpu();
        self.partition.adopt(staged);
        busy += on_cpu().saturating_sub(start);
        *took += busy;
    }

    fn source(&mut self, input: usize) -> (Option<Source>, i64) {
        let offset = self.offsets[input];
        self.offsets[input] += 1;
        (Some(Source { input, offset }), offset)
    }

    fn submit(&mut self, plan: Vec<PlannedStep>) -> Arrival {
        let number = self.started;
        self.started += 1;
        let id: Arc<str> = format!("lead-2026-{number:09}").into();
        let (source, accepted) = self.source(0);
        let mut task = Task::new(&*id, "Qualify this lead: check the company, score it, and write a first answer.");
        task.plan = Some(plan.into());
        let submission = Submission {
            task: Arc::new(task),
            content_hash: [number as u8; 16],
            accepted: Position { partition: 0, offset: accepted },
            submitted_at: self.now,
            traceparent: None,
        };
        Arrival { task_id: id, what: What::Input(Input::Submitted(submission)), source, at: self.now }
    }

    /// One report for each of up to `most` tasks, on the step that waited longest; none if no step is with an agent.
    fn reports(&mut self, most: usize) -> Option<Vec<Arrival>> {
        let mut waiting = std::mem::take(&mut self.waiting);
        let reports = waiting.iter_mut().take(most.min(BATCH)).filter_map(|task| {
            let assigned = task.assigned.pop_front()?;
            Some(self.report(&task.id, task.accepted, &assigned))
        });
        let reports: Vec<Arrival> = reports.collect();
        self.waiting = waiting;
        (!reports.is_empty()).then_some(reports)
    }

    fn report(&mut self, id: &Arc<str>, accepted: Position, assigned: &Assigned) -> Arrival {
        let Assigned { step_id, agent_name, attempt } = assigned;
        let assignment = AssignmentId { task_id: id, accepted, step_id, attempt: *attempt };
        let report = Report {
            task_id: id.to_string(),
            assignment_id: assignment.to_string(),
            agent_name: agent_name.to_string(),
            instance: None,
            status: ReportStatus::Succeeded,
            output: Some(Payload::from("1")),
            progress: None,
            message: None,
            error: None,
            usage: Some(Usage { input_tokens: 900, output_tokens: 120, cost_micros: 350 }),
            time: None,
        };
        let (source, _) = self.source(1);
        let what = What::Input(Input::Reported { report: Arc::new(report), too_large: None });
        Arrival { task_id: Arc::clone(id), what, source, at: self.now }
    }
}
