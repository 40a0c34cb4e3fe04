//! Whether the strategies of experiments in force are configured here.

use super::Report;
use crate::cli::context::Context;
use crate::cli::experiments::read;
use crate::contract::{Experiment, ExperimentState};
use crate::selection::DEFAULT_STRATEGY;

pub(super) async fn check(context: &Context, report: &mut Report) {
    let known = match read(context).await {
        Ok(known) => known,
        Err(error) => return report.bad("experiments", format!("{error:#}")),
    };
    let in_force = |one: &&Experiment| matches!(one.state, ExperimentState::Running | ExperimentState::Promoted);
    for one in known.values().filter(in_force) {
        let (what, state) = (format!("experiment {}", one.name), one.state.symbol());
        let strategies = one.variants.iter().map(|variant| variant.strategy.as_str());
        let is_missing =
            |strategy: &&str| *strategy != DEFAULT_STRATEGY && !context.config.strategies.contains_key(*strategy);
        let missing: Vec<&str> = strategies.filter(is_missing).collect();
        if missing.is_empty() {
            report.well(&what, state);
        } else {
            let missing = missing.join(", ");
            let how =
                format!("{state}, and [strategies] lacks {missing}: a worker configured so chooses by the default one");
            report.bad(&what, how);
        }
    }
}
