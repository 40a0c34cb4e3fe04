/// What is believed of an agent's rate of success: a Beta distribution over a uniform prior, whose counts are forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Posterior {
    /// Successes and failures, what is long ago counting for less.
    pub successes: f64,
    pub failures: f64,
}

impl Posterior {
    /// Forgets, then counts one outcome.
    pub fn take(&mut self, succeeded: bool, factor: f64) {
        self.successes = self.successes * factor + f64::from(succeeded);
        self.failures = self.failures * factor + f64::from(!succeeded);
    }

    /// How many outcomes the belief rests on.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.successes + self.failures
    }

    /// The expected rate, 0 to 1; one half where nothing is known.
    #[must_use]
    pub fn mean(&self) -> f64 {
        (self.successes + 1.0) / (self.weight() + 2.0)
    }

    /// The standard deviation of the rate.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        let (mean, total) = (self.mean(), self.weight() + 2.0);
        (mean * (1.0 - mean) / (total + 1.0)).sqrt()
    }

    /// Both together, as if one had seen all.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        Self { successes: self.successes + other.successes, failures: self.failures + other.failures }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_seen_is_one_half_and_much_seen_is_its_share() {
        let mut posterior = Posterior::default();
        assert!((posterior.mean() - 0.5).abs() < 1e-9);
        for n in 0..1_000 {
            posterior.take(n % 10 != 0, 1.0);
        }
        assert!((posterior.mean() - 0.9).abs() < 0.005, "{posterior:?}");
        assert!(posterior.deviation() < 0.01);
    }
}
