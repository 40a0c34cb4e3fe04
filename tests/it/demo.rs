use super::support::Scratch;
use std::time::Instant;
#[test]
fn try_it() {
    let scratch = Scratch::new("demo");
    scratch.apply();
    for format in ["table", "json"] {
        let at = Instant::now();
        let ran = scratch.baton(&["demo", "--tasks", "50", "--exit", "-v", "--format", format]);
        eprintln!(
            "{:?}\n{}\n{}\n{:?}",
            at.elapsed(),
            ran.stderr,
            if format == "table" { &*ran.stdout } else { &ran.stdout[..3000] },
            ran.status
        );
        if format == "table" {
            break;
        }
    }
}
