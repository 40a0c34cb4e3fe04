//! Plans, retries, waits, approvals and commands: the contract over many histories, and each rule by a short one.

use super::*;
use crate::workflow::{Command, Limits, Mode, OnStepFailure, Outcome, PlanAnswer, PlannedStep, StepStatus};

/// A diamond: b and c after a, d after both.
fn diamond() -> Task {
    let step = |id: &str, after: &[&str]| PlannedStep {
        step_id: id.to_owned(),
        objective: format!("work on {id}"),
        depends_on: after.iter().map(|id| (*id).to_owned()).collect(),
        ..PlannedStep::default()
    };
    Task {
        plan: Some(vec![step("a", &[]), step("b", &["a"]), step("c", &["a"]), step("d", &["b", "c"])].into()),
        ..plain()
    }
}

fn plain() -> Task {
    Task::new("t", "work")
}

fn task(task: Task) -> Input {
    Input::Submitted(Submission {
        task: Arc::new(task),
        content_hash: [7; 16],
        accepted: ACCEPTED,
        submitted_at: Timestamp(0),
        traceparent: None,
    })
}

fn changed(mut of: Task, change: impl FnOnce(&mut [PlannedStep])) -> Task {
    let mut steps = of.plan.as_deref().unwrap_or_default().to_vec();
    change(&mut steps);
    of.plan = Some(steps.into());
    of
}

fn failed(step: &str, attempt: u32, agent: &str, class: ErrorClass) -> Input {
    let Input::Reported { report, .. } = report(step, attempt, agent, ReportStatus::Failed, None) else {
        unreachable!("a report is one")
    };
    let error = report.error.clone().map(|error| ReportError { class, ..error });
    Input::Reported { report: Arc::new(Report { error, ..(*report).clone() }), too_large: None }
}

fn done(step: &str, attempt: u32, agent: &str, output: &str) -> Input {
    report(step, attempt, agent, ReportStatus::Succeeded, Some(output))
}

fn command(kind: CommandKind, step: Option<&str>) -> Input {
    let command = Arc::new(Command {
        id: None,
        task_id: "t".to_owned(),
        kind,
        step_id: step.map(str::to_owned),
        agent_name: (kind == CommandKind::Reassign).then(|| "b".to_owned()),
        value: (kind == CommandKind::Answer).then(|| Payload::from("42")),
        actor: Some("ops".to_owned()),
        reason: None,
    });
    Input::Commanded { command, place: Position::default(), too_large: None }
}

fn retry_of(step: &str, attempt: u32, due: i64) -> Input {
    timer(due, TimerKind::RetryAt { step_id: step.into(), attempt })
}

fn letters() -> Vec<Input> {
    let mut letters = vec![
        done("a", 1, "a", "1"),
        done("a", 2, "b", "2"),
        done("a", 2, "a", "2"),
        done("b", 1, "a", "3"),
        done("c", 1, "a", "4"),
        done("d", 1, "a", "5"),
        done("a", 1, "a", "rubbish"),
        failed("a", 1, "a", ErrorClass::Transient),
        failed("a", 2, "b", ErrorClass::Transient),
        failed("b", 1, "a", ErrorClass::Permanent),
        report("c", 1, "a", ReportStatus::Declined, None),
        report("b", 1, "a", ReportStatus::InputRequired, None),
        report("a", 1, "a", ReportStatus::Accepted, None),
        retry_of("a", 1, DEADLINE),
        retry_of("a", 2, DEADLINE),
        timer(DEADLINE + 100, TimerKind::AcceptBy { step_id: "a".into(), attempt: 1 }),
        timer(DEADLINE + 150, TimerKind::QuietBy { step_id: "a".into(), attempt: 1 }),
        timer(DEADLINE + 30, TimerKind::CommandHeld),
    ];
    letters.extend(CommandKind::ALL.map(|kind| command(kind, matches!(kind, CommandKind::Reassign).then_some("a"))));
    letters
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_contract_holds_for_plans_and_commands(
        first in 0..4_usize,
        word in prop::collection::vec(0..letters().len(), 1..30),
    ) {
        let letters = letters();
        let first = match first {
            0 => task(diamond()),
            1 => task(Task { on_step_failure: OnStepFailure::Continue, ..diamond() }),
            2 => task(changed(diamond(), |steps| steps[1].require_approval = true)),
            _ => command(CommandKind::Pause, None),
        };
        let mut history = vec![first];
        history.extend(word.into_iter().map(|letter| letters[letter].clone()));
        history.insert(history.len() / 2, task(diamond()));
        check(&history);
    }
}

#[test]
fn a_task_that_waited_commands_end_twice_in_one_decision_leaves_one_outcome_of_its_assignment() {
    let held = [CommandKind::Cancel, CommandKind::Retry, CommandKind::Cancel].map(|kind| command(kind, None));
    let mut history: Vec<Input> = held.into();
    history.push(task(diamond()));
    let seen = check(&history);
    assert_eq!(kinds(&seen).iter().filter(|kind| **kind == "ended").count(), 2);
    assert_eq!((seen.outcomes.as_slice(), seen.withdrawn.len()), (&["t~0-0~a~1".to_owned()][..], 1));
}

#[test]
fn only_an_output_that_was_held_against_a_schema_and_taken_teaches() {
    let whole = |objective: &str| Task {
        submitted_by: Some("s".repeat(1_000)),
        plan: Some(
            vec![PlannedStep { step_id: "a".to_owned(), objective: objective.to_owned(), ..PlannedStep::default() }]
                .into(),
        ),
        ..plain()
    };
    let checked = |objective: &str| changed(whole(objective), |steps| steps[0].output_contract = Some("{}".to_owned()));
    let lessons = |word: &[Input]| history(word).1.lessons;
    assert_eq!(lessons(&[task(whole("paint it")), done("a", 1, "a", "1")]), [], "nobody looked at it");
    assert_eq!(lessons(&[task(checked("paint it")), done("a", 1, "a", "rubbish")]), [], "it was not taken");
    let failed = failed("a", 1, "a", ErrorClass::Transient);
    assert_eq!(lessons(&[task(checked("paint it")), failed.clone()]), []);
    let lesson = Lesson { text: "paint it".to_owned(), source: Some("s".repeat(128)), definition: 7 };
    assert_eq!(lessons(&[task(checked(" paint it\n")), done("a", 1, "a", "1")]), [lesson]);
    let retried = [task(whole(&"wall ".repeat(1_000))), failed, retry_of("a", 1, 10), done("a", 2, "b", "2")];
    let [lesson] = &lessons(&retried)[..] else { panic!("there is one") };
    assert_eq!(lesson.text.chars().count(), crate::selection::bounds::EXAMPLE);
}

fn workflow(partition: &Partition) -> &Workflow {
    partition.workflow("t").expect("it is kept whole")
}

fn status(partition: &Partition, step: &str) -> StepStatus {
    workflow(partition).step(step).expect("the plan has it").status
}

fn kinds(seen: &Seen) -> Vec<&'static str> {
    let name = |event: &Event| match &event.fact {
        Fact::StepAssigned(_) => Some("assigned"),
        Fact::RetryScheduled { .. } => Some("retry"),
        Fact::ApprovalRequested { .. } => Some("approval"),
        Fact::StepSkipped { .. } => Some("skipped"),
        Fact::CommandApplied(_) => Some("applied"),
        Fact::CommandRefused { .. } => Some("refused"),
        Fact::CommandHeld { .. } => Some("held"),
        Fact::PlanAsked { .. } => Some("plan asked"),
        Fact::PlanAccepted(_) => Some("plan"),
        Fact::PlanRejected(_) => Some("no plan"),
        Fact::TaskEnded(_) => Some("ended"),
        _ => None,
    };
    seen.facts.iter().filter_map(name).collect()
}

fn end(seen: &Seen) -> (Outcome, &str) {
    let ends = seen.facts.iter().rev().find_map(|event| match &event.fact {
        Fact::TaskEnded(end) => Some((end.outcome, end.reason.as_str())),
        _ => None,
    });
    ends.expect("the task has ended")
}

#[test]
fn steps_run_side_by_side_and_get_what_they_depend_on() {
    let (partition, seen) = history(&[task(diamond()), done("a", 1, "a", "1")]);
    assert!(matches!(status(&partition, "b"), StepStatus::Assigned { .. }));
    assert!(matches!(status(&partition, "c"), StepStatus::Assigned { .. }));
    assert_eq!(status(&partition, "d"), StepStatus::Waiting);
    assert_eq!(seen.assignments.len(), 3);
    let input = |step| workflow(&partition).input_of(step).0.map(|input| input.text().to_owned());
    assert_eq!(input("b").as_deref(), Some("1"));

    let (partition, seen) = history(&[
        task(diamond()),
        done("a", 1, "a", "1"),
        done("c", 1, "a", "3"),
        done("b", 1, "a", "2"),
        done("d", 1, "a", "4"),
    ]);
    assert_eq!(end(&seen), (Outcome::Succeeded, "completed"));
    assert!(partition.workflow("t").is_none(), "only a receipt is left");
}

#[test]
fn a_step_of_several_gets_an_object_by_step() {
    let (partition, _) =
        history(&[task(diamond()), done("a", 1, "a", "1"), done("b", 1, "a", "2"), done("c", 1, "a", "x")]);
    let input = workflow(&partition).input_of("d").0.expect("there is one");
    assert_eq!(input.value(), serde_json::json!({"b": 2, "c": "x"}));
}

#[test]
fn every_fault_of_a_plan_is_told_at_once() {
    let plan = changed(diamond(), |steps| {
        steps[0].depends_on = vec!["d".to_owned()];
        steps[1].agent_name = Some("nobody".to_owned());
        steps[2].capability = Some("unknown".to_owned());
        steps[3].depends_on.push("x".to_owned());
    });
    let staged = Partition::default().stage(&[arrival(0, task(plan))], &Small::new(), Timestamp(10));
    let detail = &staged.dead[0].detail;
    for fault in ["in a circle", "\"nobody\" is not registered", "capability \"unknown\"", "depends on x"] {
        assert!(detail.contains(fault), "{fault} in {detail}");
    }
    let facts = staged.outputs.iter().filter(|planned| matches!(planned.item, Output::Facts(_))).count();
    let completions = staged.outputs.iter().filter(|planned| matches!(planned.item, Output::Completion(_))).count();
    assert_eq!((facts, completions, staged.changed.len()), (1, 1, 0));
}

#[test]
fn a_transient_failure_goes_to_another_agent_and_rubbish_back_to_its_own() {
    let (partition, seen) =
        history(&[task(plain_plan()), failed("a", 1, "a", ErrorClass::Transient), retry_of("a", 1, 10)]);
    assert_eq!(kinds(&seen), ["plan", "assigned", "retry", "assigned"]);
    assert_eq!(&*workflow(&partition).steps[0].agent_name, "b");

    let (partition, _) = history(&[task(plain_plan()), done("a", 1, "a", "rubbish"), retry_of("a", 1, 10)]);
    let step = &workflow(&partition).steps[0];
    assert_eq!((&*step.agent_name, step.attempt), ("a", 2));
    let feedback = step.trouble.as_ref().and_then(|trouble| trouble.feedback.as_deref());
    assert_eq!(feedback, Some("it is rubbish"));
}

fn plain_plan() -> Task {
    changed(diamond(), |_| {}).tap(|task| {
        let first = task.plan.as_ref().map(|plan| plan[..1].to_vec()).unwrap_or_default();
        task.plan = Some(first.into());
    })
}

trait Tap: Sized {
    fn tap(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl Tap for Task {}

#[test]
fn what_fails_too_often_ends_with_its_class_and_what_is_permanent_at_once() {
    let (_, seen) = history(&[
        task(plain_plan()),
        failed("a", 1, "a", ErrorClass::Transient),
        retry_of("a", 1, 10),
        failed("a", 2, "b", ErrorClass::Transient),
        retry_of("a", 2, 10),
        failed("a", 3, "a", ErrorClass::Transient),
    ]);
    assert_eq!((end(&seen), seen.assignments.len()), ((Outcome::Failed, "TRANSIENT"), 3));
    let (_, seen) = history(&[task(plain_plan()), failed("a", 1, "a", ErrorClass::Permanent)]);
    assert_eq!(end(&seen), (Outcome::Failed, "PERMANENT"));
}

#[test]
fn an_agent_that_is_not_idempotent_is_not_tried_again_after_a_timeout_unless_a_person_says_so() {
    let by_b = changed(plain_plan(), |steps| steps[0].agent_name = Some("b".to_owned()));
    let late = timer(10 + 100, TimerKind::AcceptBy { step_id: "a".into(), attempt: 1 });
    let (world, mut partition, mut seen) = (Small::new(), Partition::default(), Seen::default());
    let approve = command(CommandKind::Approve, None);
    for (now, input) in [(10, task(by_b)), (200, late), (210, approve)] {
        let staged = partition.stage(&[arrival(0, input)], &world, Timestamp(now));
        seen.take(&staged);
        partition.adopt(staged);
    }
    assert_eq!(kinds(&seen), ["plan", "assigned", "approval", "applied", "assigned"]);
}

#[test]
fn where_it_goes_on_dependents_are_skipped_and_the_rest_counts() {
    let goes_on = Task { on_step_failure: OnStepFailure::Continue, ..diamond() };
    let (_, seen) = history(&[
        task(goes_on),
        done("a", 1, "a", "1"),
        failed("b", 1, "a", ErrorClass::Permanent),
        done("c", 1, "a", "3"),
    ]);
    assert_eq!(end(&seen), (Outcome::Partial, "steps_failed"));
    assert_eq!(seen.facts.iter().filter(|event| matches!(event.fact, Fact::StepSkipped { .. })).count(), 1);
}

#[test]
fn a_task_that_is_paused_begins_nothing_further() {
    let (partition, seen) = history(&[task(diamond()), command(CommandKind::Pause, None), done("a", 1, "a", "1")]);
    assert_eq!((seen.assignments.len(), status(&partition, "b")), (1, StepStatus::Waiting));
    let (_, seen) = history(&[
        task(diamond()),
        command(CommandKind::Pause, None),
        done("a", 1, "a", "1"),
        command(CommandKind::Resume, None),
    ]);
    assert_eq!(seen.assignments.len(), 3);
}

#[test]
fn a_question_is_answered_and_the_same_agent_goes_on() {
    let (partition, _) = history(&[
        task(plain_plan()),
        report("a", 1, "a", ReportStatus::InputRequired, None),
        command(CommandKind::Answer, None),
    ]);
    let step = &workflow(&partition).steps[0];
    assert_eq!((&*step.agent_name, step.attempt), ("a", 2));
    assert_eq!(step.trouble.as_ref().and_then(|trouble| trouble.answer.as_ref()).map(Payload::text), Some("42"));
}

#[test]
fn what_cannot_be_done_is_refused_with_the_reason() {
    let refused = |inputs: &[Input]| {
        let (_, seen) = history(inputs);
        seen.facts.iter().find_map(|event| match &event.fact {
            Fact::CommandRefused { reason, .. } => Some(reason.clone()),
            _ => None,
        })
    };
    for (kind, why) in [
        (CommandKind::Resume, "not paused"),
        (CommandKind::Approve, "no step waits for approval"),
        (CommandKind::Answer, "no step waits for an answer"),
        (CommandKind::Retry, "goes on"),
    ] {
        let reason = refused(&[task(diamond()), command(kind, None)]).expect("it is refused");
        assert!(reason.contains(why), "{kind:?}: {reason}");
    }
    let ended = [task(plain_plan()), done("a", 1, "a", "1"), command(CommandKind::Cancel, None)];
    assert!(refused(&ended).is_some_and(|reason| reason.contains("has ended SUCCEEDED")));
}

#[test]
fn a_command_before_its_task_waits_for_it_and_is_refused_if_it_does_not_come() {
    let (partition, seen) = history(&[command(CommandKind::Pause, None), task(diamond())]);
    assert_eq!(kinds(&seen), ["held", "applied"]);
    assert!(partition.knows("t"));
    let (partition, _) = history(&[command(CommandKind::Pause, None)]);
    assert!(!partition.knows("t"), "should what it brings not fit, it is refused and not ended");
    let (partition, seen) = history(&[command(CommandKind::Pause, None), task(diamond())]);
    assert!(workflow(&partition).paused && seen.assignments.is_empty());

    let (world, mut partition, mut seen) = (Small::new(), Partition::default(), Seen::default());
    for (now, input) in [(10, command(CommandKind::Cancel, None)), (40, timer(40, TimerKind::CommandHeld))] {
        let staged = partition.stage(&[arrival(0, input)], &world, Timestamp(now));
        seen.take(&staged);
        partition.adopt(staged);
    }
    assert_eq!((kinds(&seen), partition.is_empty()), (vec!["held", "refused"], true));
}

#[test]
fn what_is_told_of_commands_whose_task_does_not_come_has_names_of_its_own_each_time() {
    let (world, mut partition, mut told) = (Small::new(), Partition::default(), Vec::new());
    for offset in [4, 9] {
        let Input::Commanded { command, .. } = command(CommandKind::Cancel, None) else {
            unreachable!("a command is one")
        };
        let place = Position { partition: 0, offset };
        let now = offset * 1_000;
        let overdue = timer(now + 30, TimerKind::CommandHeld);
        for (now, input) in [(now, Input::Commanded { command, place, too_large: None }), (now + 30, overdue)] {
            let staged = partition.stage(&[arrival(0, input)], &world, Timestamp(now));
            told.extend(staged.outputs.iter().filter_map(|planned| match &planned.item {
                Output::Facts(facts) => Some((facts.is_known, facts.task.accepted.offset, facts.first_sequence)),
                _ => None,
            }));
            partition.adopt(staged);
        }
    }
    assert_eq!(told, [(false, 4, 1), (false, 4, 2), (false, 9, 1), (false, 9, 2)]);
}

#[test]
fn a_command_said_twice_under_one_id_counts_once() {
    let Input::Commanded { command: pause, place, .. } = command(CommandKind::Pause, None) else {
        unreachable!("a command is one")
    };
    let command = Arc::new(Command { id: Some("c".to_owned()), ..(*pause).clone() });
    let twice = Input::Commanded { command, place, too_large: None };
    let (_, seen) = history(&[task(diamond()), twice.clone(), twice]);
    assert_eq!(kinds(&seen).iter().filter(|kind| **kind == "applied").count(), 1);
}

#[test]
fn a_command_on_a_task_that_succeeded_is_refused_each_time_in_one_batch_or_in_several() {
    let Input::Commanded { command: resume, place, .. } = command(CommandKind::Resume, None) else {
        unreachable!("a command is one")
    };
    let resume = Arc::new(Command { id: Some("c".to_owned()), ..(*resume).clone() });
    let resume = || Input::Commanded { command: Arc::clone(&resume), place, too_large: None };
    let inputs = [task(plain_plan()), resume(), done("a", 1, "a", "1"), resume(), resume()];
    let (_, seen) = history(&inputs);
    assert_eq!(kinds(&seen).iter().filter(|kind| **kind == "refused").count(), 3);
    let batch: Vec<Arrival> = inputs.into_iter().enumerate().map(|(index, input)| arrival(index, input)).collect();
    let staged = Partition::default().stage(&batch, &Small::new(), NOW);
    let accepted: u64 = staged.counts.inputs.iter().map(|tally| tally.accepted).sum();
    assert_eq!(accepted, 5, "none is taken for one that nobody remembers");
}

#[test]
fn a_command_beside_what_does_not_fit_is_refused_whether_its_task_lives_or_ended() {
    let Input::Commanded { command, place, .. } = command(CommandKind::Cancel, None) else {
        unreachable!("a command is one")
    };
    let refused = Input::Commanded { command, place, too_large: Some("too much".to_owned()) };
    let ends = Input::TooLarge { detail: "too much".to_owned() };
    for inputs in [[refused.clone(), ends.clone()], [ends, refused]] {
        let (_, seen) = history(&[&[task(plain_plan())][..], &inputs].concat());
        assert_eq!(end(&seen), (Outcome::Failed, "too_large"));
        let why = seen.facts.iter().find_map(|event| match &event.fact {
            Fact::CommandRefused { reason, .. } => Some(reason.as_str()),
            _ => None,
        });
        assert_eq!(why, Some("what the task would write does not fit: too much"));
    }
}

#[test]
fn a_retry_that_is_due_when_its_task_is_paused_waits_until_it_goes_on() {
    let (pause, resume) = (command(CommandKind::Pause, None), command(CommandKind::Resume, None));
    let retry = || retry_of("a", 1, 10);
    let begun = [task(diamond()), failed("a", 1, "a", ErrorClass::Transient), pause, retry()];
    assert_eq!(history(&begun).1.assignments.len(), 1, "the timer and PAUSE may come together");
    let goes_on = [&begun[..], &[resume, retry()]].concat();
    assert_eq!(history(&goes_on).1.assignments.len(), 2);
}

#[test]
fn a_task_that_failed_is_retried_from_the_step_that_failed() {
    let (partition, seen) = history(&[
        task(diamond()),
        done("a", 1, "a", "1"),
        failed("b", 1, "a", ErrorClass::Permanent),
        command(CommandKind::Retry, None),
    ]);
    assert_eq!((workflow(&partition).run, status(&partition, "a")), (2, StepStatus::Succeeded));
    assert_eq!(workflow(&partition).step("b").map(|step| step.attempt), Some(2));
    assert_eq!(seen.completions, 1);
}

#[test]
fn reassigned_the_step_is_withdrawn_from_one_agent_and_given_to_the_other() {
    let (partition, seen) = history(&[task(plain_plan()), command(CommandKind::Reassign, Some("a"))]);
    assert_eq!(&*workflow(&partition).steps[0].agent_name, "b");
    assert_eq!(seen.withdrawn.iter().map(|(_, reason)| reason.as_str()).collect::<Vec<_>>(), ["reassigned"]);
}

#[test]
fn a_task_begins_when_it_may() {
    let later = Task { not_before: Some(Timestamp(50)), ..plain_plan() };
    let (mut partition, seen) = history(&[task(later)]);
    assert!(seen.assignments.is_empty());
    let begun = arrival(1, timer(50, TimerKind::NotBefore));
    let staged = partition.stage(&[begun], &Small::new(), Timestamp(50));
    partition.adopt(staged);
    assert!(matches!(status(&partition, "a"), StepStatus::Assigned { .. }));

    let asked = Task { require_approval: true, ..plain_plan() };
    let (_, seen) = history(&[task(asked.clone())]);
    assert!(seen.assignments.is_empty());
    let (_, seen) = history(&[task(asked.clone()), command(CommandKind::Approve, None)]);
    assert_eq!(seen.assignments.len(), 1);
    let (_, seen) = history(&[task(asked), command(CommandKind::Reject, None)]);
    assert_eq!(end(&seen), (Outcome::Failed, "rejected"));
}

#[test]
fn budgets_end_a_task_with_their_names() {
    let usage = crate::workflow::Usage { input_tokens: 60, output_tokens: 50, cost_micros: 0 };
    let Input::Reported { report: done, .. } = done("a", 1, "a", "1") else { unreachable!("a report is one") };
    let dear = Input::Reported { report: Arc::new(Report { usage: Some(usage), ..(*done).clone() }), too_large: None };
    let limits = Some(Limits { max_tokens: Some(100), ..Limits::default() });
    let (_, seen) = history(&[task(Task { limits, ..diamond() }), dear]);
    assert_eq!(end(&seen), (Outcome::Failed, "budget_tokens"));
}

#[test]
fn a_written_plan_is_asked_for_repaired_once_and_replaced_where_it_fails() {
    let planned = |question, steps: Vec<PlannedStep>| Input::Planned {
        question,
        answer: Arc::new(PlanAnswer { plan: Ok(steps), attempts: vec![], prompt_version: None }),
    };
    let steps = diamond().plan.expect("it has one").to_vec();
    let bad = changed(diamond(), |steps| steps[0].depends_on = vec!["x".to_owned()]).plan.expect("it has one").to_vec();
    let ask = Task { mode: Mode::Plan, ..plain() };
    let (partition, seen) = history(&[task(ask.clone()), planned(1, bad.clone()), planned(2, steps.clone())]);
    assert_eq!(kinds(&seen), ["plan asked", "no plan", "plan asked", "plan", "assigned"]);
    assert_eq!(workflow(&partition).steps.len(), 4);

    let (_, seen) = history(&[task(ask.clone()), planned(1, bad.clone()), planned(2, bad)]);
    assert_eq!(kinds(&seen), ["plan asked", "no plan", "plan asked", "no plan", "plan", "assigned"]);

    let (partition, seen) = history(&[
        task(ask),
        planned(1, steps.clone()),
        done("a", 1, "a", "1"),
        failed("b", 1, "a", ErrorClass::Permanent),
        planned(5, vec![PlannedStep { depends_on: vec!["a".to_owned()], ..steps[1].clone() }]),
    ]);
    let ids: Vec<&str> = workflow(&partition).steps.iter().map(|step| &*step.id).collect();
    assert_eq!((ids, seen.withdrawn.len()), (vec!["a", "r1.b"], 1));
}

#[test]
fn a_plan_is_written_anew_only_when_its_task_goes_on_and_then_it_is() {
    let planned = |question, steps: Vec<PlannedStep>| Input::Planned {
        question,
        answer: Arc::new(PlanAnswer { plan: Ok(steps), attempts: vec![], prompt_version: None }),
    };
    let steps = diamond().plan.expect("it has one").to_vec();
    let begun = [task(Task { mode: Mode::Plan, ..plain() }), planned(1, steps), done("a", 1, "a", "1")];
    let (pause, resume) = (command(CommandKind::Pause, None), command(CommandKind::Resume, None));
    let fails = failed("b", 1, "a", ErrorClass::Permanent);
    // Paused before the step failed, and paused while the plan was asked for.
    for held_back in [[pause.clone(), fails.clone()], [fails, pause]] {
        let (partition, _) = history(&[&begun[..], &held_back].concat());
        assert!(workflow(&partition).paused && workflow(&partition).planning.is_none());
        let (partition, seen) = history(&[&begun[..], &held_back, std::slice::from_ref(&resume)].concat());
        let planning = workflow(&partition).planning.as_ref().unwrap_or_else(|| panic!("{:?}", kinds(&seen)));
        assert_eq!(*planning.faults, ["step b failed: no"], "why it failed is told still");
    }
}
