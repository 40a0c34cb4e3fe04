//! Plans and what happens to their steps, on the real stack: each kind of agent that does not do its work.

use super::super::support::agents::{Agents, Behaviour, Say, always, definition, payload, silent, works};
use super::super::support::{Scratch, Worker};
use super::*;
use std::sync::OnceLock;

struct Office {
    scratch: Scratch,
    agents: Agents,
    _worker: Worker,
}

const QUICK: &str = r#"
[workflow]
accept_timeout = "3s"
command_patience = "2s"
max_repeats = 2
[workflow.retry.transient]
attempts = 3
backoff = "300ms"
[workflow.retry.timeout]
attempts = 2
backoff = "100ms"
[workflow.retry.invalid_output]
attempts = 2
backoff = "100ms"
[workflow.retry.rate_limited]
attempts = 3
backoff = "100ms"
"#;

/// Fails so on the first attempt at each step, and then does it.
fn at_first(failure: Say) -> Behaviour {
    Box::new(move |assignment| match assignment["attempt"].as_i64() {
        Some(1) => vec![failure.clone()],
        _ => vec![Say::succeeded(json!({ "by": assignment["agentName"], "after": assignment["feedback"] }))],
    })
}

fn capable(name: &str, capability: &str) -> Value {
    let mut definition = definition(name, capability);
    definition["capabilities"] = json!([capability]);
    definition
}

fn office() -> &'static Office {
    static OFFICE: OnceLock<Office> = OnceLock::new();
    OFFICE.get_or_init(|| {
        let scratch = Scratch::new("engine");
        let mut strict = capable("Strict", "be strict");
        strict["output"]["contract"] =
            json!(r#"{"type":"object","required":["by"],"properties":{"by":{"type":"string"}}}"#);
        let mut once = capable("Once", "act once");
        once["idempotent"] = json!(false);
        let mut asked = capable("Asked For", "act with leave");
        asked["requireApproval"] = json!(true);
        let mut narrow = capable("Narrow", "one at a time");
        narrow["maxConcurrency"] = json!(1);
        let usage = json!({ "inputTokens": 600, "outputTokens": 500, "costMicros": 9_000 });
        let rate = json!({ "class": "RATE_LIMITED", "message": "not now", "retryAfterMs": 1_200 });
        let agents: Vec<(Value, Behaviour)> = vec![
            (capable("Echo", "echo"), works(Value::clone)),
            (capable("Flaky", "be flaky"), at_first(Say::failed("TRANSIENT", "a hiccup"))),
            (strict, at_first(Say::succeeded(json!({ "of": 7 })))),
            (capable("Mute", "be mute"), silent()),
            (capable("Limited", "be limited"), at_first(Say::failed("PERMANENT", "").with("error", rate))),
            (capable("Choosy", "be choosy"), always(Say::declined("not mine"))),
            (capable("Curious", "be curious"), asks_once()),
            (capable("Broken", "break"), always(Say::failed("PERMANENT", "it broke"))),
            (once, silent()),
            (asked, works(Value::clone)),
            (narrow, always(Say::succeeded(json!(1)).after(Duration::from_millis(400)))),
            (capable("Stand-in", "be mute or choosy"), works(Value::clone)),
            (capable("Dear", "be dear"), always(Say::succeeded(json!(7)).with("usage", usage))),
        ];
        let definitions: Vec<Value> = agents.iter().map(|(definition, _)| definition.clone()).collect();
        scratch.apply().register_all(&definitions);
        let worker = scratch.worker("w").toml(QUICK).start();
        let named: Vec<(String, Behaviour)> = agents
            .into_iter()
            .map(|(definition, behaviour)| (definition["agentName"].as_str().unwrap_or_default().to_owned(), behaviour))
            .collect();
        let count = u32::try_from(named.len()).expect("a few");
        let mut list = Vec::new();
        let names: Vec<String> = named.iter().map(|(name, _)| name.clone()).collect();
        for ((_, behaviour), name) in named.into_iter().zip(&names) {
            list.push((name.as_str(), behaviour));
        }
        let agents = Agents::start(&scratch, list);
        eligible(&worker, count);
        Office { scratch, agents, _worker: worker }
    })
}

/// Asks a person once, and then says what it was told.
fn asks_once() -> Behaviour {
    Box::new(|assignment| match assignment["attempt"].as_i64() {
        Some(1) => vec![Say::input_required("how many?")],
        _ => {
            let own = |item: &&Value| item["stepId"] == assignment["stepId"];
            let told = items(assignment, "context").iter().find(own).map(|item| payload(&item["output"]));
            vec![Say::succeeded(json!({ "told": told }))]
        }
    })
}

fn step(id: &str, agent: &str, after: &[&str]) -> Value {
    json!({ "stepId": id, "objective": format!("do {id}"), "agentName": agent, "dependsOn": after })
}

fn plan(id: &str, steps: Value) -> Value {
    json!({ "taskId": id, "objective": "follow the plan", "input": 1, "plan": steps })
}

/// One step without a name, for agents of this kind.
fn kind(id: &str, capability: &str, agents: &[&str]) -> Value {
    let mut task = plan(id, json!([{ "stepId": "a", "objective": "do it", "capability": capability }]));
    if !agents.is_empty() {
        task["plan"][0]["capability"] = Value::Null;
        task["agents"] = json!(agents);
    }
    task
}

fn result(completion: &Value) -> Value {
    payload(&completion["result"])
}

fn command(scratch: &Scratch, args: &[&str]) -> String {
    scratch.baton(&[&["tasks"], args].concat()).ok().stdout
}

/// Waits for a fact of this kind.
#[track_caller]
fn fact(told: &mut Told, task: &str, kind: &str) -> Value {
    let has = |record: &Record| {
        record.text("taskId") == task && items(&record.value, "facts").iter().any(|fact| fact["type"] == kind)
    };
    let record = told.events.find(&format!("{task}: {kind}"), SOON, has);
    items(&record.value, "facts").iter().find(|fact| fact["type"] == kind).expect("it was just seen").clone()
}

#[test]
fn a_diamond_runs_side_by_side_and_gives_its_leafs_output() {
    let Office { scratch, agents, .. } = office();
    let steps = json!([
        step("top", "Echo", &[]),
        step("left", "Echo", &["top"]),
        step("right", "Flaky", &["top"]),
        step("bottom", "Echo", &["left", "right"]),
    ]);
    submit(scratch, &[plan("diamond", steps)]);
    let mut told = Told::of(scratch);
    let ended = told.ended("diamond", "SUCCEEDED", "completed");
    assert_eq!(result(&ended), json!({ "left": 1, "right": { "by": "Flaky", "after": "a hiccup" } }));
    let given = agents.of("diamond");
    let bottom = given.iter().find(|it| it.text("stepId") == "bottom").expect("it was assigned");
    assert_eq!(texts(items(&bottom.value, "context").iter().skip(1), "stepId"), ["left", "right"]);
    assert_eq!(given.len(), 5, "four steps, one of them twice");
    let story = scratch.baton(&["tasks", "show", "diamond"]).ok().stdout;
    for word in ["PLAN_ACCEPTED", "RETRY_SCHEDULED", "a hiccup", "bottom", "SUCCEEDED"] {
        assert!(story.contains(word), "{word} is not in the story:\n{story}");
    }
}

#[test]
fn thirty_steps_with_every_kind_of_trouble_end_as_the_policy_says() {
    let Office { scratch, .. } = office();
    let troubles = ["Flaky", "Strict", "Limited", "Echo"];
    let mut steps = vec![step("s0", "Echo", &[])];
    for n in 1..29_usize {
        let after = format!("s{}", (n - 1) / 3);
        steps.push(step(&format!("s{n}"), troubles[n % 4], &[&after]));
    }
    let all: Vec<String> = (9..29).map(|n| format!("s{n}")).collect();
    steps.push(step("end", "Echo", &all.iter().map(String::as_str).collect::<Vec<_>>()));
    submit(scratch, &[plan("thirty", json!(steps))]);
    let ended = Told::of(scratch).ended("thirty", "SUCCEEDED", "completed");
    let attempts: i64 = items(&ended, "steps").iter().filter_map(|step| step["attempts"].as_i64()).sum();
    assert_eq!((items(&ended, "steps").len(), attempts), (30, 30 + 21), "each of 21 in trouble took one attempt more");
}

#[test]
fn a_transient_failure_is_tried_again() {
    let Office { scratch, .. } = office();
    submit(scratch, &[kind("flaky", "be flaky", &[])]);
    let mut told = Told::of(scratch);
    let retry = fact(&mut told, "flaky", "RETRY_SCHEDULED");
    assert_eq!((retry["reason"].as_str(), retry["attempt"].as_i64()), (Some("TRANSIENT"), Some(2)));
    told.ended("flaky", "SUCCEEDED", "completed");
}

#[test]
fn what_fails_for_good_ends_with_its_class_after_the_attempts_it_has() {
    let Office { scratch, agents, .. } = office();
    submit(scratch, &[kind("broken", "break", &[]), kind("mute", "be mute", &[])]);
    let mut told = Told::of(scratch);
    told.ended("broken", "FAILED", "PERMANENT");
    let ended = told.ended("mute", "FAILED", "assignment_timeout");
    assert!(ended["message"].as_str().is_some_and(|why| why.contains("after 2 attempts")), "{ended:#}");
    assert_eq!((agents.of("broken").len(), agents.of("mute").len()), (1, 2));
}

#[test]
fn a_silent_agents_step_goes_to_another() {
    let Office { scratch, .. } = office();
    submit(scratch, &[kind("silent", "", &["Mute", "Stand-in"])]);
    let ended = Told::of(scratch).ended("silent", "SUCCEEDED", "completed");
    assert_eq!(items(&ended, "steps")[0]["agentName"], "Stand-in");
}

#[test]
fn an_output_that_breaks_its_contract_goes_back_with_the_reason() {
    let Office { scratch, agents, .. } = office();
    submit(scratch, &[kind("strict", "be strict", &[])]);
    let mut told = Told::of(scratch);
    let rejected = fact(&mut told, "strict", "OUTPUT_REJECTED");
    assert!(rejected["reason"].as_str().is_some_and(|why| why.contains("\"by\"")), "{rejected:#}");
    let ended = told.ended("strict", "SUCCEEDED", "completed");
    assert_eq!(result(&ended)["by"], "Strict");
    let given = agents.of("strict");
    assert_eq!(given[1].value["feedback"], rejected["reason"], "whoever mends it is told why");
    assert_eq!(given[0].value["effectKey"], given[1].value["effectKey"]);
}

#[test]
fn an_agent_that_is_rate_limited_gets_the_time_it_asks_for() {
    let Office { scratch, agents, .. } = office();
    submit(scratch, &[kind("limited", "be limited", &[])]);
    Told::of(scratch).ended("limited", "SUCCEEDED", "completed");
    let given = agents.of("limited");
    let times: Vec<i64> = given.iter().map(|record| record.timestamp.unwrap_or(0)).collect();
    assert!(times[1] - times[0] >= 1_200, "{times:?}");
}

#[test]
fn a_step_that_is_declined_goes_to_another() {
    let Office { scratch, .. } = office();
    submit(scratch, &[kind("choosy", "", &["Choosy", "Stand-in"])]);
    let ended = Told::of(scratch).ended("choosy", "SUCCEEDED", "completed");
    assert_eq!(items(&ended, "steps")[0]["agentName"], "Stand-in");
}

#[test]
fn an_agent_that_is_not_idempotent_is_tried_again_only_if_a_person_says_so() {
    let Office { scratch, agents, .. } = office();
    submit(scratch, &[kind("once", "act once", &[])]);
    let mut told = Told::of(scratch);
    let asked = fact(&mut told, "once", "APPROVAL_REQUESTED");
    assert_eq!(asked["reason"], "retry_not_idempotent");
    assert_eq!(agents.of("once").len(), 1);
    command(scratch, &["approve", "once", "--actor", "me"]);
    super::super::support::until("it is assigned again", SOON, || match agents.of("once").len() {
        2 => Ok(()),
        n => Err(n.to_string()),
    });
    command(scratch, &["cancel", "once", "--reason", "enough"]);
    let ended = told.ended("once", "CANCELLED", "cancelled");
    assert!(ended["message"].as_str().is_some_and(|why| why.contains("enough")), "{ended:#}");
}

#[test]
fn where_a_plan_goes_on_dependents_are_skipped_and_the_rest_counts() {
    let Office { scratch, .. } = office();
    let steps = json!([
        step("a", "Echo", &[]),
        step("b", "Broken", &["a"]),
        step("c", "Echo", &["a"]),
        step("d", "Echo", &["b"])
    ]);
    let mut goes_on = plan("goes-on", steps.clone());
    goes_on["onStepFailure"] = json!("CONTINUE");
    submit(scratch, &[goes_on, plan("stops", steps)]);
    let mut told = Told::of(scratch);
    let ended = told.ended("goes-on", "PARTIAL", "steps_failed");
    let statuses = texts(items(&ended, "steps"), "status");
    assert_eq!(statuses, ["SUCCEEDED", "FAILED", "SUCCEEDED", "SKIPPED"]);
    assert_eq!(result(&ended), json!({ "c": 1 }));
    told.ended("stops", "FAILED", "PERMANENT");
}

#[test]
fn a_question_waits_for_its_answer() {
    let Office { scratch, .. } = office();
    submit(scratch, &[kind("curious", "be curious", &[])]);
    let mut told = Told::of(scratch);
    fact(&mut told, "curious", "INPUT_REQUESTED");
    command(scratch, &["answer", "curious", "{\"n\":3}"]);
    let ended = told.ended("curious", "SUCCEEDED", "completed");
    assert_eq!(result(&ended), json!({ "told": { "n": 3 } }));
}

#[test]
fn nothing_is_begun_before_a_person_approves() {
    let Office { scratch, agents, .. } = office();
    let mut whole = kind("whole", "echo", &[]);
    whole["requireApproval"] = json!(true);
    let mut by_step = plan("by-step", json!([step("a", "Echo", &[])]));
    by_step["plan"][0]["requireApproval"] = json!(true);
    let mut refused = by_step.clone();
    refused["taskId"] = json!("refused");
    submit(scratch, &[whole, by_step, kind("by-agent", "act with leave", &[]), refused]);
    let mut told = Told::of(scratch);
    for (task, reason) in [("by-step", "step"), ("by-agent", "agent"), ("refused", "step")] {
        assert_eq!(fact(&mut told, task, "APPROVAL_REQUESTED")["reason"], reason, "{task}");
    }
    for task in ["whole", "by-step", "by-agent"] {
        assert!(agents.of(task).is_empty(), "{task} was begun");
        command(scratch, &["approve", task, "--actor", "boss"]);
        told.ended(task, "SUCCEEDED", "completed");
        assert_eq!(fact(&mut told, task, "COMMAND_APPLIED")["actor"], "boss");
    }
    command(scratch, &["reject", "refused", "--reason", "too dear"]);
    let ended = told.ended("refused", "FAILED", "rejected");
    assert!(ended["message"].as_str().is_some_and(|why| why.contains("too dear")), "{ended:#}");
}

#[test]
fn a_task_that_failed_is_retried_from_where_it_failed() {
    let Office { scratch, agents, .. } = office();
    submit(scratch, &[plan("again", json!([step("a", "Echo", &[]), step("b", "Broken", &["a"])]))]);
    let mut told = Told::of(scratch);
    told.ended("again", "FAILED", "PERMANENT");
    command(scratch, &["retry", "again"]);
    told.completions.until("it ended twice", SOON, |records| of(records, "again").len() == 2);
    let runs: Vec<Value> = of(told.completions.records(), "again").iter().map(|it| it.value["run"].clone()).collect();
    assert_eq!(runs, [1, 2]);
    let steps: Vec<String> = agents.of("again").iter().map(|it| it.text("stepId").to_owned()).collect();
    assert_eq!(steps, ["a", "b", "b"], "what succeeded is not run again");
    let refused = scratch.baton(&["tasks", "retry", "diamond-never-seen"]).code(1);
    assert!(refused.stderr.contains("not known") || refused.stdout.contains("not known"), "{refused:?}");
}

#[test]
fn a_budget_that_is_spent_ends_its_task_with_its_name() {
    let Office { scratch, agents, .. } = office();
    let task = |id: &str, limits: Value| {
        let mut task = plan(id, json!([step("a", "Dear", &[]), step("b", "Echo", &["a"])]));
        task["limits"] = limits;
        task
    };
    let cases = [
        ("tokens", json!({ "maxTokens": 1_100 }), "1100 tokens are used; 1100 are allowed"),
        ("cost", json!({ "maxCostMicros": 8_999 }), "9000 millionths are spent; 8999 are allowed"),
        ("attempts", json!({ "maxAttempts": 1 }), "a further assignment is needed after 1"),
    ];
    let enough = task("enough", json!({ "maxTokens": 1_101, "maxCostMicros": 9_001, "maxAttempts": 2 }));
    let tasks = cases.iter().map(|(id, limits, _)| task(id, limits.clone())).chain([enough]);
    submit(scratch, &tasks.collect::<Vec<_>>());
    let mut told = Told::of(scratch);
    for (id, _, why) in &cases {
        let ended = told.ended(id, "FAILED", &format!("budget_{id}"));
        assert_eq!(ended["message"], *why);
        assert_eq!(texts(items(&ended, "steps"), "status"), ["SUCCEEDED", "SKIPPED"], "{ended:#}");
        let used = &ended["usage"];
        assert_eq!([&used["inputTokens"], &used["outputTokens"], &used["costMicros"]], [600, 500, 9_000]);
    }
    assert_eq!(result(&told.ended("enough", "SUCCEEDED", "completed")), json!(7));
    for id in ["tokens", "cost"] {
        scratch.baton(&["tasks", "retry", id]).code(1);
        let refused = fact(&mut told, id, "COMMAND_REFUSED");
        assert!(refused["reason"].as_str().is_some_and(|why| why.starts_with(&format!("budget_{id}"))), "{refused:#}");
    }
    command(scratch, &["retry", "attempts"]);
    told.completions.until("it ended twice", SOON, |records| of(records, "attempts").len() == 2);
    let again = of(told.completions.records(), "attempts").remove(1).value;
    assert_eq!((again["outcome"].as_str(), result(&again)), (Some("SUCCEEDED"), json!(7)), "attempts are granted anew");
    assert_eq!(texts(agents.of("attempts").iter().map(|it| &it.value), "stepId"), ["a", "b"]);
}

#[test]
fn a_step_is_given_to_another_agent_and_withdrawn_from_the_first() {
    let Office { scratch, .. } = office();
    submit(scratch, &[plan("moved", json!([step("a", "Mute", &[])]))]);
    let mut told = Told::of(scratch);
    fact(&mut told, "moved", "STEP_ASSIGNED");
    command(scratch, &["reassign", "moved", "--agent", "Stand-in"]);
    let ended = told.ended("moved", "SUCCEEDED", "completed");
    assert_eq!(items(&ended, "steps")[0]["agentName"], "Stand-in");
    assert_eq!(told.decision("moved", 2)["by"], "OPERATOR");
    let mut withdrawn = Topic::open(scratch.stack, &scratch.topic("cancellations"));
    let found = withdrawn.find("it is withdrawn", SOON, |record| record.text("taskId") == "moved");
    assert_eq!((found.text("agentName"), found.text("reason")), ("Mute", "reassigned"));
}

#[test]
fn a_task_waits_for_its_time() {
    let Office { scratch, agents, .. } = office();
    let begins = in_future(Duration::from_secs(3));
    let mut task = kind("later", "echo", &[]);
    task["notBefore"] = json!(begins);
    submit(scratch, &[task]);
    Told::of(scratch).ended("later", "SUCCEEDED", "completed");
    assert!(agents.of("later")[0].timestamp >= Some(begins));
}

#[test]
fn an_agent_gets_no_more_than_it_takes_at_once_and_the_urgent_come_first() {
    let Office { scratch, agents, .. } = office();
    let task = |n: usize| {
        let mut task = kind(&format!("narrow-{n}"), "one at a time", &[]);
        task["priority"] = json!(if n == 9 { 9 } else { 0 });
        task
    };
    submit(scratch, &(0..10).map(task).collect::<Vec<_>>());
    let mut told = Told::of(scratch);
    for n in 0..10 {
        told.ended(&format!("narrow-{n}"), "SUCCEEDED", "completed");
    }
    let mut given: Vec<(i64, String)> = agents
        .seen()
        .into_iter()
        .filter(|record| record.text("taskId").starts_with("narrow-"))
        .map(|record| (record.timestamp.unwrap_or(0), record.text("taskId").to_owned()))
        .collect();
    given.sort();
    for pair in given.windows(2) {
        assert!(pair[1].0 - pair[0].0 >= 350, "one at a time: {given:?}");
    }
    let place = given.iter().position(|(_, task)| task == "narrow-9").expect("it was given");
    assert!(place <= 4, "the urgent one was {place} in {given:?}");
}
