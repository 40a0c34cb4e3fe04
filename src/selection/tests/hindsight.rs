use super::*;
use crate::selection::{Again, Otherwise, Past, PastCandidate, Unknowable};
use crate::workflow::SettledBy;
use rustc_hash::FxHashMap;

const NAMES: [&str; 3] = ["ada", "ben", "cleo"];

/// Three that do the same, each with a record of its own, and one that does something else.
fn three() -> World {
    let mut definitions: Vec<Definition> = NAMES.iter().map(|name| able(name, &["translate letters"])).collect();
    definitions.push(able("zoe", &["bake bread"]));
    let mut world = World::of(definitions).objective("translate these letters");
    let record = |(successes, failures, latency, cost): (f64, f64, f64, f64)| {
        let (latencies, cost_micros) = (vec![(latency, successes)], Some(cost));
        Record { successes, failures, latencies, cost_micros, quality: None }
    };
    let seen = [(30.0, 1.0, 400.0, 50.0), (20.0, 2.0, 100.0, 400.0), (6.0, 3.0, 50.0, 10.0)];
    let track = |seen| Track { overall: record(seen), load: Some(0.3), ..Track::default() };
    let tracks = NAMES.iter().zip(seen).map(|(name, seen)| ((*name).to_owned(), track(seen)));
    world.availability.set_tracks(tracks.collect::<FxHashMap<_, _>>());
    world
}

/// What is recorded of it.
fn recorded(settled: &Settled) -> Past {
    let candidate = |one: &crate::workflow::Candidate| PastCandidate {
        agent_name: Arc::clone(&one.agent_name),
        score: one.score,
        factors: one.factors.iter().map(|(name, value)| ((*name).into(), *value)).collect(),
    };
    let name = |choice: &Choice| match choice {
        Choice::Agent(name) => Some(name.clone()),
        Choice::None | Choice::Done => None,
    };
    Past {
        by: settled.by,
        chosen: name(&settled.choice),
        without_llm: settled.beside.as_ref().and_then(|beside| name(&beside.choice)),
        confidence: settled.confidence,
        degraded: settled.degraded.clone(),
        propensity: settled.propensity,
        words: settled.beside.as_ref().map(|_| "select-1+0000".to_owned()),
        model: settled.beside.as_ref().map(|_| "small".to_owned()),
        kind: None,
        candidates: settled.candidates.iter().filter(|one| one.excluded.is_none()).map(candidate).collect(),
    }
}

fn by(policy: &Policy) -> Otherwise {
    Otherwise { policy: policy.clone(), words: "select-1".to_owned(), models: vec!["small".to_owned()] }
}

fn probability(past: &Past, again: &Again, name: &str) -> f64 {
    let place = past.candidates.iter().position(|one| *one.agent_name == *name).expect("a candidate");
    again.probabilities[place]
}

#[test]
fn made_again_by_other_weights_it_comes_out_as_it_would_have_then() {
    let fast = Weights { latency: 2.0, ..Weights::default() };
    let cheap = Weights { cost: 3.0, success: 0.2, ..Weights::default() };
    let others = [
        Policy::default(),
        Policy { weights: fast, epsilon: 0.4, exploration: 0.3, ..Policy::default() },
        Policy { weights: cheap, ..Policy::default() },
    ];
    let mut best = std::collections::BTreeSet::new();
    for other in &others {
        // A record has four places: of one decision draws may fall otherwise for what they leave out, of many they do not.
        let mut shares = [[0.0; 2]; 4];
        const SEEDS: u64 = 100;
        for seed in 0..SEEDS {
            let mut world = three();
            world.seed = seed;
            let past = recorded(&world.settled());
            let again = past.again(&by(other), seed).expect("it is recorded");
            assert!((again.propensity - past.propensity.expect("drawn")).abs() < 1e-9 && !again.asks);
            world.policy = Policy { llm_available: false, ..other.clone() };
            let truly = recorded(&world.settled());
            for (name, [found, right]) in NAMES.iter().chain(&["zoe"]).zip(&mut shares) {
                let one = truly.candidates.iter().find(|one| *one.agent_name == **name).expect("a candidate");
                *found += probability(&past, &again, name) / SEEDS as f64;
                *right += one.factors.get("probability").copied().unwrap_or(0.0) / SEEDS as f64;
            }
        }
        assert!(shares.iter().all(|[found, right]| (found - right).abs() < 0.03), "{shares:?}");
        assert_eq!(shares[3], [0.0, 0.0]);
        best.extend((0..3).max_by(|a, b| shares[*a][1].total_cmp(&shares[*b][1])));
    }
    assert!(best.len() > 1, "the weights make a difference");
}

#[test]
fn without_chance_the_best_by_the_weights_is_taken() {
    let mut world = three();
    world.task.explore = false;
    let past = recorded(&world.settled());
    assert_ne!(past.chosen.as_deref(), Some("cleo"));
    let fast = Weights { latency: 5.0, ..Weights::default() };
    let again = past.again(&by(&Policy { weights: fast, ..Policy::default() }), 1).expect("it is recorded");
    assert_eq!((again.of_chosen, probability(&past, &again, "cleo")), (0.0, 1.0));
}

#[test]
fn an_llms_word_counts_where_it_would_be_asked_the_same_and_gives_way_where_it_would_not() {
    let asked = three().asking(LlmUse::Always);
    let past = recorded(&asked.answered(&names("zoe", 0.8)));
    let policy = |llm| Policy { llm, llm_available: true, ..Policy::default() };
    let again = past.again(&by(&policy(LlmUse::Always)), 1).expect("it was asked");
    assert_eq!((again.of_chosen, again.propensity, again.asks), (1.0, 1.0, true));
    let never = past.again(&by(&policy(LlmUse::Never)), 1).expect("it is recorded");
    let local = past.without_llm.as_deref().expect("one of them would have been taken");
    assert_eq!((never.of_chosen, probability(&past, &never, local), never.asks), (0.0, 1.0, false));
    // The lead of the best is what it was: it is asked as it would have been.
    let unsure = Policy { margin: 1.0, ..policy(LlmUse::Ambiguous) };
    let sure = Policy { margin: 0.0, ..policy(LlmUse::Ambiguous) };
    assert!(past.again(&by(&unsure), 1).expect("it was asked").asks);
    assert!(!past.again(&by(&sure), 1).expect("it is recorded").asks);
    let strict = Policy { threshold: 0.9, ..policy(LlmUse::Always) };
    assert_eq!(past.again(&by(&strict), 1), Err(Unknowable::Unsure));
    let other = Otherwise { words: "select-2".to_owned(), ..by(&policy(LlmUse::Always)) };
    assert_eq!(past.again(&other, 1), Err(Unknowable::OtherLlm));
    let other = Otherwise { models: vec!["large".to_owned()], ..by(&policy(LlmUse::Always)) };
    assert_eq!(past.again(&other, 1), Err(Unknowable::OtherLlm));
    // It gave no answer: it would give none again, and the best takes its place.
    let past = recorded(&asked.answered(&failed("timeout")));
    let again = past.again(&by(&policy(LlmUse::Always)), 1).expect("it was asked");
    assert_eq!((past.by, again.of_chosen, again.asks), (SettledBy::Local, 1.0, true));
}

#[test]
fn what_nobody_can_tell_is_said() {
    let never = by(&Policy::default());
    let past = recorded(&three().settled());
    let with = |change: &dyn Fn(&mut Past)| {
        let mut changed = past.clone();
        change(&mut changed);
        changed.again(&never, 1).expect_err("nobody can tell")
    };
    assert_eq!(with(&|past| past.chosen = None), Unknowable::NoAgent);
    assert_eq!(with(&|past| past.by = SettledBy::Pinned), Unknowable::Named);
    assert_eq!(with(&|past| past.by = SettledBy::Operator), Unknowable::Named);
    assert_eq!(with(&|past| past.by = SettledBy::Contract), Unknowable::Contract);
    assert_eq!(with(&|past| past.propensity = None), Unknowable::Affinity);
    let older = |past: &mut Past| {
        past.candidates.iter_mut().for_each(|one| one.factors.retain(|name, _| name != "evidence"));
    };
    assert_eq!(with(&older), Unknowable::Unscored);
    let asks = by(&Policy { llm: LlmUse::Always, llm_available: true, ..Policy::default() });
    assert_eq!(past.again(&asks, 1), Err(Unknowable::WouldAsk));
}
