//! Follows the heartbeats: who shows signs of life, and how much each takes at once.

use super::{Base, agents};
use crate::contract::Undecided;
use crate::kafka::tail::Next;
use crate::selection::topic_name_of;
use crate::worker::{Clock as _, SharedPresence, Sign, SystemClock};
use crate::workflow::Timestamp;
use anyhow::Context;
use std::sync::Arc;
use std::time::Duration;

/// Follows the topic until told to stop. Whoever cannot be read says nothing, who is not registered is counted; nothing
/// waits for this table.
///
/// # Errors
/// If the topic cannot be read.
pub(super) async fn follow(base: &Base, presence: Arc<SharedPresence>) -> anyhow::Result<()> {
    let (kafka, codec, stop) = (base.config.kafka.clone(), Arc::clone(&base.codec), base.root.clone());
    let (wake, registry) = (Arc::clone(&base.wake), base.registry.clone());
    let (registered, metrics) = (Arc::clone(&base.agents), Arc::clone(&base.metrics));
    let runtime = tokio::runtime::Handle::current();
    let reading = tokio::task::spawn_blocking(move || {
        let topic = format!("{}.heartbeats", kafka.prefix);
        let Some(mut tail) = agents::open(&kafka, &topic, &stop)? else { return Ok(()) };
        let (clock, mut is_live) = (SystemClock::default(), false);
        while !stop.is_cancelled() {
            match tail.next(Duration::from_millis(200)) {
                Ok(Next::Record(record)) => {
                    let heartbeat = loop {
                        match codec.decode_heartbeat(&agents::raw(&record)) {
                            Ok(heartbeat) => break Some(heartbeat),
                            Err(Undecided::NeedsSchema(id)) => {
                                if runtime.block_on(registry.learn(id, codec.cache())).is_err() {
                                    // The next sign of life will do as well.
                                    break None;
                                }
                            }
                            Err(Undecided::Refused(refusal)) => {
                                tracing::debug!(%refusal, "a heartbeat that says nothing");
                                break None;
                            }
                        }
                    };
                    let Some(heartbeat) = heartbeat else { continue };
                    let at = Timestamp(record.timestamp.unwrap_or(heartbeat.time));
                    let sign = Sign {
                        at,
                        capacity: u32::try_from(heartbeat.capacity).unwrap_or(0),
                        in_flight: u32::try_from(heartbeat.in_flight).unwrap_or(0),
                        version: heartbeat.version.as_str().into(),
                    };
                    let received = is_live.then(|| clock.now());
                    let topic_name = topic_name_of(&heartbeat.agent_name, &heartbeat.version);
                    // One from before this process began may be of an agent that is not there any more.
                    if is_live && registered.get().by_topic(&topic_name).is_none() {
                        metrics.heartbeats_unknown.inc();
                        continue;
                    }
                    presence.take(&topic_name, &heartbeat.instance, sign, received);
                    wake();
                }
                Ok(Next::End) => {
                    is_live = true;
                    presence.caught_up();
                }
                Ok(Next::Idle) => {}
                Err(fault) => return Err(anyhow::Error::from(fault)),
            }
        }
        Ok(())
    });
    reading.await.context("the reader panicked")?
}
