//! What an agent was given a step on: what is expected of it, held against what comes, and whether it may be learned from.

/// Of one choice, kept with the step while the agent has it: small, for each live step may hold one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grounds {
    /// The expected rate of success, in ten-thousandths.
    pub success: u16,
    /// None where none of the agent's successes was seen.
    pub latency: Option<Expected>,
    /// The fingerprint of the definition that was chosen by what the task says, where its success says something of such
    /// texts: nobody else would have done as well, and it was not plain before.
    pub teaches: Option<u64>,
}

/// How long an agent is expected to take, in milliseconds: half of its successes at most `median`, nine of ten between
/// `low` and `high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    pub low: u32,
    pub median: u32,
    pub high: u32,
}

impl Grounds {
    /// What `success` is given in.
    pub const UNIT: f64 = 10_000.0;

    /// Of a rate from 0 to 1, and a range in milliseconds: lowest, median and highest.
    #[must_use]
    pub fn new(success: f64, latency: Option<[f64; 3]>) -> Self {
        // Not more than the snapshot's numbers hold: some 25 days.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped; what is no number is 0")]
        let millis = |millis: f64| millis.round().clamp(0.0, f64::from(i32::MAX)) as u32;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as above")]
        let success = (success * Self::UNIT).round().clamp(0.0, Self::UNIT) as u16;
        let latency = latency.map(|range| {
            let [low, median, high] = range.map(millis);
            Expected { low, median, high }
        });
        Self { success, latency, teaches: None }
    }
}
