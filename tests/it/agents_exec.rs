//! `baton agents exec` on the real broker with a real worker: what its help promises.

use super::support::reaper::{Kept, tail};
use super::support::{Partitioner, Record, Scratch, Send, Sender, Topic, Worker, read_all, until};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

/// A worker, and a folder in which commands leave their traces.
struct Bench {
    scratch: Scratch,
    worker: Worker,
}

impl Bench {
    fn new(name: &str, toml: &str) -> Self {
        let scratch = Scratch::new(name);
        scratch.apply();
        let worker = scratch.worker("w").toml(toml).start();
        Self { scratch, worker }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.dir().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// A script that finds the task's input, a word, in `$mode`, and runs in the folder.
    fn script(&self, body: &str) -> PathBuf {
        let path = self.path("work.sh");
        let dir = self.scratch.dir().display();
        let text = format!("#!/bin/sh\ncd '{dir}' || exit 70\nmode=$(jq -r .input)\n{body}\n");
        fs::write(&path, text).expect("the script can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it can be made executable");
        path
    }

    fn definition(&self, definition: &Value) -> PathBuf {
        let path = self.path("definition.json");
        fs::write(&path, definition.to_string()).expect("the definition can be written");
        path
    }

    /// The definition for [`Self::script`].
    fn moody(&self) -> PathBuf {
        self.definition(&json!({
            "agentName": "Moody", "description": "does as it is told",
            "input": { "format": "application/json" }, "output": { "format": "application/json" },
        }))
    }

    fn exec(&self, definition: &Path, flags: &[&str], command: &[&str]) -> Exec {
        let mut process = Command::new(env!("CARGO_BIN_EXE_baton"));
        process.args(["agents", "exec", "--file"]).arg(definition);
        process.arg("--config").arg(self.scratch.config("exec.toml", "")).args(flags).arg("--").args(command);
        process.env("NO_COLOR", "1").env("BATON__KAFKA__CLIENT__SOCKET_KEEPALIVE_ENABLE", "true");
        process.env("BATON_OWN", "kept");
        let log = self.path("exec.log");
        Exec { process: Kept::spawn(&process, &log), log }
    }

    /// Hands in tasks that bear the name of their input, with dashes for spaces, once the agent's topic is there.
    fn submit(&self, agent: &str, inputs: &[&str]) {
        let topic = agent.to_lowercase().replace(' ', "-");
        Topic::open_all(self.scratch.stack, &[self.scratch.topic(&format!("assignments.{topic}"))], SOON);
        let tasks = self.scratch.topic("tasks");
        Sender::new(self.scratch.stack, Partitioner::Default).send_all(inputs.iter().map(|input| {
            let id = input.replace(' ', "-");
            let task = json!({ "taskId": id, "objective": "do it", "agents": [agent], "input": input });
            Send::to(&tasks).key(&id).json(&task)
        }));
    }

    fn completion(&self, task: &str) -> Value {
        let mut completions = Topic::open(self.scratch.stack, &self.scratch.topic("completions"));
        completions.find(&format!("the completion of {task}"), SOON, |record| record.text("taskId") == task).value
    }

    fn reports(&self, task: &str) -> Vec<Record> {
        let mut all = read_all(self.scratch.stack, &self.scratch.topic("agent-status"));
        all.retain(|record| record.text("taskId") == task);
        all
    }

    fn statuses(&self, task: &str) -> Vec<String> {
        self.reports(task).iter().map(|report| report.text("status").to_owned()).collect()
    }

    /// Waits until a trace is there, and gives it.
    #[track_caller]
    fn trace(&self, name: &str) -> String {
        until(&format!("the command leaves {name}"), SOON, || match self.text(name) {
            text if text.ends_with('\n') => Ok(text.trim_end().to_owned()),
            text => Err(text),
        })
    }

    /// Waits until the process whose number this trace holds is gone.
    #[track_caller]
    fn is_gone(&self, name: &str) {
        let pid = self.trace(name);
        until(&format!("the process {pid} of {name} is gone"), SOON, || {
            let state = fs::read_to_string(format!("/proc/{pid}/stat"));
            // One that nobody has asked for its end yet is none any more.
            match state.ok().and_then(|stat| stat.rsplit_once(") ").map(|(_, rest)| rest[..1].to_owned())) {
                None => Ok(()),
                Some(state) if state == "Z" => Ok(()),
                Some(state) => Err(state),
            }
        });
    }
}

/// The command under test; its log is shown if the test fails.
struct Exec {
    process: Kept,
    log: PathBuf,
}

impl Exec {
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    #[track_caller]
    fn ends_well(&mut self) {
        self.process.signal("TERM");
        let status = self.process.wait(SOON);
        assert!(status.is_some_and(|status| status.success()), "{status:?}\n{}", tail(&self.log(), 40));
    }
}

impl Drop for Exec {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- the agent's log ----\n{}", tail(&self.log(), 80));
        }
    }
}

#[test]
fn the_example_is_an_agent() {
    let bench = Bench::new("exec-example", "");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/shell");
    let script = example.join("top-words.sh");
    let mut exec = bench.exec(&example.join("agent.json"), &[], &[script.to_str().expect("it is text")]);
    bench.submit("Top Words", &["to be or not to be"]);
    let completion = bench.completion("to-be-or-not-to-be");
    assert_eq!(completion["outcome"], "SUCCEEDED", "{completion}");
    let word = |word, count| json!({ "word": word, "count": count });
    let expected = json!({ "words": [word("be", 2), word("to", 2), word("not", 1), word("or", 1)] });
    let result: Value = serde_json::from_str(completion["result"].as_str().expect("it has one")).expect("it is JSON");
    assert_eq!(result, expected);
    assert!(exec.log().contains("counting the words of"), "{}", exec.log());
    exec.ends_well();
}

#[test]
fn each_way_to_end_is_reported_as_the_help_says() {
    let bench = Bench::new("exec-classes", "");
    let script = bench.script(
        r#"case $mode in
contract) echo 'first of all' >&2; echo 'no such column' >&2; exit 65 ;;
auth) exit 77 ;;
away) exit 69 ;;
again) exit 75 ;;
wrong-use) exit 78 ;;
plain) echo '{"half":' ; exit 1 ;;
signal) kill -9 $$ ;;
rubbish) echo 'no json' ;;
nothing) ;;
big) head -c 20000000 /dev/zero | tr '\0' x ;;
slow)
  sh -c 'trap "" TERM; echo $$ > slow-child; while :; do sleep 1; done' &
  echo $$ > slow-self; sleep 600 ;;
leaves) sleep 600 & echo $! > left; echo '{"left":true}' ;;
environment) jq -nc '$ENV | [.BATON_TASK_ID, .BATON_STEP_ID, .BATON_ASSIGNMENT_ID, .BATON_EFFECT_KEY, .BATON_ATTEMPT,
  .BATON_AGENT, .BATON_OWN, .BATON__KAFKA__CLIENT__SOCKET_KEEPALIVE_ENABLE, (.BATON_DEADLINE | type)]' ;;
esac"#,
    );
    let script = script.to_str().expect("it is text");
    let flags = ["--concurrency", "4", "--timeout", "5s"];
    let mut exec = bench.exec(&bench.moody(), &flags, &[script]);
    let failures = [
        ("contract", "CONTRACT", "exit_65"),
        ("auth", "AUTH", "exit_77"),
        ("away", "TRANSIENT", "exit_69"),
        ("again", "TRANSIENT", "exit_75"),
        ("wrong-use", "PERMANENT", "exit_78"),
        ("plain", "TRANSIENT", "exit_1"),
        ("signal", "TRANSIENT", "signal_9"),
        ("rubbish", "INVALID_OUTPUT", "not_json"),
        ("nothing", "INVALID_OUTPUT", "not_json"),
        ("big", "INVALID_OUTPUT", "too_large"),
        ("slow", "TIMEOUT", "timeout"),
    ];
    let mut all: Vec<&str> = failures.iter().map(|(mode, ..)| *mode).collect();
    all.extend(["leaves", "environment"]);
    bench.submit("Moody", &all);
    for (mode, class, code) in failures {
        let completion = bench.completion(mode);
        assert_eq!((&completion["outcome"], &completion["reason"]), (&json!("FAILED"), &json!(class)), "{completion}");
        let report = bench.reports(mode).pop().expect("it was reported").value;
        assert_eq!((report["error"]["class"].as_str(), report["error"]["code"].as_str()), (Some(class), Some(code)));
    }
    assert_eq!(bench.completion("contract")["message"], "first of all\nno such column");
    bench.is_gone("slow-self");
    bench.is_gone("slow-child");
    assert_eq!(bench.completion("leaves")["result"], json!(r#"{"left":true}"#));
    bench.is_gone("left");
    let environment = bench.completion("environment");
    let given = read_all(bench.scratch.stack, &bench.scratch.topic("assignments.moody"));
    let given = given.iter().find(|record| record.text("taskId") == "environment").expect("it was assigned");
    let (id, effect) = (given.text("assignmentId"), given.text("effectKey"));
    let expected = json!(["environment", "1", id, effect, "1", "Moody", "kept", null, "string"]);
    assert_eq!(environment["result"].as_str(), Some(expected.to_string().as_str()), "{environment}");
    assert!(exec.log().contains("no such column"), "standard error is in the log");
    exec.ends_well();
}

#[test]
fn what_is_withdrawn_is_killed_and_not_reported() {
    let bench = Bench::new("exec-withdrawn", "[workflow]\nassignment_timeout = \"3s\"");
    let script = bench.script(
        r#"[ "$mode" = quick ] && { echo 1; exit; }
sleep 600 & echo $! > child
echo $$ > self; wait"#,
    );
    let mut exec = bench.exec(&bench.moody(), &[], &[script.to_str().expect("it is text")]);
    bench.submit("Moody", &["stuck"]);
    bench.trace("self");
    assert_eq!(bench.completion("stuck")["reason"], "assignment_timeout");
    bench.is_gone("self");
    bench.is_gone("child");
    bench.submit("Moody", &["quick"]);
    assert_eq!(bench.completion("quick")["outcome"], "SUCCEEDED", "its only place is free again");
    assert_eq!(bench.statuses("stuck"), ["ACCEPTED"]);
    exec.ends_well();
}

#[test]
fn told_to_stop_it_lets_the_command_finish_and_leaves_the_rest_to_the_next() {
    let bench = Bench::new("exec-drain", "");
    // Bounded, should the test end before the gate opens.
    let script = bench.script(
        r#"echo "$BATON_ASSIGNMENT_ID" >> runs
n=0; until [ -e gate ] || [ $n = 900 ]; do sleep 0.1; n=$((n + 1)); done
echo '"done"'"#,
    );
    let script = script.to_str().expect("it is text");
    let definition = bench.moody();
    bench.scratch.baton(&["agents", "register", definition.to_str().expect("it is text")]).ok();
    let mut first = bench.exec(&definition, &["--no-register"], &[script]);
    bench.submit("Moody", &["one", "two"]);
    bench.trace("runs");
    first.process.signal("TERM");
    until("it has heard", SOON, || if first.log().contains("ending: ") { Ok(()) } else { Err(tail(&first.log(), 3)) });
    assert!(first.process.ended().is_none(), "its command goes on");
    fs::write(bench.path("gate"), "").expect("the gate can be opened");
    assert!(first.process.wait(SOON).is_some_and(|status| status.success()), "{}", first.log());
    let begun: Vec<String> = bench.text("runs").lines().map(str::to_owned).collect();
    assert_eq!(begun.len(), 1, "nothing more was begun");
    let done = begun[0].split('~').next().expect("a task's id comes first").to_owned();
    assert_eq!(bench.completion(&done)["result"], json!("\"done\""), "what was begun is done");
    let mut second = bench.exec(&definition, &["--no-register"], &[script]);
    for task in ["one", "two"] {
        assert_eq!(bench.completion(task)["outcome"], "SUCCEEDED");
    }
    second.ends_well();
    assert_eq!(read_all(bench.scratch.stack, &bench.scratch.topic("agents")).len(), 1, "nothing is registered again");
}

#[test]
fn killed_its_assignment_comes_again_under_the_same_id() {
    let bench = Bench::new("exec-kill", "");
    let script = bench.script(
        r#"echo "$BATON_ASSIGNMENT_ID" >> runs
n=0; until [ -e gate ] || [ $n = 900 ]; do sleep 0.1; n=$((n + 1)); done
echo '"done"'"#,
    );
    let script = script.to_str().expect("it is text");
    let mut first = bench.exec(&bench.moody(), &[], &[script]);
    bench.submit("Moody", &["one"]);
    bench.trace("runs");
    first.process.kill();
    fs::write(bench.path("gate"), "").expect("the gate can be opened");
    let mut second = bench.exec(&bench.moody(), &[], &[script]);
    assert_eq!(bench.completion("one")["outcome"], "SUCCEEDED");
    let runs = bench.text("runs");
    let runs: Vec<&str> = runs.lines().collect();
    assert!(runs.len() == 2 && runs[0] == runs[1], "{runs:?}");
    second.ends_well();
}

#[test]
fn what_cannot_work_is_said_before_anything_is_taken() {
    let scratch = Scratch::new("exec-wrong");
    let write = |name: &str, text: &str| {
        let path = scratch.dir().join(name);
        fs::write(&path, text).expect("the file can be written");
        path.to_str().expect("it is text").to_owned()
    };
    let good = write("good.json", r#"{"agentName":"Moody","description":"does as it is told"}"#);
    let many = write("many.json", r#"[{"agentName":"Moody","description":"does as it is told"}]"#);
    let bad = write("bad.json", r#"{"agentName":"Moody","descripton":"does as it is told"}"#);
    let plain = write("plain.sh", "echo 1");
    for (file, command, wanted) in [
        (good.as_str(), "no-such-command-anywhere", "there is no command `no-such-command-anywhere` in PATH"),
        (&good, &plain, "chmod +x"),
        (&many, "cat", "holds an array"),
        (&bad, "cat", "descripton"),
        ("nowhere.json", "cat", "nowhere.json cannot be read"),
    ] {
        let ran = scratch.baton(&["agents", "exec", "--file", file, "--", command]).code(2);
        assert!(ran.stderr.contains(wanted), "{}", ran.stderr);
    }
    let ran = scratch.baton(&["agents", "exec", "--file", &good, "--concurrency", "0", "--", "cat"]).code(2);
    assert!(ran.stderr.contains("concurrency is 0"), "{}", ran.stderr);
}
