//! How much more agents of limited capacity take, and who is next in line for them. Nothing is stored: it follows from
//! the committed state of the partitions held.

use super::mutant::{self, Mutant};
use super::settings::HOUSEKEEPING;
use super::{Log, Returned, Runner, Worker};
use crate::partition::Partition;
use crate::selection::{Agent, Room};
use crate::workflow::Input;
use rustc_hash::FxHashMap;
use std::sync::Arc;

impl<L: Log, R: Runner> Worker<L, R> {
    /// How many assignments more each agent of limited capacity takes from this worker: its share, rounded up, less what
    /// it has. The little that rounding lets through waits in the agent's topic.
    fn capacity_left(&self) -> Vec<(Arc<Agent>, i64)> {
        let (held, all) = (self.partitions.len().max(1), usize::try_from(self.settings.partitions).unwrap_or(1).max(1));
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let left = self.directory.capacities(self.clock.now()).map(|(agent, capacity)| {
            let share = (capacity as usize * held).div_ceil(all);
            let in_flight: usize = self.partitions.values().map(|part| part.in_flight(agent.topic_name())).sum();
            (Arc::clone(agent), count(share) - count(in_flight))
        });
        left.collect()
    }

    /// The same by topic name, and how many wait in line.
    pub(super) fn room(&self) -> FxHashMap<String, Room> {
        let left = self.capacity_left().into_iter().map(|(agent, left)| {
            let line: usize = self.partitions.values().map(|part| part.line_length(agent.topic_name())).sum();
            (agent.topic_name().to_owned(), Room { left, in_line: i64::try_from(line).unwrap_or(i64::MAX) })
        });
        left.collect()
    }

    /// Steps that wait for an agent that has room now, as many as it takes. Each is decided anew, so that one that does not
    /// suit its agent any more leaves the line.
    pub(super) fn next_in_line(&self) -> Vec<Returned> {
        let mut next = Vec::new();
        // Looked at every turn, and most of the time nobody waits.
        if mutant::is(Mutant::LineForgotten) || !self.partitions.values().any(Partition::has_lines) {
            return next;
        }
        for (agent, left) in self.capacity_left() {
            let Some(left) = usize::try_from(left).ok().filter(|left| *left > 0) else { continue };
            let (topic, available) = (agent.topic_name(), &self.directory.availability);
            if !available.has(topic) || available.is_gone(topic) {
                continue;
            }
            let topic_name: Arc<str> = topic.into();
            let heads = self.partitions.iter().flat_map(|(number, partition)| {
                let turned = partition.line_length(topic).saturating_sub(left);
                let first = if mutant::is(Mutant::LineTurned) { turned } else { 0 };
                partition.line(topic).skip(first).take(left).map(move |place| (place, *number))
            });
            let mut heads: Vec<_> = heads.collect();
            heads.sort();
            next.extend(heads.into_iter().take(left.min(HOUSEKEEPING)).map(|(place, partition)| Returned {
                partition,
                task_id: Arc::clone(&place.task_id),
                input: Input::Admitted { question: place.question, topic_name: Some(Arc::clone(&topic_name)) },
            }));
        }
        next
    }
}
