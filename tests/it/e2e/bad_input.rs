//! What bad input gets: a dead letter with the bytes as they came, in the same transaction, while the partition goes on.

use super::super::support::agents::{Agents, definition, silent, works};
use super::super::support::{
    Partitioner, Record, Scratch, Send, Sender, Topic, Worker, encode, read_all, register_schema, until,
};
use super::*;
use std::sync::OnceLock;

struct Office {
    scratch: Scratch,
    worker: Worker,
    agents: Agents,
}

const LIMIT: usize = 256 * 1024;
/// Of a record with all that Kafka adds: `max.message.bytes` of the topics.
const RECORD_LIMIT: usize = 1_048_588;

fn office() -> &'static Office {
    static OFFICE: OnceLock<Office> = OnceLock::new();
    OFFICE.get_or_init(|| {
        let scratch = Scratch::new("bad");
        scratch.apply().register_all(&[definition("Echo", "says it again"), definition("Held", "waits for the test")]);
        let worker = scratch.worker("w-bad").start();
        let agents = Agents::start(&scratch, vec![("Echo", works(Value::clone)), ("Held", silent())]);
        eligible(&worker, 2);
        Office { scratch, worker, agents }
    })
}

impl Office {
    fn dlq(&self, topic: &str) -> Topic {
        Topic::open(self.scratch.stack, &self.scratch.topic(&format!("{topic}.dlq")))
    }

    /// A counter of records by what became of them.
    fn counted(&self, topic: &str, outcome: &str) -> f64 {
        self.worker.metric(&format!("baton_inputs_total{{topic=\"{topic}\",outcome=\"{outcome}\"}}"))
    }

    /// Waits until the counter is so much over what it was.
    #[track_caller]
    fn counts(&self, topic: &str, outcome: &str, before: f64, more: u32) {
        until(&format!("{more} more {outcome} on {topic}"), SOON, || match self.counted(topic, outcome) - before {
            seen if seen == f64::from(more) => Ok(()),
            seen => Err(seen.to_string()),
        });
    }

    /// A task that the test itself must report on: its assignment's id.
    #[track_caller]
    fn hold(&self, task: &str) -> String {
        submit(&self.scratch, &[json!({ "taskId": task, "objective": "wait", "agents": ["Held"] })]);
        self.assignment(task)
    }

    #[track_caller]
    fn assignment(&self, task: &str) -> String {
        let seen = || self.agents.of(task).first().map(|record| record.text("assignmentId").to_owned());
        until(&format!("{task} is assigned"), SOON, || seen().ok_or_else(|| "no assignment".to_owned()))
    }
}

/// One bad record, and what it must get.
struct Case {
    name: &'static str,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    reason: &'static str,
    /// Words of the detail: field, value, remedy.
    says: &'static [&'static str],
    /// The task's id and the code of its completion.
    rejected: Option<(&'static str, &'static str)>,
}

impl Case {
    fn new(name: &'static str, reason: &'static str, says: &'static [&'static str]) -> Self {
        Self { name, key: None, value: None, reason, says, rejected: None }
    }

    fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.key = Some(key.as_ref().to_vec());
        self
    }

    fn bytes(mut self, value: impl AsRef<[u8]>) -> Self {
        self.value = Some(value.as_ref().to_vec());
        self
    }

    fn json(self, value: &Value) -> Self {
        self.bytes(value.to_string())
    }

    fn rejects(mut self, task: &'static str, code: &'static str) -> Self {
        self.rejected = Some((task, code));
        self
    }

    /// With headers of its own, one of them no text, by which the dead letter is found.
    fn record(&self, topic: &str) -> Send {
        let record = Send::to(topic).header("x-case", self.name).header("x-bytes", [0xff, 0, 0xfe]);
        let record = self.key.iter().fold(record, Send::key);
        self.value.iter().fold(record, Send::bytes)
    }

    #[track_caller]
    fn is_dead_in(&self, dlq: &mut Topic, sources: &[Record], worker: &str) {
        let name = self.name;
        let letter = dlq.find(&format!("{name} is a dead letter"), SOON, |record| record.header("x-case") == name);
        let header = |name: &str| letter.header(name).to_owned();
        assert_eq!(header("baton.reason"), self.reason, "{name}: {}", header("baton.detail"));
        for word in self.says {
            assert!(header("baton.detail").contains(word), "{name}: {word:?} is not in {:?}", header("baton.detail"));
        }
        assert_eq!((&letter.raw_key, &letter.raw), (&self.key, &self.value), "{name}: the bytes as they came");
        let own: Vec<_> = letter.raw_headers.iter().take(2).cloned().collect();
        let sent = [("x-case", name.as_bytes()), ("x-bytes", &[0xff, 0, 0xfe])];
        assert_eq!(own, sent.map(|(name, value)| (name.to_owned(), Some(value.to_vec()))), "{name}");
        assert_eq!(header("__streams.errors.exception"), format!("io.baton.{}", self.reason), "{name}");
        assert_eq!(header("__streams.errors.message"), header("baton.detail"), "{name}");
        assert_eq!(format!("{}.dlq", header("__streams.errors.topic")), letter.topic, "{name}");
        let place = (header("__streams.errors.partition").parse(), header("__streams.errors.offset").parse());
        let source = sources.iter().find(|record| (Ok(record.partition), Ok(record.offset)) == place);
        let source = source.unwrap_or_else(|| panic!("{name}: nothing lies at {place:?}"));
        assert_eq!((source.header("x-case"), &source.raw), (name, &self.value));
        assert_eq!(header("baton.worker"), worker, "{name}");
        let time = time::OffsetDateTime::parse(&header("baton.time"), &time::format_description::well_known::Rfc3339);
        assert!(time.is_ok(), "{name}: {:?}", header("baton.time"));
        let all = dlq.settle().iter().filter(|record| record.header("x-case") == name).count();
        assert_eq!(all, 1, "{name}: one dead letter");
    }
}

/// A record in Avro that is something else than the topic's.
fn of_another_shape(scratch: &Scratch, value: &Value) -> Vec<u8> {
    let subject = format!("{}.elsewhere-value", scratch.prefix);
    let schema = r#"{"type":"record","name":"Elsewhere","namespace":"other","fields":[
        {"name":"taskId","type":"string"},{"name":"colour","type":"int"}]}"#;
    register_schema(scratch.stack, &subject, schema);
    encode(scratch.stack, &subject, value)
}

fn bad_tasks(scratch: &Scratch) -> Vec<Case> {
    let task = |id: &str, field: &str, value: Value| {
        let mut task = json!({ "taskId": id, "objective": "o" });
        task[field] = value;
        task
    };
    let schema = r#"{"type":"object","required":["amount"]}"#;
    let breach = json!({ "taskId": "breach", "objective": "o", "inputContract": schema, "input": { "sum": 1 } });
    let several = json!({ "taskId": "several", "objective": " ", "priority": 11, "limits": { "maxHops": 0 } });
    vec![
        Case::new("undecodable", "UNDECODABLE", &[]).key("undecodable").bytes(b"hello \xff\xfe"),
        Case::new("cut", "UNDECODABLE", &[]).key("cut").bytes("{\"objective\": \"o\""),
        Case::new("empty", "UNDECODABLE", &[]).key("empty").bytes(""),
        Case::new("no-schema", "UNKNOWN_SCHEMA", &["2147483632"])
            .key("no-schema")
            .bytes([0, 0x7f, 0xff, 0xff, 0xf0, 1]),
        Case::new("shape", "INVALID", &["TaskSubmitted"])
            .bytes(of_another_shape(scratch, &json!({ "taskId": "shape", "colour": 7 })))
            .rejects("shape", "invalid"),
        Case::new("fields", "INVALID", &["colour", "size"])
            .json(&json!({ "taskId": "fields", "objective": "o", "colour": 1, "size": 2 }))
            .rejects("fields", "invalid"),
        Case::new("no-objective", "INVALID", &["objective"])
            .json(&json!({ "taskId": "no-objective" }))
            .rejects("no-objective", "invalid"),
        Case::new("enum", "INVALID", &["mode"])
            .json(&task("enum", "mode", json!("SOMEHOW")))
            .rejects("enum", "invalid"),
        Case::new("type", "INVALID", &["priority"])
            .json(&task("type", "priority", json!("high")))
            .rejects("type", "invalid"),
        Case::new("several", "INVALID", &["objective", "priority", "limits.maxHops"])
            .json(&several)
            .rejects("several", "invalid"),
        Case::new("breach", "INVALID", &["input", "inputContract", "amount"])
            .json(&breach)
            .rejects("breach", "invalid"),
        Case::new("bad-id", "ID", &["taskId", "a b", "A-Z"]).json(&json!({ "taskId": "a b", "objective": "o" })),
        Case::new("long-id", "ID", &["128"]).json(&json!({ "taskId": "x".repeat(129), "objective": "o" })),
        Case::new("bad-key", "ID", &["key", "a/b"]).key("a/b").json(&json!({ "objective": "o" })),
        Case::new("binary-key", "ID", &["key"]).key([0xff, 0xfe, 1]).json(&json!({ "objective": "o" })),
        Case::new("other-key", "ID", &["another", "by-value"])
            .key("another")
            .json(&json!({ "taskId": "by-value", "objective": "o" }))
            .rejects("by-value", "id"),
        Case::new("null", "INVALID", &["null"]).key("null"),
        Case::new("null-both", "INVALID", &["null"]),
        Case::new("large", "TOO_LARGE", &["input", "262145", "262144"])
            .json(&task("large", "input", json!("x".repeat(LIMIT + 1))))
            .rejects("large", "too_large"),
        Case::new("plan", "INVALID", &["depends on b", "\"Nobody\" is not registered", "capability \"flying\""])
            .json(&task(
                "plan",
                "plan",
                json!([
                    { "stepId": "a", "objective": "o", "dependsOn": ["b"], "agentName": "Nobody" },
                    { "stepId": "c", "objective": "o", "capability": "flying" },
                ]),
            ))
            .rejects("plan", "plan_rejected"),
        Case::new("contract", "INVALID", &["plan[0].outputContract"])
            .json(&task(
                "contract",
                "plan",
                json!([{ "stepId": "a", "objective": "o", "outputContract": "{\"type\": 7}" }]),
            ))
            .rejects("contract", "invalid"),
        Case::new("mode-plan", "INVALID", &["PLAN without a plan"])
            .json(&task("mode-plan", "mode", json!("plan")))
            .rejects("mode-plan", "no_plan"),
    ]
}

#[test]
fn every_bad_task_is_a_dead_letter_and_its_partition_goes_on() {
    let office = office();
    let Office { scratch, .. } = office;
    let tasks = scratch.topic("tasks");
    let cases = bad_tasks(scratch);
    let sender = Sender::new(scratch.stack, Partitioner::Default);
    sender.send_all(cases.iter().map(|case| case.record(&tasks)));
    let good = |n: i32| {
        let task = json!({ "taskId": format!("good-{n}"), "objective": "o", "agents": ["Echo"], "input": n });
        Send::to(&tasks).json(&task).partition(n % 3)
    };
    sender.send_all((0..9).map(good));
    let (mut told, mut dlq) = (Told::of(scratch), office.dlq("tasks"));
    for n in 0..9 {
        assert_eq!(told.ended(&format!("good-{n}"), "SUCCEEDED", "completed")["result"], n.to_string());
    }
    let sources = read_all(scratch.stack, &tasks);
    for case in &cases {
        case.is_dead_in(&mut dlq, &sources, "w-bad");
        let Some((task, code)) = case.rejected else { continue };
        let completion = told.ended(task, "REJECTED", code);
        let message = completion["message"].as_str().unwrap_or_default();
        assert!(message.contains(&format!("{tasks}.dlq")), "{task}: it names the dead letter: {message}");
        assert!(case.says.iter().all(|word| message.contains(word)), "{task}: {message}");
        assert_eq!((items(&completion, "steps").len(), completion["hops"].as_i64()), (0, Some(0)), "{task}");
        // What is wrong with a plan is a fact too.
        let facts = if code == "plan_rejected" { vec!["PLAN_REJECTED"] } else { vec![] };
        assert_eq!(
            (told.completions(task).len(), told.kinds(task)),
            (1, facts.into_iter().map(str::to_owned).collect::<Vec<_>>()),
            "{task}"
        );
    }
    let letters = dlq.settle().iter().filter(|record| !record.header("x-case").is_empty()).count();
    assert!(letters >= cases.len());
    // REJECTED leaves the id free.
    submit(scratch, &[json!({ "taskId": "fields", "objective": "o", "agents": ["Echo"], "input": 7 })]);
    let ended = |record: &Record| record.text("taskId") == "fields" && record.text("outcome") == "SUCCEEDED";
    told.completions.find("the id is free", SOON, ended);
}

#[test]
fn a_refused_task_whose_id_is_in_use_has_no_completion_of_its_own() {
    let office = office();
    let Office { scratch, .. } = office;
    let assignment = office.hold("in-use");
    let case = Case::new("in-use", "INVALID", &["colour"]);
    let case = case.key("in-use").json(&json!({ "taskId": "in-use", "objective": "o", "colour": 1 }));
    let tasks = scratch.topic("tasks");
    Sender::new(scratch.stack, Partitioner::Murmur2).send(case.record(&tasks));
    case.is_dead_in(&mut office.dlq("tasks"), &read_all(scratch.stack, &tasks), "w-bad");
    let mut told = Told::of(scratch);
    assert!(told.completions("in-use").is_empty());
    report(
        scratch,
        &[json!({ "taskId": "in-use", "assignmentId": assignment, "agentName": "Held", "status": "SUCCEEDED" })],
    );
    assert_eq!(told.ended("in-use", "SUCCEEDED", "completed")["result"], "null");
    assert_eq!(told.completions("in-use").len(), 1);
}

#[test]
fn the_same_task_twice_is_counted_and_another_under_its_id_is_a_dead_letter() {
    let office = office();
    let Office { scratch, .. } = office;
    let before = office.counted("tasks", "duplicate");
    let assignment = office.hold("twice");
    let tasks = scratch.topic("tasks");
    // The same by its decoded fields, whatever its bytes and the time somebody sent it.
    let again = "{ \"agents\" : [\"Held\"],\n \"submittedAt\": \"2026-01-01T00:00:00Z\", \"priority\": 5, \"objective\": \"wait\" }";
    let other = |name| {
        let case = Case::new(name, "DUPLICATE", &["taskId", "in use", "another id"]);
        case.key("twice").json(&json!({ "taskId": "twice", "objective": "something else", "agents": ["Held"] }))
    };
    let live = other("other-live");
    let sender = Sender::new(scratch.stack, Partitioner::Default);
    sender.send_all([Send::to(&tasks).key("twice").bytes(again), live.record(&tasks)]);
    office.counts("tasks", "duplicate", before, 1);
    let mut dlq = office.dlq("tasks");
    dlq.find("the other one", SOON, |record| record.header("x-case") == "other-live");

    report(
        scratch,
        &[
            json!({ "taskId": "twice", "assignmentId": assignment, "agentName": "Held", "status": "SUCCEEDED", "output": 1 }),
        ],
    );
    let mut told = Told::of(scratch);
    told.ended("twice", "SUCCEEDED", "completed");
    // Its receipt is kept: the same holds after its end.
    let ended = other("other-ended");
    sender.send_all([Send::to(&tasks).key("twice").bytes(again), ended.record(&tasks)]);
    office.counts("tasks", "duplicate", before, 2);
    dlq.find("the other one", SOON, |record| record.header("x-case") == "other-ended");
    let sources = read_all(scratch.stack, &tasks);
    live.is_dead_in(&mut dlq, &sources, "w-bad");
    ended.is_dead_in(&mut dlq, &sources, "w-bad");
    assert_eq!((told.completions("twice").len(), office.agents.of("twice").len()), (1, 1));
    assert_eq!(told.facts("twice").len(), 6, "accepted, chosen, assigned, succeeded, chosen, ended");
}

/// The size of the largest value the broker takes; those that it took on the way are on the record's topic.
fn largest(sender: &Sender, record: impl Fn(usize) -> Send) -> usize {
    let (mut taken, mut refused) = (RECORD_LIMIT - 1_000, RECORD_LIMIT - 61);
    while taken + 1 < refused {
        let size = usize::midpoint(taken, refused);
        match sender.try_all([record(size)]).remove(0) {
            Ok(_) => taken = size,
            Err(why) => {
                assert!(why.contains("MessageSizeTooLarge"), "{why}");
                refused = size;
            }
        }
    }
    assert!(taken > RECORD_LIMIT - 1_000, "the broker takes no record of about its limit");
    taken
}

/// A task of that many bytes.
fn of_size(id: &str, size: usize) -> Vec<u8> {
    let (head, tail) = (format!("{{\"taskId\":\"{id}\",\"objective\":\"o\",\"input\":\""), "\"}");
    [head.as_bytes(), &vec![b'x'; size - head.len() - tail.len()], tail.as_bytes()].concat()
}

/// A topic with the limit and the partitions of the inputs, to find out what they take and where.
fn probe(scratch: &Scratch, name: &str) -> String {
    scratch.create(name, 3, &[("max.message.bytes", &RECORD_LIMIT.to_string())])
}

#[test]
fn a_task_in_a_record_of_exactly_the_topics_limit_does_not_block_its_partition() {
    let office = office();
    let Office { scratch, .. } = office;
    let (tasks, probe) = (scratch.topic("tasks"), probe(scratch, "limit-tasks"));
    let sender = Sender::new(scratch.stack, Partitioner::Murmur2);
    let (mut told, mut dlq) = (Told::of(scratch), office.dlq("tasks"));
    let case = |name: &'static str, size| {
        Case::new(name, "TOO_LARGE", &["input", "262144"])
            .key(name)
            .bytes(of_size(name, size))
            .rejects(name, "too_large")
    };
    // At home, and where it would outgrow its topic on the way home.
    for (name, away) in [("limit", 0), ("limit-away", 1)] {
        let size = largest(&sender, |size| case(name, size).record(&probe));
        let (home, _) = sender.send(Send::to(&probe).key(name));
        let case = case(name, size);
        sender.send(case.record(&tasks).partition((home + away) % 3));
        let completion = told.ended(name, "REJECTED", "too_large");
        case.is_dead_in(&mut dlq, &read_all(scratch.stack, &tasks), "w-bad");
        let letter = dlq.records().iter().find(|letter| letter.header("x-case") == name).expect("it was found");
        let place =
            format!("{}/{}", letter.header("__streams.errors.partition"), letter.header("__streams.errors.offset"));
        assert!(completion["message"].as_str().is_some_and(|why| why.contains(&place)), "{place}: {completion:#}");
        assert_eq!(told.completion(name).partition, home);
        assert_eq!((told.completions(name).len(), told.events(name).len()), (1, 0));
    }
    // Sent from elsewhere under an id in use: that task goes on, and has no completion but its own.
    let assignment = office.hold("limit-held");
    let (home, _) = sender.send(Send::to(&probe).key("limit-held"));
    let held = case("limit-held", largest(&sender, |size| case("limit-held", size).record(&probe)));
    sender.send(held.record(&tasks).partition((home + 1) % 3));
    dlq.find("it is a dead letter", SOON, |letter| letter.header("x-case") == "limit-held");
    held.is_dead_in(&mut dlq, &read_all(scratch.stack, &tasks), "w-bad");
    for n in 0..3 {
        let task = json!({ "taskId": format!("after-limit-{n}"), "objective": "o", "agents": ["Echo"] });
        sender.send(Send::to(&tasks).json(&task).partition(n));
        told.ended(&format!("after-limit-{n}"), "SUCCEEDED", "completed");
    }
    report(
        scratch,
        &[json!({ "taskId": "limit-held", "assignmentId": assignment, "agentName": "Held", "status": "SUCCEEDED" })],
    );
    told.ended("limit-held", "SUCCEEDED", "completed");
    assert_eq!(told.completions("limit-held").len(), 1);
    // Nothing was tried in vain for it.
    assert_eq!(office.worker.metric("baton_transactions_aborted_total"), 0.0);
}

#[test]
fn a_report_over_the_limit_ends_its_task_and_is_no_dead_letter() {
    let office = office();
    let Office { scratch, .. } = office;
    let mut told = Told::of(scratch);
    let status = scratch.topic("agent-status");
    let probe = probe(scratch, "limit-reports");
    let sender = Sender::new(scratch.stack, Partitioner::Murmur2);
    for (task, exact, away) in
        [("wide", false, 0), ("widest", true, 0), ("wide-away", false, 1), ("widest-away", true, 1)]
    {
        let assignment = office.hold(task);
        let of_size = |size: usize| {
            let report = json!({ "taskId": task, "assignmentId": assignment, "agentName": "Held", "status": "SUCCEEDED", "output": "" });
            report.to_string().replace("\"output\":\"\"", &format!("\"output\":\"{}\"", "x".repeat(size)))
        };
        let record = |topic: &str, size| Send::to(topic).key(task).header("x-case", task).bytes(of_size(size));
        let base = of_size(0).len();
        let size = match exact {
            true => largest(&sender, |size| record(&probe, size - base)) - base,
            false => LIMIT + 1,
        };
        let (home, _) = sender.send(Send::to(&probe).key(task));
        sender.send(record(&status, size).partition((home + away) % 3));
        let ended = told.ended(task, "FAILED", "too_large");
        assert!(
            ended["message"].as_str().is_some_and(|why| why.contains("output") && why.contains("262144")),
            "{ended:#}"
        );
        assert_eq!(ended["result"], Value::Null);
        let kinds = told.kinds(task);
        assert_eq!(kinds[kinds.len() - 2..], ["OUTPUT_REJECTED", "TASK_ENDED"]);
        let dead = office.dlq("agent-status").settle().iter().any(|record| record.header("x-case") == task);
        assert!(!dead, "{task}: it was taken");
    }
}

#[test]
fn every_bad_report_is_a_dead_letter_and_changes_nothing() {
    let office = office();
    let Office { scratch, .. } = office;
    let (status, other) = (scratch.topic("agent-status"), office.hold("other"));
    let id = office.hold("bad-report");
    let good = json!({ "taskId": "bad-report", "assignmentId": id, "agentName": "Held", "status": "SUCCEEDED", "output": { "it": "is right" } });
    let with = |field: &str, value: Value| {
        let mut report = good.clone();
        report[field] = value;
        report
    };
    let (accepted, offset) =
        id.split_once('~').and_then(|(_, rest)| rest.split_once('~')?.0.split_once('-')).expect("an id");
    let later = format!("bad-report~{accepted}-{}~1~1", offset.parse::<i64>().unwrap() + 1_000_000);
    let cases = [
        Case::new("r-undecodable", "UNDECODABLE", &[]).key("bad-report").bytes(b"\xff\xfe"),
        Case::new("r-no-schema", "UNKNOWN_SCHEMA", &[]).key("bad-report").bytes([0, 0x7f, 0xff, 0xff, 0xf1, 1]),
        Case::new("r-shape", "INVALID", &["AgentReport"])
            .bytes(of_another_shape(scratch, &json!({ "taskId": "bad-report", "colour": 7 }))),
        Case::new("r-fields", "INVALID", &["colour"]).json(&with("colour", json!(1))),
        Case::new("r-status", "INVALID", &["status"]).json(&with("status", json!("FINISHED"))),
        Case::new("r-unknown", "INVALID", &["status"]).json(&with("status", json!("UNKNOWN"))),
        Case::new("r-missing", "INVALID", &["agentName"])
            .json(&json!({ "taskId": "bad-report", "assignmentId": id, "status": "SUCCEEDED" })),
        Case::new("r-id", "ID", &["taskId", "a b"]).json(&with("taskId", json!("a b"))),
        Case::new("r-key", "ID", &["key", "elsewhere"]).key("elsewhere").json(&good),
        Case::new("r-null", "INVALID", &["null"]).key("bad-report"),
        Case::new("r-nonsense", "IMPOSSIBLE", &["assignmentId", "nonsense"])
            .json(&with("assignmentId", json!("nonsense"))),
        Case::new("r-step", "IMPOSSIBLE", &["step"]).json(&with("assignmentId", json!(id.replace("~1~1", "~2~1")))),
        Case::new("r-attempt", "IMPOSSIBLE", &["attempt"])
            .json(&with("assignmentId", json!(id.replace("~1~1", "~1~2")))),
        Case::new("r-later", "IMPOSSIBLE", &["accepted elsewhere"]).json(&with("assignmentId", json!(later))),
        Case::new("r-task", "IMPOSSIBLE", &["another task"]).json(&with("assignmentId", json!(other))),
        Case::new("r-agent", "IMPOSSIBLE", &["Held", "Echo"]).json(&with("agentName", json!("Echo"))),
        Case::new("r-part", "IMPOSSIBLE", &["Held"]).json(&with("agentName", json!("Hel"))),
    ];
    let sender = Sender::new(scratch.stack, Partitioner::Default);
    sender.send_all(cases.iter().map(|case| case.record(&status)));
    let mut dlq = office.dlq("agent-status");
    let mut told = Told::of(scratch);
    for case in &cases {
        dlq.find(case.name, SOON, |record| record.header("x-case") == case.name);
    }
    let sources = read_all(scratch.stack, &status);
    for case in &cases {
        case.is_dead_in(&mut dlq, &sources, "w-bad");
    }
    assert_eq!(told.kinds("bad-report"), ["TASK_ACCEPTED", "AGENT_CHOSEN", "STEP_ASSIGNED"]);
    assert!(told.completions("bad-report").is_empty(), "nobody is told of a bad report");
    // Names are compared without their case and the spaces around them.
    report(scratch, &[with("agentName", json!(" hELD "))]);
    assert_eq!(told.ended("bad-report", "SUCCEEDED", "completed")["result"], r#"{"it":"is right"}"#);
}

#[test]
fn late_and_stale_reports_are_counted_and_change_nothing() {
    let office = office();
    let Office { scratch, .. } = office;
    let id = office.hold("late");
    let said = |status: &str, output: i32| json!({ "taskId": "late", "assignmentId": id, "agentName": "Held", "status": status, "output": output });
    let mut told = Told::of(scratch);
    let before = office.counted("agent-status", "stale");
    report(scratch, &[said("ACCEPTED", 0), said("ACCEPTED", 0), said("SUCCEEDED", 1)]);
    assert_eq!(told.ended("late", "SUCCEEDED", "completed")["result"], "1");
    let facts = told.facts("late");
    // After the end: again, otherwise, and of tasks nobody knows (any more).
    let unknown =
        json!({ "taskId": "never", "assignmentId": "never~0-7~1~1", "agentName": "Held", "status": "SUCCEEDED" });
    report(
        scratch,
        &[
            said("SUCCEEDED", 1),
            said("SUCCEEDED", 2),
            said("FAILED", 3),
            said("DECLINED", 3),
            said("PROGRESS", 3),
            unknown,
        ],
    );
    office.counts("agent-status", "stale", before, 7);
    assert_eq!(told.facts("late"), facts);
    assert_eq!((told.completions("late").len(), office.agents.of("late").len()), (1, 1));
    assert!(told.completions("never").is_empty() && told.events("never").is_empty());
}
