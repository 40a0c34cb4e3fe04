//! The story as a table for people, or as one JSON array for programs.

use crate::cli::output::{self, Format, safe};
use crate::contract::{Outcome, SettledBy, rfc3339};
use crate::demo::{Lead, Story, TaskStory};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Stands between two agents of a path.
const THEN: &str = " > ";

/// `began` is when the process did, in milliseconds since the epoch.
pub(super) fn print(story: &Story, leads: &[Lead], began: i64, format: Format) -> std::io::Result<()> {
    let companies: BTreeMap<&str, &str> = leads.iter().map(|lead| (&*lead.id, &*lead.company)).collect();
    let company = |task: &TaskStory| companies.get(&*task.task_id).copied().unwrap_or_default();
    match format {
        Format::Json => {
            let rows: Vec<Value> = story.tasks.iter().map(|task| whole(task, company(task))).collect();
            output::listing(Format::Json, &[], &rows)?;
            output::note(timing(story, began));
        }
        Format::Table => {
            let rows: Vec<Value> = story.tasks.iter().map(|task| row(task, company(task))).collect();
            let columns = [
                ("TASK", "/task"),
                ("LEAD", "/lead"),
                ("OUTCOME", "/outcome"),
                ("TIME", "/time"),
                ("PATH, AND WHY", "/path"),
            ];
            output::listing(Format::Table, &columns, &rows)?;
            output::line("")?;
            let paths: Vec<Value> = story
                .paths()
                .into_iter()
                .map(|path| {
                    json!({
                        "tasks": path.tasks,
                        "median": path.median_millis.map(millis),
                        "example": path.example,
                        "path": if path.path.is_empty() { "-".to_owned() } else { path.path.join(THEN) },
                    })
                })
                .collect();
            let columns = [("TASKS", "/tasks"), ("MEDIAN", "/median"), ("EXAMPLE", "/example"), ("PATH", "/path")];
            output::listing(Format::Table, &columns, &paths)?;
            output::line("")?;
            output::line(totals(story))?;
            output::line(timing(story, began))?;
        }
    }
    Ok(())
}

fn row(task: &TaskStory, company: &str) -> Value {
    let mut path: Vec<String> = task.hops.iter().map(|hop| format!("{} ({})", hop.agent, hop.why)).collect();
    match &task.end {
        Some(end) => path.push(format!("end ({})", end.why)),
        None if task.outcome != Some(Outcome::Succeeded) => path.push(format!("end ({})", task.message)),
        None => {}
    }
    json!({
        "task": task.task_id,
        "lead": company,
        "outcome": outcome(task),
        "time": task.millis().map(millis),
        "path": path.join(THEN),
    })
}

fn whole(task: &TaskStory, company: &str) -> Value {
    let hop = |hop: &crate::demo::Hop| {
        json!({
            "stepId": hop.step_id, "agent": hop.agent, "by": hop.by, "why": hop.why, "reason": hop.reason,
            "decidedAt": rfc3339(hop.decided_at), "millis": hop.millis,
        })
    };
    json!({
        "taskId": task.task_id,
        "company": company,
        "outcome": task.outcome,
        "message": task.message,
        "path": task.path(),
        "hops": task.hops.iter().map(hop).collect::<Vec<_>>(),
        "end": task.end.as_ref().map(|end| json!({ "by": end.by, "why": end.why, "reason": end.reason })),
        "acceptedAt": task.accepted_at.map(rfc3339),
        "endedAt": task.ended_at.map(rfc3339),
        "millis": task.millis(),
        "completions": task.completions,
        "result": task.result,
    })
}

fn outcome(task: &TaskStory) -> Value {
    match task.outcome {
        Some(outcome) => json!(outcome),
        None => json!("not ended"),
    }
}

/// A number of things in words.
fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn totals(story: &Story) -> String {
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for task in &story.tasks {
        let outcome = outcome(task);
        *outcomes.entry(outcome.as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    let outcomes: Vec<String> = outcomes.into_iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
    let by = |wanted: &[SettledBy]| {
        story.tasks.iter().flat_map(|task| &task.hops).filter(|hop| wanted.contains(&hop.by)).count()
    };
    let (contract, words) = (by(&[SettledBy::Contract]), by(&[SettledBy::ClearWinner, SettledBy::Local]));
    let llm = by(&[SettledBy::Llm]);
    format!(
        "{} ({}) took {}; of their hops {contract} were chosen by contract, {words} by words, {llm} by the LLM.",
        counted(story.tasks.len(), "task"),
        outcomes.join(", "),
        counted(story.paths().len(), "path"),
    )
}

fn timing(story: &Story, began: i64) -> String {
    let after = |moment: Option<i64>| moment.map_or_else(|| "never".to_owned(), |moment| seconds(moment - began));
    let (first, last) = (after(story.first_routed_at()), after(story.last_ended_at()));
    format!("Since the start: first task routed after {first}, last task ended after {last}.")
}

fn seconds(millis: i64) -> String {
    format!("{}.{:02} s", millis / 1_000, millis.rem_euclid(1_000) / 10)
}

fn millis(millis: i64) -> String {
    safe(&format!("{millis} ms"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::{End, Hop};

    fn story() -> Story {
        let hop = |agent: &str, by, why: &str| Hop {
            step_id: "1".to_owned(),
            agent: agent.to_owned(),
            by,
            why: why.to_owned(),
            reason: "in full".to_owned(),
            decided_at: 1_500,
            millis: Some(40),
        };
        let task = TaskStory {
            task_id: "lead-1".to_owned(),
            hops: vec![hop("A", SettledBy::Contract, "contract"), hop("B", SettledBy::Local, "words 0.3 over 0.2")],
            end: Some(End { by: SettledBy::Contract, why: "nobody takes it".to_owned(), reason: String::new() }),
            outcome: Some(Outcome::Succeeded),
            accepted_at: Some(1_400),
            ended_at: Some(1_900),
            completions: 1,
            ..TaskStory::default()
        };
        Story { tasks: vec![task] }
    }

    #[test]
    fn a_row_says_the_path_and_why_each_hop() {
        let row = row(&story().tasks[0], "Acorn");
        assert_eq!(row["path"], "A (contract) > B (words 0.3 over 0.2) > end (nobody takes it)");
        assert_eq!((&row["time"], &row["outcome"]), (&json!("500 ms"), &json!("SUCCEEDED")));
        let open = TaskStory { message: "expired".to_owned(), outcome: Some(Outcome::Expired), ..TaskStory::default() };
        assert_eq!(super::row(&open, "")["path"], "end (expired)");
    }

    #[test]
    fn totals_and_times_add_up() {
        let totals = totals(&story());
        assert!(
            totals.starts_with("1 task (1 SUCCEEDED) took 1 path; of their hops 1 were chosen by contract, 1 by words")
        );
        assert!(timing(&story(), 1_000).contains("first task routed after 0.50 s, last task ended after 0.90 s"));
        assert!(timing(&Story::default(), 0).contains("routed after never"));
    }
}
