//! `baton topics list` and `baton topics tail`

use super::args::{FormatArgs, TailArgs, TopicsArgs, TopicsCommand};
use super::context::Context;
use super::records::{Records, Shown, whole};
use super::{Done, output};
use crate::kafka::KafkaFault;
use crate::kafka::admin::Admin;
use crate::kafka::tail::{Next, Start, Tail, Tailed};
use serde_json::json;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc;

/// Records shown where nothing else is asked for.
const LAST: usize = 10;
/// Records between the reading thread and the printing one.
const AHEAD: usize = 1_000;

pub(super) async fn run(context: &Context, args: TopicsArgs) -> anyhow::Result<Done> {
    match args.command {
        TopicsCommand::List(FormatArgs { format }) => {
            let admin = Admin::new(&context.config.kafka)?;
            let topics = admin.cluster().await?.topics;
            let rows: Vec<_> = topics
                .iter()
                .filter(|topic| context.suffix(&topic.name).is_some())
                .map(|topic| {
                    json!({
                        "topic": topic.name,
                        "partitions": topic.partitions,
                        "replicationFactor": topic.replication_factor,
                    })
                })
                .collect();
            let columns = [("TOPIC", "/topic"), ("PARTITIONS", "/partitions"), ("REPLICAS", "/replicationFactor")];
            output::listing(format, &columns, &rows)?;
            Ok(Done::Well)
        }
        TopicsCommand::Tail(args) => tail(context, args).await,
    }
}

async fn tail(context: &Context, args: TailArgs) -> anyhow::Result<Done> {
    let records = Records::new(context)?;
    let (sender, mut receiver) = mpsc::channel(AHEAD);
    let (kafka, topic) = (context.config.kafka.clone(), context.topic_named(&args.name));
    let reading = tokio::task::spawn_blocking(move || read(&kafka, &topic, &args, &sender));
    while let Some(record) = receiver.recv().await {
        let value = records.value(record.value.as_deref()).await?;
        output::line(whole(&Shown { record, value }).to_string())?;
    }
    reading.await??;
    Ok(Done::Well)
}

/// Sends what was asked for, oldest first as far as it was there, then what comes if it is to follow.
fn read(
    kafka: &crate::config::Kafka,
    topic: &str,
    args: &TailArgs,
    sender: &mpsc::Sender<Tailed>,
) -> Result<(), KafkaFault> {
    let last = if args.from_beginning { usize::MAX } else { args.last.unwrap_or(LAST) };
    let key = args.key.as_ref().map(|key| key.as_bytes());
    let wanted = |record: &Tailed| key.is_none() || record.key.as_deref() == key;
    // Of a key's records nobody knows how far back the last N lie; without one, so many offsets hold at least some.
    let mut back =
        if args.from_beginning || key.is_some() { i64::MAX } else { i64::try_from(last).unwrap_or(i64::MAX) };
    let (mut tail, held) = loop {
        let start = if back == i64::MAX { Start::Beginning } else { Start::Back(back) };
        let mut tail = Tail::open(kafka, topic, None, start)?;
        let mut held = VecDeque::new();
        loop {
            match tail.next(Duration::from_secs(1))? {
                // Everything from the beginning is printed as it comes: it may not fit into memory.
                Next::Record(record) if args.from_beginning && wanted(&record) => {
                    if sender.blocking_send(record).is_err() {
                        return Ok(());
                    }
                }
                Next::Record(record) if wanted(&record) => {
                    if held.len() == last.min(super::records::MOST) {
                        held.pop_front();
                    }
                    if last > 0 {
                        held.push_back(record);
                    }
                }
                Next::Record(_) => {}
                Next::Idle if sender.is_closed() => return Ok(()),
                Next::Idle => {}
                Next::End => break,
            }
        }
        // Markers and compaction leave gaps: fewer may have come than offsets were looked at.
        if tail.is_whole() || held.len() >= last {
            break (tail, held);
        }
        back = if back > 1_000_000 { i64::MAX } else { (back * 8).max(64) };
    };
    let mut held: Vec<Tailed> = held.into();
    held.sort_by_key(|record| (record.timestamp, record.partition, record.offset));
    let skipped = held.len().saturating_sub(last);
    for record in held.into_iter().skip(skipped) {
        if sender.blocking_send(record).is_err() {
            return Ok(());
        }
    }
    while args.follow && !sender.is_closed() {
        if let Next::Record(record) = tail.next(Duration::from_millis(500))?
            && wanted(&record)
            && sender.blocking_send(record).is_err()
        {
            break;
        }
    }
    Ok(())
}
