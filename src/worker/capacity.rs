//! How much more agents of limited capacity take, and who is next in line for them. Nothing is stored: it follows from
//! the committed state of the partitions held.

use super::settings::HOUSEKEEPING;
use super::{Log, Returned, Runner, Worker};
use crate::selection::Agent;
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
            let share = (capacity as usize * held).div_ceil(all).max(1);
            let in_flight: usize = self.partitions.values().map(|part| part.in_flight(agent.name())).sum();
            (Arc::clone(agent), count(share) - count(in_flight))
        });
        left.collect()
    }

    /// The same for what is chosen now, by topic name: whoever waits in line goes before it.
    pub(super) fn room(&self) -> FxHashMap<String, i64> {
        let left = self.capacity_left().into_iter().map(|(agent, left)| {
            let line: usize = self.partitions.values().map(|part| part.line_length(agent.name())).sum();
            (agent.topic_name().to_owned(), left - i64::try_from(line).unwrap_or(i64::MAX))
        });
        left.collect()
    }

    /// Steps that wait for an agent that has room now, as many as it takes.
    pub(super) fn next_in_line(&self) -> Vec<Returned> {
        let (mut next, mut view) = (Vec::new(), None);
        for (agent, left) in self.capacity_left() {
            let Some(left) = usize::try_from(left).ok().filter(|left| *left > 0) else { continue };
            let waits = self.partitions.values().any(|partition| partition.line_length(agent.name()) > 0);
            if !waits {
                continue;
            }
            let view = view.get_or_insert_with(|| self.view());
            let heads = self.partitions.iter().flat_map(|(number, partition)| {
                let heads = partition.next_in_line(agent.name(), view, left.min(HOUSEKEEPING));
                heads.into_iter().map(move |place| (place, *number))
            });
            let mut heads: Vec<_> = heads.collect();
            heads.sort();
            next.extend(heads.into_iter().take(left).map(|(place, partition)| Returned {
                partition,
                task_id: place.task_id,
                input: Input::Admitted { question: place.question },
            }));
        }
        next
    }
}
