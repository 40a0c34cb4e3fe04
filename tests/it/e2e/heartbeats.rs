//! What signs of life are good for: who is silent gets nothing new, and who says how much it takes gets no more.

use super::super::support::agents::{Agents, definition, silent, works};
use super::super::support::{Scratch, Worker, until};
use super::*;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// An instance, and the capacity it says.
type Pulse = ((&'static str, &'static str), i64);

/// Repeats what each instance said last, until it is hushed.
struct Hearts {
    topic: String,
    sender: Sender,
    beating: Mutex<Vec<Pulse>>,
}

impl Hearts {
    /// Said now and from then on. Sent under the lock: nothing older is repeated behind it.
    fn say(&self, agent: &'static str, instance: &'static str, capacity: i64) {
        let mut beating = self.beating.lock().unwrap_or_else(PoisonError::into_inner);
        let pulse = ((agent, instance), capacity);
        beating.retain(|other| other.0 != pulse.0);
        beating.push(pulse);
        self.send(&[pulse]);
    }

    fn hush(&self, agent: &str) {
        self.beating.lock().unwrap_or_else(PoisonError::into_inner).retain(|((name, _), _)| *name != agent);
    }

    fn repeat(&self) {
        self.send(&self.beating.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn send(&self, pulses: &[Pulse]) {
        self.sender.send_all(pulses.iter().map(|((agent, instance), capacity)| {
            let beat = json!({ "agentName": agent, "instance": instance, "capacity": capacity });
            Send::to(&self.topic).key(agent).json(&beat)
        }));
    }
}

struct Office {
    scratch: Scratch,
    agents: Agents,
    hearts: Arc<Hearts>,
    _worker: Worker,
}

/// One worker that holds all partitions.
fn office() -> &'static Office {
    static OFFICE: OnceLock<Office> = OnceLock::new();
    OFFICE.get_or_init(|| {
        let scratch = Scratch::new("heartbeats");
        let names = ["Fitful", "Herald", "Wordless", "Narrow", "Steady", "Growing"];
        let mut definitions = names.map(|name| definition(name, "does what is asked"));
        definitions[3]["maxConcurrency"] = json!(1);
        scratch.apply().register_all(&definitions);
        let worker = scratch.worker("w").toml("[worker]\nheartbeat_timeout = \"3s\"").start();
        let behaviour = |name: &'static str| match name {
            "Narrow" | "Steady" | "Growing" => (name, silent()),
            _ => (name, works(Value::clone)),
        };
        let agents = Agents::start(&scratch, names.map(behaviour).into());
        eligible(&worker, 6);
        let (topic, sender) = (scratch.topic("heartbeats"), Sender::new(scratch.stack, Partitioner::Default));
        let hearts = Arc::new(Hearts { topic, sender, beating: Mutex::default() });
        let beating = Arc::clone(&hearts);
        std::thread::spawn(move || {
            loop {
                beating.repeat();
                std::thread::sleep(Duration::from_millis(500));
            }
        });
        Office { scratch, agents, hearts, _worker: worker }
    })
}

fn task(id: &str, agents: &[&str]) -> Value {
    json!({ "taskId": id, "objective": "do it", "input": 1, "agents": agents })
}

/// Gives the agent tasks until one of them is not given to it since its heartbeats have stopped; that one.
#[track_caller]
fn until_silent(scratch: &Scratch, told: &mut Told, agent: &str) -> String {
    let mut number = 0;
    until(&format!("{agent} is silent"), SOON, || {
        number += 1;
        let id = format!("{agent}-{number}");
        submit(scratch, &[task(&id, &[agent])]);
        let decision = told.decision(&id, 1);
        let candidate = items(&decision, "candidates").iter().find(|candidate| candidate["agentName"] == agent);
        let excluded = candidate.expect("every agent is one")["excluded"].clone();
        if excluded == "its heartbeats have stopped" {
            assert_eq!(decision["choice"], "NONE");
            return Ok(id);
        }
        std::thread::sleep(Duration::from_millis(500));
        Err(excluded.to_string())
    })
}

/// The agent does the first thing it was given.
#[track_caller]
fn does_its_first(scratch: &Scratch, told: &mut Told, agents: &Agents, agent: &str) {
    let had = agents.seen().into_iter().find(|record| record.text("agentName") == agent).expect("it was given one");
    let mut said = json!({ "status": "SUCCEEDED", "output": 1 });
    for field in ["taskId", "assignmentId", "agentName"] {
        said[field] = had.value[field].clone();
    }
    report(scratch, &[said]);
    told.ended(had.text("taskId"), "SUCCEEDED", "completed");
}

#[test]
fn an_agent_whose_heartbeats_stop_gets_nothing_new_until_they_come_again() {
    let Office { scratch, agents, hearts, .. } = office();
    let mut told = Told::of(scratch);
    hearts.say("Fitful", "one", 4);
    submit(scratch, &[task("alive", &["Fitful"])]);
    told.ended("alive", "SUCCEEDED", "completed");
    hearts.hush("Fitful");
    let waits = until_silent(scratch, &mut told, "Fitful");
    submit(scratch, &[task("another", &["Fitful", "Wordless"])]);
    let ended = told.ended("another", "SUCCEEDED", "completed");
    assert_eq!(items(&ended, "steps")[0]["agentName"], "Wordless", "who never sent any counts as alive");
    assert!(agents.of(&waits).is_empty(), "{waits} was given to an agent that is silent");
    hearts.say("Fitful", "another", 4);
    told.ended(&waits, "SUCCEEDED", "completed");
}

/// How many assignments the agent was given.
fn given(agents: &Agents, agent: &str) -> usize {
    agents.seen().iter().filter(|record| record.text("agentName") == agent).count()
}

#[track_caller]
fn until_given(agents: &Agents, agent: &str, count: usize) {
    until(&format!("{agent} is given {count}"), SOON, || match given(agents, agent) {
        seen if seen == count => Ok(()),
        seen => Err(seen.to_string()),
    });
}

#[test]
fn an_agent_gets_twice_what_its_heartbeats_say_it_takes_and_nothing_when_it_leaves() {
    let Office { scratch, agents, hearts, .. } = office();
    let mut told = Told::of(scratch);
    hearts.say("Herald", "one", 1);
    hearts.hush("Herald");
    let waits = until_silent(scratch, &mut told, "Herald");
    hearts.say("Steady", "one", 1);
    hearts.say("Growing", "one", 1);
    hearts.say("Herald", "one", 1);
    // One topic of one partition: who has read the last has read them all.
    told.ended(&waits, "SUCCEEDED", "completed");

    let tasks = |name: &'static str| (0..8).map(move |n| task(&format!("{}-{n}", name.to_lowercase()), &[name]));
    let all: Vec<Value> = tasks("Steady").chain(tasks("Growing")).collect();
    submit(scratch, &all);
    let mut chosen = vec![];
    for task in &all {
        let decision = told.decision(task["taskId"].as_str().expect("it was just given"), 1);
        chosen.extend(decision["chosen"].as_str().map(str::to_owned));
    }
    chosen.sort_unstable();
    assert_eq!(chosen, ["Growing", "Growing", "Steady", "Steady"]);
    hearts.say("Growing", "one", 3);
    until_given(agents, "Growing", 6);
    assert_eq!(given(agents, "Steady"), 2);

    hearts.say("Steady", "one", 0);
    hearts.say("Growing", "two", 1);
    until_given(agents, "Growing", 8);
    does_its_first(scratch, &mut told, agents, "Steady");
    submit(scratch, &[task("late", &["Steady"])]);
    assert_eq!(told.decision("late", 1)["choice"], "NONE");
    assert_eq!(given(agents, "Steady"), 2, "it finishes what it has, and leaves");
    hearts.say("Steady", "two", 1);
    until_given(agents, "Steady", 3);
}

#[test]
fn who_waits_in_line_for_an_agent_that_falls_silent_keeps_its_place() {
    let Office { scratch, agents, hearts, .. } = office();
    let mut told = Told::of(scratch);
    hearts.say("Narrow", "one", 4);
    let mut urgent = task("line-2", &["Narrow"]);
    urgent["priority"] = json!(9);
    submit(scratch, &[task("line-0", &["Narrow"])]);
    until_given(agents, "Narrow", 1);
    submit(scratch, &[task("line-1", &["Narrow"]), urgent]);
    hearts.hush("Narrow");
    until_silent(scratch, &mut told, "Narrow");
    does_its_first(scratch, &mut told, agents, "Narrow");
    submit(scratch, &[task("line-3", &["Narrow"])]);
    told.decision("line-3", 1);
    assert_eq!((told.decisions("line-1").len(), told.decisions("line-2").len()), (1, 1), "nobody is asked again");
    hearts.say("Narrow", "one", 4);
    until_given(agents, "Narrow", 2);
    assert_eq!(agents.of("line-2").len(), 1, "the urgent one is next");
}
