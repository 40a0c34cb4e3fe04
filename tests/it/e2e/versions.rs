//! Versions of one agent: several majors side by side, and what one may not break of the one before.

use super::super::support::agents::{Agents, definition, silent, works};
use super::super::support::{Scratch, Send, Sender, until};
use super::*;

/// `Reader` in this version, with its contracts.
fn reader(version: &str, takes: &Value, gives: &str) -> Value {
    let mut definition = definition("Reader", "reads letters");
    definition["version"] = json!(version);
    definition["input"]["contract"] = takes.clone();
    definition["output"]["contract"] = json!(gives);
    definition
}

/// An object with these fields.
fn letter(required: &[&str]) -> Value {
    json!(json!({ "type": "object", "required": required }).to_string())
}

fn task(id: &str, input: Value) -> Value {
    json!({ "taskId": id, "objective": "read it", "input": input })
}

#[test]
fn new_work_goes_to_the_newest_major_that_takes_it_and_the_old_one_ends_what_it_has() {
    let scratch = Scratch::new("majors");
    scratch.apply().register(&[reader("1.4.0", &letter(&["text"]), "any")]);
    let worker = scratch.worker("w").start();
    eligible(&worker, 1);
    let mut told = Told::of(&scratch);

    submit(&scratch, &[task("old", json!({ "text": "a" }))]);
    let decided = told.decision("old", 1);
    assert_eq!((&decided["chosen"], &decided["candidates"][0]["version"]), (&json!("Reader"), &json!("1.4.0")));

    scratch.register(&[reader("2.0.0", &letter(&["text", "from"]), "any")]);
    eligible(&worker, 2);
    let agents =
        Agents::start(&scratch, vec![("reader", silent()), ("reader.v2", works(|input| json!({ "v2": input })))]);
    submit(&scratch, &[task("new", json!({ "text": "a", "from": "b" })), task("narrow", json!({ "text": "a" }))]);

    // Both take the first, and the newest gets it; the second is for the old one alone.
    told.ended("new", "SUCCEEDED", "completed");
    let decided = told.decision("new", 1);
    let version = |record: &Record| (record.topic.clone(), record.text("agentVersion").to_owned());
    let assigned = |task: &str| {
        until(&format!("{task} is assigned"), SOON, || match &agents.of(task)[..] {
            [one] => Ok(version(one)),
            other => Err(format!("{other:?}")),
        })
    };
    assert_eq!(assigned("new"), (scratch.topic("assignments.reader.v2"), "2.0.0".to_owned()));
    assert_eq!(assigned("narrow"), (scratch.topic("assignments.reader"), "1.4.0".to_owned()));
    let drained = items(&decided, "candidates").iter().find(|it| it["version"] == "1.4.0").cloned().unwrap_or_default();
    assert_eq!(drained["excluded"], "new work goes to its version 2.0.0", "{decided:#}");

    // What the old one has ends there.
    let old = agents.of("old").pop().expect("it is assigned").value;
    assert_eq!(old["agentVersion"], "1.4.0");
    let ids = ["taskId", "assignmentId", "agentName"].map(|field| (field.to_owned(), old[field].clone()));
    let mut said: serde_json::Map<String, Value> = ids.into_iter().collect();
    said.insert("status".to_owned(), json!("SUCCEEDED"));
    said.insert("output".to_owned(), json!({ "v1": true }));
    report(&scratch, &[Value::Object(said)]);
    told.ended("old", "SUCCEEDED", "completed");

    let listed = scratch.baton(&["agents", "list", "--format", "json"]).ok().json();
    let seen: Vec<_> = listed.as_array().expect("a list").iter().map(|it| (&it["topicName"], &it["newWork"])).collect();
    let wanted = [(json!("reader"), json!("what 2.0.0 does not take")), (json!("reader.v2"), json!("yes"))];
    assert_eq!(seen, wanted.iter().map(|(topic, work)| (topic, work)).collect::<Vec<_>>());
    agents.stop();
}

#[test]
fn a_version_that_breaks_what_the_one_before_promised_is_refused_and_one_that_slips_in_is_never_chosen() {
    let scratch = Scratch::new("breaks");
    scratch.apply().register(&[reader("1.0.0", &letter(&["text"]), "letter")]);
    let worker = scratch.worker("w").start();
    eligible(&worker, 1);

    let narrower = reader("1.1.0", &letter(&["text", "from"]), "page");
    let file = scratch.dir().join("narrower.json");
    std::fs::write(&file, narrower.to_string()).expect("a file");
    let file = file.to_str().expect("a path");
    let refused = scratch.baton(&["agents", "register", file]).code(2);
    for part in ["input.contract", "required", "output.contract", "version 2.0.0", "--force"] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }

    // Whoever writes to the topic by itself is judged all the same, by workers and by commands.
    let record = Send::to(&scratch.topic("agents")).key("reader").json(&narrower);
    Sender::new(scratch.stack, Partitioner::Default).send_all([record]);
    until("the definition is refused", SOON, || match worker.metric("baton_agents_faulty") {
        1.0 => Ok(()),
        other => Err(other.to_string()),
    });
    let listed = scratch.baton(&["agents", "list", "--format", "json"]).ok().json();
    assert!(listed[0]["fault"].as_str().unwrap_or_default().contains("input.contract"), "{listed:#}");
    let linted = scratch.baton(&["agents", "lint", "--format", "json"]).code(1).json();
    assert_eq!((&linted[0]["rule"], &linted[0]["severity"]), (&json!("definition"), &json!("fault")));

    // One that keeps the promise takes its place again; forced, the other one does too.
    scratch.register(&[reader("1.1.0", &letter(&[]), "letter")]);
    eligible(&worker, 1);
    scratch.baton(&["agents", "register", "--force", file]).ok();
    until("the forced definition is there", SOON, || {
        let listed = scratch.baton(&["agents", "list", "--contract", "page", "--format", "json"]).ok().json();
        if listed[0]["newWork"] == "yes" { Ok(()) } else { Err(listed.to_string()) }
    });
    assert_eq!(worker.metric("baton_agents_faulty"), 0.0);
}
