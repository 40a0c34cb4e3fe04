//! Follows `experiments`: which are in force, for the workers, and what became of all, for who watches the guardrails.

use super::{Base, agents};
use crate::contract::{Experiment, ExperimentState, Undecided};
use crate::experiments::in_force;
use crate::kafka::tail::{Next, Tailed};
use crate::selection::DEFAULT_STRATEGY;
use crate::worker::SharedExperiments;
use anyhow::Context;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::oneshot;

/// A registry that does not answer is asked again after this.
const AGAIN: Duration = Duration::from_secs(1);
const PART: &str = "experiments";

/// The last record of each experiment, by name.
#[derive(Debug, Default)]
pub(super) struct Known(RwLock<Arc<BTreeMap<String, Experiment>>>);

impl Known {
    pub(super) fn get(&self) -> Arc<BTreeMap<String, Experiment>> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn take(&self, name: String, experiment: Option<Experiment>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let table = Arc::make_mut(&mut known);
        match experiment {
            Some(experiment) => drop(table.insert(name, experiment)),
            None => drop(table.remove(&name)),
        }
    }
}

/// Reads the topic to its end, then returns what follows it from there. A record that cannot be read has no effect.
///
/// # Errors
/// If the topic cannot be read.
pub(super) async fn follow(
    base: &Base,
    known: Arc<Known>,
    shared: Arc<SharedExperiments>,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + use<>> {
    base.health.waiting(PART, "reading which experiments run");
    let (kafka, codec, stop) = (base.config.kafka.clone(), Arc::clone(&base.codec), base.root.clone());
    let (registry, strategies) = (base.registry.clone(), base.config.strategies.clone());
    let runtime = tokio::runtime::Handle::current();
    let (whole, is_whole) = oneshot::channel();
    let reading = tokio::task::spawn_blocking(move || {
        let topic = format!("{}.experiments", kafka.prefix);
        let Some(mut tail) = agents::open(&kafka, &topic, &stop)? else { return Ok(()) };
        let mut whole = Some(whole);
        let decode = |record: &Tailed| -> Option<Experiment> {
            let value = record.value.as_deref()?;
            while !stop.is_cancelled() {
                match codec.decode(value) {
                    Ok(experiment) => return Some(experiment),
                    Err(Undecided::NeedsSchema(id)) => {
                        if let Err(error) = runtime.block_on(registry.learn(id, codec.cache())) {
                            tracing::warn!(%error, "an experiment waits for the registry");
                            std::thread::sleep(AGAIN);
                        }
                    }
                    Err(Undecided::Refused(refusal)) => {
                        tracing::error!(%refusal, offset = record.offset, "an experiment cannot be read");
                        return None;
                    }
                }
            }
            None
        };
        while !stop.is_cancelled() {
            match tail.next(Duration::from_millis(200)) {
                Ok(Next::Record(record)) => {
                    let name = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
                    let experiment = decode(&record);
                    if let Some(experiment) = &experiment {
                        told(experiment, |strategy| strategies.contains_key(strategy));
                    }
                    known.take(name, experiment);
                    if whole.is_none() {
                        shared.set(in_force(known.get().values()));
                    }
                }
                Ok(Next::End) => {
                    shared.set(in_force(known.get().values()));
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
    Ok(async move { reading.await.context("the reader of experiments panicked")? })
}

fn told(one: &Experiment, is_known: impl Fn(&str) -> bool) {
    let (name, state, actor, reason) = (&one.name, one.state.symbol(), &one.actor, &one.reason);
    tracing::info!(name, state, actor, reason, "experiment");
    if matches!(one.state, ExperimentState::Stopped | ExperimentState::Unknown) {
        return;
    }
    for strategy in one.variants.iter().map(|variant| variant.strategy.as_str()) {
        if strategy != DEFAULT_STRATEGY && !is_known(strategy) {
            tracing::warn!(
                name,
                strategy,
                "an experiment's strategy is not configured here: its tasks follow the default one"
            );
        }
    }
}
