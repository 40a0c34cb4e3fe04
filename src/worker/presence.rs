//! Which agents show signs of life. Silence is judged on the broker's time, since agents' clocks are their own.

use crate::workflow::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The last sign of life of one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sign {
    /// The broker's time.
    pub at: Timestamp,
    /// Assignments it takes at once; 0 = not said, or that it takes no more, of one that said another number before.
    pub capacity: u32,
    /// Assignments it works on.
    pub in_flight: u32,
    /// As it says.
    pub version: Arc<str>,
}

/// The same, read beside what the instance said before.
#[derive(Clone, Debug)]
struct Heard {
    sign: Sign,
    /// None if it never said.
    capacity: Option<u32>,
}

/// The last sign of life of every instance, as the reader of heartbeats keeps it; read by every worker of the process.
#[derive(Debug, Default)]
pub struct SharedPresence(RwLock<Arc<Presence>>);

/// The same at one moment.
#[derive(Clone, Debug, Default)]
pub struct Presence {
    /// By the agent's topic name, then by instance.
    agents: BTreeMap<String, BTreeMap<String, Heard>>,
    /// How far this machine's clock is ahead of the broker's, in milliseconds, as far as the records tell: the least time
    /// that one took to come here.
    ahead: Option<i64>,
    /// Whether all that was there at the start is read: before, nobody's silence says anything.
    is_read: bool,
}

/// Instances of one agent; more are a mistake of whoever names them anew each time, and the oldest are forgotten.
const MAX_INSTANCES: usize = 1_000;

impl SharedPresence {
    #[must_use]
    pub fn get(&self) -> Arc<Presence> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// All that was there at the start is read.
    pub fn caught_up(&self) {
        Arc::make_mut(&mut self.0.write().unwrap_or_else(PoisonError::into_inner)).is_read = true;
    }

    /// Takes a sign of life. `received` is this machine's time, of one that was written just now.
    pub fn take(&self, topic_name: &str, instance: &str, sign: Sign, received: Option<Timestamp>) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let presence = Arc::make_mut(&mut current);
        let at = sign.at;
        let instances = presence.agents.entry(topic_name.to_owned()).or_default();
        let said = sign.capacity > 0 || instances.get(instance).is_some_and(|before| before.capacity.is_some());
        let heard = Heard { capacity: said.then_some(sign.capacity), sign };
        instances.insert(instance.to_owned(), heard);
        if instances.len() > MAX_INSTANCES
            && let Some(oldest) = instances.iter().min_by_key(|(_, heard)| heard.sign.at).map(|(name, _)| name.clone())
        {
            instances.remove(&oldest);
        }
        if let Some(took) = received.map(|received| received.since(at)) {
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
        !instances.values().any(|heard| self.is_fresh(heard, now, patience))
    }

    /// What the living instances take at once together, as far as they say it: 0 if all of them take no more. None if
    /// nobody lives, or nobody says a number and one never did.
    #[must_use]
    pub fn capacity(&self, topic_name: &str, now: Timestamp, patience: i64) -> Option<u32> {
        let living = self.agents.get(topic_name)?.values().filter(|heard| self.is_fresh(heard, now, patience));
        let (mut sum, mut said, mut silent) = (0_u32, false, false);
        for heard in living {
            sum = sum.saturating_add(heard.capacity.unwrap_or(0));
            said |= heard.capacity.is_some();
            silent |= heard.capacity.is_none();
        }
        (sum > 0 || (said && !silent)).then_some(sum)
    }

    /// Whether all that was there at the start is read.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.is_read
    }

    /// Whether the instance that was heard of last has said that it leaves: then silence is what follows.
    #[must_use]
    pub fn has_left(&self, topic_name: &str) -> bool {
        let last = self.agents.get(topic_name).and_then(|known| known.values().max_by_key(|heard| heard.sign.at));
        last.is_some_and(|heard| heard.capacity == Some(0))
    }

    /// Whether the agent has shown signs of life at all, as far as they are kept.
    #[must_use]
    pub fn knows(&self, topic_name: &str) -> bool {
        self.agents.contains_key(topic_name)
    }

    /// The last sign of life of each of the agent's instances.
    pub fn instances(&self, topic_name: &str) -> impl Iterator<Item = (&str, &Sign)> {
        self.agents.get(topic_name).into_iter().flatten().map(|(name, heard)| (name.as_str(), &heard.sign))
    }

    /// The broker's time, as far as it is known.
    #[must_use]
    pub fn brokers_time(&self, now: Timestamp) -> Timestamp {
        now.plus(-self.ahead.unwrap_or(0))
    }

    fn is_fresh(&self, heard: &Heard, now: Timestamp, patience: i64) -> bool {
        self.brokers_time(now).since(heard.sign.at) <= patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(at: i64, capacity: u32) -> Sign {
        Sign { at: Timestamp(at), capacity, ..Sign::default() }
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
    fn one_that_leaves_takes_no_more_and_one_that_says_nothing_hides_nobodys_number() {
        let shared = SharedPresence::default();
        let capacity = |shared: &SharedPresence| shared.get().capacity("a", Timestamp(2_000), 5_000);
        shared.take("a", "old", sign(1_000, 0), None);
        assert_eq!(capacity(&shared), None, "it does not say");
        shared.take("a", "old", sign(1_001, 3), None);
        shared.take("a", "old", sign(1_002, 0), None);
        shared.take("a", "old", sign(1_003, 0), None);
        assert_eq!(capacity(&shared), Some(0), "it leaves, and is alone");
        assert!(shared.get().has_left("a"), "nobody waits to hear of it");
        assert!(!shared.get().is_gone("a", Timestamp(2_000), 5_000), "it has work in hand still");
        shared.take("a", "mute", sign(1_004, 0), None);
        assert!(!shared.get().has_left("a"), "another one is there");
        assert_eq!(capacity(&shared), None, "who never says how much may be given any number");
        shared.take("a", "new", sign(1_005, 4), None);
        assert_eq!(capacity(&shared), Some(4));
        shared.take("a", "old", sign(1_006, 2), None);
        assert_eq!(capacity(&shared), Some(6), "it is back");
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
