use super::TaskKey;
use crate::workflow::{Timer, TimerKind, Timestamp};
use std::collections::BTreeMap;

/// Timers by due time, those of one moment as they were armed. A timer costs its entry here and one at its task: no
/// thread. Its place is two numbers, so that looking for it among a million touches little else.
#[derive(Debug, Default)]
pub(super) struct Timers {
    armed: BTreeMap<Place, (TaskKey, TimerKind)>,
    last: u64,
}

/// When a timer is due, and its number.
pub(super) type Place = (Timestamp, u64);

impl Timers {
    pub(super) fn arm(&mut self, key: &TaskKey, timer: &Timer) -> Place {
        self.last += 1;
        let place = (timer.due, self.last);
        self.armed.insert(place, (key.clone(), timer.kind.clone()));
        place
    }

    pub(super) fn cancel(&mut self, place: Place) {
        self.armed.remove(&place);
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.armed.first_key_value().map(|((due, _), _)| *due)
    }

    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<(TaskKey, Place, TimerKind)> {
        let first = self.armed.first_entry().filter(|first| first.key().0 <= now)?;
        let (place, (key, kind)) = first.remove_entry();
        Some((key, place, kind))
    }
}
