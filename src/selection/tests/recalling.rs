use super::*;
use crate::selection::{Answers, Broken, Experiment, Stage, Strategies, recall};
use crate::workflow::{SettledBy, Step, StepStatus, Timestamp};

/// `east` and `west` alike, so that an LLM is asked.
fn asked() -> World {
    let definitions = vec![able("east", &["book flights"]), able("west", &["book flights"])];
    World::of(definitions).asking(LlmUse::Always).objective("book flights")
}

fn recalled(answers: &Answers, world: &World) -> Option<Settled> {
    let (set, offers_done) = world.asked();
    recalled_of(answers, world, &set, offers_done, &world.policy.clone().into())
}

fn recalled_of(
    answers: &Answers,
    world: &World,
    set: &[String],
    offers_done: bool,
    strategies: &Strategies,
) -> Option<Settled> {
    let in_force = strategies.of(&world.task, Timestamp(1));
    recall(answers, &world.registry, &world.availability, &in_force, &world.choosing(), set, offers_done)
}

/// What is kept once the LLM answered so.
fn taught(world: &World, answer: &Answer) -> Answers {
    let mut answers = Answers::new(10);
    answers.look(&world.registry, &world.availability);
    answers.learn(&world.answered(answer));
    answers
}

#[test]
fn the_same_question_is_answered_as_before_and_says_by_whom() {
    let answers = taught(&asked(), &names("west", 0.8));
    for objective in ["book flights", "  Book\tFLIGHTS\n"] {
        let settled = recalled(&answers, &asked().objective(objective)).expect("it is the same question");
        assert_eq!((&settled.choice, settled.by), (&chose("west"), SettledBy::Cache));
        assert_eq!((settled.confidence, settled.degraded), (Some(0.8), None));
        assert_eq!(settled.reason, "the LLM answered the same question before: because");
        assert_eq!((settled.question, settled.propensity), (None, None));
        assert!(settled.grounds.is_some_and(|grounds| grounds.teaches.is_none()), "it was learned from before");
    }
    let done = taught(&asked().after("x", "east"), &said(Choice::Done, 0.9));
    let settled = recalled(&done, &asked().after("x", "east")).expect("it is the same question");
    assert_eq!((settled.choice, settled.by), (Choice::Done, SettledBy::Cache));
}

#[test]
fn a_question_that_differs_in_anything_the_llm_would_be_told_is_another() {
    let answers = taught(&asked(), &names("west", 0.8));
    let of_type = |kind: &str| {
        let mut world = asked();
        world.task.kind = Some(kind.to_owned());
        world
    };
    let others = [
        asked().objective("book a flight"),
        asked().input_contract("flight"),
        asked().allowing(&["west"]),
        asked().after("x", "east"),
        of_type("travel"),
    ];
    for world in others {
        assert_eq!(recalled(&answers, &world), None);
    }
    let after = taught(&asked().after("x", "east"), &names("west", 0.8));
    assert!(recalled(&after, &asked().after("x", "east")).is_some());
    assert_eq!(recalled(&after, &asked().after("y", "east")), None);
    assert_eq!(recalled(&after, &asked().after("x", "west")), None);
    // The same output again, one step later.
    let mut world = asked().after("x", "east");
    let done = Step { output: Some("x".into()), ..Step::new("1".into(), StepStatus::Succeeded) };
    world.steps = [done].into_iter().collect::<Steps>();
    assert_eq!(recalled(&after, &world), None);
}

#[test]
fn what_one_strategy_was_answered_is_no_answer_to_another() {
    let (world, mut answers) = (asked(), Answers::new(10));
    let (set, offers_done) = world.asked();
    let named = [("frugal".to_owned(), world.policy.clone())].into();
    let stage = Stage::Promoted { strategy: "frugal".into() };
    let promoted = Experiment { name: "x".into(), kinds: [].into(), stage };
    let frugal = Strategies::new(world.policy.clone(), named).with([promoted].into());
    let mut settled = world.answered(&names("west", 0.8));
    frugal.of(&world.task, Timestamp(1)).stamp(&mut settled);
    answers.learn(&settled);
    assert_eq!(recalled(&answers, &world), None);
    assert!(recalled_of(&answers, &world, &set, offers_done, &frugal).is_some());
}

#[test]
fn what_the_llm_is_not_told_makes_no_other_question() {
    let answers = taught(&asked().input("1"), &names("west", 0.8));
    let mut world = asked().input("2");
    (world.task.id, world.task.explore, world.seed) = ("another".to_owned(), false, 7);
    assert!(recalled(&answers, &world).is_some());
}

#[test]
fn none_what_was_not_sure_and_what_was_said_of_a_step_tried_before_are_asked_for_again() {
    for answer in [said(Choice::None, 1.0), names("west", 0.4), failed("timeout")] {
        assert!(taught(&asked(), &answer).is_empty(), "{answer:?}");
    }
    let tried = || World { tried: true, ..asked() };
    assert!(taught(&tried(), &names("west", 0.9)).is_empty());
    assert_eq!(recalled(&taught(&asked(), &names("west", 0.9)), &tried()), None);
}

#[test]
fn nothing_is_recalled_of_an_agent_that_failed_until_it_is_named_again() {
    let mut world = asked();
    let mut answers = taught(&world, &names("west", 0.8));
    answers.failed(&"east".into());
    assert!(recalled(&answers, &asked()).is_some());
    answers.failed(&"west".into());
    assert_eq!(recalled(&answers, &asked()), None);
    answers.learn(&asked().answered(&names("west", 0.7)));
    assert_eq!(recalled(&answers, &asked()).and_then(|settled| settled.confidence), Some(0.7));
    let broken = Broken { why: "it fails".into(), probed_by: Some(1) };
    world.availability.set_broken([("west".to_owned(), broken)].into_iter().collect());
    answers.look(&world.registry, &world.availability);
    assert_eq!((recalled(&answers, &asked()), answers.len()), (None, 1));
}

#[test]
fn who_is_not_eligible_any_more_is_not_recalled() {
    let mut world = asked();
    let answers = taught(&world, &names("west", 0.8));
    let (set, offers_done) = world.asked();
    world = world.without_topic_of("west");
    // The set of before: it is not the set alone that keeps it from being chosen.
    let strategies = world.policy.clone().into();
    assert_eq!(recalled_of(&answers, &world, &set, offers_done, &strategies), None);
}

#[test]
fn another_registry_makes_all_that_was_answered_void() {
    let world = asked();
    let mut answers = taught(&world, &names("west", 0.8));
    answers.look(&world.registry, &world.availability);
    assert_eq!(answers.len(), 1, "it is the same");
    answers.look(&asked().registry, &world.availability);
    assert!(answers.is_empty());
}

#[test]
fn so_many_are_kept_and_the_oldest_goes_first() {
    let mut answers = Answers::new(2);
    let about = |objective: &str| asked().objective(objective);
    for objective in ["a", "b", "a", "c"] {
        answers.learn(&about(objective).answered(&names("west", 0.8)));
    }
    assert_eq!(answers.len(), 2);
    let kept: Vec<bool> = ["a", "b", "c"].map(|one| recalled(&answers, &about(one)).is_some()).into();
    assert_eq!(kept, [false, true, true]);
    let mut none = Answers::new(0);
    none.learn(&asked().answered(&names("west", 0.8)));
    assert!(none.is_empty());
}
