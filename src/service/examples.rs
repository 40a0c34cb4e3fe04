//! Follows `examples`: texts of tasks that agents turned out to be right for.

use super::{Base, agents};
use crate::contract::{AgentExamples, Undecided};
use crate::insights::remember;
use crate::kafka::tail::{Next, Tailed};
use crate::selection::Memory;
use anyhow::Context;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// A schema registry that does not answer is asked again after this.
const AGAIN: Duration = Duration::from_secs(1);
const PART: &str = "examples";

/// What is remembered of all agents, as the table's reader keeps it.
#[derive(Debug, Default)]
pub(super) struct SharedMemory {
    current: Mutex<Memory>,
    news: Notify,
}

impl SharedMemory {
    pub(super) fn get(&self) -> Memory {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends once its texts are others than when it last ended.
    pub(super) async fn changed(&self) {
        self.news.notified().await;
    }

    fn take(&self, topic_name: &str, record: Option<AgentExamples>) {
        let mut memory = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let differs = match record {
            Some(record) => remember(&mut memory, topic_name, record),
            None => memory.forget(topic_name),
        };
        if differs {
            self.news.notify_one();
        }
    }
}

/// Reads the table to its end, then returns what follows it from there.
///
/// # Errors
/// If the topic cannot be read.
pub(super) async fn follow(
    base: &Base,
    shared: Arc<SharedMemory>,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + use<>> {
    base.health.waiting(PART, "reading what agents turned out to be right for");
    let (kafka, codec, stop) = (base.config.kafka.clone(), Arc::clone(&base.codec), base.root.clone());
    let (registry, runtime) = (base.registry.clone(), tokio::runtime::Handle::current());
    let (whole, is_whole) = oneshot::channel();
    let reading = tokio::task::spawn_blocking(move || {
        let topic = format!("{}.examples", kafka.prefix);
        let Some(mut tail) = agents::open(&kafka, &topic, &stop)? else { return Ok(()) };
        let mut whole = Some(whole);
        let decode = |record: &Tailed| -> Option<AgentExamples> {
            let value = record.value.as_deref()?;
            while !stop.is_cancelled() {
                match codec.decode(value) {
                    Ok(examples) => return Some(examples),
                    Err(Undecided::NeedsSchema(id)) => {
                        if let Err(error) = runtime.block_on(registry.learn(id, codec.cache())) {
                            tracing::warn!(%error, "an agent's examples wait for the registry");
                            std::thread::sleep(AGAIN);
                        }
                    }
                    Err(Undecided::Refused(refusal)) => {
                        tracing::error!(%refusal, offset = record.offset, "an agent's examples cannot be read");
                        return None;
                    }
                }
            }
            None
        };
        while !stop.is_cancelled() {
            match tail.next(Duration::from_millis(200)) {
                Ok(Next::Record(record)) => {
                    let topic_name = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
                    shared.take(&topic_name, decode(&record));
                }
                Ok(Next::End) => {
                    // Nobody may be waiting any more.
                    let _ = whole.take().map(|whole| whole.send(()));
                }
                Ok(Next::Idle) => {}
                Err(fault) => return Err(anyhow::Error::from(fault)),
            }
        }
        Ok(())
    });
    if is_whole.await.is_ok() {
        base.health.ready(PART);
    }
    Ok(async move { reading.await.context("the reader of examples panicked")? })
}
