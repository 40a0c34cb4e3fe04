/// One side of a CUSUM: what speaks for a change, added up since nothing last spoke for one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Run {
    pub sum: f64,
    /// Observations since it began, all that was observed in them, and when the first of them was.
    pub observations: u32,
    pub total: f64,
    pub since: i64,
}

impl Run {
    /// Adds what an observation at `at` says for the change; what speaks against it ends the run, once it outweighs.
    pub fn take(&mut self, observed: f64, evidence: f64, at: i64) {
        let sum = self.sum + evidence;
        if sum <= 0.0 {
            *self = Self::default();
            return;
        }
        if self.observations == 0 {
            self.since = at;
        }
        (self.sum, self.total) = (sum, self.total + observed);
        self.observations = self.observations.saturating_add(1);
    }

    /// What was observed in it.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.total / f64::from(self.observations.max(1))
    }
}
