use super::*;
use crate::workflow::Timestamp;

const KEEP: Keep = Keep { examples: 6, from_one_source: 2 };

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
    assert_eq!(flooded(Keep { examples: 200, from_one_source: 200 }), "thief", "without the bounds it works");
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
    memory.learn(&agent, confirmed(&"long ".repeat(1_000), "a", 3));
    assert_eq!(texts(&memory, &agent)[0].chars().count(), bounds::EXAMPLE);
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
    assert!(!same.forget_changed(&owner), "who owns it changes nothing");
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
        assert!(memory.forget_changed(&changed));
        assert!(memory.is_empty());
    }
    assert!(memory.forget_changed(&registry(able("other", &["x"]))), "it is gone");
}

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
