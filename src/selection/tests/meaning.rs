use super::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Knows of each word what it is about, if it is about something.
#[derive(Debug, Default)]
struct Senses {
    silent: AtomicBool,
    /// Texts it was asked about.
    asked: AtomicUsize,
}

const SENSES: [&[&str]; 3] =
    [&["money", "balance", "cash", "funds"], &["oven", "bake", "bread", "loaf"], &["dog", "puppy"]];

impl Embed for Senses {
    fn embed(&self, texts: &[&str]) -> Option<Vec<Arc<[f32]>>> {
        self.asked.fetch_add(texts.len(), Ordering::Relaxed);
        let vector = |text: &&str| {
            // What is about nothing lies elsewhere.
            let mut vector = [0.0, 0.0, 0.0, 0.1_f32];
            for word in text.split(' ') {
                for (place, sense) in SENSES.iter().enumerate() {
                    vector[place] += f32::from(u8::from(sense.contains(&word)));
                }
            }
            let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
            Arc::from(vector.map(|value| value / length))
        };
        (!self.silent.load(Ordering::Relaxed)).then(|| texts.iter().map(vector).collect())
    }
}

fn definitions() -> Vec<Definition> {
    let of =
        |name, capabilities: &[&str]| Definition { description: capabilities.join(" "), ..able(name, capabilities) };
    vec![of("banker", &["balance", "new funds"]), of("cook", &["bake bread"]), of("vet", &["puppy"])]
}

/// The same agents, by what texts mean as well.
fn meaning(world: World, senses: &Arc<Senses>) -> World {
    let entries = world.registry.entries().map(|(key, entry)| (key.to_owned(), entry.clone())).collect();
    let embed = Arc::clone(senses);
    World { registry: Registry::remembering(entries, Memory::default(), Some(embed)), ..world }
}

#[test]
fn what_means_the_same_in_other_words_is_found() {
    let world = || World::of(definitions()).objective("what cash do I have");
    assert!(!world().settled().reason.contains("`banker` fits best by its capability"));
    let settled = meaning(world(), &Arc::default()).settled();
    assert!(settled.reason.starts_with("`banker` fits best by its capability `balance`"), "{}", settled.reason);
    assert!(settled.confidence.is_some_and(|chance| chance > 0.8), "{:?}", settled.confidence);
    let (name, likeness) = settled.candidates[0].factors.last().copied().expect("there are factors");
    assert_eq!(name, "meaning");
    assert!(likeness > 0.9, "{likeness}");
}

#[test]
fn what_is_about_nothing_that_an_agent_does_is_not_answered() {
    let settled = meaning(World::of(definitions()).objective("sing of the moon"), &Arc::default()).settled();
    assert!(settled.confidence.is_some_and(|chance| chance < 0.1), "{:?}", settled.confidence);
}

#[test]
fn an_example_moves_its_capability_towards_what_it_means() {
    let chance = |example: Option<&str>| {
        let mut definitions = definitions();
        let capability = Some("bake bread".to_owned());
        definitions[1].examples.extend(example.map(|text| Example { text: text.to_owned(), capability }));
        let settled = meaning(World::of(definitions).objective("the puppy at the oven"), &Arc::default()).settled();
        settled.candidates.iter().find(|one| &*one.agent_name == "cook").and_then(|cook| cook.score).expect("a score")
    };
    assert!(chance(Some("a dog in the loaf")) > chance(None), "{} {}", chance(Some("a dog in the loaf")), chance(None));
}

#[test]
fn who_cannot_tell_is_done_without() {
    let senses = Arc::new(Senses::default());
    let without = World::of(definitions()).objective("bake a loaf");
    let plain = without.settled();
    let mute = meaning(without, &senses);
    assert_ne!(mute.settled(), plain);
    senses.silent.store(true, Ordering::Relaxed);
    assert_eq!(mute.settled(), plain, "it falls silent after the start");
    let never = meaning(World::of(definitions()).objective("bake a loaf"), &senses);
    assert_eq!(never.settled(), plain, "it was silent at the start");
}

#[test]
fn an_agents_texts_are_embedded_once() {
    let senses = Arc::new(Senses::default());
    let asked = || senses.asked.swap(0, Ordering::Relaxed);
    let twin = Definition { agent_name: "second cook".to_owned(), ..able("", &["bake bread"]) };
    let world = meaning(World::of(definitions()), &senses);
    // Four capabilities and a description; the others say what a capability does.
    assert_eq!(asked(), 5);
    let registry = world.registry.upsert("second-cook", Ok(Arc::new(compile(twin).expect("sound"))));
    assert_eq!(asked(), 2, "only the new agent's");
    let registry = registry.remove("cook");
    assert_eq!((asked(), registry.current().len()), (0, 3));
}

#[test]
fn of_more_examples_than_can_be_embedded_some_are() {
    let senses = Arc::new(Senses::default());
    let mut definitions = definitions();
    for definition in &mut definitions {
        let example = |i| Example { text: format!("example {i} of {}", definition.agent_name), capability: None };
        definition.examples = (0..1_000).map(example).collect();
    }
    let many = (0..9).map(|i| Definition { agent_name: format!("a{i}"), ..definitions[0].clone() }).enumerate();
    let many = many.map(|(i, mut agent)| {
        agent.examples.iter_mut().for_each(|example| example.text.push_str(&format!(" {i}")));
        agent
    });
    meaning(World::of(many.collect()), &senses);
    let asked = senses.asked.load(Ordering::Relaxed);
    assert!((3_000..=8_100).contains(&asked), "{asked}");
}
