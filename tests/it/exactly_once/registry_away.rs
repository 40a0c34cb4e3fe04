//! The registry away: at start it is waited for, in flight what needs it is held in its place. Nothing is a dead letter
//! because somebody does not answer.

use super::super::support::agents::Agents;
use super::super::support::{
    Gate, Partitioner, Scratch, Send, Sender, Topic, encode, get, heavy, register_schema, stack, until,
};
use super::audit::audit;
use super::{SOON, by_contract, echoes, prepare, register, submit, task};
use serde_json::{Value, json};

fn gated(name: &str, partitions: i32) -> (Gate, Scratch) {
    let (gate, url) = Gate::before(&stack().registry);
    let scratch = Scratch::new(name).with_registry(&url);
    prepare(&scratch, partitions);
    register(&scratch, &[by_contract("Echo", "lead", "mail")]);
    (gate, scratch)
}

#[test]
fn away_at_start_it_is_waited_for() {
    let _turn = heavy();
    let (gate, scratch) = gated("away", 1);
    gate.shut();
    submit(&scratch, &[task("t", "lead")]);
    let mut worker = scratch.worker("a").spawn();
    until("it says what it waits for", SOON, || match get(&worker.url("/readyz")) {
        Ok((503, body)) if body.contains("registry") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert!(worker.runs());
    gate.open();
    worker.ready(SOON);
    let agents = Agents::start(&scratch, vec![("Echo", echoes())]);
    Topic::open(scratch.stack, &scratch.topic("completions")).count(1, SOON);
    agents.stop();
    let found = audit(&scratch, &["echo"]);
    assert_eq!((found.completions["t"].text("outcome"), found.dead_letters.len()), ("SUCCEEDED", 0));
}

/// Tasks of a newer producer: one field more than this build knows, so the schema's id is new to it.
fn newer_task(scratch: &Scratch, id: &str) -> Vec<u8> {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/TaskSubmitted.avsc");
    let mut schema: Value = serde_json::from_str(&std::fs::read_to_string(file).expect("it is there")).expect("JSON");
    let more = json!({ "name": "fromTheFuture", "type": ["null", "string"], "default": null, "doc": &scratch.prefix });
    schema["fields"].as_array_mut().expect("a record has fields").push(more);
    let subject = format!("{}-value", scratch.topic("newer-tasks"));
    register_schema(scratch.stack, &subject, &schema.to_string());
    let mut value = json!({
        "taskId": id, "objective": "as the test says", "input": "{\"id\":1}", "inputContract": "lead",
        "fromTheFuture": "more",
    });
    for field in schema["fields"].as_array().expect("a record has fields") {
        let name = field["name"].as_str().expect("a field has a name");
        if value.get(name).is_none() {
            value[name] = field["default"].clone();
        }
    }
    encode(scratch.stack, &subject, &value)
}

#[test]
fn away_in_flight_an_unknown_schema_pauses_its_partition_and_nothing_else() {
    let _turn = heavy();
    let (gate, scratch) = gated("in-flight", 1);
    let newer = newer_task(&scratch, "newer");
    let worker = scratch.worker("a").start();
    let agents = Agents::start(&scratch, vec![("Echo", echoes())]);
    let mut completions = Topic::open(scratch.stack, &scratch.topic("completions"));
    let mut assignments = Topic::open_all(scratch.stack, &[scratch.topic("assignments.echo")], SOON);
    submit(&scratch, &[task("before", "lead")]);
    completions.count(1, SOON);
    gate.shut();
    let tasks = scratch.topic("tasks");
    Sender::new(scratch.stack, Partitioner::Default).send(Send::to(&tasks).key("newer").bytes(newer));
    submit(&scratch, &[task("behind", "lead")]);
    until("it says what it waits for", SOON, || match get(&worker.url("/readyz")) {
        Ok((503, body)) if body.contains("schema") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    // A report is no task: it is taken meanwhile, and refused as one of a task nobody knows would be.
    let stale = || worker.metric("baton_inputs_total{topic=\"agent-status\",outcome=\"stale\"}");
    let (seen, report) = (stale(), assignments.count(1, SOON)[0].clone());
    let late = json!({ "taskId": "before", "assignmentId": report.value["assignmentId"], "agentName": "Echo", "status": "SUCCEEDED" });
    Sender::new(scratch.stack, Partitioner::Default)
        .send(Send::to(&scratch.topic("agent-status")).key("before").json(&late));
    until("reports flow", SOON, || if stale() > seen { Ok(()) } else { Err(stale().to_string()) });
    assert_eq!(audit(&scratch, &["echo"]).dead_letters.len(), 0, "nothing is a dead letter while it is away");
    assert_eq!(completions.settle().len(), 1, "what is behind waits in its order");
    gate.open();
    completions.count(3, SOON);
    agents.stop();
    let found = audit(&scratch, &["echo"]);
    assert_eq!((found.completions["newer"].text("outcome"), found.completions.len()), ("SUCCEEDED", 3));
    assert_eq!(found.dead_letters.len(), 0);
}
