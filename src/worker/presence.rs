//! Which agents show signs of life. Silence is judged on the broker's time, since agents' clocks are their own.

use crate::workflow::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The last sign of life of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sign {
    /// The broker's time.
    pub at: Timestamp,
    /// Assignments it takes at once; 0 = not said.
    pub capacity: u32,
}

/// The last sign of life of every instance, as the reader of heartbeats keeps it; read by every worker of the process.
#[derive(Debug, Default)]
pub struct SharedPresence(RwLock<Arc<Presence>>);

/// The same at one moment.
#[derive(Clone, Debug, Default)]
pub struct Presence {
    /// By the agent's topic name, then by instance.
    agents: BTreeMap<String, BTreeMap<String, Sign>>,
    /// How far this machine's clock is ahead of the broker's, in milliseconds, as far as the records tell: the least time
    /// that one took to come here.
    ahead: Option<i64>,
}

/// Instances of one agent; more are a mistake of whoever names them anew each time, and the oldest are forgotten.
const MAX_INSTANCES: usize = 1_000;

impl SharedPresence {
    #[must_use]
    pub fn get(&self) -> Arc<Presence> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a sign of life. `received` is this machine's time, of one that was written just now.
    pub fn take(&self, topic_name: &str, instance: &str, sign: Sign, received: Option<Timestamp>) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let presence = Arc::make_mut(&mut current);
        let instances = presence.agents.entry(topic_name.to_owned()).or_default();
        instances.insert(instance.to_owned(), sign);
        if instances.len() > MAX_INSTANCES
            && let Some(oldest) = instances.iter().min_by_key(|(_, sign)| sign.at).map(|(name, _)| name.clone())
        {
            instances.remove(&oldest);
        }
        if let Some(took) = received.map(|received| received.since(sign.at)) {
            presence.ahead = Some(presence.ahead.map_or(took, |least| least.min(took)));
        }
    }
}

impl Presence {
    /// Whether the agent has shown signs of life and does so no more. One that never did counts as alive: it is judged by
    /// its reports and deadlines.
    #[must_use]
    pub fn is_gone(&self, topic_name: &str, now: Timestamp, patience: i64) -> bool {
        let Some(instances) = self.agents.get(topic_name) else { return false };
        !instances.values().any(|sign| self.is_fresh(sign, now, patience))
    }

    /// What the living instances take at once together; none if one does not say.
    #[must_use]
    pub fn capacity(&self, topic_name: &str, now: Timestamp, patience: i64) -> Option<u32> {
        let fresh = self.agents.get(topic_name)?.values().filter(|sign| self.is_fresh(sign, now, patience));
        let mut sum = None;
        for sign in fresh {
            if sign.capacity == 0 {
                return None;
            }
            sum = Some(sum.unwrap_or(0_u32).saturating_add(sign.capacity));
        }
        sum
    }

    fn is_fresh(&self, sign: &Sign, now: Timestamp, patience: i64) -> bool {
        now.since(sign.at) - self.ahead.unwrap_or(0) <= patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(at: i64, capacity: u32) -> Sign {
        Sign { at: Timestamp(at), capacity }
    }

    #[test]
    fn an_agent_is_gone_when_all_of_its_instances_are_silent_and_never_if_none_ever_spoke() {
        let shared = SharedPresence::default();
        shared.take("scorer", "one", sign(1_000, 2), None);
        shared.take("scorer", "two", sign(5_000, 3), None);
        let presence = shared.get();
        assert_eq!(presence.capacity("scorer", Timestamp(5_500), 5_000), Some(5));
        assert_eq!(presence.capacity("scorer", Timestamp(9_000), 5_000), Some(3), "one is silent");
        assert!(!presence.is_gone("scorer", Timestamp(10_000), 5_000));
        assert!(presence.is_gone("scorer", Timestamp(10_001), 5_000));
        assert!(!presence.is_gone("writer", Timestamp(10_001), 5_000), "it never spoke");
    }

    #[test]
    fn a_clock_that_is_ahead_of_the_brokers_makes_nobody_gone() {
        let shared = SharedPresence::default();
        shared.take("a", "", sign(1_000, 0), Some(Timestamp(61_000)));
        let presence = shared.get();
        assert!(!presence.is_gone("a", Timestamp(62_000), 5_000));
        assert!(presence.is_gone("a", Timestamp(66_001), 5_000));
        assert_eq!(presence.capacity("a", Timestamp(62_000), 5_000), None, "it does not say");
    }
}
