//! The client: what `kafka::log` does with the real one, on the fake broker.

use super::Host;
use super::broker::Broker;
use super::group::Heard;
use super::seat::Seat;
use baton::partition::INPUTS;
use baton::worker::{Apply, Log, Offsets, Outcome, Outgoing, Owned, Rebalance, Record, Stop, TakeOver};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// After this what is undecided is taken for a dead worker's; then once more after [`AGAIN`].
const UNDECIDED: i64 = 200;
const AGAIN: i64 = 2_000;
const PATIENCE: i64 = 10_000;
const RENEW_LIMIT: usize = 3;
const RENEW_WINDOW: i64 = 60_000;

pub(crate) struct FakeLog {
    pub(super) broker: Rc<RefCell<Broker>>,
    pub(super) host: Rc<dyn Host>,
    pub(super) process: usize,
    /// Transactional id and name in the group.
    pub(super) name: String,
    pub(super) epoch: u32,
    pub(super) seat: Rc<Seat>,
    /// The generation it was told of last.
    pub(super) told: Option<i64>,
    pub(super) changes: VecDeque<Rebalance>,
    pub(super) positions: BTreeMap<(usize, i32), i64>,
    pub(super) paused: BTreeSet<(usize, i32)>,
    /// Positioned and not read since.
    pub(super) fresh: BTreeSet<(usize, i32)>,
    /// Ends of its own records in the state topic.
    pub(super) ends: BTreeMap<i32, i64>,
    pub(super) renewed: VecDeque<i64>,
    /// The producer cannot be used any more.
    pub(super) broken: bool,
    /// The last transaction was aborted: who waits now backs off.
    pub(super) backs_off: bool,
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

    /// Another is in the group under this name. A ghost gives no sign of life and is gone after its session; then this one
    /// joins again.
    fn rejoin(&mut self) -> Result<(), Stop> {
        let deadline = self.host.now() + 2 * self.broker.borrow().session + 1_000;
        while self.broker.borrow().group.has(&self.name) {
            if self.host.now() >= deadline {
                let (slot, detail) = (self.name.clone(), "another joined under this name".to_owned());
                return Err(Stop::SlotTaken { slot, detail });
            }
            self.host.pass(self.process, UNDECIDED);
        }
        self.host.occurred("ghost gone");
        let now = self.host.now();
        self.seat.member.set(Some(self.broker.borrow_mut().group.join(&self.name, now)));
        self.seat.captured.set(None);
        self.told = None;
        self.changes.clear();
        self.changes.push_back(Rebalance::Revoked { lost: true });
        Ok(())
    }

    /// Hears what the group decided.
    fn hear(&mut self) -> Result<(), Stop> {
        let Some(member) = self.seat.member.get() else { return Ok(()) };
        let now = self.host.now();
        let heard = self.broker.borrow_mut().group.hear(&self.name, member, now);
        match heard {
            Heard::Fenced => return self.rejoin(),
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
        self.transaction(records, offsets)
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
