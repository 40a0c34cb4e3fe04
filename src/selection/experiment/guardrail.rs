use super::difference::Difference;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    Higher,
    Lower,
}

/// What a variant must not do: be worse than the control by more than `tolerated`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guardrail {
    pub better: Better,
    /// In the unit of the number, at least 0.
    pub tolerated: f64,
    /// How likely a variant that keeps to it may be stopped all the same, however often one looks.
    pub level: f64,
}

impl Guardrail {
    /// Whether the variant is clearly worse, and is to be stopped.
    #[must_use]
    pub fn is_broken(&self, difference: &Difference) -> bool {
        // One side of the interval is wrong half as often.
        difference.interval(2.0 * self.level).is_some_and(|(least, most)| match self.better {
            Better::Higher => most < -self.tolerated,
            Better::Lower => least > self.tolerated,
        })
    }
}
