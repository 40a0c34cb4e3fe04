//! Those who submit tasks: sound ones, the same twice, others under the same id, and rubbish.

use super::agents::{self, SIZES};
use super::world::World;
use super::{people, plans};
use baton::worker::Outgoing;
use serde_json::{Value, json};

#[derive(Debug, Default)]
pub(crate) struct Client {
    /// By when they are sent.
    sending: Vec<(i64, Outgoing)>,
    /// Ids of tasks whose completion somebody waits for.
    pub(crate) expects: Vec<String>,
}

impl Client {
    pub(crate) fn is_idle(&self) -> bool {
        self.sending.is_empty()
    }
}

/// Thinks up what is to be submitted during the run.
pub(crate) fn plan(world: &World) {
    let dice = &world.dice;
    for number in 0..4 + dice.pick(12) {
        let id = format!("t-{}-{number}", world.seed);
        let at = dice.millis(0, 15_000);
        let task = task(world, &id, at);
        put(world, at, &id, bytes(&task));
        world.client.borrow_mut().expects.push(id.clone());
        people::meddle(world, &id, at);
        if dice.percent(25) {
            world.occurred("task twice");
            put(world, at + dice.millis(0, 25_000), &id, bytes(&task));
        }
        if dice.percent(8) {
            world.occurred("task with other content");
            let mut other = task.clone();
            other["objective"] = json!("something else");
            put(world, at + dice.millis(0, 9_000), &id, bytes(&other));
        }
        if dice.percent(12) {
            world.occurred("rubbish");
            let rubbish = *dice.one::<&[u8]>(&[b"", b"hello", b"{\"taskId\":7}", b"\0\0\0\0\x01zz", b"{\"objective\""]);
            put(world, dice.millis(0, 15_000), &id, rubbish.to_vec());
        }
    }
    world.client.borrow_mut().sending.sort_by_key(|(due, _)| *due);
}

fn task(world: &World, id: &str, at: i64) -> Value {
    let dice = &world.dice;
    let label = *dice.one(&["raw", "raw", "raw", "checked", "scored", "doc", "table", "unheard-of"]);
    let mut size = *dice.one(&SIZES);
    let mut task = json!({ "taskId": id, "objective": "do what can be done", "inputContract": label });
    task["priority"] = json!(dice.pick(10));
    match dice.pick(26) {
        0 => {
            world.occurred("task refused");
            task["priority"] = json!(12);
        }
        1 => task["limits"] = json!({ "maxHops": 1 }),
        2 => task["agents"] = json!([agents::names().nth(dice.pick(6))]),
        3 => task["deadline"] = json!(world.wall_at(at) + dice.millis(-100, 6_000)),
        4 => {
            // Fits where it is sent to, and not with one header more.
            size = 5_000;
            task["objective"] = json!("y".repeat(2_600));
        }
        5 => {
            world.occurred("task too large");
            size = 6_500;
        }
        6 => task["limits"] = json!({ "maxAttempts": 1 + dice.pick(4) }),
        7 => task["limits"] = json!({ "maxTokens": dice.pick(200) }),
        8 => task["limits"] = json!({ "maxCostMicros": dice.pick(40) }),
        9 | 10 => task["notBefore"] = json!(world.wall_at(at) + dice.millis(-100, 6_000)),
        11 | 12 => task["requireApproval"] = json!(true),
        _ => {}
    }
    let plan = match dice.pick(20) {
        0..6 => Some(plans::sound(dice)),
        6 => {
            world.occurred("plan faulty");
            Some(plans::faulty(dice))
        }
        7..10 => {
            task["mode"] = json!("PLAN");
            None
        }
        _ => None,
    };
    if let Some(plan) = plan {
        // Its first step takes this.
        task["inputContract"] = json!(if plan[0].step_id == "read" { "doc" } else { "raw" });
        task["plan"] = json!(plan);
    }
    if dice.percent(50) {
        task["onStepFailure"] = json!("CONTINUE");
    }
    task["input"] = json!("x".repeat(size));
    task
}

fn bytes(task: &Value) -> Vec<u8> {
    serde_json::to_vec(task).expect("it is JSON")
}

fn put(world: &World, at: i64, id: &str, value: Vec<u8>) {
    let large = value.len() > 7_500;
    let outgoing = world.to("tasks", id, Some(value));
    if large && outgoing.partition != agents::home(id, world.partitions) {
        world.occurred("record outgrown");
    }
    world.client.borrow_mut().sending.push((at, outgoing));
}

/// Sends what is due; whether anything was.
pub(crate) fn act(world: &World) -> bool {
    let now = world.time();
    let mut client = world.client.borrow_mut();
    let due = client.sending.iter().take_while(|(due, _)| *due <= now).count();
    for (_, record) in client.sending.drain(..due) {
        world.note(|| {
            let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
            format!("client submits {key} to {}", record.partition)
        });
        world.broker.borrow_mut().append(&record, world.wall());
    }
    due > 0
}
