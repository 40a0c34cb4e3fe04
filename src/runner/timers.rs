use super::TaskKey;
use crate::workflow::{Timer, Timestamp};
use std::collections::BTreeSet;

/// Timers by due time. A timer costs its entry here and nothing else: no thread, no task.
#[derive(Debug, Default)]
pub(super) struct Timers {
    armed: BTreeSet<(Timer, TaskKey)>,
}

impl Timers {
    pub(super) fn arm(&mut self, key: &TaskKey, timer: &Timer) {
        self.armed.insert((timer.clone(), key.clone()));
    }

    pub(super) fn cancel(&mut self, key: &TaskKey, timer: &Timer) {
        self.armed.remove(&(timer.clone(), key.clone()));
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.armed.first().map(|(timer, _)| timer.due)
    }

    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<(TaskKey, Timer)> {
        if self.next_due()? > now {
            return None;
        }
        self.armed.pop_first().map(|(timer, key)| (key, timer))
    }
}
