//! The local selector: how often it is right, how well it knows that, and how fast it is, each against what is to be
//! reached. What is measured and how: `benches/README.md`.
//!
//! ```text
//! cargo bench --bench selection                       on the set in examples/retailer
//! cargo bench --bench selection -- --set DIR          on another: agents.json, examples.jsonl, dev.jsonl or tasks.jsonl
//! ```
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails stops")]

mod quality;
mod set;
mod speed;

use std::path::PathBuf;
use std::process::ExitCode;

/// The binary's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let given = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => None,
        ["--set", dir] => Some(PathBuf::from(dir)),
        _ => {
            println!("give --set DIR, or nothing");
            return ExitCode::FAILURE;
        }
    };
    let fine = quality::run(given.as_deref()) & speed::run();
    println!("{}", if fine { "all targets reached" } else { "NOT all targets reached" });
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A figure and whether it is what is to be reached.
fn show(what: &str, figure: &str, wanted: &str, reached: bool) -> bool {
    println!("{what}: {figure} (to reach: {wanted}){}", if reached { "" } else { " MISSED" });
    reached
}
