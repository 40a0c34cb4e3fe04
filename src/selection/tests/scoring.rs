use super::*;
use crate::workflow::SettledBy;

fn best(world: &World) -> String {
    world.settled().candidates[0].agent_name.to_string()
}

#[test]
fn the_best_capability_counts_not_the_whole_text() {
    let busy: Vec<String> = (0..40).map(|i| format!("unrelated thing number {i}")).collect();
    let mut capabilities: Vec<&str> = busy.iter().map(String::as_str).collect();
    capabilities.push("translate text into French");
    let world = World::of(vec![able("jack of all", &capabilities), able("linguist", &["correct text in English"])])
        .objective("translate this text into French");
    assert_eq!(best(&world), "jack of all");
    assert!(world.settled().reason.contains("capability `translate text into French`"));
}

#[test]
fn examples_teach_what_a_capability_means() {
    let taught = |examples: &[&str]| {
        let mut banker = able("banker", &["balance"]);
        for text in examples {
            banker.examples.push(Example { text: (*text).to_owned(), capability: Some("Balance".to_owned()) });
        }
        World::of(vec![banker, able("cook", &["how long meat must be in the oven"])])
            .objective("how much money must be left in there")
    };
    assert_eq!(best(&taught(&[])), "cook");
    let world = taught(&["how much money is left", "what is in my account"]);
    assert_eq!(best(&world), "banker");
    assert!(world.settled().reason.contains("capability `balance`"));
}

#[test]
fn an_example_without_capability_counts_by_itself() {
    let mut chatty = able("chatty", &["small talk"]);
    chatty.examples.push(Example { text: "tell me a joke about cats".to_owned(), capability: None });
    let world = World::of(vec![chatty, able("vet", &["treat animals"])]).objective("a joke about cats please");
    assert_eq!(best(&world), "chatty");
    assert!(world.settled().reason.contains("example `tell me a joke about cats`"));
}

#[test]
fn an_agent_with_only_a_description_is_judged_by_it() {
    let describing = Definition { description: "Books flights and hotels".to_owned(), ..Definition::new("travel") };
    let world = World::of(vec![describing, able("clerk", &["file papers"])]).objective("book flights and a hotel");
    assert_eq!(best(&world), "travel");
    assert!(world.settled().reason.contains("its description"));
}

#[test]
fn n_grams_forgive_a_typing_error() {
    let world = World::of(vec![able("a", &["reservation"]), able("b", &["resignation letter"])]);
    assert_eq!(best(&world.objective("make a resevation")), "a");
}

#[test]
fn texts_in_other_scripts_are_scored_too() {
    let world = World::of(vec![able("a", &["перевод текста"]), able("b", &["оплата счёта"])]);
    assert_eq!(best(&world.objective("Нужна ОПЛАТА счетов")), "b");
    let world = World::of(vec![able("a", &["翻訳してください"]), able("b", &["請求書を支払う"])]);
    assert_eq!(best(&world.objective("この請求書を支払ってください")), "b");
}

#[test]
fn scores_are_between_nothing_and_one() {
    let world = World::of(vec![able("a", &["pay bills"]), able("b", &["walk dogs"])]);
    for text in ["pay bills", "pay pay pay bills bills", "", "?!", "zzzz", &"pay bills ".repeat(1_000)] {
        let mut world = World::of(vec![able("a", &["pay bills"]), able("b", &["walk dogs"])]);
        world.task.objective = text.to_owned();
        for candidate in world.settled().candidates {
            let score = candidate.score.expect("scored");
            assert!((0.0..=1.0).contains(&score), "{text}: {score}");
            assert!(candidate.factors.iter().all(|(name, factor)| *name == "evidence" || (0.0..=1.0).contains(factor)));
        }
    }
    let exact = world.objective("pay bills").settled();
    assert!(exact.candidates[0].score.expect("scored") > 0.99);
    assert_eq!(exact.candidates[1].score, Some(0.0));
}

#[test]
fn saying_a_word_again_changes_nothing() {
    let definitions = || vec![able("a", &["pay bills"]), able("b", &["walk dogs"])];
    let once = World::of(definitions()).objective("pay for the dog").settled();
    let often = World::of(definitions()).objective("pay pay for the dog pay").settled();
    assert_eq!(once.candidates, often.candidates);
}

#[test]
fn factors_have_their_stable_names() {
    let settled = World::of(vec![able("a", &["pay bills"])]).objective("pay").settled();
    let names: Vec<&str> = settled.candidates[0].factors.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["best", "words", "ngrams", "next", "description", "name", "learned"]);
}

#[test]
fn ties_go_by_name() {
    let twins = vec![able("zoe", &["pay bills"]), able("Bob", &["pay bills"]), able("adam", &["pay bills"])];
    let settled = World::of(twins).objective("pay my bills").settled();
    let order: Vec<&str> = settled.candidates.iter().map(|candidate| &*candidate.agent_name).collect();
    assert_eq!(order, ["Bob", "adam", "zoe"]);
    assert_eq!(settled.by, SettledBy::Local);
}

#[test]
fn a_text_is_scored_up_to_its_bound() {
    let mut world = World::of(vec![able("a", &["pay bills"]), able("b", &["walk dogs"])]);
    world.task.objective = format!("walk dogs {} pay bills", ". ".repeat(2_000));
    let settled = world.settled();
    assert_eq!((&*settled.candidates[0].agent_name, settled.candidates[1].score), ("b", Some(0.0)));
}

#[test]
fn a_text_that_fits_nobody_has_little_chance_of_being_anybodys() {
    let definitions = || vec![able("a", &["pay bills"]), able("b", &["walk dogs"])];
    let chance = |text: &str| World::of(definitions()).objective(text).settled().confidence.expect("scored");
    assert!(chance("compose a symphony") < 0.3);
    assert!(chance("pay the bills") > 0.9);
}

#[test]
fn an_irregular_form_is_the_same_word() {
    let world = World::of(vec![able("a", &["who paid"]), able("b", &["who spent"])]);
    assert_eq!(best(&world.objective("spending")), "b");
}

#[test]
fn what_an_example_teaches_goes_beyond_the_words_of_capabilities() {
    // "ticket" is said by both; only the examples tell which of them it is for when nothing else is known.
    let with = |agent: &str, capability: &str, texts: &[&str]| {
        let mut definition = able(agent, &[capability]);
        let example = |text: &&str| Example { text: (*text).to_owned(), capability: Some(capability.to_owned()) };
        definition.examples = texts.iter().map(example).collect();
        definition
    };
    let world = World::of(vec![
        with("opera", "culture", &["a ticket for Tosca", "a ticket for two on Friday", "a ticket in the stalls"]),
        with("railway", "trips", &["when does it leave", "a ticket to Rome", "the platform for Rome"]),
    ]);
    let settled = world.objective("one ticket please").settled();
    assert_eq!(&*settled.candidates[0].agent_name, "opera");
    let learned = |place: usize| settled.candidates[place].factors.iter().find(|(name, _)| *name == "learned");
    assert!(learned(0).expect("a factor").1 > learned(1).expect("a factor").1);
}

#[test]
fn the_same_definitions_give_the_same_scores_in_whatever_order_they_came() {
    let definitions = || {
        let mut all: Vec<Definition> =
            (0..20).map(|i| able(&format!("agent {i}"), &[&format!("do thing {i}")])).collect();
        for (i, definition) in all.iter_mut().enumerate() {
            let text = format!("thing {} with number {i}", i % 7);
            definition.examples.push(Example { text, capability: None });
        }
        all
    };
    let candidates = |definitions| World::of(definitions).objective("a thing with number 3").settled().candidates;
    assert_eq!(candidates(definitions()), candidates(definitions().into_iter().rev().collect()));
}
