//! Agents: they read their topics at least once and say whatever agents say, late, twice, never, or nonsense.

use super::breakers;
use super::world::{PREFIX, World};
use baton::contract::{AgentReport, Assignment, ErrorClass, ReportError, ReportStatus, Usage, home_partition};
use baton::selection::{Agent, Definition, Registry, Resolved, Version, topic_name};
use baton::worker::{Outgoing, Sign};
use baton::workflow::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

struct Kind {
    name: &'static str,
    /// Labels of its input and its output.
    takes: &'static str,
    makes: &'static str,
    format: &'static str,
    /// What it takes at once.
    most: Option<i32>,
    idempotent: bool,
    asks_approval: bool,
    /// Gives signs of life, as long as it does.
    beats: bool,
}

const PLAIN: Kind = Kind {
    name: "",
    takes: "",
    makes: "",
    format: "text/plain",
    most: None,
    idempotent: true,
    asks_approval: false,
    beats: false,
};

const AGENTS: [Kind; 6] = [
    Kind { name: "Checker", takes: "raw", makes: "checked", ..PLAIN },
    Kind { name: "Second Checker", takes: "raw", makes: "checked", most: Some(1), idempotent: false, ..PLAIN },
    Kind { name: "Scorer", takes: "checked", makes: "scored", most: Some(2), beats: true, ..PLAIN },
    Kind { name: "Writer", takes: "scored", makes: "answered", beats: true, ..PLAIN },
    Kind { name: "Reader", takes: "doc", makes: "table", format: "application/json", ..PLAIN },
    Kind { name: "Printer", takes: "table", makes: "doc", asks_approval: true, ..PLAIN },
];

/// Milliseconds between two signs of life, and of silence after which an agent is gone.
const BEAT: i64 = 1_000;
pub(crate) const SILENCE: i64 = 4_000;

/// Sizes of inputs and outputs, in bytes; the last ones are over one limit or another.
pub(crate) const SIZES: [usize; 8] = [1, 10, 10, 100, 100, 1_500, 3_800, 5_200];

/// All agents, and then, one after the other, all but one.
fn registries() -> &'static [Registry] {
    static ALL: OnceLock<Vec<Registry>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut entries = BTreeMap::new();
        for kind in &AGENTS {
            let (name, takes, makes) = (kind.name, kind.takes, kind.makes);
            let mut definition = Definition::new(name);
            definition.description = format!("Makes {makes} of {takes}.");
            definition.capabilities = vec![format!("make {makes}")];
            definition.input.contract = Some(takes.to_owned());
            definition.output.contract = Some(makes.to_owned());
            definition.output.format = kind.format.to_owned();
            definition.max_concurrency = kind.most;
            definition.idempotent = kind.idempotent;
            definition.require_approval = kind.asks_approval;
            let (takes, makes) = (Resolved::Label(takes.to_owned()), Resolved::Label(makes.to_owned()));
            let agent = Agent::compile(&key(name), definition, takes, makes).expect("a sound definition");
            entries.insert(key(name), Ok(Arc::new(agent)));
        }
        let all = Registry::new(entries);
        let without = AGENTS.iter().map(|kind| all.remove(&key(kind.name)));
        [all.clone()].into_iter().chain(without.collect::<Vec<_>>()).collect()
    })
}

pub(crate) fn key(name: &str) -> String {
    topic_name(name, Version::parse("1.0.0").expect("a version").major)
}

/// The topics of all agents' assignments.
pub(crate) fn topics() -> &'static [String] {
    static TOPICS: OnceLock<Vec<String>> = OnceLock::new();
    TOPICS.get_or_init(|| AGENTS.iter().map(|kind| format!("{PREFIX}.assignments.{}", key(kind.name))).collect())
}

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    AGENTS.iter().map(|kind| kind.name)
}

/// What the agent of that name makes.
pub(crate) fn makes(name: &str) -> &'static str {
    AGENTS.iter().find(|kind| kind.name == name).map_or("nothing", |kind| kind.makes)
}

/// Agents that take only so much at once, and how much.
pub(crate) fn limited() -> impl Iterator<Item = (&'static str, usize)> {
    AGENTS.iter().filter_map(|kind| Some((kind.name, usize::try_from(kind.most?).ok()?)))
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
    /// When each gives its next sign of life.
    beats: BTreeMap<&'static str, i64>,
}

impl Agents {
    pub(crate) fn is_idle(&self) -> bool {
        self.sending.is_empty()
    }
}

/// Signs of life, which stop for a while now and then.
fn beat(world: &World) {
    let now = world.time();
    for kind in AGENTS.iter().filter(|kind| kind.beats) {
        let due = world.agents.borrow().beats.get(kind.name).copied().unwrap_or(0);
        if due > now && !(world.is_calm() && due > now + BEAT) {
            continue;
        }
        let stops = due > 0 && world.dice.percent(3) && !world.is_calm();
        if stops {
            world.occurred("heartbeats stop");
        }
        let next = if stops { now + world.dice.millis(2 * SILENCE, 4 * SILENCE) } else { now + BEAT };
        world.agents.borrow_mut().beats.insert(kind.name, next);
        if !stops {
            let sign = Sign { at: Timestamp(world.wall()), capacity: 3, ..Sign::default() };
            world.presence.take(&key(kind.name), "one", sign, Some(Timestamp(world.wall())));
        }
    }
}

/// One agent reads, or one report is sent; whether anything was done.
pub(crate) fn act(world: &World) -> bool {
    beat(world);
    breakers::act(world);
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
        6..20 => AgentReport { error: Some(error(world)), ..report(ReportStatus::Failed) },
        20..27 => report(ReportStatus::Declined),
        27..32 => report(ReportStatus::InputRequired),
        32..38 => {
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

/// Why it failed, of any class there is.
fn error(world: &World) -> ReportError {
    let classes = [
        (ErrorClass::Transient, "fails TRANSIENT"),
        (ErrorClass::Transient, "fails TRANSIENT"),
        (ErrorClass::RateLimited, "fails RATE_LIMITED"),
        (ErrorClass::Timeout, "fails TIMEOUT"),
        (ErrorClass::InvalidOutput, "fails INVALID_OUTPUT"),
        (ErrorClass::Contract, "fails CONTRACT"),
        (ErrorClass::Auth, "fails AUTH"),
        (ErrorClass::Permanent, "fails PERMANENT"),
        (ErrorClass::Cancelled, "fails CANCELLED"),
    ];
    let (class, name) = *world.dice.one(&classes);
    world.occurred(name);
    let retry_after_ms = (class == ErrorClass::RateLimited).then(|| world.dice.millis(0, 3_000));
    ReportError { class, message: "no".to_owned(), retry_after_ms, ..ReportError::default() }
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
