//! The harness itself, against the real broker and registry: what it says must be so, or no other test means anything.

use super::support::agents::{self, Agents, Say};
use super::support::llm::{Llm, Reply};
use super::support::maven::Broker;
use super::support::reaper::{self, Kept};
use super::support::{
    Gate, Partitioner, Scratch, Secure, Send, Sender, Topic, get, post, read_all, register_schema, stack, until,
};
use rdkafka::producer::Producer as _;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

#[test]
fn committed_records_are_read_and_aborted_ones_are_not() {
    let scratch = Scratch::new("commit");
    let topic = scratch.create("in", 2, &[]);
    let id = scratch.topic("writer");
    let sender =
        Sender::configured(&scratch.stack.bootstrap, Partitioner::Murmur2, &[("transactional.id", id.as_str())]);
    let client = sender.client();
    client.init_transactions(SOON).unwrap();
    for (text, commit) in [("kept", true), ("dropped", false), ("kept too", true)] {
        client.begin_transaction().unwrap();
        sender.send(Send::to(&topic).key("k").json(&json!({ "text": text })).header("h", "1"));
        if commit {
            client.commit_transaction(SOON).unwrap();
        } else {
            client.abort_transaction(SOON).unwrap();
        }
    }
    let mut read = Topic::open(scratch.stack, &topic);
    let texts: Vec<_> = read.count(2, SOON).iter().map(|record| record.text("text").to_owned()).collect();
    assert_eq!(texts, ["kept", "kept too"]);
    assert_eq!(read.settle().len(), 2);
    let first = &read.records()[0];
    assert_eq!((first.key.as_deref(), first.header("h")), (Some("k"), "1"));
}

#[test]
fn an_open_transaction_keeps_readers_from_the_end() {
    let scratch = Scratch::new("open");
    let topic = scratch.create("in", 1, &[]);
    let id = scratch.topic("writer");
    let sender =
        Sender::configured(&scratch.stack.bootstrap, Partitioner::Murmur2, &[("transactional.id", id.as_str())]);
    sender.client().init_transactions(SOON).unwrap();
    sender.client().begin_transaction().unwrap();
    sender.send(Send::to(&topic).json(&json!({ "in": "doubt" })));
    Sender::new(scratch.stack, Partitioner::Default).send(Send::to(&topic).json(&json!({ "after": "it" })));
    let mut read = Topic::open(scratch.stack, &topic);
    assert!(read.take(Duration::from_millis(300)).is_empty(), "nothing is stable yet");
    sender.client().commit_transaction(SOON).unwrap();
    assert_eq!(read.count(2, SOON).len(), 2);
}

#[test]
fn avro_is_read_back_by_the_registrys_schema() {
    let scratch = Scratch::new("avro");
    let topic = scratch.create("in", 1, &[]);
    let schema = r#"{"type":"record","name":"R","fields":[{"name":"text","type":["null","string"],"default":null},
        {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"kinds","type":{"type":"map","values":"int"}}]}"#;
    let id = register_schema(scratch.stack, &format!("{topic}-value"), schema);
    // Union branch 1, "hi", zigzag of 5, one block with one entry "a" -> 1.
    let body = [2, 4, b'h', b'i', 10, 2, 2, b'a', 2, 0];
    let bytes: Vec<u8> = [0].into_iter().chain(id.to_be_bytes()).chain(body).collect();
    let sender = Sender::new(scratch.stack, Partitioner::Default);
    sender.send_all([Send::to(&topic).bytes(&bytes), Send::to(&topic).bytes("{\"plain\":1}"), Send::to(&topic)]);
    sender.send(Send::to(&topic).bytes([0, 0x7f, 0xff, 0xff, 0xff, 1]));
    let values: Vec<_> = read_all(scratch.stack, &topic).into_iter().map(|record| record.value).collect();
    assert_eq!(values[0], json!({ "text": "hi", "at": 5, "kinds": { "a": 1 } }));
    assert_eq!(values[1..], [json!({ "plain": 1 }), Value::Null, Value::Null]);
}

#[test]
fn clients_differ_in_where_a_key_goes() {
    let scratch = Scratch::new("keys");
    let topic = scratch.create("in", 6, &[]);
    let records = || (0..60).map(|n| Send::to(&topic).key(format!("task-{n}")).bytes("{}"));
    let crc32 = Sender::new(scratch.stack, Partitioner::Default).send_all(records());
    let murmur2 = Sender::new(scratch.stack, Partitioner::Murmur2).send_all(records());
    let same = crc32.iter().zip(&murmur2).filter(|(a, b)| a.0 == b.0).count();
    assert!(same < 30, "{same} of 60 keys on one partition: the two are one partitioner");
    let asked = Sender::new(scratch.stack, Partitioner::Default).send(Send::to(&topic).key("task-1").partition(4));
    assert_eq!(asked.0, 4);
}

#[test]
fn a_record_over_the_topics_limit_is_refused_by_the_broker() {
    let scratch = Scratch::new("limit");
    let topic = scratch.create("in", 1, &[("max.message.bytes", "1000")]);
    let sender = Sender::new(scratch.stack, Partitioner::Default);
    // Apart, since a batch is refused as a whole.
    let large = sender.try_all([Send::to(&topic).bytes(vec![b'x'; 5_000])]);
    assert!(large[0].as_ref().is_err_and(|e| e.contains("MessageSizeTooLarge")), "{large:?}");
    assert_eq!(sender.try_all([Send::to(&topic).bytes("{}")]), [Ok((0, 0))]);
}

#[test]
fn scripted_agents_answer_in_json_as_often_and_as_late_as_they_are_told() {
    let scratch = Scratch::new("agents");
    let assignments = scratch.create("assignments.word-counter", 1, &[]);
    let status = scratch.create("agent-status", 3, &[]);
    let quick = Say::declined("not mine");
    let late = Say::succeeded(json!({ "words": 2 })).after(Duration::from_millis(300));
    let behaviour: agents::Behaviour = Box::new(move |assignment| match assignment["taskId"].as_str() {
        Some("t-1") => vec![late.clone(), quick.clone(), quick.clone()],
        _ => vec![],
    });
    let pool = Agents::start(&scratch, vec![("Word Counter", behaviour)]);
    let sender = Sender::new(scratch.stack, Partitioner::Murmur2);
    for task in ["t-1", "t-2"] {
        let assignment = json!({ "taskId": task, "assignmentId": format!("{task}~a"), "agentName": "Word Counter" });
        sender.send(Send::to(&assignments).key(task).json(&assignment));
    }
    let mut reports = Topic::open(scratch.stack, &status);
    let said: Vec<_> = reports.count(3, SOON).iter().map(|report| report.value.clone()).collect();
    let statuses: Vec<_> = said.iter().map(|report| report["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["DECLINED", "DECLINED", "SUCCEEDED"]);
    assert_eq!(said[2]["output"], json!({ "words": 2 }));
    assert_eq!(said[2]["assignmentId"], "t-1~a");
    until("both are seen", SOON, || match pool.seen().len() {
        2 => Ok(()),
        seen => Err(seen.to_string()),
    });
    assert_eq!(pool.of("t-2").len(), 1);
    assert_eq!(pool.stop().len(), 2);
}

#[test]
fn the_scripted_llm_answers_each_request_as_written() {
    let replies = [
        Reply::agent("A"),
        Reply::truncated("A"),
        Reply::Refusal("no".into()),
        Reply::Status(401, None),
        Reply::Status(429, Some(7)),
        Reply::Hang,
    ];
    let llm = Llm::replies(replies);
    let ask = || {
        let question = json!({ "messages": [{ "role": "user", "content": "who?" }] });
        post(&format!("{}/chat/completions", llm.url()), &question, Duration::from_secs(1))
    };
    let choice = || serde_json::from_str::<Value>(&ask().unwrap().body).unwrap()["choices"][0].clone();
    let well = choice();
    let content: Value = serde_json::from_str(well["message"]["content"].as_str().unwrap()).unwrap();
    assert_eq!((&content["agent"], &well["finish_reason"]), (&json!("A"), &json!("stop")));
    assert_eq!(choice()["finish_reason"], "length");
    assert_eq!(choice()["message"]["refusal"], "no");
    assert_eq!(ask().unwrap().status, 401);
    let limited = ask().unwrap();
    assert_eq!((limited.status, limited.retry_after.as_deref()), (429, Some("7")));
    assert!(ask().is_err_and(|e| e.contains("TimedOut")), "the client gives up first");
    let asked = llm.asked();
    assert_eq!(asked.len(), 6);
    assert_eq!(asked[0].prompt(), "who?");
    assert_eq!(
        (asked[0].path.as_str(), asked[0].authorization.as_deref()),
        ("/v1/chat/completions", Some("Bearer key"))
    );
}

#[test]
fn a_shut_gate_is_an_absent_server() {
    let (gate, url) = Gate::before(&stack().registry);
    let subjects = format!("{url}/subjects");
    assert_eq!(get(&subjects).unwrap().0, 200);
    gate.shut();
    assert!(get(&subjects).is_err());
    gate.open();
    assert_eq!(get(&subjects).unwrap().0, 200);
}

#[test]
fn the_secure_listeners_let_in_who_they_should() {
    // Docker's image and a given broker have no such listeners; there this holds vacuously, and says so.
    let Some(Secure { scram, oauth, ca }) = &stack().secure else {
        eprintln!("no secure listeners on a stack from {}", stack().way);
        return;
    };
    let scratch = Scratch::new("secure");
    let topic = scratch.create("in", 1, &[]);
    let ca = ca.to_string_lossy();
    let as_user = |user: &'static str, password: &'static str| {
        let settings = [
            ("security.protocol", "SASL_SSL"),
            ("ssl.ca.location", ca.as_ref()),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", user),
            ("sasl.password", password),
            ("message.timeout.ms", "4000"),
        ];
        Sender::configured(scram, Partitioner::Default, &settings).try_all([Send::to(&topic).bytes("{}")]).remove(0)
    };
    assert_eq!(as_user("baton", Secure::PASSWORD), Ok((0, 0)));
    assert!(as_user("baton", "wrong").is_err());
    assert!(as_user("guest", Secure::PASSWORD).is_err_and(|e| e.contains("Authorization")));
    let token = [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "OAUTHBEARER"),
        ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
        ("sasl.oauthbearer.config", "principal=baton"),
        ("message.timeout.ms", "4000"),
    ];
    let sent = Sender::configured(oauth, Partitioner::Default, &token).try_all([Send::to(&topic).bytes("{}")]);
    assert_eq!(sent, [Ok((0, 1))]);
}

#[test]
fn a_broker_of_ones_own_can_be_killed_frozen_and_brought_back() {
    let mut broker = Broker::start().expect("Java and Maven are here");
    broker.ready().unwrap();
    let scratch = Scratch::on(broker.stack(), "own");
    let topic = scratch.create("in", 1, &[]);
    let send = || {
        let impatient = [("message.timeout.ms", "2000")];
        let sender = Sender::configured(&scratch.stack.bootstrap, Partitioner::Default, &impatient);
        sender.try_all([Send::to(&topic).bytes("{}")]).remove(0)
    };
    assert_eq!(send(), Ok((0, 0)));
    broker.freeze();
    assert!(send().is_err(), "a frozen broker acknowledges nothing");
    broker.thaw();
    broker.ready().unwrap();
    broker.kill();
    assert!(send().is_err(), "a dead one neither");
    broker.resume();
    broker.ready().unwrap();
    assert!(read_all(scratch.stack, &topic).first().is_some_and(|first| first.offset == 0), "what it had is there");
}

#[test]
#[should_panic(expected = "the sun rises: not within 30ms. Seen last: stars")]
fn a_wait_that_fails_says_what_it_saw() {
    until("the sun rises", Duration::from_millis(30), || Err::<(), _>("stars".into()))
}

/// Where the process that is to be killed works; set by the test that starts it.
const VICTIM: &str = "BATON_TEST_VICTIM";

/// Holds a child that ignores everything it can, and waits to be killed.
fn victim(dir: &Path) {
    reaper::dir(&dir.join("own"));
    std::fs::create_dir(dir.join("own")).expect("a directory of its own");
    let mut stubborn = Command::new("sh");
    stubborn.args(["-c", "trap '' INT TERM HUP; sleep 600 & echo $$ >pid.new; mv pid.new pid; while :; do wait; done"]);
    let _held = Kept::spawn(stubborn.current_dir(dir), &dir.join("log"));
    if dir.join("panic").exists() {
        until("its pid", SOON, || std::fs::read_to_string(dir.join("pid")).map_err(|e| e.to_string()));
        panic!("as asked");
    }
    std::thread::sleep(Duration::from_secs(600));
}

#[test]
fn nothing_outlives_the_tests() {
    // The test is its own victim, in another process.
    if let Some(dir) = std::env::var_os(VICTIM) {
        return victim(Path::new(&dir));
    }
    for way in ["KILL", "INT", "TERM", "panic"] {
        let dir = tempfile::tempdir().unwrap();
        if way == "panic" {
            std::fs::write(dir.path().join("panic"), "").unwrap();
        }
        // Run in the background, as by a script, this process ignores SIGINT, and would hand that on.
        let mut run = Command::new("env");
        run.arg("--default-signal=INT,TERM").arg(std::env::current_exe().unwrap());
        run.args(["--exact", "harness::nothing_outlives_the_tests"]).env(VICTIM, dir.path());
        let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pid = until("the victim's child runs", SOON, || {
            std::fs::read_to_string(dir.path().join("pid")).map_err(|e| e.to_string())
        });
        // A zombie that nobody has collected yet has no command line any more.
        let line = Path::new("/proc").join(pid.trim()).join("cmdline");
        let alive = || std::fs::read(&line).is_ok_and(|line| !line.is_empty());
        if way != "panic" {
            assert!(alive());
            Command::new("kill").args(["-s", way, &run.id().to_string()]).status().unwrap();
        }
        assert!(!run.wait().unwrap().success());
        until(&format!("after {way} the child is gone"), SOON, || if alive() { Err(pid.clone()) } else { Ok(()) });
        let own = dir.path().join("own");
        until("its directory too", SOON, || if own.exists() { Err("still there".into()) } else { Ok(()) });
    }
}
