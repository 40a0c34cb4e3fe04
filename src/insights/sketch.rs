//! How long an agent's successes take, as a histogram of buckets that grow by a twentieth each.
//!
//! A bucket's middle is within [`ACCURACY`] of all that lies in it, so a quantile is, whatever the distribution. Weights
//! are real numbers: what is long ago counts for less, which none of the published sketches allows for, and that is why
//! this one is our own. Two sketches add up bucket by bucket.

use crate::contract::LatencyBucket;
use std::collections::BTreeMap;

const GROWTH: f64 = LatencyBucket::GROWTH;
/// How far a quantile may be from the true one, as a share of it.
pub const ACCURACY: f64 = (GROWTH - 1.0) / (GROWTH + 1.0);
/// A year. Nothing takes longer.
const LONGEST: f64 = 31_536_000_000.0;
/// What weighs less is dropped: it is below anything that a quantile shows.
const LEAST: f64 = 1e-3;

/// Latencies in milliseconds. At most some 500 buckets, in practice a few dozen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sketch {
    buckets: BTreeMap<i32, f64>,
}

impl Sketch {
    /// From what [`Self::buckets`] gave; what no sketch can hold is left out.
    #[must_use]
    pub fn of(buckets: impl IntoIterator<Item = (i32, f64)>) -> Self {
        let sound = |(index, weight): &(i32, f64)| (0..=index_of(LONGEST)).contains(index) && *weight > 0.0;
        Self { buckets: buckets.into_iter().filter(sound).filter(|(_, weight)| weight.is_finite()).collect() }
    }

    /// Number and weight of each bucket in use, the least latencies first.
    pub fn buckets(&self) -> impl Iterator<Item = (i32, f64)> {
        self.buckets.iter().map(|(index, weight)| (*index, *weight))
    }

    /// Forgets, then takes a latency.
    pub fn take(&mut self, millis: f64, factor: f64) {
        self.buckets.retain(|_, weight| {
            *weight *= factor;
            *weight >= LEAST
        });
        if millis.is_finite() {
            *self.buckets.entry(index_of(millis)).or_default() += 1.0;
        }
    }

    /// Below which latency, in milliseconds, the share `q` (0 to 1) lies; none if nothing was seen.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let total: f64 = self.buckets.values().sum();
        let wanted = q.clamp(0.0, 1.0) * total;
        let mut seen = 0.0;
        let within = |weight: &f64| {
            seen += weight;
            seen >= wanted
        };
        let last = self.buckets.last_key_value().map(|(index, _)| *index);
        // The sum may miss the total by what adding up loses.
        let mut within = within;
        let found = self.buckets.iter().find(|(_, weight)| within(weight)).map(|(index, _)| *index);
        found.or(last).map(LatencyBucket::middle)
    }

    /// Both together, as if one had seen all.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        let mut both = self.clone();
        for (index, weight) in other.buckets() {
            *both.buckets.entry(index).or_default() += weight;
        }
        both
    }
}

/// Bucket n holds what is over `GROWTH^(n-1)` and at most `GROWTH^n` milliseconds; bucket 0 all up to one.
fn index_of(millis: f64) -> i32 {
    #[allow(clippy::cast_possible_truncation, reason = "a year is in bucket 496")]
    let index = (millis.clamp(1.0, LONGEST).ln() / GROWTH.ln()).ceil() as i32;
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exact(sorted: &[f64], q: f64) -> f64 {
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a test's numbers"
        )]
        let place = ((q * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len());
        sorted[place - 1]
    }

    proptest! {
        #[test]
        fn a_quantile_is_as_near_as_promised(mut seen in prop::collection::vec(2.0..1e7_f64, 1..300), q in 0.0..=1.0_f64) {
            let mut sketch = Sketch::default();
            seen.iter().for_each(|millis| sketch.take(*millis, 1.0));
            seen.sort_by(f64::total_cmp);
            let (found, right) = (sketch.quantile(q).expect("something was seen"), exact(&seen, q));
            prop_assert!((found - right).abs() <= right * (ACCURACY + 1e-9), "{found} for {right}");
        }

        #[test]
        fn merged_is_as_if_one_had_seen_all(a in prop::collection::vec(1.0..1e6_f64, 0..100), b in prop::collection::vec(1.0..1e6_f64, 0..100)) {
            let of = |all: &[f64]| {
                let mut sketch = Sketch::default();
                all.iter().for_each(|millis| sketch.take(*millis, 1.0));
                sketch
            };
            let all: Vec<f64> = a.iter().chain(&b).copied().collect();
            prop_assert_eq!(of(&a).merged(&of(&b)), of(&all));
        }

        #[test]
        fn whatever_comes_it_stays_small_and_reads_back(seen in prop::collection::vec(any::<f64>(), 0..500)) {
            let mut sketch = Sketch::default();
            seen.iter().for_each(|millis| sketch.take(*millis, 0.97));
            prop_assert!(sketch.buckets().count() <= 500);
            prop_assert_eq!(Sketch::of(sketch.buckets()), sketch);
        }
    }

    #[test]
    fn what_was_slow_is_forgotten() {
        let mut sketch = Sketch::default();
        (0..100).for_each(|_| sketch.take(9_000.0, 0.97));
        (0..300).for_each(|_| sketch.take(100.0, 0.97));
        assert!(sketch.quantile(0.99).is_some_and(|p99| p99 < 110.0), "{sketch:?}");
        assert_eq!(Sketch::default().quantile(0.5), None);
    }
}
