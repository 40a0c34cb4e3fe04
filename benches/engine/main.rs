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

use std::process::ExitCode;

/// The binary's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Part = fn(quick: bool) -> bool;

/// Memory first: what another part gave back would be used again, and not show. The last two need a broker.
const PARTS: [(&str, Part); 6] = [
    ("memory", plans::memory),
    ("timers", timers::run),
    ("plan", plans::throughput),
    ("validation", plans::validation),
    ("restore", restore::run),
    ("takeover", takeover::run),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Cargo adds `--bench`.
    let (flags, wanted): (Vec<&str>, Vec<&str>) =
        arguments.iter().map(String::as_str).partition(|argument| argument.starts_with("--"));
    let unknown = wanted.iter().find(|name| PARTS.iter().all(|(part, _)| part != *name));
    if let Some(unknown) = unknown {
        println!("no part {unknown:?}; there are {}", PARTS.map(|(name, _)| name).join(", "));
        return ExitCode::FAILURE;
    }
    let quick = flags.contains(&"--quick");
    let mut fine = true;
    for (name, part) in PARTS {
        if wanted.is_empty() || wanted.contains(&name) {
            fine &= part(quick);
        }
    }
    println!("{}", if fine { "all targets reached" } else { "NOT all targets reached" });
    if fine || quick { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A figure and whether it is what is to be reached.
fn show(what: &str, figure: &str, wanted: &str, reached: bool) -> bool {
    println!("{what}: {figure} (to reach: {wanted}){}", if reached { "" } else { " MISSED" });
    reached
}

/// The middle one of an odd number of figures.
fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
