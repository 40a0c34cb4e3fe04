//! Which strategy a task's choices follow: the configured one, unless an experiment says otherwise.

use super::names::fold;
use super::policy::Policy;
use crate::workflow::{Settled, Task, Timestamp, fnv1a_64};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The name of what is configured without a name.
pub const DEFAULT_STRATEGY: &str = "default";

/// All strategies of this worker, and the experiments in force.
#[derive(Clone, Debug, Default)]
pub struct Strategies {
    default: Arc<Policy>,
    named: Arc<BTreeMap<String, Policy>>,
    experiments: Arc<[Experiment]>,
}

/// An experiment that has an effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    pub name: Arc<str>,
    /// Folded types of its tasks; empty = all.
    pub kinds: BTreeSet<String>,
    pub stage: Stage,
}

/// What it does with its tasks.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// Splits those that were submitted since then. The first variant is the control.
    Running { since: Timestamp, variants: Vec<Variant> },
    /// All of them follow one strategy.
    Promoted { strategy: Arc<str> },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// As decisions name it: `<experiment>/<variant>`.
    pub label: Arc<str>,
    pub strategy: Arc<str>,
    /// 0 to 1.
    pub share: f64,
    /// Its tasks follow the control's strategy, and belong to no variant.
    pub is_stopped: bool,
}

/// What holds for one task.
#[derive(Clone, Debug)]
pub struct InForce<'a> {
    pub policy: &'a Policy,
    /// None = the default one.
    pub strategy: Option<&'a Arc<str>>,
    pub variant: Option<&'a Arc<str>>,
    /// The strategy that the experiment names, if this worker does not know it.
    missing: Option<&'a Arc<str>>,
}

impl From<Policy> for Strategies {
    fn from(default: Policy) -> Self {
        Self::new(default, BTreeMap::new())
    }
}

impl Strategies {
    #[must_use]
    pub fn new(default: Policy, named: BTreeMap<String, Policy>) -> Self {
        Self { default: Arc::new(default), named: Arc::new(named), experiments: Arc::default() }
    }

    /// The same with these experiments in force; of several that apply to a task the first counts.
    #[must_use]
    pub fn with(&self, experiments: Arc<[Experiment]>) -> Self {
        Self { experiments, ..self.clone() }
    }

    /// What holds for a task that was submitted then.
    #[must_use]
    pub fn of(&self, task: &Task, submitted_at: Timestamp) -> InForce<'_> {
        let default = InForce { policy: &self.default, strategy: None, variant: None, missing: None };
        let assigned = self.experiments.iter().find_map(|experiment| experiment.assigned(task, submitted_at));
        let Some((strategy, variant)) = assigned else { return default };
        if **strategy == *DEFAULT_STRATEGY {
            return InForce { variant, ..default };
        }
        match self.named.get(&**strategy) {
            Some(policy) => InForce { policy, strategy: Some(strategy), variant, missing: None },
            // What was not tried is no task of the variant: that it misses some shows in its share.
            None => InForce { missing: Some(strategy), ..default },
        }
    }
}

impl Experiment {
    /// The strategy of a task and the variant it belongs to; none of a task that it is not about.
    fn assigned(&self, task: &Task, submitted_at: Timestamp) -> Option<(&Arc<str>, Option<&Arc<str>>)> {
        let is_about = || task.kind.as_deref().is_some_and(|kind| self.kinds.contains(&fold(kind)));
        if !self.kinds.is_empty() && !is_about() {
            return None;
        }
        match &self.stage {
            Stage::Promoted { strategy } => Some((strategy, None)),
            Stage::Running { since, variants } => {
                // Whose choices began before would follow two strategies.
                let variant = drawn(&self.name, &task.id, variants).filter(|_| submitted_at >= *since)?;
                let control = variants.first()?;
                Some(if variant.is_stopped {
                    (&control.strategy, None)
                } else {
                    (&variant.strategy, Some(&variant.label))
                })
            }
        }
    }
}

/// The same for a task on every worker and each time, and as chance would have it over tasks.
fn drawn<'a>(experiment: &str, task_id: &str, variants: &'a [Variant]) -> Option<&'a Variant> {
    let hash = fnv1a_64(experiment.bytes().chain([0]).chain(task_id.bytes()));
    // Mixed (the end of SplitMix64), since the upper bits of the hash say little of ids that end alike.
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    #[allow(clippy::cast_precision_loss, reason = "53 bits")]
    let mut left = ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
    let reached = variants.iter().find(|variant| {
        left -= variant.share;
        left < 0.0
    });
    // What rounding left over.
    reached.or_else(|| variants.last())
}

impl InForce<'_> {
    /// Says in a decision what held for it.
    pub fn stamp(&self, settled: &mut Settled) {
        settled.strategy = self.strategy.cloned();
        settled.variant = self.variant.cloned();
        if let Some(missing) = self.missing {
            settled.reason.push_str(&format!("; the experiment's strategy `{missing}` is not configured here"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(label: &str, strategy: &str, share: f64) -> Variant {
        Variant { label: label.into(), strategy: strategy.into(), share, is_stopped: false }
    }

    fn running(kinds: &[&str]) -> Experiment {
        let variants = vec![variant("x/control", "default", 0.7), variant("x/eager", "eager", 0.3)];
        let kinds = kinds.iter().map(|kind| fold(kind)).collect();
        Experiment { name: "x".into(), kinds, stage: Stage::Running { since: Timestamp(10), variants } }
    }

    fn task(id: &str, kind: Option<&str>) -> Task {
        Task { kind: kind.map(str::to_owned), ..Task::new(id, "o") }
    }

    fn strategies(experiments: Vec<Experiment>) -> Strategies {
        let eager = Policy { margin: 0.1, ..Policy::default() };
        Strategies::new(Policy::default(), [("eager".to_owned(), eager)].into()).with(experiments.into())
    }

    #[test]
    fn tasks_are_split_by_share_each_always_the_same_and_by_its_variants_strategy() {
        let all = strategies(vec![running(&[])]);
        let mut eager = 0;
        for number in 0..10_000 {
            let task = task(&format!("t-{number}"), None);
            let (one, again) = (all.of(&task, Timestamp(10)), all.of(&task, Timestamp(99)));
            assert_eq!((one.variant, one.policy.margin), (again.variant, again.policy.margin));
            match &**one.variant.expect("it is in the experiment") {
                "x/eager" => {
                    eager += 1;
                    assert_eq!((one.strategy.map(|it| &**it), one.policy.margin), (Some("eager"), 0.1));
                }
                "x/control" => assert_eq!((one.strategy, one.policy.margin), (None, 0.6)),
                other => panic!("{other}"),
            }
        }
        // Four standard deviations.
        assert!((2_817..=3_183).contains(&eager), "{eager} of 10,000");
    }

    #[test]
    fn other_experiments_draw_otherwise() {
        let other = Experiment { name: "y".into(), ..running(&[]) };
        let (x, y) = (strategies(vec![running(&[])]), strategies(vec![other]));
        let both = (0..10_000).filter(|number| {
            let task = task(&format!("t-{number}"), None);
            let is_eager = |of: &Strategies| of.of(&task, Timestamp(10)).strategy.is_some();
            is_eager(&x) && is_eager(&y)
        });
        let both = both.count();
        assert!((780..=1_020).contains(&both), "{both}, not about 900");
    }

    #[test]
    fn an_experiment_is_for_its_types_and_for_tasks_submitted_since_its_start() {
        let all = strategies(vec![running(&["Lead "])]);
        assert!(all.of(&task("t", Some("lead")), Timestamp(10)).variant.is_some());
        for (kind, at) in [(Some("lead"), 9), (Some("other"), 10), (None, 10)] {
            assert!(all.of(&task("t", kind), Timestamp(at)).variant.is_none(), "{kind:?} {at}");
        }
    }

    #[test]
    fn what_is_promoted_holds_for_all_its_tasks_and_what_runs_comes_first() {
        let stage = Stage::Promoted { strategy: "eager".into() };
        let promoted = Experiment { name: "y".into(), kinds: BTreeSet::new(), stage };
        let all = strategies(vec![running(&["lead"]), promoted]);
        let other = all.of(&task("t", None), Timestamp(1));
        assert_eq!((other.strategy.map(|it| &**it), other.variant), (Some("eager"), None));
        assert!(all.of(&task("t", Some("lead")), Timestamp(10)).variant.is_some());
    }

    #[test]
    fn tasks_of_a_stopped_variant_follow_the_controls_strategy_and_belong_to_none() {
        let mut one = running(&[]);
        let Stage::Running { variants, .. } = &mut one.stage else { panic!("it runs") };
        variants[1].is_stopped = true;
        let all = strategies(vec![one]);
        let seen: BTreeSet<Option<String>> = (0..100)
            .map(|number| all.of(&task(&number.to_string(), None), Timestamp(10)).variant.map(ToString::to_string))
            .collect();
        assert_eq!(seen, [None, Some("x/control".to_owned())].into());
        assert!((0..100).all(|number| all.of(&task(&number.to_string(), None), Timestamp(10)).strategy.is_none()));
    }

    #[test]
    fn a_strategy_that_is_not_configured_falls_back_and_is_named() {
        let all = Strategies::from(Policy::default()).with(vec![running(&[])].into());
        let missing: Vec<Task> = (0..100).map(|number| task(&number.to_string(), None)).collect();
        let lacks = |task: &&Task| all.of(task, Timestamp(10)).missing.is_some();
        let lacking: Vec<&Task> = missing.iter().filter(lacks).collect();
        assert!((10..60).contains(&lacking.len()), "{}", lacking.len());
        let in_force = all.of(lacking[0], Timestamp(10));
        assert_eq!((in_force.strategy, in_force.variant, in_force.policy.margin), (None, None, 0.6));
    }
}
