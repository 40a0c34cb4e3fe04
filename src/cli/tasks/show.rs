//! `baton tasks show`: what became of one task, read from the topics alone.

use super::standing::Standing;
use super::{checked, facts, line};
use crate::cli::Done;
use crate::cli::context::Context;
use crate::cli::output::{self, Format, cell, safe};
use crate::cli::records::{Records, Shown};
use anyhow::bail;
use serde_json::{Value, json};
use std::fmt::Write;

pub(super) async fn run(context: &Context, id: &str, format: Format) -> anyhow::Result<Done> {
    checked(id)?;
    let records = Records::new(context)?;
    let events = records.of_task("task-events", id).await?;
    let decisions: Vec<Value> = values(records.of_task("routing-decisions", id).await?);
    let completions: Vec<Value> = values(records.of_task("completions", id).await?);
    if events.is_empty() && decisions.is_empty() && completions.is_empty() {
        bail!(
            "nothing is known of task {id}: it was not accepted yet (does a worker run? `baton doctor`), its records are \
             older than the topics keep, or it was refused (`baton dlq list --topic tasks`)"
        );
    }
    let facts: Vec<Value> = values(events).iter().flat_map(facts).collect();
    let story = json!({
        "taskId": id,
        "state": state(&facts, completions.last()),
        "facts": facts,
        "decisions": decisions,
        "completion": completions.last(),
    });
    match format {
        Format::Json => output::line(serde_json::to_string_pretty(&story)?)?,
        Format::Table => output::raw(told(&story).as_bytes())?,
    }
    Ok(Done::Well)
}

fn values(shown: Vec<Shown>) -> Vec<Value> {
    shown.into_iter().map(|shown| shown.value).collect()
}

/// How it ended, or what it waits for.
fn state(facts: &[Value], completion: Option<&Value>) -> String {
    let mut standing = Standing::default();
    facts.iter().for_each(|fact| standing.take(fact));
    if !standing.is_live()
        && let Some(outcome) = completion.and_then(|completion| completion["outcome"].as_str())
    {
        return outcome.to_owned();
    }
    match (standing.status(), standing.last.as_deref()) {
        ("PAUSED", _) => "paused",
        (_, Some("STEP_ASSIGNED")) => "waiting for the agent to accept",
        (_, Some("STEP_ACCEPTED")) => "the agent is at work",
        (_, Some("AGENT_ASKED")) => "waiting for the LLM's choice",
        (_, Some("AGENT_CHOSEN")) => "waiting for an agent that fits",
        (_, Some("TASK_ENDED")) => "ended",
        (_, Some(_)) => "under way",
        (_, None) => "unknown",
    }
    .to_owned()
}

fn told(story: &Value) -> String {
    let mut text = String::new();
    let mut say = |line: String| writeln!(text, "{}", line.trim_end()).expect("writing to a string cannot fail");
    let or_dash = |value: &Value| cell(Some(value));
    say(format!("{}  {}", or_dash(&story["taskId"]), or_dash(&story["state"])));
    let completion = &story["completion"];
    if completion.is_object() {
        let (reason, message) = (or_dash(&completion["reason"]), or_dash(&completion["message"]));
        say(format!("  {reason}: {message}"));
        if let Some(result) = completion["result"].as_str() {
            say(format!("  result: {}", safe(result)));
        }
    }
    say(String::new());
    let decisions: Vec<&Value> = story["decisions"].as_array().into_iter().flatten().collect();
    let mut told = vec![false; decisions.len()];
    for fact in story["facts"].as_array().into_iter().flatten() {
        say(line(fact));
        if let Some(detail) = fact["detail"].as_str() {
            say(format!("      {}", safe(detail)));
        }
        let of_fact = decisions
            .iter()
            .position(|decision| !decision["decisionId"].is_null() && decision["decisionId"] == fact["decisionId"]);
        if let Some(index) = of_fact.filter(|index| !told[*index]) {
            told[index] = true;
            decision_lines(decisions[index]).into_iter().for_each(&mut say);
        }
    }
    for (decision, _) in decisions.iter().zip(&told).filter(|(_, told)| !**told) {
        say(format!("      decision {}", or_dash(&decision["decisionId"])));
        decision_lines(decision).into_iter().for_each(&mut say);
    }
    text
}

/// What was decided, by whom, why, among whom, and what the models said.
fn decision_lines(decision: &Value) -> Vec<String> {
    let or_dash = |value: &Value| cell(Some(value));
    let choice = if decision["chosen"].is_null() { &decision["choice"] } else { &decision["chosen"] };
    let mut first = format!("      chosen: {} by {}", or_dash(choice), or_dash(&decision["by"]));
    if let Some(confidence) = decision["confidence"].as_f64() {
        write!(first, ", confidence {confidence:.2}").expect("writing to a string cannot fail");
    }
    if decision["degraded"] == true {
        write!(first, ", degraded ({})", or_dash(&decision["degradedReason"]))
            .expect("writing to a string cannot fail");
    }
    let mut lines = vec![first, format!("      why: {}", or_dash(&decision["reason"]))];
    for candidate in decision["candidates"].as_array().into_iter().flatten() {
        let score = candidate["score"].as_f64().map_or_else(|| "    -".to_owned(), |score| format!("{score:>5.2}"));
        let mut line = format!("        {score}  {}", or_dash(&candidate["agentName"]));
        if let Some(factors) = candidate["factors"].as_object().filter(|factors| !factors.is_empty()) {
            let shown: Vec<_> = factors.iter().map(|(name, value)| format!("{}={value:.2}", safe(name))).collect();
            write!(line, "  {}", shown.join(" ")).expect("writing to a string cannot fail");
        }
        if !candidate["excluded"].is_null() {
            write!(line, "  excluded: {}", or_dash(&candidate["excluded"])).expect("writing to a string cannot fail");
        }
        lines.push(line);
    }
    for attempt in decision["attempts"].as_array().into_iter().flatten() {
        lines.push(format!(
            "      asked {} ({}): {} in {} ms: {}",
            or_dash(&attempt["model"]),
            or_dash(&attempt["provider"]),
            or_dash(&attempt["verdict"]),
            attempt["millis"],
            or_dash(&attempt["answer"]),
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_says_who_was_chosen_and_why_where_it_happened() {
        let story = json!({
            "taskId": "t", "state": "SUCCEEDED", "completion": { "reason": "done", "message": "ok", "result": "r" },
            "facts": [
                { "number": 1, "at": "x", "type": "AGENT_CHOSEN", "decisionId": "d", "stepId": "1" },
                { "number": 2, "at": "y", "type": "TASK_ENDED" },
            ],
            "decisions": [{
                "decisionId": "d", "choice": "AGENT", "chosen": "Scorer", "by": "CLEAR_WINNER", "reason": "led by 0.3",
                "candidates": [{ "agentName": "Scorer", "score": 0.9, "factors": { "text": 0.9 } },
                               { "agentName": "Other", "excluded": "not allowed for this task" }],
            }],
        });
        let text = told(&story);
        let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part} is not in:\n{text}"));
        assert!(place("AGENT_CHOSEN") < place("chosen: Scorer by CLEAR_WINNER"));
        assert!(place("why: led by 0.3") < place("TASK_ENDED"));
        place("excluded: not allowed for this task");
        place("result: r");
    }

    #[test]
    fn a_task_that_has_not_ended_says_what_it_waits_for() {
        let facts = [json!({ "type": "STEP_ASSIGNED" }), json!({ "type": "STEP_PROGRESSED" })];
        assert_eq!(state(&facts, None), "waiting for the agent to accept");
        let ended = json!({ "type": "TASK_ENDED", "detail": "{\"outcome\":\"FAILED\"}" });
        let again = json!({ "type": "COMMAND_APPLIED", "detail": "{\"command\":\"RETRY\"}" });
        let completion = json!({ "outcome": "FAILED" });
        let [assigned, progressed] = facts;
        let all = [assigned, progressed, ended, again];
        assert_eq!(state(&all[..3], Some(&completion)), "FAILED");
        assert_eq!(state(&all, Some(&completion)), "under way");
    }
}
