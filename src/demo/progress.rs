//! What is going on right now, as far as decisions and completions tell.

use super::story::why;
use crate::contract::{Choice, Completion, RoutingDecision};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Decisions shown at a time.
const LAST: usize = 4;

/// One agent's part in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    pub agent: String,
    /// Steps it has now.
    pub has: usize,
    /// Steps it is through with.
    pub done: usize,
}

/// Counts of the tasks followed.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    open: BTreeSet<String>,
    total: usize,
    /// In the order of their first turn.
    lanes: Vec<Lane>,
    /// Whose turn it is, by task.
    turns: BTreeMap<String, usize>,
    last: VecDeque<String>,
}

impl Progress {
    #[must_use]
    pub fn of(ids: impl IntoIterator<Item = String>) -> Self {
        let open: BTreeSet<String> = ids.into_iter().collect();
        Self { total: open.len(), open, ..Self::default() }
    }

    /// Takes in a decision; whether it was one about a task followed.
    pub fn decided(&mut self, decision: &RoutingDecision) -> bool {
        if !self.open.contains(&decision.task_id) {
            return false;
        }
        self.leave(&decision.task_id);
        let to = match (&decision.choice, &decision.chosen) {
            (Choice::Agent, Some(agent)) => {
                let lane = self.lane(agent);
                self.lanes[lane].has += 1;
                self.turns.insert(decision.task_id.clone(), lane);
                agent.as_str()
            }
            (Choice::Done, _) => "end",
            _ => "nobody yet",
        };
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(format!("{} → {to} ({})", decision.task_id, why(decision)));
        true
    }

    /// Takes in a completion.
    pub fn ended(&mut self, completion: &Completion) {
        if self.open.remove(&completion.task_id) {
            self.leave(&completion.task_id);
        }
    }

    fn leave(&mut self, task_id: &str) {
        if let Some(lane) = self.turns.remove(task_id) {
            self.lanes[lane].has -= 1;
            self.lanes[lane].done += 1;
        }
    }

    fn lane(&mut self, agent: &str) -> usize {
        self.lanes.iter().position(|lane| lane.agent == agent).unwrap_or_else(|| {
            self.lanes.push(Lane { agent: agent.to_owned(), has: 0, done: 0 });
            self.lanes.len() - 1
        })
    }

    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    /// Tasks that have ended.
    #[must_use]
    pub fn count(&self) -> usize {
        self.total - self.open.len()
    }

    #[must_use]
    pub fn is_over(&self) -> bool {
        self.open.is_empty()
    }

    #[must_use]
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// The last decisions, the latest last.
    pub fn last(&self) -> impl Iterator<Item = &str> {
        self.last.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn decision(task: &str, chosen: Option<&str>) -> RoutingDecision {
        let choice = if chosen.is_some() { "AGENT" } else { "DONE" };
        let json = json!({
            "decisionId": "d", "taskId": task, "question": 1, "choice": choice, "chosen": chosen, "by": "CONTRACT",
            "reason": "r", "decidedAt": 0,
        });
        serde_json::from_value(json).unwrap()
    }

    fn completion(task: &str) -> Completion {
        serde_json::from_value(json!({ "taskId": task, "outcome": "SUCCEEDED", "completedAt": 0 })).unwrap()
    }

    #[test]
    fn a_task_is_with_one_agent_at_a_time() {
        let mut progress = Progress::of(["t".to_owned(), "u".to_owned()]);
        for (task, agent) in [("t", "A"), ("u", "A"), ("t", "B")] {
            assert!(progress.decided(&decision(task, Some(agent))));
        }
        let lane = |agent: &str, has, done| Lane { agent: agent.to_owned(), has, done };
        assert_eq!(progress.lanes(), [lane("A", 1, 1), lane("B", 1, 0)]);
        progress.decided(&decision("t", None));
        progress.ended(&completion("t"));
        assert_eq!((progress.count(), progress.total(), progress.is_over()), (1, 2, false));
        assert_eq!(progress.lanes()[1], lane("B", 0, 1));
        assert_eq!(progress.last().last(), Some("t → end (nobody takes it)"));
    }

    #[test]
    fn other_tasks_and_a_second_completion_change_nothing() {
        let mut progress = Progress::of(["t".to_owned()]);
        assert!(!progress.decided(&decision("x", Some("A"))));
        progress.ended(&completion("x"));
        progress.ended(&completion("t"));
        progress.ended(&completion("t"));
        assert!(progress.is_over() && progress.lanes().is_empty());
    }
}
