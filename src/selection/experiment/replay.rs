//! What another strategy would have come to, from decisions that were made and how they ended: each outcome weighs as much
//! as it is likelier that the other strategy decides so (inverse propensity, self-normalised).

/// A decision weighs so much at most. What is cut off makes the estimate wrong by as much as it shows in
/// [`Estimate::capped`], and steadier.
const HEAVIEST: f64 = 50.0;
/// Standard errors in which the estimate is right 95 times in 100.
const SURE: f64 = 1.96;

/// Why a decision says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("a propensity is above 0 and at most 1")]
    Propensity,
    #[error("the probability of the other strategy is from 0 to 1")]
    Probability,
    #[error("the outcome is no number")]
    Outcome,
}

/// The decisions so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Replay {
    decisions: u32,
    capped: u32,
    weights: f64,
    squares: f64,
    /// Sums of weight × value, weight² × value and weight² × value².
    values: f64,
    mixed: f64,
    value_squares: f64,
}

/// What the other strategy would have come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub value: f64,
    /// Between what it lies, 95 times in 100.
    pub interval: (f64, f64),
    /// The same without normalising: right on average however few decisions there are, and much less steady.
    pub plain: f64,
    pub plain_interval: (f64, f64),
    /// As many decisions made by that strategy itself would say as much. Below some 100 the interval is too narrow.
    pub effective: f64,
    /// About 1 if what the other strategy would choose has been tried often enough. Far below: it would choose what was
    /// never tried, and of that nothing is known.
    pub covered: f64,
    /// Share of the decisions whose weight was cut off.
    pub capped: f64,
}

impl Replay {
    /// Takes a decision: how probable the choice was when it was made, how probable it is with the other strategy, and
    /// what it came to.
    ///
    /// # Errors
    /// [`Unusable`], and then it does not count.
    pub fn take(&mut self, propensity: f64, probability: f64, value: f64) -> Result<(), Unusable> {
        if !(propensity > 0.0 && propensity <= 1.0) {
            return Err(Unusable::Propensity);
        }
        if !(0.0..=1.0).contains(&probability) {
            return Err(Unusable::Probability);
        }
        if !value.is_finite() {
            return Err(Unusable::Outcome);
        }
        let weight = probability / propensity;
        self.decisions = self.decisions.saturating_add(1);
        self.capped = self.capped.saturating_add(u32::from(weight > HEAVIEST));
        let weight = weight.min(HEAVIEST);
        let square = weight * weight;
        self.weights += weight;
        self.squares += square;
        self.values += weight * value;
        self.mixed += square * value;
        self.value_squares += square * value * value;
        Ok(())
    }

    /// None where no decision is one that the other strategy could have made.
    #[must_use]
    pub fn estimate(&self) -> Option<Estimate> {
        if self.weights <= 0.0 {
            return None;
        }
        let value = self.values / self.weights;
        let scatter = (self.value_squares - 2.0 * value * self.mixed + value * value * self.squares).max(0.0);
        let error = SURE * scatter.sqrt() / self.weights;
        let decisions = f64::from(self.decisions);
        let plain = self.values / decisions;
        let variance = (self.value_squares / decisions - plain * plain).max(0.0);
        let plain_error = SURE * (variance / decisions).sqrt();
        Some(Estimate {
            value,
            interval: (value - error, value + error),
            plain,
            plain_interval: (plain - plain_error, plain + plain_error),
            effective: self.weights * self.weights / self.squares,
            covered: self.weights / decisions,
            capped: f64::from(self.capped) / decisions,
        })
    }
}
