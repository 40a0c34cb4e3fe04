//! `baton tasks …`: what became of tasks, read from the topics alone, and what people say of them.

mod command;
mod list;
mod show;
mod standing;
mod watch;

use super::Done;
use super::args::{TasksArgs, TasksCommand};
use super::context::{Context, WrongUse};
use super::output::cell;
use crate::contract::{CommandType, TaskCommand, check_task_id};
use serde_json::{Value, json};
use std::fmt::Write;

pub(super) async fn run(context: &Context, args: TasksArgs) -> anyhow::Result<Done> {
    use TasksCommand as Given;
    let plain = |task: &str, command| TaskCommand::new(task, command);
    let of_step = |task: &str, step: Option<String>, command| TaskCommand { step_id: step, ..plain(task, command) };
    let (command, said) = match args.command {
        Given::Show { id, format } => return show::run(context, &id, format.format).await,
        Given::List { status, since, limit, format } => {
            return list::run(context, &status, since, limit, format.format).await;
        }
        Given::Watch { id, format } => return watch::run(context, &id, format).await,
        Given::Cancel(said) => (plain(&said.task, CommandType::Cancel), said),
        Given::Pause(said) => (plain(&said.task, CommandType::Pause), said),
        Given::Resume(said) => (plain(&said.task, CommandType::Resume), said),
        Given::Approve(given) => (of_step(&given.command.task, given.step, CommandType::Approve), given.command),
        Given::Reject(given) => (of_step(&given.command.task, given.step, CommandType::Reject), given.command),
        Given::Retry(given) => (of_step(&given.command.task, given.step, CommandType::Retry), given.command),
        Given::Reassign { agent, command: given } => {
            let command = of_step(&given.command.task, given.step, CommandType::Reassign);
            (TaskCommand { agent_name: agent, ..command }, given.command)
        }
        Given::Answer { command: given, value } => {
            let command = of_step(&given.command.task, given.step, CommandType::Answer);
            (TaskCommand { value: Some(value), ..command }, given.command)
        }
    };
    command::run(context, said, command).await
}

fn checked(id: &str) -> Result<(), WrongUse> {
    check_task_id(id).map_err(|fault| WrongUse(format!("TASK: {fault}")))
}

/// The facts of one record of `task-events`, each with its number and time.
fn facts(event: &Value) -> Vec<Value> {
    let first = event["firstSequence"].as_i64().unwrap_or_default();
    let numbered = |(number, fact): (i64, &Value)| {
        let mut fact = fact.clone();
        fact["number"] = json!(number);
        fact["at"] = event["at"].clone();
        fact
    };
    (first..).zip(event["facts"].as_array().into_iter().flatten()).map(numbered).collect()
}

/// One fact for people.
fn line(fact: &Value) -> String {
    let text = |field: &str| cell(Some(&fact[field]));
    let mut line = format!("{:>4}  {}  {:<16}", text("number"), text("at"), text("type"));
    for (name, field) in [("step", "stepId"), ("agent", "agentName"), ("attempt", "attempt"), ("by", "actor")] {
        if !fact[field].is_null() {
            write!(line, "  {name} {}", text(field)).expect("writing to a string cannot fail");
        }
    }
    if !fact["reason"].is_null() {
        write!(line, "  {}", text("reason")).expect("writing to a string cannot fail");
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_keep_their_numbers_over_records() {
        let events = [
            json!({ "firstSequence": 1, "at": "a", "facts": [{ "type": "TASK_ACCEPTED" }, { "type": "AGENT_CHOSEN" }] }),
            json!({ "firstSequence": 3, "at": "b", "facts": [{ "type": "STEP_ASSIGNED" }] }),
        ];
        let numbers: Vec<_> = events.iter().flat_map(facts).map(|fact| fact["number"].as_i64().unwrap()).collect();
        assert_eq!(numbers, [1, 2, 3]);
    }
}
