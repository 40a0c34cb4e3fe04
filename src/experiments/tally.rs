//! The tasks of an experiment, counted from the records of two topics, which may come in any order.

use super::label;
use crate::contract::{Completion, Experiment, Outcome, RoutingDecision};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Tasks that count at most, the first that are read. A difference that does not show by then is none.
const MOST: usize = 200_000;
/// A completion that was read before its task's decision is kept until decisions of so much later were read, in
/// milliseconds; and so many of them at most.
const PATIENCE: i64 = 60_000;
const MOST_EARLY: usize = 100_000;

/// How a task ended that nobody cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) at: i64,
    pub(super) succeeded: bool,
    pub(super) input_tokens: i64,
    pub(super) output_tokens: i64,
    pub(super) cost_micros: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Open,
    /// A person's doing, which says nothing of the strategy.
    Cancelled,
    Ended(Ended),
}

/// A task of the experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Its variant's place.
    pub(super) variant: usize,
    /// Its first decision.
    pub(super) begun: i64,
    pub(super) end: End,
}

impl Seen {
    /// Milliseconds from its first decision to its completion, if it ended and was not cancelled.
    pub(super) fn millis(&self) -> Option<i64> {
        self.ended().map(|ended| (ended.at - self.begun).max(0))
    }

    pub(super) fn ended(&self) -> Option<&Ended> {
        match &self.end {
            End::Ended(ended) => Some(ended),
            End::Open | End::Cancelled => None,
        }
    }
}

/// What was read of one experiment.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Places of the variants by label.
    labels: BTreeMap<String, usize>,
    tasks: HashMap<Box<str>, Seen>,
    /// Ends of tasks of which no decision was read yet, and the order in which they came.
    early: HashMap<Box<str>, End>,
    order: VecDeque<(i64, Box<str>)>,
    /// Of the last decision read.
    decided: i64,
    is_full: bool,
}

impl Tally {
    #[must_use]
    pub fn new(experiment: &Experiment) -> Self {
        let labels = experiment.variants.iter().map(|variant| label(&experiment.name, variant));
        Self {
            labels: labels.zip(0..).collect(),
            tasks: HashMap::new(),
            early: HashMap::new(),
            order: VecDeque::new(),
            decided: 0,
            is_full: false,
        }
    }

    /// Takes a decision. It counts if it names a variant of this experiment.
    pub fn decided(&mut self, decision: &RoutingDecision) {
        self.decided = self.decided.max(decision.decided_at);
        self.forget_early();
        let Some(variant) = decision.variant.as_ref().and_then(|label| self.labels.get(label)).copied() else { return };
        let id = decision.task_id.as_str();
        if let Some(seen) = self.tasks.get_mut(id) {
            seen.begun = seen.begun.min(decision.decided_at);
        } else if self.tasks.len() >= MOST {
            self.is_full = true;
        } else {
            let end = self.early.remove(id).unwrap_or(End::Open);
            self.tasks.insert(id.into(), Seen { variant, begun: decision.decided_at, end });
        }
    }

    /// Takes a completion. Only that of a task's first run counts.
    pub fn completed(&mut self, completion: &Completion) {
        if completion.run != 1 {
            return;
        }
        let end = match completion.outcome {
            Outcome::Cancelled => End::Cancelled,
            outcome => End::Ended(Ended {
                at: completion.completed_at,
                succeeded: outcome == Outcome::Succeeded,
                input_tokens: completion.usage.input_tokens,
                output_tokens: completion.usage.output_tokens,
                cost_micros: completion.usage.cost_micros,
            }),
        };
        let id = completion.task_id.as_str();
        if let Some(seen) = self.tasks.get_mut(id) {
            seen.end = end;
        } else if completion.outcome != Outcome::Rejected {
            // Nothing is decided of what is rejected.
            self.early.insert(id.into(), end);
            self.order.push_back((completion.completed_at, id.into()));
            self.forget_early();
        }
    }

    /// Most completions are of tasks that are not in the experiment.
    fn forget_early(&mut self) {
        while let Some((at, id)) = self.order.front()
            && (at + PATIENCE < self.decided || self.order.len() > MOST_EARLY)
        {
            self.early.remove(id);
            self.order.pop_front();
        }
    }

    /// Whether there are more tasks than are counted.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// The tasks in the order in which they were first decided on.
    pub(super) fn in_order(&self) -> Vec<Seen> {
        let mut tasks: Vec<(&str, &Seen)> = self.tasks.iter().map(|(id, seen)| (&**id, seen)).collect();
        tasks.sort_by_key(|(id, seen)| (seen.begun, *id));
        tasks.into_iter().map(|(_, seen)| *seen).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::change::tests::started;
    use super::*;
    use crate::contract::{Choice, SettledBy, Usage};

    pub(in crate::experiments) fn decision(task: &str, variant: Option<&str>, at: i64) -> RoutingDecision {
        RoutingDecision {
            decision_id: String::new(),
            task_id: task.to_owned(),
            step_id: None,
            question: 1,
            choice: Choice::Agent,
            chosen: None,
            by: SettledBy::Local,
            confidence: None,
            reason: String::new(),
            candidates: Vec::new(),
            degraded: false,
            degraded_reason: None,
            strategy: String::new(),
            variant: variant.map(str::to_owned),
            propensity: None,
            local_choice: None,
            local_confidence: None,
            prompt_version: None,
            attempts: Vec::new(),
            overhead_micros: 0,
            decided_at: at,
        }
    }

    pub(in crate::experiments) fn completion(task: &str, outcome: Outcome, at: i64, cost_micros: i64) -> Completion {
        Completion {
            task_id: task.to_owned(),
            run: 1,
            outcome,
            reason: String::new(),
            message: String::new(),
            result: None,
            steps: Vec::new(),
            hops: 1,
            usage: Usage { input_tokens: 3, output_tokens: 2, cost_micros },
            correlation_id: None,
            submitted_at: None,
            completed_at: at,
        }
    }

    #[test]
    fn a_task_counts_once_from_its_first_decision_in_whatever_order_records_come() {
        let decisions = [
            decision("t1", Some("x/b"), 100),
            decision("t1", Some("x/b"), 300),
            decision("t2", Some("x/a"), 200),
            decision("other", Some("y/a"), 150),
            decision("none", None, 160),
        ];
        let retried = Completion { run: 2, ..completion("t1", Outcome::Failed, 900, 1) };
        let completions = [
            completion("t1", Outcome::Succeeded, 400, 7),
            completion("t2", Outcome::Cancelled, 500, 0),
            completion("other", Outcome::Failed, 500, 0),
            retried,
        ];
        let (mut late, mut early) = (Tally::new(&started("x", &[], 1)), Tally::new(&started("x", &[], 1)));
        decisions.iter().for_each(|one| late.decided(one));
        completions.iter().for_each(|one| late.completed(one));
        completions.iter().for_each(|one| early.completed(one));
        decisions.iter().rev().for_each(|one| early.decided(one));
        let ended = Ended { at: 400, succeeded: true, input_tokens: 3, output_tokens: 2, cost_micros: 7 };
        let wanted = [
            Seen { variant: 1, begun: 100, end: End::Ended(ended) },
            Seen { variant: 0, begun: 200, end: End::Cancelled },
        ];
        assert_eq!((late.in_order(), early.in_order()), (wanted.to_vec(), wanted.to_vec()));
        assert_eq!(wanted[0].millis(), Some(300));
    }

    #[test]
    fn what_is_kept_of_tasks_of_others_is_bounded() {
        let mut tally = Tally::new(&started("x", &[], 1));
        for number in 0..10 {
            tally.completed(&completion(&number.to_string(), Outcome::Succeeded, number * PATIENCE, 1));
        }
        tally.decided(&decision("t", None, 9 * PATIENCE));
        assert_eq!((tally.early.len(), tally.order.len()), (2, 2));
    }
}
