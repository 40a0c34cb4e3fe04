//! Thousands of tasks, routes and plans, retries among them, three workers, and none of them left in peace.

use super::super::support::agents::{Agents, Behaviour, Say, payload};
use super::super::support::{Partitioner, Scratch, Send, Sender, Topic, Worker, heavy};
use super::audit::audit;
use super::{by_contract, corner, records_in, register, task};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const TASKS: usize = 5_000;
/// Handed in and not completed at once, at most: enough that every strike hits work under way.
const UNDER_WAY: usize = 800;
/// From the first task to the last, if nothing held it up.
const SPREAD: Duration = Duration::from_secs(60);
/// These are kept back until all that must happen has happened, and then trickle in.
const KEPT_BACK: usize = 500;
const KILLS: usize = 10;
const FREEZES: usize = 3;
/// A frozen worker's session is over after six seconds.
const SESSION: Duration = Duration::from_secs(6);
const STRIKES_FOR: Duration = Duration::from_secs(180);
const THE_REST: Duration = Duration::from_secs(120);
const AGENTS: [(&str, &str, &str); 3] =
    [("Researcher", "lead", "report"), ("Scorer", "report", "score"), ("Writer", "score", "mail")];

/// Small and good enough to strike at random; the seed makes a run's strikes the same again.
struct Dice(u64);

impl Dice {
    fn new() -> (Self, u64) {
        let given = std::env::var("BATON_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").subsec_nanos().into();
        let seed = given.unwrap_or_else(clock);
        (Self(seed), seed)
    }

    /// SplitMix64.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

enum Health {
    Runs,
    /// Killed; started again then.
    Dead(Instant),
    /// Thawed then.
    Frozen(Instant),
}

struct Victim<'s> {
    scratch: &'s Scratch,
    slot: String,
    worker: Worker,
    health: Health,
}

impl<'s> Victim<'s> {
    fn start(scratch: &'s Scratch, slot: &str) -> Self {
        Self { scratch, slot: slot.into(), worker: spawn(scratch, slot), health: Health::Runs }
    }

    /// What is due by now.
    fn mend(&mut self, now: Instant) {
        match self.health {
            Health::Dead(until) if until <= now => self.worker = spawn(self.scratch, &self.slot),
            Health::Frozen(until) if until <= now => self.worker.thaw(),
            Health::Runs => return assert!(self.worker.runs(), "worker {} ended by itself", self.slot),
            Health::Dead(_) | Health::Frozen(_) => return,
        }
        self.health = Health::Runs;
    }

    fn is_running(&self) -> bool {
        matches!(self.health, Health::Runs)
    }

    /// How often its log says so, over all its lives.
    fn said(&self, what: &str) -> usize {
        self.worker.log().matches(what).count()
    }
}

/// So that a timer for a retry is under way at every strike. No breaker opens: that would take decisions of its own.
const RETRIES: &str = "[workflow.retry.transient]\nattempts = 3\nbackoff = \"1s\"\n\
                       [insights]\nbreaker_failures = 1.0\nbreaker_least = 1000\nbreaker_in_a_row = 1000";

fn spawn(scratch: &Scratch, slot: &str) -> Worker {
    scratch.worker(slot).toml(RETRIES).spawn()
}

/// What has been done to the workers and what came of it.
#[derive(Debug, Default)]
struct Happened {
    kills: usize,
    freezes: usize,
    aborted: usize,
    unknown: usize,
    rebalances: usize,
    under_way_least: usize,
}

impl Happened {
    fn look(&mut self, victims: &[Victim<'_>]) {
        let said = |what: &str| victims.iter().map(|victim| victim.said(what)).sum();
        self.aborted = said("transaction aborted");
        self.unknown = said("the outcome of a transaction is unknown");
        self.rebalances = said("partitions revoked");
    }

    fn is_enough(&self) -> bool {
        // Which of the two a broken transaction becomes is the timing of the strike.
        let broken = self.aborted + self.unknown;
        self.kills >= KILLS && self.freezes >= FREEZES && broken >= 1 && self.rebalances >= 1
    }
}

/// Every fourth task has a plan.
fn is_planned(number: usize) -> bool {
    number.is_multiple_of(4)
}

/// With every fifth task the scorer fails at first.
fn is_trying(number: usize) -> bool {
    number.is_multiple_of(5)
}

/// Adds its name to the path, after a while; the scorer fails first where the task is a trying one.
fn walks_on(name: &'static str) -> Behaviour {
    let mut dice = Dice(name.len() as u64);
    Box::new(move |assignment| {
        let number = assignment["taskId"].as_str().and_then(|id| id.strip_prefix("task-")?.parse().ok());
        if name == "Scorer" && assignment["attempt"] == 1 && number.is_some_and(is_trying) {
            return vec![Say::failed("TRANSIENT", "not at first").after(dice.millis(0, 500))];
        }
        let mut output = payload(&assignment["input"]);
        if let Some(path) = output.get_mut("path").and_then(Value::as_array_mut) {
            path.push(json!(name));
        }
        vec![Say::succeeded(output).after(dice.millis(0, 1_500))]
    })
}

fn lead(number: usize) -> Value {
    let mut task = task(&format!("task-{number}"), "lead");
    task["input"] = json!({ "number": number, "path": [] });
    if is_planned(number) {
        let step = |id: &str, agent: &str, after: &[&str]| json!({ "stepId": id, "objective": "go on", "agentName": agent, "dependsOn": after });
        task["plan"] = json!([
            step("r", "Researcher", &[]),
            step("left", "Scorer", &["r"]),
            step("right", "Scorer", &["r"]),
            step("w", "Writer", &["left", "right"]),
        ]);
    }
    task
}

/// What must come of it, and how many assignments and decisions that takes.
fn expected(number: usize) -> (Value, usize, usize) {
    let walked = |path: &[&str]| json!({ "number": number, "path": path });
    if is_planned(number) {
        let side = walked(&["Researcher", "Scorer"]);
        let further = if is_trying(number) { 2 } else { 0 };
        return (json!({ "left": side, "right": side }), 4 + further, 4 + further);
    }
    let further = usize::from(is_trying(number));
    // Three agents, then DONE.
    (walked(&["Researcher", "Scorer", "Writer"]), 3 + further, 4 + further)
}

#[test]
fn nothing_is_lost_or_doubled_while_workers_are_killed_and_frozen() {
    let _turn = heavy();
    let (mut dice, seed) = Dice::new();
    eprintln!("kills: seed {seed} (BATON_TEST_SEED={seed} strikes alike)");
    let scratch = corner("kills", 6);
    register(&scratch, &AGENTS.map(|(name, takes, makes)| by_contract(name, takes, makes)));
    let mut victims: Vec<Victim<'_>> = ["a", "b", "c"].map(|slot| Victim::start(&scratch, slot)).into();
    let agents = Agents::start(&scratch, AGENTS.map(|(name, ..)| (name, walks_on(name))).into());
    let tasks = scratch.topic("tasks");
    let sender = Sender::new(scratch.stack, Partitioner::Default);
    let mut completions = Topic::open(scratch.stack, &scratch.topic("completions"));

    let started = Instant::now();
    let (mut sent, mut done) = (0, BTreeSet::new());
    let mut happened = Happened { under_way_least: usize::MAX, ..Happened::default() };
    let (mut strike_at, mut look_at) = (None, started);
    while sent < TASKS || !happened.is_enough() {
        let now = Instant::now();
        assert!(started.elapsed() < STRIKES_FOR, "seed {seed}: {sent} sent, {} done, {happened:?}", done.len());
        done.extend(completions.take(Duration::from_millis(20)).iter().map(|record| record.text("taskId").to_owned()));
        victims.iter_mut().for_each(|victim| victim.mend(now));
        if look_at <= now {
            look_at = now + Duration::from_secs(1);
            happened.look(&victims);
        }
        let share = started.elapsed().as_secs_f64() / SPREAD.as_secs_f64();
        let most = if happened.is_enough() { TASKS } else { TASKS - KEPT_BACK };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a few thousand")]
        let due = ((TASKS as f64 * share) as usize).min(most).min(done.len() + UNDER_WAY);
        if due > sent {
            sender.send_all((sent..due).map(|n| Send::to(&tasks).key(format!("task-{n}")).json(&lead(n))));
            sent = due;
        } else if sent == most && done.len() + 50 > sent && sent < TASKS {
            // All that was handed in is nearly done and something has still to happen: it must meet work.
            sender.send(Send::to(&tasks).key(format!("task-{sent}")).json(&lead(sent)));
            sent += 1;
        }
        let running = victims.iter().filter(|victim| victim.is_running()).count();
        let under_way = sent - done.len();
        if done.is_empty() || happened.is_enough() || running < 2 || under_way == 0 {
            continue;
        }
        if *strike_at.get_or_insert(now) > now {
            continue;
        }
        strike_at = Some(now + dice.millis(300, 4_000));
        let which = usize::try_from(dice.below(3)).expect("it is small");
        if !victims[which].is_running() {
            continue;
        }
        happened.under_way_least = happened.under_way_least.min(under_way);
        if dice.below(10) < 7 && happened.kills < KILLS + 5 {
            victims[which].worker.kill9();
            // Mostly back before its session ends, sometimes only when others have its work.
            let back = if dice.below(3) == 0 { dice.millis(6_000, 9_000) } else { dice.millis(0, 1_500) };
            victims[which].health = Health::Dead(now + back);
            happened.kills += 1;
        } else {
            victims[which].worker.freeze();
            victims[which].health = Health::Frozen(now + SESSION + dice.millis(1_000, 4_000));
            happened.freezes += 1;
        }
    }
    let left_alone = Instant::now();
    while done.len() < TASKS {
        let now = Instant::now();
        assert!(left_alone.elapsed() < THE_REST, "seed {seed}: {} of {TASKS} done, {happened:?}", done.len());
        victims.iter_mut().for_each(|victim| victim.mend(now));
        done.extend(completions.take(Duration::from_millis(50)).iter().map(|record| record.text("taskId").to_owned()));
    }
    let took = started.elapsed();
    happened.look(&victims);
    agents.stop();

    // The statistics went through the same strikes; a worker still dead or frozen holds some of them.
    for victim in &mut victims {
        victim.mend(Instant::now() + Duration::from_secs(60));
    }
    crate::insights::all_counted(&scratch);
    let found = audit(&scratch, &["researcher", "scorer", "writer"]);
    let aborted_records = records_in(&scratch, &scratch.topic("task-events"), "read_uncommitted")
        - records_in(&scratch, &scratch.topic("task-events"), "read_committed");
    assert_eq!(found.completions.len(), TASKS);
    let (mut assignments, mut decisions) = (0, 0);
    for number in 0..TASKS {
        let completion = &found.completions[&format!("task-{number}")];
        let (result, assigned, decided) = expected(number);
        (assignments, decisions) = (assignments + assigned, decisions + decided);
        assert_eq!(
            (completion.text("outcome"), payload(&completion.value["result"])),
            ("SUCCEEDED", result),
            "{:?}",
            completion.value
        );
    }
    assert_eq!(found.dead_letters.len(), 0, "{:?}", found.dead_letters.first());
    assert_eq!((found.assignments, found.decisions), (assignments, decisions));
    assert!(happened.is_enough(), "{happened:?}");
    eprintln!(
        "kills: seed {seed}: {TASKS} tasks in {took:.0?}: {} assignments, {} decisions, {} facts, nothing twice, no dead \
         letter; {} kills, {} freezes, {} rebalances, {} aborts, {} unknown outcomes, {aborted_records} records of aborted \
         transactions; at each strike at least {} tasks under way",
        found.assignments,
        found.decisions,
        found.facts,
        happened.kills,
        happened.freezes,
        happened.rebalances,
        happened.aborted,
        happened.unknown,
        happened.under_way_least
    );
}
