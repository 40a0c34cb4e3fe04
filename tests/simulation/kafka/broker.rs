//! The broker: topics, transactional producers, the group and its offsets.

use super::group::Group;
use super::topics::{Kept, Topic};
use baton::partition::INPUTS;
use baton::worker::{Offsets, Outgoing};
use std::collections::{BTreeMap, BTreeSet};

/// Why the broker refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Another producer has that transactional id, or the broker ended the transaction itself.
    Fenced,
    /// The offsets are not a member's of this generation.
    Stale,
    TooLarge,
    NoTopic,
}

/// An offset that counts, and who wrote it.
#[derive(Clone, Debug)]
struct Decided {
    next: i64,
    writer: String,
}

#[derive(Debug, Default)]
struct Producer {
    epoch: u32,
    open: Option<Open>,
}

/// A transaction that is not decided.
#[derive(Debug)]
struct Open {
    transaction: u64,
    since: i64,
    written: BTreeMap<(String, usize), Vec<i64>>,
    offsets: Vec<Offsets>,
}

/// A request that is still on its way although its sender has given up on it.
#[derive(Debug)]
struct Late {
    due: i64,
    id: String,
    epoch: u32,
}

/// A transaction's end, with what became visible by it.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) transaction: u64,
    pub(crate) committed: bool,
    /// In the order of topics, partitions and offsets; none of what was aborted.
    pub(crate) records: Vec<(String, usize, Kept)>,
    pub(crate) offsets: Vec<Offsets>,
}

#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) topics: BTreeMap<String, Topic>,
    pub(super) group: Group,
    pub(super) inputs: [String; INPUTS],
    pub(super) state: String,
    pub(super) session: i64,
    timeout: i64,
    swept: i64,
    producers: BTreeMap<String, Producer>,
    offsets: BTreeMap<(usize, i32), Decided>,
    late: Vec<Late>,
    transactions: u64,
    written: Vec<Written>,
}

/// The broker looks for transactions that took too long this often.
const SWEEP: i64 = 10_000;

impl Broker {
    /// `session` and `timeout` (of transactions) in milliseconds.
    pub(crate) fn new(
        inputs: [String; INPUTS],
        state: &str,
        partitions: usize,
        session: i64,
        timeout: i64,
        max_bytes: usize,
    ) -> Self {
        let names = inputs.iter().map(String::as_str).chain([state]);
        let topics = names.map(|name| (name.to_owned(), Topic::new(partitions, max_bytes))).collect();
        Self {
            topics,
            group: Group::new(i32::try_from(partitions).expect("a few")),
            inputs,
            state: state.to_owned(),
            session,
            timeout,
            swept: 0,
            producers: BTreeMap::new(),
            offsets: BTreeMap::new(),
            late: Vec::new(),
            transactions: 0,
            written: Vec::new(),
        }
    }

    /// A record of an ordinary producer; its offset, none if its topic is not there.
    pub(crate) fn append(&mut self, record: &Outgoing, now: i64) -> Option<i64> {
        let topic = self.topics.get_mut(&*record.topic)?;
        let partition = usize::try_from(record.partition).ok()?;
        Some(topic.partitions.get_mut(partition)?.append(record, now, false))
    }

    /// What ended since this was asked last.
    pub(crate) fn take_written(&mut self) -> Vec<Written> {
        std::mem::take(&mut self.written)
    }

    pub(crate) fn compact(&mut self) {
        let state = self.topics.get_mut(&self.state).expect("it is made with the broker");
        state.partitions.iter_mut().for_each(super::topics::Partition::compact);
    }

    /// What time brings: sessions and transactions that are over, requests that arrive late. Says of each whether any
    /// was.
    pub(crate) fn tick(&mut self, now: i64) -> Vec<&'static str> {
        let mut happened = Vec::new();
        if self.group.expire(now, self.session) {
            happened.push("session expired");
        }
        if now - self.swept >= SWEEP {
            self.swept = now;
            let over = |producer: &Producer| producer.open.as_ref().is_some_and(|open| now - open.since > self.timeout);
            let ids: Vec<String> =
                self.producers.iter().filter(|(_, one)| over(one)).map(|(id, _)| id.clone()).collect();
            for id in ids {
                happened.push("transaction timed out");
                self.init(&id, now);
            }
        }
        let (due, late) = std::mem::take(&mut self.late).into_iter().partition(|one: &Late| one.due <= now);
        self.late = late;
        for Late { id, epoch, .. } in due {
            happened.push("commit arrived late");
            let _ = self.end(&id, epoch, true, now);
        }
        happened
    }

    // --- transactions ----------------------------------------------------------------------------

    /// A new producer under that id: what its predecessor left open is aborted, and it is fenced.
    pub(super) fn init(&mut self, id: &str, now: i64) -> u32 {
        let producer = self.producers.entry(id.to_owned()).or_default();
        producer.epoch += 1;
        let epoch = producer.epoch;
        let _ = self.end(id, epoch, false, now);
        epoch
    }

    pub(super) fn has_open(&self, id: &str) -> bool {
        self.producers.get(id).is_some_and(|producer| producer.open.is_some())
    }

    pub(super) fn number(&mut self) -> u64 {
        self.transactions += 1;
        self.transactions
    }

    fn open(&mut self, id: &str, epoch: u32, transaction: u64, now: i64) -> Result<&mut Open, Refused> {
        let producer = self.producers.get_mut(id).filter(|producer| producer.epoch == epoch).ok_or(Refused::Fenced)?;
        let fresh = || Open { transaction, since: now, written: BTreeMap::new(), offsets: Vec::new() };
        Ok(producer.open.get_or_insert_with(fresh))
    }

    pub(super) fn produce(
        &mut self,
        id: &str,
        epoch: u32,
        transaction: u64,
        record: &Outgoing,
        now: i64,
    ) -> Result<i64, Refused> {
        let number = usize::try_from(record.partition).map_err(|_| Refused::NoTopic)?;
        self.open(id, epoch, transaction, now)?;
        let topic = self.topics.get_mut(&*record.topic).ok_or(Refused::NoTopic)?;
        let bytes = [&record.key, &record.value].into_iter().flatten().map(Vec::len).sum::<usize>();
        if bytes > topic.max_bytes {
            return Err(Refused::TooLarge);
        }
        let partition = topic.partitions.get_mut(number).ok_or(Refused::NoTopic)?;
        let offset = partition.append(record, now, true);
        let place = (record.topic.to_string(), number);
        self.open(id, epoch, transaction, now)?.written.entry(place).or_default().push(offset);
        Ok(offset)
    }

    /// Offsets in a transaction; `member` is a member's name, id and generation.
    pub(super) fn offsets_to(
        &mut self,
        id: &str,
        epoch: u32,
        transaction: u64,
        member: (&str, u64, i64),
        offsets: &[Offsets],
        now: i64,
    ) -> Result<(), Refused> {
        self.open(id, epoch, transaction, now)?;
        if !self.group.accepts(member.0, member.1, member.2) {
            return Err(Refused::Stale);
        }
        self.open(id, epoch, transaction, now)?.offsets = offsets.to_vec();
        Ok(())
    }

    pub(super) fn end(&mut self, id: &str, epoch: u32, committed: bool, now: i64) -> Result<(), Refused> {
        let producer = self.producers.get_mut(id).filter(|producer| producer.epoch == epoch).ok_or(Refused::Fenced)?;
        let Some(open) = producer.open.take() else { return Ok(()) };
        let mut records = Vec::new();
        for ((topic, number), offsets) in open.written {
            let partition = &mut self.topics.get_mut(&topic).expect("it was written to").partitions[number];
            partition.decide(&offsets, committed, now);
            if committed {
                // Another transaction may still hold readers back before these: looked up one by one.
                records.extend(partition.at(&offsets).map(|kept| (topic.clone(), number, kept.clone())));
            }
        }
        if committed {
            self.decide(&open.offsets, id);
        }
        let Open { transaction, offsets, .. } = open;
        self.written.push(Written { transaction, committed, records, offsets });
        Ok(())
    }

    pub(super) fn end_later(&mut self, id: &str, epoch: u32, due: i64) {
        self.late.push(Late { due, id: id.to_owned(), epoch });
    }

    // --- offsets ---------------------------------------------------------------------------------

    fn decide(&mut self, offsets: &[Offsets], writer: &str) {
        for one in offsets {
            for (input, next) in one.next.iter().enumerate() {
                let decided = Decided { next: *next, writer: writer.to_owned() };
                self.offsets.insert((input, one.partition), decided);
            }
        }
    }

    /// A commit outside of any transaction.
    pub(super) fn commit(&mut self, member: (&str, u64, i64), offsets: &[Offsets]) -> Result<(), Refused> {
        if !self.group.accepts(member.0, member.1, member.2) {
            return Err(Refused::Stale);
        }
        self.decide(offsets, member.0);
        Ok(())
    }

    /// The committed offset; none if there never was one.
    pub(crate) fn committed(&self, input: usize, partition: i32) -> Option<i64> {
        self.offsets.get(&(input, partition)).map(|decided| decided.next)
    }

    /// Whether a transaction holds offsets of these partitions that are not decided.
    pub(super) fn is_pending(&self, partitions: &[i32]) -> bool {
        let open = self.producers.values().filter_map(|producer| producer.open.as_ref());
        open.flat_map(|open| &open.offsets).any(|one| partitions.contains(&one.partition))
    }

    /// Who wrote the last decided offsets of these partitions.
    pub(super) fn writers(&self, partitions: &[i32]) -> BTreeSet<String> {
        let of_these = self.offsets.iter().filter(|((_, partition), _)| partitions.contains(partition));
        of_these.map(|(_, decided)| decided.writer.clone()).collect()
    }
}
