//! Decisions and completions as they come, and the whole of a topic read back.

use crate::cli::context::Context;
use crate::cli::follow::{AHEAD, follow};
use crate::cli::records::Records;
use crate::contract::{Codec, Completion, RoutingDecision, WireRecord};
use crate::kafka::KafkaFault;
use crate::kafka::tail::{Next, Start, Tailed};
use anyhow::anyhow;
use tokio::sync::mpsc;

pub(super) const COMPLETIONS: &str = "completions";
pub(super) const DECISIONS: &str = "routing-decisions";

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
        for suffix in [COMPLETIONS, DECISIONS] {
            let news = move |next| match next {
                Ok(Next::Record(record)) => Some((suffix, Ok(record))),
                Ok(Next::End | Next::Idle) => None,
                Err(fault) => Some((suffix, Err(fault))),
            };
            follow(context, suffix, None, Start::Beginning, &sender, news).await?;
        }
        Ok(Self(receiver))
    }

    pub(super) async fn next(&mut self, records: &Records<'_>, codec: &Codec) -> anyhow::Result<Followed> {
        let (suffix, record) = self.0.recv().await.ok_or_else(|| anyhow!("the readers of the topics ended"))?;
        let record = record?;
        if suffix == COMPLETIONS {
            records.typed(codec, &record).await.map(|read| Followed::Completion(Box::new(read)))
        } else {
            records.typed(codec, &record).await.map(|read| Followed::Decision(Box::new(read)))
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
        all.push(records.typed(codec, &shown).await?);
    }
    Ok(all)
}
