//! `baton dlq list` and `baton dlq show`

use super::letters::{self, ENDING, Letter, dlq_of};
use crate::cli::args::LetterFilter;
use crate::cli::context::Context;
use crate::cli::output::Format;
use crate::cli::records::{Records, Shown, header, text_or_base64, whole};
use crate::cli::{Done, output};
use crate::contract::{DLQ_DETAIL, DLQ_OFFSET, DLQ_PARTITION, DLQ_REASON, DLQ_TOPIC, rfc3339};
use crate::kafka::tail::{self, Start};
use anyhow::Context as _;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

pub(super) async fn list(context: &Context, filter: &LetterFilter, format: Format) -> anyhow::Result<Done> {
    let rows: Vec<Value> = letters::read(context, filter).await?.iter().map(row).collect();
    let columns = [
        ("TIME", "/time"),
        ("TOPIC", "/topic"),
        ("PARTITION", "/partition"),
        ("OFFSET", "/offset"),
        ("KEY", "/key"),
        ("REASON", "/reason"),
        ("REPLAYED", "/replayed"),
        ("DETAIL", "/detail"),
    ];
    output::listing(format, &columns, &rows)?;
    Ok(Done::Well)
}

/// What is shown of a letter.
pub(super) fn row(Letter { record: letter, bytes, replayed }: &Letter) -> Value {
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
        "bytes": bytes,
        "replays": letters::replays(letter),
        "replayed": replayed,
    })
}

pub(super) async fn show(context: &Context, topic: &str, partition: i32, offset: i64) -> anyhow::Result<Done> {
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
