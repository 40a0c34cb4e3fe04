//! What workers go by, of the records of `experiments`.

use super::label;
use crate::contract::{Experiment, ExperimentState};
use crate::selection::{self, Stage, Variant, fold};
use crate::workflow::Timestamp;
use std::cmp::Reverse;
use std::sync::Arc;

/// Those that have an effect, in the order in which they are looked at: running ones, the first that was started first,
/// then promoted ones, the last word first. The order matters only where two are about one task: of running ones
/// a start refuses that.
#[must_use]
pub fn in_force<'a>(known: impl IntoIterator<Item = &'a Experiment>) -> Arc<[selection::Experiment]> {
    let (mut running, mut promoted): (Vec<&Experiment>, Vec<&Experiment>) =
        known.into_iter().filter(|one| stage(one).is_some()).partition(|one| one.state == ExperimentState::Running);
    running.sort_by_key(|one| (one.started_at, &one.name));
    promoted.sort_by_key(|one| (Reverse(one.at), &one.name));
    let compiled = running.into_iter().chain(promoted).filter_map(|one| {
        let kinds = one.task_types.iter().map(|kind| fold(kind)).collect();
        Some(selection::Experiment { name: one.name.as_str().into(), kinds, stage: stage(one)? })
    });
    compiled.collect()
}

fn stage(one: &Experiment) -> Option<Stage> {
    match one.state {
        ExperimentState::Running => {
            let variants = one.variants.iter().map(|variant| Variant {
                label: label(&one.name, variant).into(),
                strategy: variant.strategy.as_str().into(),
                share: variant.share,
                is_stopped: variant.stopped_at.is_some(),
            });
            Some(Stage::Running { since: Timestamp(one.started_at), variants: variants.collect() })
        }
        ExperimentState::Promoted => {
            let winner = one.variants.iter().find(|variant| Some(&variant.name) == one.promoted.as_ref())?;
            Some(Stage::Promoted { strategy: winner.strategy.as_str().into() })
        }
        ExperimentState::Stopped | ExperimentState::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::change::tests::{started, stopped_at};
    use super::*;
    use crate::experiments::{promote, stop};

    #[test]
    fn running_ones_come_first_then_the_last_promoted_and_stopped_ones_not_at_all() {
        let promoted = |name: &str, at| promote(&started(name, &[], 1), "b", "me", "", at, false).expect("it runs");
        let known = [
            stop(&started("over", &[], 1), "me", "", 2).expect("it runs"),
            promoted("earlier", 5),
            promoted("later", 7),
            started("second", &[], 4),
            started("first", &["Lead"], 3),
        ];
        let in_force = in_force(&known);
        let names: Vec<&str> = in_force.iter().map(|one| &*one.name).collect();
        assert_eq!(names, ["first", "second", "later", "earlier"]);
        assert_eq!(in_force[0].kinds, ["lead".to_owned()].into());
        assert_eq!(in_force[2].stage, Stage::Promoted { strategy: "eager".into() });
    }

    #[test]
    fn a_variant_that_a_guardrail_stopped_is_one() {
        let one = stopped_at(&started("x", &[], 1), 5);
        let Some(Stage::Running { variants, .. }) = stage(&one) else { panic!("it runs") };
        let seen: Vec<(&str, bool)> = variants.iter().map(|one| (&*one.label, one.is_stopped)).collect();
        assert_eq!(seen, [("x/a", false), ("x/b", true), ("x/c", false)]);
    }
}
