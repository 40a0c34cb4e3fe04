//! Who is told that an assignment is no longer wanted, and of which nothing is said.

use super::super::support::agents::{Agents, Say, always, definition, silent};
use super::super::support::{Record, Scratch, Topic};
use super::*;

#[test]
fn what_is_no_longer_wanted_is_withdrawn_from_whoever_has_it() {
    let scratch = Scratch::new("withdrawals");
    scratch.apply().register_all(&[
        definition("Idle", "never accepts"),
        definition("Lazy", "accepts and sleeps"),
        definition("Prompt", "is done at once"),
        definition("Broken", "fails at once"),
        definition("Shy", "declines"),
    ]);
    let worker = scratch.worker("w").toml("[workflow]\naccept_timeout = \"2s\"\nassignment_timeout = \"3s\"").start();
    let agents = Agents::start(
        &scratch,
        vec![
            ("Idle", silent()),
            ("Lazy", always(Say::accepted())),
            ("Prompt", always(Say::succeeded(json!(1)))),
            ("Broken", always(Say::failed("PERMANENT", "it broke"))),
            ("Shy", always(Say::declined("not mine"))),
        ],
    );
    eligible(&worker, 5);
    let task = |id: &str, agent: &str| json!({ "taskId": id, "objective": "do it", "agents": [agent] });
    let mut due = task("due", "Lazy");
    due["deadline"] = json!(in_future(Duration::from_millis(1_500)));
    let mut shy = task("shy", "Shy");
    shy["deadline"] = json!(in_future(Duration::from_millis(1_500)));
    let tasks =
        [task("idle", "Idle"), task("lazy", "Lazy"), due, shy, task("prompt", "Prompt"), task("broken", "Broken")];
    submit(&scratch, &tasks);
    let mut told = Told::of(&scratch);
    told.ended("idle", "FAILED", "assignment_timeout");
    told.ended("lazy", "FAILED", "assignment_timeout");
    told.ended("due", "EXPIRED", "deadline");
    told.ended("shy", "FAILED", "no_suitable_agent");
    told.ended("prompt", "SUCCEEDED", "completed");
    told.ended("broken", "FAILED", "PERMANENT");

    let mut topic = Topic::open(scratch.stack, &scratch.topic("cancellations"));
    let withdrawn: Vec<Record> = topic.settle().to_vec();
    let mut seen: Vec<_> = withdrawn
        .iter()
        .map(|record| ["taskId", "agentName", "reason", "stepId"].map(|field| record.text(field)))
        .collect();
    seen.sort_unstable();
    let expected = [
        ["due", "Lazy", "deadline", "1"],
        ["idle", "Idle", "accept_timeout", "1"],
        ["lazy", "Lazy", "assignment_timeout", "1"],
    ];
    assert_eq!(seen, expected, "and nothing is withdrawn that its agent settled itself");
    for record in &withdrawn {
        let task = record.text("taskId");
        let given = agents.of(task).remove(0).value;
        assert_eq!(record.value["assignmentId"], given["assignmentId"]);
        assert_eq!(record.key.as_deref(), Some(task));
        let completion = told.completion(task);
        assert_eq!(record.partition, completion.partition, "at the task's home");
        assert_eq!(record.value["at"], completion.value["completedAt"], "of the same moment");
        let id = format!("{}~withdrawn", record.text("assignmentId"));
        assert_eq!((record.header("ce_type"), record.header("ce_id")), ("io.baton.v1.Cancellation", id.as_str()));
    }

    let listed = scratch.baton(&["topics", "tail", "cancellations", "--key", "idle"]).ok();
    let line: Value = serde_json::from_str(listed.stdout.trim()).expect("one JSON line");
    assert_eq!(line["value"]["reason"], "accept_timeout", "{line}");
    let topics = scratch.baton(&["topics", "list"]).ok();
    assert!(topics.stdout.contains(&scratch.topic("cancellations")), "{}", topics.stdout);
}
