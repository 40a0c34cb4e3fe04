//! Whom a step goes to where several agents would do.

use super::*;
use crate::workflow::SettledBy;
use rustc_hash::FxHashMap;

const NAMES: [&str; 5] = ["ada", "ben", "cleo", "dan", "eve"];

/// Five that do the same, of whom so many successes and failures are known, and one that does something else.
fn five(seen: [(f64, f64); 5]) -> World {
    let mut definitions: Vec<Definition> = NAMES.iter().map(|name| able(name, &["translate letters"])).collect();
    definitions.push(able("zoe", &["bake bread"]));
    let mut world = World::of(definitions).objective("translate these letters");
    let track = |(successes, failures)| Track {
        overall: Record { successes, failures, ..Record::default() },
        ..Track::default()
    };
    let tracks = NAMES.iter().zip(seen).map(|(name, seen)| ((*name).to_owned(), track(seen)));
    world.availability.set_tracks(tracks.collect::<FxHashMap<_, _>>());
    world
}

/// The share of each of the five over many choices.
fn shares(world: &mut World) -> [f64; 5] {
    let mut counts = [0.0; 5];
    for seed in 0..2_000 {
        world.seed = seed;
        let chosen = world.settled().chosen.expect("one of them will do");
        let place = NAMES.iter().position(|name| **name == *chosen.agent_name).expect("one of the five");
        counts[place] += 1.0 / 2_000.0;
    }
    counts
}

#[test]
fn equals_share_the_work_and_who_fails_gets_next_to_none() {
    let mut world = five([(30.0, 1.0), (30.0, 1.0), (30.0, 1.0), (12.0, 12.0), (30.0, 1.0)]);
    let shares = shares(&mut world);
    assert!(shares[3] > 0.002 && shares[3] < 0.03, "{shares:?}");
    assert!([0, 1, 2, 4].iter().all(|place| (shares[*place] - 0.25).abs() < 0.05), "{shares:?}");
}

#[test]
fn nobody_new_is_left_out() {
    let mut world = five([(30.0, 1.0), (0.0, 0.0), (30.0, 1.0), (30.0, 1.0), (30.0, 1.0)]);
    let shares = shares(&mut world);
    assert!(shares[1] > 0.02, "{shares:?}");
}

#[test]
fn a_task_that_is_not_to_explore_gets_the_best() {
    let mut world = five([(20.0, 1.0), (20.0, 2.0), (40.0, 1.0), (1.0, 9.0), (0.0, 0.0)]);
    world.task.explore = false;
    let shares = shares(&mut world);
    assert!(shares[2] > 0.999, "{shares:?}");
    let settled = world.settled();
    assert_eq!((&*settled.chosen.expect("one").agent_name, settled.propensity), ("cleo", Some(1.0)));
}

#[test]
fn what_has_an_affinity_stays_with_one_while_it_does_well() {
    let mut world = five([(30.0, 1.0); 5]);
    world.task.labels.insert("affinity".to_owned(), "customer 7".to_owned());
    let first = shares(&mut world);
    let place = first.iter().position(|share| *share > 0.99).expect("all with one");
    let mut seen = [(30.0, 1.0); 5];
    seen[place] = (5.0, 30.0);
    let mut world = five(seen);
    world.task.labels.insert("affinity".to_owned(), "customer 7".to_owned());
    let then = shares(&mut world);
    assert!(then[place] == 0.0 && then.iter().any(|share| *share > 0.99), "{then:?}");
    let others = (0..20).map(|number| {
        world.task.labels.insert("affinity".to_owned(), format!("customer {number}"));
        world.settled().chosen.expect("one").agent_name.to_string()
    });
    assert!(others.collect::<std::collections::BTreeSet<_>>().len() > 1, "not all of them with the same");
}

#[test]
fn the_decision_says_what_speaks_for_each_and_how_likely_it_was() {
    let mut world = five([(30.0, 1.0), (30.0, 1.0), (30.0, 1.0), (12.0, 12.0), (30.0, 1.0)]);
    world.seed = 5;
    let settled = world.settled();
    let factor = |name: &str, factor: &str| {
        let candidate =
            settled.candidates.iter().find(|candidate| &*candidate.agent_name == name).expect("it is there");
        candidate.factors.iter().find(|(known, _)| *known == factor).map(|(_, value)| *value)
    };
    assert!(factor("ada", "success").expect("it is said") > 0.9);
    assert!(factor("dan", "success").expect("it is said") < 0.6);
    assert_eq!(factor("zoe", "success"), None, "it was not compared with them");
    assert_eq!(
        (factor("ada", "latencyLowMs").is_some(), factor("zoe", "latencyMs")),
        (false, None),
        "nothing was seen"
    );
    let chosen = settled.chosen.as_ref().expect("one").agent_name.to_string();
    assert_eq!(factor(&chosen, "probability"), settled.propensity);
    let all: f64 = NAMES.iter().filter_map(|name| factor(name, "probability")).sum();
    assert!((all - 1.0).abs() < 0.001, "{all}");
    assert!(settled.reason.contains("of 5 that fit alike") && settled.reason.contains("of its work succeeds"));
    let score = |name: &str| settled.candidates.iter().find(|one| &*one.agent_name == name).and_then(|one| one.score);
    assert!(score("ada") > score("dan"), "{settled:?}");
}

#[test]
fn what_an_llm_decided_is_told_beside_what_would_have_been() {
    let world = five([(30.0, 1.0), (30.0, 1.0), (30.0, 1.0), (12.0, 12.0), (30.0, 1.0)]).asking(LlmUse::Ambiguous);
    let settled = world.answered(&names("dan", 0.9));
    assert_eq!((settled.by, &*settled.chosen.expect("named").agent_name), (SettledBy::Llm, "dan"));
    let beside = settled.beside.expect("a local answer");
    assert!(matches!(&beside.choice, Choice::Agent(name) if name != "dan" && name != "zoe"), "{beside:?}");
    assert_eq!(settled.propensity, None);
}

#[test]
fn an_llm_is_asked_as_the_type_of_the_task_has_it() {
    let mut world = five([(30.0, 1.0); 5]).asking(LlmUse::Ambiguous);
    world.policy.llm_by_type.insert("tax".to_owned(), LlmUse::Never);
    assert!(matches!(world.choose(), Verdict::Ask { .. }));
    world.task.kind = Some("Tax".to_owned());
    assert!(matches!(world.choose(), Verdict::Settled(_)));
}

#[test]
fn a_capability_in_common_does_not_make_letters_of_invoices() {
    let mut definitions = vec![able("letters", &["extract data"]), able("invoices", &["extract data"])];
    definitions[0].description = "Reads letters from customers and finds who wrote them.".to_owned();
    definitions[1].description = "Reads invoices and finds amounts and taxes.".to_owned();
    let mut world = World::of(definitions).objective("extract data from this invoice: the amounts");
    let chosen = (0..500).filter(|seed| {
        world.seed = *seed;
        &*world.settled().chosen.expect("one of them").agent_name == "invoices"
    });
    assert!(chosen.count() > 450);
}

#[test]
fn how_long_each_is_expected_to_take_is_told_and_counts() {
    let mut world = five([(30.0, 1.0); 5]);
    let track = |millis: f64| Track {
        overall: Record { successes: 30.0, failures: 1.0, latencies: vec![(millis, 30.0)], ..Record::default() },
        ..Track::default()
    };
    let tracks = NAMES.iter().zip([4_000.0, 1_000.0, 4_000.0, 4_000.0, 4_000.0]);
    world.availability.set_tracks(tracks.map(|(name, millis)| ((*name).to_owned(), track(millis))).collect());
    world.task.explore = false;
    let settled = world.settled();
    assert_eq!(&*settled.chosen.expect("one").agent_name, "ben");
    let ben = settled.candidates.iter().find(|one| &*one.agent_name == "ben").expect("it is there");
    let told = |name: &str| ben.factors.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    assert_eq!((told("latencyMs"), told("latency")), (Some(1_000.0), Some(1.0)));
}
