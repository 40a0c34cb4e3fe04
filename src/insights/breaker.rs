//! The circuit breaker of one agent: whether it is given work at all.
//!
//! ```text
//!             too many failures                 the wait is over
//!   CLOSED ───────────────────────▶ OPEN ───────────────────────▶ HALF_OPEN
//!     ▲                              ▲    wait doubled, to a cap      │  │
//!     │                              └────────── a probe failed ──────┘  │
//!     └─────────────────────── probes in a row succeeded ────────────────┘
//! ```
//!
//! It closes on better evidence than it takes to stay closed, and forgets how often it opened only after it has held for
//! a while: an agent at the edge is tried less and less often instead of flapping.

use super::statistics::{Observation, Verdict, verdict};

/// When a breaker opens and closes. Times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerRules {
    /// Share of failures among the latest outcomes that opens it, 0 to 1.
    pub failures: f64,
    /// Outcomes it takes for that share to count.
    pub least: u32,
    /// Failures in a row that open it, if a success should have come meanwhile.
    pub in_a_row: u32,
    pub first_wait: i64,
    pub longest_wait: i64,
    /// Assignments at once while it is half open, and successes in a row that close it.
    pub probes: u32,
}

impl Default for BreakerRules {
    fn default() -> Self {
        Self { failures: 0.6, least: 10, in_a_row: 6, first_wait: 10_000, longest_wait: 600_000, probes: 2 }
    }
}

/// Among the latest outcomes one that lies so many outcomes back counts half.
const HALF_LIFE: f64 = 15.0;
/// Outcomes that must go well enough before it is forgotten how often the breaker opened.
const SETTLED: u32 = 50;
/// How long a partition may probe before the next one has its turn: nobody there may have work for the agent.
const TURN: i64 = 5_000;
/// Failures are quick: of many assignments under way they come first, all in a row. So a row must last as long as a success
/// usually takes, but no longer than this.
const ROW: i64 = 5_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    #[default]
    Closed,
    /// Nothing is given to the agent before `until`.
    Open { until: i64 },
    /// A few assignments are, from one partition at a time.
    HalfOpen,
}

/// The state of a breaker; the agent's own part of all that opens it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Breaker {
    pub phase: Phase,
    /// When the phase began.
    pub since: i64,
    /// Why it is open, in words; kept while it is half open.
    pub reason: String,
    /// Times it opened since it last held: the wait doubles with each.
    pub openings: u32,
    /// While half open: which partition's turn it is, counted from the first.
    pub turn: u32,
    /// When the turn began.
    pub turned: i64,
    /// While half open: probes that succeeded.
    pub passed: u32,
    /// The latest outcomes, forgotten by outcomes.
    pub good: f64,
    pub bad: f64,
    /// Outcomes since it last closed.
    pub seen: u32,
    /// Failures in a row.
    pub failed: u32,
    /// When the first of them came, as the outcomes have it.
    pub failed_since: i64,
    /// Assignments in a row that nobody took.
    pub unheard: u32,
}

impl Breaker {
    /// Takes an outcome. `usual` is how long a success takes, in milliseconds. Whether the phase changed.
    pub fn take(&mut self, seen: &Observation, usual: i64, now: i64, rules: &BreakerRules) -> bool {
        let (verdict, class) = (verdict(seen.class), seen.class.symbol());
        self.unheard = match verdict {
            Verdict::Unheard => self.unheard.saturating_add(1),
            // Work that was withdrawn says nothing of whether anybody is there.
            Verdict::Nothing => self.unheard,
            Verdict::Good | Verdict::Bad | Verdict::Overloaded | Verdict::Neither => 0,
        };
        match self.phase {
            Phase::Closed => self.take_closed(verdict, seen, usual, now, rules),
            // What was given before says nothing new.
            Phase::Open { .. } => false,
            Phase::HalfOpen if seen.at - seen.latency_ms < self.since => false,
            Phase::HalfOpen => match verdict {
                Verdict::Good => {
                    self.passed += 1;
                    self.turned = now;
                    let closes = self.passed >= rules.probes;
                    if closes {
                        self.close(now);
                    }
                    closes
                }
                Verdict::Bad => self.open(format!("a probe failed ({class})"), now, rules),
                Verdict::Unheard => self.open("nobody took a probe".to_owned(), now, rules),
                Verdict::Overloaded | Verdict::Neither | Verdict::Nothing => false,
            },
        }
    }

    fn take_closed(
        &mut self,
        verdict: Verdict,
        seen: &Observation,
        usual: i64,
        now: i64,
        rules: &BreakerRules,
    ) -> bool {
        match verdict {
            Verdict::Good | Verdict::Bad => {}
            // A full queue is no failure; but where nothing at all is taken, nobody is there.
            Verdict::Unheard if self.unheard >= rules.in_a_row => {
                return self.open(format!("nobody took the last {} assignments", self.unheard), now, rules);
            }
            Verdict::Unheard | Verdict::Overloaded | Verdict::Neither | Verdict::Nothing => return false,
        }
        let factor = (-1.0 / HALF_LIFE).exp2();
        let is_bad = verdict == Verdict::Bad;
        self.good = self.good * factor + f64::from(!is_bad);
        self.bad = self.bad * factor + f64::from(is_bad);
        self.seen = self.seen.saturating_add(1);
        self.failed_since = if self.failed == 0 { seen.at } else { self.failed_since };
        self.failed = if is_bad { self.failed.saturating_add(1) } else { 0 };
        let class = seen.class.symbol();
        let share = self.bad / (self.good + self.bad);
        if is_bad && self.failed >= rules.in_a_row && seen.at - self.failed_since >= usual.min(ROW) {
            return self.open(format!("{} failures in a row, last {class}", self.failed), now, rules);
        }
        if is_bad && self.seen >= rules.least && share >= rules.failures {
            let percent = share * 100.0;
            return self.open(format!("{percent:.0} % of the latest outcomes are failures, last {class}"), now, rules);
        }
        if self.seen >= SETTLED && share < rules.failures / 2.0 {
            self.openings = 0;
        }
        false
    }

    /// Half open if the wait is over, and the next partition's turn if this one's probes nothing. Whether anything changed.
    ///
    /// `turn` is how long a probe takes at least to show, in milliseconds.
    pub fn tick(&mut self, now: i64, turn: i64) -> bool {
        match self.phase {
            Phase::Open { until } if until <= now => {
                (self.phase, self.since, self.turned) = (Phase::HalfOpen, now, now);
                (self.turn, self.passed) = (0, 0);
                true
            }
            Phase::HalfOpen if now.saturating_sub(self.turned) >= turn.max(TURN) => {
                (self.turn, self.turned) = (self.turn.wrapping_add(1), now);
                true
            }
            Phase::Closed | Phase::Open { .. } | Phase::HalfOpen => false,
        }
    }

    fn open(&mut self, reason: String, now: i64, rules: &BreakerRules) -> bool {
        let doublings = self.openings.min(40);
        let wait = rules.first_wait.saturating_mul(1_i64 << doublings).min(rules.longest_wait);
        *self = Self {
            phase: Phase::Open { until: now.saturating_add(wait) },
            since: now,
            reason,
            openings: self.openings.saturating_add(1),
            unheard: self.unheard,
            ..Self::default()
        };
        true
    }

    fn close(&mut self, now: i64) {
        *self = Self { since: now, openings: self.openings, ..Self::default() };
    }
}
