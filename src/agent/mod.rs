//! For people who write agents in Rust: registers an agent, reads its assignments, runs a handler for each, reports, and
//! drains. What any client would have to do by `docs/agents.md` is done here.
//!
//! ```no_run
//! use baton::agent::{Agent, AgentDefinition, Answer, Connection, ErrorClass, Failure, input};
//! use tokio_util::sync::CancellationToken;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut definition = AgentDefinition::new("Word Counter", "Counts the words of a text.");
//!     definition.capabilities = vec!["count words".to_owned()];
//!     definition.output.format = "application/json".to_owned();
//!
//!     let stop = CancellationToken::new();
//!     let signal = stop.clone();
//!     tokio::spawn(async move {
//!         let _ = tokio::signal::ctrl_c().await;
//!         signal.cancel();
//!     });
//!
//!     let kafka = Connection { bootstrap_servers: "localhost:9092".to_owned(), ..Connection::default() };
//!     let agent = Agent::builder(definition).kafka(kafka).registry("http://localhost:8081").concurrency(4).build()?;
//!     agent
//!         .run(
//!             |assignment, handle| async move {
//!                 let text: String = input(&assignment)?;
//!                 if text.is_empty() {
//!                     return Err(Failure::new(ErrorClass::Permanent, "there is nothing to count"));
//!                 }
//!                 handle.progress(0.5, "counting").await;
//!                 Answer::json(serde_json::json!({ "words": text.split_whitespace().count() }))
//!             },
//!             stop,
//!         )
//!         .await?;
//!     Ok(())
//! }
//! ```
//!
//! ```text
//! topic ─▶ loop (a thread: polls, holds back, commits) ─▶ task per assignment ─▶ handler ─▶ report ─▶ settled ─▶ loop
//! ```
//!
//! **At least once.** An assignment's offset is committed after its report is delivered, and only when every earlier one
//! of its partition is too. A process that is killed in between leaves its assignments to the next one, with the same
//! `assignmentId`; an effect outside is kept to one by `effectKey`. Within one process a second delivery of an assignment
//! gets the first one's answer and the handler is not called again. A report that comes again is stale for Baton.
//!
//! **What it does with failures.** An error by `?` is FAILED with class TRANSIENT, a [`Failure`] has a class of its own;
//! a panic is FAILED, TRANSIENT, code `panic`. An assignment whose deadline is past when its turn comes is passed over,
//! one that cannot be read too, with a line in the log. Brokers or registry that are away are waited for. When the group
//! gives a partition to somebody else, work that has begun is finished and reported but not committed, and work that has
//! not is dropped: the other one has it.
//!
//! **What is withdrawn.** Work that nobody wants any more (a wait for it is over, its task has ended) is told to its handler
//! by [`Handle::withdrawn`]; what the handler returns then is not reported, for the report would be stale, and the
//! assignment is settled. What is withdrawn before its turn comes is not begun. Both as far as it is heard: from the
//! start of the agent on, and without the right to read the topic of cancellations not at all, which costs work for
//! nothing and no more.
//!
//! **What it never does.** It starts no process and reads no configuration; it decides nothing about a task; it does not
//! interrupt a handler, except at the end of the grace period, also not one whose work is withdrawn.

mod answer;
mod answers;
mod builder;
pub(crate) mod definition;
mod error;
mod handle;
mod job;
pub(crate) mod reports;
mod run;
mod start;
pub(crate) mod withdrawals;
mod work;

pub use crate::contract::{
    AgentDefinition, Assignment, ContextItem, ErrorClass, Example, Format, Performance, RegistryAuth, Usage,
};
pub use crate::kafka::Connection;
pub use answer::{Answer, Failure, input};
pub use builder::{Agent, Builder, definition};
pub use error::AgentError;
pub use handle::Handle;

/// What reports and heartbeats are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// By the schemas that `baton apply` registers.
    #[default]
    Avro,
    /// Plain JSON. Assignments still come in Avro.
    Json,
}
