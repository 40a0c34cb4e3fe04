//! When a failed call may be made again: the rules of the official clients.

use reqwest::header::HeaderMap;
use std::time::{Duration, SystemTime};

/// The longest wait between two calls that nobody asked for.
const LONGEST: Duration = Duration::from_secs(8);

/// What a response says about trying again.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Advice {
    pub(super) after: Option<Duration>,
    /// `x-should-retry`, which beats the status.
    pub(super) should: Option<bool>,
}

impl Advice {
    pub(super) fn read(headers: &HeaderMap, now: SystemTime) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let millis = text("retry-after-ms").and_then(|text| text.parse::<f64>().ok()).map(|millis| millis / 1000.0);
        let seconds = || text("retry-after").and_then(|text| text.parse::<f64>().ok());
        let date = || {
            let date = httpdate::parse_http_date(text("retry-after")?).ok()?;
            Some(date.duration_since(now).unwrap_or_default().as_secs_f64())
        };
        let after = millis
            .or_else(seconds)
            .or_else(date)
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            // "At once" is what an overloaded server says when it has not thought about it.
            .filter(|after| !after.is_zero());
        let should = match text("x-should-retry") {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        };
        Self { after, should }
    }
}

/// Whether a call with this status is worth another one: busy, in conflict, or broken for the moment.
pub(super) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 409 | 429) || status >= 500
}

/// The wait before retry `count` (0 = the first): doubling from `first`, less up to a quarter. The part taken off comes from
/// `seed`, so that questions spread out and a question repeated waits the same.
pub(super) fn backoff(first: Duration, count: u32, seed: u32) -> Duration {
    let full = first.saturating_mul(1 << count.min(16)).min(LONGEST);
    let spread = seed.wrapping_add(count).wrapping_mul(0x9E37_79B9) >> 16;
    full.mul_f64(1.0 - f64::from(spread) / 65536.0 / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(headers: &[(&'static str, &str)]) -> Advice {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        Advice::read(&map, SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777))
    }

    #[test]
    fn retry_after_is_read_in_all_its_spellings() {
        let after = |name, value| advice(&[(name, value)]).after;
        assert_eq!(after("retry-after-ms", "250"), Some(Duration::from_millis(250)));
        assert_eq!(after("retry-after", "2"), Some(Duration::from_secs(2)));
        assert_eq!(after("retry-after", "1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(after("retry-after", "Sun, 06 Nov 1994 08:49:40 GMT"), Some(Duration::from_secs(3)));
        for nonsense in ["0", "-1", "soon", "NaN", "inf", "1e400", "Sun, 06 Nov 1994 08:49:30 GMT"] {
            assert_eq!(after("retry-after", nonsense), None, "{nonsense}");
        }
        assert_eq!(advice(&[("retry-after-ms", "10"), ("retry-after", "9")]).after, Some(Duration::from_millis(10)));
        assert_eq!(advice(&[("x-should-retry", "false")]).should, Some(false));
        assert_eq!(advice(&[("x-should-retry", "maybe")]), Advice::default());
    }

    #[test]
    fn waits_double_to_eight_seconds_and_lose_at_most_a_quarter() {
        let first = Duration::from_millis(500);
        for count in 0..40 {
            let full = first.saturating_mul(1 << count.min(16)).min(LONGEST);
            let mut seen = Vec::new();
            for seed in 0..50 {
                let wait = backoff(first, count, seed);
                assert!(wait <= full && wait >= full.mul_f64(0.75), "{count} {seed} {wait:?}");
                seen.push(wait);
            }
            seen.dedup();
            assert!(seen.len() > 10, "seeds spread");
        }
    }
}
