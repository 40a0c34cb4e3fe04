//! `baton dlq list` and `baton dlq show`: what was refused, why, and its original bytes.

use super::args::{DlqArgs, DlqCommand};
use super::context::Context;
use super::output::Format;
use super::records::{Records, Shown, header, text_or_base64, whole};
use super::{Done, output};
use crate::contract::{DLQ_DETAIL, DLQ_OFFSET, DLQ_PARTITION, DLQ_REASON, DLQ_TOPIC, Reason, rfc3339};
use crate::kafka::admin::Admin;
use crate::kafka::tail::{self, Start};
use anyhow::Context as _;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const ENDING: &str = ".dlq";

pub(super) async fn run(context: &Context, args: DlqArgs) -> anyhow::Result<Done> {
    match args.command {
        DlqCommand::List { topic, reason, since, format } => {
            let filter = Filter { topic, reason, since };
            list(context, filter, format.format).await
        }
        DlqCommand::Show { topic, partition, offset } => show(context, &topic, partition, offset).await,
    }
}

struct Filter {
    topic: Option<String>,
    reason: Option<String>,
    since: Option<Duration>,
}

async fn list(context: &Context, filter: Filter, format: Format) -> anyhow::Result<Done> {
    let reason = filter.reason.as_deref().map(known_reason).transpose()?;
    let named = filter.topic.as_deref().map(|topic| dlq_of(context, topic));
    let cluster = Admin::new(&context.config.kafka)?.cluster().await?;
    let ours = |name: &str| name.ends_with(ENDING) && context.suffix(name).is_some();
    let topics: Vec<String> = match named {
        Some(named) => vec![named],
        None => cluster.topics.into_iter().map(|topic| topic.name).filter(|name| ours(name)).collect(),
    };
    let start = filter.since.map_or(Start::Beginning, |since| Start::Since(now_millis() - millis(since)));
    let mut rows = Vec::new();
    for topic in topics {
        let wanted = move |record: &tail::Tailed| {
            reason.is_none_or(|reason| header(record, DLQ_REASON) == Some(reason.as_str()))
        };
        let kafka = &context.config.kafka;
        let letters = tail::read(kafka, &topic, None, start, super::records::MOST, wanted).await?;
        rows.extend(letters.iter().map(|letter| (letter.timestamp, row(letter))));
    }
    rows.sort_by_key(|(time, _)| *time);
    let rows: Vec<Value> = rows.into_iter().map(|(_, row)| row).collect();
    let columns = [
        ("TIME", "/time"),
        ("TOPIC", "/topic"),
        ("PARTITION", "/partition"),
        ("OFFSET", "/offset"),
        ("KEY", "/key"),
        ("REASON", "/reason"),
        ("DETAIL", "/detail"),
    ];
    output::listing(format, &columns, &rows)?;
    Ok(Done::Well)
}

fn row(letter: &tail::Tailed) -> Value {
    json!({
        "time": letter.timestamp.map(rfc3339),
        "topic": letter.topic.strip_suffix(ENDING).unwrap_or(&letter.topic),
        "partition": letter.partition,
        "offset": letter.offset,
        "key": letter.key.as_deref().map(text_or_base64),
        "reason": header(letter, DLQ_REASON),
        "detail": header(letter, DLQ_DETAIL),
        "from": {
            "topic": header(letter, DLQ_TOPIC),
            "partition": header(letter, DLQ_PARTITION).and_then(|text| text.parse::<i32>().ok()),
            "offset": header(letter, DLQ_OFFSET).and_then(|text| text.parse::<i64>().ok()),
        },
        "bytes": letter.value.as_ref().map(Vec::len),
    })
}

async fn show(context: &Context, topic: &str, partition: i32, offset: i64) -> anyhow::Result<Done> {
    let topic = dlq_of(context, topic);
    let at = move |record: &tail::Tailed| record.offset == offset;
    let kafka = &context.config.kafka;
    // One is enough, but the reading ends at the partition's end all the same: dead letters are few.
    let found = tail::read(kafka, &topic, Some(vec![partition]), Start::At(offset), 1, at).await?;
    let record = found.into_iter().next().with_context(|| format!("{topic}-{partition} has no record at {offset}"))?;
    let bytes = record.value.as_ref().map(|bytes| BASE64.encode(bytes));
    // The dead letter is shown also where the registry, asked for its schema, does not answer.
    let value = match Records::new(context)?.value(record.value.as_deref()).await {
        Ok(value) => value,
        Err(error) => json!({ "$undecodable": format!("{error:#}") }),
    };
    let mut shown = whole(&Shown { record, value });
    shown["valueBase64"] = json!(bytes);
    output::line(serde_json::to_string_pretty(&shown)?)?;
    Ok(Done::Well)
}

fn dlq_of(context: &Context, topic: &str) -> String {
    let topic = context.topic_named(topic);
    if topic.ends_with(ENDING) { topic } else { format!("{topic}{ENDING}") }
}

fn known_reason(given: &str) -> anyhow::Result<Reason> {
    let known = Reason::ALL.into_iter().find(|reason| reason.as_str().eq_ignore_ascii_case(given.trim()));
    known.ok_or_else(|| {
        let all = Reason::ALL.map(Reason::as_str).join(", ");
        super::context::WrongUse(format!("--reason {given}: is none of {all}")).into()
    })
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The wall clock, in milliseconds since the epoch.
pub(super) fn now_millis() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}
