//! When a relay whose life ended is joined anew, and when that is given up.

use super::relay::RelayFault;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Another process that takes this one's place so often will do so for ever.
const FENCED_LIMIT: usize = 3;
const FENCED_WINDOW: Duration = Duration::from_secs(60);

/// One life of a relay after the other: a while between two, which doubles while they are short.
#[derive(Debug)]
pub struct Lives {
    wait: Duration,
    fenced: VecDeque<Instant>,
}

impl Default for Lives {
    fn default() -> Self {
        Self { wait: FIRST_WAIT, fenced: VecDeque::new() }
    }
}

impl Lives {
    /// How long to wait after one that lived so long.
    ///
    /// # Errors
    /// Why there must be no further one, in words.
    pub fn after(&mut self, lived: Duration, fault: &RelayFault) -> Result<Duration, String> {
        if matches!(fault, RelayFault::Fenced(_)) {
            let now = Instant::now();
            self.fenced.retain(|at| now.duration_since(*at) < FENCED_WINDOW);
            self.fenced.push_back(now);
            if self.fenced.len() > FENCED_LIMIT {
                return Err(fault.to_string());
            }
            // Of two processes of one slot the worker in one of them ends it, which takes a while. Were the two relays to
            // take each other's place again and again until then, both would give up.
            return Ok(LONGEST_WAIT * u32::try_from(self.fenced.len()).unwrap_or(1));
        }
        let wait = if lived > LONGEST_WAIT * 2 { FIRST_WAIT } else { self.wait };
        self.wait = (wait * 2).min(LONGEST_WAIT);
        Ok(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lives_are_followed_by_longer_waits_and_a_long_one_by_a_short_wait() {
        let (mut lives, fault) = (Lives::default(), RelayFault::Again("x".to_owned()));
        let short = Duration::from_secs(1);
        let waits: Vec<_> =
            (0..7).filter_map(|_| lives.after(short, &fault).ok()).map(|wait| wait.as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(lives.after(Duration::from_secs(60), &fault), Ok(FIRST_WAIT));
    }

    #[test]
    fn who_is_fenced_again_and_again_gives_up() {
        let (mut lives, fault) = (Lives::default(), RelayFault::Fenced("x".to_owned()));
        let life = Duration::from_secs(1);
        let waits: Vec<_> =
            (0..FENCED_LIMIT).filter_map(|_| lives.after(life, &fault).ok()).map(|wait| wait.as_secs()).collect();
        assert_eq!(waits, [5, 10, 15], "time enough for the worker to end one of two");
        assert!(lives.after(life, &fault).is_err_and(|why| why.contains("kafka.slot")));
    }
}
