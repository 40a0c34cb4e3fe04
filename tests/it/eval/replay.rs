//! `baton eval --replay`: what another strategy would have come to, estimated from what this one logged.

use crate::support::agents::{Agents, Behaviour, Say, definition};
use crate::support::{Partitioner, Scratch, Send, Sender, Topic, until};
use serde_json::{Value, json};
use std::time::Duration;

const TASKS: usize = 400;
/// Nothing tells the two apart: each gets about half of the work. Without the role insights that stays so.
const EVENLY: &str = "[routing]\nexploration = 0.5\nepsilon = 1\n[routing.weights]\nlatency = 0\ncost = 0\n";

/// Fails each task whose number can be divided by `every`.
fn fails(every: usize, cost: i64) -> Behaviour {
    Box::new(move |assignment| {
        let number: usize =
            assignment["taskId"].as_str().and_then(|id| id.rsplit('-').next()?.parse().ok()).unwrap_or(0);
        let say = match number % every {
            0 => Say::failed("PERMANENT", "as the test says"),
            _ => Say::succeeded(json!(number)),
        };
        vec![say.with("usage", json!({ "inputTokens": 1, "outputTokens": 1, "costMicros": cost }))]
    })
}

fn agent(name: &str, latency: i64, cost: i64) -> Value {
    let mut definition = definition(name, "adds numbers");
    definition["capabilities"] = json!(["sum"]);
    definition["performance"]["averageLatency"] = json!(latency);
    definition["costMicrosPerTask"] = json!(cost);
    definition
}

fn task(id: &str, agent: Option<&str>) -> Value {
    let step = json!({ "stepId": "s", "objective": "add", "capability": "sum", "agentName": agent });
    json!({ "taskId": id, "objective": "add", "plan": [step] })
}

#[track_caller]
fn number(found: &Value, path: &str) -> f64 {
    found.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path}: {found:#}"))
}

/// The estimate agrees with what is true of all tasks. Its interval is right 95 times in 100; twice as wide, 9,999 times in
/// 10,000.
#[track_caller]
fn agrees(found: &Value, truth: f64) {
    let [estimate, low, high] = ["estimate", "low", "high"].map(|part| number(found, &format!("/success/{part}")));
    eprintln!("success {estimate} ({low} to {high}), in truth {truth}; effective {}", found["effectiveSample"]);
    assert!(low < estimate && estimate < high && high - low < 0.25, "{found:#}");
    assert!((estimate - truth).abs() <= high - low, "{truth} is far from it: {found:#}");
    let [ips, ips_low, ips_high] = ["ips", "ipsLow", "ipsHigh"].map(|part| number(found, &format!("/success/{part}")));
    assert!(ips_low < ips && ips < ips_high && (ips - truth).abs() <= ips_high - ips_low, "{found:#}");
    let covered = number(found, "/covered");
    assert!((0.75..1.25).contains(&covered), "{found:#}");
}

#[test]
fn what_another_strategy_would_come_to_is_estimated_from_the_log_and_agrees_with_the_truth() {
    let scratch = Scratch::new("replay-eval");
    scratch.apply().register_all(&[agent("East", 100, 900), agent("West", 1_000, 100)]);
    let worker = scratch.worker("w").roles("orchestrator").toml(EVENLY).start();
    let _agents = Agents::start(&scratch, vec![("East", fails(10, 900)), ("West", fails(2, 100))]);
    until("both can be chosen", Duration::from_secs(40), || match worker.metric("baton_agents_eligible") {
        2.0 => Ok(()),
        seen => Err(seen.to_string()),
    });
    let mut tasks: Vec<Value> = (0..TASKS).map(|number| task(&format!("t-{number}"), None)).collect();
    tasks.push(task("named-1", Some("West")));
    let topic = scratch.topic("tasks");
    let record = |task: &Value| Send::to(&topic).key(task["taskId"].as_str().expect("it has an id")).json(task);
    Sender::new(scratch.stack, Partitioner::Default).send_all(tasks.iter().map(record));
    Topic::open(scratch.stack, &scratch.topic("completions")).count(tasks.len(), Duration::from_secs(120));

    let replay = |settings: &[&str]| -> Value {
        let mut args = vec!["eval", "--replay", "--since", "1h"];
        settings.iter().for_each(|setting| args.extend(["--set", setting]));
        scratch.baton_with(EVENLY, &args, b"").ok().json()
    };
    // The same strategy: nothing would be otherwise but for chance.
    let same = replay(&[]);
    assert_eq!((same["decisions"].as_u64(), same["replayed"].as_u64()), (Some(401), Some(400)), "{same:#}");
    assert_eq!(same["notReplayed"], json!({ "named": 1 }));
    let off = number(&same, "/success/estimate") - number(&same, "/success/logged");
    assert!(off.abs() < 0.05 && number(&same, "/effectiveSample") > 300.0, "{same:#}");
    for place in [0, 1] {
        let [was, would] = ["chosen", "wouldBeChosen"].map(|part| number(&same, &format!("/agents/{place}/{part}")));
        assert!((0.35..0.65).contains(&was) && (was - would).abs() < 0.1, "{same:#}");
    }

    // Always the better one, which the other strategy knows by its latency.
    let east = replay(&["routing.exploration=0", "routing.weights.latency=1"]);
    assert_eq!(
        east["agents"][0],
        json!({ "agentName": "East", "chosen": same["agents"][0]["chosen"], "wouldBeChosen": 1.0 })
    );
    assert_eq!(east["agreement"], same["agents"][0]["chosen"]);
    assert_eq!(number(&east, "/costMicros/estimate"), 900.0);
    assert!(number(&east, "/latencyMs/estimate") > 0.0 && number(&east, "/effectiveSample") < 260.0, "{east:#}");
    agrees(&east, 0.9);
    // Always the cheaper one.
    let west = replay(&["routing.exploration=0", "routing.weights.cost=1"]);
    assert_eq!(number(&west, "/costMicros/estimate"), 100.0);
    agrees(&west, 0.5);

    let wrong = |args: &[&str], says: &str| {
        let ran = scratch.baton(args).code(2);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    };
    wrong(&["eval", "--replay", "--since", "1m", "--until", "2m"], "nothing lies between");
    wrong(&["eval", "--replay", "tasks.jsonl"], "cannot be used with");
    wrong(&["eval"], "<FILE.jsonl>");
    let none = scratch.baton(&["eval", "--replay", "--until", "1h"]).ok().json();
    assert_eq!((&none["decisions"], &none["success"]["estimate"]), (&json!(0), &Value::Null), "{none:#}");
}
