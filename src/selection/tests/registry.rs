use super::*;

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
fn new_work_goes_to_the_newest_version_of_a_name() {
    let registry = registry_of(vec![version("Foo", "1.9.0"), version("foo", "10.0.0"), version("foo", "2.5.0")]);
    assert_eq!(registry.current().len(), 1);
    assert_eq!(registry.agent("FOO").map(|agent| agent.topic_name()), Some("foo.v10"));
    for (topic, major) in [("foo", 1), ("foo.v2", 2), ("foo.v10", 10)] {
        assert_eq!(registry.by_topic(topic).map(|agent| agent.version().major), Some(major));
    }
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
