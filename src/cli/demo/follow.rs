//! Decisions and completions as they come, and the whole of a topic read back.

use crate::cli::context::Context;
use crate::cli::records::Records;
use crate::contract::{Codec, Completion, RoutingDecision, Undecided, WireRecord, wire};
use crate::kafka::KafkaFault;
use crate::kafka::tail::{Next, Start, Tail, Tailed};
use anyhow::anyhow;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

pub(super) const COMPLETIONS: &str = "completions";
pub(super) const DECISIONS: &str = "routing-decisions";
/// Records between the readers and whoever shows them.
const AHEAD: usize = 1_000;
/// How soon a reader notices that nobody listens any more.
const LISTENING: Duration = Duration::from_millis(200);

pub(super) enum Followed {
    Decision(Box<RoutingDecision>),
    Completion(Box<Completion>),
}

/// Reads both topics, until dropped.
pub(super) struct Follower(mpsc::Receiver<(&'static str, Result<Tailed, KafkaFault>)>);

impl Follower {
    /// From the beginning, so that nothing is missed however late this is.
    pub(super) async fn open(context: &Context) -> anyhow::Result<Self> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let open = |suffix: &'static str| {
            let (kafka, topic) = (context.config.kafka.clone(), context.topic(suffix));
            spawn_blocking(move || Tail::open(&kafka, &topic, None, Start::Beginning))
        };
        let (completions, decisions) = tokio::join!(open(COMPLETIONS), open(DECISIONS));
        for (suffix, tail) in [(COMPLETIONS, completions??), (DECISIONS, decisions??)] {
            let sender = sender.clone();
            spawn_blocking(move || forward(suffix, tail, &sender));
        }
        Ok(Self(receiver))
    }

    pub(super) async fn next(&mut self, records: &Records<'_>, codec: &Codec) -> anyhow::Result<Followed> {
        let (suffix, record) = self.0.recv().await.ok_or_else(|| anyhow!("the readers of the topics ended"))?;
        let record = record?;
        if suffix == COMPLETIONS {
            decode(records, codec, &record).await.map(|read| Followed::Completion(Box::new(read)))
        } else {
            decode(records, codec, &record).await.map(|read| Followed::Decision(Box::new(read)))
        }
    }
}

fn forward(suffix: &'static str, mut tail: Tail, sender: &mpsc::Sender<(&'static str, Result<Tailed, KafkaFault>)>) {
    while !sender.is_closed() {
        let record = match tail.next(LISTENING) {
            Ok(Next::Record(record)) => Ok(record),
            Ok(Next::End | Next::Idle) => continue,
            Err(fault) => Err(fault),
        };
        let is_last = record.is_err();
        if sender.blocking_send((suffix, record)).is_err() || is_last {
            break;
        }
    }
}

/// Everything a topic holds that is committed.
pub(super) async fn read_all<T: WireRecord>(
    records: &Records<'_>,
    codec: &Codec,
    suffix: &str,
) -> anyhow::Result<Vec<T>> {
    let mut all = Vec::new();
    for shown in records.raw(suffix, Start::Beginning).await? {
        all.push(decode(records, codec, &shown).await?);
    }
    Ok(all)
}

async fn decode<T: WireRecord>(records: &Records<'_>, codec: &Codec, record: &Tailed) -> anyhow::Result<T> {
    let value = record.value.as_deref().unwrap_or_default();
    if let Some((id, _)) = wire::split(value) {
        records.learn(id).await?;
    }
    codec.decode(value).map_err(|undecided| match undecided {
        Undecided::Refused(refusal) => anyhow!("{} {}/{}: {refusal}", record.topic, record.partition, record.offset),
        Undecided::NeedsSchema(id) => anyhow!("{}: the registry has no schema {id}", record.topic),
    })
}
