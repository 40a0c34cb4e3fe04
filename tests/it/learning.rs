//! What is learned of outcomes: texts by which agents turned out to be right are chosen by, on every worker and after a
//! restart, until the agent is another; and what was expected of assignments is held against what came.

use super::insights::{all_counted, health};
use super::support::agents::{Agents, Behaviour, Say, definition};
use super::support::{Partitioner, Record, Scratch, Send, Sender, Topic, Worker, heavy, read_all, until};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What should take a moment, on a machine that is busy.
const SOON: Duration = Duration::from_secs(60);

/// Each by somebody else.
const FLOODS: [&str; 6] = [
    "the kitchen is under water",
    "water stands in the cellar",
    "there is water all over the floor",
    "the washing machine runs over, water everywhere",
    "our office is under water since this morning",
    "it drips, and the carpet is full of water",
];
/// Nobody says a word of it in a definition.
const LIKE_THEM: &str = "the bathroom is under water again";

/// An agent whose output is held against a schema.
fn tradesman(name: &str, capability: &str, version: &str) -> Value {
    let mut definition = definition(name, "does what is asked");
    definition["capabilities"] = json!([capability]);
    definition["version"] = json!(version);
    definition["output"]["contract"] = json!(r#"{"type": "object", "required": ["done"]}"#);
    definition
}

/// Gives back what is not its trade.
fn knows(trade: &'static str) -> Behaviour {
    Box::new(move |assignment| {
        let objective = assignment["objective"].as_str().unwrap_or_default();
        vec![if objective.contains(trade) { Say::succeeded(json!({"done": true})) } else { Say::declined("not mine") }]
    })
}

struct Town {
    scratch: Scratch,
    tasks: Sender,
    completions: Topic,
    decisions: Topic,
    sent: usize,
}

impl Town {
    fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        scratch.apply();
        scratch
            .register_all(&[tradesman("Painter", "paint walls", "1.0.0"), tradesman("Plumber", "mend pipes", "1.0.0")]);
        let topic = |name: &str| Topic::open(scratch.stack, &scratch.topic(name));
        let (completions, decisions) = (topic("completions"), topic("routing-decisions"));
        let tasks = Sender::new(scratch.stack, Partitioner::Default);
        Self { scratch, tasks, completions, decisions, sent: 0 }
    }

    fn worker(&self, slot: &str, toml: &str) -> Worker {
        let quick = "[insights]\npublish_every = \"200ms\"\n";
        let mut worker = self.scratch.worker(slot).toml(quick).toml(toml).spawn();
        worker.ready(SOON);
        until("both may be chosen", SOON, || match worker.metric("baton_agents_eligible") {
            2.0 => Ok(()),
            seen => Err(seen.to_string()),
        });
        worker
    }

    /// Has these done; the first decision on each.
    #[track_caller]
    fn all_done(&mut self, tasks: &[(&str, &str)]) -> Vec<Record> {
        let topic = self.scratch.topic("tasks");
        let ids: Vec<String> = tasks.iter().enumerate().map(|(n, _)| format!("job-{}", self.sent + n)).collect();
        self.sent += tasks.len();
        let task = |((text, who), id): (&(&str, &str), &String)| {
            Send::to(&topic).key(id).json(&json!({ "taskId": id, "objective": text, "submittedBy": who }))
        };
        self.tasks.send_all(tasks.iter().zip(&ids).map(task));
        let done = |id: &String| {
            let done = self.completions.find(id, SOON, |record| record.text("taskId") == id);
            assert_eq!(done.text("outcome"), "SUCCEEDED", "{:#}", done.value);
            self.decisions.find(id, SOON, |one| one.text("taskId") == id && one.value["question"] == 1)
        };
        ids.iter().map(done).collect()
    }

    /// The like of what was confirmed, twelve times, so that each partition has some of it: who settled it for whom.
    #[track_caller]
    fn asked(&mut self) -> (BTreeSet<(String, String)>, BTreeSet<i32>) {
        let decisions = self.all_done(&[(LIKE_THEM, "somebody"); 12]);
        let how = decisions.iter().map(|one| (one.text("chosen").to_owned(), one.text("by").to_owned()));
        (how.collect(), decisions.iter().map(|one| one.partition).collect())
    }

    #[track_caller]
    fn goes_to(&mut self, agent: &str, by: &str) {
        let wanted = BTreeSet::from([(agent.to_owned(), by.to_owned())]);
        until(&format!("it goes to {agent} by {by}"), SOON, || match self.asked() {
            (how, partitions) if how == wanted && partitions.len() == 3 => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }

    /// The last record of each agent; null = deleted.
    fn remembered(&self) -> BTreeMap<String, Value> {
        let records = read_all(self.scratch.stack, &self.scratch.topic("examples"));
        records.into_iter().map(|record| (record.key.clone().unwrap_or_default(), record.value)).collect()
    }

    fn shown(&self, agent: &str) -> Value {
        self.scratch.baton(&["agents", "show", agent, "--format", "json"]).ok().json()[0].take()
    }
}

fn texts(record: &Value) -> Vec<&str> {
    let examples = record["examples"].as_array().map_or(&[][..], Vec::as_slice);
    examples.iter().filter_map(|example| example["text"].as_str()).collect()
}

#[test]
fn a_text_like_those_that_were_confirmed_is_plain_on_every_worker_until_the_agent_is_another() {
    let _turn = heavy();
    let mut town = Town::new("learning");
    let mut workers = vec![town.worker("a", "")];
    let _agents = Agents::start(&town.scratch, vec![("Painter", knows("paint")), ("Plumber", knows("water"))]);

    // By what the definitions say the first by name is as good as any.
    let people = ["ann", "bob", "cem", "dee", "eva", "fox"];
    let first: Vec<Record> = town.all_done(&FLOODS.into_iter().zip(people).collect::<Vec<_>>());
    assert!(first.iter().all(|one| one.text("chosen") == "Painter" && one.text("by") == "LOCAL"), "{first:#?}");
    let doubt = first[0].value["confidence"].as_f64().expect("a chance");
    // Whoever floods it gets a share. Of these nobody learns anything: they were plain, or nobody else was allowed.
    let flood: Vec<String> = (0..60).map(|n| format!("qqq{n} water {}\u{0}\u{202e}", "x".repeat(40 * n))).collect();
    town.all_done(&flood.iter().map(|text| (text.as_str(), "mallory")).collect::<Vec<_>>());
    town.all_done(&[("paint walls", "gil")]);
    town.goes_to("Plumber", "CLEAR_WINNER");
    let sure = town.all_done(&[(LIKE_THEM, "somebody")])[0].value["confidence"].as_f64().expect("a chance");
    assert!(sure > doubt, "{sure} is not more than {doubt}");

    let remembered = town.remembered();
    let plumber = &remembered["plumber"];
    assert!(texts(plumber).contains(&FLOODS[0]) && !remembered.contains_key("painter"), "{remembered:#?}");
    let of = |who: &str| {
        let examples = plumber["examples"].as_array().expect("a list");
        examples.iter().filter(|example| example["source"] == who).count()
    };
    assert!((1..=12).contains(&of("mallory")), "{plumber:#}");
    assert!(texts(plumber).iter().all(|text| text.chars().count() <= 500 && !text.contains(['\u{0}', '\u{202e}'])));
    assert_eq!(town.shown("Plumber")["examples"], texts(plumber).len());
    let told = town.scratch.baton(&["agents", "show", "Plumber"]).ok().stdout;
    assert!(told.contains("texts of tasks that it turned out to be right for"), "{told}");

    // Another worker, and then one that knows of it from the topic alone.
    workers.push(town.worker("b", ""));
    town.goes_to("Plumber", "CLEAR_WINNER");
    workers.iter_mut().for_each(Worker::kill9);
    workers = vec![town.worker("c", "")];
    let (how, _) = town.asked();
    assert_eq!(how, BTreeSet::from([("Plumber".to_owned(), "CLEAR_WINNER".to_owned())]), "at once after a restart");

    // It is another agent now: what the one before could do says nothing.
    town.scratch.register_all(&[tradesman("Plumber", "mend iron pipes", "1.1.0")]);
    until("the examples are deleted", SOON, || match &town.remembered()["plumber"] {
        Value::Null => Ok(()),
        record => Err(format!("{record:#}")),
    });
    assert_eq!(town.shown("Plumber")["examples"], 0);
    until("it is in doubt again", SOON, || match &town.all_done(&[("water, water everywhere", "hal")])[0] {
        one if one.text("by") == "LOCAL" => Ok(()),
        one => Err(format!("{:#}", one.value)),
    });

    // Who is not to learn deletes what was learned, and says nothing of what is asked for.
    until("something is remembered again", SOON, || {
        if town.remembered()["plumber"].is_null() { Err("nothing".to_owned()) } else { Ok(()) }
    });
    workers.iter_mut().for_each(Worker::kill9);
    let _worker = town.worker("d", "[routing]\nlearn = false\n");
    until("what was learned is deleted", SOON, || match &town.remembered()["plumber"] {
        Value::Null => Ok(()),
        record => Err(format!("{record:#}")),
    });
    let outcomes = || read_all(town.scratch.stack, &town.scratch.topic("agent-outcomes"));
    let before = outcomes().len();
    assert!(outcomes().iter().any(|one| !one.value["text"].is_null()), "there was something to learn");
    town.goes_to("Painter", "LOCAL");
    let outcomes = read_all(town.scratch.stack, &town.scratch.topic("agent-outcomes"));
    let mut by_assignment: BTreeMap<&str, &Record> = BTreeMap::new();
    by_assignment.extend(outcomes.iter().map(|one| (one.text("assignmentId"), one)));
    assert_eq!(by_assignment.len(), outcomes.len(), "one outcome of each assignment");
    assert!(outcomes.len() > before);
    let last = town.sent - 12..town.sent;
    let of_last = |one: &&Record| last.clone().any(|n| one.text("assignmentId").starts_with(&format!("job-{n}~")));
    let silent: Vec<&Record> = outcomes.iter().filter(of_last).collect();
    assert!(
        silent.len() >= 24 && silent.iter().all(|one| one.value["text"].is_null() && one.value["source"].is_null())
    );
    assert!(town.remembered()["plumber"].is_null(), "nothing is learned");
}

#[test]
fn what_was_expected_of_assignments_is_held_against_what_came_of_them() {
    let _turn = heavy();
    let mut town = Town::new("predictions");
    let worker = town.worker("a", "");
    let mut turn = 0;
    let sometimes: Behaviour = Box::new(move |_| {
        turn += 1;
        let slow = Duration::from_millis(if turn % 2 == 0 { 60 } else { 240 });
        vec![Say::succeeded(json!({"done": true})).after(slow)]
    });
    let _agents = Agents::start(&town.scratch, vec![("Painter", sometimes), ("Plumber", knows("water"))]);
    for _ in 0..8 {
        town.all_done(&[("paint walls", "ann"); 5]);
        std::thread::sleep(Duration::from_millis(500));
    }
    all_counted(&town.scratch);
    let outcomes = read_all(town.scratch.stack, &town.scratch.topic("agent-outcomes"));
    let number = |one: &Record, field: &str| one.value[field].as_f64();
    assert!(outcomes.iter().all(|one| number(one, "predictedSuccess").is_some()), "{outcomes:#?}");
    let (first, last) = (&outcomes[0], outcomes.iter().max_by_key(|one| one.value["at"].as_i64()).expect("there are"));
    assert_eq!((number(first, "predictedLatencyMs"), number(first, "predictedSuccess")), (None, Some(0.95)));
    let range =
        ["predictedLatencyLowMs", "predictedLatencyMs", "predictedLatencyHighMs"].map(|field| number(last, field));
    assert!(range[0] <= range[1] && range[1] <= range[2] && range[0] > Some(0.0), "{:#}", last.value);

    let health = &health(&town.scratch)["painter"]["prediction"];
    let (coverage, brier) = (&health["coverage"], &health["brier"]);
    assert!(
        coverage["mean"].as_f64().is_some_and(|share| share > 0.6) && coverage["weight"].as_f64() > Some(5.0),
        "{health:#}"
    );
    assert!(
        brier["mean"].as_f64().is_some_and(|score| score < 0.05) && brier["weight"].as_f64() > Some(5.0),
        "{health:#}"
    );
    assert_eq!(Some(worker.metric("baton_agent_prediction_coverage{agent=\"painter\"}")), coverage["mean"].as_f64());
    assert_eq!(Some(worker.metric("baton_agent_brier_score{agent=\"painter\"}")), brier["mean"].as_f64());
    let told = town.scratch.baton(&["agents", "show", "Painter"]).ok().stdout;
    assert!(told.contains("  predictions: ") && told.contains("Brier score 0.0"), "{told}");
}
