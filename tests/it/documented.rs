//! What the documents say happens is shown by a test: each heading names one, and that one is there and not ignored. That
//! it ran is seen afterwards, by `.ci/run`.

use std::collections::BTreeSet;
use std::process::Command;

const TEXT: &str = include_str!("../../docs/failure-semantics.md");

/// Each heading of the second level with the test that it names.
fn headings() -> Vec<(&'static str, Option<&'static str>)> {
    let mut found: Vec<(&str, Option<&str>)> = Vec::new();
    for line in TEXT.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            found.push((heading, None));
        } else if let (Some(name), Some((_, test))) = (line.strip_prefix("Test: "), found.last_mut()) {
            assert!(test.is_none(), "{line}: the heading names two tests");
            *test = Some(name.trim().trim_matches('`'));
        }
    }
    found
}

/// The tests of this binary, as it lists them itself: what a name stands for is compiled and not ignored.
fn listed(ignored: bool) -> BTreeSet<String> {
    let own = std::env::current_exe().expect("this test has a binary");
    let mut list = Command::new(own);
    list.args(["--list", "--format", "terse"]);
    if ignored {
        list.arg("--ignored");
    }
    let output = list.output().expect("it can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("names are text");
    text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

#[test]
fn every_heading_of_the_failure_semantics_names_a_test_that_runs() {
    let (all, ignored, headings) = (listed(false), listed(true), headings());
    assert!(headings.len() > 20, "only {} headings were found: the parser is broken", headings.len());
    let fault = |(heading, test): &(&str, Option<&str>)| match test {
        None => Some(format!("{heading}: names no test")),
        Some(test) if !all.contains(*test) => Some(format!("{heading}: there is no test {test}")),
        Some(test) if ignored.contains(*test) => Some(format!("{heading}: {test} is ignored")),
        Some(_) => None,
    };
    let faults: Vec<String> = headings.iter().filter_map(fault).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
