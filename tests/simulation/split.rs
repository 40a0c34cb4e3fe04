//! An experiment that runs all the time: a task's choices all follow its variant's strategy, whoever makes them.

use super::world::BEGINNING;
use baton::selection::{Experiment, Policy, Stage, Strategies, Variant};
use baton::workflow::{Timestamp, Workflow};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Tasks submitted before it, by the true time, take no part.
const SINCE: i64 = BEGINNING + 5_000;

pub(crate) fn experiments() -> Arc<[Experiment]> {
    let variant = |label: &str, strategy: &str| Variant {
        label: label.into(),
        strategy: strategy.into(),
        share: 0.5,
        is_stopped: false,
    };
    let variants = vec![variant("split/control", "default"), variant("split/other", "other")];
    let stage = Stage::Running { since: Timestamp(SINCE), variants };
    [Experiment { name: "split".into(), kinds: [].into(), stage }].into()
}

/// The default strategy and the other one.
pub(crate) fn strategies(default: Policy, other: Policy) -> Strategies {
    Strategies::new(default, BTreeMap::from([("other".to_owned(), other)]))
}

/// What a decision on a task must bear.
pub(super) fn variant_of(workflow: &Workflow) -> Option<Arc<str>> {
    let strategies = strategies(Policy::default(), Policy::default()).with(experiments());
    strategies.of(workflow.task.as_ref()?, workflow.submitted_at).variant.cloned()
}
