//! Which offsets may be committed: of each partition the first one that is not settled, with all before it settled.
//!
//! Partitions come and go with the group's decisions; each time one comes it has another epoch, and what is settled under
//! an earlier one is no longer ours to commit.

use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

/// A record in hand.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    partition: i32,
    offset: i64,
    epoch: u64,
    /// Its partition is somebody else's now: work on it should not begin.
    pub(super) revoked: CancellationToken,
}

#[derive(Debug, Default)]
pub(super) struct Offsets {
    partitions: BTreeMap<i32, Partition>,
    epochs: u64,
}

#[derive(Debug)]
struct Partition {
    epoch: u64,
    /// Whether each record from the first one on that is not settled is.
    settled: BTreeMap<i64, bool>,
    /// The offset to commit: of the next record to read.
    next: Option<i64>,
    /// Whether that was not handed out yet.
    due: bool,
    revoked: CancellationToken,
}

impl Offsets {
    pub(super) fn assigned(&mut self, partitions: &[i32]) {
        for number in partitions {
            self.epochs += 1;
            let (settled, revoked) = (BTreeMap::new(), CancellationToken::new());
            let fresh = Partition { epoch: self.epochs, settled, next: None, due: false, revoked };
            if let Some(old) = self.partitions.insert(*number, fresh) {
                old.revoked.cancel();
            }
        }
    }

    pub(super) fn revoked(&mut self, partitions: &[i32]) {
        for partition in partitions.iter().filter_map(|number| self.partitions.remove(number)) {
            partition.revoked.cancel();
        }
    }

    /// A record was read; none if its partition is not ours.
    pub(super) fn open(&mut self, number: i32, offset: i64) -> Option<Ticket> {
        let partition = self.partitions.get_mut(&number)?;
        partition.settled.insert(offset, false);
        Some(Ticket { partition: number, offset, epoch: partition.epoch, revoked: partition.revoked.clone() })
    }

    /// Its report is delivered, or it needs none.
    pub(super) fn settle(&mut self, ticket: &Ticket) {
        let ours = self.partitions.get_mut(&ticket.partition).filter(|partition| partition.epoch == ticket.epoch);
        let Some(partition) = ours else { return };
        if let Some(settled) = partition.settled.get_mut(&ticket.offset) {
            *settled = true;
        }
        while let Some(first) = partition.settled.first_entry().filter(|first| *first.get()) {
            partition.next = Some(first.key() + 1);
            partition.due = true;
            first.remove();
        }
    }

    /// What is to be committed since this was asked last.
    pub(super) fn due(&mut self) -> Vec<(i32, i64)> {
        let due = |(number, partition): (&i32, &mut Partition)| {
            std::mem::take(&mut partition.due).then_some(()).and(partition.next).map(|next| (*number, next))
        };
        self.partitions.iter_mut().filter_map(due).collect()
    }

    /// Everything that was ever due counts as due again: a commit failed.
    pub(super) fn again(&mut self) {
        self.partitions.values_mut().for_each(|partition| partition.due = partition.next.is_some());
    }

    /// Records that are not settled, or wait for one before them.
    pub(super) fn held(&self) -> usize {
        self.partitions.values().map(|partition| partition.settled.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_due_once_every_earlier_one_is_settled() {
        let mut offsets = Offsets::default();
        offsets.assigned(&[0, 1]);
        // Between 5 and 8 lie markers of transactions, which nobody reads.
        let tickets: Vec<_> = [4, 5, 8].into_iter().map(|offset| offsets.open(0, offset).unwrap()).collect();
        let other = offsets.open(1, 7).unwrap();
        offsets.settle(&tickets[1]);
        offsets.settle(&tickets[2]);
        assert_eq!((offsets.due(), offsets.held()), (vec![], 4));
        offsets.settle(&tickets[0]);
        offsets.settle(&other);
        assert_eq!((offsets.due(), offsets.held()), (vec![(0, 9), (1, 8)], 0));
        assert_eq!(offsets.due(), []);
        offsets.again();
        assert_eq!(offsets.due(), [(0, 9), (1, 8)]);
    }

    #[test]
    fn what_was_begun_before_a_partition_was_taken_away_commits_nothing() {
        let mut offsets = Offsets::default();
        offsets.assigned(&[0]);
        let before = offsets.open(0, 1).unwrap();
        offsets.revoked(&[0]);
        assert!(before.revoked.is_cancelled() && offsets.open(0, 2).is_none());
        offsets.assigned(&[0]);
        let again = offsets.open(0, 1).unwrap();
        offsets.settle(&before);
        assert_eq!(offsets.due(), []);
        offsets.settle(&again);
        assert_eq!(offsets.due(), [(0, 2)]);
    }
}
