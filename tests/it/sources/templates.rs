//! Records in each of the forms that others write become tasks, and those come to an end.

use super::super::support::agents::{Agents, definition, works};
use super::super::support::{Gate, Scratch, Send, Topic, encode, get, register_schema, stack, until};
use super::{SOON, create, foreign, framed, register_json, sender};
use serde_json::{Value, json};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn scorer() -> Value {
    let mut agent = definition("Scorer", "scores leads");
    agent["input"]["contract"] = json!("lead");
    agent["output"]["contract"] = json!("score");
    agent
}

#[test]
fn json_framed_json_and_avro_become_tasks_that_run_to_their_end() {
    let scratch = Scratch::new("sources");
    scratch.apply().register(&[scorer()]);
    let (changes, avro) = (create(&scratch, "changes", 2, &[]), create(&scratch, "avro", 1, &[]));
    let schema = register_json(&scratch, &format!("{changes}-value"), &json!({ "type": "object" }));
    let person = json!({ "type": "record", "name": "Person", "fields": [
        { "name": "name", "type": "string" }, { "name": "company", "type": ["null", "string"], "default": null },
        { "name": "since", "type": { "type": "long", "logicalType": "timestamp-millis" } },
        { "name": "score", "type": "double" },
    ] });
    register_schema(scratch.stack, &format!("{avro}-value"), &person.to_string());
    let toml = format!(
        r#"
        [[sources]]
        topic = {changes:?}
        name = "changes"
        id = "/fullDocument/email"
        objective = "Qualify {{/fullDocument/name}} {{{{now}}}}"
        input = "/fullDocument"
        input_contract = "lead"
        type = "sales"
        priority = 8
        agents = ["Scorer"]
        labels = {{ region = "{{/fullDocument/region}}" }}
        [[sources]]
        topic = {avro:?}
        objective = "Look at {{/name}} of {{/company}}"
        input_contract = "lead"
        "#
    );
    let worker = scratch.worker("w").toml(&toml).start();
    let lead = |email: &str| json!({ "name": "Ada", "email": email, "region": "EU", "amount": 1.50 });
    let change = |email: &str| json!({ "operationType": "insert", "fullDocument": lead(email) });
    let seen = sender(&scratch).send_all([
        Send::to(&changes).partition(1).json(&change("ada-1")).header("traceparent", TRACE),
        Send::to(&changes).partition(0).bytes(framed(schema, &change("ada@2"))),
        // The same lead again is the same task.
        Send::to(&changes).partition(1).bytes(framed(schema, &change("ada-1"))),
        Send::to(&changes).partition(0).key("gone"),
        Send::to(&avro).bytes(encode(
            scratch.stack,
            &format!("{avro}-value"),
            &json!({ "name": "Grace", "company": "Navy", "since": 1_700_000_000_000_i64, "score": 0.5 }),
        )),
    ]);
    let agents = Agents::start(&scratch, vec![("Scorer", works(|lead| json!({ "scored": lead["name"] })))]);
    let mut completions = Topic::open(scratch.stack, &scratch.topic("completions"));
    for ended in completions.count(3, SOON) {
        assert_eq!(ended.text("outcome"), "SUCCEEDED", "{:#}", ended.value);
    }
    let mut tasks = Topic::open(scratch.stack, &scratch.topic("tasks"));
    tasks.count(4, SOON);
    let tasks = tasks.settle();
    let one = tasks.iter().find(|task| task.text("taskId") == "ada-1").expect("its id is a task's as it is");
    assert_eq!((one.text("objective"), one.text("type")), ("Qualify Ada {now}", "sales"));
    assert_eq!(one.text("input"), r#"{"amount":1.5,"email":"ada-1","name":"Ada","region":"EU"}"#);
    assert_eq!((one.text("inputContract"), &one.value["priority"]), ("lead", &json!(8)));
    assert_eq!((&one.value["agents"], &one.value["labels"]), (&json!(["Scorer"]), &json!({ "region": "EU" })));
    let place = format!("{changes}/1/{}", seen[0].1);
    assert_eq!((one.header("baton.source"), one.header("traceparent")), (place.as_str(), TRACE));
    assert_eq!((one.header("ce_type"), one.key.as_deref()), ("io.baton.v1.TaskSubmitted", Some("ada-1")));
    assert!(tasks.iter().any(|task| task.text("taskId").starts_with("ada-2.")), "an id of other letters is mapped");
    let of_avro = tasks.iter().find(|task| task.text("taskId") == format!("{avro}-0-{}", seen[4].1)).expect("by place");
    assert_eq!(of_avro.text("objective"), "Look at Grace of Navy");
    let input: Value = serde_json::from_str(of_avro.text("input")).expect("it is JSON");
    assert_eq!(input, json!({ "name": "Grace", "company": "Navy", "since": "2023-11-14T22:13:20Z", "score": 0.5 }));

    let counted =
        |outcome: &str| worker.metric(&format!("baton_sources_total{{source=\"changes\",outcome=\"{outcome}\"}}"));
    until("what became of them is counted", SOON, || match (counted("task"), counted("skipped"), counted("dead")) {
        (3.0, 1.0, 0.0) => Ok(()),
        seen => Err(format!("{seen:?}")),
    });
    until("the lead handed in twice is one task", SOON, || {
        match worker.metric("baton_inputs_total{topic=\"tasks\",outcome=\"duplicate\"}") {
            1.0 => Ok(()),
            seen => Err(seen.to_string()),
        }
    });
    assert_eq!(completions.settle().len(), 3);
    agents.stop();
}

#[test]
fn a_topic_that_is_missing_and_a_registry_that_is_away_are_waited_for() {
    let (gate, url) = Gate::before(&stack().registry);
    let scratch = Scratch::new("waits").with_registry(&url);
    scratch.apply();
    let topic = foreign(&scratch, "later");
    let toml = format!("[[sources]]\ntopic = {topic:?}\nname = \"later\"\nobjective = \"{{/x}}\"\nfrom = \"latest\"\n");
    let mut worker = scratch.worker("w").toml(&toml).spawn();
    let says = |what: &str| {
        until(&format!("/readyz says {what}"), SOON, || match get(&worker.url("/readyz")) {
            Ok((503, body)) if body.contains(what) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    };
    says(&format!("not there: {topic}"));
    create(&scratch, "later", 1, &[]);
    worker.ready(SOON);
    let sender = sender(&scratch);
    // A registry that answers has been asked about this schema by nobody yet.
    let schema = register_json(&scratch, &format!("{topic}-value"), &json!({ "title": scratch.prefix }));
    gate.shut();
    sender.send_all([
        Send::to(&topic).json(&json!({ "x": "first" })),
        Send::to(&topic).bytes(framed(schema, &json!({ "x": "second" }))),
        Send::to(&topic).json(&json!({ "x": "third" })),
    ]);
    until("it waits for the registry", SOON, || match get(&worker.url("/readyz")) {
        Ok((503, body)) if body.contains("source later") && body.contains("registry") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    gate.open();
    let mut tasks = Topic::open(scratch.stack, &scratch.topic("tasks"));
    let said: Vec<String> = {
        tasks.count(3, SOON);
        let mut all: Vec<_> = tasks.settle().iter().map(|task| task.text("objective").to_owned()).collect();
        all.sort();
        all
    };
    assert_eq!(said, ["first", "second", "third"]);
    assert!(Topic::open(scratch.stack, &scratch.topic("sources.dlq")).settle().is_empty());
    worker.ready(SOON);
}
