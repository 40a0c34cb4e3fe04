//! Follows `examples`: texts of tasks that agents turned out to be right for.

use super::{Base, table};
use crate::contract::AgentExamples;
use crate::insights::remember;
use crate::selection::Memory;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

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
    table::follow(base, "examples", Box::new(move |topic_name, record| shared.take(topic_name, record))).await
}
