//! The contract of the core, over every short history and over many long ones.

mod capacity;
mod engine;

use super::*;
use crate::workflow::{
    AgentTraits, Answer, AssignmentId, Choice, Choosing, Chosen, CommandKind, ErrorClass, Event, Fact, Grounds, Input,
    Labels, Payload, Phase, Position, Prospects, Report, ReportError, ReportStatus, RetryRule, RetryRules, Rules, Said,
    Settled, SettledBy, Step, Submission, Task, Timer, TimerKind, Timestamp, Verdict, Workflow, World, evolve,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const ACCEPTED: Position = Position { partition: 0, offset: 0 };
const DEADLINE: i64 = 1_000_000;

/// Two agents. The first hop is asked about, a later one is settled at once by what was said last: `again` for another
/// hop, anything else for the end.
struct Small(Rules);

impl Small {
    fn new() -> Self {
        Self(Rules {
            default_deadline: DEADLINE,
            max_hops: 2,
            accept_timeout: 100,
            assignment_timeout: 200,
            inactivity_timeout: 150,
            llm_budget: 50,
            progress_interval: 10,
            command_patience: 30,
            workflow_bytes: 1_000,
            // So that in a history of one moment every wait is over at once.
            retry: RetryRules {
                by_class: RetryRules::default().by_class.map(|rule| RetryRule { backoff: 0, ..rule }),
                ..RetryRules::default()
            },
            can_plan: true,
            ..Rules::default()
        })
    }

    fn settled(choice: Choice, by: SettledBy, choosing: &Choosing<'_>) -> Settled {
        let chosen = match &choice {
            Choice::Agent(name) => Some(Arc::new(Chosen {
                agent_name: name.as_str().into(),
                topic_name: name.as_str().into(),
                version: "1.0.0".into(),
                output_contract: None,
                output_is_json: false,
            })),
            Choice::None | Choice::Done => None,
        };
        let eligible = Self::names(choosing);
        let reason = "a test says so".to_owned();
        Settled {
            choice,
            chosen,
            by,
            confidence: None,
            reason,
            candidates: vec![],
            degraded: None,
            propensity: None,
            beside: None,
            eligible: eligible.into_iter().map(Into::into).collect(),
            grounds: Some(Arc::new(Grounds { teaches: Some(7), ..Grounds::new(0.9, Some([1.0, 2.0, 3.0])) })),
            busy: vec![],
            strategy: None,
            variant: None,
        }
    }

    fn names(choosing: &Choosing<'_>) -> Vec<String> {
        let named = |names: &[Arc<str>], name: &str| names.iter().any(|known| **known == *name);
        let free = |name: &&str| {
            !named(choosing.declined, name) && choosing.pinned.is_none_or(|pinned| pinned.agent_name == *name)
        };
        let mut names: Vec<String> = ["a", "b"].iter().copied().filter(free).map(str::to_owned).collect();
        names.sort_by_key(|name| (Some(name.as_str()) != choosing.again, named(choosing.failed, name), name.clone()));
        names
    }
}

impl World for Small {
    fn rules(&self) -> &Rules {
        &self.0
    }

    fn set_partition(&self, _: i32) {}

    fn limited(&self, _: &[String]) -> Vec<String> {
        Vec::new()
    }

    fn choose(&self, choosing: &Choosing<'_>) -> Verdict {
        let names = Self::names(choosing);
        if let (Some(name), false) = (names.first(), choosing.objective == "do it") {
            return Verdict::Settled(Box::new(Self::settled(Choice::Agent(name.clone()), SettledBy::Local, choosing)));
        }
        match (choosing.producer.and(choosing.value), names.first()) {
            (_, None) => Verdict::Settled(Box::new(Self::settled(Choice::None, SettledBy::Local, choosing))),
            (Some(output), Some(name)) if output.text() == "again" => {
                Verdict::Settled(Box::new(Self::settled(Choice::Agent(name.clone()), SettledBy::Contract, choosing)))
            }
            (Some(_), _) => Verdict::Settled(Box::new(Self::settled(Choice::Done, SettledBy::Contract, choosing))),
            (None, _) => Verdict::Ask { set: names, offers_done: false },
        }
    }

    fn settle(&self, choosing: &Choosing<'_>, _: &[String], _: bool, answer: &Answer) -> Settled {
        let choice = answer.said.as_ref().map_or_else(|_| Choice::Agent("a".to_owned()), |said| said.choice.clone());
        Self::settled(choice, SettledBy::Llm, choosing)
    }

    fn prospects(&self, choosing: &Choosing<'_>) -> Prospects {
        Prospects { eligible: Self::names(choosing), busy: Vec::new() }
    }

    fn assigned(&self, _: &str) {}

    fn let_through(&self, _: Option<&str>) {}

    fn agent(&self, topic_name: &str) -> Option<AgentTraits> {
        let known = ["a", "b"].contains(&topic_name);
        known.then(|| AgentTraits { idempotent: topic_name == "a", ..AgentTraits::default() })
    }

    fn labels(&self, agent_name: &str) -> Option<Labels> {
        ["a", "b"].contains(&agent_name).then(Labels::default)
    }

    fn has_capability(&self, capability: &str) -> bool {
        capability == "known"
    }

    fn output_fault(&self, _: &str, _: Option<&str>, output: &Payload) -> Option<String> {
        (output.text() == "rubbish").then(|| "it is rubbish".to_owned())
    }

    fn verifies(&self, topic_name: &str, contract: Option<&str>) -> bool {
        topic_name == "b" || contract.is_some()
    }
}

fn submitted(objective: &str, hash: u8) -> Input {
    Input::Submitted(Submission {
        task: Arc::new(Task::new("t", objective)),
        content_hash: [hash; 16],
        accepted: ACCEPTED,
        submitted_at: Timestamp(0),
        traceparent: None,
    })
}

fn report(step: &str, attempt: u32, agent: &str, status: ReportStatus, output: Option<&str>) -> Input {
    let id = AssignmentId { task_id: "t", accepted: ACCEPTED, step_id: step, attempt };
    let error = (status == ReportStatus::Failed).then(|| ReportError {
        class: ErrorClass::Permanent,
        code: None,
        message: "no".to_owned(),
        retry_after_ms: None,
    });
    let report = Report {
        task_id: "t".to_owned(),
        assignment_id: id.to_string(),
        agent_name: agent.to_owned(),
        instance: None,
        status,
        output: output.map(Payload::from),
        progress: None,
        message: None,
        error,
        usage: None,
        time: None,
    };
    Input::Reported { report: Arc::new(report), too_large: None }
}

fn answered(question: u32, choice: Choice) -> Input {
    let said = Ok(Said { choice, confidence: 0.9, reason: "fits".to_owned() });
    Input::Answered { question, answer: Arc::new(Answer { said, attempts: vec![], prompt_version: None }) }
}

fn timer(due: i64, kind: TimerKind) -> Input {
    Input::TimerFired(Timer { due: Timestamp(due), kind })
}

fn alphabet() -> Vec<Input> {
    let agent = |name: &str| Choice::Agent(name.to_owned());
    vec![
        submitted("do it", 1),
        submitted("do something else", 2),
        answered(1, agent("a")),
        answered(1, Choice::None),
        answered(2, agent("b")),
        report("1", 1, "a", ReportStatus::Accepted, None),
        report("1", 1, "a", ReportStatus::Succeeded, Some("again")),
        report("1", 1, "a", ReportStatus::Declined, None),
        report("1", 2, "b", ReportStatus::Succeeded, Some("done")),
        report("1", 1, "b", ReportStatus::Succeeded, Some("not mine")),
        report("2", 1, "a", ReportStatus::Succeeded, Some("done")),
        report("2", 1, "a", ReportStatus::Failed, None),
        Input::Admitted { question: 1, topic_name: None },
        timer(0, TimerKind::AcceptBy { step_id: "1".into(), attempt: 1 }),
        // Due, as all is at NOW: what was assigned then waits until then, what was accepted until later.
        timer(DEADLINE + 100, TimerKind::AcceptBy { step_id: "1".into(), attempt: 1 }),
        Input::TooLarge { detail: "too much".to_owned() },
    ]
}

/// The wall clock of every test: late enough for any timer of the alphabet.
const NOW: Timestamp = Timestamp(DEADLINE);

fn arrival(index: usize, input: Input) -> Arrival {
    let from_topic = matches!(input, Input::Submitted(_) | Input::Reported { .. } | Input::Commanded { .. });
    let source = from_topic.then_some(Source { input: 0, offset: index as i64 });
    Arrival { task_id: "t".into(), what: What::Input(input), source, at: Timestamp(0) }
}

/// What a history made visible, in order.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    facts: Vec<Event>,
    assignments: Vec<String>,
    decisions: Vec<u32>,
    completions: usize,
    /// Assignments withdrawn, and why.
    withdrawn: Vec<(String, String)>,
    /// Assignments of whose end an outcome tells.
    outcomes: Vec<String>,
    lessons: Vec<Lesson>,
    dead: usize,
}

impl Seen {
    fn take(&mut self, staged: &Staged) {
        self.dead += staged.dead.len();
        for planned in &staged.outputs {
            match &planned.item {
                Output::Facts(facts) => {
                    assert_eq!(facts.first_sequence, self.facts.len() as u64 + 1, "facts are numbered without gap");
                    self.facts.extend(facts.events.iter().cloned());
                }
                Output::Assignment(out) => {
                    let (step_id, attempt) = (&*out.assigned.step_id, out.assigned.attempt);
                    let id = AssignmentId { task_id: "t", accepted: out.task.accepted, step_id, attempt };
                    self.assignments.push(id.to_string());
                }
                Output::Decision { decision, .. } => self.decisions.push(decision.question),
                Output::Completion(_) => self.completions += 1,
                Output::Cancellation(out) => {
                    let (step_id, attempt) = (&*out.ended.step_id, out.ended.attempt);
                    let id = AssignmentId { task_id: "t", accepted: out.task.accepted, step_id, attempt };
                    self.withdrawn.push((id.to_string(), out.ended.withdrawn().unwrap_or_default().to_owned()));
                }
                Output::Outcome(out) => {
                    let (step_id, attempt) = (&*out.ended.step_id, out.ended.attempt);
                    let id = AssignmentId { task_id: "t", accepted: out.task.accepted, step_id, attempt };
                    self.outcomes.push(id.to_string());
                    assert!(out.ended.grounds.is_some(), "what was expected of it is known to its end");
                    self.lessons.extend(out.lesson.clone());
                }
            }
        }
    }

    /// Assignments that a wait or the task's end closed before their agents' last word, read off the facts.
    fn unsettled(&self) -> Vec<(String, String)> {
        let (mut open, mut closed) = (BTreeMap::new(), Vec::new());
        for event in &self.facts {
            match &event.fact {
                Fact::StepAssigned(assigned) => {
                    let (step_id, attempt) = (&*assigned.step_id, assigned.attempt);
                    let id = AssignmentId { task_id: "t", accepted: ACCEPTED, step_id, attempt };
                    open.insert(Arc::clone(&assigned.step_id), id.to_string());
                }
                Fact::StepSucceeded { step_id, .. }
                | Fact::StepFailed { step_id, .. }
                | Fact::StepDeclined { step_id, .. }
                | Fact::StepNeedsInput { step_id, .. }
                | Fact::OutputRejected { step_id, .. } => drop(open.remove(step_id)),
                Fact::StepTimedOut { step_id, timer } => {
                    let reason = match timer {
                        TimerKind::AcceptBy { .. } => "accept_timeout",
                        TimerKind::DoneBy { .. } => "assignment_timeout",
                        TimerKind::QuietBy { .. } => "inactivity_timeout",
                        _ => "no step waits for this",
                    };
                    closed.extend(open.remove(step_id).map(|id| (id, reason.to_owned())));
                }
                Fact::CommandApplied(command) if command.kind == CommandKind::Reassign => {
                    let step_id = command.step_id.as_deref().expect("the core says which step");
                    closed.extend(open.remove(step_id).map(|id| (id, "reassigned".to_owned())));
                }
                Fact::TaskEnded(end) => {
                    closed.extend(std::mem::take(&mut open).into_values().map(|id| (id, end.reason.clone())));
                }
                _ => {}
            }
        }
        closed
    }

    /// Assignments that ended, read off the states that the facts fold to: one that was with an agent and is no more.
    fn ended(&self) -> Vec<String> {
        let (mut workflow, mut ended) = (Workflow::default(), Vec::new());
        let open = |workflow: &Workflow| -> BTreeSet<String> {
            let with_agents = workflow.steps.iter().filter(|step| step.status.is_assigned());
            let id = |step: &Step| {
                AssignmentId { task_id: "t", accepted: workflow.accepted, step_id: &step.id, attempt: step.attempt }
                    .to_string()
            };
            with_agents.map(id).collect()
        };
        for event in &self.facts {
            let before = open(&workflow);
            evolve(&mut workflow, event);
            ended.extend(before.difference(&open(&workflow)).cloned());
            let strays = workflow.steps.iter().any(|step| step.grounds.is_some() != step.status.is_assigned());
            assert!(!strays, "grounds are kept while an agent has the step, and not longer: {workflow:?}");
        }
        ended.sort();
        ended
    }

    fn check(&self) {
        let mut outcomes = self.outcomes.clone();
        outcomes.sort();
        assert_eq!(self.ended(), outcomes, "each assignment that ended has one outcome");
        let once: BTreeSet<&String> = self.assignments.iter().collect();
        assert_eq!(once.len(), self.assignments.len(), "no assignment twice: {:?}", self.assignments);
        assert!(self.decisions.is_sorted_by(|a, b| a < b), "no question is decided twice: {:?}", self.decisions);
        let retried =
            |event: &&Event| matches!(&event.fact, Fact::CommandApplied(command) if command.kind == CommandKind::Retry);
        let runs = 1 + self.facts.iter().filter(retried).count();
        assert!(self.completions <= runs, "a task ends once in a run");
        assert_eq!(self.unsettled(), self.withdrawn, "withdrawn is what was assigned and nobody settled, once each");
        let asked: Vec<u32> = self
            .facts
            .iter()
            .filter_map(|event| match &event.fact {
                Fact::AgentAsked { question, .. } => Some(*question),
                _ => None,
            })
            .collect();
        assert!(asked.is_sorted_by(|a, b| a < b), "a question's number only rises: {asked:?}");
    }
}

fn restored(parts: &[(PartKey, Option<Part>)], next: [Option<i64>; INPUTS]) -> Partition {
    let mut restorer = Restorer::default();
    for (key, part) in parts {
        restorer.apply(key.as_str(), part.clone()).expect("keys and parts fit");
    }
    restorer.finish(0, next).expect("what was written together is there together")
}

/// Runs a history one by one with an abort before each commit, and as one batch; checks all that must hold.
fn check(inputs: &[Input]) -> Seen {
    let world = Small::new();
    let batch: Vec<Arrival> = inputs.iter().cloned().enumerate().map(|(index, input)| arrival(index, input)).collect();
    let (mut one_by_one, mut seen, mut parts) = (Partition::default(), Seen::default(), Vec::new());
    for arrival in &batch {
        let aborted = one_by_one.stage(std::slice::from_ref(arrival), &world, NOW);
        let staged = one_by_one.stage(std::slice::from_ref(arrival), &world, NOW);
        assert_eq!(format!("{aborted:?}"), format!("{staged:?}"), "a batch staged again is the same");
        seen.take(&staged);
        parts.extend(staged.parts.iter().map(|planned| planned.item.clone()));
        one_by_one.adopt(staged);
    }
    seen.check();

    let whole = Partition::default().stage(&batch, &world, NOW);
    let mut at_once = Seen::default();
    at_once.take(&whole);
    assert_eq!((&at_once.facts, at_once.dead), (&seen.facts, seen.dead), "batching is invisible");
    assert_eq!((&at_once.assignments, at_once.completions), (&seen.assignments, seen.completions));
    assert_eq!(at_once.withdrawn, seen.withdrawn);
    assert_eq!(whole.next, one_by_one.next(), "even what is refused moves the offset");
    let mut batched = Partition::default();
    batched.adopt(whole);
    assert_eq!(batched.get("t"), one_by_one.get("t"));

    let mut replayed = Workflow::default();
    for event in &seen.facts {
        evolve(&mut replayed, event);
    }
    if let Some(Kept::Workflow(workflow)) = one_by_one.get("t") {
        assert_eq!(**workflow, replayed, "replaying the facts gives the state");
    }

    let again = restored(&parts, one_by_one.next());
    assert_eq!(again.get("t"), one_by_one.get("t"), "a restore gives the state");
    assert_eq!(again.owed(), one_by_one.owed(), "a restore owes what was owed");
    assert_eq!((again.live(), again.len()), (one_by_one.live(), one_by_one.len()));
    seen
}

#[test]
fn the_contract_holds_for_every_short_history() {
    let alphabet = alphabet();
    let (mut ended, mut dead, mut declined) = (0, 0, 0);
    let base = alphabet.len();
    let begun = [submitted("do it", 1), answered(1, Choice::Agent("a".to_owned()))];
    for (code, prefix) in (0..base.pow(3)).flat_map(|code| [(code, &begun[..1]), (code, &begun[..])]) {
        let tail = (0..3).map(|place| alphabet[code / base.pow(place) % base].clone());
        let history: Vec<Input> = prefix.iter().cloned().chain(tail).collect();
        let seen = check(&history);
        ended += seen.completions;
        dead += seen.dead;
        declined += usize::from(seen.facts.iter().any(|event| matches!(event.fact, Fact::StepDeclined { .. })));
    }
    assert!(ended > 50 && dead > 100 && declined > 10, "a run that exercised nothing: {ended} {dead} {declined}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_contract_holds_for_long_histories(word in prop::collection::vec(0..alphabet().len(), 1..40)) {
        let alphabet = alphabet();
        check(&word.into_iter().map(|letter| alphabet[letter].clone()).collect::<Vec<_>>());
    }
}

fn history(inputs: &[Input]) -> (Partition, Seen) {
    let (world, mut partition, mut seen) = (Small::new(), Partition::default(), Seen::default());
    for (index, input) in inputs.iter().enumerate() {
        let staged = partition.stage(&[arrival(index, input.clone())], &world, Timestamp(10));
        seen.take(&staged);
        partition.adopt(staged);
    }
    (partition, seen)
}

#[test]
fn a_route_goes_on_by_what_was_said_and_ends_with_the_last_output() {
    let (partition, seen) = history(&[
        submitted("do it", 1),
        answered(1, Choice::Agent("a".to_owned())),
        report("1", 1, "a", ReportStatus::Succeeded, Some("again")),
        report("2", 1, "a", ReportStatus::Succeeded, Some("done")),
    ]);
    assert_eq!(seen.assignments, ["t~0-0~1~1", "t~0-0~2~1"]);
    assert_eq!((seen.decisions, seen.completions), (vec![1, 2, 3], 1));
    assert!(matches!(partition.get("t"), Some(Kept::Receipt(_))));
    assert_eq!(partition.live(), 0);
}

#[test]
fn what_would_be_one_hop_too_many_ends_the_task_with_its_last_output() {
    let (partition, seen) = history(&[
        submitted("do it", 1),
        answered(1, Choice::Agent("a".to_owned())),
        report("1", 1, "a", ReportStatus::Succeeded, Some("again")),
        report("2", 1, "a", ReportStatus::Succeeded, Some("again")),
    ]);
    assert_eq!(seen.assignments.len(), 2);
    let end = seen.facts.iter().find_map(|event| match &event.fact {
        Fact::TaskEnded(end) => Some(end.reason.clone()),
        _ => None,
    });
    assert_eq!(end.as_deref(), Some("budget_hops"));
    let Some(Kept::Workflow(workflow)) = partition.get("t") else { panic!("it is kept, so that it can be retried") };
    assert!(matches!(workflow.phase, Phase::Ended { .. }));
    assert_eq!(workflow.last_output().map(|(output, _)| output.text()), Some("again"));
}

#[test]
fn a_step_that_was_refused_waits_until_others_are_eligible() {
    let (partition, _) = history(&[submitted("do it", 1), answered(1, Choice::None)]);
    assert!(partition.has_waiting());
    assert_eq!(partition.admit(&Small::new(), 10), [], "the same are eligible");
}

#[test]
fn a_finished_task_is_forgotten_whole_once_its_window_closes() {
    let (mut partition, _) = history(&[
        submitted("do it", 1),
        answered(1, Choice::Agent("a".to_owned())),
        report("1", 1, "a", ReportStatus::Succeeded, Some("again")),
        report("2", 1, "a", ReportStatus::Failed, None),
    ]);
    let window = Window { millis: 1_000, count: 10 };
    assert_eq!(partition.forgettable(window, Timestamp(1_009), 10), Vec::<Arc<str>>::new());
    let forget: Vec<Arrival> = partition
        .forgettable(window, Timestamp(1_010), 10)
        .into_iter()
        .map(|task_id| Arrival { task_id, what: What::Forget, source: None, at: Timestamp(1_010) })
        .collect();
    assert_eq!(forget.len(), 1);
    let staged = partition.stage(&forget, &Small::new(), Timestamp(1_010));
    let deleted: BTreeSet<&str> = staged.parts.iter().map(|planned| planned.item.0.as_str()).collect();
    assert_eq!(deleted, BTreeSet::from(["t", "t/", "t/1"]));
    assert!(staged.parts.iter().all(|planned| planned.item.1.is_none()) && staged.outputs.is_empty());
    partition.adopt(staged);
    assert_eq!((partition.len(), partition.is_empty()), (0, true));
}

#[test]
fn more_finished_tasks_than_the_window_counts_are_forgotten_oldest_first() {
    let receipt = |at| {
        Kept::Receipt(Receipt {
            content_hash: [0; 16],
            outcome: crate::workflow::Outcome::Succeeded,
            ended_at: Timestamp(at),
            accepted: ACCEPTED,
            last_fact: 5,
        })
    };
    let tasks: BTreeMap<Arc<str>, Kept> =
        [("x", 3), ("y", 1), ("z", 2)].map(|(id, at)| (id.into(), receipt(at))).into();
    let partition = Partition::new(0, [Some(0); INPUTS], tasks);
    let window = Window { millis: i64::MAX / 2, count: 1 };
    assert_eq!(partition.forgettable(window, Timestamp(5), 10), ["y".into(), "z".into()] as [Arc<str>; 2]);
}

#[test]
fn a_deadline_ends_a_task_once_and_only_when_it_is_due() {
    let (mut partition, _) = history(&[submitted("do it", 1), answered(1, Choice::Agent("a".to_owned()))]);
    let due = DEADLINE + 10;
    let fire = |partition: &Partition, now| {
        partition.stage(&[arrival(0, timer(due, TimerKind::TaskDeadline))], &Small::new(), Timestamp(now))
    };
    assert_eq!(fire(&partition, due - 1).counts.faults.len(), 1, "before its time it is our own fault");
    let ended = fire(&partition, due);
    assert!(ended.outputs.iter().any(|planned| matches!(&planned.item, Output::Completion(out)
        if out.ending == Ending::Ended { outcome: crate::workflow::Outcome::Expired, reason: "deadline".to_owned() })));
    partition.adopt(ended);
    assert!(fire(&partition, due).changed.is_empty(), "fired again after a restore it changes nothing");
}

#[test]
fn what_is_with_an_agent_is_withdrawn_when_nobody_wants_it_any_more() {
    let assigned = [submitted("do it", 1), answered(1, Choice::Agent("a".to_owned()))];
    let accepted = [&assigned[..], &[report("1", 1, "a", ReportStatus::Accepted, None)]].concat();
    let accept_by = TimerKind::AcceptBy { step_id: "1".into(), attempt: 1 };
    let done_by = TimerKind::DoneBy { step_id: "1".into(), attempt: 1 };
    let deadline = DEADLINE + 10;
    let large = Input::TooLarge { detail: "too much".to_owned() };
    let fault = Input::Internal { detail: "our own".to_owned() };
    for (history_so_far, then, reason) in [
        (&assigned[..], timer(110, accept_by), "accept_timeout"),
        (&accepted[..], timer(210, done_by), "assignment_timeout"),
        (&assigned[..], timer(deadline, TimerKind::TaskDeadline), "deadline"),
        (&accepted[..], timer(deadline, TimerKind::TaskDeadline), "deadline"),
        (&accepted[..], large, "too_large"),
        (&assigned[..], fault, "internal"),
    ] {
        let (partition, mut seen) = history(history_so_far);
        assert_eq!(seen.withdrawn, [], "it is wanted so far");
        seen.take(&partition.stage(&[arrival(9, then)], &Small::new(), Timestamp(deadline)));
        assert_eq!(seen.withdrawn, [("t~0-0~1~1".to_owned(), reason.to_owned())]);
        seen.check();
    }
}

#[test]
fn what_an_agent_settled_itself_is_not_withdrawn() {
    for last_word in [
        report("1", 1, "a", ReportStatus::Succeeded, Some("done")),
        report("1", 1, "a", ReportStatus::Failed, None),
        report("1", 1, "a", ReportStatus::InputRequired, None),
        report("1", 1, "a", ReportStatus::Declined, None),
        report("1", 1, "a", ReportStatus::Succeeded, Some(&"x".repeat(2_000))),
    ] {
        let (_, seen) = history(&[submitted("do it", 1), answered(1, Choice::Agent("a".to_owned())), last_word]);
        assert_eq!(seen.withdrawn, []);
    }
}

#[test]
fn an_answer_without_a_record_sends_the_offsets_again_so_that_it_is_fenced() {
    let (partition, _) = history(&[submitted("do it", 1)]);
    let staged = partition.stage(&[arrival(0, answered(1, Choice::Agent("a".to_owned())))], &Small::new(), NOW);
    assert_eq!(staged.next, partition.next());
    assert!(!staged.outputs.is_empty());
}

#[test]
fn a_refused_task_is_told_of_its_end_only_if_its_id_is_free() {
    let refused = |offset| Arrival {
        task_id: "t".into(),
        what: What::Refused(Refusal {
            reason: crate::workflow::Reason::Invalid,
            detail: "x".to_owned(),
            is_task: true,
        }),
        source: Some(Source { input: 0, offset }),
        at: Timestamp(0),
    };
    let world = Small::new();
    let free = Partition::default().stage(&[refused(0)], &world, NOW);
    assert_eq!((free.dead.len(), free.outputs.len()), (1, 1));
    let (used, _) = history(&[submitted("do it", 1)]);
    let staged = used.stage(&[refused(1)], &world, NOW);
    assert_eq!((staged.dead.len(), staged.outputs.len()), (1, 0));
    let both = Partition::default().stage(&[arrival(0, submitted("do it", 1)), refused(1)], &world, NOW);
    assert!(
        !both.outputs.iter().any(|planned| matches!(planned.item, Output::Completion(_))),
        "in use within the batch"
    );
}
