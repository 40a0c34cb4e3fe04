//! `baton agents show`: how an agent does, from its definition, its health and its heartbeats.

use super::table::{self, Entry, Table};
use super::{named, rounded, row};
use crate::cli::Done;
use crate::cli::context::Context;
use crate::cli::output::{self, Format, safe};
use crate::contract::{
    ActiveAlert, AgentHealth, AgentPrediction, AgentStatistics, AlertMetric, InstanceStanding, rfc3339,
};
use crate::selection::Registry;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

pub(super) async fn run(context: &Context, name: &str, format: Format) -> anyhow::Result<Done> {
    let table = Table::read(context).await?;
    let found = named(&table, name)?;
    let examples = table::examples(context, &table).await?;
    let remembered = |entry: &Entry| examples.get(&entry.key).copied().unwrap_or_default();
    match format {
        Format::Json => {
            let registry = table.registry();
            let all: Vec<Value> = found.iter().map(|entry| whole(entry, &registry, remembered(entry))).collect();
            output::line(serde_json::to_string_pretty(&all)?)?;
        }
        Format::Table => {
            for entry in found {
                output::raw(told(entry, remembered(entry)).as_bytes())?;
            }
        }
    }
    Ok(Done::Well)
}

/// The row of `agents list`, and all there is beside it.
fn whole(entry: &Entry, registry: &Registry, examples: usize) -> Value {
    let mut value = row(entry, registry);
    value["definition"] = json!(entry.definition);
    value["health"] = json!(entry.health);
    value["examples"] = json!(examples);
    value
}

fn told(entry: &Entry, examples: usize) -> String {
    let mut text = String::new();
    let mut say = |line: String| writeln!(text, "{}", line.trim_end()).expect("writing to a string cannot fail");
    let (name, version) = (entry.agent_name.as_deref().unwrap_or("-"), entry.definition.as_ref());
    let version = version.map_or("-", |definition| &definition.version);
    say(format!("{}  {}  ({})", safe(name), safe(version), safe(&entry.key)));
    if let Some(definition) = &entry.definition {
        say(format!("  {}", safe(&definition.description)));
        if !definition.capabilities.is_empty() {
            say(format!("  capabilities: {}", safe(&definition.capabilities.join(", "))));
        }
    }
    for fault in &entry.faults {
        say(format!("  fault: {}", safe(fault)));
    }
    match &entry.health {
        Some(health) => health_lines(health).into_iter().for_each(&mut say),
        None => {
            say("  nothing is known yet of how it does: no assignment of it has ended, and no instance was heard of"
                .to_owned())
        }
    }
    if examples > 0 {
        say(format!("  examples: {examples} texts of tasks that it turned out to be right for"));
    }
    for heartbeat in &entry.heartbeats {
        let known = entry.health.iter().flat_map(|health| &health.instances);
        let standing = known.filter(|one| one.instance == heartbeat.instance).map(|one| one.standing).next();
        let standing = match standing {
            Some(InstanceStanding::Fresh) => "alive",
            Some(InstanceStanding::Stale) => "silent for a while",
            Some(InstanceStanding::Gone) => "gone",
            Some(InstanceStanding::Unknown) | None => "not judged yet",
        };
        let capacity = if heartbeat.capacity > 0 { heartbeat.capacity.to_string() } else { "?".to_owned() };
        let instance = if heartbeat.instance.is_empty() { "(no name)" } else { &heartbeat.instance };
        say(format!(
            "  instance {}  {}  {standing}, last heard of {}, {} of {capacity} in hand",
            safe(instance),
            safe(&heartbeat.version),
            rfc3339(heartbeat.time),
            heartbeat.in_flight
        ));
    }
    say(String::new());
    text
}

fn health_lines(health: &AgentHealth) -> Vec<String> {
    let detail = &health.breaker_detail;
    let mut lines =
        vec![format!("  {} since {}: {}", health.state.symbol(), rfc3339(health.since), safe(&health.reason))];
    let breaker = match detail.until {
        _ if detail.since == 0 => format!("  breaker {}", health.breaker.symbol()),
        None => format!("  breaker {} since {}", health.breaker.symbol(), rfc3339(detail.since)),
        Some(until) => format!(
            "  breaker {} since {}, half open at {}",
            health.breaker.symbol(),
            rfc3339(detail.since),
            rfc3339(until)
        ),
    };
    let reason = if detail.reason.is_empty() { String::new() } else { format!(": {}", safe(&detail.reason)) };
    lines.push(format!("{breaker}{reason}"));
    let parts: Vec<String> = health.parts.iter().map(|(name, part)| format!("{name} {part:.2}")).collect();
    lines.push(format!("  score {:.2} ({})", health.score, parts.join(" × ")));
    lines.extend(health.alerts.iter().map(unusual));
    lines.push(format!("  overall: {}", statistics(&health.overall)));
    lines.extend(predictions(&health.prediction));
    let kinds = |what: &str, kinds: &BTreeMap<String, AgentStatistics>| -> Vec<String> {
        kinds.iter().map(|(name, one)| format!("  {what} {}: {}", safe(name), statistics(one))).collect()
    };
    lines.extend(kinds("capability", &health.capabilities));
    lines.extend(kinds("task type", &health.task_types));
    lines
}

/// How good predictions of its work turned out; none before the first.
fn predictions(of: &AgentPrediction) -> Option<String> {
    let covered = of.coverage.get().map(|share| format!("{:.0} % of latencies in the 90 % range", share * 100.0));
    let brier = of.brier.get().map(|score| format!("Brier score {score:.3}"));
    let parts: Vec<String> = covered.into_iter().chain(brier).collect();
    (!parts.is_empty()).then(|| format!("  predictions: {}", parts.join(", ")))
}

/// A line of something unusual that goes on.
fn unusual(alert: &ActiveAlert) -> String {
    let quantity = |value: f64| match alert.metric {
        AlertMetric::Latency | AlertMetric::Silence => format!("{value:.0} ms"),
        AlertMetric::Failures => format!("{:.1} %", value * 100.0),
        AlertMetric::OutputSize => format!("{value:.0} bytes"),
        AlertMetric::Cost => format!("{value:.0} micros"),
        AlertMetric::Unknown => value.to_string(),
    };
    let (value, expected) = (quantity(alert.value), quantity(alert.expected));
    let (metric, kind) = (alert.metric.symbol(), alert.kind.symbol());
    format!("  unusual: {metric} {kind} since {}: {value}, usually {expected}", rfc3339(alert.since))
}

fn statistics(of: &AgentStatistics) -> String {
    let counts: Vec<String> = of.counts.iter().map(|(class, count)| format!("{class} {count}")).collect();
    let mut parts = vec![if counts.is_empty() { "no outcome yet".to_owned() } else { counts.join(", ") }];
    if of.at > 0 {
        parts.push(format!("success {:.1} %", of.success_rate * 100.0));
    }
    if let (Some(p50), Some(p90), Some(p99)) = (of.p50_ms, of.p90_ms, of.p99_ms) {
        parts.push(format!("latency p50 {p50:.0} ms, p90 {p90:.0} ms, p99 {p99:.0} ms"));
    }
    let means = [("tokens", of.tokens), ("cost micros", of.cost_micros), ("output bytes", of.output_bytes)];
    for (name, mean) in means.into_iter().filter(|(_, mean)| mean.mean > 0.0) {
        parts.push(format!("{name} {}", rounded(mean.mean, 0)));
    }
    if of.quality.weight > 0.0 {
        parts.push(format!("quality {:.2}", of.quality.mean));
    }
    parts.join("; ")
}
