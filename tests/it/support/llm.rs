//! An LLM that says what the test wants, over real HTTP in the shape of OpenAI's chat completions or, asked under
//! `/messages`, of Anthropic's messages.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// One answer.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// The message's content, as it is.
    Content(String),
    /// The content, ended by the token limit.
    Truncated(String),
    /// `message.refusal`.
    Refusal(String),
    /// This status with an error body; `Retry-After` in seconds where given.
    Status(u16, Option<u32>),
    /// Nothing, until the client gives up.
    Hang,
}

impl Reply {
    /// Well: this agent (or NONE, DONE), sure of it.
    pub(crate) fn agent(name: &str) -> Self {
        Self::sure(name, 0.9)
    }

    pub(crate) fn sure(name: &str, confidence: f64) -> Self {
        let answer = json!({ "reason": "as the test says", "agent": name, "confidence": confidence });
        Self::Content(answer.to_string())
    }

    pub(crate) fn prose(name: &str) -> Self {
        Self::Content(format!("I think that {name} would be the best choice here, because it fits."))
    }

    /// A well-formed answer that stops in the middle.
    pub(crate) fn truncated(name: &str) -> Self {
        Self::Truncated(format!("{{\"reason\": \"it is the one that fits best\", \"agent\": \"{name}"))
    }
}

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    /// The value of `Authorization`.
    pub(crate) authorization: Option<String>,
    /// The value of `x-api-key`.
    pub(crate) api_key: Option<String>,
    pub(crate) body: Value,
    pub(crate) at: Instant,
}

impl Asked {
    /// The text of all its messages.
    pub(crate) fn prompt(&self) -> String {
        let messages = self.body["messages"].as_array().cloned().unwrap_or_default();
        messages.iter().filter_map(|m| m["content"].as_str().map(str::to_owned)).collect::<Vec<_>>().join("\n")
    }
}

type Script = Box<dyn FnMut(&Asked) -> Reply + Send>;

struct Room {
    script: Mutex<Script>,
    asked: Mutex<Vec<Asked>>,
}

/// The server; gone when dropped.
pub(crate) struct Llm {
    url: String,
    address: SocketAddr,
    room: Arc<Room>,
    /// None while it is killed. Of its own: with it go the connections that clients keep.
    server: Option<Runtime>,
}

impl Llm {
    /// Answers each request by `script`.
    pub(crate) fn scripted(script: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        let room = Arc::new(Room { script: Mutex::new(Box::new(script)), asked: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let address = listener.local_addr().expect("it is bound");
        let server = Some(serve(listener, room.clone()));
        Self { url: format!("http://{address}/v1"), address, room, server }
    }

    /// As a process that is killed: calls under way are cut off, connections refused.
    pub(crate) fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown_timeout(Duration::from_secs(5));
        }
    }

    /// It is back where it was.
    pub(crate) fn restore(&mut self) {
        let listener = TcpListener::bind(self.address).expect("nobody took its port");
        self.server = Some(serve(listener, self.room.clone()));
    }

    /// These answers in turn, the last one from then on.
    pub(crate) fn replies(replies: impl Into<Vec<Reply>>) -> Self {
        let mut left = replies.into().into_iter().peekable();
        let mut last = Reply::Hang;
        Self::scripted(move |_| {
            last = left.next().unwrap_or_else(|| last.clone());
            last.clone()
        })
    }

    /// `base_url` of a provider.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The provider as configuration, to lay over a worker's.
    pub(crate) fn toml(&self) -> String {
        let provider = "api = \"openai_chat\"\nmodel = \"scripted\"\nstructured = \"json_schema\"";
        format!("[[llm.providers]]\n{provider}\nbase_url = \"{}\"\n", self.url)
    }

    /// The same in Anthropic's protocol.
    pub(crate) fn anthropic_toml(&self) -> String {
        self.toml().replace("openai_chat", "anthropic_messages")
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.room.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Llm {
    fn drop(&mut self) {
        self.kill();
    }
}

fn serve(listener: TcpListener, room: Arc<Room>) -> Runtime {
    let server = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime starts");
    listener.set_nonblocking(true).expect("it is a socket");
    let router = Router::new().fallback(answer).with_state(room);
    server.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("it is bound");
        axum::serve(listener, router).await.expect("it serves");
    });
    server
}

async fn answer(State(room): State<Arc<Room>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let (authorization, api_key) = (text(header::AUTHORIZATION.as_str()), text("x-api-key"));
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let asked = Asked { path: uri.path().to_owned(), authorization, api_key, body, at: Instant::now() };
    let reply = (room.script.lock().unwrap_or_else(PoisonError::into_inner))(&asked);
    room.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
    let anthropic = uri.path().ends_with("/messages");
    let completion = |message: Value, finish: &str| {
        if anthropic {
            let reason = match (finish, message["refusal"].is_string()) {
                (_, true) => "refusal",
                ("length", _) => "max_tokens",
                _ => "end_turn",
            };
            let text = json!({ "type": "text", "text": message["content"].as_str().unwrap_or_default() });
            let usage = json!({ "input_tokens": 100, "output_tokens": 20 });
            let body = json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": "scripted", "content": [text], "stop_reason": reason, "usage": usage });
            return axum::Json(body).into_response();
        }
        let choice = json!({ "index": 0, "message": message, "finish_reason": finish });
        let usage = json!({ "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120 });
        let body = json!({ "id": "chatcmpl-1", "object": "chat.completion", "model": "scripted", "choices": [choice], "usage": usage });
        axum::Json(body).into_response()
    };
    match reply {
        Reply::Content(text) => completion(json!({ "role": "assistant", "content": text }), "stop"),
        Reply::Truncated(text) => completion(json!({ "role": "assistant", "content": text }), "length"),
        Reply::Refusal(text) => completion(json!({ "role": "assistant", "content": null, "refusal": text }), "stop"),
        Reply::Status(status, retry_after) => {
            let status = StatusCode::from_u16(status).expect("a test names a real status");
            let body = axum::Json(json!({ "error": { "message": "as the test says", "type": "scripted" } }));
            match retry_after {
                Some(seconds) => (status, [(header::RETRY_AFTER, seconds.to_string())], body).into_response(),
                None => (status, body).into_response(),
            }
        }
        Reply::Hang => {
            // Longer than any client's patience; the server's end cancels it.
            tokio::time::sleep(Duration::from_secs(600)).await;
            StatusCode::GATEWAY_TIMEOUT.into_response()
        }
    }
}
