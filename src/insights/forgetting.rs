//! What is long ago counts for less: by the outcomes since, and by the time since.

/// How fast what was seen is forgotten. What is as old as one of the two half-lives counts half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forgetting {
    /// In outcomes.
    pub outcomes: f64,
    /// In milliseconds.
    pub millis: f64,
}

impl Forgetting {
    /// What one more outcome leaves of what was known, `elapsed` milliseconds after the last.
    #[must_use]
    pub fn factor(&self, elapsed: i64) -> f64 {
        // A clock that was set back makes nothing count for more.
        #[allow(clippy::cast_precision_loss, reason = "milliseconds of centuries are below 2^52")]
        let elapsed = elapsed.max(0) as f64;
        (-(1.0 / self.outcomes) - elapsed / self.millis).exp2()
    }
}

/// A mean of which old values are forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
    pub sum: f64,
    pub weight: f64,
}

impl Mean {
    /// Forgets, then takes a value. One that is no number is left out.
    pub fn take(&mut self, value: f64, factor: f64) {
        if value.is_finite() {
            self.sum = self.sum * factor + value;
            self.weight = self.weight * factor + 1.0;
        }
    }

    /// None before the first value.
    #[must_use]
    pub fn get(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }

    /// Both together, as if one had seen all.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        Self { sum: self.sum + other.sum, weight: self.weight + other.weight }
    }
}
