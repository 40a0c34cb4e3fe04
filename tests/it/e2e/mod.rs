//! Baton from the outside only: the binary, a real broker and registry, and clients and agents that are none of its own.
//!
//! Most modules share one worker among their tests, each test under task ids and agents of its own; whoever needs other
//! settings, or takes a worker down, has a prefix to itself.

mod alert;
mod bad_input;
mod clients;
mod commands;
mod config_cli;
mod engine;
mod heartbeats;
mod llm;
mod planning;
mod prompts;
mod real_llm;
mod replay;
mod routes;
mod versions;
mod withdrawals;

use super::support::agents::definition;
use super::support::{Partitioner, Record, Scratch, Send, Sender, Topic, Worker, until};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What should take a moment, on a machine that is busy.
const SOON: Duration = Duration::from_secs(40);

/// Waits until the worker may choose this many agents.
#[track_caller]
fn eligible(worker: &Worker, count: u32) {
    until(&format!("{count} agents may be chosen"), SOON, || match worker.metric("baton_agents_eligible") {
        seen if seen == f64::from(count) => Ok(()),
        seen => Err(seen.to_string()),
    });
}

/// A definition with a contract on either side; `any` for none.
fn between(name: &str, takes: &str, gives: &str) -> Value {
    let mut definition = definition(name, &format!("makes {gives} of {takes}"));
    definition["input"]["contract"] = json!(takes);
    definition["output"]["contract"] = json!(gives);
    definition
}

/// Sends tasks as any client would: keyed by their id, librdkafka's default partitioner.
fn submit(scratch: &Scratch, tasks: &[Value]) {
    let topic = scratch.topic("tasks");
    let record = |task: &Value| Send::to(&topic).key(task["taskId"].as_str().expect("the test gives ids")).json(task);
    Sender::new(scratch.stack, Partitioner::Default).send_all(tasks.iter().map(record));
}

/// Sends reports likewise.
fn report(scratch: &Scratch, reports: &[Value]) {
    let topic = scratch.topic("agent-status");
    let record = |report: &Value| Send::to(&topic).key(report["taskId"].as_str().unwrap_or_default()).json(report);
    Sender::new(scratch.stack, Partitioner::Default).send_all(reports.iter().map(record));
}

/// Milliseconds since the epoch, so long from now.
fn in_future(wait: Duration) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    i64::try_from((now + wait).as_millis()).expect("it is not the far future")
}

/// What Baton says of tasks, read back by a stock Avro reader.
struct Told {
    completions: Topic,
    decisions: Topic,
    events: Topic,
}

impl Told {
    fn of(scratch: &Scratch) -> Self {
        let open = |name| Topic::open(scratch.stack, &scratch.topic(name));
        Self { completions: open("completions"), decisions: open("routing-decisions"), events: open("task-events") }
    }

    /// The task's completion, once it is there.
    #[track_caller]
    fn completion(&mut self, task: &str) -> Record {
        self.completions.find(&format!("{task} completes"), SOON, |record| record.text("taskId") == task)
    }

    /// The same, with the outcome and the reason it must have.
    #[track_caller]
    fn ended(&mut self, task: &str, outcome: &str, reason: &str) -> Value {
        let value = self.completion(task).value;
        assert_eq!((value["outcome"].as_str(), value["reason"].as_str()), (Some(outcome), Some(reason)), "{value:#}");
        value
    }

    /// All completions under this id so far.
    #[track_caller]
    fn completions(&mut self, task: &str) -> Vec<Record> {
        of(self.completions.settle(), task)
    }

    /// The decision on the task's question of this number, once it is there.
    #[track_caller]
    fn decision(&mut self, task: &str, question: i64) -> Value {
        let wanted = |record: &Record| record.text("taskId") == task && record.value["question"] == question;
        self.decisions.find(&format!("{task} has decided question {question}"), SOON, wanted).value
    }

    /// All decisions of the task so far.
    #[track_caller]
    fn decisions(&mut self, task: &str) -> Vec<Record> {
        of(self.decisions.settle(), task)
    }

    /// All records of events of the task so far.
    #[track_caller]
    fn events(&mut self, task: &str) -> Vec<Record> {
        of(self.events.settle(), task)
    }

    /// The task's facts so far, numbered from 1 without gap or repeat over its records.
    #[track_caller]
    fn facts(&mut self, task: &str) -> Vec<Value> {
        let mut facts: Vec<Value> = vec![];
        for record in self.events(task) {
            assert_eq!(record.value["firstSequence"], facts.len() + 1, "{task}: {:#}", record.value);
            facts.extend(record.value["facts"].as_array().expect("facts are a list").iter().cloned());
        }
        facts
    }

    /// The kinds of the task's facts so far.
    #[track_caller]
    fn kinds(&mut self, task: &str) -> Vec<String> {
        self.facts(task).iter().map(|fact| fact["type"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

fn of(records: &[Record], task: &str) -> Vec<Record> {
    records.iter().filter(|record| record.text("taskId") == task).cloned().collect()
}

/// One field of each, as text.
fn texts<'a>(values: impl IntoIterator<Item = &'a Value>, field: &str) -> Vec<String> {
    values.into_iter().map(|value| value[field].as_str().unwrap_or_default().to_owned()).collect()
}

/// The items of a field that is a list.
fn items<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}
