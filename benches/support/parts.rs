//! What benches of several parts have in common: which are wanted, and a line for each figure.

use std::process::ExitCode;

/// A name, and whether all that it measured is what is to be reached.
pub(crate) type Part = (&'static str, fn(quick: bool) -> bool);

/// Runs the parts that the command line names, or all; with `--quick` no figure fails.
pub(crate) fn run(parts: &[Part]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Cargo adds `--bench`.
    let (flags, wanted): (Vec<&str>, Vec<&str>) =
        arguments.iter().map(String::as_str).partition(|argument| argument.starts_with("--"));
    if let Some(unknown) = wanted.iter().find(|name| parts.iter().all(|(part, _)| part != *name)) {
        let names: Vec<&str> = parts.iter().map(|(name, _)| *name).collect();
        println!("no part {unknown:?}; there are {}", names.join(", "));
        return ExitCode::FAILURE;
    }
    let quick = flags.contains(&"--quick");
    let wanted = parts.iter().filter(|(name, _)| wanted.is_empty() || wanted.contains(name));
    let fine = wanted.fold(true, |fine, (_, part)| part(quick) & fine);
    let code = end(fine);
    if quick { ExitCode::SUCCESS } else { code }
}

/// The last line.
pub(crate) fn end(fine: bool) -> ExitCode {
    println!("{}", if fine { "all targets reached" } else { "NOT all targets reached" });
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A figure and whether it is what is to be reached.
pub(crate) fn show(what: &str, figure: &str, wanted: &str, reached: bool) -> bool {
    println!("{what}: {figure} (to reach: {wanted}){}", if reached { "" } else { " MISSED" });
    reached
}
