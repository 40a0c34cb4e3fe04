//! Whether this process can do its work, by parts that each say so themselves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What each part of the process last said of itself. Cheap to clone; all clones share one state.
#[derive(Clone, Debug, Default)]
pub struct Health {
    parts: Arc<Mutex<BTreeMap<String, Option<String>>>>,
}

impl Health {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// This part does its work.
    pub fn ready(&self, part: &str) {
        self.set(part, None);
    }

    /// This part cannot do its work, and why, for the person who reads it.
    pub fn waiting(&self, part: &str, reason: impl Into<String>) {
        self.set(part, Some(reason.into()));
    }

    /// This part is no more.
    pub fn forget(&self, part: &str) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).remove(part);
    }

    /// Whether at least one part has spoken and none waits.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        !parts.is_empty() && parts.values().all(Option::is_none)
    }

    /// Each part, with the reason if it waits.
    #[must_use]
    pub fn parts(&self) -> BTreeMap<String, Option<String>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, part: &str, reason: Option<String>) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(part.to_owned(), reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_which_no_part_has_spoken_is_not_ready() {
        let health = Health::new();
        assert!(!health.is_ready());
        health.ready("brokers");
        assert!(health.is_ready());
    }

    #[test]
    fn one_part_that_waits_holds_back_the_whole() {
        let health = Health::new();
        health.ready("brokers");
        health.waiting("partitions", "restoring 3 of 6");
        assert!(!health.is_ready());
        health.forget("partitions");
        assert!(health.is_ready());
    }
}
