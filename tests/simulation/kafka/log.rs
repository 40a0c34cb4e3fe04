//! The client: what `kafka::log` does with the real one, on the fake broker.

use super::Host;
use super::broker::{Broker, Refused};
use super::group::Heard;
use baton::partition::INPUTS;
use baton::worker::{Apply, Log, Offsets, Outcome, Outgoing, Owned, Rebalance, Record, Stop, TakeOver};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// After this what is undecided is taken for a dead worker's; then once more after [`AGAIN`].
const UNDECIDED: i64 = 200;
const AGAIN: i64 = 2_000;
const PATIENCE: i64 = 10_000;
const RENEW_LIMIT: usize = 3;
const RENEW_WINDOW: i64 = 60_000;

/// A process's place in the group, for those who look from outside.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    name: String,
    /// Its id in the group; none after it was lost, until everything is given back.
    member: Cell<Option<u64>>,
    /// Member id and generation, once per assignment.
    captured: Cell<Option<(u64, i64)>>,
    /// Whether state was committed or taken over since this was asked last.
    touched: Cell<bool>,
}

impl Seat {
    pub(crate) fn new(name: &str) -> Rc<Self> {
        Rc::new(Self { name: name.to_owned(), ..Self::default() })
    }

    /// What the client's own thread does while the process runs.
    pub(crate) fn sign_of_life(&self, broker: &RefCell<Broker>, now: i64) {
        if let Some(member) = self.member.get() {
            broker.borrow_mut().group.hear(&self.name, member, now);
        }
    }

    /// Whether its offsets would be taken now, so that what it holds is the truth.
    pub(crate) fn owns(&self, broker: &RefCell<Broker>) -> bool {
        let captured = self.captured.get();
        captured.is_some_and(|(id, generation)| broker.borrow().group.accepts(&self.name, id, generation))
    }

    pub(crate) fn take_touched(&self) -> bool {
        self.touched.take()
    }
}

pub(crate) struct FakeLog {
    broker: Rc<RefCell<Broker>>,
    host: Rc<dyn Host>,
    process: usize,
    /// Transactional id and name in the group.
    name: String,
    epoch: u32,
    seat: Rc<Seat>,
    /// The generation it was told of last.
    told: Option<i64>,
    changes: VecDeque<Rebalance>,
    positions: BTreeMap<(usize, i32), i64>,
    paused: BTreeSet<(usize, i32)>,
    /// Positioned and not read since.
    fresh: BTreeSet<(usize, i32)>,
    /// Ends of its own records in the state topic.
    ends: BTreeMap<i32, i64>,
    renewed: VecDeque<i64>,
    /// The producer cannot be used any more.
    broken: bool,
    /// The last transaction was aborted: who waits now backs off.
    backs_off: bool,
}

impl FakeLog {
    pub(crate) fn connect(broker: Rc<RefCell<Broker>>, host: Rc<dyn Host>, process: usize, seat: Rc<Seat>) -> Self {
        let (now, name) = (host.now(), seat.name.clone());
        let epoch = broker.borrow_mut().init(&name, now);
        host.decided();
        seat.member.set(Some(broker.borrow_mut().group.join(&name, now)));
        Self {
            broker,
            host,
            process,
            name,
            epoch,
            seat,
            told: None,
            changes: VecDeque::new(),
            positions: BTreeMap::new(),
            paused: BTreeSet::new(),
            fresh: BTreeSet::new(),
            ends: BTreeMap::new(),
            renewed: VecDeque::new(),
            broken: false,
            backs_off: false,
        }
    }

    fn slot_taken(&self) -> Stop {
        Stop::SlotTaken { slot: self.name.clone(), detail: "another joined under this name".to_owned() }
    }

    /// Hears what the group decided.
    fn hear(&mut self) -> Result<(), Stop> {
        let Some(member) = self.seat.member.get() else { return Ok(()) };
        let now = self.host.now();
        let heard = self.broker.borrow_mut().group.hear(&self.name, member, now);
        match heard {
            Heard::Fenced => return Err(self.slot_taken()),
            Heard::Unknown => {
                self.host.occurred("membership lost");
                self.seat.member.set(None);
                self.changes.clear();
                self.changes.push_back(Rebalance::Revoked { lost: true });
            }
            Heard::Rebalancing { rejoined: true } => {}
            Heard::Rebalancing { rejoined: false } if self.told.is_none() => {
                self.broker.borrow_mut().group.rejoin(&self.name, member);
            }
            Heard::Rebalancing { rejoined: false } => {
                if !self.changes.iter().any(|change| matches!(change, Rebalance::Revoked { .. })) {
                    self.changes.push_back(Rebalance::Revoked { lost: false });
                }
            }
            Heard::Stable { generation, assigned } => {
                if self.told != Some(generation) {
                    self.told = Some(generation);
                    self.changes.push_back(Rebalance::Assigned(assigned));
                }
            }
        }
        Ok(())
    }

    /// Ends transactions of whoever last decided offsets of these partitions and is not in the group.
    fn fence(&self, partitions: &[i32]) {
        let now = self.host.now();
        let mut broker = self.broker.borrow_mut();
        for writer in broker.writers(partitions) {
            if writer != self.name && !broker.group.has(&writer) {
                if broker.has_open(&writer) {
                    self.host.occurred("predecessor fenced");
                }
                broker.init(&writer, now);
            }
        }
        drop(broker);
        self.host.decided();
    }

    /// Waits until `done`, fencing whoever holds it up.
    fn await_decided(&mut self, partitions: &[i32], done: impl Fn(&Broker) -> bool) -> Result<(), TakeOver> {
        let deadline = self.host.now() + PATIENCE;
        let mut wait = UNDECIDED;
        while !done(&self.broker.borrow()) {
            self.host.occurred("undecided at takeover");
            if self.host.now() >= deadline {
                return Err(TakeOver::Rebalanced);
            }
            self.host.pass(self.process, wait);
            self.hear()?;
            if done(&self.broker.borrow()) {
                break;
            }
            self.fence(partitions);
            wait = AGAIN;
        }
        Ok(())
    }

    fn abort(&mut self, culprit: Option<usize>, reason: &str) -> Outcome {
        self.host.reached(self.process, "before abort");
        let now = self.host.now();
        let ended = self.broker.borrow_mut().end(&self.name, self.epoch, false, now);
        self.host.decided();
        self.backs_off = culprit.is_none();
        match ended {
            Ok(()) => Outcome::Aborted { culprit, reason: reason.to_owned() },
            Err(_) => self.unknown("fenced while aborting"),
        }
    }

    fn unknown(&mut self, reason: &str) -> Outcome {
        self.broken = true;
        Outcome::Unknown { reason: reason.to_owned() }
    }

    /// Records of one partition, as many as this fetch happens to bring.
    fn fetch(&mut self, place: (usize, i32), most: usize, into: &mut Vec<Record>) {
        let Some(position) = self.positions.get(&place).copied() else { return };
        let (input, number) = place;
        // A client that was just positioned anew may still hand out what it had.
        let again = if self.fresh.remove(&place) && self.host.happens("record handed out again") { 2 } else { 0 };
        let broker = self.broker.borrow();
        let log = &broker.topics[&broker.inputs[input]].partitions
            [usize::try_from(number).expect("no partition is negative")];
        let mut next = position.max(log.stable());
        for (index, kept) in log.committed(position - again).enumerate() {
            if index >= most {
                next = kept.offset;
                break;
            }
            into.push(Record {
                input,
                partition: number,
                offset: kept.offset,
                timestamp: kept.timestamp,
                key: kept.key.clone(),
                value: kept.value.clone(),
                headers: kept.headers.clone(),
            });
        }
        self.positions.insert(place, next.max(position));
    }
}

impl Log for FakeLog {
    fn poll(&mut self, most: usize, into: &mut Vec<Record>) -> Result<(), Stop> {
        self.host.reached(self.process, "poll");
        self.backs_off = false;
        self.hear()?;
        if !self.changes.is_empty() {
            return Ok(());
        }
        let mut places: Vec<(usize, i32)> =
            self.positions.keys().filter(|place| !self.paused.contains(*place)).copied().collect();
        let mut left = most.max(1);
        // Partitions come in any order, and not all at once.
        while !places.is_empty() && left > 0 {
            let place = places.swap_remove(self.host.pick(places.len()));
            if self.host.pick(4) == 0 {
                continue;
            }
            let before = into.len();
            self.fetch(place, left.min(1 + self.host.pick(8)), into);
            left -= (into.len() - before).min(left);
        }
        Ok(())
    }

    fn wait(&mut self, at_most: Duration) {
        self.host.reached(self.process, "wait");
        if std::mem::take(&mut self.backs_off) {
            self.host.pass(self.process, i64::try_from(at_most.as_millis()).unwrap_or(100));
        }
    }

    fn rebalance(&mut self) -> Option<Rebalance> {
        let change = self.changes.pop_front()?;
        if matches!(change, Rebalance::Revoked { .. }) {
            self.seat.captured.set(None);
        }
        Some(change)
    }

    fn rebalance_is_pending(&self) -> bool {
        !self.changes.is_empty()
    }

    fn release(&mut self) {
        self.host.reached(self.process, "release");
        self.seat.captured.set(None);
        self.told = None;
        self.positions.clear();
        self.paused.clear();
        let now = self.host.now();
        let group = &mut self.broker.borrow_mut().group;
        match self.seat.member.get() {
            Some(member) => group.rejoin(&self.name, member),
            None => self.seat.member.set(Some(group.join(&self.name, now))),
        }
    }

    fn take_over(&mut self, partitions: &[i32]) -> Result<Vec<Owned>, TakeOver> {
        self.host.reached(self.process, "take over");
        self.seat.captured.set(None);
        self.positions.clear();
        self.paused.clear();
        self.await_decided(partitions, |broker| !broker.is_pending(partitions))?;
        let broker = self.broker.borrow();
        let mut owned = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let found: [Option<i64>; INPUTS] = std::array::from_fn(|input| broker.committed(input, *partition));
            let next = found.map(|offset| offset.unwrap_or(0));
            for (input, next) in next.iter().enumerate() {
                self.positions.insert((input, *partition), *next);
                self.paused.insert((input, *partition));
                self.fresh.insert((input, *partition));
            }
            let committed = found.iter().any(Option::is_some);
            owned.push(Owned { offsets: Offsets { partition: *partition, next }, committed });
        }
        Ok(owned)
    }

    fn restore(&mut self, from: &[(i32, i64)], apply: &mut Apply<'_>) -> Result<Vec<(i32, i64)>, TakeOver> {
        let mut ends = Vec::new();
        let topic = self.broker.borrow().state.clone();
        let mut read = Vec::new();
        for (partition, offset) in from {
            self.host.reached(self.process, "restore");
            let number = usize::try_from(*partition).expect("no partition is negative");
            let end = self.broker.borrow().topics[&topic].partitions[number].end();
            ends.push((*partition, end));
            if end > *offset {
                self.await_decided(&[*partition], |broker| broker.topics[&topic].partitions[number].stable() >= end)?;
                read.push((*partition, number, *offset));
            }
        }
        for (partition, number, offset) in read {
            self.hear()?;
            if !self.changes.is_empty() {
                return Err(TakeOver::Rebalanced);
            }
            self.host.reached(self.process, "restore reads");
            let kept: Vec<_> =
                self.broker.borrow().topics[&topic].partitions[number].committed(offset).cloned().collect();
            for one in kept {
                apply(partition, one.key.as_deref().unwrap_or_default(), one.value.as_deref())?;
            }
        }
        Ok(ends)
    }

    fn claim(&mut self, offsets: &[Offsets]) -> Result<(), TakeOver> {
        self.host.reached(self.process, "claim");
        let (Some(member), Some(generation)) = (self.seat.member.get(), self.told) else {
            return Err(TakeOver::Rebalanced);
        };
        if self.broker.borrow_mut().commit((&self.name, member, generation), offsets).is_err() {
            self.host.occurred("claim refused");
            self.hear()?;
            return Err(TakeOver::Rebalanced);
        }
        self.seat.captured.set(Some((member, generation)));
        self.seat.touched.set(true);
        for one in offsets {
            self.paused.retain(|(_, partition)| *partition != one.partition);
        }
        self.host.reached(self.process, "claimed");
        Ok(())
    }

    fn transact(&mut self, records: &[Outgoing], offsets: &[Offsets]) -> Outcome {
        let refused = |reason: &str| Outcome::Aborted { culprit: None, reason: reason.to_owned() };
        self.backs_off = true;
        self.host.reached(self.process, "begin");
        let Some((member, generation)) = self.seat.captured.get() else {
            return refused("not a member of the group now");
        };
        if offsets.is_empty() {
            return refused("a transaction without offsets");
        }
        if self.broken {
            return self.unknown("the producer is done for");
        }
        let number = self.broker.borrow_mut().number();
        self.host.began(self.process, number, offsets);
        for record in records {
            self.host.reached(self.process, "produce");
            let now = self.host.now();
            let produced = self.broker.borrow_mut().produce(&self.name, self.epoch, number, record, now);
            match produced {
                Ok(offset) => {
                    if *record.topic == *self.broker.borrow().state {
                        self.ends.insert(record.partition, offset + 1);
                    }
                }
                Err(Refused::TooLarge | Refused::NoTopic) => {
                    self.host.occurred("record refused by the broker");
                    return self.abort(Some(record.origin), "a record is refused for itself");
                }
                Err(Refused::Fenced | Refused::Stale) => {
                    self.host.occurred("producer fenced");
                    return self.unknown("fenced while producing");
                }
            }
        }
        if self.host.happens("delivery failed") {
            return self.abort(None, "a delivery failed");
        }
        self.host.reached(self.process, "drained");
        let now = self.host.now();
        let as_member = (self.name.as_str(), member, generation);
        let sent = self.broker.borrow_mut().offsets_to(&self.name, self.epoch, number, as_member, offsets, now);
        match sent {
            Ok(()) => {}
            Err(Refused::Stale) => {
                self.host.occurred("stale member refused");
                return self.abort(None, "a stale member's offsets are refused");
            }
            Err(_) => {
                self.host.occurred("producer fenced");
                return self.unknown("fenced while sending offsets");
            }
        }
        self.host.reached(self.process, "offsets sent");
        if self.host.happens("commit lost") {
            return self.unknown("no answer to a commit that never arrived");
        }
        if self.host.happens("commit delayed") {
            let due = self.host.now() + i64::try_from(self.host.pick(4_000)).unwrap_or(0);
            self.broker.borrow_mut().end_later(&self.name, self.epoch, due);
            return self.unknown("no answer to a commit that is on its way");
        }
        let now = self.host.now();
        let ended = self.broker.borrow_mut().end(&self.name, self.epoch, true, now);
        self.host.decided();
        if ended.is_err() {
            self.host.occurred("producer fenced");
            return self.unknown("fenced while committing");
        }
        if self.host.happens("commit unanswered") {
            return self.unknown("no answer to a commit that counts");
        }
        self.host.reached(self.process, "committed");
        self.backs_off = false;
        self.seat.touched.set(true);
        Outcome::Committed
    }

    fn renew(&mut self, reason: &str) -> Result<(), Stop> {
        self.host.reached(self.process, "renew");
        let now = self.host.now();
        self.renewed.retain(|at| now - at < RENEW_WINDOW);
        if self.renewed.len() >= RENEW_LIMIT {
            let (slot, times) = (self.name.clone(), self.renewed.len());
            return Err(Stop::Fenced { slot, times, detail: reason.to_owned() });
        }
        self.renewed.push_back(now);
        self.epoch = self.broker.borrow_mut().init(&self.name, now);
        self.host.decided();
        self.ends.clear();
        self.broken = false;
        Ok(())
    }

    fn state_end(&self, partition: i32) -> i64 {
        self.ends.get(&partition).copied().unwrap_or(0)
    }

    fn flow(&mut self, input: usize, partitions: &[i32], on: bool) {
        for partition in partitions {
            if on {
                self.paused.remove(&(input, *partition));
            } else {
                self.paused.insert((input, *partition));
            }
        }
    }

    fn partitions_of(&mut self, topic: &str) -> Option<i32> {
        let broker = self.broker.borrow();
        i32::try_from(broker.topics.get(topic)?.partitions.len()).ok()
    }

    fn check_partitions(&mut self, _: i32) -> Result<(), Stop> {
        Ok(())
    }

    fn close(&mut self, at_once: bool) {
        if let Some(member) = self.seat.member.get().filter(|_| at_once) {
            self.broker.borrow_mut().group.leave(&self.name, member);
        }
    }
}
