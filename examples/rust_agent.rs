//! An agent on Kafka that counts words, in Rust: killed at any moment, its assignment is answered once.
//!
//! `BOOTSTRAP=localhost:9092 REGISTRY=http://localhost:8081 cargo run --example rust_agent`
//! Optional: PREFIX, SECONDS (of work), CLIENT (librdkafka's settings, in JSON).

use baton::agent::{Agent, Answer, Assignment, Connection, Handle, definition, input};
use std::env::var;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let kafka = Connection {
        bootstrap_servers: var("BOOTSTRAP")?,
        prefix: var("PREFIX").unwrap_or_else(|_| "baton".to_owned()),
        client: serde_json::from_str(&var("CLIENT").unwrap_or_else(|_| "{}".to_owned()))?,
        ..Connection::default()
    };
    let work = Duration::from_secs(var("SECONDS").map_or(Ok(0), |seconds| seconds.parse())?);

    let stop = CancellationToken::new();
    let (mut terminate, stopped) = (signal(SignalKind::terminate())?, stop.clone());
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = tokio::signal::ctrl_c() => {} }
        stopped.cancel();
    });

    let agent = Agent::builder(definition(include_str!("agent.json"))?)
        .kafka(kafka)
        .registry(var("REGISTRY")?)
        .concurrency(4)
        .build()?;
    let count = move |assignment: Assignment, handle: Handle| async move {
        handle.progress(0.0, "counting").await;
        // An effect elsewhere (a payment, a mail) would take `assignment.effect_key` along.
        tokio::time::sleep(work).await;
        let text: serde_json::Value = input(&assignment)?;
        let words = text.as_str().unwrap_or(&assignment.objective).split_whitespace().count();
        Answer::json(serde_json::json!({ "words": words }))
    };
    Ok(agent.run(count, stop).await?)
}
