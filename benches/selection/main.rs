//! The local selector: how often it is right, how well it knows that, and how fast it is, each against what is to be
//! reached. What is measured and how: `benches/README.md`.
//!
//! ```text
//! cargo bench --bench selection                       on the set in examples/retailer
//! cargo bench --bench selection -- --set DIR          on another: agents.json, examples.jsonl, dev.jsonl or tasks.jsonl
//! ```
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails stops")]

#[path = "../support/parts.rs"]
#[allow(dead_code, reason = "this bench has one set of parts only")]
mod parts;
mod quality;
mod set;
mod speed;

use parts::show;
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
    parts::end(fine)
}
