//! The instances of one agent, by their heartbeats.

use std::collections::BTreeMap;

/// Instances kept of one agent; of more the one silent for longest is forgotten.
const MOST: usize = 100;

/// How an instance stands by its silence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    #[default]
    Fresh,
    Stale,
    Gone,
}

/// One instance, as its last heartbeat says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    pub name: String,
    pub version: String,
    /// The broker's time of its last heartbeat, in milliseconds since the epoch.
    pub at: i64,
    pub in_flight: i32,
    /// 0 = not said.
    pub capacity: i32,
    pub standing: Standing,
}

/// All of one agent. They outlive their topic's retention: who is absent stays so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instances(BTreeMap<String, Instance>);

impl Instances {
    #[must_use]
    pub fn of(instances: impl IntoIterator<Item = Instance>) -> Self {
        Self(instances.into_iter().map(|one| (one.name.clone(), one)).collect())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Instance> {
        self.0.values()
    }

    /// Takes the last heartbeats and judges each instance by its silence at `now`, the broker's time. Those that are gone
    /// are forgotten once another is there.
    pub fn look(&mut self, heard: impl IntoIterator<Item = Instance>, now: i64, stale_after: i64, gone_after: i64) {
        for one in heard {
            if self.0.get(&one.name).is_none_or(|known| known.at <= one.at) {
                self.0.insert(one.name.clone(), one);
            }
        }
        for one in self.0.values_mut() {
            one.standing = match now - one.at {
                silence if silence > gone_after => Standing::Gone,
                silence if silence > stale_after => Standing::Stale,
                _ => Standing::Fresh,
            };
        }
        if self.0.values().any(|one| one.standing != Standing::Gone) {
            self.0.retain(|_, one| one.standing != Standing::Gone);
        }
        while self.0.len() > MOST {
            let oldest = self.0.values().min_by_key(|one| one.at).map(|one| one.name.clone());
            oldest.map(|oldest| self.0.remove(&oldest));
        }
    }

    /// All, those that are fresh, and those that are stale.
    #[must_use]
    pub fn count(&self) -> (usize, usize, usize) {
        let of = |standing| self.0.values().filter(|one| one.standing == standing).count();
        (self.0.len(), of(Standing::Fresh), of(Standing::Stale))
    }

    /// Whose heartbeat came last.
    #[must_use]
    pub fn latest(&self) -> Option<&Instance> {
        self.0.values().max_by_key(|one| one.at)
    }
}
