//! What a choice rests on, held against what comes of it.

use super::candidates::Scene;
use super::latency::LatencyRange;
use super::track::outlook;
use crate::workflow::{Grounds, SettledBy};

impl Scene<'_> {
    /// Of the agent at a place, chosen that way.
    pub(super) fn grounds(&self, place: usize, by: SettledBy) -> Grounds {
        let (belief, latency) = match self.compared(place) {
            Some(expected) => expected,
            None => {
                let fitting = || self.are_fits_known().then(|| self.capability_of(place)).flatten();
                let capability = self.choosing.capability.or_else(fitting);
                let (agent, track) = self.agent(place);
                outlook(agent, track, self.choosing.task, capability)
            }
        };
        let range = latency.map(|LatencyRange { low, median, high }| [low, median, high]);
        let teaches = self.teaches(place, by).then(|| self.agent(place).0.fingerprint());
        Grounds { teaches, ..Grounds::new(belief.mean(), range) }
    }

    /// Whether the agent's success says something of texts like this one.
    fn teaches(&self, place: usize, by: SettledBy) -> bool {
        let was_tried = !self.choosing.declined.is_empty() || !self.choosing.failed.is_empty();
        let by_text = match by {
            SettledBy::Llm | SettledBy::Local => true,
            // What is plain needs no example, and would drive out those that are needed; unless it was not plain before.
            SettledBy::ClearWinner => was_tried,
            SettledBy::Pinned | SettledBy::Operator | SettledBy::Contract | SettledBy::Cache => false,
        };
        // After the first hop of a route the objective is no word on who comes next.
        if !by_text || !self.is_first_hop() {
            return false;
        }
        let eligible = self.eligible();
        let had_a_choice = eligible.len() + self.choosing.declined.len() > 1;
        // Of those that stand in for each other each would have done: learned for one it would take the others' work.
        let is_alone = eligible.iter().all(|other| *other == place || !self.stands_in(place, *other));
        had_a_choice && is_alone
    }
}
