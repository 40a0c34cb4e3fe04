//! Follows a compacted topic of ours: the last record of a key counts.

use super::{Base, agents};
use crate::contract::{Undecided, WireRecord};
use crate::kafka::tail::{Next, Tailed};
use anyhow::Context;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// A registry that does not answer is asked again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// What is done with a record, by its key.
type Take<T> = Box<dyn FnMut(&str, Option<T>) + Send>;

/// Hands each record to `take`, none where it is deleted or cannot be read; once the end is reached, returns what follows
/// the table from there. `name` is the topic's without its prefix.
///
/// # Errors
/// If the topic cannot be read.
pub(super) async fn follow<T: WireRecord + 'static>(
    base: &Base,
    name: &'static str,
    mut take: Take<T>,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + use<T>> {
    base.health.waiting(name, format!("reading {name}"));
    let (kafka, codec, stop) = (base.config.kafka.clone(), Arc::clone(&base.codec), base.root.clone());
    let (registry, runtime) = (base.registry.clone(), tokio::runtime::Handle::current());
    let (whole, is_whole) = oneshot::channel();
    let reading = tokio::task::spawn_blocking(move || {
        let topic = format!("{}.{name}", kafka.prefix);
        let Some(mut tail) = agents::open(&kafka, &topic, &stop)? else { return Ok(()) };
        let mut whole = Some(whole);
        let decode = |record: &Tailed| -> Option<T> {
            let value = record.value.as_deref()?;
            while !stop.is_cancelled() {
                match codec.decode(value) {
                    Ok(decoded) => return Some(decoded),
                    Err(Undecided::NeedsSchema(id)) => {
                        if let Err(error) = runtime.block_on(registry.learn(id, codec.cache())) {
                            tracing::warn!(name, %error, "a record waits for the registry");
                            std::thread::sleep(AGAIN);
                        }
                    }
                    Err(Undecided::Refused(refusal)) => {
                        tracing::error!(name, %refusal, offset = record.offset, "a record cannot be read");
                        return None;
                    }
                }
            }
            None
        };
        while !stop.is_cancelled() {
            match tail.next(Duration::from_millis(200)) {
                Ok(Next::Record(record)) => {
                    let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
                    take(&key, decode(&record));
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
        base.health.ready(name);
    }
    Ok(async move { reading.await.with_context(|| format!("the reader of {name} panicked"))? })
}
