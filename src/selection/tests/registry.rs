use super::*;
use crate::workflow::{Pinned, SettledBy};

fn version(name: &str, version: &str) -> Definition {
    Definition { version: version.to_owned(), ..Definition::new(name) }
}

#[test]
fn names_are_found_trimmed_and_in_any_case_but_never_by_part() {
    let registry = registry_of(vec![Definition::new("Agent A"), Definition::new("Agent AB")]);
    assert_eq!(registry.agent("  agent ab ").map(|agent| agent.name()), Some("Agent AB"));
    assert_eq!(registry.agent("agent a").map(|agent| agent.name()), Some("Agent A"));
    for part in ["agent", "Agent", "A", "Agent ABC", "agent-a", ""] {
        assert!(registry.agent(part).is_none(), "{part}");
    }
}

#[test]
fn an_agent_is_found_in_all_its_versions_the_newest_first() {
    let registry = registry_of(vec![version("Foo", "1.9.0"), version("foo", "10.0.0"), version("foo", "2.5.0")]);
    let majors: Vec<u64> = registry.versions(" FOO").iter().map(|agent| agent.version().major).collect();
    assert_eq!(majors, [10, 2, 1]);
    assert_eq!(registry.newest().map(|agent| agent.topic_name()).collect::<Vec<_>>(), ["foo.v10"]);
    assert_eq!(registry.agent("FOO").map(|agent| agent.topic_name()), Some("foo.v10"));
    for (topic, major) in [("foo", 1), ("foo.v2", 2), ("foo.v10", 10)] {
        assert_eq!(registry.by_topic(topic).map(|agent| agent.version().major), Some(major));
    }
}

/// A reader in two majors, each with its input contract.
fn two_majors(first: &str, second: &str) -> World {
    let reader =
        |text: &str, contract| Definition { version: text.to_owned(), ..agent("Reader", Some(contract), None) };
    World::of(vec![reader("1.4.0", first), reader("2.0.0", second)])
}

fn topic_of(settled: &Settled) -> &str {
    settled.chosen.as_ref().map_or("", |chosen| &chosen.topic_name)
}

#[test]
fn new_work_goes_to_the_newest_version_that_takes_it_and_the_old_one_is_drained() {
    let world = two_majors("letter", "letter").input_contract("letter");
    let settled = world.settled();
    assert_eq!((topic_of(&settled), settled.by), ("reader.v2", SettledBy::Contract));
    assert_eq!(eligible(&settled), ["Reader"]);
    let old = settled.candidates.iter().find(|candidate| &*candidate.version == "1.4.0").expect("the old version");
    assert_eq!(old.excluded.as_deref(), Some("new work goes to its version 2.0.0"));
    let world = two_majors("letter", "form").input_contract("letter");
    assert_eq!(topic_of(&world.settled()), "reader", "only the old one takes it");
}

#[test]
fn while_the_newest_version_cannot_be_given_anything_the_old_one_works() {
    let world = two_majors("letter", "letter").input_contract("letter").without_topic_of("reader.v2");
    let settled = world.settled();
    assert_eq!((topic_of(&settled), settled.by), ("reader", SettledBy::Contract));
}

#[test]
fn a_newest_version_that_is_only_full_is_waited_for() {
    let mut world = two_majors("letter", "letter").input_contract("letter");
    let room = [("reader.v2".to_owned(), Room { left: 0, in_line: 0 })];
    world.availability = world.availability.with_room(room.into_iter().collect());
    let settled = world.settled();
    assert_eq!((settled.choice, settled.busy), (Choice::None, vec!["reader.v2".to_owned()]));
}

#[test]
fn who_is_named_is_given_the_work_in_the_version_that_takes_it() {
    let world = two_majors("letter", "form").input_contract("letter");
    let pinned = Some(Pinned { agent_name: "reader", by_operator: false });
    let choosing = Choosing { pinned, ..world.choosing() };
    let Verdict::Settled(settled) = choose(&world.registry, &world.availability, &world.policy, &choosing) else {
        panic!("asks")
    };
    assert_eq!((topic_of(&settled), settled.by), ("reader", SettledBy::Pinned));
}

#[test]
fn an_answer_names_an_agent_and_gets_the_version_that_takes_the_work() {
    let mut definitions = vec![able("Reader", &["read"]), able("Clerk", &["read"])];
    definitions.push(Definition { version: "2.0.0".to_owned(), ..able("Reader", &["read"]) });
    let world = World::of(definitions).objective("read").asking(LlmUse::Ambiguous);
    let (set, _) = world.asked();
    assert_eq!(set.iter().filter(|name| *name == "Reader").count(), 1, "{set:?}");
    assert_eq!(topic_of(&world.answered(&names("reader", 0.9))), "reader.v2");
}

#[test]
fn what_a_version_produced_has_its_own_label() {
    let reader = |text: &str, gives| Definition { version: text.to_owned(), ..agent("Reader", Some("x"), Some(gives)) };
    let definitions =
        vec![reader("1.0.0", "words"), reader("2.0.0", "table"), agent("Counter", Some("words"), Some("count"))];
    let world = World::of(definitions).input("x").after("some words", "Reader");
    assert_eq!(topic_of(&world.settled()), "counter");
}

#[test]
fn labels_of_an_agent_are_those_of_all_its_versions() {
    let registry = two_majors("letter", "form").registry;
    let labels = registry.labels("reader").expect("registered");
    assert_eq!((labels.takes, labels.gives), (vec!["form".to_owned(), "letter".to_owned()], vec![]));
    assert_eq!(registry.labels("writer"), None);
}

#[test]
fn a_bad_newest_version_leaves_the_one_before_in_place() {
    let fault = Fault { agent_name: "foo".to_owned(), version: "2.0".to_owned(), faults: vec!["version".to_owned()] };
    let registry = registry_of(vec![version("foo", "1.0.0")]).upsert("foo.v2", Err(fault));
    assert_eq!(registry.agent("foo").map(|agent| agent.topic_name()), Some("foo"));
    assert!(registry.by_topic("foo.v2").is_none());
    assert_eq!(registry.entries().count(), 2);
}

#[test]
fn a_change_leaves_the_registry_before_it_as_it_was() {
    let before = registry_of(vec![Definition::new("a")]);
    let with_b = before.upsert("b", Ok(Arc::new(compile(Definition::new("b")).expect("valid"))));
    let without_a = with_b.remove("a");
    assert_eq!((before.current().len(), with_b.current().len(), without_a.current().len()), (1, 2, 1));
    assert!(before.agent("a").is_some() && without_a.agent("a").is_none());
    assert!(without_a.remove("b").is_empty());
}

#[test]
fn a_rebuilt_registry_scores_like_one_built_at_once() {
    let definitions = || vec![able("a", &["read invoices"]), able("b", &["book travel"]), able("c", &["pay bills"])];
    let at_once = World::of(definitions()).objective("pay this bill");
    let mut piecewise = World::of(definitions()).objective("pay this bill");
    let mut registry = registry_of(vec![able("b", &["something else"]), able("d", &["more"])]);
    for definition in definitions() {
        registry = registry.upsert(key_of(&definition), Ok(Arc::new(compile(definition).expect("valid"))));
    }
    piecewise.registry = registry.remove("d");
    assert_eq!(piecewise.settled(), at_once.settled());
}

#[test]
fn agents_are_found_by_capability_contract_and_labels_together() {
    let labelled = |mut definition: Definition, team: &str| {
        definition.labels.insert("team".to_owned(), team.to_owned());
        definition
    };
    let mut reader = labelled(able("Reader", &["read letters"]), "post");
    reader.output.contract = Some("facts".to_owned());
    let registry = registry_of(vec![reader, labelled(able("Clerk", &["Read Letters"]), "desk"), Definition::new("x")]);
    let find = |capability: Option<&str>, contract: Option<&str>, team: Option<&str>| -> Vec<String> {
        let labels = team.map(|team| ("team".to_owned(), team.to_owned())).into_iter().collect();
        let wanted =
            Wanted { capability: capability.map(str::to_owned), contract: contract.map(str::to_owned), labels };
        registry.find(&wanted).map(|agent| agent.name().to_owned()).collect()
    };
    assert_eq!(find(None, None, None), ["Clerk", "Reader", "x"]);
    assert_eq!(find(Some("read LETTERS"), None, None), ["Clerk", "Reader"]);
    assert_eq!(find(Some("read letters"), Some("Facts"), Some("post")), ["Reader"]);
    assert_eq!(find(None, Some("fact"), None), [""; 0]);
    assert_eq!(find(None, None, Some("Post")), [""; 0]);
}

#[test]
fn agents_come_by_how_well_they_fit_a_text_and_equals_by_name() {
    let mut definitions: Vec<Definition> = (0..70).map(|n| able(&format!("Clerk {n:02}"), &["file forms"])).collect();
    definitions.push(able("Zoologist", &["count penguins"]));
    let registry = registry_of(definitions);
    let names: Vec<&str> = registry.by_fit("How many penguins are there?").iter().map(|agent| agent.name()).collect();
    assert_eq!((names.len(), &names[..3]), (71, &["Zoologist", "Clerk 00", "Clerk 01"][..]));
}
