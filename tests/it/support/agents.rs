//! A pool of agents in this process: plain rdkafka, reports in JSON, behaviour scripted per agent.
//!
//! One reader without a group for all assignment topics, so that it sees every committed assignment exactly once and
//! in full: an assignment made twice shows as two entries of [`Agents::seen`].

use super::produce::{Partitioner, Send, Sender};
use super::records::{Record, Topic};
use super::scratch::Scratch;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// One thing an agent says about an assignment. None at all is silence; the same twice is a duplicate.
#[derive(Clone, Debug)]
pub(crate) struct Say {
    after: Duration,
    report: Value,
}

impl Say {
    fn status(status: &str) -> Self {
        Self { after: Duration::ZERO, report: json!({ "status": status }) }
    }

    pub(crate) fn succeeded(output: Value) -> Self {
        Self::status("SUCCEEDED").with("output", output)
    }

    /// `class` as on the wire, such as `PERMANENT`.
    pub(crate) fn failed(class: &str, message: &str) -> Self {
        Self::status("FAILED").with("error", json!({ "class": class, "message": message }))
    }

    pub(crate) fn declined(message: &str) -> Self {
        Self::status("DECLINED").with("message", json!(message))
    }

    pub(crate) fn input_required(message: &str) -> Self {
        Self::status("INPUT_REQUIRED").with("message", json!(message))
    }

    pub(crate) fn accepted() -> Self {
        Self::status("ACCEPTED")
    }

    pub(crate) fn progress(progress: f64) -> Self {
        Self::status("PROGRESS").with("progress", json!(progress))
    }

    /// Any field of the report, also one that should not be there.
    pub(crate) fn with(mut self, field: &str, value: Value) -> Self {
        self.report[field] = value;
        self
    }

    /// Said this long after the assignment was read.
    pub(crate) fn after(mut self, wait: Duration) -> Self {
        self.after = wait;
        self
    }
}

/// What an agent says to an assignment (its decoded fields).
pub(crate) type Behaviour = Box<dyn FnMut(&Value) -> Vec<Say> + std::marker::Send>;

/// Always the same answer.
pub(crate) fn always(say: Say) -> Behaviour {
    Box::new(move |_| vec![say.clone()])
}

/// Succeeds with what `work` makes of the assignment's input.
pub(crate) fn works(work: impl Fn(&Value) -> Value + std::marker::Send + 'static) -> Behaviour {
    Box::new(move |assignment| vec![Say::succeeded(work(&payload(&assignment["input"])))])
}

/// Never says anything.
pub(crate) fn silent() -> Behaviour {
    Box::new(|_| vec![])
}

/// A payload field as the value it stands for.
pub(crate) fn payload(field: &Value) -> Value {
    match field {
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| field.clone()),
        other => other.clone(),
    }
}

/// A definition with the least it needs; change fields with plain JSON.
pub(crate) fn definition(name: &str, description: &str) -> Value {
    json!({
        "agentName": name,
        "description": description,
        "capabilities": [],
        "input": { "format": "application/json", "contract": "any" },
        "output": { "format": "application/json", "contract": "any" },
        "performance": { "averageLatency": 100, "successRate": 0.95, "specialization": [] },
    })
}

/// The pool; stops when dropped.
pub(crate) struct Agents {
    seen: Arc<Mutex<Vec<Record>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Agents {
    /// Starts when the topics of all these agents exist (a worker creates them from their definitions; 30 s).
    pub(crate) fn start(scratch: &Scratch, agents: Vec<(&str, Behaviour)>) -> Self {
        let mut behaviours: BTreeMap<String, Behaviour> = agents
            .into_iter()
            .map(|(name, behaviour)| (scratch.topic(&format!("assignments.{}", topic_name(name))), behaviour))
            .collect();
        let stack = scratch.stack;
        let sender = Sender::new(stack, Partitioner::Default);
        let status = scratch.topic("agent-status");
        let (seen, stop) = (Arc::<Mutex<Vec<Record>>>::default(), Arc::new(AtomicBool::new(false)));
        let (list, ended) = (seen.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let topics: Vec<String> = behaviours.keys().cloned().collect();
            let mut reader = Topic::open_all(stack, &topics, Duration::from_secs(30));
            let mut due: BTreeMap<(Instant, usize), Send> = BTreeMap::new();
            let mut number = 0;
            while !ended.load(Ordering::Relaxed) {
                for record in reader.take(Duration::from_millis(5)) {
                    let behaviour = behaviours.get_mut(&record.topic).expect("only these are read");
                    for say in behaviour(&record.value) {
                        number += 1;
                        due.insert((Instant::now() + say.after, number), report(&status, &record.value, &say));
                    }
                    list.lock().unwrap_or_else(PoisonError::into_inner).push(record);
                }
                let later = due.split_off(&(Instant::now(), usize::MAX));
                let now = std::mem::replace(&mut due, later);
                if !now.is_empty() {
                    sender.send_all(now.into_values());
                }
            }
        });
        Self { seen, stop, thread: Some(thread) }
    }

    /// Every assignment read so far.
    pub(crate) fn seen(&self) -> Vec<Record> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The assignments of one task so far.
    pub(crate) fn of(&self, task: &str) -> Vec<Record> {
        self.seen().into_iter().filter(|record| record.text("taskId") == task).collect()
    }

    /// Stops, and fails the test if the pool itself failed.
    pub(crate) fn stop(mut self) -> Vec<Record> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().expect("it runs until stopped").join();
        ended.expect("the pool did not fail");
        self.seen()
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// An agent's topic name by the words of the interface: lower case, anything else a dash, `.v<major>` is the test's.
fn topic_name(agent: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c.to_ascii_lowercase() } else { '-' };
    agent.chars().map(plain).collect()
}

fn report(topic: &str, assignment: &Value, say: &Say) -> Send {
    let mut report = say.report.clone();
    for field in ["taskId", "assignmentId", "agentName"] {
        if report.get(field).is_none() {
            report[field] = assignment[field].clone();
        }
    }
    let key = report["taskId"].as_str().unwrap_or_default().to_owned();
    Send::to(topic).key(key).json(&report)
}
