//! What follows a failed attempt, by the class of its error.

use super::ErrorClass;
use std::collections::BTreeMap;

/// Who makes the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefer {
    /// Whoever failed: it gets the reason and may mend its work.
    Same,
    /// Anyone else who is eligible.
    Other,
}

/// How often and when a step is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryRule {
    /// Attempts in all, the first one too; 1 = none is repeated.
    pub attempts: u32,
    /// Milliseconds that the first wait is at most; each further one twice that.
    pub backoff: i64,
    /// Milliseconds that no wait is over.
    pub backoff_cap: i64,
    pub agent: Prefer,
}

impl RetryRule {
    /// Milliseconds until the next attempt after that many failures: anything up to the exponential bound ("full
    /// jitter"), so that what failed together does not come back together. `seed` makes it; never less than the agent
    /// asked for.
    #[must_use]
    pub fn wait(&self, failures: u32, asked: Option<i64>, seed: u64) -> i64 {
        let doubled = 1_i64.checked_shl(failures.saturating_sub(1)).unwrap_or(i64::MAX);
        let bound = self.backoff.saturating_mul(doubled.max(1)).clamp(0, self.backoff_cap);
        let wait = i64::try_from(seed % (u64::try_from(bound).unwrap_or(0) + 1)).unwrap_or(bound);
        wait.max(asked.unwrap_or(0))
    }
}

/// The rules by class, and what single agents have instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryRules {
    /// In the order of [`ErrorClass::ALL`].
    pub by_class: [RetryRule; ErrorClass::ALL.len()],
    /// By agent name, trimmed and in lower case, and the class's symbol.
    pub by_agent: BTreeMap<(String, &'static str), RetryRule>,
}

impl RetryRules {
    #[must_use]
    pub fn of(&self, agent_name: &str, class: ErrorClass) -> RetryRule {
        if !self.by_agent.is_empty() {
            let key = (agent_name.trim().to_ascii_lowercase(), class.symbol());
            if let Some(rule) = self.by_agent.get(&key) {
                return *rule;
            }
        }
        self.by_class[class as usize]
    }
}

impl Default for RetryRules {
    fn default() -> Self {
        let rule = |attempts, backoff, agent| RetryRule { attempts, backoff, backoff_cap: 60_000, agent };
        let by_class = ErrorClass::ALL.map(|class| match class {
            ErrorClass::Transient | ErrorClass::Timeout => rule(3, 1_000, Prefer::Other),
            ErrorClass::RateLimited => rule(5, 2_000, Prefer::Other),
            ErrorClass::InvalidOutput => rule(3, 500, Prefer::Same),
            // Another agent may take the input, or has credentials that are good.
            ErrorClass::Contract | ErrorClass::Auth => rule(2, 500, Prefer::Other),
            ErrorClass::Permanent | ErrorClass::Cancelled => rule(1, 0, Prefer::Other),
        });
        Self { by_class, by_agent: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: RetryRule = RetryRule { attempts: 9, backoff: 100, backoff_cap: 1_000, agent: Prefer::Other };

    #[test]
    fn a_wait_is_within_a_bound_that_doubles_up_to_the_cap() {
        let longest = |failures| (0..20_000).map(|seed| RULE.wait(failures, None, seed)).max();
        assert_eq!([1, 2, 4, 5, 60].map(longest), [100, 200, 800, 1_000, 1_000].map(Some));
        assert_eq!((0..20_000).map(|seed| RULE.wait(3, None, seed)).min(), Some(0));
    }

    #[test]
    fn an_agent_that_asks_for_time_gets_it() {
        assert_eq!(RULE.wait(1, Some(5_000), 7), 5_000);
        assert_eq!(RULE.wait(1, Some(3), 77), 77);
    }

    #[test]
    fn an_agents_own_rule_goes_before_its_classes() {
        let own = RetryRule { attempts: 1, ..RULE };
        let mut rules = RetryRules::default();
        rules.by_agent.insert(("slow one".into(), "TIMEOUT"), own);
        assert_eq!(rules.of(" Slow One", ErrorClass::Timeout), own);
        assert_eq!(rules.of("Slow One", ErrorClass::Transient), rules.by_class[0]);
    }
}
