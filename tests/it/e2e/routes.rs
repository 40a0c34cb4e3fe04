//! Routes: who comes next, what an agent's word leads to, and what waiting ends in.

use super::super::support::agents::{Agents, Behaviour, Say, always, definition, payload, silent, works};
use super::super::support::{Partitioner, Scratch, Send, Sender, Worker, until};
use super::*;
use std::sync::OnceLock;

struct Office {
    scratch: Scratch,
    worker: Worker,
    agents: Agents,
}

/// Declines each step once, then does it.
fn declines_first() -> Behaviour {
    Box::new(|assignment| match assignment["attempt"].as_i64() {
        Some(1) => vec![Say::declined("not mine")],
        _ => vec![Say::succeeded(json!(["done at last"]))],
    })
}

/// Fails as the task's input says: a class, or none.
fn fails() -> Behaviour {
    Box::new(|assignment| {
        let input = payload(&assignment["input"]);
        let said = Say::failed("PERMANENT", "it broke");
        vec![match &input["class"] {
            Value::Null => said.with("error", Value::Null).with("message", json!("no class")),
            class => said.with("error", json!({ "class": class, "message": "it broke" })),
        }]
    })
}

/// One worker without an LLM for most tests here.
fn office() -> &'static Office {
    static OFFICE: OnceLock<Office> = OnceLock::new();
    OFFICE.get_or_init(|| {
        let scratch = Scratch::new("routes");
        let mut plain = definition("Plain", "talks plainly");
        plain["output"]["format"] = json!("text/plain");
        scratch.apply().register_all(&[
            definition("Fixer One", "fixes what is broken"),
            definition("Fixer Two", "fixes what is broken"),
            definition("Held One", "waits for the test"),
            definition("Held Two", "waits for the test"),
            definition("No One", "never wants to"),
            definition("No Two", "never wants to"),
            definition("Breaker", "breaks things"),
            definition("Asker", "asks back"),
            definition("Talker", "talks"),
            plain,
            between("Hop A", "a", "b"),
            between("Hop B", "b", "c"),
            between("Hop C", "c", "d"),
        ]);
        let worker = scratch.worker("w").start();
        let agents = Agents::start(
            &scratch,
            vec![
                ("Fixer One", declines_first()),
                ("Fixer Two", declines_first()),
                ("Held One", silent()),
                ("Held Two", silent()),
                ("No One", always(Say::declined("no"))),
                ("No Two", always(Say::declined("no"))),
                ("Breaker", fails()),
                ("Asker", always(Say::input_required("which one?"))),
                ("Talker", always(Say::succeeded(json!("no {json")))),
                ("Plain", always(Say::succeeded(json!("no {json")))),
                ("Hop A", works(|input| json!({ "a": input }))),
                ("Hop B", works(|input| json!({ "b": input }))),
                ("Hop C", works(|input| json!({ "c": input }))),
            ],
        );
        eligible(&worker, 13);
        Office { scratch, worker, agents }
    })
}

fn for_agents(id: &str, agents: &[&str]) -> Value {
    json!({ "taskId": id, "objective": "do it", "agents": agents })
}

fn due(mut task: Value, wait: Duration) -> (Value, i64) {
    let due = in_future(wait);
    task["deadline"] = json!(due);
    (task, due)
}

/// Waits for the assignment of a task's step and attempt.
#[track_caller]
fn assigned(agents: &Agents, task: &str, step: &str, attempt: i64) -> Value {
    let wanted = |value: &Value| value["stepId"] == step && value["attempt"] == attempt;
    until(&format!("{task}: step {step}, attempt {attempt}"), SOON, || {
        let seen: Vec<Value> = agents.of(task).into_iter().map(|record| record.value).collect();
        seen.iter().find(|value| wanted(value)).cloned().ok_or_else(|| format!("{seen:?}"))
    })
}

fn saying(assignment: &Value, status: &str) -> Value {
    let mut report = json!({ "status": status });
    for field in ["taskId", "assignmentId", "agentName"] {
        report[field] = assignment[field].clone();
    }
    report
}

fn millis(value: &Value, field: &str) -> i64 {
    value[field].as_i64().unwrap_or_else(|| panic!("{field} is no time in {value:#}"))
}

#[test]
fn a_declined_step_goes_to_another_agent() {
    let Office { scratch, agents, .. } = office();
    submit(scratch, &[for_agents("declined", &["Fixer One", "Fixer Two"])]);
    let mut told = Told::of(scratch);
    let ended = told.ended("declined", "SUCCEEDED", "completed");
    assert_eq!((ended["result"].as_str(), ended["hops"].as_i64()), (Some(r#"["done at last"]"#), Some(1)));
    assert_eq!(items(&ended, "steps")[0]["attempts"], 2);
    let given: Vec<Value> = agents.of("declined").into_iter().map(|record| record.value).collect();
    let [first, second] = &given[..] else { panic!("{given:#?}") };
    assert_ne!(first["agentName"], second["agentName"]);
    assert_ne!(first["assignmentId"], second["assignmentId"]);
    assert_eq!((&first["effectKey"], &first["stepId"]), (&second["effectKey"], &second["stepId"]));
    let id = first["assignmentId"].as_str().unwrap_or_default();
    assert_eq!(Some(first["effectKey"].as_str().unwrap()), id.strip_suffix("~1"), "the id without its attempt");
    let again = told.decision("declined", 2);
    assert_eq!((&again["chosen"], again["stepId"].as_str()), (&second["agentName"], Some("1")));
    let decliner = items(&again, "candidates").iter().find(|one| one["agentName"] == first["agentName"]);
    assert_eq!(decliner.map(|one| &one["excluded"]), Some(&json!("it declined this step")));
    let facts = told.facts("declined");
    let failed = facts.iter().find(|fact| fact["type"] == "STEP_FAILED").expect("it is told");
    assert_eq!((failed["reason"].as_str(), failed["stepId"].as_str()), (Some("DECLINED"), Some("1")));
}

#[test]
fn a_report_on_an_earlier_attempt_is_stale() {
    let Office { scratch, worker, agents } = office();
    submit(scratch, &[for_agents("earlier", &["Held One", "Held Two"])]);
    let first = assigned(agents, "earlier", "1", 1);
    report(scratch, &[saying(&first, "DECLINED")]);
    let second = assigned(agents, "earlier", "1", 2);
    let stale = "baton_inputs_total{topic=\"agent-status\",outcome=\"stale\"}";
    let before = worker.metric(stale);
    let mut late = saying(&first, "SUCCEEDED");
    late["output"] = json!("too late");
    report(scratch, &[late]);
    until("it is counted", SOON, || if worker.metric(stale) > before { Ok(()) } else { Err("not yet".into()) });
    let mut right = saying(&second, "SUCCEEDED");
    right["output"] = json!(["in time"]);
    report(scratch, &[right]);
    let mut told = Told::of(scratch);
    assert_eq!(told.ended("earlier", "SUCCEEDED", "completed")["result"], r#"["in time"]"#);
}

#[test]
fn a_step_that_all_declined_waits_until_the_deadline() {
    let Office { scratch, agents, .. } = office();
    let (task, due) = due(for_agents("unwanted", &["No One", "No Two"]), Duration::from_secs(5));
    submit(scratch, &[task]);
    let mut told = Told::of(scratch);
    let none = told.decision("unwanted", 3);
    assert_eq!((none["choice"].as_str(), &none["chosen"]), (Some("NONE"), &Value::Null));
    let declined = items(&none, "candidates").iter().filter(|one| one["excluded"] == "it declined this step").count();
    assert_eq!(declined, 2, "{none:#}");
    let ended = told.ended("unwanted", "FAILED", "no_suitable_agent");
    assert!(millis(&ended, "completedAt") >= due, "it waited");
    assert_eq!(agents.of("unwanted").len(), 2, "each was asked once");
}

#[test]
fn a_failed_report_ends_the_task_with_its_class() {
    let Office { scratch, .. } = office();
    let classes = ["TRANSIENT", "RATE_LIMITED", "TIMEOUT", "CONTRACT", "AUTH", "PERMANENT", "CANCELLED"];
    let task = |class: Option<&str>| {
        let mut task = for_agents(&format!("fails-{}", class.unwrap_or("none")), &["Breaker"]);
        task["input"] = json!({ "class": class });
        task
    };
    submit(scratch, &classes.map(|class| task(Some(class))));
    submit(scratch, &[task(None)]);
    let mut told = Told::of(scratch);
    for class in classes {
        let ended = told.ended(&format!("fails-{class}"), "FAILED", class);
        assert_eq!(
            (ended["message"].as_str(), items(&ended, "steps")[0]["status"].as_str()),
            (Some("it broke"), Some("FAILED"))
        );
    }
    assert_eq!(told.ended("fails-none", "FAILED", "TRANSIENT")["message"], "no class");
}

#[test]
fn a_question_that_nobody_answers_lasts_until_the_deadline() {
    let Office { scratch, .. } = office();
    let (task, _) = due(for_agents("asks", &["Asker"]), Duration::from_secs(3));
    submit(scratch, &[task]);
    let mut told = Told::of(scratch);
    let message = told.ended("asks", "EXPIRED", "deadline")["message"].clone();
    assert_eq!(message, "nobody answered until the task's deadline");
    let facts = told.facts("asks");
    let asked = |fact: &Value| fact["type"] == "INPUT_REQUESTED" && fact["detail"].to_string().contains("which one?");
    assert!(facts.iter().any(asked), "{facts:#?}");
}

#[test]
fn output_must_be_json_only_where_the_agent_declares_it() {
    let Office { scratch, .. } = office();
    submit(scratch, &[for_agents("talks", &["Talker"]), for_agents("plainly", &["Plain"])]);
    let mut told = Told::of(scratch);
    let ended = told.ended("talks", "FAILED", "INVALID_OUTPUT");
    assert!(ended["message"].as_str().is_some_and(|why| why.contains("Talker") && why.contains("application/json")));
    assert!(told.kinds("talks").contains(&"OUTPUT_REJECTED".to_owned()));
    assert_eq!(told.ended("plainly", "SUCCEEDED", "completed")["result"], "no {json");
}

#[test]
fn each_hop_gets_the_output_before_it_and_all_that_was_said() {
    let Office { scratch, agents, .. } = office();
    let task =
        json!({ "taskId": "hops", "objective": "go on", "inputContract": "A", "input": { "n": 1 }, "priority": 8 });
    let (task, due) = due(task, Duration::from_secs(600));
    submit(scratch, &[task]);
    let ended = Told::of(scratch).ended("hops", "SUCCEEDED", "completed");
    assert_eq!(ended["result"], r#"{"c":{"b":{"a":{"n":1}}}}"#);
    let inputs = [r#"{"n":1}"#, r#"{"a":{"n":1}}"#, r#"{"b":{"a":{"n":1}}}"#];
    for (n, input) in inputs.iter().enumerate() {
        let given = assigned(agents, "hops", &(n + 1).to_string(), 1);
        assert_eq!(given["input"], *input);
        let context: Vec<_> = items(&given, "context").iter().map(|one| one["output"].as_str().unwrap()).collect();
        assert_eq!(context, if n == 0 { &[][..] } else { &inputs[..=n] }, "the task's own input first");
        let steps = texts(items(&given, "context"), "stepId");
        assert_eq!(steps, if n == 0 { &[][..] } else { &["", "1", "2"][..=n] });
        let effect = given["effectKey"].as_str().unwrap_or_default();
        assert_eq!(given["assignmentId"], format!("{effect}~1"));
        assert!(effect.starts_with("hops~") && effect.ends_with(&format!("~{}", n + 1)), "{effect}");
        assert_eq!((given["priority"].as_i64(), millis(&given, "taskDeadline")), (Some(8), due));
        assert!(millis(&given, "attemptDeadline") <= due);
        assert_eq!((&given["objective"], &given["agentVersion"]), (&json!("go on"), &json!("1.0.0")));
    }
}

#[test]
fn a_hop_more_than_the_budget_ends_the_task_and_done_may_follow_the_last() {
    let Office { scratch, agents, .. } = office();
    let task = |id: &str, hops: i64| {
        let limits = json!({ "maxHops": hops });
        json!({ "taskId": id, "objective": "go on", "inputContract": "a", "input": 0, "limits": limits })
    };
    submit(scratch, &[task("hops-2", 2), task("hops-3", 3)]);
    let mut told = Told::of(scratch);
    let spent = told.ended("hops-2", "FAILED", "budget_hops");
    assert_eq!(
        (spent["result"].as_str(), spent["hops"].as_i64()),
        (Some(r#"{"b":{"a":0}}"#), Some(2)),
        "the last output is kept"
    );
    assert_eq!(agents.of("hops-2").len(), 2);
    assert_eq!(told.ended("hops-3", "SUCCEEDED", "completed")["hops"], 3);
}

#[test]
fn a_step_that_waits_goes_on_when_an_agent_that_fits_registers() {
    let Office { scratch, .. } = office();
    submit(scratch, &[for_agents("waits", &["latecomer"])]);
    let mut told = Told::of(scratch);
    let none = told.decision("waits", 1);
    assert_eq!((none["choice"].as_str(), none["stepId"].as_str()), (Some("NONE"), Some("1")));
    assert!(!items(&none, "candidates").is_empty(), "who is registered is told, and why not");
    scratch.register_all(&[definition("Latecomer", "comes late")]);
    let _agents = Agents::start(scratch, vec![("Latecomer", always(Say::succeeded(json!(["here"]))))]);
    assert_eq!(told.ended("waits", "SUCCEEDED", "completed")["result"], r#"["here"]"#);
    assert_eq!(told.decision("waits", 2)["chosen"], "Latecomer");
}

#[test]
fn only_allowed_agents_are_chosen_and_never_by_a_part_of_their_name() {
    let Office { scratch, agents, .. } = office();
    let mut by_contract = for_agents("not-by-contract", &["Plain"]);
    by_contract["inputContract"] = json!("a");
    let (part, _) = due(for_agents("by-part", &["Fixer"]), Duration::from_secs(3));
    submit(scratch, &[for_agents("folded", &[" hop a "]), by_contract, part]);
    let mut told = Told::of(scratch);
    told.ended("folded", "SUCCEEDED", "completed");
    assert_eq!(told.decision("folded", 1)["chosen"], "Hop A");
    told.ended("not-by-contract", "SUCCEEDED", "completed");
    let decision = told.decision("not-by-contract", 1);
    assert_eq!(decision["chosen"], "Plain");
    let hop = items(&decision, "candidates").iter().find(|one| one["agentName"] == "Hop A").expect("it is told of");
    assert_eq!(hop["excluded"], "the task does not allow it");
    told.ended("by-part", "FAILED", "no_suitable_agent");
    assert!(agents.of("by-part").is_empty());
}

#[test]
fn a_bad_definition_is_never_chosen_and_is_shown_with_its_fault() {
    let Office { scratch, .. } = office();
    let mut broken = definition("Broken", "breaks the rules");
    broken["input"]["contract"] = json!("{\"type\": 7}");
    let sender = Sender::new(scratch.stack, Partitioner::Default);
    let mislaid = definition("Mislaid", "lies under another key");
    sender.send_all([
        Send::to(&scratch.topic("agents")).key("broken").json(&broken),
        Send::to(&scratch.topic("agents")).key("elsewhere").json(&mislaid),
        Send::to(&scratch.topic("agents")).key("garbled").bytes(b"\xff\xfe"),
    ]);
    let faulty = "baton_agents_faulty";
    until("the worker has read them", SOON, || match office().worker.metric(faulty) {
        seen if seen >= 3.0 => Ok(()),
        seen => Err(seen.to_string()),
    });
    let (task, _) = due(for_agents("for-broken", &["Broken", "Mislaid", "garbled"]), Duration::from_secs(3));
    submit(scratch, &[task]);
    let mut told = Told::of(scratch);
    let none = told.decision("for-broken", 1);
    assert_eq!(none["choice"], "NONE");
    told.ended("for-broken", "FAILED", "no_suitable_agent");
    let listed = scratch.baton(&["agents", "list", "--format", "json"]).ok().json();
    let fault = |key: &str| {
        let row = listed.as_array().into_iter().flatten().find(|row| row["topicName"] == key);
        row.unwrap_or_else(|| panic!("{key} is not in {listed:#}"))["fault"].as_str().unwrap_or_default().to_owned()
    };
    assert!(fault("broken").contains("input.contract"), "{}", fault("broken"));
    assert!(fault("elsewhere").contains("mislaid"), "it says which key: {}", fault("elsewhere"));
    assert!(!fault("garbled").is_empty());
    assert_eq!(fault("plain"), "");
    let doctor = scratch.baton(&["doctor"]).code(1);
    assert!(doctor.stdout.contains("agent Broken") && doctor.stdout.contains("input.contract"), "{}", doctor.stdout);
    // `register` would not have let it in.
    let file = scratch.dir().join("broken.json");
    std::fs::write(&file, broken.to_string()).expect("written");
    let refused = scratch.baton(&["agents", "register", &file.to_string_lossy()]).code(2);
    assert!(
        refused.stderr.contains("nothing was registered") && refused.stderr.contains("input.contract"),
        "{}",
        refused.stderr
    );
    // Nor is the rest of the table any worse for it: cleared, the worker says so.
    let clear = ["broken", "elsewhere", "garbled"].map(|key| Send::to(&scratch.topic("agents")).key(key));
    sender.send_all(clear);
    until("they are gone", SOON, || match office().worker.metric(faulty) {
        0.0 => Ok(()),
        seen => Err(seen.to_string()),
    });
}

#[test]
fn an_agent_that_was_unregistered_is_not_chosen_any_more() {
    let Office { scratch, .. } = office();
    scratch.register_all(&[definition("Leaver", "leaves soon")]);
    let _agents = Agents::start(scratch, vec![("Leaver", always(Say::succeeded(json!(1))))]);
    submit(scratch, &[for_agents("stays", &["Leaver"])]);
    let mut told = Told::of(scratch);
    told.ended("stays", "SUCCEEDED", "completed");
    scratch.baton(&["agents", "unregister", "leaver"]).ok();
    let log = || office().worker.log();
    until("the worker has read it", SOON, || {
        if log().contains("agent unregistered") { Ok(()) } else { Err(String::new()) }
    });
    let (task, _) = due(for_agents("left", &["Leaver"]), Duration::from_secs(3));
    submit(scratch, &[task]);
    told.ended("left", "FAILED", "no_suitable_agent");
    let listed = scratch.baton(&["agents", "list"]).ok();
    assert!(!listed.stdout.contains("Leaver"), "{}", listed.stdout);
    assert_eq!(scratch.baton(&["agents", "unregister", "Nobody"]).code(2).stdout, "");
}

#[test]
fn a_tasks_deadline_ends_it_expired() {
    let Office { scratch, agents, .. } = office();
    let (task, due_at) = due(for_agents("expires", &["Held One"]), Duration::from_secs(3));
    let mut past = for_agents("past", &["Held One"]);
    past["deadline"] = json!("2020-01-01T00:00:00Z");
    submit(scratch, &[task, past]);
    let mut told = Told::of(scratch);
    told.ended("past", "EXPIRED", "deadline");
    assert_eq!(told.kinds("past"), ["TASK_ACCEPTED", "TASK_ENDED"]);
    let ended = told.ended("expires", "EXPIRED", "deadline");
    assert!(millis(&ended, "completedAt") >= due_at);
    assert_eq!((agents.of("expires").len(), agents.of("past").len()), (1, 0));
}

#[test]
fn an_assignment_that_is_not_taken_or_not_done_in_time_ends_its_task() {
    let scratch = Scratch::new("timeouts");
    let mut worker_ended = vec![];
    scratch.apply().register_all(&[
        definition("Idle", "never accepts"),
        definition("Lazy", "accepts and sleeps"),
        definition("Slow", "takes its time and says so"),
        between("Hop A", "a", "b"),
        between("Hop B", "b", "c"),
        between("Hop C", "c", "d"),
    ]);
    let short =
        "[workflow]\naccept_timeout = \"2s\"\ninactivity_timeout = \"3s\"\nmax_hops = 2\ndefault_deadline = \"12s\"";
    let worker = scratch.worker("w").toml(short).start();
    let slow: Behaviour = Box::new(|_| {
        let mut said: Vec<Say> =
            (1_u32..=5).map(|n| Say::progress(f64::from(n) / 10.0).after(Duration::from_secs(n.into()))).collect();
        said.push(Say::succeeded(json!(["slow and sure"])).after(Duration::from_millis(5_500)));
        said.insert(0, Say::accepted());
        said
    });
    let agents = Agents::start(
        &scratch,
        vec![
            ("Idle", silent()),
            ("Lazy", always(Say::accepted())),
            ("Slow", slow),
            ("Hop A", works(Value::clone)),
            ("Hop B", works(Value::clone)),
            ("Hop C", works(Value::clone)),
        ],
    );
    eligible(&worker, 6);
    let started = in_future(Duration::ZERO);
    let row = json!({ "taskId": "row", "objective": "go on", "inputContract": "a", "input": 7 });
    submit(
        &scratch,
        &[
            for_agents("idle", &["Idle"]),
            for_agents("lazy", &["Lazy"]),
            for_agents("slow", &["Slow"]),
            row,
            for_agents("nobody", &["Nobody"]),
        ],
    );
    let mut told = Told::of(&scratch);
    for (task, wait, after) in [("idle", "not_accepted", 2_000), ("lazy", "silent", 3_000)] {
        let ended = told.ended(task, "FAILED", "assignment_timeout");
        assert!(millis(&ended, "completedAt") >= started + after, "{task} ended before its time");
        let facts = told.facts(task);
        let timed_out = facts.iter().find(|fact| fact["type"] == "STEP_TIMED_OUT").expect("it is told");
        assert_eq!((timed_out["reason"].as_str(), timed_out["stepId"].as_str()), (Some(wait), Some("1")));
        worker_ended.push((task, facts));
    }
    // Its agent says more than 3 s after it began that it is at work: that is no silence.
    assert_eq!(told.ended("slow", "SUCCEEDED", "completed")["result"], r#"["slow and sure"]"#);
    let spent = told.ended("row", "FAILED", "budget_hops");
    assert_eq!((spent["result"].as_str(), spent["hops"].as_i64()), (Some("7"), Some(2)));
    // A word after the time has passed is late and changes nothing.
    let stale = "baton_inputs_total{topic=\"agent-status\",outcome=\"stale\"}";
    let before = worker.metric(stale);
    let late = ["idle", "lazy"].map(|task| saying(&assigned(&agents, task, "1", 1), "SUCCEEDED"));
    report(&scratch, &late);
    until(
        "they are counted",
        SOON,
        || if worker.metric(stale) >= before + 2.0 { Ok(()) } else { Err("not yet".into()) },
    );
    for (task, facts) in worker_ended {
        assert_eq!((told.facts(task), told.completions(task).len()), (facts, 1));
    }
    let waited = told.ended("nobody", "FAILED", "no_suitable_agent");
    assert!(millis(&waited, "completedAt") >= started + 12_000, "workflow.default_deadline");
}

#[test]
fn a_worker_that_was_stopped_goes_on_where_it_was_and_keeps_every_deadline() {
    let scratch = Scratch::new("restart");
    scratch.apply().register_all(&[
        definition("Held", "waits for the test"),
        definition("Lazy", "accepts and sleeps"),
        between("Hop A", "a", "b"),
        between("Hop B", "b", "c"),
    ]);
    let long = "[workflow]\naccept_timeout = \"60s\"\nassignment_timeout = \"12s\"";
    let mut worker = scratch.worker("w").toml(long).start();
    let agents = Agents::start(
        &scratch,
        vec![
            ("Held", silent()),
            ("Lazy", always(Say::accepted())),
            ("Hop A", works(|n| json!({ "a": n }))),
            ("Hop B", silent()),
        ],
    );
    eligible(&worker, 4);
    let (expires, due_at) = due(for_agents("expires", &["Held"]), Duration::from_secs(12));
    let (nobody, _) = due(for_agents("nobody", &["Newcomer"]), Duration::from_secs(120));
    let row = json!({ "taskId": "row", "objective": "go on", "inputContract": "a", "input": 7 });
    let done = for_agents("done", &["Held"]);
    submit(&scratch, &[expires, for_agents("lazy", &["Lazy"]), row, nobody, done.clone()]);
    let mut told = Told::of(&scratch);
    report(&scratch, &[saying(&assigned(&agents, "done", "1", 1), "SUCCEEDED")]);
    told.ended("done", "SUCCEEDED", "completed");
    told.decision("nobody", 1);
    let second = assigned(&agents, "row", "2", 1);
    let is_accepted = |told: &mut Told| told.kinds("lazy").contains(&"STEP_ACCEPTED".to_owned());
    until("it is accepted", SOON, || if is_accepted(&mut told) { Ok(()) } else { Err("not yet".into()) });
    let lazy = told.events("lazy").last().expect("it has facts").value["at"].as_i64().expect("it has a time");

    worker.terminate();
    worker.ends_with(0, Duration::from_secs(20));
    // What comes while nobody works is read by whoever is next.
    let mut said = saying(&second, "SUCCEEDED");
    said["output"] = json!(["after the break"]);
    report(&scratch, &[said]);
    let worker = scratch.worker("w").toml(long).start();
    let back = in_future(Duration::ZERO);

    assert_eq!(told.ended("row", "SUCCEEDED", "completed")["result"], r#"["after the break"]"#);
    let counted = "baton_inputs_total{topic=\"tasks\",outcome=\"duplicate\"}";
    submit(&scratch, &[done]);
    until(
        "its receipt was restored",
        SOON,
        || if worker.metric(counted) == 1.0 { Ok(()) } else { Err("not yet".into()) },
    );
    let slack = 4_000;
    for (task, outcome, reason, due) in
        [("expires", "EXPIRED", "deadline", due_at), ("lazy", "FAILED", "assignment_timeout", lazy + 12_000)]
    {
        let at = millis(&told.ended(task, outcome, reason), "completedAt");
        assert!(at >= due && at <= due.max(back) + slack, "{task}: due {due}, back {back}, ended {at}");
    }
    scratch.register_all(&[definition("Newcomer", "comes late")]);
    let newcomer = Agents::start(&scratch, vec![("Newcomer", always(Say::succeeded(json!(["here"]))))]);
    told.ended("nobody", "SUCCEEDED", "completed");
    drop(newcomer);
    for task in ["expires", "lazy", "row", "done", "nobody"] {
        assert_eq!(told.completions(task).len(), 1, "{task}");
        told.facts(task);
    }
    let given: Vec<_> = agents.stop().iter().map(|record| record.text("assignmentId").to_owned()).collect();
    let mut once = given.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), given.len(), "no assignment was made twice: {given:?}");
}
