//! An agent's state as its record, and back. Whatever a record holds, a state comes of it.

use super::agent::{AgentState, Condition};
use super::anomaly_record::{alerts_of, anomalies_of, watch_of};
use super::breaker::{Breaker, Phase};
use super::foresight::{Foresight, Prediction};
use super::forgetting::Mean;
use super::posterior::Posterior;
use super::presence::{Instance, Instances, Standing};
use super::sketch::Sketch;
use super::statistics::{Observation, Statistics};
use crate::contract::{
    AgentHealth, AgentInstance, AgentOutcome, AgentPrediction, AgentStatistics, AgentTrend, BreakerDetail,
    BreakerState, HealthState, InstanceStanding, LatencyBucket, RunningMean,
};
use std::collections::BTreeMap;

/// Of what the numbers in the record mean. Those of another version are not gone on with: the statistics begin anew.
const VERSION: i32 = 1;
/// A capability or task type of more characters has no statistics of its own.
const LONGEST_KIND: usize = 128;

/// An outcome as the statistics take it.
#[must_use]
pub fn observation_of(outcome: AgentOutcome) -> Observation {
    let kind = |name: Option<String>| name.filter(|name| !name.is_empty() && name.chars().count() <= LONGEST_KIND);
    let latency = outcome.predicted_latency_low_ms.zip(outcome.predicted_latency_high_ms);
    let prediction = outcome.predicted_success.filter(|success| success.is_finite()).map(|success| Prediction {
        success,
        #[allow(clippy::cast_precision_loss, reason = "milliseconds of a year are below 2^52")]
        latency: latency.map(|(low, high)| (low as f64, high as f64)),
    });
    Observation {
        class: outcome.outcome,
        latency_ms: outcome.latency_ms.max(0),
        tokens: outcome.usage.input_tokens.saturating_add(outcome.usage.output_tokens),
        cost_micros: outcome.usage.cost_micros,
        output_bytes: outcome.output_bytes,
        quality: outcome.quality.filter(|quality| quality.is_finite()),
        capability: kind(outcome.capability),
        task_type: kind(outcome.task_type),
        prediction,
        at: outcome.at,
    }
}

/// The record of a state, written at `at`.
#[must_use]
pub fn health_of(state: &AgentState, at: i64) -> AgentHealth {
    let kinds = |kinds: &BTreeMap<String, Statistics>| {
        kinds.iter().map(|(name, statistics)| (name.clone(), statistics_to_wire(statistics))).collect()
    };
    let (in_flight, capacity) = state.hands();
    let breaker = &state.breaker;
    AgentHealth {
        agent_name: state.agent_name.clone(),
        version: state.version.clone(),
        state: match state.condition {
            Condition::Healthy => HealthState::Healthy,
            Condition::Degraded => HealthState::Degraded,
            Condition::Unhealthy => HealthState::Unhealthy,
            Condition::Absent => HealthState::Absent,
        },
        reason: state.reason.clone(),
        since: state.since,
        breaker: match breaker.phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Open { .. } => BreakerState::Open,
            Phase::HalfOpen => BreakerState::HalfOpen,
        },
        breaker_detail: BreakerDetail {
            since: breaker.since,
            until: match breaker.phase {
                Phase::Open { until } => Some(until),
                Phase::Closed | Phase::HalfOpen => None,
            },
            reason: breaker.reason.clone(),
            openings: signed(breaker.openings),
            turn: signed(breaker.turn),
            turned: breaker.turned,
            passed: signed(breaker.passed),
            good: breaker.good,
            bad: breaker.bad,
            seen: signed(breaker.seen),
            failed: signed(breaker.failed),
            failed_since: breaker.failed_since,
            unheard: signed(breaker.unheard),
        },
        score: state.score(),
        parts: state.parts().into_iter().map(|(name, part)| (name.to_owned(), part)).collect(),
        overall: statistics_to_wire(&state.overall),
        capabilities: kinds(&state.capabilities),
        task_types: kinds(&state.task_types),
        trend: AgentTrend {
            pace: mean_to_wire(state.pace),
            usual_pace: mean_to_wire(state.usual_pace),
            load: mean_to_wire(state.load),
            failing: state.failing,
            slow: state.slow,
            loaded: state.loaded,
        },
        alerts: alerts_of(&state.anomalies),
        anomalies: watch_of(&state.anomalies),
        instances: state.instances.iter().map(instance_to_wire).collect(),
        in_flight,
        capacity,
        prediction: AgentPrediction {
            coverage: mean_to_wire(state.foresight.covered),
            brier: mean_to_wire(state.foresight.brier),
            at: state.foresight.at,
        },
        state_version: VERSION,
        at,
    }
}

/// The state that a record holds.
#[must_use]
pub fn state_of(health: &AgentHealth) -> AgentState {
    let agent_name = health.agent_name.clone();
    if health.state_version != VERSION {
        return AgentState { agent_name, ..AgentState::default() };
    }
    let kinds = |kinds: &BTreeMap<String, AgentStatistics>| {
        kinds.iter().map(|(name, statistics)| (name.clone(), statistics_of(statistics))).collect()
    };
    let detail = &health.breaker_detail;
    AgentState {
        agent_name,
        version: health.version.clone(),
        overall: statistics_of(&health.overall),
        capabilities: kinds(&health.capabilities),
        task_types: kinds(&health.task_types),
        breaker: Breaker {
            phase: match (health.breaker, detail.until) {
                (BreakerState::Open, until) => Phase::Open { until: until.unwrap_or_default() },
                (BreakerState::HalfOpen, _) => Phase::HalfOpen,
                (BreakerState::Closed | BreakerState::Unknown, _) => Phase::Closed,
            },
            since: detail.since,
            reason: detail.reason.clone(),
            openings: unsigned(detail.openings),
            turn: unsigned(detail.turn),
            turned: detail.turned,
            passed: unsigned(detail.passed),
            good: sound(detail.good),
            bad: sound(detail.bad),
            seen: unsigned(detail.seen),
            failed: unsigned(detail.failed),
            failed_since: detail.failed_since,
            unheard: unsigned(detail.unheard),
        },
        foresight: Foresight {
            covered: mean_of(health.prediction.coverage),
            brier: mean_of(health.prediction.brier),
            at: health.prediction.at,
        },
        pace: mean_of(health.trend.pace),
        usual_pace: mean_of(health.trend.usual_pace),
        load: mean_of(health.trend.load),
        failing: health.trend.failing,
        slow: health.trend.slow,
        loaded: health.trend.loaded,
        anomalies: anomalies_of(health),
        instances: Instances::of(health.instances.iter().map(instance_of)),
        condition: match health.state {
            HealthState::Healthy | HealthState::Unknown => Condition::Healthy,
            HealthState::Degraded => Condition::Degraded,
            HealthState::Unhealthy => Condition::Unhealthy,
            HealthState::Absent => Condition::Absent,
        },
        reason: health.reason.clone(),
        since: health.since,
    }
}

fn statistics_to_wire(statistics: &Statistics) -> AgentStatistics {
    let buckets = statistics.latency.buckets().map(|(index, weight)| LatencyBucket { index, weight });
    AgentStatistics {
        counts: statistics.counts.clone(),
        success_rate: statistics.success.mean(),
        successes: statistics.success.successes,
        failures: statistics.success.failures,
        p50_ms: statistics.latency.quantile(0.5),
        p90_ms: statistics.latency.quantile(0.9),
        p99_ms: statistics.latency.quantile(0.99),
        latencies: buckets.collect(),
        tokens: mean_to_wire(statistics.tokens),
        cost_micros: mean_to_wire(statistics.cost),
        output_bytes: mean_to_wire(statistics.output_bytes),
        quality: mean_to_wire(statistics.quality),
        at: statistics.at,
    }
}

fn statistics_of(wire: &AgentStatistics) -> Statistics {
    Statistics {
        counts: wire.counts.clone(),
        success: Posterior { successes: sound(wire.successes), failures: sound(wire.failures) },
        latency: Sketch::of(wire.latencies.iter().map(|bucket| (bucket.index, bucket.weight))),
        tokens: mean_of(wire.tokens),
        cost: mean_of(wire.cost_micros),
        output_bytes: mean_of(wire.output_bytes),
        quality: mean_of(wire.quality),
        at: wire.at,
    }
}

fn mean_to_wire(mean: Mean) -> RunningMean {
    RunningMean { mean: mean.get().unwrap_or_default(), weight: mean.weight }
}

fn mean_of(wire: RunningMean) -> Mean {
    let weight = sound(wire.weight);
    let sum = wire.mean * weight;
    if sum.is_finite() { Mean { sum, weight } } else { Mean::default() }
}

fn instance_to_wire(instance: &Instance) -> AgentInstance {
    AgentInstance {
        instance: instance.name.clone(),
        version: instance.version.clone(),
        standing: match instance.standing {
            Standing::Fresh => InstanceStanding::Fresh,
            Standing::Stale => InstanceStanding::Stale,
            Standing::Gone => InstanceStanding::Gone,
        },
        at: instance.at,
        in_flight: instance.in_flight,
        capacity: instance.capacity,
    }
}

fn instance_of(wire: &AgentInstance) -> Instance {
    Instance {
        name: wire.instance.clone(),
        version: wire.version.clone(),
        at: wire.at,
        in_flight: wire.in_flight,
        capacity: wire.capacity,
        standing: match wire.standing {
            InstanceStanding::Fresh | InstanceStanding::Unknown => Standing::Fresh,
            InstanceStanding::Stale => Standing::Stale,
            InstanceStanding::Gone => Standing::Gone,
        },
    }
}

pub(super) fn sound(number: f64) -> f64 {
    if number.is_finite() { number.max(0.0) } else { 0.0 }
}

pub(super) fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

pub(super) fn unsigned(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::Rules;
    use super::*;
    use crate::contract::OutcomeClass;

    #[test]
    fn a_state_is_what_its_record_says() {
        let (mut state, rules) =
            (AgentState { agent_name: "Adder".to_owned(), ..AgentState::default() }, Rules::default());
        for n in 0..40_i64 {
            let class = if n % 3 == 0 { OutcomeClass::Timeout } else { OutcomeClass::Succeeded };
            let one = Observation {
                class,
                latency_ms: 100 + n,
                tokens: n,
                cost_micros: 2 * n,
                output_bytes: 64,
                quality: Some(0.5),
                capability: Some("sum".to_owned()),
                task_type: Some("report".to_owned()),
                prediction: Some(Prediction { success: 0.75, latency: Some((100.0, 120.0)) }),
                at: 1_000 * n + 1,
            };
            state.take(&one, one.at, &rules);
        }
        let heartbeat = Instance { name: "i-1".to_owned(), at: 39_000, capacity: 3, ..Instance::default() };
        state.instances.look([heartbeat], 40_000, rules.stale_after, rules.gone_after);
        state.tick(40_000, &rules);
        let record = health_of(&state, 40_000);
        assert_eq!((record.capacity, record.overall.counts["TIMEOUT"]), (Some(3), 14));
        let back = state_of(&record);
        // Means are kept as such, and may lose the last bit on the way.
        assert_eq!(health_of(&back, 40_000), record);
        assert_eq!(
            (&back.breaker, &back.overall.latency, back.overall.success),
            (&state.breaker, &state.overall.latency, state.overall.success)
        );
        let other = state_of(&AgentHealth { state_version: VERSION + 1, ..record });
        assert_eq!(other, AgentState { agent_name: "Adder".to_owned(), ..AgentState::default() });
    }
}
