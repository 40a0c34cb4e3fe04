//! Which offsets may be committed: of each partition the first one that is not settled, with all before it settled.
//!
//! Records are settled in any order. Partitions come and go with the group's decisions; each time one comes it has another epoch, and what is settled under
//! an earlier one is no longer ours to commit.

use super::group::Place;
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

/// A record in hand.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    place: Place,
    offset: i64,
    epoch: u64,
    /// Its partition is somebody else's now: work on it should not begin.
    pub(crate) revoked: CancellationToken,
}

#[derive(Debug, Default)]
pub(crate) struct Offsets {
    partitions: BTreeMap<Place, Partition>,
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
    pub(crate) fn assigned(&mut self, places: &[Place]) {
        for place in places {
            self.epochs += 1;
            let (settled, revoked) = (BTreeMap::new(), CancellationToken::new());
            let fresh = Partition { epoch: self.epochs, settled, next: None, due: false, revoked };
            if let Some(old) = self.partitions.insert(place.clone(), fresh) {
                old.revoked.cancel();
            }
        }
    }

    pub(crate) fn revoked(&mut self, places: &[Place]) {
        for partition in places.iter().filter_map(|place| self.partitions.remove(place)) {
            partition.revoked.cancel();
        }
    }

    /// A record was read; none if its partition is not ours.
    pub(crate) fn open(&mut self, place: Place, offset: i64) -> Option<Ticket> {
        let partition = self.partitions.get_mut(&place)?;
        partition.settled.insert(offset, false);
        Some(Ticket { offset, epoch: partition.epoch, revoked: partition.revoked.clone(), place })
    }

    /// Its report is delivered, or it needs none.
    pub(crate) fn settle(&mut self, ticket: &Ticket) {
        let ours = self.partitions.get_mut(&ticket.place).filter(|partition| partition.epoch == ticket.epoch);
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
    pub(crate) fn due(&mut self) -> Vec<(Place, i64)> {
        let due = |(place, partition): (&Place, &mut Partition)| {
            std::mem::take(&mut partition.due).then_some(()).and(partition.next).map(|next| (place.clone(), next))
        };
        self.partitions.iter_mut().filter_map(due).collect()
    }

    /// Everything that was ever due counts as due again: a commit failed.
    pub(crate) fn again(&mut self) {
        self.partitions.values_mut().for_each(|partition| partition.due = partition.next.is_some());
    }

    /// Records that are not settled, or wait for one before them.
    pub(crate) fn held(&self) -> usize {
        self.partitions.values().map(|partition| partition.settled.len()).sum()
    }

    /// The same by topic.
    pub(crate) fn held_by_topic(&self) -> BTreeMap<&str, usize> {
        let mut held = BTreeMap::new();
        for (place, partition) in &self.partitions {
            *held.entry(&*place.topic).or_default() += partition.settled.len();
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: i32) -> Place {
        Place::new("t", partition)
    }

    #[test]
    fn an_offset_is_due_once_every_earlier_one_is_settled() {
        let mut offsets = Offsets::default();
        offsets.assigned(&[at(0), at(1)]);
        // Between 5 and 8 lie markers of transactions, which nobody reads.
        let tickets: Vec<_> = [4, 5, 8].into_iter().map(|offset| offsets.open(at(0), offset).unwrap()).collect();
        let other = offsets.open(at(1), 7).unwrap();
        offsets.settle(&tickets[1]);
        offsets.settle(&tickets[2]);
        assert_eq!((offsets.due(), offsets.held()), (vec![], 4));
        offsets.settle(&tickets[0]);
        offsets.settle(&other);
        assert_eq!((offsets.due(), offsets.held()), (vec![(at(0), 9), (at(1), 8)], 0));
        assert_eq!(offsets.due(), []);
        offsets.again();
        assert_eq!(offsets.due(), [(at(0), 9), (at(1), 8)]);
    }

    #[test]
    fn what_was_begun_before_a_partition_was_taken_away_commits_nothing() {
        let mut offsets = Offsets::default();
        offsets.assigned(&[at(0)]);
        let before = offsets.open(at(0), 1).unwrap();
        offsets.revoked(&[at(0)]);
        assert!(before.revoked.is_cancelled() && offsets.open(at(0), 2).is_none());
        offsets.assigned(&[at(0)]);
        let again = offsets.open(at(0), 1).unwrap();
        offsets.settle(&before);
        assert_eq!(offsets.due(), []);
        offsets.settle(&again);
        assert_eq!(offsets.due(), [(at(0), 2)]);
    }
}
