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
#[path = "../support/parts.rs"]
mod parts;

use parts::{Part, show};
use std::process::ExitCode;

const PARTS: [Part; 3] = [("bandit", bandit::run), ("anomalies", anomalies::run), ("experiments", experiments::run)];

fn main() -> ExitCode {
    parts::run(&PARTS)
}
