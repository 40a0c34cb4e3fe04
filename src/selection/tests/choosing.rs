use super::*;
use crate::workflow::SettledBy;

const INVOICE: &str = r#"{"type": "object", "required": ["total"]}"#;
const ORDER: &str = r#"{"type": "object", "required": ["items"]}"#;
const LOOSE: &str = r#"{"type": "object"}"#;

/// Three agents in a row by labels.
fn chain() -> Vec<Definition> {
    vec![
        agent("Reader", Some("Mail"), Some("invoice")),
        agent("Checker", Some("invoice"), Some("checked")),
        agent("Payer", Some("checked"), Some("paid")),
    ]
}

/// Two that fit about equally and one that fits badly.
fn alike() -> Vec<Definition> {
    vec![able("east", &["book flights"]), able("west", &["book flights"]), able("cook", &["fry fish"])]
}

// Eligibility

#[test]
fn only_agents_the_task_allows_are_eligible() {
    let world = World::of(alike()).allowing(&[" EAST ", "cook", "Wes"]);
    assert_eq!(world.eligible(), ["cook", "east"]);
    assert_eq!(excluded(&world.settled(), "west"), "the task does not allow it");
}

#[test]
fn an_agent_that_declined_is_not_eligible() {
    let world = World::of(alike()).declined(&["East"]);
    assert_eq!(world.eligible(), ["cook", "west"]);
    assert_eq!(excluded(&world.settled(), "east"), "it declined this step");
}

#[test]
fn an_agent_without_its_topic_is_not_eligible() {
    let world = World::of(alike()).without_topic_of("cook");
    assert_eq!(world.eligible(), ["east", "west"]);
    assert_eq!(excluded(&world.settled(), "cook"), "its topic is not there yet");
}

#[test]
fn an_agent_behind_an_endpoint_is_chosen_like_any_other() {
    let mut definitions = alike();
    definitions[0].endpoint = Some("https://agents.example/east".to_owned());
    assert_eq!(World::of(definitions).eligible(), ["cook", "east", "west"]);
}

#[test]
fn an_input_schema_must_accept_the_value() {
    let definitions = || vec![agent("strict", Some(INVOICE), None), agent("free", None, None)];
    assert_eq!(World::of(definitions()).input(r#"{"total": 1}"#).eligible(), ["free", "strict"]);
    let world = World::of(definitions()).input(r#"{"sum": 1}"#);
    assert_eq!(world.eligible(), ["free"]);
    assert!(excluded(&world.settled(), "strict").starts_with("contract: "));
}

#[test]
fn a_task_without_input_offers_null() {
    let definitions = || vec![agent("strict", Some(INVOICE), None), agent("null", Some(r#"{"type": "null"}"#), None)];
    assert_eq!(World::of(definitions()).eligible(), ["null"]);
}

#[test]
fn after_a_result_the_value_is_that_result() {
    let world = World::of(vec![agent("strict", Some(INVOICE), None), agent("free", None, None)])
        .input(r#"{"total": 1}"#)
        .after(r#"{"sum": 1}"#, "free");
    assert_eq!(world.eligible(), ["free"]);
}

#[test]
fn labels_are_compared_only_with_a_known_producer() {
    assert_eq!(World::of(chain()).eligible(), ["Checker", "Payer", "Reader"]);
    assert_eq!(World::of(chain()).input_contract(" MAIL ").eligible(), ["Reader"]);
    assert_eq!(World::of(chain()).input_contract("any").eligible(), ["Checker", "Payer", "Reader"]);
    assert_eq!(World::of(chain()).input_contract(INVOICE).eligible(), ["Checker", "Payer", "Reader"]);
    assert_eq!(World::of(chain()).after("x", "READER").eligible(), ["Checker"]);
    assert_eq!(World::of(chain()).after("x", "unregistered since").eligible(), ["Checker", "Payer", "Reader"]);
    let settled = World::of(chain()).input_contract("mail").settled();
    assert_eq!(excluded(&settled, "Payer"), "contract: it takes `checked`");
}

// By contract, on the first hop

#[test]
fn one_match_on_the_first_hop_is_chosen_by_contract_without_scores() {
    let settled = World::of(chain()).input_contract("mail").settled();
    assert_eq!((&settled.choice, settled.by, settled.confidence), (&chose("Reader"), SettledBy::Contract, None));
    let chosen = settled.chosen.as_ref().expect("an agent");
    assert_eq!((&*chosen.topic_name, &*chosen.version), ("reader", "1.0.0"));
    assert_eq!(chosen.output_contract.as_deref(), Some("invoice"));
    assert!(settled.candidates.iter().all(|candidate| candidate.score.is_none() && candidate.factors.is_empty()));
    assert_eq!(settled.candidates.len(), 3);
    assert_eq!(&*settled.candidates[0].agent_name, "Reader");
    assert_eq!(eligible(&settled), ["Reader"]);
    assert_eq!(settled.degraded, None);
}

#[test]
fn contracts_decide_also_where_an_llm_could_be_asked() {
    let settled = World::of(chain()).asking(LlmUse::Ambiguous).input_contract("mail").settled();
    assert_eq!((settled.choice, settled.by), (chose("Reader"), SettledBy::Contract));
}

#[test]
fn an_llm_that_is_always_asked_is_asked_about_a_match_too() {
    let mut definitions = chain();
    definitions.push(able("aaa", &["do it"]));
    let (set, offers_done) = World::of(definitions).asking(LlmUse::Always).input_contract("mail").asked();
    assert_eq!(set, ["Reader", "aaa"]);
    assert!(!offers_done);
}

#[test]
fn always_means_nothing_without_an_llm() {
    let mut world = World::of(chain()).asking(LlmUse::Always).input_contract("mail");
    world.policy.llm_available = false;
    assert_eq!(world.settled().by, SettledBy::Contract);
}

#[test]
fn the_one_match_is_waited_for_until_its_topic_is_there() {
    let mut definitions = chain();
    definitions.push(able("free", &["do it"]));
    let settled = World::of(definitions).input_contract("mail").without_topic_of("reader").settled();
    assert_eq!((&settled.choice, settled.by), (&Choice::None, SettledBy::Contract));
    assert!(settled.reason.contains("`Reader`") && settled.reason.contains("topic"), "{}", settled.reason);
    assert_eq!(settled.chosen, None);
    assert_eq!(settled.candidates.len(), 4);
    assert_eq!(eligible(&settled), ["free"]);
}

#[test]
fn a_schema_that_accepts_an_empty_object_matches_nothing_by_contract() {
    let definitions = || vec![agent("loose", Some(LOOSE), None), agent("strict", Some(INVOICE), None)];
    let settled = World::of(definitions()).input_contract(INVOICE).input(r#"{"total": 1}"#).settled();
    assert_eq!((settled.choice, settled.by), (chose("strict"), SettledBy::Contract));
    let settled = World::of(definitions()).input_contract(LOOSE).input(r#"{"other": 1}"#).settled();
    assert_eq!((settled.choice, settled.by), (chose("loose"), SettledBy::ClearWinner));
}

#[test]
fn several_matches_are_scored_among_themselves() {
    let taking = |name: &str, capability: &str| {
        let mut definition = able(name, &[capability]);
        definition.input.contract = Some("mail".to_owned());
        definition
    };
    let mut definitions = vec![taking("sorter", "sort mail"), taking("writer", "answer mail")];
    definitions.push(able("free", &["answer this mail please"]));
    let settled = World::of(definitions).input_contract("mail").objective("answer this mail please").settled();
    assert_eq!(eligible(&settled), ["free", "sorter", "writer"]);
    assert_eq!((settled.choice, settled.by), (chose("writer"), SettledBy::ClearWinner));
}

#[test]
fn several_matches_none_of_them_eligible_are_waited_for() {
    let definitions = vec![agent("a", Some("mail"), None), agent("b", Some("mail"), None), agent("free", None, None)];
    let mut world = World::of(definitions).input_contract("mail");
    world.availability = ["free"].into_iter().collect();
    let settled = world.settled();
    assert_eq!((settled.choice, settled.by), (Choice::None, SettledBy::Contract));
    assert!(settled.reason.contains("1 more"), "{}", settled.reason);
}

#[test]
fn without_a_match_on_the_first_hop_texts_decide_among_the_eligible() {
    let mut definitions = chain();
    definitions.push(able("free", &["do it"]));
    let settled = World::of(definitions).input_contract("photo").settled();
    assert_eq!((settled.choice, settled.by), (chose("free"), SettledBy::ClearWinner));
}

#[test]
fn without_an_input_contract_the_objective_decides_even_if_a_schema_would_match() {
    let definitions = vec![agent("strict", Some(INVOICE), None), able("booker", &["book flights"])];
    let settled = World::of(definitions).input(r#"{"total": 1}"#).objective("book flights").settled();
    assert_eq!((settled.choice, settled.by), (chose("booker"), SettledBy::ClearWinner));
}

// By contract, later

#[test]
fn a_chain_of_labels_is_walked_and_ends() {
    let after = |agent: &str, picked: &[&str]| World::of(chain()).after("x", agent).picked(picked).settled();
    assert_eq!(after("Reader", &["Reader"]).choice, chose("Checker"));
    assert_eq!(after("Checker", &["Reader", "Checker"]).choice, chose("Payer"));
    let ended = after("Payer", &["Reader", "Checker", "Payer"]);
    assert_eq!((&ended.choice, ended.by), (&Choice::Done, SettledBy::Contract));
    assert_eq!(ended.reason, "no registered agent takes what was produced");
    assert_eq!(ended.candidates.len(), 3);
}

#[test]
fn a_chain_that_nobody_continues_ends_without_asking() {
    let ended = World::of(chain()).asking(LlmUse::Ambiguous).after("x", "Payer").settled();
    assert_eq!((ended.choice, ended.by), (Choice::Done, SettledBy::Contract));
}

#[test]
fn schemas_lead_on_too() {
    let definitions = vec![agent("invoices", Some(INVOICE), None), agent("orders", Some(ORDER), None)];
    let settled = World::of(definitions).after(r#"{"items": []}"#, "x").settled();
    assert_eq!((settled.choice, settled.by), (chose("orders"), SettledBy::Contract));
}

#[test]
fn an_agent_is_picked_by_contract_once_in_a_route() {
    let looping = vec![agent("again", Some("draft"), Some("draft"))];
    let settled = World::of(looping).after("x", "again").picked(&["Again"]).settled();
    assert_eq!((settled.choice, settled.by), (Choice::Done, SettledBy::Contract));
}

#[test]
fn any_never_matches_so_a_route_without_contracts_is_one_hop() {
    let settled = World::of(alike()).after("x", "east").settled();
    assert_eq!(eligible(&settled), ["cook", "east", "west"]);
    assert_eq!((settled.choice, settled.by), (Choice::Done, SettledBy::Contract));
    assert_eq!(settled.candidates.len(), 3);
}

#[test]
fn a_later_match_without_its_topic_is_waited_for_rather_than_done() {
    for world in [World::of(chain()), World::of(chain()).asking(LlmUse::Ambiguous)] {
        let settled = world.after("x", "Reader").picked(&["Reader"]).without_topic_of("checker").settled();
        assert_eq!((settled.choice, settled.by), (Choice::None, SettledBy::Contract));
    }
}

#[test]
fn a_later_match_that_declined_does_not_end_the_route() {
    let settled =
        World::of(chain()).after("x", "Reader").picked(&["Reader", "Checker"]).declined(&["Checker"]).settled();
    assert_eq!((settled.choice, settled.by), (Choice::None, SettledBy::Contract));
    assert!(settled.reason.contains("declined"), "{}", settled.reason);
}

#[test]
fn an_agent_that_is_not_allowed_takes_nothing() {
    let settled = World::of(chain()).allowing(&["Reader", "Payer"]).after("x", "Reader").settled();
    assert_eq!((settled.choice, settled.by), (Choice::Done, SettledBy::Contract));
}

#[test]
fn several_later_matches_are_scored_on_objective_and_output() {
    let taking = |name: &str, capability: &str| {
        let mut definition = able(name, &[capability]);
        definition.input.contract = Some("text".to_owned());
        definition
    };
    let definitions = || {
        let first = agent("first", None, Some("text"));
        vec![first, taking("french", "answer letters in French"), taking("dutch", "answer letters in Dutch")]
    };
    let world = World::of(definitions()).objective("answer letters").after("a letter in Dutch", "first");
    let settled = world.settled();
    assert_eq!((settled.choice, settled.by), (chose("dutch"), SettledBy::ClearWinner));
    let world = World::of(definitions()).asking(LlmUse::Ambiguous).objective("answer letters").after("?", "first");
    assert_eq!(world.asked(), (owned(&["dutch", "french"]), true));
    assert_eq!(World::of(definitions()).objective("answer letters").after("?", "first").settled().by, SettledBy::Local);
}

#[test]
fn without_a_later_match_an_llm_is_asked_even_if_one_leads() {
    let world = World::of(alike()).asking(LlmUse::Ambiguous).objective("fry fish").after("raw fish", "east");
    let (set, offers_done) = world.asked();
    assert_eq!(set, ["cook", "east", "west"]);
    assert!(offers_done);
    let never = World::of(alike()).asking(LlmUse::Never).objective("fry fish").after("raw fish", "east");
    assert_eq!(never.settled().choice, Choice::Done);
}

// Scores

#[test]
fn a_clear_winner_needs_no_llm() {
    let settled = World::of(alike()).asking(LlmUse::Ambiguous).objective("fry this fish").settled();
    assert_eq!((&settled.choice, settled.by), (&chose("cook"), SettledBy::ClearWinner));
    assert!(settled.confidence.is_some_and(|confidence| (0.5..=1.0).contains(&confidence)));
    for part in ["`cook`", "`fry fish`", "`east`"] {
        assert!(settled.reason.contains(part), "{}", settled.reason);
    }
    assert_eq!(&*settled.candidates[0].agent_name, "cook");
}

#[test]
fn the_margin_is_what_makes_a_winner_clear() {
    let mut world = World::of(alike()).asking(LlmUse::Ambiguous).objective("fish on flights to the sea");
    world.policy.margin = 0.99;
    assert_eq!(world.asked(), (owned(&["cook", "east", "west"]), false));
    world.policy.margin = 0.0;
    assert_eq!(world.settled().by, SettledBy::ClearWinner);
}

#[test]
fn the_only_eligible_agent_is_a_clear_winner() {
    let world = World::of(alike()).asking(LlmUse::Ambiguous).allowing(&["west"]).objective("something else");
    assert_eq!((world.settled().choice, world.settled().by), (chose("west"), SettledBy::ClearWinner));
}

#[test]
fn an_llm_that_is_always_asked_is_asked_about_a_clear_winner() {
    assert_eq!(World::of(alike()).asking(LlmUse::Always).objective("fry fish").asked().0[0], "cook");
}

#[test]
fn close_scores_are_settled_locally_where_no_llm_is() {
    for world in [World::of(alike()), World::of(alike()).asking(LlmUse::Never)] {
        let settled = world.objective("book flights").settled();
        assert_eq!((settled.choice, settled.by, settled.degraded), (chose("east"), SettledBy::Local, None));
        assert!(settled.reason.contains("`west`"), "{}", settled.reason);
    }
}

#[test]
fn the_set_asked_about_is_the_best_of_the_eligible() {
    let many = (0..30).map(|i| able(&format!("a{i:02}"), &["fry fish"])).chain([able("z", &["book flights"])]);
    let mut world = World::of(many.collect()).asking(LlmUse::Always).objective("book flights");
    world.policy.shortlist = 3;
    assert_eq!(world.asked().0, ["z", "a00", "a01"]);
}

// Nobody

#[test]
fn without_agents_nothing_is_chosen_and_it_is_said() {
    let settled = World::of(Vec::new()).settled();
    assert_eq!((settled.choice, settled.by), (Choice::None, SettledBy::Local));
    assert_eq!(settled.reason, "no agent is registered");
    assert!(settled.candidates.is_empty() && settled.eligible.is_empty());
    assert_eq!(World::of(Vec::new()).after("x", "gone").settled().choice, Choice::None);
}

#[test]
fn where_nobody_is_eligible_each_candidate_says_why() {
    let world = World::of(alike()).asking(LlmUse::Always).declined(&["east"]).without_topic_of("west");
    let world = World { task: Task { agents: owned(&["east", "west"]), ..world.task.clone() }, ..world };
    let settled = world.settled();
    assert_eq!((&settled.choice, settled.by), (&Choice::None, SettledBy::Local));
    assert_eq!(excluded(&settled, "east"), "it declined this step");
    assert_eq!(excluded(&settled, "west"), "its topic is not there yet");
    assert_eq!(excluded(&settled, "cook"), "the task does not allow it");
    assert!(settled.reason.contains("declined"), "{}", settled.reason);
}

#[test]
fn a_reason_names_a_few_and_counts_the_rest() {
    let definitions = ["a", "b", "c", "d", "e"].map(|name| able(name, &["fry fish"])).to_vec();
    let settled = World::of(definitions).allowing(&["nobody"]).settled();
    assert_eq!(settled.candidates.len(), 5);
    assert!(settled.reason.contains("`c`") && !settled.reason.contains("`d`"), "{}", settled.reason);
    assert!(settled.reason.contains("and 2 more"), "{}", settled.reason);
}

#[test]
fn a_bad_definition_is_never_eligible_but_shown() {
    let fault = Fault { agent_name: "bad".to_owned(), version: "x".to_owned(), faults: owned(&["version `x`: …"]) };
    let mut world = World::of(Vec::new());
    world.registry = world.registry.upsert("bad", Err(fault));
    world.availability = ["bad"].into_iter().collect();
    let settled = world.settled();
    assert_eq!(settled.choice, Choice::None);
    assert_eq!(excluded(&settled, "bad"), "bad definition: version `x`: …");
    assert!(settled.reason.contains("`bad`"), "{}", settled.reason);
}

#[test]
fn candidates_are_at_most_twenty_the_chosen_first() {
    let many: Vec<Definition> = (0..50).map(|i| agent(&format!("a{i:02}"), Some("other"), None)).collect();
    let mut definitions = many;
    definitions.push(agent("z", Some("mail"), None));
    let settled = World::of(definitions).input_contract("mail").settled();
    assert_eq!(settled.candidates.len(), 20);
    assert_eq!(&*settled.candidates[0].agent_name, "z");
    assert!(settled.candidates[1..].iter().all(|candidate| candidate.excluded.is_some()));
}

#[test]
fn the_same_choice_is_made_the_same_way_again() {
    let world = World::of(alike()).objective("book a fish");
    assert_eq!(world.choose(), world.choose());
    assert_eq!(World::of(alike()).objective("book a fish").choose(), world.choose());
}
