//! What people say of tasks. The first tests are of the command line alone: the test itself answers for the orchestrator.

use super::super::support::agents::{Agents, definition, silent, works};
use super::super::support::{Partitioner, Record, Scratch, Send, Sender, Topic, Worker, encode};
use super::*;
use std::sync::OnceLock;

/// Plays the orchestrator: answers the next command with a fact of this type, and gives the command.
#[track_caller]
fn answer(scratch: &Scratch, number: usize, kind: &str, reason: &str) -> Record {
    let mut commands = Topic::open(scratch.stack, &scratch.topic("task-commands"));
    let given = commands.count(number, SOON)[number - 1].clone();
    let detail = json!({ "commandId": given.text("commandId"), "command": given.text("command") });
    let fact = |kind: &str, detail: &str| {
        json!({ "type": kind, "stepId": null, "assignmentId": null, "agentName": null, "decisionId": null,
                "attempt": null, "actor": given.text("actor"), "reason": reason, "detail": detail })
    };
    // Somebody else's command before it, which is not the answer.
    let facts = [fact(kind, "{\"commandId\":\"other\"}"), fact(kind, &detail.to_string())];
    let events =
        json!({ "taskId": given.text("taskId"), "firstSequence": 1, "at": 1_700_000_000_000_i64, "facts": facts });
    let topic = scratch.topic("task-events");
    let value = encode(scratch.stack, &format!("{topic}-value"), &events);
    let sender = Sender::new(scratch.stack, Partitioner::Murmur2);
    sender.send(Send::to(&topic).key(given.text("taskId")).bytes(value));
    given
}

#[test]
fn a_command_is_a_record_and_its_fact_the_answer() {
    let scratch = Scratch::new("said");
    scratch.apply();
    std::thread::scope(|scope| {
        let ran = scope.spawn(|| {
            let args =
                ["tasks", "reassign", "t-1", "--step", "2", "--agent", "Scorer", "--actor", "me", "--reason", "slow"];
            scratch.baton(&[&args[..], &["--timeout", "50s"]].concat())
        });
        let given = answer(&scratch, 1, "COMMAND_APPLIED", "slow");
        let ran = ran.join().expect("it ran").ok();
        assert_eq!(ran.stdout, "t-1  REASSIGN applied\n");
        let fields = ["taskId", "command", "stepId", "agentName", "actor", "reason"].map(|field| given.text(field));
        assert_eq!(fields, ["t-1", "REASSIGN", "2", "Scorer", "me", "slow"]);
        assert_eq!((given.key.as_deref(), given.header("ce_type")), (Some("t-1"), "io.baton.v1.TaskCommand"));
        assert_eq!(given.header("ce_id"), given.text("commandId"));
    });
    let args = ["tasks", "answer", "t-1", r#"{"ok":true}"#, "--id", "c-7", "--timeout", "50s", "--format", "json"];
    std::thread::scope(|scope| {
        let ran = scope.spawn(|| scratch.baton(&args));
        let given = answer(&scratch, 2, "COMMAND_REFUSED", "the task has ended");
        let told = ran.join().expect("it ran").code(1).json();
        assert_eq!((told["applied"].as_bool(), told["reason"].as_str()), (Some(false), Some("the task has ended")));
        assert_eq!((given.text("value"), given.text("commandId")), (r#"{"ok":true}"#, "c-7"));
        // Once more under the same id: what was said then, and nothing is sent.
        let again = scratch.baton(&args).code(1).json();
        assert_eq!(again["reason"], "the task has ended");
        assert_eq!(Topic::open(scratch.stack, &scratch.topic("task-commands")).settle().len(), 2);
    });
}

#[test]
fn a_command_that_nobody_answers_is_kept_and_one_that_makes_no_sense_is_not_sent() {
    let scratch = Scratch::new("unheard");
    scratch.apply();
    let unheard = scratch.baton(&["tasks", "cancel", "t-1", "--timeout", "1s"]).code(1);
    assert!(unheard.stderr.contains("no worker has answered within 1s") && unheard.stderr.contains("--id c-"));
    let sent = scratch.baton(&["tasks", "pause", "t-1", "--no-wait", "--id", "mine"]).ok();
    assert_eq!(sent.stdout, "mine\n");
    for (args, says) in [
        (&["tasks", "cancel", "a b"][..], "is not a task id"),
        (&["tasks", "cancel", "t", "--id", "a b"], "is not a command id"),
        (&["tasks", "retry", "t", "--step", "a:b"], "is not a step id"),
        (&["tasks", "reassign", "t", "--agent", " "], "agentName: empty"),
        (&["tasks", "cancel", "t", "--step", "1"], "--step"),
        (&["tasks", "list", "--status", "done"], "SUCCEEDED"),
    ] {
        let refused = scratch.baton(args).code(2);
        assert!(refused.stderr.contains(says), "{says:?} is not in {}", refused.stderr);
    }
    let commands = Topic::open(scratch.stack, &scratch.topic("task-commands")).settle().to_vec();
    let texts: Vec<_> = commands.iter().map(|it| it.text("command").to_owned()).collect();
    assert!(texts.len() == 2 && texts.contains(&"CANCEL".to_owned()) && texts.contains(&"PAUSE".to_owned()));
    assert!(commands.iter().all(|it| !it.text("actor").is_empty()), "somebody said it");
}

struct Office {
    scratch: Scratch,
    _worker: Worker,
    _agents: Agents,
}

fn office() -> &'static Office {
    static OFFICE: OnceLock<Office> = OnceLock::new();
    OFFICE.get_or_init(|| {
        let scratch = Scratch::new("commanded");
        scratch.apply().register_all(&[definition("Echo", "says it again"), definition("Held", "waits for the test")]);
        let worker = scratch.worker("w").start();
        let agents = Agents::start(&scratch, vec![("Echo", works(Value::clone)), ("Held", silent())]);
        eligible(&worker, 2);
        Office { scratch, _worker: worker, _agents: agents }
    })
}

impl Office {
    /// A task whose agent never says anything, once it is assigned.
    #[track_caller]
    fn hold(&self, task: &str) {
        submit(&self.scratch, &[json!({ "taskId": task, "objective": "wait", "agents": ["Held"] })]);
        let mut events = Topic::open(self.scratch.stack, &self.scratch.topic("task-events"));
        let assigned =
            |record: &Record| record.text("taskId") == task && record.value.to_string().contains("STEP_ASSIGNED");
        events.find(&format!("{task} is assigned"), SOON, assigned);
    }

    fn listed(&self, args: &[&str]) -> Vec<Value> {
        let listed = self.scratch.baton(&[&["tasks", "list", "--format", "json"], args].concat()).ok().json();
        listed.as_array().expect("a list").clone()
    }
}

#[test]
fn tasks_are_listed_as_they_stand() {
    let office = office();
    let ended = json!({ "taskId": "l-ended", "objective": "say", "agents": ["Echo"], "input": { "a": 1 } });
    let refused = json!({ "taskId": "l-refused", "objective": "o", "colour": 1 });
    submit(&office.scratch, &[ended, refused]);
    office.hold("l-live");
    let mut told = Told::of(&office.scratch);
    told.completion("l-ended");
    told.completion("l-refused");
    let all = office.listed(&[]);
    let status = |task: &str| all.iter().find(|row| row["taskId"] == task).map(|row| row["status"].clone());
    let of = ["l-ended", "l-live", "l-refused"].map(|task| status(task).unwrap_or_default());
    assert_eq!(of, ["SUCCEEDED", "RUNNING", "REJECTED"].map(Value::from), "{all:#?}");
    let live = office.listed(&["--status", "running,paused", "--since", "1h"]);
    assert!(live.iter().all(|row| row["status"] != "SUCCEEDED") && !live.is_empty());
    assert_eq!(office.listed(&["--limit", "1"]).len(), 1);
    let row = live.iter().find(|row| row["taskId"] == "l-live").expect("it is live");
    assert_eq!((row["last"].as_str(), row["agentName"].as_str()), (Some("STEP_ASSIGNED"), Some("Held")));
}

#[test]
fn a_task_is_watched_until_it_ends() {
    let office = office();
    let scratch = &office.scratch;
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| scratch.baton(&["tasks", "watch", "w-1", "--format", "json"]));
        std::thread::sleep(Duration::from_secs(1));
        submit(scratch, &[json!({ "taskId": "w-1", "objective": "say", "agents": ["Echo"], "input": { "a": 1 } })]);
        let ran = watching.join().expect("it ran").ok();
        let lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let (completion, facts) = lines.split_last().expect("there are lines");
        assert_eq!((completion["outcome"].as_str(), completion["taskId"].as_str()), (Some("SUCCEEDED"), Some("w-1")));
        let numbers: Vec<_> = facts.iter().map(|fact| fact["number"].as_u64()).collect();
        assert_eq!(numbers, (1..=facts.len() as u64).map(Some).collect::<Vec<_>>());
        assert_eq!(facts.last().map(|fact| fact["type"].clone()), Some(json!("TASK_ENDED")));
    });
    // From the first fact on also where it ended before; and of a refused task there is but the completion.
    assert!(scratch.baton(&["tasks", "watch", "w-1"]).ok().stdout.contains("TASK_ACCEPTED"));
    submit(scratch, &[json!({ "taskId": "w-2", "objective": "o", "colour": 1 })]);
    let refused = scratch.baton(&["tasks", "watch", "w-2"]).code(1);
    assert!(refused.stdout.starts_with("REJECTED  invalid: "), "{}", refused.stdout);
}

#[test]
fn a_task_is_paused_resumed_and_cancelled() {
    let office = office();
    office.hold("c-1");
    let say = |args: &[&str]| office.scratch.baton(&[&["tasks"], args, &["--timeout", "40s"]].concat());
    assert_eq!(say(&["pause", "c-1"]).ok().stdout, "c-1  PAUSE applied\n");
    let paused = office.listed(&["--status", "PAUSED"]);
    assert!(paused.iter().any(|row| row["taskId"] == "c-1"), "{paused:#?}");
    say(&["resume", "c-1"]).ok();
    assert_eq!(
        say(&["cancel", "c-1", "--reason", "not needed", "--id", "c-1-end"]).ok().stdout,
        "c-1  CANCEL applied\n"
    );
    Told::of(&office.scratch).ended("c-1", "CANCELLED", "cancelled");
    // The same again is the same; another is refused, for the task has ended.
    say(&["cancel", "c-1", "--id", "c-1-end"]).ok();
    let refused = say(&["cancel", "c-1"]).code(1);
    assert!(refused.stdout.starts_with("c-1  CANCEL refused: "), "{}", refused.stdout);
}

#[test]
fn a_command_on_a_task_that_nobody_knows_is_refused() {
    let refused = office().scratch.baton(&["tasks", "resume", "nobody", "--timeout", "50s"]).code(1);
    assert!(refused.stdout.starts_with("nobody  RESUME refused: "), "{}{}", refused.stdout, refused.stderr);
    assert!(!office().listed(&[]).iter().any(|row| row["taskId"] == "nobody"));
}
