//! What the topics say, read as any consumer reads them, and whether it can be so if everything happened once.

use super::super::support::{Record, Scratch, read_all};
use std::collections::{BTreeMap, BTreeSet};

/// What was read, with no two of anything.
#[derive(Debug)]
pub(crate) struct Audit {
    /// By task id.
    pub(crate) completions: BTreeMap<String, Record>,
    pub(crate) assignments: usize,
    pub(crate) decisions: usize,
    pub(crate) facts: usize,
    pub(crate) dead_letters: Vec<Record>,
}

/// Reads everything and fails where something happened twice or a number is missing.
#[track_caller]
pub(crate) fn audit(scratch: &Scratch, agents: &[&str]) -> Audit {
    let read = |name: &str| read_all(scratch.stack, &scratch.topic(name));
    let mut faults = Vec::new();

    let mut completions = BTreeMap::new();
    for record in read("completions") {
        let task = record.text("taskId").to_owned();
        if let Some(first) = completions.insert(task.clone(), record) {
            faults.push(format!("{task} completed twice, the first time at {}/{}", first.partition, first.offset));
        }
    }

    let mut assigned = BTreeSet::new();
    for agent in agents {
        for record in read(&format!("assignments.{agent}")) {
            let id = record.text("assignmentId").to_owned();
            if id.is_empty() || !assigned.insert(id.clone()) {
                faults.push(format!("assignment {id:?} of {agent} is there twice"));
            }
        }
    }

    let mut withdrawn = BTreeSet::new();
    for record in read("cancellations") {
        let id = record.text("assignmentId").to_owned();
        if id.is_empty() || !withdrawn.insert(id.clone()) {
            faults.push(format!("assignment {id:?} is withdrawn twice"));
        }
    }

    let mut decided = BTreeSet::new();
    for record in read("routing-decisions") {
        let question = record.value["question"].as_i64().unwrap_or_default();
        if question < 1 || !decided.insert((record.text("taskId").to_owned(), question)) {
            faults.push(format!("question {question} of {} was decided twice", record.text("taskId")));
        }
    }

    // Next number and the last fact, by task.
    let mut histories: BTreeMap<String, (i64, String)> = BTreeMap::new();
    let mut facts = 0;
    // By task and step, the assignment that is with an agent; and those that were closed over their agents' heads.
    let mut open: BTreeMap<(String, String), String> = BTreeMap::new();
    let (mut unsettled, mut settled) = (BTreeSet::new(), BTreeSet::new());
    for record in read("task-events") {
        let task = record.text("taskId").to_owned();
        let (next, last) = histories.entry(task.clone()).or_insert((1, String::new()));
        if record.value["firstSequence"] != *next {
            faults.push(format!("{task}: facts from {}, not from {next}", record.value["firstSequence"]));
        }
        for fact in record.value["facts"].as_array().expect("facts are a list") {
            if last == "TASK_ENDED" {
                faults.push(format!("{task}: {} after its end", fact["type"]));
            }
            (*next, *last) = (*next + 1, fact["type"].as_str().unwrap_or_default().to_owned());
            facts += 1;
            let text = |field: &str| fact[field].as_str().unwrap_or_default().to_owned();
            let step = (task.clone(), text("stepId"));
            match last.as_str() {
                "STEP_ASSIGNED" => drop(open.insert(step, text("assignmentId"))),
                "STEP_SUCCEEDED" | "STEP_FAILED" | "OUTPUT_REJECTED" | "INPUT_REQUESTED" => {
                    settled.extend(open.remove(&step))
                }
                "STEP_TIMED_OUT" => unsettled.extend(open.remove(&step)),
                "TASK_ENDED" => unsettled.extend(open.extract_if(.., |(of, _), _| *of == task).map(|(_, id)| id)),
                _ => {}
            }
        }
    }
    for (task, completion) in &completions {
        let ended = histories.get(task).is_some_and(|(_, last)| last == "TASK_ENDED");
        // A refused task never was one, so it has no facts.
        if !ended && completion.text("outcome") != "REJECTED" {
            faults.push(format!("{task} has a completion, its last fact is {:?}", histories.get(task)));
        }
    }
    for (task, (_, last)) in &histories {
        if last == "TASK_ENDED" && !completions.contains_key(task) {
            faults.push(format!("{task} ended without a completion"));
        }
    }

    if unsettled != withdrawn {
        faults.push(format!("closed before their agents' last word are {unsettled:?}, withdrawn are {withdrawn:?}"));
    }

    let mut outcomes = BTreeSet::new();
    for record in read("agent-outcomes") {
        let id = record.text("assignmentId").to_owned();
        if id.is_empty() || !outcomes.insert(id.clone()) {
            faults.push(format!("assignment {id:?} has two outcomes"));
        }
    }
    let ended: BTreeSet<String> = settled.union(&unsettled).cloned().collect();
    if ended != outcomes {
        let (without, unfounded): (Vec<_>, Vec<_>) =
            (ended.difference(&outcomes).collect(), outcomes.difference(&ended).collect());
        faults.push(format!("ended without an outcome are {without:?}, with one but not ended {unfounded:?}"));
    }

    let dead_letters = [read("tasks.dlq"), read("agent-status.dlq")].concat();
    assert!(faults.is_empty(), "{} faults, the first: {:#?}", faults.len(), &faults[..faults.len().min(20)]);
    Audit { completions, assignments: assigned.len(), decisions: decided.len(), facts, dead_letters }
}
