//! What is watched of an agent as the fields of its record, and what is told of it as an alert.

use super::agent::AgentState;
use super::anomaly::{Anomalies, Episode, Kind, Level, Metric, Notice, Rate, Run, Silence};
use super::record::{signed, sound, unsigned};
use crate::contract::{
    ActiveAlert, AgentHealth, Alert, AlertKind, AlertMetric, AlertState, AnomalyWatch, EvidenceRun, FailureWatch,
    LevelWatch, SilenceWatch,
};

/// The alert that tells of a notice.
pub(super) fn alert_of(topic_name: &str, state: &AgentState, notice: &Notice) -> Alert {
    let (metric, episode) = (metric_to_wire(notice.metric), &notice.episode);
    Alert {
        alert_id: format!("{topic_name}~{}~{}", metric.symbol(), episode.at),
        agent_name: state.agent_name.clone(),
        version: state.version.clone(),
        metric,
        kind: kind_to_wire(episode.kind),
        state: if notice.raised { AlertState::Raised } else { AlertState::Ended },
        value: episode.value,
        expected: episode.expected,
        deviation: episode.deviation,
        threshold: episode.threshold,
        observations: signed(episode.observations),
        since: episode.since,
        at: notice.at,
        message: notice.message.clone(),
    }
}

pub(super) fn alerts_of(anomalies: &Anomalies) -> Vec<ActiveAlert> {
    let active = |(metric, episode): (Metric, Episode)| ActiveAlert {
        metric: metric_to_wire(metric),
        kind: kind_to_wire(episode.kind),
        since: episode.since,
        at: episode.at,
        value: episode.value,
        expected: episode.expected,
        deviation: episode.deviation,
        threshold: episode.threshold,
        observations: signed(episode.observations),
    };
    anomalies.active().map(active).collect()
}

pub(super) fn watch_of(anomalies: &Anomalies) -> AnomalyWatch {
    let level = |metric: Metric, level: &Level| LevelWatch {
        metric: metric_to_wire(metric),
        seen: signed(level.seen),
        usual: level.usual,
        variance: level.variance,
        resemblance: level.resemblance,
        last: level.last,
        lately: level.lately,
        rise: run_to_wire(level.rise),
        fall: run_to_wire(level.fall),
        recovered: level.recovered,
    };
    let levels = [
        (Metric::Latency, &anomalies.latency),
        (Metric::OutputSize, &anomalies.output_size),
        (Metric::Cost, &anomalies.cost),
    ];
    let (failures, silence) = (&anomalies.failures, &anomalies.silence);
    AnomalyWatch {
        levels: levels.into_iter().filter(|(_, one)| one.seen > 0).map(|(metric, one)| level(metric, one)).collect(),
        failures: (failures.seen > 0).then(|| FailureWatch {
            seen: signed(failures.seen),
            failures: failures.failures,
            outcomes: failures.outcomes,
            jump: run_to_wire(failures.jump),
            drift: run_to_wire(failures.drift),
            recovered: failures.recovered,
        }),
        silence: (silence.heard > 0).then(|| SilenceWatch {
            heard: silence.heard,
            seen: signed(silence.seen),
            usual: silence.usual,
            variance: silence.variance,
        }),
    }
}

pub(super) fn anomalies_of(health: &AgentHealth) -> Anomalies {
    let watch = &health.anomalies;
    let level = |metric: AlertMetric| {
        let found = watch.levels.iter().find(|level| level.metric == metric);
        found.map_or_else(Level::default, |level| level_of(level, episode_of(&health.alerts, metric)))
    };
    let failures = watch.failures.as_ref().map(|failures| Rate {
        seen: unsigned(failures.seen),
        failures: sound(failures.failures),
        outcomes: sound(failures.outcomes).max(sound(failures.failures)),
        jump: run_of(failures.jump),
        drift: run_of(failures.drift),
        recovered: sound(failures.recovered),
        episode: episode_of(&health.alerts, AlertMetric::Failures),
    });
    let silence = watch.silence.as_ref().map(|silence| Silence {
        heard: silence.heard,
        seen: unsigned(silence.seen),
        usual: sound(silence.usual),
        variance: sound(silence.variance),
        episode: episode_of(&health.alerts, AlertMetric::Silence),
    });
    Anomalies {
        latency: level(AlertMetric::Latency),
        output_size: level(AlertMetric::OutputSize),
        cost: level(AlertMetric::Cost),
        failures: failures.unwrap_or_default(),
        silence: silence.unwrap_or_default(),
    }
}

/// One of which any number is none begins anew.
fn level_of(wire: &LevelWatch, episode: Option<Episode>) -> Level {
    let numbers = [wire.usual, wire.variance, wire.resemblance, wire.last, wire.lately];
    if !numbers.iter().all(|number| number.is_finite()) {
        return Level::default();
    }
    Level {
        seen: unsigned(wire.seen),
        usual: wire.usual,
        variance: sound(wire.variance),
        resemblance: wire.resemblance,
        last: wire.last,
        lately: wire.lately,
        rise: run_of(wire.rise),
        fall: run_of(wire.fall),
        recovered: sound(wire.recovered),
        episode,
    }
}

fn episode_of(alerts: &[ActiveAlert], metric: AlertMetric) -> Option<Episode> {
    let found = alerts.iter().find(|alert| alert.metric == metric)?;
    Some(Episode {
        kind: match found.kind {
            AlertKind::Jump | AlertKind::Unknown => Kind::Jump,
            AlertKind::Drift => Kind::Drift,
            AlertKind::Silence => Kind::Silence,
        },
        since: found.since,
        at: found.at,
        value: sound(found.value),
        expected: sound(found.expected),
        deviation: sound(found.deviation),
        threshold: sound(found.threshold),
        observations: unsigned(found.observations),
    })
}

fn run_to_wire(run: Run) -> EvidenceRun {
    EvidenceRun { sum: run.sum, observations: signed(run.observations), total: run.total, since: run.since }
}

fn run_of(wire: EvidenceRun) -> Run {
    let total = if wire.total.is_finite() { wire.total } else { 0.0 };
    Run { sum: sound(wire.sum), observations: unsigned(wire.observations), total, since: wire.since }
}

fn kind_to_wire(kind: Kind) -> AlertKind {
    match kind {
        Kind::Jump => AlertKind::Jump,
        Kind::Drift => AlertKind::Drift,
        Kind::Silence => AlertKind::Silence,
    }
}

fn metric_to_wire(metric: Metric) -> AlertMetric {
    match metric {
        Metric::Latency => AlertMetric::Latency,
        Metric::Failures => AlertMetric::Failures,
        Metric::OutputSize => AlertMetric::OutputSize,
        Metric::Cost => AlertMetric::Cost,
        Metric::Silence => AlertMetric::Silence,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AgentState, Observation, health_of, state_of};
    use crate::contract::OutcomeClass;

    #[test]
    fn whoever_goes_on_from_the_record_raises_nothing_twice_and_ends_what_goes_on() {
        let seen = |class, latency_ms, at| Observation {
            class,
            latency_ms,
            tokens: 0,
            cost_micros: 0,
            output_bytes: 64,
            quality: None,
            capability: None,
            task_type: None,
            prediction: None,
            at,
        };
        let mut state = AgentState { agent_name: "Adder".to_owned(), ..AgentState::default() };
        let (mut raised, mut ended) = (0, 0);
        let mut dice = fastrand::Rng::with_seed(5);
        for at in 1..300 {
            let (class, latency) = match at {
                ..150 | 200.. => (OutcomeClass::Succeeded, dice.i64(90..110)),
                150..180 => (OutcomeClass::Succeeded, 2_000),
                180.. => (OutcomeClass::Timeout, 60_000),
            };
            for notice in state.anomalies.take(&seen(class, latency, at * 1_000)) {
                (raised, ended) = (raised + u32::from(notice.raised), ended + u32::from(!notice.raised));
            }
            state.anomalies.listen(at * 1_000, at * 1_000 + 10, 500);
            let record = health_of(&state, at);
            assert_eq!(record.alerts.len(), usize::try_from(raised - ended).expect("never more ended than raised"));
            let back = state_of(&record);
            assert_eq!(back.anomalies, state.anomalies);
            state = back;
        }
        assert_eq!((raised, ended), (2, 2));
    }
}
