//! Learning: choices, anomalies and experiments, each against what is to be reached, in seeded simulations. What is measured and
//! how: `benches/README.md`.
//!
//! ```text
//! cargo bench --bench learning                     everything
//! cargo bench --bench learning -- anomalies        only this part
//! cargo bench --bench learning -- --quick          a smoke run; its figures mean nothing
//! ```
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod anomalies;
mod bandit;
mod chance;
mod experiments;

use std::process::ExitCode;

type Part = fn(quick: bool) -> bool;

const PARTS: [(&str, Part); 3] =
    [("bandit", bandit::run), ("anomalies", anomalies::run), ("experiments", experiments::run)];

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
