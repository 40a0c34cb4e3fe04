//! Follows `experiments`: which are in force, for the workers, and what became of all, for who watches the guardrails.

use super::{Base, table};
use crate::contract::{Experiment, ExperimentState};
use crate::experiments::in_force;
use crate::selection::DEFAULT_STRATEGY;
use crate::worker::SharedExperiments;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

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
    let strategies = base.config.strategies.clone();
    let take = move |name: &str, experiment: Option<Experiment>| {
        if let Some(experiment) = &experiment {
            told(experiment, |strategy| strategies.contains_key(strategy));
        }
        known.take(name.to_owned(), experiment);
        shared.set(in_force(known.get().values()));
    };
    table::follow(base, "experiments", Box::new(take)).await
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
