use super::*;
use crate::workflow::{SettledBy, Timestamp};

const KEEP: Keep = Keep { examples: 6, from_one_source: 2, of_agent: 9 };

fn painter() -> Agent {
    compile(able("painter", &["paint walls", "paint doors"])).expect("sound")
}

fn confirmed(text: &str, source: &str, at: i64) -> Confirmed {
    let capability = Some("Paint Walls ".to_owned());
    Confirmed { text: text.to_owned(), capability, source: source.to_owned(), at: Timestamp(at) }
}

fn texts(memory: &Memory, agent: &Agent) -> Vec<String> {
    memory.examples(agent).map(|confirmed| confirmed.text.clone()).collect()
}

#[test]
fn the_newest_of_each_capability_are_kept() {
    let (mut memory, agent) = (Memory::new(KEEP), painter());
    for i in 0..10 {
        assert!(memory.learn(&agent, confirmed(&format!("wall {i}"), &format!("source {i}"), i)));
    }
    let door = Confirmed { capability: Some("paint doors".to_owned()), ..confirmed("a door", "s", 0) };
    assert!(memory.learn(&agent, door));
    assert!(!memory.learn(&agent, confirmed("too old", "elsewhere", 0)), "there are six newer ones");
    assert_eq!(texts(&memory, &agent), ["a door", "wall 9", "wall 8", "wall 7", "wall 6", "wall 5", "wall 4"]);
    assert_eq!(memory.len(), 7);
}

#[test]
fn a_source_that_floods_memory_wins_its_share_and_no_more() {
    let (mut memory, agent) = (Memory::new(KEEP), painter());
    for (i, source) in ["a", "b", "c", "d"].into_iter().enumerate() {
        memory.learn(&agent, confirmed(&format!("the wall of {source}"), source, i64::try_from(i).expect("small")));
    }
    for i in 0..1_000 {
        memory.learn(&agent, confirmed(&format!("poison {i}"), "mallory", 1_000 + i));
    }
    let kept = texts(&memory, &agent);
    assert_eq!(kept.iter().filter(|text| text.starts_with("poison")).count(), 2, "{kept:?}");
    assert_eq!(kept.len(), 6);
}

#[test]
fn poison_does_not_turn_a_choice_that_others_confirmed() {
    let flooded = |keep| {
        let agents = [able("baker", &["bake bread"]), able("thief", &["bake cakes"])];
        let agents: Vec<Arc<Agent>> = agents.map(|it| Arc::new(compile(it).expect("sound"))).into();
        let mut memory = Memory::new(keep);
        for (i, text) in ["rye loaves for the market", "rolls for ten", "a rye loaf", "loaves"].into_iter().enumerate()
        {
            let example =
                Confirmed { capability: Some("bake bread".to_owned()), ..confirmed(text, &format!("s{i}"), 1) };
            memory.learn(&agents[0], example);
        }
        for i in 0..200 {
            let example = Confirmed { capability: None, ..confirmed(&format!("rye loaves for no. {i}"), "mallory", 2) };
            memory.learn(&agents[1], example);
        }
        let entries = agents.iter().map(|agent| (agent.topic_name().to_owned(), Ok(Arc::clone(agent)))).collect();
        let registry = Registry::remembering(entries, memory, None);
        let world = World::of_registry(registry).objective("rye loaves for the feast");
        let candidates = world.settled().candidates;
        candidates[0].agent_name.to_string()
    };
    assert_eq!(flooded(Keep::default()), "baker");
    assert_eq!(
        flooded(Keep { examples: 200, from_one_source: 200, of_agent: 200 }),
        "thief",
        "without the bounds it works"
    );
}

#[test]
fn the_same_text_is_kept_once_and_a_blank_one_never() {
    let (mut memory, agent) = (Memory::new(KEEP), painter());
    assert!(!memory.learn(&agent, confirmed(" \n", "a", 1)));
    assert!(memory.learn(&agent, confirmed("My wall", "a", 1)));
    assert!(!memory.learn(&agent, confirmed("my wall", "a", 0)), "older");
    assert!(!memory.learn(&agent, confirmed("my wall", "b", 2)), "it is a's, and does not count as b's");
    assert!(memory.learn(&agent, confirmed("my wall ", "a", 2)), "confirmed again");
    assert_eq!(texts(&memory, &agent), ["my wall"]);
    memory.learn(&agent, confirmed(&"long".repeat(1_000), "a", 3));
    assert_eq!(texts(&memory, &agent)[0].chars().count(), bounds::EXAMPLE);
}

#[test]
fn what_nobody_sees_is_not_kept_and_a_text_of_nothing_else_is_none() {
    let (mut memory, agent) = (Memory::new(KEEP), painter());
    assert!(!memory.learn(&agent, confirmed("\u{0}\u{7f}\u{200b}\n\u{202e}", "a", 1)));
    assert!(memory.learn(&agent, confirmed("my\u{0}wall \u{202e}let\u{200b}ters\r\n\u{1b}[2J", "a", 1)));
    assert_eq!(texts(&memory, &agent), ["my wall letters [2J"]);
    assert!(memory.learn(&agent, confirmed(&format!("{}end", "\u{0}".repeat(100)), "b", 2)));
    assert!(memory.learn(&agent, confirmed(&"🦀".repeat(1_000_000), "c", 3)));
    assert!(texts(&memory, &agent).iter().all(|text| text.chars().count() <= bounds::EXAMPLE));
}

#[test]
fn of_too_many_in_all_the_oldest_goes_of_whoever_brought_most() {
    let names: Vec<String> = (0..10).map(|i| format!("paint {i}")).collect();
    let agent = compile(able("painter", &names.iter().map(String::as_str).collect::<Vec<_>>())).expect("sound");
    let mut memory = Memory::new(KEEP);
    let of = |i: usize, text: &str, source: &str, at| Confirmed {
        capability: Some(format!("paint {i}")),
        ..confirmed(text, source, at)
    };
    for (i, source) in ["a", "b", "c"].into_iter().enumerate() {
        assert!(memory.learn(&agent, of(i, &format!("the wall of {source}"), source, 1)));
    }
    for i in 0..100 {
        memory.learn(&agent, of(i % 10, &format!("poison {i}"), "mallory", 1_000 + i64::try_from(i).expect("small")));
    }
    let kept = texts(&memory, &agent);
    assert_eq!(kept.len(), 9, "{kept:?}");
    assert_eq!(kept.iter().filter(|text| text.starts_with("the wall")).count(), 3, "{kept:?}");
    assert!(kept.iter().any(|text| text == "poison 99"), "{kept:?}");
    assert!(!memory.learn(&agent, of(5, "older than all of theirs", "mallory", 2)), "it would be the first to go");
}

#[test]
fn what_is_put_in_place_keeps_the_bounds_and_tells_whether_texts_are_others() {
    let (mut memory, agent) = (Memory::new(KEEP), painter());
    let all = |count: i64, later| (0..count).map(move |i| confirmed(&format!("wall {i}"), &format!("s{i}"), i + later));
    assert!(memory.put("painter", agent.fingerprint(), all(50, 0)));
    assert_eq!(memory.len(), 6);
    assert!(!memory.put("painter", agent.fingerprint(), all(50, 1_000)), "confirmed again, and nothing new");
    assert!(memory.put("painter", agent.fingerprint() + 1, all(50, 0)), "of another definition");
    assert_eq!(memory.examples(&agent).count(), 0);
    assert!(memory.put("painter", 1, []) && memory.is_empty());
    assert!(!memory.forget("painter"));
}

#[test]
fn a_capability_the_agent_does_not_declare_is_none() {
    let (mut memory, agent) = (Memory::new(KEEP), painter());
    memory.learn(&agent, Confirmed { capability: Some("sing".to_owned()), ..confirmed("a song", "a", 1) });
    let kept: Vec<&Confirmed> = memory.examples(&agent).collect();
    assert_eq!(kept[0].capability, None);
}

#[test]
fn a_definition_that_says_something_else_is_not_remembered() {
    let mut memory = Memory::new(KEEP);
    memory.learn(&painter(), confirmed("my wall", "a", 1));
    let with = |change: fn(&mut Definition)| {
        let mut definition = able("painter", &["paint walls", "paint doors"]);
        change(&mut definition);
        definition
    };
    let registry = |definition: Definition| registry_of(vec![definition]);
    let mut same = memory.clone();
    let owner = registry(with(|it| it.owner = Some("me".to_owned())));
    assert!(same.forget_changed(&owner).is_empty(), "who owns it changes nothing");
    assert_eq!(same.examples(owner.agent("painter").expect("registered")).count(), 1);
    for change in [
        (|it| it.version = "1.0.1".to_owned()) as fn(&mut Definition),
        |it| it.description = "paints all there is".to_owned(),
        |it| it.capabilities.truncate(1),
        |it| it.input.contract = Some("wall".to_owned()),
    ] {
        let changed = registry(with(change));
        assert_eq!(memory.examples(changed.agent("painter").expect("registered")).count(), 0);
        let mut memory = memory.clone();
        assert_eq!(memory.forget_changed(&changed), ["painter"]);
        assert!(memory.is_empty());
    }
    let faulty = Fault { agent_name: "painter".to_owned(), version: String::new(), faults: vec!["no".to_owned()] };
    let unsure = Registry::new(BTreeMap::from([("painter".to_owned(), Err(faulty))]));
    assert!(memory.forget_changed(&unsure).is_empty(), "nobody knows yet what it will say");
    assert_eq!(memory.forget_changed(&registry(able("other", &["x"]))), ["painter"], "it is gone");
}

#[test]
fn what_was_in_doubt_is_plain_once_the_like_of_it_was_confirmed() {
    let trades = || vec![able("Painter", &["paint walls"]), able("Plumber", &["mend pipes"])];
    let before = World::of(trades()).objective("the bathroom is under water again").settled();
    assert_eq!((before.by, &before.choice), (SettledBy::Local, &chose("Painter")));
    let agents: Vec<Arc<Agent>> = trades().into_iter().map(|it| Arc::new(compile(it).expect("sound"))).collect();
    let mut memory = Memory::default();
    for (i, text) in FLOODS.into_iter().enumerate() {
        let one = Confirmed { capability: None, ..confirmed(text, &format!("s{}", i % 3), 1) };
        memory.learn(&agents[1], one);
    }
    let entries = agents.iter().map(|agent| (agent.topic_name().to_owned(), Ok(Arc::clone(agent)))).collect();
    let registry = Registry::remembering(entries, memory, None);
    let after = World::of_registry(registry).objective("the bathroom is under water again").settled();
    assert_eq!((after.by, &after.choice), (SettledBy::ClearWinner, &chose("Plumber")), "{after:?}");
    assert!(after.confidence > before.confidence);
}

const FLOODS: [&str; 6] = [
    "the kitchen is under water",
    "water stands in the cellar",
    "there is water all over the floor",
    "the washing machine runs over, water everywhere",
    "our office is under water since this morning",
    "it drips, and the carpet is full of water",
];

#[test]
fn memory_teaches_and_stays_when_another_agent_comes() {
    let agent = Arc::new(painter());
    let mut memory = Memory::default();
    memory.learn(&agent, confirmed("make the kitchen bright again", "a", 1));
    let entries = BTreeMap::from([("painter".to_owned(), Ok(agent))]);
    let cook = Arc::new(compile(able("cook", &["clean the kitchen"])).expect("sound"));
    let registry = Registry::remembering(entries, memory, None).upsert("cook", Ok(cook));
    let world = World::of_registry(registry).objective("it must be made bright");
    assert_eq!(&*world.settled().candidates[0].agent_name, "painter");
}
