//! The loop: one thread, one consumer, one transaction at a time.
//!
//! ```text
//! poll ─▶ answer the group ─▶ gather records, answers, timers ─▶ stage ─▶ transaction ─▶ adopt ─▶ start what is owed
//!   ▲                                                                                               │
//!   └───────────────────────────── wait, until anything wakes it ◀───────────────────────────────────┘
//! ```

use super::batch::Batch;
use super::directory::{Directory, SharedRegistry};
use super::encode::Encoder;
use super::intake::{COMMANDS, Intake, Lookups, STATUS, TASKS};
use super::mutant::{self, Mutant};
use super::settings::{
    ADMIT_EVERY, BACK_OFF, BREATHER, CHECK_PARTITIONS_EVERY, HOUSEKEEPING, IDLE, LOOK_UP_PATIENCE, LOOK_UP_SLICE,
    PARKED_FOR, SMALL, Settings,
};
use super::{
    Clock, DeadLetterRatio, Log, Rebalance, Record, Returned, Runner, SharedAgentHealth, SharedExperiments,
    SharedPresence, Stop, TakeOver, Turn, Witness,
};
use crate::contract::{Codec, ContractNames};
use crate::partition::{Arrival, INPUTS, Partition, Restorer, What};
use crate::selection::Schemas;
use crate::telemetry::{Health, InputCounters, Metrics};
use crate::workflow::{Input, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// How a worker is told to end.
#[derive(Debug, Default)]
pub struct StopSignal(AtomicU8);

/// By their numbers.
const INPUT_TOPICS: [&str; INPUTS] = ["tasks", "agent-status", "task-commands"];

const STAY: u8 = 1;
const LEAVE: u8 = 2;

impl StopSignal {
    /// The same slot is expected back within the session timeout: its partitions wait for it.
    pub fn stay(&self) {
        self.0.fetch_max(STAY, Ordering::SeqCst);
    }

    /// Others take over at once.
    pub fn leave(&self) {
        self.0.fetch_max(LEAVE, Ordering::SeqCst);
    }

    /// Whether others are to take over at once.
    #[must_use]
    pub fn leaves(&self) -> bool {
        self.asked() == Some(LEAVE)
    }

    fn asked(&self) -> Option<u8> {
        Some(self.0.load(Ordering::SeqCst)).filter(|asked| *asked != 0)
    }
}

/// What a worker is built of.
#[derive(Debug)]
pub struct Parts {
    pub settings: Settings,
    pub codec: Arc<Codec>,
    pub names: Arc<ContractNames>,
    pub registry: Arc<SharedRegistry>,
    pub presence: Arc<SharedPresence>,
    pub agent_health: Arc<SharedAgentHealth>,
    pub experiments: Arc<SharedExperiments>,
    pub metrics: Arc<Metrics>,
    pub health: Health,
    pub stop: Arc<StopSignal>,
}

/// A partition that was given back, kept for the case that it comes again.
#[derive(Debug)]
struct Parked {
    partition: Partition,
    /// Where in `task-state` reading goes on.
    from: i64,
    /// By the worker's clock, as all of its times.
    since: Duration,
}

/// One worker: what it holds is a cache of Kafka.
pub struct Worker<L, R> {
    pub(super) log: L,
    pub(super) runner: R,
    pub(super) clock: Box<dyn Clock>,
    pub(super) witness: Option<Box<dyn Witness>>,
    pub(super) settings: Settings,
    pub(super) encoder: Encoder,
    pub(super) directory: Directory,
    pub(super) experiments: Arc<SharedExperiments>,
    pub(super) partitions: BTreeMap<i32, Partition>,
    /// The end of what was read of `task-state`, by partition.
    restored: BTreeMap<i32, i64>,
    parked: BTreeMap<i32, Parked>,
    /// Partitions given to us that could not be taken yet.
    unclaimed: Option<(Vec<i32>, Duration)>,
    intake: Intake,
    pub(super) schemas: Arc<Schemas>,
    backlog: Vec<Record>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) counters: [InputCounters; INPUTS],
    health: Health,
    stop: Arc<StopSignal>,
    /// Inputs and partitions that are paused.
    paused: Vec<(usize, i32)>,
    /// Whether too many tasks live to take new ones.
    full: bool,
    admit_after: Duration,
    admit_wanted: bool,
    check_partitions_after: Duration,
    ratio: DeadLetterRatio,
    /// Until when no further transaction is begun.
    breather_until: Option<Duration>,
    /// Rises with each transaction: assignments rotate over an agent's partitions.
    pub(super) turn: u32,
}

impl<L, R> std::fmt::Debug for Worker<L, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<L: Log, R: Runner> Worker<L, R> {
    #[must_use]
    pub fn new(log: L, runner: R, lookups: Box<dyn Lookups>, clock: Box<dyn Clock>, parts: Parts) -> Self {
        let Parts { settings, codec, names, registry, presence, agent_health, experiments, metrics, health, stop } =
            parts;
        let inputs: [Arc<str>; INPUTS] = INPUT_TOPICS.map(|name| format!("{}.{name}", settings.prefix).into());
        let (now, schemas) = (clock.elapsed(), Arc::<Schemas>::default());
        Self {
            log,
            runner,
            clock,
            witness: None,
            encoder: Encoder::new(codec, &settings, inputs),
            directory: Directory::new(
                registry,
                presence,
                agent_health,
                settings.partitions,
                settings.heartbeat_timeout,
            ),
            experiments,
            partitions: BTreeMap::new(),
            restored: BTreeMap::new(),
            parked: BTreeMap::new(),
            unclaimed: None,
            intake: Intake::new(
                names,
                lookups,
                settings.payload_bytes,
                settings.limits.inputs,
                Arc::clone(&schemas),
                metrics.reports_corrected.clone(),
            ),
            schemas,
            backlog: Vec::new(),
            counters: INPUT_TOPICS.map(|name| metrics.inputs(name)),
            metrics,
            health,
            stop,
            paused: Vec::new(),
            full: false,
            admit_after: now,
            admit_wanted: true,
            check_partitions_after: now + CHECK_PARTITIONS_EVERY,
            ratio: DeadLetterRatio::new(settings.dead_letter_ratio),
            breather_until: None,
            turn: 0,
            settings,
        }
    }

    /// Runs until told to stop, or until it cannot go on.
    ///
    /// # Errors
    /// [`Stop`], which says why and what to do.
    pub fn run(mut self) -> Result<(), Stop> {
        self.health.waiting("partitions", "joining the group");
        let mut result = Ok(());
        while result.is_ok() && !self.wants_to_stop() {
            result = self.turn();
        }
        self.end();
        result
    }

    /// Ends between two transactions, as the stop signal says. [`Self::run`] does it by itself; whoever takes turns
    /// calls it.
    pub fn end(mut self) {
        tracing::info!(leaves = self.stop.leaves(), "stopping between two transactions");
        let held: Vec<i32> = self.partitions.keys().copied().collect();
        for partition in held {
            self.runner.drop_partition(partition);
        }
        self.log.close(self.stop.leaves());
    }

    /// Has a witness look on from now.
    pub fn watch(&mut self, witness: Box<dyn Witness>) {
        self.witness = Some(witness);
    }

    /// The committed state of the partitions held, for whoever takes turns.
    pub fn partitions(&self) -> impl Iterator<Item = &Partition> {
        self.partitions.values()
    }

    /// Once around the loop: at most one batch, and at most one wait. For whoever schedules several workers on one
    /// thread; everybody else calls [`Self::run`].
    ///
    /// # Errors
    /// [`Stop`], after which only [`Self::end`] may follow.
    pub fn turn(&mut self) -> Result<(), Stop> {
        self.breathe();
        self.log.poll(self.settings.batch.saturating_sub(self.backlog.len()), &mut self.backlog)?;
        while let Some(change) = self.log.rebalance() {
            self.rebalance(change)?;
        }
        self.retry_unclaimed()?;
        let looked = self.directory.refresh(&mut self.log, &*self.clock, &self.settings.prefix);
        if looked {
            self.show_agents();
            self.admit_wanted = true;
        }
        let batch = self.gather();
        self.back_pressure();
        if batch.is_empty() {
            self.watch_dead_letters(0, 0);
            self.look_at_partition_counts()?;
            self.log.wait(self.patience());
            return Ok(());
        }
        self.carry(batch)
    }

    /// How long nothing need be looked at: until the next timer, and never for long.
    fn patience(&self) -> Duration {
        let due = self.runner.next_due().map(|due| due.since(self.clock.now()));
        due.and_then(|millis| u64::try_from(millis).ok()).map_or(IDLE, |millis| IDLE.min(Duration::from_millis(millis)))
    }

    // --- the group -------------------------------------------------------------------------------

    fn rebalance(&mut self, change: Rebalance) -> Result<(), Stop> {
        self.metrics.rebalances.inc();
        match change {
            Rebalance::Assigned(partitions) => {
                tracing::info!(?partitions, "partitions assigned");
                self.unclaimed = None;
                self.let_go(true);
                self.take(partitions)
            }
            Rebalance::Revoked { lost } => {
                tracing::info!(lost, "partitions revoked");
                self.health.waiting("partitions", "the group is rebalancing");
                self.unclaimed = None;
                self.let_go(!lost);
                self.log.release();
                Ok(())
            }
        }
    }

    /// Drops or parks all state. Records not yet in a transaction are read again by whoever is next.
    pub(super) fn let_go(&mut self, park: bool) {
        self.forget_read();
        self.paused.clear();
        let since = self.clock.elapsed();
        for (number, partition) in std::mem::take(&mut self.partitions) {
            self.runner.drop_partition(number);
            if park {
                let read = self.restored.get(&number).copied().unwrap_or(0);
                let mut from = read.max(self.log.state_end(number));
                if mutant::is(Mutant::ParkedTakenAsItWas) {
                    from = i64::MAX;
                }
                self.parked.insert(number, Parked { partition, from, since });
            }
        }
        if !park {
            self.parked.clear();
        }
        self.restored.clear();
        self.metrics.partitions.set(0);
        self.metrics.live_workflows.set(0);
    }

    fn forget_read(&mut self) {
        if !mutant::is(Mutant::BacklogKept) {
            self.backlog.clear();
            self.intake.clear();
        }
    }

    pub(super) fn take(&mut self, partitions: Vec<i32>) -> Result<(), Stop> {
        match self.try_take(&partitions) {
            Ok(()) => Ok(()),
            // Either the group's next word is there already, or the broker would not say: then once more, soon.
            Err(TakeOver::Rebalanced) => {
                self.unclaimed = Some((partitions, self.clock.elapsed() + BACK_OFF));
                Ok(())
            }
            Err(TakeOver::Stop(stop)) => Err(stop),
        }
    }

    fn retry_unclaimed(&mut self) -> Result<(), Stop> {
        match self.unclaimed.take() {
            Some((partitions, after)) if self.clock.elapsed() >= after => self.take(partitions),
            waiting => {
                self.unclaimed = waiting;
                Ok(())
            }
        }
    }

    fn try_take(&mut self, partitions: &[i32]) -> Result<(), TakeOver> {
        // What was read before is read again from where these begin; adopted first, it would commit an offset past what
        // lies between.
        self.forget_read();
        let started = self.clock.elapsed();
        self.health.waiting("partitions", format!("restoring {} partitions", partitions.len()));
        self.parked.retain(|_, parked| started < parked.since + PARKED_FOR);
        let owned = self.log.take_over(partitions)?;
        let decided = self.clock.elapsed().saturating_sub(started);
        // The inputs stand elsewhere now: what was read before comes again.
        self.forget_read();
        let from: Vec<(i32, i64)> = partitions
            .iter()
            .map(|number| (*number, self.parked.get(number).map_or(0, |parked| parked.from)))
            .collect();
        let mut restorers: BTreeMap<i32, Restorer> = BTreeMap::new();
        let (parked, codec, intake, clock) = (&self.parked, &self.encoder.codec, &self.intake, &self.clock);
        let (mut records, mut waited) = (0_u64, Duration::ZERO);
        let mut look_up = |id| {
            intake.look_up(id);
            clock.sleep(LOOK_UP_SLICE);
            waited += LOOK_UP_SLICE;
            if waited < LOOK_UP_PATIENCE {
                return Ok(());
            }
            Err(Stop::Broken(format!(
                "the registry did not say within {LOOK_UP_PATIENCE:?} what schema {id} of task-state is"
            )))
        };
        let ends = self.log.restore(&from, &mut |number, key, value| {
            records += 1;
            let (key, part) = super::snapshot::read(codec, key, value, &mut look_up)?;
            let restorer = restorers.entry(number).or_insert_with(|| {
                parked.get(&number).map_or_else(Restorer::default, |parked| Restorer::resume(&parked.partition))
            });
            restorer.apply(key, part).map_err(|error| Stop::Broken(error.to_string()))
        })?;
        let mut taken = BTreeMap::new();
        for one in &owned {
            let number = one.offsets.partition;
            let next = one.offsets.next.map(Some);
            let partition = match (restorers.remove(&number), self.parked.remove(&number)) {
                (Some(restorer), _) => {
                    restorer.finish(number, next).map_err(|error| TakeOver::Stop(Stop::Broken(error.to_string())))?
                }
                (None, Some(parked)) => parked.partition.moved_to(next),
                (None, None) => Partition::new(number, next, BTreeMap::new()),
            };
            if !one.committed && !partition.is_empty() {
                return Err(TakeOver::Stop(Stop::Broken(format!(
                    "task-state holds {} tasks on partition {number}, but the group has no committed offset for it: \
                     they expired or were deleted. Reading from the start could run tasks twice. Set the offsets of \
                     the group to where work may go on (or clear task-state to begin anew), then start again",
                    partition.len()
                ))));
            }
            taken.insert(number, partition);
        }
        let offsets: Vec<_> = owned.iter().map(|one| one.offsets).collect();
        let claimed = self.log.claim(&offsets);
        if let Err(error) = claimed {
            // Read and not claimed: kept for the next try, which reads on from here.
            let ends: BTreeMap<i32, i64> = ends.into_iter().collect();
            for (number, partition) in taken {
                let from = ends.get(&number).copied().unwrap_or(0);
                self.parked.insert(number, Parked { partition, from, since: self.clock.elapsed() });
            }
            return Err(error);
        }
        self.restored = ends.into_iter().collect();
        self.metrics.restores.inc_by(taken.len() as u64);
        self.metrics.restored_records.inc_by(records);
        let took = self.clock.elapsed().saturating_sub(started);
        self.metrics.restore_seconds.observe(took.as_secs_f64());
        let live: usize = taken.values().map(Partition::live).sum();
        tracing::info!(partitions = taken.len(), records, live, ?decided, ?took, "partitions restored");
        self.partitions = taken;
        for (number, partition) in &self.partitions {
            for (task_id, effects) in partition.owed() {
                if mutant::is(Mutant::OwedNotStarted) {
                    break;
                }
                self.runner.owe(*number, &task_id, effects, partition.workflow(&task_id));
            }
        }
        self.admit_wanted = true;
        self.show_live();
        self.health.ready("partitions");
        Ok(())
    }

    fn look_at_partition_counts(&mut self) -> Result<(), Stop> {
        if self.clock.elapsed() < self.check_partitions_after {
            return Ok(());
        }
        self.check_partitions_after = self.clock.elapsed() + CHECK_PARTITIONS_EVERY;
        self.log.check_partitions(self.settings.partitions)
    }

    // --- a batch ---------------------------------------------------------------------------------

    fn gather(&mut self) -> Batch {
        let mut batch = Batch::default();
        if self.partitions.is_empty() {
            // What came meanwhile belongs to nobody here; it is read again by whoever owns it.
            self.backlog.clear();
            return batch;
        }
        let most = self.settings.batch;
        let mut arrivals: Vec<(Record, Arrival)> = Vec::new();
        self.intake.released(&self.encoder, most, &mut arrivals);
        for record in std::mem::take(&mut self.backlog) {
            arrivals.extend(self.intake.take(&self.encoder, record));
        }
        for (record, arrival) in arrivals {
            let Some(partition) = self.partitions.get(&record.partition) else { continue };
            // Committed already: a client that is positioned anew may still hand out what it had.
            if partition.next()[record.input].is_some_and(|next| record.offset < next) {
                continue;
            }
            batch.push(record.partition, arrival, Some(record));
        }
        let clock = self.clock.now();
        let mut returned: Vec<Returned> = Vec::new();
        self.runner.returned(clock, most, &mut returned);
        for one in returned {
            // An answer for a partition that went away meanwhile: whoever has it now asks again.
            if self.partitions.contains_key(&one.partition) {
                batch.push_returned(one, clock);
            }
        }
        self.housekeeping(&mut batch, clock);
        batch
    }

    /// Steps that wait and may be asked about again, and finished tasks to forget.
    fn housekeeping(&mut self, batch: &mut Batch, clock: Timestamp) {
        // Before those that wait for others: who is next of a line is so by its rank.
        for one in self.next_in_line() {
            batch.push_returned(one, clock);
        }
        if self.admit_wanted && self.clock.elapsed() >= self.admit_after {
            (self.admit_wanted, self.admit_after) = (false, self.clock.elapsed() + ADMIT_EVERY);
            let view = self.view();
            let mut admitted = Vec::new();
            for (number, partition) in self.partitions.iter().filter(|(_, partition)| partition.has_waiting()) {
                let most = HOUSEKEEPING - admitted.len().min(HOUSEKEEPING);
                let waiting = partition.admit(&view, most);
                let input = |(task_id, question)| Returned {
                    partition: *number,
                    task_id,
                    input: Input::Admitted { question, topic_name: None },
                };
                admitted.extend(waiting.into_iter().map(input));
            }
            // More than one batch takes: go on with the next.
            self.admit_wanted = admitted.len() >= HOUSEKEEPING;
            for one in admitted {
                batch.push_returned(one, clock);
            }
        }
        for (number, partition) in &self.partitions {
            for task_id in partition.forgettable(self.settings.window, clock, HOUSEKEEPING) {
                batch.push(*number, Arrival { task_id, what: What::Forget, source: None, at: clock }, None);
            }
        }
    }

    /// Pauses what must wait: a held partition of an input, and new tasks while too many live.
    fn back_pressure(&mut self) {
        let live: usize = self.partitions.values().map(Partition::live).sum();
        // Some slack, so that pausing is rare: it throws away what the client had fetched.
        let limit = if self.full { self.settings.max_live / 10 * 9 } else { self.settings.max_live };
        self.full = live >= limit.max(1);
        self.metrics.tasks_paused.set(i64::from(self.full));
        let mut wanted = Vec::new();
        for number in self.partitions.keys() {
            for input in [TASKS, STATUS, COMMANDS] {
                if self.intake.holds(input, *number) || (self.full && input == TASKS) {
                    wanted.push((input, *number));
                }
            }
        }
        if wanted == self.paused {
            return;
        }
        for input in [TASKS, STATUS, COMMANDS] {
            let only = |list: &[(usize, i32)], other: &[(usize, i32)]| -> Vec<i32> {
                let of_input = list.iter().filter(|place| place.0 == input && !other.contains(place));
                of_input.map(|(_, number)| *number).collect()
            };
            let (stop, go) = (only(&wanted, &self.paused), only(&self.paused, &wanted));
            if !stop.is_empty() {
                self.log.flow(input, &stop, false);
            }
            if !go.is_empty() {
                self.log.flow(input, &go, true);
            }
        }
        match self.intake.waits_for() {
            Some(what) => self.health.waiting("registry", format!("waiting for {what}")),
            None => self.health.ready("registry"),
        }
        self.paused = wanted;
    }

    // --- shown -----------------------------------------------------------------------------------

    pub(super) fn show_live(&self) {
        let live: usize = self.partitions.values().map(Partition::live).sum();
        self.metrics.live_workflows.set(i64::try_from(live).unwrap_or(i64::MAX));
        self.metrics.partitions.set(i64::try_from(self.partitions.len()).unwrap_or(i64::MAX));
    }

    fn show_agents(&self) {
        let registry = &self.directory.registry;
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let faulty = registry.entries().filter(|(_, entry)| entry.is_err()).count();
        let agents = registry.current();
        let eligible = agents.iter().filter(|agent| self.directory.availability.has(agent.topic_name())).count();
        self.metrics.agents_registered.set(count(registry.entries().count()));
        self.metrics.agents_faulty.set(count(faulty));
        self.metrics.agents_eligible.set(count(eligible));
    }

    // --- while a batch is carried ----------------------------------------------------------------

    /// Serves the client between two tries; what it brings waits for the next batch.
    pub(super) fn serve(&mut self) -> Result<(), Stop> {
        let room = self.settings.batch.saturating_sub(self.backlog.len());
        if room > 0 { self.log.poll(room, &mut self.backlog) } else { self.log.poll(1, &mut self.backlog) }
    }

    /// Waits out what is left of the breather after a small transaction.
    fn breathe(&self) {
        if let Some(rest) = self.breather_until.and_then(|until| until.checked_sub(self.clock.elapsed())) {
            self.clock.sleep(rest);
        }
    }

    /// A transaction of that many inputs was committed just now.
    pub(super) fn committed(&mut self, inputs: usize) {
        self.breather_until = (inputs <= SMALL).then(|| self.clock.elapsed() + BREATHER);
    }

    /// Says once that too many inputs are dead letters, and once that they are few again. Told of silence too, so that an
    /// episode ends in it.
    pub(super) fn watch_dead_letters(&mut self, inputs: u64, dead: u64) {
        match self.ratio.count(self.clock.now(), inputs, dead) {
            Some(Turn::Over { dead, inputs }) => {
                tracing::warn!(dead, inputs, "too many inputs are dead letters; look with `baton dlq list`");
            }
            Some(Turn::Within) => tracing::info!("dead letters are few again"),
            None => {}
        }
        self.metrics.dead_letter_ratio.set(self.ratio.share());
        self.metrics.dead_letters_over_ratio.set(i64::from(self.ratio.is_over()));
    }

    pub(super) fn wants_to_stop(&self) -> bool {
        self.stop.asked().is_some()
    }

    pub(super) fn say_waiting(&self, reason: &str) {
        self.health.waiting("partitions", reason);
    }

    pub(super) fn set_unclaimed(&mut self, partitions: Vec<i32>) {
        self.unclaimed = Some((partitions, self.clock.elapsed()));
    }
}
