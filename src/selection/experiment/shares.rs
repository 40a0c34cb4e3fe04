//! Whether the arms get the shares they are to get. Where they do not, something is wrong with how tasks are drawn or counted,
//! and nothing else the experiment shows can be trusted.
//!
//! The counts are set against all shares there could be, those near the right ones being the likelier (a Dirichlet mixture:
//! Lindon and Malek, "Anytime-valid inference for multinomial count data"). How much likelier the counts are so is a
//! martingale if the shares are right: it exceeds 1/level at any time with probability `level` at most.

/// How near to the right shares the others lie, in outcomes.
const NEARNESS: f64 = 100.0;

/// Counts by arm.
#[derive(Clone, Debug, PartialEq)]
pub struct Shares {
    wanted: Vec<f64>,
    counts: Vec<u64>,
    /// How much likelier the counts are at other shares, as a logarithm.
    evidence: f64,
    most: f64,
}

impl Shares {
    /// `wanted` are the shares, each above 0; they are taken as parts of their sum.
    #[must_use]
    pub fn new(wanted: &[f64]) -> Self {
        let sum: f64 = wanted.iter().sum();
        let wanted: Vec<f64> = wanted.iter().map(|share| share / sum).collect();
        Self { counts: vec![0; wanted.len()], wanted, evidence: 0.0, most: 0.0 }
    }

    /// Counts one task in the arm of this number; an arm that there is not counts as nothing.
    pub fn take(&mut self, arm: usize) {
        let (Some(wanted), Some(count)) = (self.wanted.get(arm), self.counts.get(arm)) else { return };
        #[allow(clippy::cast_precision_loss, reason = "counts of tasks")]
        let (count, all) = (*count as f64, self.counts.iter().sum::<u64>() as f64);
        self.evidence += ((NEARNESS * wanted + count) / (NEARNESS + all) / wanted).ln();
        self.most = self.most.max(self.evidence);
        self.counts[arm] += 1;
    }

    /// Tasks by arm.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The least level at which the counts contradict the shares, 0 to 1. It may be read at any time.
    #[must_use]
    pub fn p_value(&self) -> f64 {
        (-self.most).exp().min(1.0)
    }
}
