//! Workers as processes: started, scheduled, frozen, killed at any call, started again.

use super::agents;
use super::breakers;
use super::dice::Dice;
use super::kafka::{FakeLog, Host as _, Seat};
use super::lines::{self, Standing};
use super::llm::SimRunner;
use super::split;
use super::violated;
use super::witness::Onlooker;
use super::world::{PREFIX, World};
use baton::partition::Window;
use baton::selection::{LlmUse, Policy};
use baton::telemetry::{Health, Metrics};
use baton::worker::{Clock, Lookups, Need, Parts, Settings, Stop, StopSignal, TopicLimits, Worker};
use baton::workflow::{PlanFallback, RetryRule, RetryRules, Rules, Timestamp};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::{Rc, Weak};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(crate) const MAX_HOPS: u32 = 4;
pub(crate) const MAX_ATTEMPTS: u32 = 14;
pub(crate) const MAX_TOKENS: i64 = 1_500;
/// Places a process can be at while its transaction is open, or not yet known to be over.
pub(crate) const IN_TRANSACTION: [&str; 5] = ["produce", "drained", "offsets sent", "committed", "before abort"];
const TAKING_OVER: [&str; 5] = ["take over", "restore", "restore reads", "claim", "claimed"];

/// How often something goes wrong there, in a million.
pub(crate) fn weight(place: &str) -> u32 {
    match place {
        "begin" | "returned" => 1_000,
        _ if IN_TRANSACTION.contains(&place) => 500,
        _ if TAKING_OVER.contains(&place) => 1_500,
        _ => 150,
    }
}

/// What unwinds a process that dies in a call.
struct Crash;

pub(crate) struct Process {
    name: String,
    /// None while it is in a call, and of one that is down.
    worker: Option<Box<Worker<FakeLog, SimRunner>>>,
    up: bool,
    /// Another process has its slot for good.
    replaced: bool,
    pub(crate) frozen: bool,
    /// Who stood in lines when its turn began.
    pub(crate) stood: Standing,
    /// By how much its clock is wrong, in milliseconds.
    pub(crate) skew: i64,
    /// When it is started again.
    restart: i64,
    seat: Rc<Seat>,
    stop: Arc<StopSignal>,
}

impl Process {
    pub(crate) fn is_up(&self) -> bool {
        self.up
    }
}

struct SimClock {
    world: Weak<World>,
    process: usize,
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.world.upgrade().map_or(0, |world| world.wall_of(self.process)))
    }

    fn elapsed(&self) -> Duration {
        let now = self.world.upgrade().map_or(0, |world| world.time());
        Duration::from_millis(u64::try_from(now).unwrap_or(0))
    }

    fn sleep(&self, time: Duration) {
        let Some(world) = self.world.upgrade() else { return };
        let millis = i64::try_from(time.as_millis()).unwrap_or(0).max(1);
        // A breather is not worth another's turn.
        if millis > 10 {
            world.pass(self.process, millis);
        } else {
            world.breathe(millis);
        }
    }
}

struct SimLookups(Arc<Mutex<Vec<Need>>>);

impl Lookups for SimLookups {
    fn want(&self, need: Need) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(need);
    }
}

/// Every wait is short, so that it is over within a run.
fn rules(plan_fallback: PlanFallback) -> Rules {
    let rule = |rule: RetryRule| RetryRule { backoff: rule.backoff / 2, backoff_cap: 3_000, ..rule };
    let retry = RetryRules { by_class: RetryRules::default().by_class.map(rule), ..RetryRules::default() };
    Rules {
        default_deadline: 40_000,
        max_hops: MAX_HOPS,
        max_attempts: MAX_ATTEMPTS,
        max_tokens: Some(MAX_TOKENS),
        max_repeats: 2,
        accept_timeout: 4_000,
        assignment_timeout: 8_000,
        inactivity_timeout: 3_000,
        llm_budget: 3_000,
        plan_budget: 3_000,
        progress_interval: 1_000,
        command_patience: 3_000,
        workflow_bytes: 12_000,
        retry,
        can_plan: true,
        max_steps: 12,
        max_fan_out: 4,
        max_depth: 5,
        plan_fallback,
        ..Rules::default()
    }
}

fn policy(dice: &Dice) -> Policy {
    let llm = *dice.one(&[LlmUse::Always, LlmUse::Ambiguous, LlmUse::Ambiguous, LlmUse::Never]);
    Policy { llm, llm_available: true, ..Policy::default() }
}

fn settings(world: &World, name: &str) -> Settings {
    let dice = &world.dice;
    Settings {
        batch: *dice.one(&[1, 3, 20, 20]),
        max_live: *dice.one(&[2, 100, 100]),
        payload_bytes: 6_000,
        rules: rules(*dice.one(&[PlanFallback::Step, PlanFallback::Route, PlanFallback::Fail])),
        dead_letter_ratio: 0.5,
        heartbeat_timeout: agents::SILENCE,
        probes: breakers::PROBES,
        strategies: split::strategies(policy(dice), policy(dice)),
        window: Window { millis: *dice.one(&[5_000, 600_000, 600_000]), count: *dice.one(&[2, 1_000, 1_000]) },
        prefix: PREFIX.to_owned(),
        worker: name.to_owned(),
        partitions: i32::try_from(world.partitions).expect("a few"),
        limits: TopicLimits { inputs: 8_192, assignments: 5_000, others: 90_000 },
    }
}

/// A new process of that slot.
pub(crate) fn start(world: &World, name: &str) {
    let process = world.processes.borrow().len();
    world.processes.borrow_mut().push(Process {
        name: name.to_owned(),
        worker: None,
        up: false,
        replaced: false,
        frozen: false,
        stood: Standing::new(),
        skew: 0,
        restart: 0,
        seat: Seat::new(name),
        stop: Arc::default(),
    });
    boot(world, process);
}

fn boot(world: &World, process: usize) {
    let name = world.processes.borrow()[process].name.clone();
    world.note(|| format!("process {process} starts as {name}"));
    let host = world.me.upgrade().expect("it runs");
    let (seat, stop) = (Seat::new(&name), Arc::<StopSignal>::default());
    let log = FakeLog::connect(Rc::clone(&world.broker), host, process, Rc::clone(&seat));
    let parts = Parts {
        settings: settings(world, &name),
        codec: Arc::clone(&world.codec),
        names: Arc::clone(&world.names),
        registry: Arc::clone(&world.registry),
        presence: Arc::clone(&world.presence),
        agent_health: Arc::clone(&world.agent_health),
        experiments: Arc::clone(&world.experiments),
        metrics: Arc::new(Metrics::new()),
        health: Health::new(),
        stop: Arc::clone(&stop),
    };
    let runner = SimRunner::new(world.me.clone(), process);
    let lookups = Box::new(SimLookups(Arc::clone(&world.needs)));
    let clock = Box::new(SimClock { world: world.me.clone(), process });
    let mut worker = Box::new(Worker::new(log, runner, lookups, clock, parts));
    worker.watch(Box::new(Onlooker { world: world.me.clone(), process }));
    let one = &mut world.processes.borrow_mut()[process];
    (one.worker, one.up, one.seat, one.stop) = (Some(worker), true, seat, stop);
}

/// Whether the group takes what a process commits.
pub(crate) fn owns(world: &World, process: usize) -> bool {
    world.processes.borrow()[process].seat.owns(&world.broker)
}

/// Gives a process its turn; whether that can have changed anything.
pub(crate) fn turn(world: &World, process: usize) -> bool {
    let (worker, restart) = {
        let one = &mut world.processes.borrow_mut()[process];
        let due = !one.up && !one.replaced && (one.restart <= world.time() || world.is_calm());
        (one.worker.take(), due)
    };
    if restart {
        boot(world, process);
        return true;
    }
    let Some(mut worker) = worker else { return false };
    let before = lines::taken(world, &worker);
    let (given, breakers) = (breakers::given(&worker), world.agent_health.version());
    let stood = lines::standing(world);
    world.processes.borrow_mut()[process].stood = stood;
    match catch_unwind(AssertUnwindSafe(|| worker.turn())) {
        Ok(Ok(())) => {
            let touched = world.processes.borrow()[process].seat.take_touched();
            if touched && owns(world, process) {
                let model = world.model.borrow();
                worker.partitions().for_each(|partition| model.compare(partition));
                lines::capacity(world, &before, &lines::taken(world, &worker));
                if world.agent_health.version() == breakers {
                    breakers::kept(world, &given, &breakers::given(&worker));
                }
            }
            world.processes.borrow_mut()[process].worker = Some(worker);
            touched
        }
        Ok(Err(stop)) => {
            stopped(world, process, &stop);
            worker.end();
            true
        }
        Err(payload) if payload.is::<Crash>() => true,
        Err(payload) => resume_unwind(payload),
    }
}

fn stopped(world: &World, process: usize, stop: &Stop) {
    world.note(|| format!("process {process} ends: {stop}"));
    let all = &mut *world.processes.borrow_mut();
    let name = all[process].name.clone();
    all[process].up = false;
    let others = || (0..all.len()).filter(|one| *one != process && all[*one].name == name);
    let winner = others().find(|one| !all[*one].replaced).or_else(|| others().find(|one| all[*one].up));
    match (stop, winner) {
        // Of several under one name any may win.
        (Stop::SlotTaken { .. }, Some(winner)) => {
            world.occurred("slot taken");
            all[winner].replaced = false;
            all[process].replaced = true;
        }
        // The one it waited for died meanwhile: whoever watches over the slot starts it again.
        (Stop::SlotTaken { .. }, None) if others().next().is_some() => all[process].restart = world.time() + 1_000,
        (Stop::Fenced { .. }, _) => all[process].restart = world.time() + 1_000,
        _ => violated(format!("worker {name} ends: {stop}")),
    }
}

fn down(world: &World, process: usize) {
    let one = &mut world.processes.borrow_mut()[process];
    one.up = false;
    let soon = world.dice.percent(60);
    one.restart = world.time() + if soon { world.dice.millis(50, 3_000) } else { world.dice.millis(6_000, 20_000) };
}

/// The process dies in a call. Does not return.
pub(crate) fn crash(world: &World, process: usize, place: &'static str) {
    world.note(|| format!("process {process} dies at {place:?}"));
    world.occurred("crash");
    if IN_TRANSACTION.contains(&place) {
        world.occurred("crash in a transaction");
    }
    if TAKING_OVER.contains(&place) {
        world.occurred("crash while taking over");
    }
    down(world, process);
    resume_unwind(Box::new(Crash));
}

/// What happens to processes between their turns.
pub(crate) fn trouble(world: &World) {
    let dice = &world.dice;
    let process = dice.pick(world.processes.borrow().len());
    match dice.pick(10) {
        0 => {
            let worker = world.processes.borrow_mut()[process].worker.take();
            if worker.is_some() {
                world.note(|| format!("process {process} is killed"));
                world.occurred("killed between two turns");
                down(world, process);
            }
        }
        1 => {
            let Some(worker) = world.processes.borrow_mut()[process].worker.take() else { return };
            let leaves = dice.percent(50);
            world.note(|| format!("process {process} is told to end; it leaves: {leaves}"));
            let stop = Arc::clone(&world.processes.borrow()[process].stop);
            if leaves {
                stop.leave()
            } else {
                stop.stay()
            }
            world.occurred(if leaves { "worker left" } else { "worker ended and came back" });
            worker.end();
            down(world, process);
        }
        2 if world.processes.borrow().len() < 4 => {
            let number = world.processes.borrow().len();
            world.occurred("worker joined");
            start(world, &format!("w{number}"));
        }
        3 | 4 => {
            let frozen = {
                let mut all = world.processes.borrow_mut();
                all.iter_mut().find(|one| one.frozen && !one.replaced).map(|one| {
                    one.replaced = true;
                    one.name.clone()
                })
            };
            // Whoever watches over processes takes a frozen one for dead.
            if let Some(name) = frozen {
                start(world, &name);
            }
        }
        5 => set_clock(world, process),
        _ => {}
    }
}

/// Its clock jumps, as clocks do that somebody sets right or wrong.
pub(crate) fn set_clock(world: &World, process: usize) {
    let by = world.dice.millis(-8_000, 8_000);
    world.note(|| format!("the clock of process {process} jumps by {by} ms"));
    world.occurred(if by < 0 { "clock jumped back" } else { "clock jumped on" });
    world.processes.borrow_mut()[process].skew += by;
}

/// All clocks are right again.
pub(crate) fn set_clocks(world: &World) {
    world.processes.borrow_mut().iter_mut().for_each(|one| one.skew = 0);
}

pub(crate) fn signs_of_life(world: &World) {
    for process in world.processes.borrow().iter().filter(|process| process.up && !process.frozen) {
        process.seat.sign_of_life(&world.broker, world.time());
    }
}

pub(crate) fn end_all(world: &World) {
    let workers: Vec<_> =
        world.processes.borrow_mut().iter_mut().map(|one| (one.worker.take(), Arc::clone(&one.stop))).collect();
    for (worker, stop) in workers {
        stop.leave();
        if let Some(worker) = worker {
            worker.end();
        }
    }
    world.processes.borrow_mut().iter_mut().for_each(|one| (one.up, one.replaced) = (false, true));
}

/// A worker that starts from nothing reads what all others left.
pub(crate) fn audit(world: &World) {
    start(world, "auditor");
    let process = world.processes.borrow().len() - 1;
    loop {
        world.step();
        let all = world.processes.borrow();
        let Some(worker) = &all[process].worker else { continue };
        if worker.partitions().count() == world.partitions {
            let model = world.model.borrow();
            worker.partitions().for_each(|partition| model.compare(partition));
            return;
        }
    }
}
