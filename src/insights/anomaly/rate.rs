//! Whether an agent fails more often than usual: two binomial CUSUMs, which add up how much more likely each outcome is
//! at a higher rate than at the usual one. One waits for a rate two standard deviations of a single outcome higher (a
//! jump), one for two and a half times the odds (a drift). Fewer failures than usual are no anomaly.

use super::episode::{Change, Episode, Kind};
use super::run::Run;

const WARM: u32 = 60;
/// The usual rate rests on so many outcomes, the latest weighing most.
const MEMORY: f64 = 1_000.0;
/// Before anything is seen: failures and outcomes that count as if they had been.
const PRIOR: (f64, f64) = (1.0, 20.0);
/// A usual rate is taken for at least so much.
const LEAST: f64 = 0.01;
const JUMP_DEVIATIONS: f64 = 2.0;
const DRIFT_ODDS: f64 = 2.5;
/// The sum that is too much: the logarithm of how many outcomes there are to be between two false alarms, and some more,
/// as the usual rate is only estimated.
pub(super) const TOO_MUCH: f64 = 10.0;
/// How much evidence it takes, as a logarithm of odds, that the rate is the usual one again.
const RECOVERED: f64 = 7.0;
/// An episode of so many outcomes is what is usual now.
const LONGEST: u32 = 1_000;

/// What is usual of an agent's failures, and whether it still is so.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    pub seen: u32,
    /// Failures and all outcomes, what is long ago counting for less.
    pub failures: f64,
    pub outcomes: f64,
    pub jump: Run,
    pub drift: Run,
    /// In an episode: what speaks for its end.
    pub recovered: f64,
    pub episode: Option<Episode>,
}

impl Rate {
    /// Takes an outcome that was observed at `at`, in milliseconds since the epoch.
    pub fn take(&mut self, failed: bool, at: i64) -> Option<Change> {
        self.seen = self.seen.saturating_add(1);
        let usual = self.usual();
        if self.episode.is_some() {
            return self.go_on(failed, usual);
        }
        // What is not known well is taken for higher than it seems.
        let (mean, total) = (usual, self.outcomes + PRIOR.1);
        let from = (mean + (mean * (1.0 - mean) / total).sqrt()).clamp(LEAST, 1.0 - LEAST);
        let jump_to = (from + JUMP_DEVIATIONS * (from * (1.0 - from)).sqrt()).min(1.0 - (1.0 - from) / 4.0);
        let odds = DRIFT_ODDS * from / (1.0 - from);
        let drift_to = odds / (1.0 + odds);
        let observed = f64::from(failed);
        self.jump.take(observed, evidence(failed, from, jump_to), at);
        self.drift.take(observed, evidence(failed, from, drift_to), at);
        // What may be a change already does not make itself the usual.
        if self.seen <= WARM || self.jump.sum.max(self.drift.sum) < TOO_MUCH / 2.0 {
            let keep = 1.0 - 1.0 / MEMORY;
            self.failures = self.failures * keep + observed;
            self.outcomes = self.outcomes * keep + 1.0;
        }
        if self.seen <= WARM {
            return None;
        }
        let (run, least) = if self.jump.sum > TOO_MUCH {
            (self.jump, jump_to)
        } else if self.drift.sum > TOO_MUCH {
            (self.drift, drift_to)
        } else {
            return None;
        };
        (self.jump, self.drift, self.recovered) = (Run::default(), Run::default(), 0.0);
        let value = run.mean().max(least);
        let episode = Episode {
            kind: if value >= jump_to { Kind::Jump } else { Kind::Drift },
            since: run.since,
            at,
            value,
            expected: usual,
            deviation: run.sum,
            threshold: TOO_MUCH,
            observations: run.observations,
        };
        self.episode = Some(episode);
        Some(Change::Raised(episode))
    }

    /// The expected rate of failures, 0 to 1.
    fn usual(&self) -> f64 {
        (self.failures + PRIOR.0) / (self.outcomes + PRIOR.1)
    }

    fn go_on(&mut self, failed: bool, usual: f64) -> Option<Change> {
        let episode = self.episode.as_mut()?;
        episode.observations = episode.observations.saturating_add(1);
        let episode = *episode;
        let (from, to) = (episode.value.clamp(LEAST, 1.0 - LEAST), usual.clamp(LEAST, 1.0 - LEAST));
        self.recovered = (self.recovered + evidence(failed, from, to)).max(0.0);
        if self.recovered >= RECOVERED {
            self.episode = None;
            return Some(Change::Ended(Episode { value: usual, ..episode }));
        }
        if episode.observations >= LONGEST {
            *self = Self::default();
            return Some(Change::Usual(episode));
        }
        None
    }
}

/// How much more likely an outcome is at the rate `to` than at `from`, as a logarithm.
fn evidence(failed: bool, from: f64, to: f64) -> f64 {
    if failed { (to / from).ln() } else { ((1.0 - to) / (1.0 - from)).ln() }
}
