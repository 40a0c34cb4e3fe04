//! A topic read on a thread of its own while something else is waited for.

use super::context::Context;
use crate::kafka::KafkaFault;
use crate::kafka::tail::{Next, Start, Tail};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

/// Records between the readers and whoever listens.
pub(super) const AHEAD: usize = 1_000;
/// How soon a reader notices that nobody listens any more.
const LISTENING: Duration = Duration::from_millis(200);

/// Reads `partitions` (none = all) of a topic from `start` on, and sends what `news` makes of it, until nobody listens any
/// more or the reader cannot go on. Returns once the topic's end is known, so that nothing sent afterwards is missed.
///
/// # Errors
/// As [`Tail::open`].
pub(super) async fn follow<N: Send + 'static>(
    context: &Context,
    suffix: &str,
    partitions: Option<Vec<i32>>,
    start: Start,
    sender: &mpsc::Sender<N>,
    news: impl Fn(Result<Next, KafkaFault>) -> Option<N> + Send + 'static,
) -> anyhow::Result<JoinHandle<()>> {
    let (kafka, topic) = (context.config.kafka.clone(), context.topic(suffix));
    let mut tail = spawn_blocking(move || Tail::open(&kafka, &topic, partitions.as_deref(), start)).await??;
    let sender = sender.clone();
    Ok(spawn_blocking(move || {
        while !sender.is_closed() {
            let next = tail.next(LISTENING);
            let is_last = next.is_err();
            if news(next).is_some_and(|news| sender.blocking_send(news).is_err()) || is_last {
                break;
            }
        }
    }))
}
