//! Choosing with an LLM that says what the test wants: whatever it says, or does not say, the decision tells what was done
//! and why, and no task is lost.

mod cache;
mod outage;

use super::super::support::agents::{Agents, definition, works};
use super::super::support::llm::{Asked, Llm, Reply};
use super::super::support::{Scratch, Worker, until};
use super::*;
use std::collections::HashMap;
use std::sync::OnceLock;

/// The two that words do not tell apart.
const BOTH: [&str; 2] = ["Agent A", "Agent AB"];

/// The names a question offers.
fn offered(asked: &Asked) -> Vec<String> {
    let schema = match asked.path.ends_with("/messages") {
        true => &asked.body["output_config"]["format"]["schema"],
        false => &asked.body["response_format"]["json_schema"]["schema"],
    };
    let names = schema["properties"]["agent"]["enum"].as_array().into_iter().flatten();
    names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn is_later_hop(asked: &Asked) -> bool {
    offered(asked).iter().any(|name| name == "DONE")
}

/// The word after `case-` in the objective: which script a question goes by.
fn case(asked: &Asked) -> String {
    let prompt = asked.prompt();
    let rest = prompt.split("case-").nth(1).unwrap_or_default();
    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
}

/// Answers by case and by how often its first hop was asked about before; later hops are DONE where `script` says nothing.
fn scripted(mut script: impl FnMut(&str, u32, &Asked) -> Option<Reply> + std::marker::Send + 'static) -> Llm {
    let mut times: HashMap<String, u32> = HashMap::new();
    Llm::scripted(move |asked| {
        let case = case(asked);
        let time = times.entry(case.clone()).or_default();
        if !is_later_hop(asked) {
            *time += 1;
        }
        script(&case, *time, asked).unwrap_or_else(|| Reply::agent("DONE"))
    })
}

/// How often the first hop of this case was asked about, and how often all of it.
fn times(llm: &Llm, name: &str) -> (usize, usize) {
    let of_case: Vec<Asked> = llm.asked().into_iter().filter(|asked| case(asked) == name).collect();
    (of_case.iter().filter(|asked| !is_later_hop(asked)).count(), of_case.len())
}

fn task(case: &str) -> Value {
    json!({ "taskId": case, "objective": format!("look after case-{case}"), "agents": BOTH })
}

fn twins() -> [Value; 2] {
    BOTH.map(|name| definition(name, "looks after what comes"))
}

fn pool(scratch: &Scratch) -> Agents {
    Agents::start(scratch, BOTH.map(|name| (name, works(move |input| json!({ "by": name, "of": input })))).into())
}

/// The decision as it must be: by whom, why degraded, and what each call came to.
#[track_caller]
fn is_decided(decision: &Value, by: &str, degraded: Option<&str>, verdicts: &[&str]) {
    assert_eq!((decision["by"].as_str(), decision["degradedReason"].as_str()), (Some(by), degraded), "{decision:#}");
    assert_eq!(decision["degraded"], degraded.is_some(), "{decision:#}");
    assert_eq!(texts(items(decision, "attempts"), "verdict"), verdicts, "{decision:#}");
    assert!(decision["reason"].as_str().is_some_and(|why| !why.is_empty()), "{decision:#}");
    assert_eq!(items(decision, "attempts").is_empty(), decision["promptVersion"].is_null(), "{decision:#}");
    if let Some(code) = degraded {
        let first = &items(decision, "candidates")[0];
        assert_eq!(decision["chosen"], first["agentName"], "the best-scored one: {decision:#}");
        let scores: Vec<f64> = items(decision, "candidates").iter().filter_map(|one| one["score"].as_f64()).collect();
        assert!(scores.iter().all(|score| *score <= scores[0]), "{decision:#}");
        let why = decision["reason"].as_str().unwrap_or_default();
        assert!(why.contains(code) || why.contains("confidence"), "{why}");
    }
}

const PATIENT: &str = "[workflow]\nmax_repeats = 2\n[llm]\nbudget = \"10s\"\n";

struct Office {
    scratch: Scratch,
    llm: Llm,
    worker: Worker,
    _agents: Agents,
}

/// One worker whose LLM always answers, if not always well.
fn office() -> &'static Office {
    static OFFICE: OnceLock<Office> = OnceLock::new();
    OFFICE.get_or_init(|| {
        let llm = scripted(|case, time, asked| {
            let later = is_later_hop(asked);
            Some(match (case, time) {
                ("two-hops", _) if later && !asked.prompt().contains("2: Agent A") => Reply::agent("Agent A"),
                ("circle", _) => Reply::agent("Agent AB"),
                _ if later => return None,
                ("folded", _) => Reply::agent("  agent ab "),
                ("near", 1) => Reply::agent("Agnet AB"),
                ("unknown", _) => Reply::agent("Agent Z"),
                ("part", _) => Reply::agent("Agent"),
                ("prose", _) => Reply::prose("Agent AB"),
                ("cut", 1) | ("cut-twice", _) => Reply::truncated("Agent AB"),
                ("refusal", _) => Reply::Refusal("I will not".into()),
                ("unsure", _) => Reply::sure("Agent AB", 0.3),
                ("empty", 1) => Reply::Content(String::new()),
                ("none", _) if offered(asked).iter().any(|name| name == "Agent New") => Reply::agent("Agent New"),
                ("none", _) => Reply::sure("NONE", 0.2),
                _ => Reply::agent("Agent AB"),
            })
        });
        let scratch = Scratch::new("llm");
        let [one, other] = twins();
        let peeler = definition("Peeler", "peels bananas and other fruit");
        scratch.apply().register_all(&[one, other, peeler, between("Only One", "single", "end")]);
        let worker = scratch.worker("w").toml(&format!("{PATIENT}{}", llm.toml())).start();
        let work = |name| (name, works(Value::clone));
        let agents = Agents::start(&scratch, [BOTH[0], BOTH[1], "Peeler", "Only One"].map(work).into());
        eligible(&worker, 4);
        Office { scratch, llm, worker, _agents: agents }
    })
}

/// A case, by whom it is settled, whom it must choose, why it is degraded, and what each call comes to.
type Expected = (&'static str, &'static str, Option<&'static str>, Option<&'static str>, &'static [&'static str]);

#[test]
fn whatever_the_llm_answers_the_decision_tells_what_was_done_and_why() {
    let Office { scratch, llm, .. } = office();
    let agent = Some("Agent AB");
    let cases: [Expected; 11] = [
        ("well", "LLM", agent, None, &["valid"]),
        ("folded", "LLM", agent, None, &["valid"]),
        ("near", "LLM", agent, None, &["unknown_name", "valid"]),
        ("unknown", "LOCAL", None, Some("invalid_answer"), &["unknown_name", "unknown_name"]),
        ("part", "LOCAL", None, Some("invalid_answer"), &["unknown_name", "unknown_name"]),
        ("prose", "LOCAL", None, Some("invalid_answer"), &["not_json", "not_json"]),
        ("cut", "LLM", agent, None, &["truncated", "valid"]),
        ("cut-twice", "LOCAL", None, Some("invalid_answer"), &["truncated", "truncated"]),
        ("empty", "LLM", agent, None, &["empty", "valid"]),
        ("refusal", "LOCAL", None, Some("refused"), &["refusal"]),
        ("unsure", "LOCAL", None, Some("low_confidence"), &["valid"]),
    ];
    submit(scratch, &cases.map(|(case, ..)| task(case)));
    let mut told = Told::of(scratch);
    for (case, by, chosen, degraded, verdicts) in cases {
        let ended = told.ended(case, "SUCCEEDED", "completed");
        let decision = told.decision(case, 1);
        is_decided(&decision, by, degraded, verdicts);
        assert_eq!(times(llm, case).0, verdicts.len(), "{case}: each call is told of");
        assert!(chosen.is_none_or(|chosen| decision["chosen"] == chosen), "{decision:#}");
        assert_eq!(items(&ended, "steps")[0]["agentName"], decision["chosen"]);
        for attempt in items(&decision, "attempts") {
            assert_eq!((attempt["model"].as_str(), attempt["inputTokens"].as_i64()), (Some("scripted"), Some(100)));
        }
        // The next question is another one: DONE by the LLM, with the last output.
        let done = told.decision(case, 2);
        assert_eq!(
            (done["choice"].as_str(), &done["chosen"], &done["stepId"]),
            (Some("DONE"), &Value::Null, &Value::Null)
        );
        is_decided(&done, "LLM", None, &["valid"]);
        let kinds = told.kinds(case);
        assert_eq!(kinds.iter().filter(|kind| *kind == "AGENT_ASKED").count(), 2, "{kinds:?}");
        assert_eq!(told.decisions(case).len(), 2, "no question is decided twice");
    }
    assert_eq!(told.decision("well", 1)["confidence"], 0.9);
    assert_eq!(told.decision("well", 1)["reason"], "as the test says");
    // A re-ask names what was wrong and the valid answers.
    let again =
        llm.asked().into_iter().filter(|asked| case(asked) == "part").nth(1).expect("it was asked again").prompt();
    assert!(again.contains("\"Agent\" is not one of the valid answers"), "{again}");
}

#[test]
fn the_question_is_a_closed_set_under_a_strict_schema() {
    let Office { scratch, llm, .. } = office();
    submit(scratch, &[task("wire")]);
    Told::of(scratch).ended("wire", "SUCCEEDED", "completed");
    let asked: Vec<Asked> = llm.asked().into_iter().filter(|asked| case(asked) == "wire").collect();
    assert_eq!(asked[0].path, "/v1/chat/completions");
    let format = &asked[0].body["response_format"];
    assert_eq!((format["type"].as_str(), format["json_schema"]["strict"].as_bool()), (Some("json_schema"), Some(true)));
    assert_eq!(offered(&asked[0]), ["Agent A", "Agent AB", "NONE"]);
    assert_eq!(offered(&asked[1]), ["Agent A", "Agent AB", "NONE", "DONE"]);
    let prompt = asked[0].prompt();
    assert!(prompt.contains("looks after what comes") && prompt.contains("look after case-wire"), "{prompt}");
    assert!(asked[1].prompt().contains("LAST OUTPUT, from Agent AB"), "{}", asked[1].prompt());
}

#[test]
fn the_llm_leads_a_route_from_hop_to_hop_until_done() {
    let Office { scratch, .. } = office();
    let mut task = task("two-hops");
    task["input"] = json!(7);
    submit(scratch, &[task]);
    let mut told = Told::of(scratch);
    let ended = told.ended("two-hops", "SUCCEEDED", "completed");
    assert_eq!(texts(items(&ended, "steps"), "agentName"), ["Agent AB", "Agent A"]);
    assert_eq!((ended["result"].as_str(), ended["hops"].as_i64()), (Some("7"), Some(2)));
}

#[test]
fn a_route_that_gives_an_agent_the_same_again_and_again_ends() {
    let Office { scratch, .. } = office();
    let mut task = task("circle");
    task["input"] = json!(7);
    submit(scratch, &[task]);
    let mut told = Told::of(scratch);
    let ended = told.ended("circle", "FAILED", "loop");
    let why = "Agent AB had the same input 2 times already (workflow.max_repeats)";
    assert_eq!((ended["message"].as_str(), ended["result"].as_str()), (Some(why), Some("7")));
    assert_eq!(texts(items(&ended, "steps"), "agentName"), ["Agent AB", "Agent AB"]);
}

#[test]
fn none_waits_and_is_asked_again_only_when_others_can_be_chosen() {
    let Office { scratch, llm, .. } = office();
    let mut task = task("none");
    task["agents"] = json!(["Agent A", "Agent AB", "Agent New"]);
    submit(scratch, &[task]);
    let mut told = Told::of(scratch);
    let none = told.decision("none", 1);
    is_decided(&none, "LLM", None, &["valid"]);
    assert_eq!((none["choice"].as_str(), none["stepId"].as_str()), (Some("NONE"), Some("1")));
    // Somebody else, whom the task does not allow: no reason to ask again.
    scratch.register_all(&[definition("Bystander", "looks on")]);
    let seen = |name: &str| office().worker.log().contains(name);
    until("the worker knows", SOON, || if seen("Bystander") { Ok(()) } else { Err("not yet".into()) });
    scratch.register_all(&[definition("Agent New", "looks after what comes")]);
    let _agents = Agents::start(scratch, vec![("Agent New", works(Value::clone))]);
    told.ended("none", "SUCCEEDED", "completed");
    let again = told.decision("none", 2);
    assert_eq!((again["chosen"].as_str(), again["by"].as_str()), (Some("Agent New"), Some("LLM")));
    assert_eq!(times(llm, "none").0, 2, "asked once for each set of agents");
}

#[test]
fn a_clear_winner_and_a_single_match_by_contract_make_no_call() {
    let Office { scratch, llm, .. } = office();
    let clear = json!({ "taskId": "clear", "objective": "peels bananas and other fruit, as in case-clear", "agents": ["Peeler", "Agent A"] });
    let single = json!({ "taskId": "single", "objective": "look after case-single", "inputContract": "single", "input": 1, "agents": ["Only One", "Agent A"] });
    let pinned = json!({ "taskId": "pinned", "objective": "look after case-pinned", "inputContract": "single", "input": 1, "agents": ["Only One"] });
    submit(scratch, &[clear, single, pinned]);
    let mut told = Told::of(scratch);
    for (task, by) in [("clear", "CLEAR_WINNER"), ("single", "CONTRACT"), ("pinned", "CONTRACT")] {
        told.ended(task, "SUCCEEDED", "completed");
        is_decided(&told.decision(task, 1), by, None, &[]);
        assert_eq!(times(llm, task).0, 0, "{task}");
        assert!(!told.kinds(task)[..2].contains(&"AGENT_ASKED".to_owned()), "{task}");
    }
    // Nobody takes what it gave: that needs no LLM either.
    assert_eq!(times(llm, "pinned"), (0, 0));
    assert_eq!(told.decision("pinned", 2)["choice"], "DONE");
}

/// Millis from the question of a task's first hop to its decision.
#[track_caller]
fn thought(told: &mut Told, task: &str) -> i64 {
    let decided = told.decision(task, 1)["decidedAt"].as_i64().expect("a decision has a time");
    let asked = told.events(task).first().and_then(|record| record.value["at"].as_i64()).expect("it was asked");
    decided - asked
}

#[test]
fn a_failing_llm_delays_a_task_by_no_more_than_the_budget() {
    let scratch = Scratch::new("llm-fails");
    scratch.apply().register_all(&twins());
    let agents = pool(&scratch);
    let mut told = Told::of(&scratch);
    let budget = 3_000;
    let slack = 2_500;
    let mut worker: Option<Worker> = None;
    let mut restart = |provider: &str, env: &[(&str, &str)]| {
        if let Some(mut worker) = worker.take() {
            worker.terminate();
            worker.ends_with(0, Duration::from_secs(20));
        }
        let mut next = scratch.worker("w").toml(provider);
        for (name, value) in env {
            next = next.env(name, value);
        }
        let next = next.start();
        eligible(&next, 2);
        worker = Some(next);
    };
    let ended = |told: &mut Told, task: &str| told.ended(task, "SUCCEEDED", "completed");

    // One that comes round, then one that never answers, then one that never works.
    let llm = scripted(|case, time, asked| {
        Some(match (case, time) {
            ("hang", _) => Reply::Hang,
            ("broken", _) | ("still-broken", _) => Reply::Status(500, None),
            _ if is_later_hop(asked) => return None,
            ("busy", 1) => Reply::Status(429, Some(1)),
            ("hiccup", 1) => Reply::Status(500, None),
            _ => Reply::agent("Agent AB"),
        })
    });
    restart(&format!("{}api_key_env = \"SCRIPTED_KEY\"\n", llm.toml()), &[("SCRIPTED_KEY", "s3cret-key")]);
    submit(&scratch, &[task("busy"), task("hiccup")]);
    ended(&mut told, "busy");
    is_decided(&told.decision("busy", 1), "LLM", None, &["http_429", "valid"]);
    assert!(thought(&mut told, "busy") >= 1_000, "Retry-After is kept");
    ended(&mut told, "hiccup");
    is_decided(&told.decision("hiccup", 1), "LLM", None, &["http_500", "valid"]);
    assert_eq!(llm.asked()[0].authorization.as_deref(), Some("Bearer s3cret-key"));
    submit(&scratch, &[task("hang")]);
    ended(&mut told, "hang");
    is_decided(&told.decision("hang", 1), "LOCAL", Some("timeout"), &["timeout"]);
    let took = thought(&mut told, "hang");
    assert!((budget - 400..budget + slack).contains(&took), "decided after {took} ms");
    let done = told.decision("hang", 2);
    assert_eq!((done["choice"].as_str(), done["degradedReason"].as_str()), (Some("DONE"), Some("timeout")));
    assert!(done["reason"].as_str().is_some_and(|why| why.contains("ended_without_llm")), "{done:#}");
    submit(&scratch, &[task("broken")]);
    ended(&mut told, "broken");
    let broken = told.decision("broken", 1);
    let verdicts = texts(items(&broken, "attempts"), "verdict");
    assert!(verdicts.len() >= 2 && verdicts.iter().all(|it| it == "http_500"), "it was tried again: {broken:#}");
    is_decided(&broken, "LOCAL", Some("unavailable"), &verdicts.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(thought(&mut told, "broken") < budget + slack);
    // By now the breaker is open: no more time is lost.
    let before = llm.asked().len();
    submit(&scratch, &[task("still-broken")]);
    ended(&mut told, "still-broken");
    is_decided(&told.decision("still-broken", 1), "LOCAL", Some("unavailable"), &["breaker_open"]);
    assert!(thought(&mut told, "still-broken") < 1_500);
    assert_eq!(llm.asked().len(), before);

    // A fault of configuration is not repeated.
    let llm = scripted(|_, _, _| Some(Reply::Status(401, None)));
    restart(&llm.toml(), &[]);
    submit(&scratch, &[task("denied")]);
    ended(&mut told, "denied");
    is_decided(&told.decision("denied", 1), "LOCAL", Some("misconfigured"), &["http_401"]);
    is_degraded(&told.decision("denied", 2), "misconfigured", &["breaker_open"]);
    assert_eq!(llm.asked().len(), 1);

    // Longer than the budget: no wait at all.
    let llm = scripted(|_, _, _| Some(Reply::Status(429, Some(60))));
    restart(&llm.toml(), &[]);
    submit(&scratch, &[task("limited")]);
    ended(&mut told, "limited");
    is_decided(&told.decision("limited", 1), "LOCAL", Some("rate_limited"), &["http_429"]);
    assert!(thought(&mut told, "limited") < 1_500);
    is_degraded(&told.decision("limited", 2), "rate_limited", &["rate_limited"]);
    assert_eq!(llm.asked().len(), 1);

    // Nobody there from the start.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let url = format!("http://{}/v1", gone.local_addr().expect("it is bound"));
    drop(gone);
    restart(&llm.toml().replace(llm.url(), &url), &[]);
    submit(&scratch, &[task("down")]);
    ended(&mut told, "down");
    let down = told.decision("down", 1);
    let verdicts = texts(items(&down, "attempts"), "verdict");
    assert!(!verdicts.is_empty() && verdicts.iter().all(|it| it == "connect"), "{down:#}");
    is_decided(&down, "LOCAL", Some("unavailable"), &verdicts.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(thought(&mut told, "down") < budget + slack);

    for task in ["busy", "hiccup", "hang", "broken", "still-broken", "denied", "limited", "down"] {
        assert_eq!((told.completions(task).len(), told.decisions(task).len()), (1, 2), "{task}");
        told.facts(task);
    }
    let everything = format!("{:?}", [told.decisions.records(), told.completions.records(), told.events.records()]);
    assert!(!everything.contains("s3cret-key"), "the key is in no record");
    drop(agents);
}

/// A later hop without the LLM.
#[track_caller]
fn is_degraded(decision: &Value, code: &str, verdicts: &[&str]) {
    assert_eq!(
        (decision["choice"].as_str(), decision["degradedReason"].as_str()),
        (Some("DONE"), Some(code)),
        "{decision:#}"
    );
    assert_eq!(texts(items(decision, "attempts"), "verdict"), verdicts, "{decision:#}");
}

#[test]
fn routing_llm_says_whether_to_ask_and_both_protocols_are_spoken() {
    let scratch = Scratch::new("llm-modes");
    let [one, other] = twins();
    scratch.apply().register_all(&[one, other, between("Only One", "single", "end")]);
    let _agents =
        Agents::start(&scratch, [BOTH[0], BOTH[1], "Only One"].map(|name| (name, works(Value::clone))).into());
    let llm = scripted(|_, _, asked| match is_later_hop(asked) {
        true => None,
        false => offered(asked).first().map(|name| Reply::agent(name)),
    });
    let mut told = Told::of(&scratch);
    let run = |toml: &str, tasks: &[Value], told: &mut Told| {
        let mut worker = scratch.worker("w").toml(toml).env("ANTHROPIC", "s3cret").start();
        eligible(&worker, 3);
        submit(&scratch, tasks);
        for task in tasks {
            told.ended(task["taskId"].as_str().unwrap(), "SUCCEEDED", "completed");
        }
        worker.terminate();
        worker.ends_with(0, Duration::from_secs(20));
    };
    let single = |id: &str| json!({ "taskId": id, "objective": format!("look after case-{id}"), "inputContract": "single", "input": 1, "agents": ["Only One"] });
    run(&format!("[routing]\nllm = \"never\"\n{}", llm.toml()), &[task("never")], &mut told);
    is_decided(&told.decision("never", 1), "LOCAL", None, &[]);
    assert_eq!(llm.asked().len(), 0);

    run(&format!("[routing]\nllm = \"always\"\n{}", llm.toml()), &[single("always")], &mut told);
    is_decided(&told.decision("always", 1), "LLM", None, &["valid"]);
    assert_eq!((told.decision("always", 1)["chosen"].as_str(), times(&llm, "always").0), (Some("Only One"), 1));

    let anthropic = format!("{}api_key_env = \"ANTHROPIC\"\n", llm.anthropic_toml());
    run(&anthropic, &[task("anthropic")], &mut told);
    is_decided(&told.decision("anthropic", 1), "LLM", None, &["valid"]);
    let asked = llm.asked().into_iter().find(|asked| case(asked) == "anthropic").expect("it was asked");
    assert_eq!((asked.path.as_str(), asked.api_key.as_deref()), ("/v1/messages", Some("s3cret")));
    assert!(asked.body["max_tokens"].is_u64() && asked.body["system"].is_string(), "{:#}", asked.body);
    assert_eq!(offered(&asked), ["Agent A", "Agent AB", "NONE"]);
    assert_eq!(items(&told.decision("anthropic", 1), "attempts")[0]["outputTokens"], 20);
}

#[test]
fn a_question_that_a_killed_worker_had_asked_is_asked_again_and_decided_once() {
    let scratch = Scratch::new("llm-kill");
    scratch.apply().register_all(&twins());
    let llm = scripted(|_, time, asked| match (is_later_hop(asked), time) {
        (true, _) => None,
        (false, 1) => Some(Reply::Hang),
        (false, _) => Some(Reply::agent("Agent AB")),
    });
    let patient = format!("[llm]\nbudget = \"60s\"\n{}", llm.toml());
    let mut worker = scratch.worker("w").toml(&patient).start();
    let _agents = pool(&scratch);
    eligible(&worker, 2);
    submit(&scratch, &[task("killed")]);
    until("the question is asked", SOON, || if llm.asked().is_empty() { Err("not yet".into()) } else { Ok(()) });
    worker.kill9();
    let _worker = scratch.worker("w").toml(&patient).start();
    let mut told = Told::of(&scratch);
    told.ended("killed", "SUCCEEDED", "completed");
    assert_eq!(times(&llm, "killed").0, 2);
    let decision = told.decision("killed", 1);
    is_decided(&decision, "LLM", None, &["valid"]);
    assert_eq!(decision["chosen"], "Agent AB");
    let questions: Vec<_> = told.decisions("killed").iter().map(|record| record.value["question"].as_i64()).collect();
    assert_eq!(questions, [Some(1), Some(2)]);
    let asked = told.kinds("killed").iter().filter(|kind| *kind == "AGENT_ASKED").count();
    assert_eq!((asked, told.completions("killed").len()), (2, 1));
}
