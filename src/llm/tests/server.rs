//! A server on a port of its own that answers by script and remembers what it was asked.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone, Debug)]
pub(super) enum Reply {
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// Not even headers.
    Silence,
}

impl Reply {
    pub(super) fn status(status: u16, body: &str) -> Self {
        Self::Answer { status, headers: vec![], body: body.to_owned() }
    }

    pub(super) fn header(self, name: &'static str, value: impl ToString) -> Self {
        match self {
            Self::Answer { status, mut headers, body } => {
                headers.push((name, value.to_string()));
                Self::Answer { status, headers, body }
            }
            Self::Silence => Self::Silence,
        }
    }

    /// What OpenAI's chat API says, with 100 input and 20 output tokens.
    pub(super) fn chat(content: &str) -> Self {
        Self::chat_message(&json!({"role": "assistant", "content": content}), "stop")
    }

    pub(super) fn chat_message(message: &Value, finish_reason: &str) -> Self {
        let body = json!({
            "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
        });
        Self::status(200, &body.to_string())
    }

    /// What Anthropic's messages API says.
    pub(super) fn message(text: &str, stop_reason: &str) -> Self {
        let body = json!({
            "type": "message",
            "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": text}],
            "stop_reason": stop_reason,
            "usage": {"input_tokens": 70, "cache_read_input_tokens": 30, "cache_creation_input_tokens": null, "output_tokens": 20},
        });
        Self::status(200, &body.to_string())
    }
}

#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

#[derive(Clone, Default)]
struct Script {
    replies: Arc<Mutex<VecDeque<Reply>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

pub(super) struct Server {
    pub(super) url: String,
    pub(super) port: u16,
    script: Script,
}

impl Server {
    /// Answers with `replies` one after the other; the last one for ever.
    pub(super) async fn start(replies: Vec<Reply>) -> Self {
        let script = Script { replies: Arc::new(Mutex::new(replies.into())), seen: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url: format!("http://127.0.0.1:{port}"), port, script }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.script.seen.lock().unwrap().clone()
    }

    pub(super) fn calls(&self) -> usize {
        self.script.seen.lock().unwrap().len()
    }

    pub(super) fn replay(&self, replies: Vec<Reply>) {
        *self.script.replies.lock().unwrap() = replies.into();
    }
}

async fn answer(State(script): State<Script>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    script.seen.lock().unwrap().push(Seen { path: uri.path().to_owned(), headers, body });
    let reply = {
        let mut replies = script.replies.lock().unwrap();
        if replies.len() > 1 { replies.pop_front().unwrap() } else { replies[0].clone() }
    };
    match reply {
        Reply::Silence => std::future::pending().await,
        Reply::Answer { status, headers, body } => {
            let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_str(&value).unwrap());
            }
            response
        }
    }
}

/// What goes wrong below HTTP.
#[derive(Clone, Copy, Debug)]
pub(super) enum Raw {
    /// Half a response, then nothing more.
    HalfBody,
    /// A byte of a response now and then, for ever.
    Trickle,
    /// A body without end, as fast as it is read.
    Endless,
    /// The connection is closed in the middle of the response.
    Cut,
}

/// The base address of a server that breaks in this way.
pub(super) async fn raw(raw: Raw) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move { misbehave(raw, stream).await });
        }
    });
    url
}

async fn misbehave(raw: Raw, stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        stream.readable().await?;
        let mut part = [0; 4096];
        match stream.try_read(&mut part) {
            Ok(0) => return Ok(()),
            Ok(count) => request.extend_from_slice(&part[..count]),
            Err(why) if why.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(why) => return Err(why),
        }
    }
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    match raw {
        Raw::HalfBody => {
            write(&stream, &[head, &b"content-length: 500\r\n\r\n{\"choices\":"[..]].concat()).await?;
            std::future::pending().await
        }
        Raw::Cut => write(&stream, &[head, &b"content-length: 500\r\n\r\n{\"choices\":"[..]].concat()).await,
        Raw::Trickle => {
            write(&stream, &[head, &b"content-length: 500000\r\n\r\n"[..]].concat()).await?;
            loop {
                write(&stream, b" ").await?;
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
        Raw::Endless => {
            write(&stream, &[head, &b"transfer-encoding: chunked\r\n\r\n"[..]].concat()).await?;
            let chunk = [&b"4000\r\n"[..], &[b' '; 0x4000][..], &b"\r\n"[..]].concat();
            loop {
                write(&stream, &chunk).await?;
            }
        }
    }
}

async fn write(stream: &TcpStream, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(why) if why.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(why) => return Err(why),
        }
    }
    Ok(())
}
