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

/// What one agent takes.
struct Left {
    agent: Arc<Agent>,
    /// Assignments more.
    left: i64,
    /// Only the tasks of this partition may have them; none = all.
    only: Option<i32>,
}

impl<L: Log, R: Runner> Worker<L, R> {
    /// How many assignments more each agent of limited capacity takes from this worker: its share, rounded up, less what
    /// it has. The little that rounding lets through waits in the agent's topic. An agent that is probed is limited too.
    fn capacity_left(&self) -> Vec<Left> {
        let (held, all) = (self.partitions.len().max(1), usize::try_from(self.settings.partitions).unwrap_or(1).max(1));
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let left = self.directory.capacities(self.clock.now()).map(|(agent, capacity)| {
            let share = (capacity as usize * held).div_ceil(all);
            let in_flight: usize = self.partitions.values().map(|part| part.in_flight(agent.topic_name())).sum();
            Left { agent: Arc::clone(agent), left: count(share) - count(in_flight), only: None }
        });
        let mut left: Vec<Left> = left.collect();
        for (topic, broken) in self.directory.availability.breakers() {
            let Some((number, agent)) = broken.probed_by.zip(self.directory.registry.by_topic(topic)) else { continue };
            let Some(partition) = self.partitions.get(&number) else { continue };
            let probes = i64::from(self.settings.probes) - count(partition.in_flight(topic));
            match left.iter_mut().find(|one| one.agent.topic_name() == topic) {
                Some(one) => (one.left, one.only) = (one.left.min(probes), Some(number)),
                None => left.push(Left { agent: Arc::clone(agent), left: probes, only: Some(number) }),
            }
        }
        left
    }

    /// The partitions whose tasks an agent takes.
    fn may_have(&self, only: Option<i32>) -> impl Iterator<Item = (&i32, &Partition)> {
        self.partitions.iter().filter(move |(number, _)| only.is_none_or(|only| only == **number))
    }

    /// The same by topic name, and how many wait in line.
    pub(super) fn room(&self) -> FxHashMap<String, Room> {
        let left = self.capacity_left().into_iter().map(|Left { agent, left, only }| {
            let line: usize = self.may_have(only).map(|(_, part)| part.line_length(agent.topic_name())).sum();
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
        for Left { agent, left, only } in self.capacity_left() {
            let Some(left) = usize::try_from(left).ok().filter(|left| *left > 0) else { continue };
            let (topic, available) = (agent.topic_name(), &self.directory.availability);
            let is_open = only.is_none() && available.breaker(topic).is_some();
            if !available.has(topic) || available.is_gone(topic) || is_open {
                continue;
            }
            let topic_name: Arc<str> = topic.into();
            let heads = self.may_have(only).flat_map(|(number, partition)| {
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
