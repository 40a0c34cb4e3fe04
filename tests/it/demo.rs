//! `baton demo` as a newcomer has it: the binary alone, in an empty folder, with no broker anywhere.

use super::support::reaper::Kept;
use super::support::until;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

/// An empty folder to run in.
struct Folder(tempfile::TempDir);

/// A command that has ended.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder can be made"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn baton(&self, args: &[&str]) -> Command {
        self.command(Command::new("timeout"), &[&["--kill-after=2", "120", env!("CARGO_BIN_EXE_baton")], args].concat())
    }

    /// Here, and with nothing configured.
    fn command(&self, mut command: Command, args: &[&str]) -> Command {
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if ["BATON_", "OTEL_", "RUST_LOG"].iter().any(|own| name.starts_with(own)) {
                command.env_remove(name);
            }
        }
        command.args(args).current_dir(self.0.path()).env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    /// Runs it to its end, which is bounded.
    fn run(&self, args: &[&str]) -> Ran {
        let output = self.baton(args).output().expect("the binary starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it prints text");
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The rows of a run that left with `code`.
    #[track_caller]
    fn rows(&self, args: &[&str], code: i32) -> Vec<Value> {
        let ran = self.run(&[args, &["--exit", "--format", "json"]].concat());
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        rows(&ran.stdout)
    }

    /// Makes a copy of the sample and replaces `from` in one of its files.
    fn sample_with(&self, file: &str, from: &str, to: &str) -> PathBuf {
        let directory = self.path("mine");
        if !directory.exists() {
            assert_eq!(self.run(&["demo", "--write", "mine"]).code, Some(0));
        }
        let path = directory.join(file);
        let text = fs::read_to_string(&path).expect("the copy can be read");
        assert!(text.contains(from), "{file} has no {from}");
        fs::write(&path, text.replacen(from, to, 1)).expect("the copy can be written");
        path
    }
}

fn rows(stdout: &str) -> Vec<Value> {
    serde_json::from_str(stdout).unwrap_or_else(|error| panic!("{error} in {stdout}"))
}

fn path(row: &Value) -> Vec<&str> {
    row["path"].as_array().expect("a path is an array").iter().map(|it| it.as_str().expect("of names")).collect()
}

#[test]
fn fifty_tasks_end_once_each_by_at_least_three_paths() {
    let folder = Folder::new();
    let ran = folder.run(&["demo", "--tasks", "50", "--exit", "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let rows = rows(&ran.stdout);
    let ids: BTreeSet<&str> = rows.iter().map(|row| row["taskId"].as_str().expect("each has an id")).collect();
    assert_eq!((rows.len(), ids.len()), (50, 50));
    for row in &rows {
        assert_eq!((&row["outcome"], row["completions"].as_i64()), (&"SUCCEEDED".into(), Some(1)), "{row}");
        let hops = row["hops"].as_array().expect("hops are an array");
        assert!(hops.iter().all(|hop| hop["by"].is_string() && hop["reason"] != "" && hop["millis"].is_i64()), "{row}");
        assert!(row["millis"].is_i64() && row["end"]["reason"].is_string(), "{row}");
    }
    let paths: BTreeSet<Vec<&str>> = rows.iter().map(path).collect();
    assert!(paths.len() >= 3, "{paths:?}");
    assert!(paths.iter().any(|path| path.last() == Some(&"Lead Scorer")), "one ends after scoring: {paths:?}");
    assert!(ran.stderr.contains("first task routed after "), "{}", ran.stderr);
    assert!(fs::read_dir(folder.0.path()).expect("it is there").next().is_none(), "nothing is left behind");
}

#[test]
fn what_the_table_says_is_what_the_topics_hold() {
    let folder = Folder::new();
    let (out, log) = (folder.path("out"), folder.path("log"));
    let args =
        ["-c", "exec \"$@\" >out", "sh", env!("CARGO_BIN_EXE_baton"), "demo", "--tasks", "12", "--format", "json"];
    let mut demo = Kept::spawn(&folder.command(Command::new("sh"), &args), &log);
    let text = until("the demo invites to look around", SOON, || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        if text.contains("and /metrics") { Ok(text) } else { Err(text) }
    });
    let told: BTreeMap<String, Value> = rows(&fs::read_to_string(&out).expect("it was printed"))
        .into_iter()
        .map(|row| (row["taskId"].as_str().unwrap_or_default().to_owned(), row))
        .collect();
    let settings: Vec<(&str, &str)> = text
        .split_whitespace()
        .filter(|word| word.starts_with("BATON__"))
        .filter_map(|word| word.split_once('='))
        .collect();
    assert_eq!(settings.len(), 2, "{text}");
    let read = |topic: &str| -> Vec<Value> {
        let mut tail = folder.baton(&["topics", "tail", topic, "--from-beginning"]);
        let output = tail.envs(settings.iter().copied()).output().expect("the binary starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).expect("it prints text");
        lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("lines are JSON")["value"].clone())
            .collect()
    };
    let completions = read("completions");
    assert_eq!(completions.len(), 12);
    for completion in &completions {
        let id = completion["taskId"].as_str().expect("it has an id");
        let agents: Vec<&str> = completion["steps"]
            .as_array()
            .expect("steps")
            .iter()
            .filter_map(|step| step["agentName"].as_str())
            .collect();
        assert_eq!(agents, path(&told[id]), "{id}");
        assert_eq!(completion["outcome"], told[id]["outcome"]);
        assert_eq!(completion["result"], told[id]["result"]);
    }
    let mut reasons: BTreeMap<String, Vec<(i64, String)>> = BTreeMap::new();
    for decision in read("routing-decisions").iter().filter(|decision| decision["choice"] == "AGENT") {
        let id = decision["taskId"].as_str().expect("it has an id").to_owned();
        let question = decision["question"].as_i64().expect("it has a number");
        reasons.entry(id).or_default().push((question, decision["reason"].as_str().expect("a reason").to_owned()));
    }
    for (id, row) in &told {
        let mut decided = reasons.remove(id).unwrap_or_default();
        decided.sort();
        let shown: Vec<&str> =
            row["hops"].as_array().expect("hops").iter().filter_map(|hop| hop["reason"].as_str()).collect();
        assert_eq!(decided.iter().map(|(_, reason)| reason.as_str()).collect::<Vec<_>>(), shown, "{id}");
    }
    demo.signal("INT");
    let status = demo.wait(SOON).and_then(|status| status.code());
    assert_eq!(status, Some(0), "{}", fs::read_to_string(&log).unwrap_or_default());
}

#[test]
fn one_field_of_a_lead_changes_its_path() {
    let folder = Folder::new();
    let before = folder.rows(&["demo", "--tasks", "1"], 0);
    folder.sample_with("leads.jsonl", "\"Director of Operations\"", "\"Intern\"");
    let after = folder.rows(&["demo", "--tasks", "1", "--dir", "mine"], 0);
    assert_eq!(before[0]["taskId"], after[0]["taskId"]);
    assert_eq!(path(&before[0]), ["Lead Researcher", "Lead Scorer", "Outreach Writer", "Email Sender"]);
    assert_ne!(path(&before[0]), path(&after[0]));
}

#[test]
fn a_task_that_fails_is_shown_with_its_reason_and_the_status_is_1() {
    let folder = Folder::new();
    folder.sample_with("agents/outreach-writer.json", "Shall we talk this week?", "See you in {city}!");
    let rows = folder.rows(&["demo", "--tasks", "1", "--dir", "mine"], 1);
    assert_eq!(rows[0]["outcome"], "FAILED");
    assert!(rows[0]["message"].as_str().is_some_and(|message| message.contains("{city}")), "{}", rows[0]);
}

#[test]
fn broken_files_are_named_with_line_and_field_and_nothing_starts() {
    let folder = Folder::new();
    folder.sample_with("leads.jsonl", "\"company_name\": \"Copper Kettle Foods\"", "\"company_name\": 7");
    folder.sample_with("leads.jsonl", "\"employees\": 320", "\"employees\": \"many\"");
    folder.sample_with("agents/email-sender.json", "\"mostPerLead\": 3", "\"mostPerLead\": 0");
    let ran = folder.run(&["demo", "--dir", "mine", "--exit"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    for fault in [
        "nothing was started",
        "mine/leads.jsonl:3: company_name: must be a text, and is 7",
        "mine/leads.jsonl:4: employees: must be a whole number of 0 or more, and is \"many\"",
        "mine/agents/email-sender.json: work.mostPerLead: 0 sends nothing",
    ] {
        assert!(ran.stderr.contains(fault), "{fault} is not in {}", ran.stderr);
    }
    let none = folder.run(&["demo", "--dir", "nowhere", "--exit"]);
    assert_eq!(none.code, Some(2));
    assert!(none.stderr.contains("nowhere/leads.jsonl: cannot be read"), "{}", none.stderr);
    let again = folder.run(&["demo", "--write", "mine"]);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("is there already, and nothing was written"), "{}", again.stderr);
}
