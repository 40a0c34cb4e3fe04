//! Tasks from any client: kcat, librdkafka with its own partitioner and with Java's, with and without key and id; and
//! what all of them can read back.

use super::super::support::agents::{Agents, always, definition, silent, works};
use super::super::support::reaper::Kept;
use super::super::support::{Partitioner, Record, Scratch, Send, Sender, Topic, Worker, encode, read_all, until};
use super::*;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

struct Office {
    scratch: Scratch,
    _worker: Worker,
    agents: Agents,
}

/// One worker for all tests here: an agent that takes anything, three that contracts put in a row, and one that the
/// test answers for.
fn office() -> &'static Office {
    static OFFICE: OnceLock<Office> = OnceLock::new();
    OFFICE.get_or_init(|| {
        let scratch = Scratch::new("clients");
        let word_counter = std::fs::read_to_string(example("agent.json")).expect("the example is in the repository");
        let word_counter = serde_json::from_str(&word_counter).expect("it is JSON");
        scratch.apply().register_all(&[
            definition("Greeter", "greets people by their name"),
            between("Reader", "mail", "letter"),
            between("Scorer", "letter", "score"),
            between("Writer", "score", "answer"),
            definition("Scribe", "writes things down"),
            word_counter,
        ]);
        let worker = scratch.worker("w").start();
        let agents = Agents::start(
            &scratch,
            vec![
                ("Greeter", works(|input| json!({ "greeted": input }))),
                ("Reader", works(|input| json!({ "read": input }))),
                ("Scorer", works(|input| json!({ "scored": input }))),
                ("Writer", always(super::super::support::agents::Say::succeeded(json!({ "answer": 42 })))),
                ("Scribe", silent()),
            ],
        );
        eligible(&worker, 6);
        Office { scratch, _worker: worker, agents }
    })
}

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(file)
}

/// `kcat -P` with these arguments and this on its input.
fn kcat(scratch: &Scratch, args: &[&str], input: &str) {
    let mut kcat = Command::new("kcat");
    kcat.args(["-P", "-b", &scratch.stack.bootstrap, "-t", &scratch.topic("tasks")]).args(args);
    let started = kcat.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut kcat = started.unwrap_or_else(|e| panic!("kcat cannot be run ({e}); Debian: apt-get install kcat"));
    kcat.stdin.take().expect("its input is a pipe").write_all(input.as_bytes()).expect("kcat reads its input");
    let ended = kcat.wait_with_output().expect("kcat ends");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// Where each id lives: where Java's partitioner puts it on a topic with as many partitions.
fn homes(scratch: &Scratch, ids: &[String]) -> BTreeMap<String, i32> {
    static MADE: OnceLock<String> = OnceLock::new();
    let probe = MADE.get_or_init(|| scratch.create("probe", 3, &[]));
    let sender = Sender::new(scratch.stack, Partitioner::Murmur2);
    let sent = sender.send_all(ids.iter().map(|id| Send::to(probe).key(id).bytes("")));
    ids.iter().cloned().zip(sent.into_iter().map(|(partition, _)| partition)).collect()
}

/// The record that took `first` home, if one did.
fn forwarded(tasks: &[Record], first: (i32, i64)) -> Vec<&Record> {
    let arrived = format!("{}/{}", first.0, first.1);
    tasks.iter().filter(|record| record.header("baton.arrived") == arrived).collect()
}

fn at(tasks: &[Record], place: (i32, i64)) -> &Record {
    tasks.iter().find(|record| (record.partition, record.offset) == place).expect("the record is there")
}

/// The record that came first is on its home partition once more: same key, value, time and headers, and one header on top.
fn is_the_same_at_home(record: &Record, first: &Record, home: i32) {
    assert_eq!(record.partition, home);
    assert_eq!((&record.raw_key, &record.raw), (&first.raw_key, &first.raw));
    assert_eq!(record.timestamp, first.timestamp);
    let (arrived, kept) = record.raw_headers.split_last().expect("it has the header of its arrival");
    assert_eq!((arrived.0.as_str(), kept), ("baton.arrived", &first.raw_headers[..]));
}

#[test]
fn a_task_typed_into_kcat_is_done() {
    let Office { scratch, .. } = office();
    let mut told = Told::of(scratch);
    kcat(
        scratch,
        &["-k", "kcat-key"],
        "{\"objective\": \"greet Ada\", \"agents\": [\"Greeter\"], \"input\": \"Ada\"}\n",
    );
    kcat(scratch, &[], "{\"taskId\": \"kcat-id\", \"objective\": \"greet Bob\", \"agents\": [\"Greeter\"]}\n");
    kcat(scratch, &[], "{\"objective\": \"greet people by their name\", \"correlationId\": \"kcat-bare\"}\n");
    let ada = told.ended("kcat-key", "SUCCEEDED", "completed");
    assert_eq!(ada["result"], r#"{"greeted":"Ada"}"#);
    assert_eq!(told.ended("kcat-id", "SUCCEEDED", "completed")["result"], r#"{"greeted":null}"#);
    let bare = |record: &Record| record.text("correlationId") == "kcat-bare";
    let bare = told.completions.find("the bare one completes", SOON, bare);
    let sent = read_all(scratch.stack, &scratch.topic("tasks"));
    let own =
        |record: &&Record| record.text("correlationId") == "kcat-bare" && record.header("baton.arrived").is_empty();
    let own = sent.iter().find(own).expect("it was sent");
    assert_eq!(bare.text("taskId"), format!("{}-{}-{}", own.topic, own.partition, own.offset));
    assert_eq!(bare.text("outcome"), "SUCCEEDED");
}

#[test]
fn no_client_has_to_choose_a_partitioner() {
    let Office { scratch, .. } = office();
    let topic = scratch.topic("tasks");
    let task = |id: &str, keyed: bool, with_id: bool| {
        let mut task = json!({ "objective": "greet", "agents": ["Greeter"], "input": { "of": id } });
        if with_id {
            task["taskId"] = json!(id);
        }
        let record = Send::to(&topic).json(&task).header("x-mine", id).header("x-mine", "again");
        if keyed { record.key(id) } else { record }
    };
    let mut sent: Vec<(String, (i32, i64))> = vec![];
    for (name, partitioner) in [("crc", Partitioner::Default), ("murmur", Partitioner::Murmur2)] {
        let sender = Sender::new(scratch.stack, partitioner);
        for (way, keyed, with_id) in [("both", true, true), ("key", true, false), ("id", false, true)] {
            let ids: Vec<String> = (0..6).map(|n| format!("{name}-{way}-{n}")).collect();
            let places = sender.send_all(ids.iter().enumerate().map(|(n, id)| {
                let record = task(id, keyed, with_id);
                // Without a key clients take any partition: here each in turn.
                if keyed { record } else { record.partition(i32::try_from(n % 3).unwrap_or(0)) }
            }));
            sent.extend(ids.into_iter().zip(places));
        }
    }
    let ids: Vec<String> = sent.iter().map(|(id, _)| id.clone()).collect();
    let homes = homes(scratch, &ids);
    let mut told = Told::of(scratch);
    for id in &ids {
        let completion = told.completion(id);
        assert_eq!(completion.text("outcome"), "SUCCEEDED", "{id}");
        assert_eq!(completion.partition, homes[id], "{id}: its outputs are at home");
    }
    let tasks = read_all(scratch.stack, &topic);
    let mut away = 0;
    for (id, first) in &sent {
        let home = homes[id];
        let copies = forwarded(&tasks, *first);
        if first.0 == home {
            assert!(copies.is_empty(), "{id} was at home");
        } else {
            away += 1;
            assert_eq!(copies.len(), 1, "{id} is sent home once");
            is_the_same_at_home(copies[0], at(&tasks, *first), home);
        }
        assert_eq!(told.completions(id).len(), 1, "{id}");
    }
    assert!(away >= 6, "only {away} arrived elsewhere: this test shows nothing");
    let murmur = sent.iter().filter(|(id, _)| id.starts_with("murmur-both") || id.starts_with("murmur-key"));
    assert!(murmur.into_iter().all(|(id, first)| first.0 == homes[id]), "Java's clients need no forwarding");
}

#[test]
fn a_task_without_key_and_id_is_called_by_where_it_arrived_first() {
    let Office { scratch, .. } = office();
    let topic = scratch.topic("tasks");
    let sender = Sender::new(scratch.stack, Partitioner::Default);
    let record = |n: i32| {
        let task = json!({ "objective": "greet", "agents": ["Greeter"], "correlationId": format!("bare-{n}") });
        Send::to(&topic).json(&task).partition(n % 3)
    };
    let sent = sender.send_all((0..9).map(record));
    let ids: Vec<String> = sent.iter().map(|(partition, offset)| format!("{topic}-{partition}-{offset}")).collect();
    let homes = homes(scratch, &ids);
    let mut told = Told::of(scratch);
    for (n, id) in ids.iter().enumerate() {
        let completion = told.completion(id);
        assert_eq!(completion.text("correlationId"), format!("bare-{n}"), "{id}");
        assert_eq!((completion.partition, completion.key.as_ref()), (homes[id], Some(id)));
    }
    let tasks = read_all(scratch.stack, &topic);
    let away: Vec<_> = sent.iter().zip(&ids).filter(|(first, id)| first.0 != homes[*id]).collect();
    assert!(!away.is_empty(), "all nine were at home: this test shows nothing");
    for (first, id) in away {
        let copies = forwarded(&tasks, *first);
        assert_eq!(copies.len(), 1, "{id}");
        is_the_same_at_home(copies[0], at(&tasks, *first), homes[id]);
    }
}

/// The CloudEvents headers of a record in Avro.
#[track_caller]
fn cloud_event(record: &Record, kind: &str, id: &str, prefix: &str) {
    assert_eq!(record.header("ce_id"), id);
    assert_eq!(record.header("ce_type"), format!("io.baton.v1.{kind}"));
    assert_eq!(record.header("ce_source"), format!("baton/{prefix}/orchestrator"));
    assert_eq!((record.header("ce_specversion"), record.header("content-type")), ("1.0", "application/avro"));
    let parsed = time::OffsetDateTime::parse(record.header("ce_time"), &time::format_description::well_known::Rfc3339);
    assert!(parsed.is_ok(), "ce_time {:?}", record.header("ce_time"));
    assert_eq!(record.raw.as_ref().map(|raw| raw[0]), Some(0), "Avro in the registry's wire format");
}

#[test]
fn a_route_by_contract_is_told_in_decisions_events_and_headers() {
    let Office { scratch, agents, .. } = office();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let task = json!({
        "taskId": "row", "objective": "answer the mail", "inputContract": "mail", "input": { "from": "Ada" },
        "correlationId": "c-7", "submittedAt": "2026-01-02T03:04:05Z",
    });
    let sender = Sender::new(scratch.stack, Partitioner::Murmur2);
    let (partition, offset) =
        sender.send(Send::to(&scratch.topic("tasks")).key("row").json(&task).header("traceparent", trace));
    let mut told = Told::of(scratch);
    let accepted = format!("{partition}-{offset}");
    let prefix = &scratch.prefix;

    let completion = told.completion("row");
    cloud_event(&completion, "Completion", &format!("row~{accepted}~run1"), prefix);
    let value = &completion.value;
    assert_eq!((value["outcome"].as_str(), value["result"].as_str()), (Some("SUCCEEDED"), Some(r#"{"answer":42}"#)));
    assert_eq!((value["run"].as_i64(), value["hops"].as_i64()), (Some(1), Some(3)));
    assert_eq!(
        (value["correlationId"].as_str(), value["submittedAt"].as_i64()),
        (Some("c-7"), Some(1_767_323_045_000))
    );
    assert_eq!(texts(items(value, "steps"), "agentName"), ["Reader", "Scorer", "Writer"]);
    assert_eq!(texts(items(value, "steps"), "status"), ["SUCCEEDED"; 3]);

    let decisions = told.decisions("row");
    assert_eq!(texts(decisions.iter().map(|record| &record.value), "chosen"), ["Reader", "Scorer", "Writer", ""]);
    for (record, question) in decisions.iter().zip(1..) {
        let decision = &record.value;
        cloud_event(record, "RoutingDecision", &format!("row~{accepted}~q{question}"), prefix);
        assert_eq!(decision["decisionId"], record.header("ce_id"));
        assert_eq!((decision["by"].as_str(), decision["question"].as_i64()), (Some("CONTRACT"), Some(question)));
        assert_eq!((decision["degraded"].as_bool(), items(decision, "attempts").len()), (Some(false), 0));
        assert_eq!(items(decision, "candidates").len(), 6, "all that are registered: {decision:#}");
        assert!(items(decision, "candidates").iter().all(|one| one["score"].is_null()), "{decision:#}");
        assert!(!decision["reason"].as_str().unwrap_or_default().is_empty());
        if question == 4 {
            assert_eq!((decision["choice"].as_str(), &decision["stepId"]), (Some("DONE"), &Value::Null));
        } else {
            assert_eq!(
                (decision["choice"].as_str(), decision["stepId"].as_str()),
                (Some("AGENT"), Some(&*question.to_string()))
            );
            let first = &items(decision, "candidates")[0];
            assert_eq!((&first["agentName"], &first["excluded"]), (&decision["chosen"], &Value::Null));
            assert!(decision["reason"].as_str().is_some_and(|why| why.contains(decision["chosen"].as_str().unwrap())));
        }
    }
    let excluded = items(&decisions[0].value, "candidates").iter().filter(|one| !one["excluded"].is_null()).count();
    assert_eq!(excluded, 2, "the two whose contract is another one: {:#}", decisions[0].value);

    let row: Vec<String> = [
        &["TASK_ACCEPTED"][..],
        &["AGENT_CHOSEN", "STEP_ASSIGNED", "STEP_SUCCEEDED"].repeat(3),
        &["AGENT_CHOSEN", "TASK_ENDED"],
    ]
    .concat()
    .into_iter()
    .map(str::to_owned)
    .collect();
    assert_eq!(told.kinds("row"), row);
    let events = told.events("row");
    assert_eq!(events.len(), 4, "one record for each transaction of a task with three steps");
    for record in &events {
        cloud_event(record, "TaskEvents", &format!("row~{accepted}~f{}", record.value["firstSequence"]), prefix);
    }

    let assignments = agents.of("row");
    assert_eq!(texts(assignments.iter().map(|record| &record.value), "agentName"), ["Reader", "Scorer", "Writer"]);
    for (record, step) in assignments.iter().zip(1..) {
        cloud_event(record, "Assignment", &format!("row~{accepted}~{step}~1"), prefix);
        assert_eq!((record.text("assignmentId"), record.key.as_deref()), (record.header("ce_id"), Some("row")));
    }
    let all = [&completion].into_iter().chain(&decisions).chain(&events).chain(&assignments);
    for record in all {
        assert_eq!(record.header("traceparent"), trace, "{} carries the trace on", record.topic);
        let at_home = record.topic.contains(".assignments.") || record.partition == partition;
        assert!(at_home && record.key.as_deref() == Some("row"), "{}: {:?}", record.topic, record.key);
    }
}

#[test]
fn scores_and_the_reason_of_a_choice_by_words_are_told() {
    let Office { scratch, .. } = office();
    submit(
        scratch,
        &[json!({ "taskId": "words", "objective": "greets people by their name", "agents": ["Greeter", "Scribe"] })],
    );
    let mut told = Told::of(scratch);
    let decision = told.decision("words", 1);
    assert_eq!((decision["by"].as_str(), decision["chosen"].as_str()), (Some("CLEAR_WINNER"), Some("Greeter")));
    assert_eq!((decision["degraded"].as_bool(), &decision["degradedReason"]), (Some(false), &Value::Null));
    assert!(decision["confidence"].as_f64().is_some_and(|it| it > 0.5 && it <= 1.0), "{decision:#}");
    assert!(decision["reason"].as_str().is_some_and(|why| why.contains("`Greeter` fits best")), "{decision:#}");
    let candidates = items(&decision, "candidates");
    assert_eq!(texts(&candidates[..2], "agentName"), ["Greeter", "Scribe"], "the chosen, then the next best");
    assert!(candidates[0]["score"].as_f64() > candidates[1]["score"].as_f64(), "{decision:#}");
    assert!(candidates[0]["factors"].as_object().is_some_and(|factors| !factors.is_empty()));
    assert!(candidates[2..].iter().all(|one| one["excluded"] == "the task does not allow it"), "{decision:#}");
    told.ended("words", "SUCCEEDED", "completed");
}

#[test]
fn tasks_and_reports_in_avro_count_like_those_in_json() {
    let Office { scratch, agents, .. } = office();
    let (tasks, status) = (scratch.topic("tasks"), scratch.topic("agent-status"));
    let sender = Sender::new(scratch.stack, Partitioner::Default);
    let task = json!({
        "taskId": "avro", "objective": "write it down", "input": "{\"it\":1}", "agents": ["Scribe"], "mode": "ROUTE",
        "labels": { "of": "avro" }, "limits": { "maxHops": 3, "maxAttempts": null, "maxTokens": null, "maxCostMicros": null },
        "type": null, "inputContract": null, "priority": 7, "deadline": null, "notBefore": null, "plan": null,
        "onStepFailure": "FAIL_FAST", "requireApproval": false, "explore": true, "correlationId": null,
        "parentTaskId": null, "submittedBy": "a stock writer", "submittedAt": null,
    });
    sender.send(Send::to(&tasks).key("avro").bytes(encode(scratch.stack, &format!("{tasks}-value"), &task)));
    let assignment =
        until("it is assigned", SOON, || agents.of("avro").first().cloned().ok_or_else(|| "not yet".into()));
    let field = |name: &str| assignment.text(name).to_owned();
    assert_eq!((field("input"), assignment.value["priority"].as_i64()), (r#"{"it":1}"#.to_owned(), Some(7)));
    let report = json!({
        "taskId": "avro", "assignmentId": field("assignmentId"), "agentName": "Scribe", "instance": "s-1",
        "status": "SUCCEEDED", "output": "{\"written\":true}", "progress": null, "message": null, "error": null,
        "usage": { "inputTokens": 3, "outputTokens": 4, "costMicros": 5 }, "time": null,
    });
    let bytes = encode(scratch.stack, &format!("{status}-value"), &report);
    // Without a key: the value says whose it is.
    sender.send(Send::to(&status).bytes(bytes));
    let ended = Told::of(scratch).ended("avro", "SUCCEEDED", "completed");
    assert_eq!(ended["result"], r#"{"written":true}"#);
    assert_eq!(ended["usage"], json!({ "inputTokens": 3, "outputTokens": 4, "costMicros": 5 }));
}

#[test]
fn the_python_example_does_its_part_in_avro() {
    let Office { scratch, .. } = office();
    let mut python = Command::new(super::super::python_agent::python());
    python.arg("-u").arg(example("agent.py")).env("LEDGER", scratch.dir().join("ledger.db"));
    python.env("BOOTSTRAP", &scratch.stack.bootstrap).env("REGISTRY", &scratch.stack.registry);
    python.env("PREFIX", &scratch.prefix);
    let mut agent = Kept::spawn(&python, &scratch.dir().join("python.log"));
    let tasks = (1..=5).map(|n| {
        let input = vec!["word"; n].join(" ");
        json!({ "taskId": format!("py-{n}"), "objective": "How many words?", "input": input, "agents": ["word counter"] })
    });
    submit(scratch, &tasks.collect::<Vec<_>>());
    let mut told = Told::of(scratch);
    for n in 1..=5 {
        let ended = told.ended(&format!("py-{n}"), "SUCCEEDED", "completed");
        assert_eq!(ended["result"], format!("{{\"words\": {n}}}"));
    }
    let said = read_all(scratch.stack, &scratch.topic("agent-status"));
    let said: Vec<_> = said.iter().filter(|record| record.text("agentName") == "Word Counter").collect();
    assert!(said.len() >= 5 && said.iter().all(|record| record.raw.as_ref().is_some_and(|raw| raw[0] == 0)), "Avro");
    agent.signal("TERM");
    assert!(agent.wait(SOON).is_some_and(|ended| ended.success()));
}
