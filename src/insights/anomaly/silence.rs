//! Whether heartbeats stay away for longer than is usual of this agent. One that sends none is never silent: what nobody
//! takes opens its circuit breaker.

use super::episode::{Change, Episode, Kind};

/// Intervals it takes to know what is usual.
const WARM: u32 = 5;
/// What is usual rests on so many intervals, the latest weighing most.
const MEMORY: f64 = 100.0;
/// Deviations of the logarithm of the interval that are too long, what one interval counts for at most, and the least
/// that a deviation is taken for: four and a half times the usual is too long for the most regular.
const TOO_LONG: f64 = 5.0;
const WIDEST: f64 = 3.0;
const LEAST_DEVIATION: f64 = 0.3;

/// The intervals between an agent's heartbeats, of all its instances together. Times in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Silence {
    /// The last heartbeat, by the broker's clock.
    pub heard: i64,
    pub seen: u32,
    /// Mean and variance of the logarithms of the intervals.
    pub usual: f64,
    pub variance: f64,
    pub episode: Option<Episode>,
}

impl Silence {
    /// Takes when an instance was last heard of, and judges the silence at `now`, both by the broker's clock. Shorter than
    /// `at_least` it is none.
    pub fn listen(&mut self, heard: i64, now: i64, at_least: i64) -> Option<Change> {
        if heard > self.heard {
            let interval = millis(heard - self.heard);
            let was_known = std::mem::replace(&mut self.heard, heard) > 0;
            if let Some(episode) = self.episode.take() {
                return Some(Change::Ended(Episode { value: interval, ..episode }));
            }
            if was_known {
                self.learn(interval.max(1.0).ln());
            }
        }
        let silence = millis(now - self.heard);
        let deviation = self.variance.sqrt().max(LEAST_DEVIATION);
        let threshold = (self.usual + TOO_LONG * deviation).exp().max(millis(at_least));
        if self.episode.is_some() || self.seen < WARM || silence <= threshold {
            return None;
        }
        let episode = Episode {
            kind: Kind::Silence,
            since: self.heard,
            at: now,
            value: silence,
            expected: self.usual.exp(),
            deviation: silence,
            threshold,
            observations: 1,
        };
        self.episode = Some(episode);
        Some(Change::Raised(episode))
    }

    fn learn(&mut self, interval: f64) {
        self.seen = self.seen.saturating_add(1);
        let share = (1.0 / f64::from(self.seen)).max(1.0 / MEMORY);
        let widest = WIDEST * self.variance.sqrt().max(LEAST_DEVIATION);
        let off = interval - self.usual;
        let off = if self.seen == 1 { off } else { off.clamp(-widest, widest) };
        self.usual += share * off;
        self.variance += share * ((1.0 - share) * off * off - self.variance);
        if self.seen == 1 {
            self.variance = 0.0;
        }
    }
}

fn millis(time: i64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "milliseconds of centuries are below 2^52")]
    let millis = time.max(0) as f64;
    millis
}
