//! People: they see what is asked of them and say something, rightly or wrongly, now or never.

use super::agents;
use super::world::{PREFIX, World};
use baton::contract::{FactType, TaskEvents};
use baton::worker::Outgoing;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(crate) struct People {
    positions: BTreeMap<usize, i64>,
    /// Commands on their way, by when they are sent.
    sending: Vec<(i64, Outgoing, String)>,
    commands: u64,
    /// Tasks that were retried: once is enough.
    retried: BTreeSet<String>,
}

impl People {
    pub(crate) fn is_idle(&self) -> bool {
        self.sending.is_empty()
    }
}

/// Thinks up commands that nothing gave a reason for; `at` is when their task is submitted.
pub(crate) fn meddle(world: &World, task_id: &str, at: i64) {
    let dice = &world.dice;
    if dice.percent(15) {
        let before = dice.percent(30);
        let due = if before { (at - dice.millis(0, 4_000)).max(0) } else { at + dice.millis(0, 20_000) };
        let symbol = *dice.one(&["CANCEL", "PAUSE", "PAUSE", "PAUSE", "RESUME", "REASSIGN", "APPROVE", "REJECT"]);
        if before {
            world.occurred("command before its task");
        }
        command(world, due, task_id, symbol, None);
        if symbol == "PAUSE" && dice.percent(80) {
            command(world, due + dice.millis(0, 8_000), task_id, "RESUME", None);
        }
    }
    if dice.percent(3) {
        world.occurred("command on nobody");
        command(world, dice.millis(0, 20_000), "t-unheard-of", "PAUSE", None);
    }
    if dice.percent(3) {
        world.occurred("command rubbish");
        let rubbish = *dice.one(&["", "{}", "{\"taskId\":\"t-1\",\"command\":\"SNOOZE\"}", "\0\0\0\0\u{1}zz"]);
        let outgoing = world.to("task-commands", task_id, Some(rubbish.as_bytes().to_vec()));
        world.people.borrow_mut().sending.push((dice.millis(0, 20_000), outgoing, "rubbish".to_owned()));
    }
}

fn command(world: &World, at: i64, task_id: &str, symbol: &str, step_id: Option<&str>) {
    let dice = &world.dice;
    let number = {
        let mut people = world.people.borrow_mut();
        people.commands += 1;
        people.commands
    };
    let mut command = json!({ "taskId": task_id, "command": symbol, "actor": "somebody" });
    if dice.percent(90) {
        command["commandId"] = json!(format!("c-{number}"));
    }
    if let Some(step_id) = step_id.filter(|_| dice.percent(70)) {
        command["stepId"] = json!(if dice.percent(95) { step_id } else { "nowhere" });
    }
    match symbol {
        "ANSWER" => command["value"] = json!("forty-two"),
        "REASSIGN" if dice.percent(70) => {
            let names: Vec<_> = agents::names().chain(["Nobody"]).collect();
            command["agentName"] = json!(dice.one(&names));
        }
        _ => {}
    }
    put(world, at, task_id, symbol, &command);
    if dice.percent(10) {
        world.occurred("command twice");
        put(world, at + dice.millis(0, 5_000), task_id, symbol, &command);
    }
}

fn put(world: &World, at: i64, task_id: &str, symbol: &str, command: &Value) {
    let value = serde_json::to_vec(command).expect("it is JSON");
    let outgoing = world.to("task-commands", task_id, Some(value));
    let words = format!("somebody says {symbol} of {task_id}");
    world.people.borrow_mut().sending.push((at, outgoing, words));
}

/// What is due is said, or what happened is read; whether anything was done.
pub(crate) fn act(world: &World) -> bool {
    let now = world.time();
    let due = {
        let sending = &mut world.people.borrow_mut().sending;
        sending.iter().position(|(due, ..)| *due <= now).map(|place| sending.swap_remove(place))
    };
    if let Some((_, record, words)) = due {
        world.note(|| words);
        world.broker.borrow_mut().append(&record, world.wall());
        return true;
    }
    let read = read(world);
    let any = !read.is_empty();
    for events in &read {
        for fact in &events.facts {
            see(world, &events.task_id, fact.kind, fact.step_id.as_deref());
        }
    }
    any
}

fn read(world: &World) -> Vec<TaskEvents> {
    let mut found = Vec::new();
    let broker = world.broker.borrow();
    let topic = &broker.topics[&format!("{PREFIX}.task-events")];
    for (number, log) in topic.partitions.iter().enumerate() {
        let mut people = world.people.borrow_mut();
        let position = people.positions.entry(number).or_default();
        for kept in log.committed(*position) {
            let value = kept.value.as_deref().unwrap_or_default();
            found.push(world.codec.decode(value).expect("events are what their schema says"));
            *position = kept.offset + 1;
        }
    }
    found
}

/// Somebody may have to say something, and mostly does.
fn see(world: &World, task_id: &str, kind: FactType, step_id: Option<&str>) {
    let dice = &world.dice;
    let soon = world.time() + dice.millis(0, 6_000);
    match kind {
        FactType::ApprovalRequested if dice.percent(85) => {
            let symbol = if dice.percent(85) { "APPROVE" } else { "REJECT" };
            command(world, soon, task_id, symbol, step_id);
        }
        FactType::InputRequested if dice.percent(80) => command(world, soon, task_id, "ANSWER", step_id),
        // Some ask for approval of the task as a whole.
        FactType::TaskAccepted if dice.percent(25) => {
            command(world, soon, task_id, if dice.percent(80) { "APPROVE" } else { "REJECT" }, None);
        }
        FactType::StepAssigned if dice.percent(2) => command(world, soon, task_id, "REASSIGN", step_id),
        FactType::TaskEnded if dice.percent(20) && world.people.borrow_mut().retried.insert(task_id.to_owned()) => {
            command(world, soon, task_id, "RETRY", None);
        }
        _ => {}
    }
}
