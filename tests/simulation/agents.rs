//! Agents: they read their topics at least once and say whatever agents say, late, twice, never, or nonsense.

use super::world::{PREFIX, World};
use baton::contract::{AgentReport, Assignment, ErrorClass, ReportError, ReportStatus, Usage, home_partition};
use baton::selection::{Agent, Definition, Registry, Resolved, Version, topic_name};
use baton::worker::Outgoing;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// Name, the label it takes, the label it makes, its output's format.
const AGENTS: [(&str, &str, &str, &str); 6] = [
    ("Checker", "raw", "checked", "text/plain"),
    ("Second Checker", "raw", "checked", "text/plain"),
    ("Scorer", "checked", "scored", "text/plain"),
    ("Writer", "scored", "answered", "text/plain"),
    ("Reader", "doc", "table", "application/json"),
    ("Printer", "table", "doc", "text/plain"),
];

/// Sizes of inputs and outputs, in bytes; the last ones are over one limit or another.
pub(crate) const SIZES: [usize; 8] = [1, 10, 10, 100, 100, 1_500, 3_800, 5_200];

/// All agents, and then, one after the other, all but one.
fn registries() -> &'static [Registry] {
    static ALL: OnceLock<Vec<Registry>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut entries = BTreeMap::new();
        for (name, takes, makes, format) in AGENTS {
            let mut definition = Definition::new(name);
            definition.description = format!("Makes {makes} of {takes}.");
            definition.capabilities = vec![format!("make {makes}")];
            definition.input.contract = Some(takes.to_owned());
            definition.output.contract = Some(makes.to_owned());
            definition.output.format = format.to_owned();
            let (takes, makes) = (Resolved::Label(takes.to_owned()), Resolved::Label(makes.to_owned()));
            let agent = Agent::compile(&key(name), definition, takes, makes).expect("a sound definition");
            entries.insert(key(name), Ok(Arc::new(agent)));
        }
        let all = Registry::new(entries);
        let without = AGENTS.iter().map(|(name, ..)| all.remove(&key(name)));
        [all.clone()].into_iter().chain(without.collect::<Vec<_>>()).collect()
    })
}

fn key(name: &str) -> String {
    topic_name(name, Version::parse("1.0.0").expect("a version").major)
}

/// The topics of all agents' assignments.
pub(crate) fn topics() -> &'static [String] {
    static TOPICS: OnceLock<Vec<String>> = OnceLock::new();
    TOPICS.get_or_init(|| AGENTS.iter().map(|(name, ..)| format!("{PREFIX}.assignments.{}", key(name))).collect())
}

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    AGENTS.iter().map(|(name, ..)| *name)
}

/// What the agent of that name makes.
pub(crate) fn makes(name: &str) -> &'static str {
    AGENTS.iter().find(|agent| agent.0 == name).map_or("nothing", |agent| agent.2)
}

/// Registers all agents.
pub(crate) fn register_all(world: &World) {
    world.registry.set(registries()[0].clone());
}

/// Takes one agent off the registry, or puts all back.
pub(crate) fn register_anew(world: &World) {
    let which = if world.dice.percent(50) { 0 } else { 1 + world.dice.pick(AGENTS.len()) };
    world.occurred(if which == 0 { "agent back" } else { "agent gone" });
    world.registry.set(registries()[which].clone());
}

#[derive(Debug, Default)]
pub(crate) struct Agents {
    positions: BTreeMap<(&'static str, usize), i64>,
    /// Reports on their way, by when they are sent.
    sending: Vec<(i64, Outgoing, String)>,
}

impl Agents {
    pub(crate) fn is_idle(&self) -> bool {
        self.sending.is_empty()
    }
}

/// One agent reads, or one report is sent; whether anything was done.
pub(crate) fn act(world: &World) -> bool {
    let now = world.time();
    let due = {
        let sending = &mut world.agents.borrow_mut().sending;
        sending.iter().position(|(due, ..)| *due <= now).map(|place| sending.swap_remove(place))
    };
    if let Some((_, report, words)) = due {
        world.note(|| words);
        world.broker.borrow_mut().append(&report, world.wall());
        return true;
    }
    let assignments = read(world);
    let any = !assignments.is_empty();
    for assignment in assignments {
        work(world, &assignment);
    }
    any
}

fn read(world: &World) -> Vec<Assignment> {
    let mut found = Vec::new();
    let broker = world.broker.borrow();
    for topic in topics() {
        let Some(there) = broker.topics.get(topic) else { continue };
        for (number, log) in there.partitions.iter().enumerate() {
            let mut agents = world.agents.borrow_mut();
            let position = agents.positions.entry((topic, number)).or_default();
            for kept in log.committed(*position) {
                let value = kept.value.as_deref().unwrap_or_default();
                found.push(world.codec.decode(value).expect("an assignment is what its schema says"));
                if world.dice.percent(4) && !world.is_calm() {
                    // It dies before it has committed its offset.
                    world.occurred("assignment read again");
                    break;
                }
                *position = kept.offset + 1;
            }
        }
    }
    found
}

fn work(world: &World, assignment: &Assignment) {
    let dice = &world.dice;
    let report = |status| {
        let (task, id, agent) = (&assignment.task_id, &assignment.assignment_id, &assignment.agent_name);
        AgentReport::new(task.clone(), id.clone(), agent.clone(), status)
    };
    let mut at = world.time() + dice.millis(0, 800);
    if dice.percent(10) {
        at += dice.millis(0, 7_000);
    }
    if dice.percent(60) {
        send(world, at, &report(ReportStatus::Accepted));
    }
    for _ in 0..dice.pick(4) {
        at += dice.millis(1, 2_500);
        send(world, at, &AgentReport { progress: Some(0.5), ..report(ReportStatus::Progress) });
    }
    at += dice.millis(1, 1_500);
    if dice.percent(8) {
        world.occurred("report late");
        at += dice.millis(5_000, 30_000);
    }
    let last = match dice.pick(100) {
        0..6 => {
            world.occurred("report missing");
            return;
        }
        6..12 => {
            let error =
                ReportError { class: ErrorClass::Permanent, message: "no".to_owned(), ..ReportError::default() };
            AgentReport { error: Some(error), ..report(ReportStatus::Failed) }
        }
        12..22 => report(ReportStatus::Declined),
        22..26 => report(ReportStatus::InputRequired),
        26..32 => {
            world.occurred("report of nobody");
            let stray = match dice.pick(3) {
                0 => AgentReport { agent_name: "Nobody".to_owned(), ..report(ReportStatus::Succeeded) },
                1 => AgentReport { task_id: "t-unheard-of".to_owned(), ..report(ReportStatus::Succeeded) },
                _ => AgentReport { assignment_id: "t~0-0~1~99".to_owned(), ..report(ReportStatus::Succeeded) },
            };
            send(world, at, &stray);
            AgentReport { output: Some("done".to_owned()), ..report(ReportStatus::Succeeded) }
        }
        _ => AgentReport { output: Some(output(world)), ..report(ReportStatus::Succeeded) },
    };
    let usage = Usage { input_tokens: 10, output_tokens: 5, cost_micros: 7 };
    send(world, at, &AgentReport { usage: Some(usage), ..last });
}

fn output(world: &World) -> String {
    let size = *world.dice.one(&SIZES);
    let text = "x".repeat(size);
    // An agent that declares JSON does not always write it.
    if world.dice.percent(85) { format!("\"{text}\"") } else { text }
}

fn send(world: &World, at: i64, report: &AgentReport) {
    let value = match world.dice.pick(3) {
        0 => world.codec.encode(report),
        1 => serde_json::to_vec(report).expect("a report is JSON"),
        // JSON under a schema that nobody has seen yet.
        _ => baton::contract::wire::frame(world.late_schema(), &serde_json::to_vec(report).expect("a report is JSON")),
    };
    let outgoing = world.to("agent-status", &report.task_id, Some(value));
    let words = format!("{} says {:?} of {}", report.agent_name, report.status, report.assignment_id);
    let mut agents = world.agents.borrow_mut();
    if world.dice.percent(10) {
        world.occurred("report twice");
        agents.sending.push((at + world.dice.millis(0, 9_000), outgoing.clone(), words.clone()));
    }
    agents.sending.push((at, outgoing, words));
}

/// The home of a task's records.
pub(crate) fn home(task_id: &str, partitions: usize) -> i32 {
    home_partition(task_id, i32::try_from(partitions).expect("a few"))
}
