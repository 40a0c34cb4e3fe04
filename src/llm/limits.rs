//! What one provider may be asked for: calls at one time, calls and tokens in any 60 seconds, money in a UTC day.
//!
//! Calls and tokens are counted in a sliding minute and not in a bucket that refills, because a bucket of a minute's size lets
//! twice that through in its first minute. Everything is reserved before a call, by an estimate, and corrected by what the
//! provider reports; what was never reported stays reserved. The day's cost is kept in this process only: a restart starts it
//! at zero, and each worker has its own cap.

use super::codec::Tokens;
use super::settings::Provider;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

/// Cells of one second; one more than the minute, so that a cell's last call is 60 s old when the cell goes.
const CELLS: u64 = 61;

#[derive(Debug)]
pub(super) struct Limits {
    requests_per_minute: Option<u64>,
    tokens_per_minute: Option<u64>,
    daily_cost_cap: Option<u64>,
    prices: Prices,
    slots: Semaphore,
    started: Instant,
    used: Mutex<Used>,
}

#[derive(Debug)]
struct Used {
    /// Oldest first, at most [`CELLS`].
    minute: VecDeque<Cell>,
    day: u64,
    cost: u64,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    second: u64,
    requests: u64,
    tokens: u64,
}

/// Micros per million tokens.
#[derive(Clone, Copy, Debug)]
struct Prices {
    input: u64,
    output: u64,
}

/// Why a call may not be made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It may be made after this time.
    For(Duration),
    /// It takes more tokens than a minute allows.
    TooLarge,
    CostCap,
}

/// What a call will take, until it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reserved {
    second: u64,
    day: u64,
    tokens: u64,
    cost: u64,
}

impl Limits {
    pub(super) fn new(provider: &Provider, now: Instant) -> Self {
        Self {
            requests_per_minute: provider.requests_per_minute.map(u64::from),
            tokens_per_minute: provider.tokens_per_minute,
            daily_cost_cap: provider.daily_cost_cap_micros,
            prices: Prices { input: provider.input_price_micros, output: provider.output_price_micros },
            slots: Semaphore::new((provider.max_in_flight as usize).min(Semaphore::MAX_PERMITS)),
            started: now,
            used: Mutex::new(Used { minute: VecDeque::new(), day: 0, cost: 0 }),
        }
    }

    /// A place among the calls in flight, waited for until `until`.
    pub(super) async fn slot(&self, until: Instant) -> Option<SemaphorePermit<'_>> {
        timeout_at(until, self.slots.acquire()).await.ok()?.ok()
    }

    /// Takes an estimate off the minute and off the `day` (days since 1970, UTC).
    pub(super) fn reserve(&self, estimate: Tokens, now: Instant, day: u64) -> Result<Reserved, Refused> {
        let tokens = estimate.input.saturating_add(estimate.output);
        let cost = self.cost(estimate);
        let second = now.saturating_duration_since(self.started).as_secs();
        let mut used = self.lock();
        if used.day != day {
            (used.day, used.cost) = (day, 0);
        }
        if self.daily_cost_cap.is_some_and(|cap| used.cost.saturating_add(cost) > cap) {
            return Err(Refused::CostCap);
        }
        if self.tokens_per_minute.is_some_and(|limit| tokens > limit) {
            return Err(Refused::TooLarge);
        }
        while used.minute.front().is_some_and(|cell| cell.second + CELLS <= second) {
            used.minute.pop_front();
        }
        if let Some(free_at) = self.free_at(&used.minute, tokens) {
            let at = self.started + Duration::from_secs(free_at);
            return Err(Refused::For(at.saturating_duration_since(now)));
        }
        used.cost = used.cost.saturating_add(cost);
        match used.minute.back_mut().filter(|cell| cell.second == second) {
            Some(cell) => {
                cell.requests += 1;
                cell.tokens = cell.tokens.saturating_add(tokens);
            }
            None => used.minute.push_back(Cell { second, requests: 1, tokens }),
        }
        Ok(Reserved { second, day, tokens, cost })
    }

    /// Puts what a call really took in the place of its estimate.
    pub(super) fn correct(&self, reserved: Reserved, real: Tokens) {
        let mut used = self.lock();
        if let Some(cell) = used.minute.iter_mut().find(|cell| cell.second == reserved.second) {
            cell.tokens =
                cell.tokens.saturating_sub(reserved.tokens).saturating_add(real.input.saturating_add(real.output));
        }
        if used.day == reserved.day {
            used.cost = used.cost.saturating_sub(reserved.cost).saturating_add(self.cost(real));
        }
    }

    /// Micros, rounded up.
    pub(super) fn cost(&self, tokens: Tokens) -> u64 {
        let product = |count: u64, price: u64| u128::from(count) * u128::from(price);
        let micros =
            product(tokens.input, self.prices.input).saturating_add(product(tokens.output, self.prices.output));
        u64::try_from(micros.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }

    /// The second in which one call of `tokens` more fits; none if it fits now.
    fn free_at(&self, minute: &VecDeque<Cell>, tokens: u64) -> Option<u64> {
        let mut requests: u64 = minute.iter().map(|cell| cell.requests).sum();
        let mut taken = minute.iter().fold(0_u64, |sum, cell| sum.saturating_add(cell.tokens));
        let fits = |requests: u64, taken: u64| {
            self.requests_per_minute.is_none_or(|limit| requests < limit)
                && self.tokens_per_minute.is_none_or(|limit| taken.saturating_add(tokens) <= limit)
        };
        let mut free_at = None;
        for cell in minute {
            if fits(requests, taken) {
                break;
            }
            requests -= cell.requests;
            taken = taken.saturating_sub(cell.tokens);
            free_at = Some(cell.second + CELLS);
        }
        free_at
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::Api;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const FREE: Tokens = Tokens { input: 0, output: 0 };

    fn limits(change: impl FnOnce(&mut Provider)) -> (Limits, Instant) {
        let mut provider = Provider::new("p", Api::OpenaiChat, "http://h/v1", "m");
        change(&mut provider);
        let now = Instant::now();
        (Limits::new(&provider, now), now)
    }

    #[test]
    fn no_sixty_seconds_ever_see_more_requests_than_the_limit() {
        let (limits, start) = limits(|provider| provider.requests_per_minute = Some(7));
        let mut allowed = Vec::new();
        for tick in 0..3_000 {
            let now = start + Duration::from_millis(tick * 100);
            if limits.reserve(FREE, now, 1).is_ok() {
                allowed.push(now);
            }
        }
        assert!(allowed.len() >= 4 * 7, "{}", allowed.len());
        for window in allowed.windows(8) {
            assert!(window[7] - window[0] > 60 * SECOND);
        }
        assert!(limits.lock().minute.len() <= CELLS as usize);
    }

    #[test]
    fn a_refusal_says_how_long_to_wait_and_that_wait_is_enough() {
        let (limits, start) = limits(|provider| provider.tokens_per_minute = Some(2_000));
        let ask = Tokens { input: 500, output: 500 };
        limits.reserve(ask, start, 1).unwrap();
        limits.reserve(ask, start + 10 * SECOND, 1).unwrap();
        let now = start + 20 * SECOND;
        assert_eq!(limits.reserve(ask, now, 1).unwrap_err(), Refused::For(41 * SECOND));
        limits.reserve(ask, now + 41 * SECOND, 1).unwrap();
        assert_eq!(limits.reserve(Tokens { input: 2_000, output: 1 }, now, 1).unwrap_err(), Refused::TooLarge);
    }

    #[test]
    fn real_usage_takes_the_place_of_the_estimate() {
        let (limits, start) = limits(|provider| provider.tokens_per_minute = Some(1_000));
        let ask = Tokens { input: 400, output: 600 };
        let reserved = limits.reserve(ask, start, 1).unwrap();
        assert!(limits.reserve(Tokens { input: 1, output: 0 }, start, 1).is_err());
        limits.correct(reserved, Tokens { input: 300, output: 50 });
        limits.reserve(Tokens { input: 650, output: 0 }, start, 1).unwrap();
    }

    #[test]
    fn the_days_cap_counts_what_is_in_flight_and_ends_with_the_day() {
        let (limits, now) = limits(|provider| {
            provider.daily_cost_cap_micros = Some(10);
            provider.input_price_micros = 1_000_000;
            provider.output_price_micros = 2_000_000;
        });
        let ask = Tokens { input: 2, output: 2 };
        assert_eq!(limits.cost(ask), 6);
        let reserved = limits.reserve(ask, now, 1).unwrap();
        assert_eq!(limits.reserve(ask, now, 1).unwrap_err(), Refused::CostCap);
        limits.correct(reserved, Tokens { input: 2, output: 0 });
        limits.reserve(ask, now, 1).unwrap();
        assert_eq!(limits.reserve(ask, now, 1).unwrap_err(), Refused::CostCap);
        limits.reserve(ask, now, 2).unwrap();
        assert_eq!(limits.cost(Tokens { input: u64::MAX, output: u64::MAX }), u64::MAX);
    }
}
