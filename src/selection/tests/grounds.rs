use super::*;
use crate::workflow::{Expected, Grounds, Pinned, SettledBy};
use rustc_hash::FxHashMap;

fn trades() -> Vec<Definition> {
    vec![able("painter", &["paint walls"]), able("plumber", &["mend pipes"])]
}

fn teaches(settled: &Settled) -> bool {
    settled.grounds.as_ref().is_some_and(|grounds| grounds.teaches.is_some())
}

#[test]
fn a_choice_by_the_text_that_was_in_doubt_teaches_of_the_definition_that_was_chosen() {
    let world = World::of(trades()).objective("the kitchen is under water");
    let settled = world.settled();
    assert_eq!(settled.by, SettledBy::Local);
    let chosen = settled.chosen.as_ref().expect("somebody is chosen");
    let agent = world.registry.agent(&chosen.agent_name).expect("registered");
    assert_eq!(settled.grounds.as_ref().and_then(|grounds| grounds.teaches), Some(agent.fingerprint()));

    let by_llm = World::of(trades()).objective("the kitchen is under water").asking(LlmUse::Ambiguous);
    assert!(teaches(&by_llm.answered(&names("plumber", 0.9))), "the LLM's word is learned");
}

#[test]
fn what_is_plain_or_not_chosen_by_the_text_teaches_nothing() {
    let plain = World::of(trades()).objective("paint walls");
    assert_eq!(plain.settled().by, SettledBy::ClearWinner);
    assert!(!teaches(&plain.settled()));

    let only = World::of(trades()).objective("the kitchen is under water").allowing(&["plumber"]);
    assert!(!teaches(&only.settled()), "nobody else could have been chosen");

    let world = World::of(trades()).objective("the kitchen is under water");
    let by = |by_operator| {
        let pinned = Some(Pinned { agent_name: "plumber", by_operator });
        let choosing = Choosing { pinned, ..world.choosing() };
        match choose(&world.registry, &world.availability, &world.policy, &choosing) {
            Verdict::Settled(settled) => *settled,
            Verdict::Ask { .. } => panic!("somebody is named"),
        }
    };
    assert!(!teaches(&by(true)) && !teaches(&by(false)));

    let contract = [agent("a", Some("lead"), None), agent("b", Some("invoice"), None)];
    let by_contract = World::of(contract.into()).input_contract("lead").settled();
    assert_eq!(by_contract.by, SettledBy::Contract);
    assert!(!teaches(&by_contract));
}

#[test]
fn after_the_first_hop_the_objective_says_nothing_of_who_comes_next() {
    let world = World::of(trades()).objective("the kitchen is under water").asking(LlmUse::Always);
    let later = world.after("\"done\"", "painter");
    assert!(!teaches(&later.answered(&names("plumber", 0.9))));
}

#[test]
fn where_several_would_have_done_it_is_not_learned_for_the_one_that_did() {
    let mut twins = trades();
    twins.push(able("other plumber", &["mend pipes"]));
    let world = World::of(twins).objective("mend pipes");
    assert_eq!(world.settled().by, SettledBy::Local);
    assert!(!teaches(&world.settled()));
}

#[test]
fn whoever_was_right_after_another_gave_it_back_is_learned_even_if_nobody_else_is_left() {
    let world = World::of(trades()).objective("the kitchen is under water").declined(&["painter"]);
    let settled = world.settled();
    assert_eq!((settled.by, &settled.choice), (SettledBy::ClearWinner, &chose("plumber")));
    assert!(teaches(&settled));
}

#[test]
fn every_choice_of_an_agent_says_what_is_expected_of_it() {
    let mut world = World::of(trades()).objective("paint walls");
    let unknown = world.settled().grounds.expect("an agent is chosen");
    assert_eq!((unknown.success, unknown.latency), (8_000, None), "presumed");
    let latencies = vec![(100.0, 10.0), (200.0, 80.0), (400.0, 10.0)];
    let overall = Record { successes: 96.0, failures: 0.0, latencies, ..Record::default() };
    let track = Track { overall, ..Track::default() };
    world.availability.set_tracks(FxHashMap::from_iter([("painter".to_owned(), track)]));
    let known = world.settled().grounds.expect("an agent is chosen");
    assert!(known.success > 9_800, "{known:?}");
    let Some(Expected { low, median, high }) = known.latency else { panic!("it was seen") };
    assert!(low < 105 && median == 200 && high > 395, "{known:?}");
    assert_eq!(World::of(vec![]).settled().grounds, None);
}

#[test]
fn what_is_expected_fits_where_it_is_kept_whatever_it_is() {
    let odd = Grounds::new(f64::NAN, Some([f64::NEG_INFINITY, f64::NAN, f64::INFINITY]));
    let most = i32::MAX.unsigned_abs();
    assert_eq!((odd.success, odd.latency), (0, Some(Expected { low: 0, median: 0, high: most })));
    assert_eq!(Grounds::new(7.0, None).success, 10_000);
    assert!(size_of::<Grounds>() <= 40, "{} bytes", size_of::<Grounds>());
}
