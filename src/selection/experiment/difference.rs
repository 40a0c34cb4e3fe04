//! By how much a variant differs from the control in the mean of a number: success (0 or 1), the logarithm of a latency,
//! a cost.
//!
//! Who takes part in which arm is drawn with known shares. So each outcome gives an estimate of the difference whose
//! mean is right whatever the numbers are distributed like and however they drift: what both arms are expected to give by
//! what was seen before, set right by what this one gave. Their mean has a confidence sequence: an interval that holds
//! the true difference at all times at once (a normal mixture, as in Waudby-Smith et al., "Time-uniform central limit
//! theory and asymptotic confidence sequences").

/// Outcomes of each arm that only tell what to expect, and those before anything is said: the interval rests on a variance
/// that is estimated.
const FIRST: u32 = 5;
const FEW: u32 = 30;
/// The interval is narrowest about so many outcomes.
const BEST_AT: f64 = 1_000.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    Control,
    Variant,
}

/// The outcomes of both arms, to be taken in the order in which they were assigned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Of the variant, above 0 and below 1.
    share: f64,
    /// Outcomes, their mean and their squared deviations, of control and variant.
    counts: [u32; 2],
    means: [f64; 2],
    scatter: [f64; 2],
    /// The same of the estimates.
    estimates: f64,
    mean: f64,
    squares: f64,
}

impl Difference {
    /// `share` is the probability with which the variant is drawn, above 0 and below 1.
    #[must_use]
    pub fn new(share: f64) -> Self {
        let share = share.clamp(0.001, 0.999);
        let (counts, means, scatter) = ([0; 2], [0.0; 2], [0.0; 2]);
        Self { share, counts, means, scatter, estimates: 0.0, mean: 0.0, squares: 0.0 }
    }

    /// Takes an outcome. One that is no number is left out.
    pub fn take(&mut self, arm: Arm, value: f64) {
        if !value.is_finite() {
            return;
        }
        if self.counts.iter().all(|count| *count >= FIRST) {
            let [control, variant] = self.means;
            let estimate = variant - control
                + match arm {
                    Arm::Control => (control - value) / (1.0 - self.share),
                    Arm::Variant => (value - variant) / self.share,
                };
            self.estimates += 1.0;
            let off = estimate - self.mean;
            self.mean += off / self.estimates;
            self.squares += off * (estimate - self.mean);
        }
        let at = arm as usize;
        self.counts[at] = self.counts[at].saturating_add(1);
        let off = value - self.means[at];
        self.means[at] += off / f64::from(self.counts[at]);
        self.scatter[at] += off * (value - self.means[at]);
    }

    /// Of control and variant.
    #[must_use]
    pub fn counts(&self) -> [u32; 2] {
        self.counts
    }

    /// Of control and variant.
    #[must_use]
    pub fn means(&self) -> [f64; 2] {
        self.means
    }

    /// Variant less control.
    #[must_use]
    pub fn estimate(&self) -> f64 {
        self.mean
    }

    /// Between what the difference lies, wrong at any time with probability `level` at most; none before there is enough.
    #[must_use]
    pub fn interval(&self, level: f64) -> Option<(f64, f64)> {
        let (n, variance) = self.settled()?;
        let spread = n * mixing() + 1.0;
        let width = (2.0 * variance * spread / (n * n * mixing()) * (spread.sqrt() / level).ln()).sqrt();
        Some((self.mean - width, self.mean + width))
    }

    /// The least level at which the interval does not hold zero, 0 to 1. Below 0.05: there is a difference. It may be read
    /// at any time.
    #[must_use]
    pub fn p_value(&self) -> f64 {
        let Some((n, variance)) = self.settled() else { return 1.0 };
        let spread = n * mixing() + 1.0;
        let exponent = self.mean * self.mean * n * n * mixing() / (2.0 * variance * spread);
        (spread.sqrt() * (-exponent).exp()).min(1.0)
    }

    /// Estimates and their variance, once there is enough to go by.
    fn settled(&self) -> Option<(f64, f64)> {
        // A small arm may have met nothing rare yet, a failure or what takes long: it scatters as much as both together.
        let both = (self.scatter[0] + self.scatter[1]) / (f64::from(self.counts[0]) + f64::from(self.counts[1]));
        // One that always gave the same, such as failures only, has no scatter: its next outcome may be one as the other arm's.
        let apart = (self.means[1] - self.means[0]).powi(2);
        let of = |at: usize| ((self.scatter[at] + apart) / f64::from(self.counts[at])).max(both);
        let variance = of(0) / (1.0 - self.share) + of(1) / self.share;
        let variance = variance.max(self.squares / self.estimates);
        (self.counts.iter().all(|count| *count >= FEW) && variance > 0.0).then_some((self.estimates, variance))
    }
}

/// The variance of the mixture, in units of one estimate's, that is best at [`BEST_AT`] outcomes and a level of 0.05.
fn mixing() -> f64 {
    let twice = -2.0 * 0.05_f64.ln();
    (twice + (twice + 1.0).ln()) / BEST_AT
}
