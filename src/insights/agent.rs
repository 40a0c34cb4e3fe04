use super::anomaly::Anomalies;
use super::breaker::{Breaker, BreakerRules, Phase};
use super::foresight::Foresight;
use super::forgetting::{Forgetting, Mean};
use super::presence::{Instance, Instances, Standing};
use super::statistics::{Observation, Statistics, Verdict, verdict};
use std::collections::BTreeMap;

/// What is reckoned with. Times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    pub forgetting: Forgetting,
    pub breaker: BreakerRules,
    /// Below this rate of success an agent is degraded.
    pub degraded_below: f64,
    /// After so much silence an instance is stale, after so much more it is gone.
    pub stale_after: i64,
    pub gone_after: i64,
    /// Capabilities, and task types, kept of one agent at most.
    pub kinds: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            // Measured: of agents that fall from 95 % to 60 % all but one in 2,000 are seen to within 50 outcomes,
            // and one that stays at 95 % is taken for degraded once in 10,000.
            forgetting: Forgetting { outcomes: 20.0, millis: 86_400_000.0 },
            breaker: BreakerRules::default(),
            degraded_below: 0.8,
            stale_after: 30_000,
            gone_after: 90_000,
            kinds: 32,
        }
    }
}

/// Outcomes it takes before a rate of success says something.
const FEW: f64 = 5.0;
/// A degraded agent is well again half the way from the bound to flawless.
const WELL_AGAIN: f64 = 0.5;
/// Times as long as usual that are too long, and that are fine again.
const SLOW: f64 = 2.0;
const SLOW_NO_MORE: f64 = 1.5;
/// Share of refusals for load that is too much, and that is fine again.
const LOADED: f64 = 0.3;
const LOADED_NO_MORE: f64 = 0.15;
/// However long the agent takes, a partition probes it for so long at most, in milliseconds.
const LONGEST_TURN: i64 = 60_000;
/// Half-lives, in outcomes, of what an agent takes now and of what is usual.
const NOW: f64 = 10.0;
const USUAL: f64 = 200.0;

/// How an agent is, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    #[default]
    Healthy,
    /// It works, not as it should.
    Degraded,
    /// It gets no work, or hardly any.
    Unhealthy,
    /// It showed signs of life and does so no more.
    Absent,
}

/// The parts of the score by name, 0 to 1 each; their product is the score.
pub type Parts = [(&'static str, f64); 5];

/// Everything known of one agent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentState {
    /// As the last outcome has it.
    pub agent_name: String,
    pub version: String,
    pub overall: Statistics,
    pub capabilities: BTreeMap<String, Statistics>,
    pub task_types: BTreeMap<String, Statistics>,
    pub breaker: Breaker,
    pub foresight: Foresight,
    /// Logarithms of latencies: what it takes now, and what is usual.
    pub pace: Mean,
    pub usual_pace: Mean,
    /// Share of the latest assignments refused for load.
    pub load: Mean,
    /// What of it is not as it should be, until it is clearly better.
    pub failing: bool,
    pub slow: bool,
    pub loaded: bool,
    /// What is unusual of it.
    pub anomalies: Anomalies,
    pub instances: Instances,
    pub condition: Condition,
    pub reason: String,
    /// When the condition came about.
    pub since: i64,
}

impl AgentState {
    /// Takes an outcome. Whether the breaker changed, which everybody is to know at once.
    pub fn take(&mut self, seen: &Observation, now: i64, rules: &Rules) -> bool {
        self.overall.take(seen, &rules.forgetting);
        self.foresight.take(seen, &rules.forgetting);
        kind(&mut self.capabilities, seen.capability.as_deref(), seen, rules);
        kind(&mut self.task_types, seen.task_type.as_deref(), seen, rules);
        let verdict = verdict(seen.class);
        if matches!(verdict, Verdict::Good | Verdict::Bad | Verdict::Overloaded) {
            self.load.take(f64::from(verdict == Verdict::Overloaded), (-1.0 / NOW).exp2());
        }
        if verdict == Verdict::Good {
            #[allow(clippy::cast_precision_loss, reason = "milliseconds of a year are below 2^52")]
            let pace = (seen.latency_ms.max(1) as f64).ln();
            self.pace.take(pace, (-1.0 / NOW).exp2());
            self.usual_pace.take(pace, (-1.0 / USUAL).exp2());
        }
        self.breaker.take(seen, self.usual(), now, &rules.breaker)
    }

    /// Judges how the agent is now: a breaker whose wait is over, instances that fell silent.
    /// Whether the breaker changed.
    pub fn tick(&mut self, now: i64, rules: &Rules) -> bool {
        let changed = self.breaker.tick(now, self.usual().saturating_mul(2).min(LONGEST_TURN));
        self.failing = self.overall.success.weight() >= FEW && {
            let (rate, bound) = (self.overall.success.mean(), rules.degraded_below);
            rate < if self.failing { bound + (1.0 - bound) * WELL_AGAIN } else { bound }
        };
        self.slow = self.slowness() > if self.slow { SLOW_NO_MORE } else { SLOW };
        self.loaded = self.load.get().unwrap_or(0.0) > if self.loaded { LOADED_NO_MORE } else { LOADED };
        let (condition, reason) = self.judge(rules);
        if condition != self.condition || self.since == 0 {
            (self.condition, self.since) = (condition, now);
        }
        self.reason = reason;
        changed
    }

    /// How long nine of ten successes take at most, in milliseconds; 0 where nothing is known.
    fn usual(&self) -> i64 {
        #[allow(clippy::cast_possible_truncation, reason = "a year in milliseconds")]
        let usual = self.overall.latency.quantile(0.9).unwrap_or_default() as i64;
        usual
    }

    fn judge(&self, rules: &Rules) -> (Condition, String) {
        let (all, fresh, stale) = self.instances.count();
        if all > 0 && fresh + stale == 0 {
            let last = self.instances.latest().map_or("", |instance| &instance.name);
            let seconds = rules.gone_after / 1_000;
            return (Condition::Absent, format!("no heartbeat for {seconds} s; the last was of {last:?}"));
        }
        match self.breaker.phase {
            Phase::Open { .. } => {
                return (Condition::Unhealthy, format!("the circuit breaker is open: {}", self.breaker.reason));
            }
            Phase::HalfOpen => {
                return (Condition::Unhealthy, format!("the circuit breaker is half open: {}", self.breaker.reason));
            }
            Phase::Closed => {}
        }
        if all > 0 && fresh == 0 {
            return (Condition::Unhealthy, format!("no heartbeat for {} s", rules.stale_after / 1_000));
        }
        let percent = self.overall.success.mean() * 100.0;
        if self.failing {
            return (Condition::Degraded, format!("{percent:.0} % of its work succeeds"));
        }
        if self.loaded {
            let percent = self.load.get().unwrap_or(0.0) * 100.0;
            return (Condition::Degraded, format!("it refuses {percent:.0} % of its work for load"));
        }
        if self.slow {
            return (Condition::Degraded, format!("it takes {:.1} times as long as usual", self.slowness()));
        }
        if stale > 0 {
            return (Condition::Degraded, format!("{stale} of {all} instances are silent"));
        }
        match self.overall.success.weight() {
            weight if weight > 0.0 => {
                (Condition::Healthy, format!("{percent:.0} % of its work is expected to succeed"))
            }
            _ => (Condition::Healthy, "no outcome yet".to_owned()),
        }
    }

    /// How many times as long as usual it takes now.
    fn slowness(&self) -> f64 {
        match (self.pace.get(), self.usual_pace.get()) {
            (Some(now), Some(usual)) if self.pace.weight >= FEW => (now - usual).exp(),
            _ => 1.0,
        }
    }

    /// What speaks for the agent, 0 to 1 each.
    #[must_use]
    pub fn parts(&self) -> Parts {
        let (all, fresh, _) = self.instances.count();
        #[allow(clippy::cast_precision_loss, reason = "a few instances")]
        let present = if all == 0 { 1.0 } else { fresh as f64 / all as f64 };
        let breaker = match self.breaker.phase {
            Phase::Closed => 1.0,
            Phase::HalfOpen => 0.5,
            Phase::Open { .. } => 0.0,
        };
        let load = 1.0 - self.load.get().unwrap_or(0.0);
        let success = if self.overall.success.weight() > 0.0 { self.overall.success.mean() } else { 1.0 };
        // Twice as slow as usual costs as much as a third of the work failing.
        let pace = self.slowness().max(1.0).powf(-0.6);
        [("success", success), ("pace", pace), ("load", load), ("instances", present), ("breaker", breaker)]
    }

    /// The product of the parts.
    #[must_use]
    pub fn score(&self) -> f64 {
        self.parts().iter().map(|(_, part)| part).product()
    }

    /// The last that was heard of it, in milliseconds since the epoch.
    #[must_use]
    pub fn heard(&self) -> i64 {
        self.instances.latest().map_or(0, |instance| instance.at).max(self.overall.at).max(self.since)
    }

    /// Assignments in hand and taken at once, as the instances that are there say; none if they do not.
    #[must_use]
    pub fn hands(&self) -> (Option<i64>, Option<i64>) {
        let fresh: Vec<&Instance> = self.instances.iter().filter(|one| one.standing == Standing::Fresh).collect();
        let in_flight = (!fresh.is_empty()).then(|| fresh.iter().map(|one| i64::from(one.in_flight)).sum());
        let says = !fresh.is_empty() && fresh.iter().all(|one| one.capacity > 0);
        (in_flight, says.then(|| fresh.iter().map(|one| i64::from(one.capacity)).sum()))
    }
}

/// Counts an outcome under its kind; of too many the one that had none for longest is forgotten.
fn kind(kinds: &mut BTreeMap<String, Statistics>, name: Option<&str>, seen: &Observation, rules: &Rules) {
    let Some(name) = name else { return };
    if !kinds.contains_key(name) && kinds.len() >= rules.kinds.max(1) {
        let oldest = kinds.iter().min_by_key(|(_, statistics)| statistics.at).map(|(name, _)| name.clone());
        oldest.map(|oldest| kinds.remove(&oldest));
    }
    kinds.entry(name.to_owned()).or_default().take(seen, &rules.forgetting);
}
