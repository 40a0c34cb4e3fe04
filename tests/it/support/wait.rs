//! Waiting with a deadline that says what was seen, and what tests share: a runtime, a turn for the heavy ones.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Asks `look` until it gives Ok; panics with `what` and the last thing seen when `within` has passed.
#[track_caller]
pub(crate) fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if start.elapsed() >= within => panic!("{what}: not within {within:?}. Seen last: {seen}"),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Tests that start several workers take this first: the machine has few cores, and their deadlines are real.
pub(crate) fn heavy() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What runs the harness' own HTTP. Tests are plain functions; `block_on` from an async test would panic.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime starts")
    })
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: String,
}

/// One GET: status and body, or why there is none.
pub(crate) fn get(url: &str) -> Result<(u16, String), String> {
    let answer = answer(client().get(url).timeout(Duration::from_secs(5)))?;
    Ok((answer.status, answer.body))
}

/// One POST of JSON.
pub(crate) fn post(url: &str, body: &serde_json::Value, within: Duration) -> Result<Answer, String> {
    answer(client().post(url).json(body).bearer_auth("key").timeout(within))
}

fn client() -> &'static reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(|| reqwest::Client::builder().no_proxy().build().expect("a client is built"))
}

fn answer(request: reqwest::RequestBuilder) -> Result<Answer, String> {
    runtime().block_on(async {
        let answer = request.send().await.map_err(|e| format!("{e:?}"))?;
        let status = answer.status().as_u16();
        let retry_after = answer.headers().get("retry-after").and_then(|v| v.to_str().ok()).map(str::to_owned);
        Ok(Answer { status, retry_after, body: answer.text().await.map_err(|e| e.to_string())? })
    })
}

/// A port that is free, and below those that the system gives to outgoing connections: such a one would be taken between
/// the look and the start of the server that it is for.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 15_000;
    const PORTS: u32 = 15_000;
    // Processes of tests run side by side: each begins elsewhere.
    let start = std::process::id().wrapping_mul(97);
    let mut tried = (0..PORTS).map(|_| start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS + FIRST);
    let found = tried.find_map(|port| {
        let port = u16::try_from(port).expect("in range");
        std::net::TcpListener::bind(("127.0.0.1", port)).is_ok().then_some(port)
    });
    found.expect("some port is free")
}
