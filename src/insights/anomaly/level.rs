//! Whether a number of which there is one per outcome is as usual: two tests over the same standardised values.
//!
//! - **Jump**: their exponentially weighted mean (EWMA) is too many of its own standard deviations from zero.
//! - **Drift**: a CUSUM to each side; it adds up what is beyond half a standard deviation. What it finds two deviations off
//!   is a jump too.
//!
//! Values are logarithms, and no single one counts for more than [`WIDEST`] standard deviations: latencies have heavy
//! tails. Mean and deviation of what is usual are learned with the same limit, so that whatever the distribution, the
//! limited values have mean 0 and variance 1. Values that resemble the ones before them say less; so the deviation is
//! widened by how much they do.

use super::episode::{Change, Episode, Kind};
use super::run::Run;

/// An observation counts for so many standard deviations at most.
const WIDEST: f64 = 4.0;
/// Observations that are taken as they come, to learn from; and those before anything is judged.
const FIRST: u32 = 20;
const WARM: u32 = 60;
/// What is usual rests on so many observations, the latest weighing most.
const MEMORY: f64 = 1_000.0;
/// What a new value weighs in the EWMA.
const LATELY: f64 = 0.2;
/// Its standard deviation when values are independent.
const LATELY_DEVIATION: f64 = 1.0 / 3.0;
/// Standard deviations of the EWMA that are a jump.
pub(super) const JUMP: f64 = 6.0;
/// Half of the shift that a CUSUM is to find, in standard deviations, and the sum that is a drift.
const SLACK: f64 = 0.5;
pub(super) const DRIFT: f64 = 14.0;
/// Standard deviations that are far.
const FAR: f64 = 2.0;
/// How much evidence it takes, as a logarithm of odds, that the values are as usual again and not one deviation off.
const RECOVERED: f64 = 8.0;
/// More of the variance than this is never put down to resemblance.
const RESEMBLING: f64 = 0.8;
/// Where values hardly differ, a difference of so much (a tenth, they are logarithms) is no anomaly yet.
const LEAST_DEVIATION: f64 = 0.1;
/// An episode of so many observations is what is usual now.
const LONGEST: u32 = 1_000;

/// What is usual of one number, and whether it still is so.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Level {
    pub seen: u32,
    /// Mean and variance of the logarithms that are usual.
    pub usual: f64,
    pub variance: f64,
    /// How much a value resembles the one before it, -1 to 1.
    pub resemblance: f64,
    /// The last value and the EWMA, standardised.
    pub last: f64,
    pub lately: f64,
    pub rise: Run,
    pub fall: Run,
    /// In an episode: what speaks for its end.
    pub recovered: f64,
    pub episode: Option<Episode>,
}

impl Level {
    /// Takes a value of at least 0, which was observed at `at`, in milliseconds since the epoch. Differences that are
    /// small beside `grain` hardly count.
    pub fn take(&mut self, value: f64, grain: f64, at: i64) -> Option<Change> {
        let value = (value + grain).ln();
        if !value.is_finite() {
            return None;
        }
        self.seen = self.seen.saturating_add(1);
        let share = (1.0 / f64::from(self.seen)).max(1.0 / MEMORY);
        if self.seen <= FIRST {
            let off = value - self.usual;
            self.usual += share * off;
            self.variance += share * (off * (value - self.usual) - self.variance);
            return None;
        }
        let z = ((value - self.usual) / self.deviation()).clamp(-WIDEST, WIDEST);
        self.lately += LATELY * (z - self.lately);
        if self.episode.is_some() {
            return self.go_on(z, grain);
        }
        let found = self.judge(value, z, grain, at);
        self.usual += share * self.deviation() * z;
        // What may be a change already teaches nothing of how much values scatter.
        if self.rise.sum.max(self.fall.sum) < DRIFT / 2.0 {
            self.variance = self.variance.max(LEAST_DEVIATION.powi(2)) * (1.0 + share * (z * z - 1.0));
            self.resemblance += share * (z * self.last - self.resemblance);
        }
        self.last = z;
        self.episode = found;
        found.map(Change::Raised)
    }

    fn judge(&mut self, value: f64, z: f64, grain: f64, at: i64) -> Option<Episode> {
        let widened = z / self.widening();
        // What is usual is known the less well the fewer values there were.
        let unsure = 1.0 / f64::from(self.seen).min(MEMORY);
        let slack = SLACK + unsure.sqrt() / 2.0;
        self.rise.take(value, widened - slack, at);
        self.fall.take(value, -widened - slack, at);
        if self.seen <= WARM {
            return None;
        }
        let jump = self.lately / self.widening() / (LATELY_DEVIATION.powi(2) + unsure).sqrt();
        let is_jump = jump.abs() > JUMP;
        let rises = if is_jump { jump > 0.0 } else { self.rise.sum > self.fall.sum };
        let run = if rises { self.rise } else { self.fall };
        let (deviation, threshold) = if is_jump { (jump.abs(), JUMP) } else { (run.sum, DRIFT) };
        if deviation <= threshold {
            return None;
        }
        // Whichever test was the first: what is far off has jumped.
        let is_far = is_jump || (run.mean() - self.usual).abs() > FAR * self.deviation();
        (self.rise, self.fall, self.recovered) = (Run::default(), Run::default(), 0.0);
        Some(Episode {
            kind: if is_far { Kind::Jump } else { Kind::Drift },
            since: if run.observations == 0 { at } else { run.since },
            at,
            value: natural(run.mean(), grain),
            expected: natural(self.usual, grain),
            deviation,
            threshold,
            observations: run.observations.max(1),
        })
    }

    fn go_on(&mut self, z: f64, grain: f64) -> Option<Change> {
        let episode = self.episode.as_mut()?;
        episode.observations = episode.observations.saturating_add(1);
        let episode = *episode;
        let off = if episode.value < episode.expected { -z } else { z };
        self.recovered = (self.recovered + 0.5 - off / self.widening()).max(0.0);
        if self.recovered >= RECOVERED {
            let value = natural(self.usual + self.lately * self.deviation(), grain);
            (self.episode, self.last) = (None, z);
            return Some(Change::Ended(Episode { value, ..episode }));
        }
        if episode.observations >= LONGEST {
            *self = Self::default();
            return Some(Change::Usual(episode));
        }
        None
    }

    fn deviation(&self) -> f64 {
        self.variance.sqrt().max(LEAST_DEVIATION)
    }

    /// By how much a mean of values that resemble each other scatters more than one of independent ones.
    fn widening(&self) -> f64 {
        let resemblance = self.resemblance.clamp(0.0, RESEMBLING);
        ((1.0 + resemblance) / (1.0 - resemblance)).sqrt()
    }
}

/// The value of which this is the logarithm.
fn natural(logarithm: f64, grain: f64) -> f64 {
    (logarithm.exp() - grain).max(0.0)
}
