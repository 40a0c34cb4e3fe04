//! All chance of a run, from its seed.

use std::cell::RefCell;

#[derive(Debug)]
pub(crate) struct Dice(RefCell<fastrand::Rng>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(RefCell::new(fastrand::Rng::with_seed(seed)))
    }

    /// Below `below`, which is not 0.
    pub(crate) fn pick(&self, below: usize) -> usize {
        self.0.borrow_mut().usize(..below)
    }

    /// One of these.
    pub(crate) fn one<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.pick(of.len())]
    }

    pub(crate) fn percent(&self, percent: usize) -> bool {
        self.pick(100) < percent
    }

    /// Milliseconds, from `least` up to before `most`.
    pub(crate) fn millis(&self, least: i64, most: i64) -> i64 {
        self.0.borrow_mut().i64(least..most)
    }

    /// Whether something happens that does so in a share of so many in a million.
    pub(crate) fn rarely(&self, in_a_million: u32) -> bool {
        self.0.borrow_mut().u32(..1_000_000) < in_a_million
    }
}
