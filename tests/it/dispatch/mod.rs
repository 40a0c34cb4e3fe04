//! Agents behind an endpoint, on the real broker with real HTTP servers.

mod answers;
mod changes;
mod kills;
mod limits;
mod pair;
mod tls;

use super::support::agents::definition;
use super::support::{Partitioner, Scratch, Send, Sender, Topic, runtime, until};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Of every task.
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const SOON: Duration = Duration::from_secs(40);

/// What an agent was asked.
#[derive(Clone, Debug)]
struct Asked {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Value,
    at: Instant,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn task(&self) -> &str {
        self.body["taskId"].as_str().unwrap_or_default()
    }
}

type Reply = std::pin::Pin<Box<dyn Future<Output = Response> + std::marker::Send>>;
type Script = Box<dyn Fn(Asked, usize) -> Reply + std::marker::Send + Sync>;

struct Room {
    script: Script,
    asked: Mutex<Vec<Asked>>,
}

/// An HTTP server that agents live in, each at a path of its own; gone when dropped.
struct House {
    url: String,
    room: Arc<Room>,
    task: JoinHandle<()>,
}

impl House {
    /// Answers each request by `script`, which also gets how often that path was posted to before.
    fn new(script: impl Fn(Asked, usize) -> Reply + std::marker::Send + Sync + 'static) -> Self {
        let room = Arc::new(Room { script: Box::new(script), asked: Mutex::default() });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&room));
        let listener = runtime().block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("some port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let task = runtime().spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url, room, task }
    }

    fn asked(&self) -> Vec<Asked> {
        self.room.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn asked_for(&self, path: &str) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.path == path).collect()
    }

    /// Waits until a path was asked so often.
    #[track_caller]
    fn until_asked(&self, path: &str, times: usize) {
        until(&format!("{path} is asked"), SOON, || match self.asked_for(path).len() {
            asked if asked >= times => Ok(()),
            asked => Err(format!("{asked} requests of {times}")),
        });
    }

    /// The requests by task, in their order; fails if a task was ever asked for under another key than at first.
    #[track_caller]
    fn by_task(&self) -> BTreeMap<String, Vec<Asked>> {
        let mut by_task: BTreeMap<String, Vec<Asked>> = BTreeMap::new();
        for asked in self.asked().into_iter().filter(|asked| asked.method == Method::POST) {
            assert_eq!(asked.header("idempotency-key"), asked.body["assignmentId"]);
            let of = by_task.entry(asked.task().to_owned()).or_default();
            let first = of.first().unwrap_or(&asked).header("idempotency-key");
            assert_eq!(asked.header("idempotency-key"), first, "no new key for old work");
            of.push(asked);
        }
        by_task
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(room): State<Arc<Room>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let asked = Asked { method, path: uri.path().to_owned(), headers, body, at: Instant::now() };
    let before = {
        let mut all = room.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.iter().filter(|one| one.path == asked.path && one.method == asked.method).count();
        all.push(asked.clone());
        before
    };
    (room.script)(asked, before).await
}

fn behind(name: &str, endpoint: &str) -> Value {
    let mut agent = definition(name, "is called over HTTP");
    agent["endpoint"] = json!(endpoint);
    agent
}

/// Hands in tasks `<id>`, each for one agent, once the topics of these agents are there.
fn submit(scratch: &Scratch, tasks: &[(&str, &str)]) {
    submit_with(scratch, tasks, "");
}

/// The same with a text beside the id in the input.
fn submit_with(scratch: &Scratch, tasks: &[(&str, &str)], text: &str) {
    await_topics(scratch, tasks.iter().map(|(_, agent)| *agent));
    let sender = Sender::new(scratch.stack, Partitioner::Default);
    sender.send_all(tasks.iter().map(|(id, agent)| task(scratch, id, agent, text)));
}

fn await_topics<'a>(scratch: &Scratch, agents: impl Iterator<Item = &'a str>) {
    let topic = |agent: &str| scratch.topic(&format!("assignments.{}", agent.to_lowercase().replace(' ', "-")));
    let topics: BTreeSet<String> = agents.map(topic).collect();
    Topic::open_all(scratch.stack, &Vec::from_iter(topics), SOON);
}

fn task(scratch: &Scratch, id: &str, agent: &str, text: &str) -> Send {
    let input = json!({ "id": id, "text": text });
    let task = json!({ "taskId": id, "objective": "do it", "agents": [agent], "input": input });
    Send::to(&scratch.topic("tasks")).key(id).header("traceparent", TRACE).json(&task)
}

/// Waits until so many tasks have ended: each once, and well. No report was refused.
#[track_caller]
fn each_ends_once(scratch: &Scratch, tasks: usize, within: Duration) {
    let mut completions = Topic::open(scratch.stack, &scratch.topic("completions"));
    completions.until(&format!("{tasks} tasks end"), within, |records| {
        let ended: BTreeSet<&str> = records.iter().map(|record| record.text("taskId")).collect();
        ended.len() >= tasks
    });
    let mut ended: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in completions.settle() {
        ended.entry(record.text("taskId").to_owned()).or_default().push(record.text("outcome").to_owned());
    }
    assert_eq!(ended.len(), tasks);
    ended.retain(|_, outcomes| outcomes != &["SUCCEEDED"]);
    assert!(ended.is_empty(), "{ended:?}");
    let dead = Topic::open(scratch.stack, &scratch.topic("agent-status.dlq")).settle().len();
    assert_eq!(dead, 0);
}

fn well(asked: &Asked) -> Response {
    axum::Json(json!({ "status": "SUCCEEDED", "output": { "of": asked.task() } })).into_response()
}

fn put_off(status: StatusCode, seconds: u32) -> Response {
    (status, [("Retry-After", seconds.to_string())]).into_response()
}

fn completion(scratch: &Scratch, task: &str) -> Value {
    let mut completions = Topic::open(scratch.stack, &scratch.topic("completions"));
    completions.find(&format!("the completion of {task}"), SOON, |record| record.text("taskId") == task).value
}
