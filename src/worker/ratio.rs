//! Whether too many of a worker's inputs are dead letters: then whoever sends them has most likely changed something, and
//! a person should know before the dead letters are many. The worker stays ready; it does its work.

use crate::workflow::Timestamp;
use std::collections::VecDeque;

/// What is looked at, and in what pieces it is forgotten.
const WINDOW_MS: i64 = 60_000;
const SLOT_MS: i64 = 5_000;
/// Of fewer inputs in the window nothing is said: one bad record of three is no trend.
const ENOUGH: u64 = 20;

/// The share of dead letters among the inputs of the last minute.
///
/// To be told of every committed transaction, and about once a second where there is none, so that an episode also ends
/// in silence:
///
/// ```text
/// match self.ratio.count(now(), inputs, dead) {
///     Some(Turn::Over { dead, inputs }) => {
///         tracing::warn!(dead, inputs, "too many inputs are dead letters; look with `baton dlq list`");
///     }
///     Some(Turn::Within) => tracing::info!("dead letters are few again"),
///     None => {}
/// }
/// self.metrics.dead_letter_ratio.set(self.ratio.share());
/// self.metrics.dead_letters_over_ratio.set(i64::from(self.ratio.is_over()));
/// ```
///
/// `inputs` are all records taken but the forwarded ones, which are judged, and counted, where they live: accepted, stale,
/// duplicate and dead ones.
#[derive(Clone, Debug)]
pub struct DeadLetterRatio {
    limit: f64,
    slots: VecDeque<Slot>,
    over: bool,
}

/// A change, said once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// An episode begins. Of how many inputs how many were dead letters.
    Over { dead: u64, inputs: u64 },
    /// It is over: the share has fallen to half of the limit, so that one about the limit is one episode.
    Within,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    number: i64,
    inputs: u64,
    dead: u64,
}

impl DeadLetterRatio {
    /// `limit` is `worker.dead_letter_ratio`: 0 to 1, where 1 is never over.
    #[must_use]
    pub fn new(limit: f64) -> Self {
        Self { limit, slots: VecDeque::new(), over: false }
    }

    /// Adds what came just now and forgets what is older than the window. A clock that is put back counts as standing.
    pub fn count(&mut self, now: Timestamp, inputs: u64, dead: u64) -> Option<Turn> {
        let number = self.slots.back().map_or(i64::MIN, |last| last.number).max(now.0.div_euclid(SLOT_MS));
        match self.slots.back_mut() {
            Some(last) if last.number == number => {
                last.inputs += inputs;
                last.dead += dead;
            }
            _ => self.slots.push_back(Slot { number, inputs, dead }),
        }
        while self.slots.front().is_some_and(|first| first.number <= number - WINDOW_MS / SLOT_MS) {
            self.slots.pop_front();
        }
        let (inputs, dead) = self.sums();
        let share = self.share();
        if !self.over && inputs >= ENOUGH && share > self.limit {
            self.over = true;
            return Some(Turn::Over { dead, inputs });
        }
        if self.over && share <= self.limit / 2.0 {
            self.over = false;
            return Some(Turn::Within);
        }
        None
    }

    /// Of the window; 0 if nothing came.
    #[must_use]
    pub fn share(&self) -> f64 {
        let (inputs, dead) = self.sums();
        if inputs == 0 { 0.0 } else { dead as f64 / inputs as f64 }
    }

    /// Whether an episode is on.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    fn sums(&self) -> (u64, u64) {
        self.slots.iter().fold((0, 0), |(inputs, dead), slot| (inputs + slot.inputs, dead + slot.dead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_700_000_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(START + seconds * 1_000)
    }

    #[test]
    fn an_episode_is_said_once_and_ends_at_half_of_the_limit() {
        let mut ratio = DeadLetterRatio::new(0.1);
        assert_eq!(ratio.count(at(0), 20, 2), None, "at the limit is not over it");
        assert_eq!(ratio.count(at(1), 10, 2), Some(Turn::Over { dead: 4, inputs: 30 }));
        assert_eq!(ratio.count(at(2), 10, 5), None);
        assert_eq!(ratio.count(at(3), 60, 0), None, "9 of 100 is under the limit and over its half");
        assert!(ratio.is_over());
        assert_eq!(ratio.count(at(4), 80, 0), Some(Turn::Within));
        assert!(!ratio.is_over());
        assert_eq!(ratio.count(at(5), 20, 12), Some(Turn::Over { dead: 21, inputs: 200 }));
    }

    #[test]
    fn of_a_few_inputs_nothing_is_said() {
        let mut ratio = DeadLetterRatio::new(0.1);
        assert_eq!(ratio.count(at(0), 19, 19), None);
        assert_eq!(ratio.count(at(1), 1, 0), Some(Turn::Over { dead: 19, inputs: 20 }));
    }

    #[test]
    fn what_is_older_than_a_minute_is_forgotten_and_silence_ends_an_episode() {
        let mut ratio = DeadLetterRatio::new(0.1);
        assert!(ratio.count(at(0), 100, 50).is_some());
        assert_eq!(ratio.count(at(50), 0, 0), None);
        assert_eq!(ratio.count(at(61), 0, 0), Some(Turn::Within));
        assert!(ratio.share().abs() < f64::EPSILON);
        assert_eq!(ratio.count(at(62), 19, 19), None, "the hundred count no more");
    }

    #[test]
    fn a_clock_that_is_put_back_or_far_ahead_forgets_nothing_too_early_and_keeps_nothing_for_ever() {
        let mut ratio = DeadLetterRatio::new(0.5);
        assert!(ratio.count(at(100), 20, 20).is_some());
        assert_eq!(ratio.count(at(-1_000), 10, 10), None);
        assert!((ratio.share() - 1.0).abs() < f64::EPSILON);
        assert_eq!(ratio.count(at(10_000), 0, 0), Some(Turn::Within));
        assert_eq!(ratio.slots.len(), 1);
    }

    #[test]
    fn a_limit_of_one_is_never_over() {
        assert_eq!(DeadLetterRatio::new(1.0).count(at(0), 1_000, 1_000), None);
    }
}
