//! `baton experiments show`: what an experiment has shown, counted from the topics.

use super::{named, read, row};
use crate::cli::Done;
use crate::cli::context::Context;
use crate::cli::output::{self, Format, cell, safe};
use crate::contract::{Codec, Experiment, ExperimentMetric};
use crate::experiments::{Comparison, Reading, Report, VariantReport};
use anyhow::Context as _;
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::Arc;
use tokio::runtime::Handle;

pub(super) async fn run(context: &Context, name: &str, format: Format) -> anyhow::Result<Done> {
    let known = read(context).await?;
    let one = named(&known, name)?.clone();
    let (kafka, registry, runtime) = (context.config.kafka.clone(), context.registry()?, Handle::current());
    let codec = Codec::new(&kafka.prefix, [], Arc::default());
    let experiment = one.clone();
    let counted = tokio::task::spawn_blocking(move || {
        let mut reading = Reading::open(&kafka, &codec, &registry, &runtime, &experiment)?;
        reading.read_all()?;
        anyhow::Ok((reading.report(&experiment), reading.unreadable()))
    });
    let (report, unreadable) = counted.await.context("the reading panicked")??;
    if unreadable > 0 {
        output::note(format!("warning: {unreadable} records cannot be read and count for nothing"));
    }
    match format {
        Format::Json => output::line(serde_json::to_string_pretty(&[whole(&one, &report)])?)?,
        Format::Table => told(&one, &report)?,
    }
    Ok(Done::Well)
}

/// The record, with what each variant has shown.
fn whole(one: &Experiment, report: &Report) -> Value {
    let mut value = row(one);
    for (variant, shown) in value["variants"].as_array_mut().into_iter().flatten().zip(&report.variants) {
        if let (Some(variant), Value::Object(shown)) = (variant.as_object_mut(), json!(shown)) {
            variant.extend(shown);
        }
    }
    if let Some(value) = value.as_object_mut() {
        value.remove("told");
    }
    value["sampleRatio"] = json!(report.sample_ratio);
    value["isFull"] = json!(report.is_full);
    value
}

fn told(one: &Experiment, report: &Report) -> anyhow::Result<()> {
    let value = row(one);
    let mut text = String::new();
    let kinds = if one.task_types.is_empty() {
        "all tasks".to_owned()
    } else {
        format!("tasks of type {}", cell(Some(&value["taskTypes"])))
    };
    let (state, at, by) = (one.state.symbol(), cell(Some(&value["at"])), safe(&one.actor));
    writeln!(
        text,
        "{}  {state} since {at} by {by}, started {}, on {kinds}",
        safe(&one.name),
        cell(Some(&value["startedAt"]))
    )?;
    for line in [&one.description, &one.reason].into_iter().filter(|line| !line.is_empty()) {
        writeln!(text, "  {}", safe(line))?;
    }
    if let Some(variant) = &one.promoted {
        writeln!(text, "  promoted: {}", safe(variant))?;
    }
    output::raw(text.as_bytes())?;
    let columns = [
        ("VARIANT", "/name"),
        ("STRATEGY", "/strategy"),
        ("SHARE", "/share"),
        ("TASKS", "/tasks"),
        ("OPEN", "/open"),
        ("ENDED", "/ended"),
        ("SUCCEEDED", "/succeeded"),
        ("SUCCESS", "/success"),
        ("P50 MS", "/p50Ms"),
        ("P95 MS", "/p95Ms"),
        ("MICROS/TASK", "/micros"),
        ("TOKENS", "/tokens"),
    ];
    let rows: Vec<Value> = report.variants.iter().map(shown).collect();
    output::listing(Format::Table, &columns, &rows)?;
    let mut text = String::new();
    for variant in &report.variants {
        for comparison in &variant.comparisons {
            writeln!(text, "{}", safe(&compared(&variant.name, comparison)))?;
        }
        if let Some(why) = &variant.stopped_for {
            writeln!(text, "{}: stopped by a guardrail: {}", safe(&variant.name), safe(why))?;
        }
    }
    let ratio = report.sample_ratio;
    let warning = if ratio.is_suspicious { ": they did not get their shares, so trust nothing of this" } else { "" };
    writeln!(text, "sample ratio: p {:.3}{warning}", ratio.p_value)?;
    if report.is_full {
        writeln!(text, "more tasks came than are counted: the figures are those of the first ones")?;
    }
    output::raw(text.as_bytes())?;
    Ok(())
}

/// A row for people.
fn shown(variant: &VariantReport) -> Value {
    let mut row = json!(variant);
    row["success"] = variant.success_rate.map_or(Value::Null, |rate| json!(format!("{:.1} %", rate * 100.0)));
    row["micros"] = variant.cost_micros_per_task.map_or(Value::Null, |cost| json!(format!("{cost:.0}")));
    row["tokens"] = json!(variant.input_tokens + variant.output_tokens);
    row
}

/// One comparison in a line.
fn compared(name: &str, comparison: &Comparison) -> String {
    let quantity = |value: f64| match comparison.metric {
        ExperimentMetric::Success => format!("{:+.1} points", value * 100.0),
        ExperimentMetric::Latency => format!("{:+.1} %", value * 100.0),
        ExperimentMetric::Cost | ExperimentMetric::Unknown => format!("{value:+.0} micros/task"),
    };
    let decides = if comparison.decides { " (decides)" } else { "" };
    let metric = comparison.metric.symbol();
    let Some((low, high)) = comparison.low.zip(comparison.high) else {
        return format!("{name}: {metric}{decides} nothing has shown yet");
    };
    let verdict = match comparison.verdict {
        crate::experiments::Verdict::Better => "better",
        crate::experiments::Verdict::Worse => "worse",
        crate::experiments::Verdict::Undecided => "no difference has shown",
    };
    let (estimate, low, high) = (quantity(comparison.estimate), quantity(low), quantity(high));
    format!("{name}: {metric}{decides} {estimate}, between {low} and {high}, p {:.4}: {verdict}", comparison.p_value)
}
