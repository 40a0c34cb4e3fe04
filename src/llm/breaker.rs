//! Whether an endpoint is worth a call. Closed, until calls fail in a row or one shows a fault of configuration; then open for
//! a time that doubles with each opening; then half open: one call goes through, and what it meets closes or opens again.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Failures in a row that open. More than the calls one question usually makes, so that one bad moment is survived.
const FAILURES: u32 = 5;
const LONGEST_FAILING: Duration = Duration::from_secs(300);
const LONGEST_MISCONFIGURED: Duration = Duration::from_secs(1800);
/// The longest pause a provider may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// How long an endpoint is left alone at first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    pub(super) failing: Duration,
    /// Longer: somebody has to change something.
    pub(super) misconfigured: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self { failing: Duration::from_secs(5), misconfigured: Duration::from_secs(60) }
    }
}

/// Why a breaker is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Failing,
    Misconfigured,
    /// The provider asked to be left alone for a time.
    RateLimited,
}

/// What a call told about its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Healthy,
    Failing,
    Misconfigured,
    LeaveAlone(Duration),
    Nothing,
}

#[derive(Debug)]
pub(super) struct Breaker {
    waits: Waits,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Grows with each change of phase: a call that started before tells nothing about the phase after.
    epoch: u64,
    failures: u32,
    openings: u32,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed,
    Open {
        until: Instant,
        cause: Cause,
    },
    /// One call is on its way.
    Probing {
        cause: Cause,
    },
}

impl Breaker {
    pub(super) fn new(waits: Waits) -> Self {
        Self { waits, state: Mutex::new(State { phase: Phase::Closed, epoch: 0, failures: 0, openings: 0 }) }
    }

    /// Why no call may be made now; none if one may.
    pub(super) fn refusal(&self, now: Instant) -> Option<Cause> {
        match self.lock().phase {
            Phase::Open { until, cause } if now < until => Some(cause),
            Phase::Probing { cause } => Some(cause),
            Phase::Closed | Phase::Open { .. } => None,
        }
    }

    /// Leave for one call; in the half-open phase for one at a time.
    pub(super) fn admit(&self, now: Instant) -> Result<Pass<'_>, Cause> {
        if let Some(cause) = self.refusal(now) {
            return Err(cause);
        }
        let mut state = self.lock();
        match state.phase {
            Phase::Closed => {}
            Phase::Probing { cause } => return Err(cause),
            Phase::Open { until, cause } if now < until => return Err(cause),
            Phase::Open { cause, .. } => state.turn(Phase::Probing { cause }),
        }
        Ok(Pass { breaker: self, epoch: state.epoch, admitted: now, settled: false })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change below is a few assignments, whole even if a thread died between two.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, state: &mut State, cause: Cause, now: Instant) -> Duration {
        let (first, longest) = match cause {
            Cause::Misconfigured => (self.waits.misconfigured, LONGEST_MISCONFIGURED),
            Cause::Failing | Cause::RateLimited => (self.waits.failing, LONGEST_FAILING),
        };
        let wait = first.saturating_mul(1 << state.openings.min(16)).min(longest);
        state.openings = state.openings.saturating_add(1);
        state.turn(Phase::Open { until: now + wait, cause });
        wait
    }
}

impl State {
    fn turn(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch += 1;
        self.failures = 0;
    }
}

/// Leave for one call. Dropped without a word, a probe's place goes to the next.
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    epoch: u64,
    admitted: Instant,
    settled: bool,
}

impl fmt::Debug for Pass<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl Pass<'_> {
    /// Whether the phase is still the one this leave was given in.
    pub(super) fn still_holds(&self) -> bool {
        self.breaker.lock().epoch == self.epoch
    }

    /// Says what the call met. Returns for how long and why the breaker opened, if it did.
    pub(super) fn settle(mut self, told: Told, now: Instant) -> Option<(Cause, Duration)> {
        self.settled = true;
        let mut state = self.breaker.lock();
        if state.epoch != self.epoch {
            return None;
        }
        match (told, state.phase) {
            (Told::Healthy, phase) => {
                state.failures = 0;
                state.openings = 0;
                if !matches!(phase, Phase::Closed) {
                    state.turn(Phase::Closed);
                }
                None
            }
            (Told::Misconfigured, _) => {
                Some((Cause::Misconfigured, self.breaker.open(&mut state, Cause::Misconfigured, now)))
            }
            (Told::LeaveAlone(pause), _) => {
                let pause = pause.min(LONGEST_PAUSE);
                state.turn(Phase::Open { until: now + pause, cause: Cause::RateLimited });
                Some((Cause::RateLimited, pause))
            }
            (Told::Failing, Phase::Closed) => {
                state.failures += 1;
                (state.failures >= FAILURES)
                    .then(|| (Cause::Failing, self.breaker.open(&mut state, Cause::Failing, now)))
            }
            (Told::Failing, _) => Some((Cause::Failing, self.breaker.open(&mut state, Cause::Failing, now))),
            (Told::Nothing, Phase::Probing { cause }) => {
                state.turn(Phase::Open { until: now, cause });
                None
            }
            (Told::Nothing, _) => None,
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let mut state = self.breaker.lock();
        if let (Phase::Probing { cause }, true) = (state.phase, state.epoch == self.epoch) {
            state.turn(Phase::Open { until: self.admitted, cause });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn fail(breaker: &Breaker, now: Instant) -> Option<(Cause, Duration)> {
        breaker.admit(now).unwrap().settle(Told::Failing, now)
    }

    fn opened(now: Instant) -> Breaker {
        let breaker = Breaker::new(Waits::default());
        for _ in 1..FAILURES {
            assert_eq!(fail(&breaker, now), None);
        }
        assert_eq!(fail(&breaker, now), Some((Cause::Failing, 5 * SECOND)));
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_a_success_between_starts_the_count_again() {
        let now = Instant::now();
        let breaker = Breaker::new(Waits::default());
        for _ in 0..3 {
            for _ in 1..FAILURES {
                assert_eq!(fail(&breaker, now), None);
            }
            breaker.admit(now).unwrap().settle(Told::Healthy, now);
        }
        assert_eq!(opened(now).admit(now + 4 * SECOND).unwrap_err(), Cause::Failing);
    }

    #[test]
    fn half_open_lets_one_call_through_and_its_result_decides() {
        let now = Instant::now();
        let breaker = opened(now);
        let later = now + 5 * SECOND;
        let probe = breaker.admit(later).unwrap();
        assert_eq!(breaker.admit(later).unwrap_err(), Cause::Failing, "one probe at a time");
        assert_eq!(probe.settle(Told::Failing, later), Some((Cause::Failing, 10 * SECOND)), "the wait grows");
        assert_eq!(breaker.refusal(later + 9 * SECOND), Some(Cause::Failing));
        let last = later + 10 * SECOND;
        breaker.admit(last).unwrap().settle(Told::Healthy, last);
        let (one, two) = (breaker.admit(last).unwrap(), breaker.admit(last).unwrap());
        assert!(one.still_holds() && two.still_holds(), "closed: as many as come");
    }

    #[test]
    fn a_probe_that_was_given_up_leaves_its_place_to_the_next() {
        let now = Instant::now();
        let breaker = opened(now);
        let later = now + 5 * SECOND;
        drop(breaker.admit(later).unwrap());
        assert_eq!(breaker.admit(later).unwrap().settle(Told::Nothing, later), None);
        breaker.admit(later).unwrap();
    }

    #[test]
    fn a_call_from_before_the_opening_changes_nothing() {
        let now = Instant::now();
        let breaker = Breaker::new(Waits::default());
        let early = breaker.admit(now).unwrap();
        assert_eq!(
            breaker.admit(now).unwrap().settle(Told::Misconfigured, now),
            Some((Cause::Misconfigured, 60 * SECOND))
        );
        assert!(!early.still_holds());
        early.settle(Told::Healthy, now);
        assert_eq!(breaker.refusal(now + 59 * SECOND), Some(Cause::Misconfigured));
    }

    #[test]
    fn waits_grow_to_a_bound_and_a_pause_asked_for_has_one_too() {
        let mut now = Instant::now();
        let breaker = opened(now);
        let mut wait = 5 * SECOND;
        for _ in 0..40 {
            now += wait;
            wait = fail(&breaker, now).unwrap().1;
        }
        assert_eq!(wait, LONGEST_FAILING);
        now += wait;
        let told = breaker.admit(now).unwrap().settle(Told::LeaveAlone(Duration::MAX), now);
        assert_eq!(told, Some((Cause::RateLimited, LONGEST_PAUSE)));
    }
}
