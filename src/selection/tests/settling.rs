use super::*;
use crate::workflow::SettledBy;

/// `east` and `west` alike, so that an LLM is asked; `east` is the best-scored by name.
fn asked() -> World {
    let definitions =
        vec![able("east", &["book flights"]), able("west", &["book flights"]), able("cook", &["fry fish"])];
    World::of(definitions).asking(LlmUse::Ambiguous).objective("book flights")
}

/// The same after a first result.
fn asked_later() -> World {
    asked().after("x", "cook")
}

#[test]
fn an_agent_of_the_set_is_chosen_by_the_llm() {
    let settled = asked().answered(&names(" WEST ", 0.9));
    assert_eq!((&settled.choice, settled.by), (&chose("west"), SettledBy::Llm));
    assert_eq!((settled.confidence, settled.reason.as_str()), (Some(0.9), "because"));
    assert_eq!(settled.chosen.as_ref().map(|chosen| &*chosen.topic_name), Some("west"));
    assert_eq!(&*settled.candidates[0].agent_name, "west");
    assert_eq!(eligible(&settled), ["cook", "east", "west"]);
    assert_eq!(settled.degraded, None);
}

#[test]
fn the_threshold_itself_is_enough() {
    assert_eq!(asked().answered(&names("west", 0.5)).by, SettledBy::Llm);
}

#[test]
fn an_agent_named_without_confidence_gives_way_to_the_best_scored() {
    for confidence in [0.49, 0.0, f64::NAN] {
        for world in [asked(), asked_later()] {
            let settled = world.answered(&names("west", confidence));
            assert_eq!((&settled.choice, settled.by), (&chose("east"), SettledBy::Local));
            assert_eq!(settled.degraded.as_deref(), Some("low_confidence"));
            assert!(settled.reason.contains("`west`"), "{}", settled.reason);
        }
    }
}

#[test]
fn none_and_done_need_no_confidence() {
    let settled = asked().answered(&said(Choice::None, 0.0));
    assert_eq!((settled.choice, settled.by, settled.degraded), (Choice::None, SettledBy::Llm, None));
    assert_eq!(settled.candidates.len(), 3);
    let settled = asked_later().answered(&said(Choice::Done, 0.1));
    assert_eq!((settled.choice, settled.by, settled.degraded), (Choice::Done, SettledBy::Llm, None));
    assert_eq!(settled.candidates.len(), 3);
}

#[test]
fn done_counts_only_where_it_was_offered() {
    let settled = asked().answered(&said(Choice::Done, 1.0));
    assert_eq!((settled.choice, settled.by), (chose("east"), SettledBy::Local));
    assert_eq!(settled.degraded.as_deref(), Some("invalid_answer"));
}

#[test]
fn a_name_outside_the_set_is_never_chosen() {
    let set: Vec<String> = owned(&["east", "cook"]);
    for name in ["west", "nobody", "eas", "easter", "east or cook", ""] {
        let settled = asked().answered_to(&set, false, &names(name, 1.0));
        assert_eq!((&settled.choice, settled.by), (&chose("east"), SettledBy::Local), "{name}");
        assert_eq!(settled.degraded.as_deref(), Some("invalid_answer"));
    }
}

#[test]
fn an_agent_that_is_no_longer_eligible_is_not_chosen() {
    let before = asked();
    let (set, _) = before.asked();
    let gone = World { registry: before.registry.remove("west"), ..asked() };
    for world in [asked().without_topic_of("west"), asked().declined(&["west"]), gone] {
        let settled = world.answered_to(&set, false, &names("west", 1.0));
        assert_eq!((&settled.choice, settled.by), (&chose("east"), SettledBy::Local));
        assert_eq!(settled.degraded.as_deref(), Some("not_eligible"));
    }
}

#[test]
fn an_agent_registered_since_is_not_in_the_set_that_was_asked() {
    let (set, _) = asked().asked();
    let newcomer = compile(able("aa", &["book flights"])).expect("valid");
    let mut world = asked();
    world.registry = world.registry.upsert("aa", Ok(Arc::new(newcomer)));
    world.availability = ["aa", "east", "west", "cook"].into_iter().collect();
    let settled = world.answered_to(&set, false, &failed("timeout"));
    assert_eq!(settled.choice, chose("east"));
    assert!(eligible(&settled).contains(&"aa"));
}

#[test]
fn silence_on_the_first_hop_leaves_the_best_scored() {
    let settled = asked().answered(&failed("timeout"));
    assert_eq!((&settled.choice, settled.by), (&chose("east"), SettledBy::Local));
    assert_eq!(settled.degraded.as_deref(), Some("timeout"));
    assert!(settled.reason.contains("timeout"), "{}", settled.reason);
    assert!(settled.confidence.is_some());
}

#[test]
fn silence_later_does_what_a_route_without_an_llm_does() {
    let settled = asked_later().answered(&failed("unavailable"));
    assert_eq!((&settled.choice, settled.by), (&Choice::Done, SettledBy::Contract));
    assert_eq!(settled.degraded.as_deref(), Some("unavailable"));
    assert!(settled.reason.starts_with("ended_without_llm"), "{}", settled.reason);
    assert_eq!(settled.candidates.len(), 3);
}

#[test]
fn an_agent_lost_later_leads_to_the_same() {
    let (set, offers_done) = asked_later().asked();
    let settled = asked_later().without_topic_of("west").answered_to(&set, offers_done, &names("west", 1.0));
    assert_eq!(settled.choice, Choice::Done);
    assert_eq!(settled.degraded.as_deref(), Some("not_eligible"));
    assert!(settled.reason.starts_with("ended_without_llm"), "{}", settled.reason);
}

#[test]
fn silence_about_a_match_leaves_it_to_the_contract() {
    let definitions =
        vec![agent("a", Some("mail"), Some("text")), agent("b", Some("text"), None), able("c", &["do it"])];
    let world = World::of(definitions).asking(LlmUse::Always).after("x", "a");
    assert_eq!(world.asked(), (owned(&["b", "c"]), true));
    let settled = world.answered(&failed("timeout"));
    assert_eq!((&settled.choice, settled.by), (&chose("b"), SettledBy::Contract));
    assert_eq!(settled.degraded.as_deref(), Some("timeout"));
}

#[test]
fn silence_about_a_match_on_the_first_hop_leaves_the_match() {
    let definitions = vec![agent("a", Some("mail"), None), able("b", &["do it"])];
    let world = World::of(definitions).asking(LlmUse::Always).input_contract("mail");
    let settled = world.answered(&failed("timeout"));
    assert_eq!((settled.choice, settled.by), (chose("a"), SettledBy::Local));
}

#[test]
fn where_nobody_is_eligible_any_more_the_code_is_kept() {
    let (set, _) = asked().asked();
    let mut world = asked();
    world.availability = Availability::default();
    for (answer, code) in [(failed("timeout"), "timeout"), (names("west", 1.0), "not_eligible")] {
        let settled = world.answered_to(&set, false, &answer);
        assert_eq!((settled.choice, settled.by), (Choice::None, SettledBy::Local));
        assert_eq!(settled.degraded.as_deref(), Some(code));
        assert_eq!(settled.candidates.len(), 3);
    }
}

#[test]
fn an_llm_that_gives_no_reason_is_said_to_give_none() {
    let mut answer = names("west", 1.0);
    if let Ok(said) = &mut answer.said {
        said.reason = "  ".to_owned();
    }
    assert_eq!(asked().answered(&answer).reason, "the LLM gave no reason");
}
