//! One run: everything there is, and who goes on next. All of it on one thread, and all chance from one seed.

use super::agents::{self, Agents};
use super::breakers;
use super::client::{self, Client};
use super::dice::Dice;
use super::kafka::{Broker, Host as _, Topic};
use super::lines;
use super::model::Model;
use super::people::{self, People};
use super::processes::{self, Process};
use super::split;
use super::violated;
use baton::contract::{Codec, Contract, ContractNames, RecordKind, SchemaCache, WriterSchema};
use baton::partition::INPUTS;
use baton::worker::{Need, Outgoing, SharedAgentHealth, SharedExperiments, SharedPresence, SharedRegistry};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Instant;

pub(crate) const PREFIX: &str = "sim";
pub(crate) const SESSION: i64 = 6_000;
const TRANSACTION: i64 = 10_000;
/// The first moment of every run, in milliseconds since the epoch.
pub(super) const BEGINNING: i64 = 1_800_000_000_000;
/// Once nothing goes wrong any more, what is due has happened after so long.
const SLACK: i64 = 20_000;
/// More steps than any run needs.
const MOST_STEPS: u64 = 60_000;

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) dice: Dice,
    pub(crate) partitions: usize,
    pub(crate) broker: Rc<RefCell<Broker>>,
    pub(crate) model: RefCell<Model>,
    pub(crate) processes: RefCell<Vec<Process>>,
    pub(crate) agents: RefCell<Agents>,
    pub(crate) client: RefCell<Client>,
    pub(crate) people: RefCell<People>,
    pub(crate) registry: Arc<SharedRegistry>,
    pub(crate) presence: Arc<SharedPresence>,
    pub(crate) agent_health: Arc<SharedAgentHealth>,
    pub(crate) experiments: Arc<SharedExperiments>,
    pub(crate) breakers: RefCell<breakers::Due>,
    pub(crate) names: Arc<ContractNames>,
    pub(crate) codec: Arc<Codec>,
    /// What workers want to have looked up.
    pub(crate) needs: Arc<Mutex<Vec<Need>>>,
    looking: RefCell<BTreeMap<Need, i64>>,
    /// Agents of limited capacity that steps wait for although they have nothing to do, and since when.
    pub(super) idle: RefCell<BTreeMap<&'static str, i64>>,
    pub(crate) seen: RefCell<BTreeSet<&'static str>>,
    pub(crate) me: Weak<World>,
    pub(super) inputs: [String; INPUTS],
    /// How much goes wrong in this run: a factor.
    pub(super) storm: u32,
    late_schema: u32,
    pub(super) now: Cell<i64>,
    pub(super) calm: Cell<bool>,
    pub(super) depth: Cell<usize>,
    steps: Cell<u64>,
    /// Steps since anything happened: the longer, the faster time goes.
    pub(super) lull: Cell<u32>,
    loud: bool,
}

/// Schemas that everybody knows, shared by all runs: making a reader takes longer than a run.
static CACHE: LazyLock<Arc<SchemaCache>> = LazyLock::new(|| {
    let cache = SchemaCache::new();
    for (kind, id) in RecordKind::ALL.into_iter().zip(1..) {
        cache.insert(id, WriterSchema::parse("AVRO", kind.schema_text()));
    }
    Arc::new(cache)
});

impl World {
    pub(crate) fn new(seed: u64, loud: bool) -> Rc<Self> {
        static LATE: AtomicU32 = AtomicU32::new(1_000_000);
        let dice = Dice::new(seed);
        let partitions = *dice.one(&[1, 2, 3, 3, 4]);
        let topic = |name: &str| format!("{PREFIX}.{name}");
        let inputs = ["tasks", "agent-status", "task-commands"].map(topic);
        let state = topic("task-state");
        let mut broker = Broker::new(inputs.clone(), &state, partitions, SESSION, TRANSACTION, 8_192);
        let outputs = ["task-events", "routing-decisions", "completions", "cancellations", "task-state"];
        for name in outputs.into_iter().chain(["tasks.dlq", "agent-status.dlq", "task-commands.dlq"]) {
            broker.topics.insert(topic(name), Topic::new(partitions, 100_000));
        }
        broker.topics.insert(topic("agent-outcomes"), Topic::new(2, 100_000));
        let ids = RecordKind::ALL.into_iter().zip(1..);
        let codec = Arc::new(Codec::new(PREFIX, ids, Arc::clone(&CACHE)));
        let storm = *dice.one(&[0, 1, 1, 2, 4]);
        let world = Rc::new_cyclic(|me| Self {
            seed,
            dice,
            partitions,
            broker: Rc::new(RefCell::new(broker)),
            model: RefCell::new(Model::new(Arc::clone(&codec))),
            processes: RefCell::default(),
            agents: RefCell::default(),
            client: RefCell::default(),
            people: RefCell::default(),
            registry: Arc::default(),
            presence: Arc::default(),
            agent_health: Arc::default(),
            experiments: Arc::default(),
            breakers: RefCell::default(),
            names: Arc::default(),
            codec,
            needs: Arc::default(),
            looking: RefCell::default(),
            idle: RefCell::default(),
            seen: RefCell::default(),
            me: me.clone(),
            inputs,
            storm,
            late_schema: LATE.fetch_add(1, Ordering::Relaxed),
            now: Cell::new(0),
            calm: Cell::new(false),
            depth: Cell::new(0),
            steps: Cell::new(0),
            lull: Cell::new(0),
            loud,
        });
        world.experiments.set(split::experiments());
        agents::register_all(&world);
        for name in agents::topics() {
            if world.dice.percent(90) {
                world.create(name);
            } else {
                world.occurred("topic late");
            }
        }
        client::plan(&world);
        world
    }

    /// A topic of assignments, which takes smaller records than the workers believe.
    fn create(&self, name: &str) {
        let count = 1 + self.dice.pick(2);
        self.broker.borrow_mut().topics.entry(name.to_owned()).or_insert_with(|| Topic::new(count, 3_500));
    }

    /// Runs to the end: first all goes wrong that can, then nothing more, until all is done.
    pub(crate) fn run(&self) {
        for number in 0..*self.dice.one(&[1, 1, 2, 3]) {
            processes::start(self, &format!("w{number}"));
        }
        let storm_ends = self.dice.millis(20_000, 40_000);
        while self.now.get() < storm_ends {
            self.step();
        }
        self.note(|| "all faults end".to_owned());
        self.calm.set(true);
        processes::set_clocks(self);
        agents::register_all(self);
        agents::topics().iter().for_each(|name| self.create(name));
        let since = self.wall();
        while !self.is_at_rest() {
            self.step();
            if self.steps.get().is_multiple_of(20) && self.wall() > since + SLACK {
                self.model.borrow().nothing_is_overdue(self.wall() - SLACK);
            }
            if self.steps.get().is_multiple_of(100) {
                lines::starvation(self);
            }
        }
        processes::end_all(self);
        self.model.borrow().everybody_was_told(&self.client.borrow().expects);
        // Whoever starts now finds what all others left.
        processes::audit(self);
    }

    fn is_at_rest(&self) -> bool {
        let done = self.client.borrow().is_idle() && self.agents.borrow().is_idle() && self.people.borrow().is_idle();
        let model = self.model.borrow();
        done && model.live().is_empty()
            && model.has_read(&self.broker.borrow(), &self.inputs, self.partitions)
            && self.processes.borrow().iter().any(Process::is_up)
    }

    /// One more thing happens.
    pub(crate) fn step(&self) {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > MOST_STEPS {
            let model = self.model.borrow();
            let read = model.has_read(&self.broker.borrow(), &self.inputs, self.partitions);
            violated(format!("it does not come to rest: live are {:?}, all is read: {read}", model.live()));
        }
        self.lull.set(self.lull.get() + 1);
        let most = 16_i64 << (self.lull.get() / 12).min(5);
        self.advance(self.dice.millis(0, most));
        let workers = self.processes.borrow().len();
        let did = match self.dice.pick(workers * 2 + 5) {
            0 => client::act(self),
            1 => agents::act(self),
            2 => self.look_up(),
            3 => people::act(self),
            4 => !self.calm.get() && self.trouble(),
            worker => processes::turn(self, (worker - 5) / 2),
        };
        if did {
            self.lull.set(0);
        }
    }

    /// A moment goes by in which nobody else has a turn.
    pub(crate) fn breathe(&self, millis: i64) {
        self.advance(millis);
    }

    /// Time goes by: the broker and the clients' own threads go on.
    pub(super) fn advance(&self, millis: i64) {
        self.now.set(self.now.get() + millis);
        processes::signs_of_life(self);
        let happened = self.broker.borrow_mut().tick(self.now.get());
        for what in happened {
            self.note(|| what.to_owned());
            self.occurred(what);
        }
        self.decided();
    }

    /// The registry answers, at once or after a while.
    fn look_up(&self) -> bool {
        let wanted = std::mem::take(&mut *self.needs.lock().unwrap_or_else(PoisonError::into_inner));
        let mut looking = self.looking.borrow_mut();
        for need in wanted {
            let away = self.dice.percent(15) && !self.is_calm();
            if away {
                self.occurred("registry away");
            }
            let due = self.now.get() + if away { self.dice.millis(1_000, 8_000) } else { self.dice.millis(0, 200) };
            looking.entry(need).or_insert(due);
        }
        let now = self.now.get();
        let before = looking.len();
        looking.retain(|need, due| {
            if *due > now {
                return true;
            }
            match need {
                Need::Schema(id) => self.codec.cache().insert(*id, WriterSchema::Json),
                Need::Contract(name) => self.names.put(name, Contract::Label, Instant::now()),
            }
            false
        });
        looking.len() < before
    }

    /// What goes wrong by itself.
    fn trouble(&self) -> bool {
        match self.dice.pick(60) {
            0 => agents::register_anew(self),
            1 => {
                self.broker.borrow_mut().compact();
                self.occurred("state compacted");
            }
            2 => {
                self.create(self.dice.one::<String>(agents::topics()));
            }
            3..=12 if self.storm > 0 => processes::trouble(self),
            _ => return false,
        }
        true
    }

    // --- for those who live in it ----------------------------------------------------------------

    pub(crate) fn is_calm(&self) -> bool {
        self.calm.get()
    }

    pub(crate) fn time(&self) -> i64 {
        self.now.get()
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps.get()
    }

    /// The true time of day.
    pub(crate) fn wall(&self) -> i64 {
        self.wall_at(self.now.get())
    }

    pub(crate) fn wall_at(&self, time: i64) -> i64 {
        BEGINNING + time
    }

    /// The time of day as a process has it.
    pub(crate) fn wall_of(&self, process: usize) -> i64 {
        self.wall() + self.processes.borrow()[process].skew
    }

    pub(crate) fn late_schema(&self) -> u32 {
        self.late_schema
    }

    /// A record about a task, on its home partition or wherever its producer puts it.
    pub(crate) fn to(&self, topic: &str, task_id: &str, value: Option<Vec<u8>>) -> Outgoing {
        let mut partition = agents::home(task_id, self.partitions);
        if self.dice.percent(25) {
            partition = i32::try_from(self.dice.pick(self.partitions)).expect("a few");
            self.occurred("record elsewhere");
        }
        let key = Some(task_id.as_bytes().to_vec());
        let topic = format!("{PREFIX}.{topic}").into();
        Outgoing { topic, partition, key, value, headers: Vec::new(), timestamp: None, origin: 0 }
    }

    pub(crate) fn occurred(&self, what: &'static str) {
        self.seen.borrow_mut().insert(what);
    }

    /// A line of the story, for whoever replays a seed.
    pub(crate) fn note(&self, what: impl FnOnce() -> String) {
        if self.loud {
            let mut line = format!("{:>7} ms  {}{}", self.now.get(), "  ".repeat(self.depth.get()), what());
            line.truncate(line.char_indices().nth(240).map_or(line.len(), |(at, _)| at));
            eprintln!("{line}");
        }
    }
}
