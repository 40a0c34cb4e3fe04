//! A plan that an LLM writes, from the task to its completion.

use super::super::support::Scratch;
use super::super::support::agents::{Agents, definition, payload, works};
use super::super::support::llm::{Llm, Reply};
use super::*;

/// A plan as a model writes it.
fn written(steps: &Value) -> Reply {
    Reply::Content(json!({ "reason": "as the test says", "steps": steps }).to_string())
}

#[test]
fn a_plan_with_faults_is_written_once_more_with_all_of_them_told_and_then_followed() {
    let step = |id: &str, after: &[&str], agent: &str, capability: &str| {
        let objective = format!("do {id}");
        json!({ "stepId": id, "objective": objective, "dependsOn": after, "agentName": agent, "capability": capability })
    };
    let faulty = json!([
        step("find", &["write"], "Finder", ""),
        step("check", &[], "NONE", "flying"),
        step("write", &["find", "check"], "Writer", ""),
    ]);
    let sound = json!([
        step("find", &[], "Finder", ""),
        step("check", &[], "NONE", "checking"),
        step("write", &["find", "check"], "Writer", ""),
    ]);
    let llm = Llm::replies([written(&faulty), written(&sound)]);
    let scratch = Scratch::new("planning");
    let mut checker = definition("Checker", "checks facts");
    checker["capabilities"] = json!(["checking"]);
    scratch.apply().register_all(&[definition("Finder", "finds"), checker, definition("Writer", "writes")]);
    let worker = scratch.worker("w").toml(&llm.toml()).start();
    let say = |name: &'static str| (name, works(move |input| json!({ name: input })));
    let agents = Agents::start(&scratch, ["Finder", "Checker", "Writer"].map(say).into());
    eligible(&worker, 3);

    submit(&scratch, &[json!({ "taskId": "letter", "objective": "write a letter", "mode": "PLAN", "input": 7 })]);
    let mut told = Told::of(&scratch);
    let ended = told.ended("letter", "SUCCEEDED", "completed");
    let result = json!({ "Writer": { "find": { "Finder": 7 }, "check": { "Checker": 7 } } });
    assert_eq!(payload(&ended["result"]), result);
    assert_eq!(texts(items(&ended, "steps"), "agentName"), ["Finder", "Checker", "Writer"]);
    assert_eq!(ended["usage"]["inputTokens"], 200, "what both calls used counts");

    let facts = told.facts("letter");
    let plan: Vec<&Value> =
        facts.iter().filter(|fact| fact["type"].as_str().is_some_and(|it| it.starts_with("PLAN"))).collect();
    assert_eq!(texts(plan.iter().copied(), "type"), ["PLAN_ASKED", "PLAN_REJECTED", "PLAN_ASKED", "PLAN_ACCEPTED"]);
    assert_eq!(plan[3]["reason"], "written");
    let rejected = payload(&plan[1]["detail"]);
    let faults = [
        "steps wait for each other in a circle: among find, write",
        "no registered agent has the capability \"flying\"",
    ];
    for (number, fault) in faults.iter().enumerate() {
        assert!(rejected["faults"][number].as_str().is_some_and(|it| it.contains(fault)), "{fault}: {rejected:#}");
        assert!(llm.asked()[1].prompt().contains(fault), "{fault}: {}", llm.asked()[1].prompt());
    }
    assert_eq!((rejected["faults"].as_array().map(Vec::len), llm.asked().len()), (Some(2), 2));

    let given = agents.of("letter");
    assert_eq!(given[2].text("stepId"), "write", "after those it depends on");
    assert_eq!((given.len(), told.decision("letter", 3)["by"].as_str()), (3, Some("PINNED")));
}
