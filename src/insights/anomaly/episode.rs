/// What made an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All at once, and far.
    Jump,
    /// Little by little, or by little.
    Drift,
    Silence,
}

/// Something unusual that goes on. Values in the metric's own unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Episode {
    pub kind: Kind,
    /// When it began, as far as one can tell, and when it was seen, in milliseconds since the epoch.
    pub since: i64,
    pub at: i64,
    /// What was observed, of what is usual.
    pub value: f64,
    pub expected: f64,
    /// How far the test went, in its own unit, and how far is too far.
    pub deviation: f64,
    pub threshold: f64,
    /// Observations that it took, and all since it began.
    pub observations: u32,
}

/// How an episode went on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    Raised(Episode),
    /// It is as usual again.
    Ended(Episode),
    /// It went on for so long that it is what is usual now.
    Usual(Episode),
}
