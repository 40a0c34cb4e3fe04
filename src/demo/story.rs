//! What became of each task, told from the records of the topics and from nothing else.

use crate::contract::{Choice, Completion, FactType, Outcome, RoutingDecision, SettledBy, TaskEvents};
use std::collections::BTreeMap;

/// All tasks, by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Story {
    pub tasks: Vec<TaskStory>,
}

/// One task from its acceptance to its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskStory {
    pub task_id: String,
    /// The agents in order.
    pub hops: Vec<Hop>,
    pub end: Option<End>,
    /// None = it has not ended.
    pub outcome: Option<Outcome>,
    pub message: String,
    pub result: Option<String>,
    /// Of the facts: accepted, and ended. Milliseconds since the epoch.
    pub accepted_at: Option<i64>,
    pub ended_at: Option<i64>,
    /// Completions under this id; one, if all is well.
    pub completions: usize,
}

/// One agent's turn, and why it was its.
#[derive(Clone, Debug, PartialEq)]
pub struct Hop {
    pub step_id: String,
    pub agent: String,
    pub by: SettledBy,
    /// In a few words.
    pub why: String,
    /// As decided.
    pub reason: String,
    pub decided_at: i64,
    /// From the assignment to the step's end; none while it has none.
    pub millis: Option<i64>,
}

/// Why nobody's turn came any more.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    pub by: SettledBy,
    pub why: String,
    pub reason: String,
}

/// Tasks that went the same way.
#[derive(Clone, Debug, PartialEq)]
pub struct PathSummary {
    pub path: Vec<String>,
    pub tasks: usize,
    /// The first of them, to look at.
    pub example: String,
    /// Half of them took no longer than this.
    pub median_millis: Option<i64>,
}

impl Story {
    /// Records in any order; those of other tasks than `ids` are left out, and a task without records is there, empty.
    #[must_use]
    pub fn of<'i>(
        ids: impl IntoIterator<Item = &'i str>,
        completions: Vec<Completion>,
        mut decisions: Vec<RoutingDecision>,
        events: &[TaskEvents],
    ) -> Self {
        let story = |id: &str| (id.to_owned(), TaskStory { task_id: id.to_owned(), ..TaskStory::default() });
        let mut tasks: BTreeMap<String, TaskStory> = ids.into_iter().map(story).collect();
        decisions.sort_by_key(|decision| decision.question);
        for decision in decisions {
            if let Some(task) = tasks.get_mut(&decision.task_id) {
                task.decided(decision);
            }
        }
        for events in events {
            if let Some(task) = tasks.get_mut(&events.task_id) {
                let happened = |kind| events.facts.iter().any(|fact| fact.kind == kind).then_some(events.at);
                task.accepted_at = task.accepted_at.or_else(|| happened(FactType::TaskAccepted));
                task.ended_at = task.ended_at.or_else(|| happened(FactType::TaskEnded));
            }
        }
        for completion in completions {
            if let Some(task) = tasks.get_mut(&completion.task_id) {
                task.completed(completion);
            }
        }
        Self { tasks: tasks.into_values().collect() }
    }

    /// The first moment an agent was chosen.
    #[must_use]
    pub fn first_routed_at(&self) -> Option<i64> {
        self.tasks.iter().filter_map(|task| Some(task.hops.first()?.decided_at)).min()
    }

    /// The last moment a task ended.
    #[must_use]
    pub fn last_ended_at(&self) -> Option<i64> {
        self.tasks.iter().filter_map(|task| task.ended_at).max()
    }

    /// Whether every task has ended well, and once.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.tasks.iter().all(|task| task.outcome == Some(Outcome::Succeeded) && task.completions == 1)
    }

    /// The ways that were gone, the most frequent first.
    #[must_use]
    pub fn paths(&self) -> Vec<PathSummary> {
        let mut paths: BTreeMap<Vec<String>, Vec<&TaskStory>> = BTreeMap::new();
        for task in &self.tasks {
            paths.entry(task.path()).or_default().push(task);
        }
        let summary = |(path, tasks): (Vec<String>, Vec<&TaskStory>)| {
            let mut millis: Vec<i64> = tasks.iter().filter_map(|task| task.millis()).collect();
            millis.sort_unstable();
            let median_millis = millis.get(millis.len().saturating_sub(1) / 2).copied();
            PathSummary { path, tasks: tasks.len(), example: tasks[0].task_id.clone(), median_millis }
        };
        let mut paths: Vec<PathSummary> = paths.into_iter().map(summary).collect();
        paths.sort_by_key(|path| std::cmp::Reverse(path.tasks));
        paths
    }
}

impl TaskStory {
    #[must_use]
    pub fn path(&self) -> Vec<String> {
        self.hops.iter().map(|hop| hop.agent.clone()).collect()
    }

    /// From acceptance to end.
    #[must_use]
    pub fn millis(&self) -> Option<i64> {
        Some(self.ended_at? - self.accepted_at?)
    }

    fn decided(&mut self, decision: RoutingDecision) {
        let why = why(&decision);
        let RoutingDecision { choice, chosen, by, reason, step_id, decided_at, .. } = decision;
        match (choice, chosen) {
            (Choice::Agent, Some(agent)) => {
                let step_id = step_id.unwrap_or_default();
                self.hops.push(Hop { step_id, agent, by, why, reason, decided_at, millis: None });
            }
            (Choice::Done, _) => self.end = Some(End { by, why, reason }),
            // NONE is a wait: what follows it is a decision of its own.
            _ => {}
        }
    }

    fn completed(&mut self, completion: Completion) {
        self.completions += 1;
        for step in completion.steps {
            // A step given to a second agent is the second one's time.
            if let Some(hop) = self.hops.iter_mut().rev().find(|hop| hop.step_id == step.step_id) {
                hop.millis = Some(step.duration_ms);
            }
        }
        self.outcome = Some(completion.outcome);
        self.message = completion.message;
        self.result = completion.result;
    }
}

/// Why, in a few words that fit into a table.
pub(super) fn why(decision: &RoutingDecision) -> String {
    let mut why = match (decision.choice, decision.by) {
        (Choice::Done, SettledBy::Contract) => "nobody takes it".to_owned(),
        (Choice::None, _) => "waits for an agent that fits".to_owned(),
        (_, SettledBy::Contract) => "contract".to_owned(),
        (_, SettledBy::ClearWinner | SettledBy::Local) => words(decision),
        (_, SettledBy::Llm) => format!("LLM {:.2}", decision.confidence.unwrap_or_default()),
        (_, SettledBy::Pinned) => "named by the task".to_owned(),
        (_, SettledBy::Operator) => "operator".to_owned(),
        (_, SettledBy::Cache) => "as before".to_owned(),
        (_, SettledBy::Unknown) => "unknown".to_owned(),
    };
    if decision.degraded {
        why = format!("{why}, without the LLM ({})", decision.degraded_reason.as_deref().unwrap_or("degraded"));
    }
    why
}

fn words(decision: &RoutingDecision) -> String {
    let mut scores: Vec<f64> = decision.candidates.iter().filter_map(|candidate| candidate.score).collect();
    scores.sort_by(|one, other| other.total_cmp(one));
    match scores[..] {
        [first, second, ..] => format!("words {first:.2} over {second:.2}"),
        [first] => format!("words {first:.2}"),
        [] => "words".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Candidate, CompletedStep, Fact, StepStatus, Usage};

    fn decision(task: &str, question: i32, chosen: Option<&str>, by: SettledBy) -> RoutingDecision {
        let scored = |score| Candidate { score: Some(score), ..Candidate::default() };
        RoutingDecision {
            decision_id: format!("{task}~{question}"),
            task_id: task.to_owned(),
            step_id: Some(question.to_string()),
            question,
            choice: if chosen.is_some() { Choice::Agent } else { Choice::Done },
            chosen: chosen.map(str::to_owned),
            by,
            confidence: Some(0.9),
            reason: "because".to_owned(),
            candidates: vec![scored(0.5), scored(0.25)],
            degraded: false,
            degraded_reason: None,
            strategy: String::new(),
            variant: None,
            propensity: None,
            local_choice: None,
            local_confidence: None,
            prompt_version: None,
            attempts: Vec::new(),
            overhead_micros: 0,
            decided_at: 1_000 + i64::from(question),
        }
    }

    fn completion(task: &str) -> Completion {
        Completion {
            task_id: task.to_owned(),
            run: 1,
            outcome: Outcome::Succeeded,
            reason: "completed".to_owned(),
            message: String::new(),
            result: None,
            steps: vec![CompletedStep {
                step_id: "2".to_owned(),
                agent_name: "B".to_owned(),
                status: StepStatus::Succeeded,
                attempts: 1,
                duration_ms: 70,
            }],
            hops: 2,
            usage: Usage::default(),
            correlation_id: None,
            submitted_at: None,
            completed_at: 2_000,
        }
    }

    fn events(task: &str, kind: FactType, at: i64) -> TaskEvents {
        TaskEvents { task_id: task.to_owned(), first_sequence: 1, at, facts: vec![Fact::new(kind)] }
    }

    fn story() -> Story {
        let decisions = vec![
            decision("t", 3, None, SettledBy::Contract),
            decision("t", 2, Some("B"), SettledBy::ClearWinner),
            decision("t", 1, Some("A"), SettledBy::Contract),
            decision("else", 1, Some("A"), SettledBy::Contract),
        ];
        let events = [events("t", FactType::TaskEnded, 1_900), events("t", FactType::TaskAccepted, 1_000)];
        Story::of(["t", "u"], vec![completion("t")], decisions, &events)
    }

    #[test]
    fn a_path_is_the_agents_in_the_order_of_the_questions_with_the_reasons() {
        let story = story();
        let task = &story.tasks[0];
        assert_eq!(task.path(), ["A", "B"]);
        assert_eq!((&*task.hops[0].why, &*task.hops[1].why), ("contract", "words 0.50 over 0.25"));
        assert_eq!(task.hops[1].millis, Some(70));
        assert_eq!(task.end.as_ref().unwrap().why, "nobody takes it");
        assert_eq!(
            (task.millis(), story.first_routed_at(), story.last_ended_at()),
            (Some(900), Some(1_001), Some(1_900))
        );
    }

    #[test]
    fn a_task_that_has_not_ended_or_ended_twice_is_not_well() {
        let story = story();
        assert!(!story.is_well(), "u has no completion");
        let twice = Story::of(["t"], vec![completion("t"), completion("t")], vec![], &[]);
        assert!(!twice.is_well());
        assert!(Story::of(["t"], vec![completion("t")], vec![], &[]).is_well());
    }

    #[test]
    fn tasks_that_went_the_same_way_are_counted_together() {
        let paths = story().paths();
        assert_eq!(paths.len(), 2);
        assert!(paths.iter().any(|path| path.path == ["A", "B"] && path.tasks == 1 && path.example == "t"));
        assert!(paths.iter().any(|path| path.path.is_empty() && path.median_millis.is_none()));
    }

    #[test]
    fn a_decision_without_its_llm_says_so() {
        let mut degraded = decision("t", 1, Some("A"), SettledBy::Local);
        (degraded.degraded, degraded.degraded_reason) = (true, Some("timeout".to_owned()));
        assert_eq!(why(&degraded), "words 0.50 over 0.25, without the LLM (timeout)");
        assert_eq!(why(&decision("t", 1, Some("A"), SettledBy::Llm)), "LLM 0.90");
    }
}
