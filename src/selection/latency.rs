//! How long an agent will take, from how long its successes took.

/// Successes that the wider kind of work counts for in the narrower one, at most.
const WIDER: f64 = 5.0;
/// What lies within the range: nine of ten.
const TAIL: f64 = 0.05;
/// The fewer successes there are, the further the next one lies beyond them: by so many parts of a success.
const FEW: f64 = 2.5;

/// Milliseconds within which nine of ten successes are expected to be, and which half of them take at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LatencyRange {
    pub(super) low: f64,
    pub(super) median: f64,
    pub(super) high: f64,
}

impl LatencyRange {
    /// From latencies in milliseconds with how much each counts, by kind of work, the widest first: all of it, of that
    /// capability, of that type of task. The narrowest counts most: with five successes of its own as much as all else.
    /// None where nothing was seen.
    #[must_use]
    pub(super) fn expected<'a>(kinds: impl IntoIterator<Item = &'a [(f64, f64)]>) -> Option<Self> {
        let mut mixed: Vec<(f64, f64)> = Vec::new();
        for kind in kinds {
            let total: f64 = mixed.iter().map(|(_, weight)| weight).sum();
            let scale = if total > WIDER { WIDER / total } else { 1.0 };
            mixed.iter_mut().for_each(|(_, weight)| *weight *= scale);
            let sound = |(millis, weight): &&(f64, f64)| millis.is_finite() && weight.is_finite() && *weight > 0.0;
            mixed.extend(kind.iter().filter(sound).map(|(millis, weight)| (millis.max(1.0).ln(), *weight)));
        }
        mixed.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total: f64 = mixed.iter().map(|(_, weight)| weight).sum();
        let quantile = |share: f64| {
            let mut seen = 0.0;
            let found = mixed.iter().find(|(_, weight)| {
                seen += weight;
                seen >= share * total
            });
            found.or_else(|| mixed.last()).map(|(logarithm, _)| *logarithm)
        };
        let (low, median, high) = (quantile(TAIL)?, quantile(0.5)?, quantile(1.0 - TAIL)?);
        let widened = 1.0 + FEW / total;
        Some(Self {
            low: (median + (low - median) * widened).exp(),
            median: median.exp(),
            high: (median + (high - median) * widened).exp(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(dice: &mut fastrand::Rng) -> f64 {
        (-2.0 * (1.0 - dice.f64()).ln()).sqrt() * (std::f64::consts::TAU * dice.f64()).cos()
    }

    /// Of 2,000 agents with so many successes, those whose next one lies in the range.
    fn covered(successes: usize) -> usize {
        let within = (0..2_000).filter(|seed| {
            let mut dice = fastrand::Rng::with_seed(*seed);
            let seen: Vec<(f64, f64)> = (0..successes).map(|_| ((6.0 + 0.7 * normal(&mut dice)).exp(), 1.0)).collect();
            let range = LatencyRange::expected([&seen[..]]).expect("something was seen");
            (range.low..=range.high).contains(&(6.0 + 0.7 * normal(&mut dice)).exp())
        });
        within.count()
    }

    #[test]
    fn nine_of_ten_lie_in_the_range_whether_much_was_seen_or_little() {
        for (successes, least, most) in [(5, 1_600, 1_920), (10, 1_700, 1_900), (29, 1_740, 1_880), (200, 1_760, 1_850)]
        {
            let covered = covered(successes);
            assert!((least..=most).contains(&covered), "{covered} of 2,000 after {successes}");
        }
    }

    #[test]
    fn the_narrowest_kind_counts_most_and_the_wider_until_then() {
        let (all, kind) = ([(100.0, 900.0), (120.0, 50.0)], [(4_000.0, 20.0)]);
        let few = [(4_000.0, 2.0)];
        assert_eq!(LatencyRange::expected([&all[..], &few[..]]).map(|range| range.median.round()), Some(100.0));
        assert_eq!(LatencyRange::expected([&all[..], &kind[..]]).map(|range| range.median.round()), Some(4_000.0));
        assert_eq!(LatencyRange::expected([&[(f64::NAN, 1.0), (5.0, -1.0)][..]]), None);
        let range = LatencyRange::expected([&all[..]]).expect("something was seen");
        assert!(range.low <= range.median && range.median <= range.high, "{range:?}");
    }
}
