//! `baton submit`: checks every task before it sends any, sends them as JSON (which needs no registry), prints their ids,
//! and with `--wait` follows their completions.

mod draft;
mod wait;

use super::Done;
use super::args::SubmitArgs;
use super::context::{Context, WrongUse};
use super::output::{self, Format};
use crate::contract::{CE_ID, CE_SOURCE, CE_SPECVERSION, CE_TIME, CE_TYPE, CONTENT_TYPE, RecordKind, rfc3339};
use crate::kafka::produce::{Outgoing, Pending, PlainProducer};
use anyhow::Context as _;
pub(super) use draft::task_of;
use draft::{Draft, Drafts};
use serde_json::json;
use std::collections::VecDeque;
use wait::Waiter;

/// Records sent and not yet acknowledged at most.
const IN_FLIGHT: usize = 5_000;

pub(super) async fn run(context: &Context, args: Box<SubmitArgs>) -> anyhow::Result<Done> {
    let payload_bytes = context.config.workflow.payload_bytes;
    let Drafts { drafts, faults } = draft::collect(&args, payload_bytes)?;
    if !faults.is_empty() {
        let what = if faults.len() == 1 { "is a fault" } else { "are faults" };
        let list = faults.join("\n  - ");
        return Err(WrongUse(format!("nothing was sent, for there {what} in what was given:\n  - {list}")).into());
    }
    if drafts.is_empty() {
        return Err(WrongUse("there is no task in what was given; give one JSON object per line".to_owned()).into());
    }
    // Before anything is sent, so that no completion can be missed.
    let waiter = if args.wait { Some(Waiter::open(context, &drafts).await?) } else { None };
    let quiet = args.wait || args.format.format == Format::Json;
    send(context, &PlainProducer::new(&context.config.kafka, "submit")?, &drafts, !quiet).await?;
    match waiter {
        Some(waiter) => waiter.follow(&args).await,
        None => {
            if args.format.format == Format::Json {
                let ids: Vec<_> = drafts.iter().map(|draft| json!({ "taskId": draft.task_id })).collect();
                output::line(serde_json::to_string_pretty(&ids)?)?;
            }
            Ok(Done::Well)
        }
    }
}

/// Sends tasks that are known to be sound: id and JSON.
pub(super) async fn hand_in(
    context: &Context,
    producer: &PlainProducer,
    tasks: impl IntoIterator<Item = (String, String)>,
) -> anyhow::Result<()> {
    let draft = |(task_id, json)| Draft { task_id, json, given: true };
    let drafts: Vec<Draft> = tasks.into_iter().map(draft).collect();
    send(context, producer, &drafts, false).await
}

async fn send(context: &Context, producer: &PlainProducer, drafts: &[Draft], print: bool) -> anyhow::Result<()> {
    let topic = context.topic("tasks");
    let time = rfc3339(super::fresh::now_millis());
    let mut pending: VecDeque<(&str, Pending)> = VecDeque::new();
    let mut sent = 0;
    let told = |sent: usize| {
        format!("{sent} of {} tasks were handed in, this one and those after it perhaps not", drafts.len())
    };
    for draft in drafts {
        if pending.len() >= IN_FLIGHT {
            settle(&mut pending, &mut sent, print).await.with_context(|| told(sent))?;
        }
        let record = Outgoing {
            topic: topic.clone(),
            partition: None,
            key: Some(draft.task_id.clone().into_bytes()),
            value: Some(draft.json.clone().into_bytes()),
            headers: headers(&draft.task_id, &time),
        };
        pending.push_back((&draft.task_id, producer.enqueue(&record).await.with_context(|| told(sent))?));
    }
    while !pending.is_empty() {
        settle(&mut pending, &mut sent, print).await.with_context(|| told(sent))?;
    }
    Ok(())
}

async fn settle(pending: &mut VecDeque<(&str, Pending)>, sent: &mut usize, print: bool) -> anyhow::Result<()> {
    let Some((task_id, delivery)) = pending.pop_front() else { return Ok(()) };
    delivery.delivered().await.with_context(|| format!("handing in {task_id}"))?;
    *sent += 1;
    if print {
        output::line(task_id)?;
    }
    Ok(())
}

fn headers(task_id: &str, time: &str) -> Vec<(String, Vec<u8>)> {
    let headers = [
        (CE_SPECVERSION, "1.0"),
        (CE_ID, task_id),
        (CE_TYPE, RecordKind::TaskSubmitted.full_name()),
        (CE_SOURCE, "baton/submit"),
        (CE_TIME, time),
        (CONTENT_TYPE, "application/json"),
    ];
    headers.into_iter().map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect()
}
