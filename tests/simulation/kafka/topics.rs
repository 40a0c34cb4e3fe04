//! Logs of records, and which of them a reader may see.

use baton::worker::Outgoing;
use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Committed,
    /// Of a transaction that is not decided.
    Open,
    Aborted,
    /// A transaction's end; it takes an offset and holds nothing.
    Marker,
}

/// A record as the broker keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    state: State,
}

/// One partition of a topic.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    kept: Vec<Kept>,
    end: i64,
    open: BTreeSet<i64>,
}

impl Partition {
    /// The offset after the last record of any kind.
    pub(crate) fn end(&self) -> i64 {
        self.end
    }

    /// The offset up to which everything is decided.
    pub(crate) fn stable(&self) -> i64 {
        self.open.first().copied().unwrap_or(self.end)
    }

    /// What a `read_committed` reader sees from this offset on.
    pub(crate) fn committed(&self, from: i64) -> impl Iterator<Item = &Kept> {
        let stable = self.stable();
        let first = self.kept.partition_point(|one| one.offset < from);
        let seen = self.kept[first..].iter().take_while(move |one| one.offset < stable);
        seen.filter(|one| one.state == State::Committed)
    }

    /// The records at these offsets.
    pub(super) fn at(&self, offsets: &[i64]) -> impl Iterator<Item = &Kept> {
        offsets.iter().map(|offset| &self.kept[self.kept.partition_point(|one| one.offset < *offset)])
    }

    pub(super) fn append(&mut self, record: &Outgoing, now: i64, in_transaction: bool) -> i64 {
        let state = if in_transaction { State::Open } else { State::Committed };
        let headers = record.headers.iter().map(|(key, value)| (key.clone().into_owned(), value.clone())).collect();
        if in_transaction {
            self.open.insert(self.end);
        }
        self.push(Kept {
            offset: self.end,
            timestamp: record.timestamp.unwrap_or(now),
            key: record.key.clone(),
            value: record.value.clone(),
            headers,
            state,
        })
    }

    fn push(&mut self, kept: Kept) -> i64 {
        self.kept.push(kept);
        self.end += 1;
        self.end - 1
    }

    /// Decides the records at these offsets, and writes that down behind them.
    pub(super) fn decide(&mut self, offsets: &[i64], committed: bool, now: i64) {
        for offset in offsets {
            self.open.remove(offset);
            let place = self.kept.partition_point(|one| one.offset < *offset);
            self.kept[place].state = if committed { State::Committed } else { State::Aborted };
        }
        let (key, value, headers) = (None, None, Vec::new());
        self.push(Kept { offset: self.end, timestamp: now, key, value, headers, state: State::Marker });
    }

    /// Keeps the last committed record of each key, of those that are decided.
    pub(super) fn compact(&mut self) {
        let stable = self.stable();
        let mut seen = BTreeSet::new();
        let mut keep: Vec<bool> = Vec::with_capacity(self.kept.len());
        for one in self.kept.iter().rev() {
            let goes = one.offset < stable
                && match one.state {
                    State::Committed => !seen.insert(one.key.clone()),
                    State::Open => false,
                    State::Aborted | State::Marker => true,
                };
            keep.push(!goes);
        }
        let mut keep = keep.into_iter().rev();
        self.kept.retain(|_| keep.next().unwrap_or(true));
    }
}

#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) partitions: Vec<Partition>,
    /// The largest record taken, in bytes of key and value.
    pub(crate) max_bytes: usize,
}

impl Topic {
    pub(crate) fn new(partitions: usize, max_bytes: usize) -> Self {
        Self { partitions: (0..partitions).map(|_| Partition::default()).collect(), max_bytes }
    }
}
