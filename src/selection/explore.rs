//! Whom to choose among agents that stand in for each other: mostly the best, now and then another, to learn how it does.

use super::track::Belief;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Beta, Distribution};

/// One of several to choose from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Contender {
    pub(super) belief: Belief,
    /// All that speaks for it but its success, each to its weight.
    pub(super) rest: f64,
}

/// How far from the best one may go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    /// The exponent of success.
    pub(super) success: f64,
    /// Who is worse than the best by no more than this share of its score is as good.
    pub(super) epsilon: f64,
    /// Share of choices, 0 to 1, that go to those who are not as good, at most. 0 = never, and nothing is drawn.
    pub(super) exploration: f64,
}

impl Contender {
    /// What speaks for it, its success as expected.
    pub(super) fn score(&self, bounds: &Bounds) -> f64 {
        self.belief.mean().powf(bounds.success) * self.rest
    }
}

/// Draws from the beliefs by which it is told how often each contender is the best.
const DRAWS: u32 = 64;
/// The part of what may be explored that always is: beliefs in who gets no work would never change.
const ALWAYS: f64 = 0.1;

/// Who is as good as the best.
pub(super) fn as_good(contenders: &[Contender], bounds: &Bounds) -> Vec<bool> {
    let best = contenders.iter().map(|one| one.score(bounds)).fold(0.0, f64::max);
    contenders.iter().map(|one| one.score(bounds) >= best * (1.0 - bounds.epsilon)).collect()
}

/// The probability of each contender, all together 1: Thompson sampling among those as good as the best; the others
/// together get what it gives them, within bounds.
pub(super) fn probabilities(contenders: &[Contender], bounds: &Bounds, seed: u64) -> Vec<f64> {
    let (good, wins) = (as_good(contenders, bounds), wins(contenders, bounds, seed));
    let sum = |of: bool, more: f64| -> f64 {
        wins.iter().zip(&good).filter(|(_, good)| **good == of).map(|(wins, _)| wins + more).sum()
    };
    let least = bounds.exploration * ALWAYS;
    let explored =
        if good.contains(&false) { (sum(false, 0.0) / f64::from(DRAWS)).clamp(least, bounds.exploration) } else { 0.0 };
    // Half a win more than there were: nobody is impossible.
    let probability = |(wins, good): (&f64, &bool)| {
        let share = if *good { 1.0 - explored } else { explored };
        share * (wins + 0.5) / sum(*good, 0.5)
    };
    wins.iter().zip(&good).map(probability).collect()
}

/// How often each contender came out best.
fn wins(contenders: &[Contender], bounds: &Bounds, seed: u64) -> Vec<f64> {
    let mut random = SmallRng::seed_from_u64(seed);
    let beliefs: Vec<Option<Beta<f64>>> =
        contenders.iter().map(|one| Beta::new(one.belief.alpha, one.belief.beta).ok()).collect();
    let mut wins = vec![0.0; contenders.len()];
    for _ in 0..DRAWS {
        let mut best = (f64::NEG_INFINITY, 0);
        for (place, (one, belief)) in contenders.iter().zip(&beliefs).enumerate() {
            let rate = belief.map_or_else(|| one.belief.mean(), |belief| belief.sample(&mut random));
            let score = rate.powf(bounds.success) * one.rest;
            if score > best.0 {
                best = (score, place);
            }
        }
        wins[best.1] += 1.0;
    }
    wins
}

/// Draws a place by the probabilities.
pub(super) fn draw(probabilities: &[f64], seed: u64) -> usize {
    // Another stream than the beliefs are drawn from.
    let mut left: f64 = SmallRng::seed_from_u64(!seed).random();
    for (place, probability) in probabilities.iter().enumerate() {
        left -= probability;
        if left < 0.0 {
            return place;
        }
    }
    // What rounding left over.
    probabilities.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { success: 1.0, epsilon: 0.1, exploration: 0.1 };

    fn contender(successes: f64, failures: f64, rest: f64) -> Contender {
        Contender { belief: Belief { alpha: successes, beta: failures }, rest }
    }

    fn shares(contenders: &[Contender], many: u64) -> Vec<f64> {
        let mut counts = vec![0_u64; contenders.len()];
        for seed in 0..many {
            let probabilities = probabilities(contenders, &BOUNDS, seed);
            assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{probabilities:?}");
            counts[draw(&probabilities, seed)] += 1;
        }
        counts.iter().map(|count| *count as f64 / many as f64).collect()
    }

    #[test]
    fn equals_share_the_work() {
        let shares = shares(&[contender(19.0, 1.0, 1.0); 4], 4_000);
        assert!(shares.iter().all(|share| (share - 0.25).abs() < 0.05), "{shares:?}");
    }

    #[test]
    fn who_is_known_to_fail_gets_the_least_there_is() {
        let shares = shares(&[contender(19.0, 1.0, 1.0), contender(18.0, 12.0, 1.0)], 4_000);
        assert!(shares[1] > 0.002 && shares[1] < 0.03, "{shares:?}");
    }

    #[test]
    fn who_is_not_known_is_tried_up_to_the_bound() {
        let shares = shares(&[contender(95.0, 5.0, 1.0), contender(3.2, 0.8, 1.0)], 4_000);
        assert!(shares[1] > 0.05 && shares[1] < 0.12, "{shares:?}");
    }

    #[test]
    fn the_same_seed_is_the_same_choice() {
        let contenders = [contender(19.0, 1.0, 1.0), contender(19.0, 2.0, 0.98)];
        let choice = |seed| draw(&probabilities(&contenders, &BOUNDS, seed), seed);
        assert!((0..100).all(|seed| choice(seed) == choice(seed)));
        assert!((0..100).any(|seed| choice(seed) == 0) && (0..100).any(|seed| choice(seed) == 1));
    }

    #[test]
    fn what_costs_patience_counts_as_its_weight_says() {
        let shares = shares(&[contender(95.0, 5.0, 1.0), contender(95.0, 5.0, 0.5)], 2_000);
        assert!(shares[1] < 0.03, "{shares:?}");
    }
}
