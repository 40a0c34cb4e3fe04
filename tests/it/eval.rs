//! `baton eval`: figures that hold on a set of our own, and what is wrong with what it is given.

use crate::support::Scratch;
use crate::support::agents::definition;
use crate::support::llm::{Llm, Reply};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn set(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/retailer").join(file);
    path.to_str().expect("the path is text").to_owned()
}

/// Runs it where there is no broker and no configuration but this.
fn eval(toml: &str, arguments: &[&str]) -> Output {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let config = dir.path().join("baton.toml");
    std::fs::write(&config, toml).expect("it can be written");
    let mut baton = Command::new(env!("CARGO_BIN_EXE_baton"));
    baton.arg("eval").args(arguments).arg("--config").arg(config).env_remove("BATON__LLM__PROVIDERS");
    baton.output().expect("the binary starts")
}

#[track_caller]
fn figures(output: &Output) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stdout)))
}

#[track_caller]
fn refused(output: &Output, parts: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(output.stdout.is_empty());
    for part in parts {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

fn written(lines: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let path = dir.path().join("tasks.jsonl");
    std::fs::write(&path, lines).expect("it can be written");
    (dir, path)
}

#[test]
fn examples_make_choices_good_and_what_is_nobodys_is_not_answered() {
    let (tasks, agents, examples) = (set("tasks.jsonl"), set("agents.json"), set("examples.jsonl"));
    let cold = figures(&eval("", &[&tasks, "--agents", &agents]));
    let taught = figures(&eval("", &[&tasks, "--agents", &agents, "--examples", &examples]));
    let at_least = |figures: &Value, name: &str, floor: f64| {
        let figure = figures[name].as_f64().expect("a number");
        assert!(figure >= floor, "{name} is {figure}, under {floor}: {figures:#}");
    };
    assert_eq!((&cold["tasks"], &cold["tokens"], &cold["costMicros"]), (&92.into(), &0.into(), &0.into()));
    // Made so that few words of a task are its capability's: one in ten would be chance.
    at_least(&cold, "accuracy", 0.35);
    at_least(&cold, "outOfScopeAbstained", 0.9);
    at_least(&taught, "accuracy", 0.8);
    at_least(&taught, "answered", 0.6);
    at_least(&taught, "accuracyAnswered", 0.93);
    at_least(&taught, "outOfScopeAbstained", 0.8);
    assert!(taught["p50Micros"].as_u64() > Some(0) && taught["p99Micros"].as_u64() >= taught["p50Micros"].as_u64());
}

#[test]
fn an_llm_is_asked_only_with_the_flag_and_what_it_costs_is_told() {
    let (_dir, path) = written(
        "{\"text\": \"the parcel\", \"agent\": \"shipping\"}\n{\"text\": \"zzz\", \"agent\": null}\n{\"text\": \"hm\", \"agent\": \"fleet\"}\n",
    );
    let llm = Llm::scripted(|asked| match asked.prompt() {
        prompt if prompt.contains("zzz") => Reply::sure("NONE", 1.0),
        _ => Reply::agent("shipping"),
    });
    let prices = "[llm.providers.prices]\ninput_micros_per_million = 10000\noutput_micros_per_million = 0\n";
    let toml = format!("[routing]\nllm = \"always\"\n{}{prices}", llm.toml());
    let arguments = [path.to_str().expect("text"), "--agents", &set("agents.json"), "--llm"];
    figures(&eval(&toml, &arguments[..3]));
    assert!(llm.asked().is_empty());
    let found = figures(&eval(&toml, &arguments));
    assert_eq!(llm.asked().len(), 3);
    let expected = [("tasks", 3.0), ("accuracy", 0.5), ("answered", 1.0), ("accuracyAnswered", 0.5)];
    for (name, figure) in
        expected.into_iter().chain([("outOfScopeAbstained", 1.0), ("tokens", 360.0), ("costMicros", 3.0)])
    {
        assert_eq!(found[name].as_f64(), Some(figure), "{name}: {found:#}");
    }
    refused(&eval("", &arguments), &["--llm needs a provider", "llm.providers"]);
}

#[test]
fn what_is_wrong_with_a_line_is_said_with_its_number() {
    let agents = set("agents.json");
    let (_dir, path) =
        written("{\"text\": \"a\", \"agent\": \"shipping\"}\n\n{\"text\": \"b\", \"agent\": \"nobody\"}\nnonsense\n");
    let path = path.to_str().expect("text");
    refused(
        &eval("", &[path, "--agents", &agents]),
        &[path, "line 3: no agent is called `nobody`", "fleet", "line 4: "],
    );
    let examples = ["--agents", &agents, "--examples"];
    refused(&eval("", &[&[set("tasks.jsonl").as_str()], &examples[..], &[path]].concat()), &["line 3:"]);
    let (_dir, nobodys) = written("{\"text\": \"a\", \"agent\": null}\n");
    let nobodys = nobodys.to_str().expect("text");
    refused(&eval("", &[&[nobodys], &examples[..], &[nobodys]].concat()), &["line 1 of the examples has no agent"]);
    let (_dir, empty) = written("\n");
    refused(&eval("", &[empty.to_str().expect("text"), "--agents", &agents]), &["holds nothing"]);
    refused(&eval("", &["/nowhere.jsonl", "--agents", &agents]), &["/nowhere.jsonl cannot be read"]);
    refused(&eval("", &[&set("tasks.jsonl"), "--agents", &set("tasks.jsonl")]), &["definitions have faults"]);
}

/// What is said with this for a model's directory.
fn with_model(directory: &str, more: &[&str]) -> Output {
    let toml = format!("[routing]\nembeddings = {directory:?}\n");
    let (tasks, agents) = (set("tasks.jsonl"), set("agents.json"));
    eval(&toml, &[&[&*tasks, "--agents", &agents], more].concat())
}

#[test]
fn a_model_that_cannot_be_used_is_refused_with_what_to_do() {
    let empty = tempfile::tempdir().expect("a directory can be made");
    let output = with_model(empty.path().to_str().expect("text"), &[]);
    let said = if cfg!(feature = "embeddings") {
        ["routing.embeddings", "config.json cannot be read"]
    } else {
        ["routing.embeddings", "cargo build --release --features embeddings"]
    };
    refused(&output, &said);
}

#[test]
#[ignore = "needs a model: BATON_MINILM=/path/to/all-MiniLM-L6-v2 cargo test --features embeddings --test it eval -- --ignored"]
fn with_a_model_choices_are_better_without_examples_and_with_them() {
    let model = std::env::var("BATON_MINILM").expect("BATON_MINILM names a model's directory");
    let examples = set("examples.jsonl");
    let (cold, taught) = (figures(&with_model(&model, &[])), figures(&with_model(&model, &["--examples", &examples])));
    for (figures, floor) in [(cold, 0.68), (taught, 0.9)] {
        assert!(figures["accuracy"].as_f64().is_some_and(|share| share >= floor), "under {floor}: {figures:#}");
    }
}

#[test]
fn without_a_file_of_agents_those_that_are_registered_count() {
    let scratch = Scratch::new("eval");
    scratch.apply().register_all(&[definition("Echo", "says it again"), definition("Breaker", "breaks things")]);
    let (_dir, path) = written("{\"text\": \"break this thing\", \"agent\": \"breaker\"}\n");
    let ran = scratch.baton(&["eval", path.to_str().expect("text")]).code(0);
    let found: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!((found["tasks"].as_u64(), found["accuracy"].as_f64()), (Some(1), Some(1.0)), "{found:#}");
}
