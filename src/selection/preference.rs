//! Whom to take of the agents that fit a text alike: by their work, and now and then to learn of it.

use super::candidates::Scene;
use super::explore::{Bounds, Contender, as_good, draw, probabilities};
use super::latency::LatencyRange;
use super::policy::Policy;
use super::scoring::to_four_places;
use super::track::{Belief, Merit, merits};
use crate::workflow::fnv1a_64;

/// The label of a task that keeps what belongs together with one agent.
const AFFINITY: &str = "affinity";
/// The least a fit can be against the best of those that have a capability in common.
const LEAST_FIT: f64 = 0.001;

/// Who stands in for the agent that fits best, what speaks for each, and who is taken.
pub(super) struct Preference {
    /// Places in the registry, the best fitting first; never empty.
    pub(super) group: Vec<usize>,
    merits: Vec<Merit>,
    /// How the texts of each fit against those of the best of them, 0 to 1.
    fits: Vec<f64>,
    /// How likely each was to be taken.
    probabilities: Vec<f64>,
    /// The place of the one that is taken.
    pub(super) taken: usize,
    how: How,
    /// The chance, 0 to 1, that the right agent is in the group.
    pub(super) chance: f64,
    /// By how much the best score of all leads the second, 0 to 1.
    pub(super) lead: f64,
    /// What is each one's of that chance, by what speaks for it.
    scores: Vec<f64>,
}

enum How {
    /// It was drawn by the probabilities.
    Drawn,
    /// It is always taken for this affinity while it does well.
    Affinity,
}

impl Preference {
    /// Of `ranked`, which is not empty, the best first.
    pub(super) fn new(scene: &Scene<'_>, policy: &Policy, ranked: &[usize]) -> Self {
        let chances = scene.chances(ranked);
        let (inside, outside): (Vec<_>, Vec<_>) =
            ranked.iter().copied().zip(chances).partition(|(place, _)| scene.stands_in(ranked[0], *place));
        let chance: f64 = inside.iter().map(|(_, chance)| chance).sum();
        let most = inside.iter().map(|(_, chance)| *chance).fold(f64::MIN_POSITIVE, f64::max);
        let fits: Vec<f64> = inside.iter().map(|(_, chance)| (chance / most).clamp(LEAST_FIT, 1.0)).collect();
        let group: Vec<usize> = inside.into_iter().map(|(place, _)| place).collect();
        let task = scene.choosing.task;
        let merits = merits(
            group.iter().map(|place| scene.agent(*place)),
            task,
            scene.capability_of(ranked[0]),
            &policy.weights,
        );
        let contender = |(merit, fit): (&Merit, &f64)| Contender {
            belief: merit.belief,
            rest: merit.rest * fit.powf(policy.weights.fit),
        };
        let contenders: Vec<Contender> = merits.iter().zip(&fits).map(contender).collect();
        let exploration = if task.explore { policy.exploration } else { 0.0 };
        let bounds = Bounds { success: policy.weights.success, epsilon: policy.epsilon, exploration };
        let (probabilities, taken, how) = taken(scene, &group, &contenders, &bounds);
        let worth: Vec<f64> = contenders.iter().map(|one| one.score(&bounds)).collect();
        let all: f64 = worth.iter().sum();
        let scores: Vec<f64> = worth.iter().map(|worth| chance * worth / all.max(f64::MIN_POSITIVE)).collect();
        let mut best: Vec<f64> = scores.iter().copied().chain(outside.iter().map(|(_, chance)| *chance)).collect();
        best.sort_by(|a, b| b.total_cmp(a));
        let lead = best[0] - best.get(1).copied().unwrap_or(0.0);
        Self { taken: group[taken], group, merits, fits, probabilities, how, chance: chance.min(1.0), lead, scores }
    }

    /// The agent's score, 0 to 1, if it is in the group.
    pub(super) fn score(&self, place: usize) -> Option<f64> {
        Some(to_four_places(self.scores[self.index(place)?]))
    }

    /// How likely the agent was to be taken, if chance had a part in it.
    pub(super) fn probability(&self, place: usize) -> Option<f64> {
        let index = self.index(place)?;
        matches!(self.how, How::Drawn).then(|| to_four_places(self.probabilities[index]))
    }

    /// What speaks for the agent besides its texts, where it was compared with others.
    pub(super) fn factors(&self, place: usize) -> Vec<(&'static str, f64)> {
        let Some(index) = self.index(place).filter(|_| self.group.len() > 1) else { return Vec::new() };
        let share = self.probability(place).map(|probability| ("probability", probability));
        let range = self.merits[index].latency.into_iter().flat_map(|LatencyRange { low, median, high }| {
            [("latencyMs", median), ("latencyLowMs", low), ("latencyHighMs", high)].map(|(name, ms)| (name, ms.round()))
        });
        let factors = [("fit", self.fits[index])].into_iter().chain(self.merits[index].factors).chain(range);
        factors.map(|(name, value)| (name, to_four_places(value))).chain(share).collect()
    }

    /// How often and how soon the agent is expected to succeed, if it is in the group.
    pub(super) fn expected(&self, place: usize) -> Option<(Belief, Option<LatencyRange>)> {
        let merit = &self.merits[self.index(place)?];
        Some((merit.belief, merit.latency))
    }

    /// In words, why that one of them; none where there was only one.
    pub(super) fn reason(&self, scene: &Scene<'_>) -> Option<String> {
        let index = self.index(self.taken).filter(|_| self.group.len() > 1)?;
        let success = self.merits[index].belief.mean() * 100.0;
        let why = match self.how {
            How::Affinity => "it keeps what has this affinity".to_owned(),
            How::Drawn => format!("it is taken in {:.0} % of such choices", self.probabilities[index] * 100.0),
        };
        let (name, of) = (scene.name(self.taken), self.group.len());
        Some(format!("`{name}` is taken of {of} that fit alike: {success:.0} % of its work succeeds, and {why}"))
    }

    fn index(&self, place: usize) -> Option<usize> {
        self.group.iter().position(|one| *one == place)
    }
}

/// Probabilities, the index of who is taken, and how.
fn taken(scene: &Scene<'_>, group: &[usize], contenders: &[Contender], bounds: &Bounds) -> (Vec<f64>, usize, How) {
    let certain = |taken: usize| (0..group.len()).map(|index| f64::from(index == taken)).collect::<Vec<f64>>();
    if group.len() == 1 {
        return (certain(0), 0, How::Drawn);
    }
    let best_of = |key: &dyn Fn(usize) -> f64| {
        // Of equals the first.
        (0..group.len()).rev().max_by(|a, b| key(*a).total_cmp(&key(*b))).unwrap_or(0)
    };
    if let Some(affinity) = scene.choosing.task.labels.get(AFFINITY) {
        let good = as_good(contenders, bounds);
        #[allow(clippy::cast_precision_loss, reason = "an order is all that is asked for")]
        let rank = |index: usize| if good[index] { hash(affinity, scene.name(group[index])) as f64 } else { -1.0 };
        let taken = best_of(&rank);
        return (certain(taken), taken, How::Affinity);
    }
    if bounds.exploration == 0.0 {
        let taken = best_of(&|index| contenders[index].score(bounds));
        return (certain(taken), taken, How::Drawn);
    }
    let probabilities = probabilities(contenders, bounds, scene.choosing.seed);
    let taken = draw(&probabilities, scene.choosing.seed);
    (probabilities, taken, How::Drawn)
}

/// For each affinity another order of agents, of which a new one changes little.
fn hash(affinity: &str, name: &str) -> u64 {
    // The low bits of the hash are the better ones.
    fnv1a_64(affinity.bytes().chain([0]).chain(name.bytes())).swap_bytes()
}
