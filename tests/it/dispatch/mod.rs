//! Agents behind an endpoint, on the real broker with real HTTP servers.

mod answers;
mod kills;
mod tls;

use super::support::agents::definition;
use super::support::{Partitioner, Scratch, Send, Sender, Topic, runtime};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use serde_json::{Value, json};
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
    let topics: std::collections::BTreeSet<String> = tasks
        .iter()
        .map(|(_, agent)| scratch.topic(&format!("assignments.{}", agent.to_lowercase().replace(' ', "-"))))
        .collect();
    Topic::open_all(scratch.stack, &Vec::from_iter(topics), SOON);
    let topic = scratch.topic("tasks");
    Sender::new(scratch.stack, Partitioner::Default).send_all(tasks.iter().map(|(id, agent)| {
        let task = json!({ "taskId": id, "objective": "do it", "agents": [agent], "input": { "id": id } });
        Send::to(&topic).key(id).header("traceparent", TRACE).json(&task)
    }));
}

fn completion(scratch: &Scratch, task: &str) -> Value {
    let mut completions = Topic::open(scratch.stack, &scratch.topic("completions"));
    completions.find(&format!("the completion of {task}"), SOON, |record| record.text("taskId") == task).value
}
