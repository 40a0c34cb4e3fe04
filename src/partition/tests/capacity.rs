//! Agents that take only so much at once, and who is next of those in line for them.

use super::*;
use crate::selection::{
    Agent, Availability, Definition, LlmUse, Policy, Registry, Resolved, Room, Schemas, Strategies, topic_name,
};
use crate::workflow::PlannedStep;

/// Agents A and B, which take anything.
fn registry() -> Registry {
    let agent = |name: &str| {
        let mut definition = Definition::new(name);
        definition.description = "does what is asked".to_owned();
        let key = topic_name(name, 1);
        let compiled = Agent::compile(&key, definition, Resolved::Any, Resolved::Any).expect("a sound definition");
        (key, Ok(Arc::new(compiled)))
    };
    Registry::new(["A", "B"].map(agent).into())
}

struct Scene {
    registry: Registry,
    strategies: Strategies,
    rules: Rules,
    schemas: Schemas,
}

impl Scene {
    fn new() -> Self {
        let strategies = Policy { llm: LlmUse::Never, ..Policy::default() }.into();
        Self { registry: registry(), strategies, rules: Rules::default(), schemas: Schemas::default() }
    }

    /// The world with so much room, and so many in line, at A and at B.
    fn view(&self, a: (i64, i64), b: (i64, i64)) -> View<'_> {
        let topic = |name: &str| self.registry.agent(name).expect("it is registered").topic_name().to_owned();
        let room = |(left, in_line)| Room { left, in_line };
        let both = [(topic("A"), room(a)), (topic("B"), room(b))];
        View {
            registry: &self.registry,
            availability: Availability::from_iter(both.clone().map(|(topic, _)| topic))
                .with_room(both.into_iter().collect()),
            strategies: self.strategies.clone(),
            rules: &self.rules,
            schemas: &self.schemas,
        }
    }
}

/// A task whose steps wait for nothing, each for its agent or for any.
fn arrives(id: &str, agents: &[Option<&str>]) -> Arrival {
    let step = |(index, agent): (usize, &Option<&str>)| PlannedStep {
        step_id: format!("s{index}"),
        objective: "work".to_owned(),
        agent_name: agent.map(str::to_owned),
        input_contract: Some("words".to_owned()),
        ..PlannedStep::default()
    };
    let task = Task { plan: Some(agents.iter().enumerate().map(step).collect()), ..Task::new(id, "work") };
    let input = Input::Submitted(Submission {
        task: Arc::new(task),
        content_hash: [7; 16],
        accepted: ACCEPTED,
        submitted_at: Timestamp(0),
        traceparent: None,
    });
    Arrival { task_id: id.into(), ..arrival(0, input) }
}

fn admitted(id: &str, topic_name: Option<&str>) -> Arrival {
    Arrival {
        task_id: id.into(),
        ..arrival(0, Input::Admitted { question: 1, topic_name: topic_name.map(Into::into) })
    }
}

/// Stages and adopts; tasks and agents that were given something.
fn given(partition: &mut Partition, batch: &[Arrival], view: &View<'_>) -> Vec<(String, String)> {
    let staged = partition.stage(batch, view, Timestamp(1));
    let assignments = staged.outputs.iter().filter_map(|planned| match &planned.item {
        Output::Assignment(out) => Some((out.task.task_id.to_string(), out.assigned.chosen.agent_name.to_string())),
        _ => None,
    });
    let given = assignments.collect();
    partition.adopt(staged);
    given
}

fn to(task: &str, agent: &str) -> (String, String) {
    (task.to_owned(), agent.to_owned())
}

#[test]
fn steps_that_are_begun_in_one_decision_share_the_room_there_is() {
    let (scene, mut partition) = (Scene::new(), Partition::default());
    let batch = [arrives("t", &[Some("A"), Some("A"), Some("A")])];
    assert_eq!(given(&mut partition, &batch, &scene.view((2, 0), (9, 0))), [to("t", "A"), to("t", "A")]);
    assert_eq!((partition.in_flight("a"), partition.line_length("a")), (2, 1));
}

#[test]
fn who_is_next_of_one_line_passes_nobody_in_another() {
    let (scene, mut partition) = (Scene::new(), Partition::default());
    assert_eq!(given(&mut partition, &[arrives("t", &[None])], &scene.view((0, 0), (0, 0))), []);
    assert_eq!((partition.line_length("a"), partition.line_length("b")), (1, 1));
    // B alone has room, and A is as full as it was.
    let batch = [admitted("t", Some("b")), arrives("u", &[Some("A")])];
    assert_eq!(given(&mut partition, &batch, &scene.view((0, 1), (1, 1))), [to("t", "B")]);
    assert_eq!((partition.in_flight("a"), partition.in_flight("b")), (0, 1));
}

#[test]
fn other_agents_coming_lets_nobody_pass_a_line() {
    let (scene, mut partition) = (Scene::new(), Partition::default());
    let batch = [arrives("t", &[Some("A")]), arrives("u", &[Some("A")])];
    assert_eq!(given(&mut partition, &batch, &scene.view((0, 0), (0, 0))), []);
    // One place is free, and t comes first.
    assert_eq!(given(&mut partition, &[admitted("u", None)], &scene.view((1, 2), (0, 0))), []);
    assert_eq!(given(&mut partition, &[admitted("t", Some("a"))], &scene.view((1, 2), (0, 0))), [to("t", "A")]);
}

#[test]
fn the_next_of_the_line_for_an_agent_that_has_gone_is_given_to_nobody_and_to_the_agent_when_it_is_back() {
    let (scene, mut partition) = (Scene::new(), Partition::default());
    assert_eq!(given(&mut partition, &[arrives("t", &[Some("A")])], &scene.view((0, 0), (0, 0))), []);
    // What it had is done, and it fell silent in the moment in which its next one was looked for.
    let mut gone = scene.view((1, 1), (0, 0));
    gone.availability.set_gone([topic_name("A", 1)]);
    assert_eq!(given(&mut partition, &[admitted("t", Some("a"))], &gone), []);
    assert_eq!((partition.line_length("a"), partition.in_flight("a")), (0, 0), "who does not come back has no line");
    assert_eq!(partition.admit(&gone, 9), [], "nothing has changed for it");
    let back = scene.view((1, 0), (0, 0));
    let (task_id, question) = partition.admit(&back, 9).pop().expect("it waits still");
    let again = Arrival { task_id, ..arrival(0, Input::Admitted { question, topic_name: None }) };
    assert_eq!(given(&mut partition, &[again], &back), [to("t", "A")]);
}

#[test]
fn of_those_who_wait_for_an_agent_to_come_back_the_urgent_come_first() {
    let (scene, mut partition) = (Scene::new(), Partition::default());
    let mut away = scene.view((9, 0), (9, 0));
    away.availability.set_gone([topic_name("A", 1)]);
    let urgent = |id: &str, priority: u8| {
        let mut arrival = arrives(id, &[Some("A")]);
        let What::Input(Input::Submitted(submission)) = &mut arrival.what else { unreachable!("it was just made") };
        Arc::make_mut(&mut submission.task).priority = priority;
        arrival
    };
    assert_eq!(given(&mut partition, &[urgent("a", 1), urgent("m", 9), urgent("z", 5)], &away), []);
    let back = scene.view((9, 0), (9, 0));
    let next = |most: usize| -> Vec<String> {
        partition.admit(&back, most).into_iter().map(|(id, _)| id.to_string()).collect()
    };
    assert_eq!((next(9), next(1)), (vec!["m".to_owned(), "z".to_owned(), "a".to_owned()], vec!["m".to_owned()]));
}

#[test]
fn a_step_leaves_the_line_of_an_agent_that_does_not_suit_any_more() {
    let (mut scene, mut partition) = (Scene::new(), Partition::default());
    assert_eq!(given(&mut partition, &[arrives("t", &[Some("A")])], &scene.view((0, 0), (0, 0))), []);
    assert_eq!(partition.line_length("a"), 1);
    let mut definition = Definition::new("A");
    definition.description = "does something else".to_owned();
    let label = || Resolved::Label("numbers".to_owned());
    let agent = Agent::compile(&topic_name("A", 1), definition, label(), label()).expect("a sound definition");
    scene.registry = scene.registry.upsert(topic_name("A", 1), Ok(Arc::new(agent)));
    assert_eq!(given(&mut partition, &[admitted("t", Some("a"))], &scene.view((1, 1), (0, 0))), []);
    assert_eq!(partition.line_length("a"), 0, "it would be admitted again and again");
}

#[test]
fn a_step_that_came_before_its_agents_topic_joins_the_line_of_an_agent_that_is_full_by_then() {
    let (scene, mut partition) = (Scene::new(), Partition::default());
    let mut without = scene.view((1, 0), (0, 0));
    without.availability.set_topics([]);
    assert_eq!(given(&mut partition, &[arrives("t", &[Some("A")])], &without), []);
    assert_eq!(partition.line_length("a"), 0);
    let full = scene.view((0, 0), (0, 0));
    assert_eq!(partition.admit(&full, 10), [("t".into(), 1)]);
    assert_eq!(given(&mut partition, &[admitted("t", None)], &full), []);
    assert_eq!(partition.line_length("a"), 1, "nothing would ever let it in");
    assert_eq!(partition.admit(&full, 10), [], "it stands there already");
}

#[test]
fn who_stands_in_line_is_let_in_by_that_alone_as_long_as_its_agent_is_limited() {
    let (scene, mut partition) = (Scene::new(), Partition::default());
    let batch = [arrives("t", &[Some("A")]), arrives("u", &[Some("A")])];
    assert_eq!(given(&mut partition, &batch, &scene.view((0, 0), (9, 0))), []);
    assert_eq!(partition.admit(&scene.view((1, 2), (9, 0)), 9), [], "room for one is no reason to ask both again");
    // A breaker that is closed again, a definition without maxConcurrency: there is no line any more.
    let unlimited = View {
        availability: scene.view((0, 0), (0, 0)).availability.with_room([].into_iter().collect()),
        ..scene.view((0, 0), (0, 0))
    };
    assert_eq!(partition.admit(&unlimited, 9).len(), 2);
}
