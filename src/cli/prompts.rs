//! `baton prompts show`: the words in which a model is asked.

use super::Done;
use super::agents::table::Table;
use super::args::{PromptKind, PromptsArgs, PromptsCommand, PromptsShowArgs};
use super::context::{Context, WrongUse};
use super::output::{self, Format};
use super::submit;
use crate::service::prompts;
use crate::workflow::Task;
use serde_json::{Value, json};

pub(super) async fn run(context: &Context, args: PromptsArgs) -> anyhow::Result<Done> {
    let PromptsCommand::Show(args) = args.command;
    show(context, args).await
}

async fn show(context: &Context, args: PromptsShowArgs) -> anyhow::Result<Done> {
    let task = match &args.task {
        Some(path) => {
            let read = |fault: String| WrongUse(format!("--task {}: {fault}", path.display()));
            let text = std::fs::read_to_string(path).map_err(|error| read(format!("{error}; give a readable file")))?;
            submit::task_of(&text, context.config.workflow.payload_bytes).map_err(read)?
        }
        None => Task::new("task", "(what the task is to achieve)"),
    };
    let registry = Table::read(context).await?.registry();
    let kinds = args.kind.map_or_else(|| vec![PromptKind::Select, PromptKind::Plan], |kind| vec![kind]);
    let mut rows: Vec<Value> = Vec::new();
    for kind in kinds {
        let (name, worded) = match kind {
            PromptKind::Select => ("select", prompts::of_choice(&context.config, &registry, &task)),
            PromptKind::Plan => ("plan", prompts::of_plan(&context.config, &registry, &task)),
        };
        if args.format.format == Format::Table {
            // What is in it that a terminal would obey was taken out when it was put into words.
            output::line(format!("== {name}, version {} ==\n-- system --", worded.version))?;
            output::line(worded.system.trim_end())?;
            output::line("-- user --")?;
            output::line(worded.user.trim_end())?;
        }
        rows.push(json!({ "kind": name, "version": worded.version, "system": worded.system, "user": worded.user }));
    }
    if args.format.format == Format::Json {
        output::listing(Format::Json, &[], &rows)?;
    }
    Ok(Done::Well)
}
