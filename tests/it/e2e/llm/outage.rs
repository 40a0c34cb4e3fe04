//! The LLM killed under load, then hanging under load: what decisions come to, and how long they take.

use super::super::super::support::heavy;
use super::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const BUDGET: i64 = 3_000;
/// Under way when the LLM fails.
const LOAD: usize = 250;

/// The tasks `NAME-0`, `NAME-1`, …
fn load(name: &str, count: usize) -> Vec<Value> {
    (0..count).map(|number| task(&format!("{name}-{number}"))).collect()
}

/// What was measured of one decision.
#[derive(Clone, Copy)]
struct Took {
    /// Milliseconds from the fact AGENT_ASKED to the decision.
    millis: i64,
    /// Baton's own part in it, in microseconds.
    overhead: i64,
}

/// The value that 99 of 100 do not exceed.
fn p99(mut values: Vec<i64>) -> i64 {
    values.sort_unstable();
    values[(values.len() * 99).div_ceil(100) - 1]
}

/// All tasks of that load as the topics tell them once each has ended: none is lost or doubled, each has two decisions, who
/// says so is the LLM or, with a reason in `reasons`, the local selector. Returns what is measured, by whom it was decided.
#[track_caller]
fn account(told: &mut Told, name: &str, count: usize, reasons: &[&str]) -> BTreeMap<&'static str, Vec<Took>> {
    let of_load = |record: &Record| record.text("taskId").starts_with(&format!("{name}-"));
    let ended = |records: &[Record]| records.iter().filter(|record| of_load(record)).count() >= count;
    told.completions.until(&format!("{count} tasks of {name} end"), Duration::from_secs(120), ended);
    let mut completed: BTreeMap<String, u32> = BTreeMap::new();
    for record in told.completions.settle().iter().filter(|record| of_load(record)) {
        assert_eq!(record.text("outcome"), "SUCCEEDED", "{:#}", record.value);
        *completed.entry(record.text("taskId").to_owned()).or_default() += 1;
    }
    assert!(completed.len() == count && completed.values().all(|times| *times == 1), "{name}: {completed:?}");

    let mut asked: BTreeMap<String, i64> = BTreeMap::new();
    let mut next: BTreeMap<String, u64> = BTreeMap::new();
    for record in told.events.settle().iter().filter(|record| of_load(record)) {
        let facts = items(&record.value, "facts");
        let first = next.insert(record.text("taskId").to_owned(), 0).unwrap_or(1);
        assert_eq!(record.value["firstSequence"], first, "no fact is missing: {:#}", record.value);
        next.insert(record.text("taskId").to_owned(), first + facts.len() as u64);
        for fact in facts.iter().filter(|fact| fact["type"] == "AGENT_ASKED") {
            let question = fact["decisionId"].as_str().expect("a question has an id").to_owned();
            asked.insert(question, record.value["at"].as_i64().expect("a fact has a time"));
        }
    }
    let mut took: BTreeMap<&'static str, Vec<Took>> = BTreeMap::new();
    let mut decided = 0;
    for Record { value: decision, .. } in told.decisions.settle().iter().filter(|record| of_load(record)) {
        decided += 1;
        let by = match decision["by"].as_str() {
            Some("LLM") => {
                assert_eq!(decision["degraded"], false, "{decision:#}");
                "LLM"
            }
            // After the first hop without contracts: DONE.
            Some("LOCAL" | "CONTRACT" | "CLEAR_WINNER") => {
                let code = decision["degradedReason"].as_str().unwrap_or_default();
                assert!(decision["degraded"] == true && reasons.contains(&code), "{decision:#}");
                assert!(decision["reason"].as_str().is_some_and(|why| why.contains(code)), "{decision:#}");
                "without"
            }
            _ => panic!("{decision:#}"),
        };
        let from = asked.get(decision["decisionId"].as_str().unwrap_or_default()).expect("an LLM was asked");
        let at = decision["decidedAt"].as_i64().expect("a decision has a time");
        let overhead = decision["overheadMicros"].as_i64().expect("it says what it cost");
        took.entry(by).or_default().push(Took { millis: at - from, overhead });
    }
    assert_eq!(
        (decided, asked.len()),
        (2 * count, 2 * count),
        "two questions for each task of {name}, each decided once"
    );
    took
}

/// Prints and checks what decisions took, by whom they were made.
#[track_caller]
fn is_within_budget(name: &str, took: &BTreeMap<&'static str, Vec<Took>>) {
    let all = || took.values().flatten();
    let millis = p99(all().map(|took| took.millis).collect());
    let overhead = p99(all().map(|took| took.overhead).collect());
    let most = all().map(|took| took.millis).max().unwrap_or(0);
    let counts: Vec<String> = took.iter().map(|(by, took)| format!("{} {by}", took.len())).collect();
    eprintln!("{name}: {}; p99 {millis} ms, most {most} ms, Baton's own part p99 {overhead} µs", counts.join(", "));
    assert!(millis <= BUDGET, "{name}: 1 of 100 decisions took over {millis} ms of {BUDGET}");
    assert!(overhead <= 1_000 * BUDGET, "{name}: {overhead} µs");
}

/// One task after the other until the LLM decides again; then all of a load is its.
#[track_caller]
fn is_used_again(scratch: &Scratch, told: &mut Told, name: &str) {
    let mut tries = 0;
    until("the LLM is asked again", Duration::from_secs(60), || {
        tries += 1;
        let id = format!("{name}-try{tries}");
        submit(scratch, &[task(&id)]);
        told.ended(&id, "SUCCEEDED", "completed");
        let decision = told.decision(&id, 1);
        if decision["by"] == "LLM" { Ok(()) } else { Err(format!("{decision:#}")) }
    });
    let again = format!("again{name}");
    submit(scratch, &load(&again, 30));
    let took = account(told, &again, 30, &[]);
    assert_eq!(took["LLM"].len(), 60, "each decision is the LLM's");
}

#[test]
fn an_llm_that_dies_or_hangs_under_load_stops_no_task_and_is_used_again_when_it_is_back() {
    let _turn = heavy();
    let scratch = Scratch::new("llm-outage");
    scratch.apply().register_all(&twins());
    let _agents = pool(&scratch);
    let hangs = Arc::new(AtomicBool::new(false));
    let seen = hangs.clone();
    let mut llm = scripted(move |_, _, asked| match (seen.load(Ordering::Relaxed), is_later_hop(asked)) {
        (true, _) => Some(Reply::Hang),
        (false, true) => None,
        (false, false) => Some(Reply::agent("Agent AB")),
    });
    let toml = format!("[routing]\nllm = \"always\"\n[llm]\nbudget = \"{BUDGET}ms\"\n{}", llm.toml());
    let worker = scratch.worker("w").toml(&toml).start();
    eligible(&worker, 2);
    let mut told = Told::of(&scratch);
    let under_load = |llm: &mut Llm, name: &str, fail: &dyn Fn(&mut Llm)| {
        let before = llm.asked().len();
        submit(&scratch, &load(name, LOAD));
        until("the LLM is being asked", SOON, || match llm.asked().len() - before {
            few if few < LOAD / 5 => Err(format!("{few} questions")),
            _ => Ok(()),
        });
        let under_way = worker.metric("baton_live_workflows");
        fail(llm);
        eprintln!("{name}: {under_way} tasks were under way");
    };

    under_load(&mut llm, "killed", &Llm::kill);
    let took = account(&mut told, "killed", LOAD, &["unavailable", "timeout"]);
    assert!(took["LLM"].len() >= LOAD / 10 && took["without"].len() >= LOAD / 5, "it was killed amid the load");
    is_within_budget("killed", &took);
    llm.restore();
    is_used_again(&scratch, &mut told, "killed");

    under_load(&mut llm, "hangs", &|_| hangs.store(true, Ordering::Relaxed));
    let took = account(&mut told, "hangs", LOAD, &["unavailable", "timeout"]);
    assert!(took["without"].len() >= LOAD / 5, "it hung amid the load");
    is_within_budget("hangs", &took);
    hangs.store(false, Ordering::Relaxed);
    is_used_again(&scratch, &mut told, "hangs");
}
