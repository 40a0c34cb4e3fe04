//! The engine: plans, timers, memory, restore and takeover, each against what is to be reached. What is measured and how:
//! `benches/README.md`.
//!
//! ```text
//! cargo bench --bench engine                          everything
//! cargo bench --bench engine -- plan validation       only these parts
//! cargo bench --bench engine -- --quick               a smoke run; its figures mean nothing
//! ```
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(dead_code, unused_imports, reason = "of the shared parts only some are used here")]
#![allow(clippy::print_stderr, reason = "the tests' support shows the logs of processes that failed")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails stops")]

#[path = "../pipeline/avro.rs"]
mod avro;
#[path = "../pipeline/clients.rs"]
mod clients;
#[path = "../pipeline/corner.rs"]
mod corner;
#[path = "../pipeline/machine.rs"]
mod machine;
mod measure;
#[path = "../support/parts.rs"]
mod parts;
#[path = "../pipeline/place.rs"]
mod place;
mod plans;
mod restore;
#[path = "../../tests/it/support/mod.rs"]
mod support;
mod takeover;
mod timers;
#[path = "../pipeline/workload.rs"]
mod workload;

use parts::{Part, show};
use std::process::ExitCode;

/// The binary's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Memory first: what another part gave back would be used again, and not show. The last two need a broker.
const PARTS: [Part; 6] = [
    ("memory", plans::memory),
    ("timers", timers::run),
    ("plan", plans::throughput),
    ("validation", plans::validation),
    ("restore", restore::run),
    ("takeover", takeover::run),
];

fn main() -> ExitCode {
    parts::run(&PARTS)
}

/// The middle one of an odd number of figures.
fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
