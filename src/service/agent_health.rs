//! Follows `agent-health`: whose circuit breaker is open, and how each agent does.

use super::{Base, agents};
use crate::contract::{AgentHealth, AlertMetric, BreakerState, Undecided};
use crate::kafka::tail::{Next, Tailed};
use crate::worker::SharedAgentHealth;
use anyhow::Context;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// A registry that does not answer is asked again after this.
const AGAIN: Duration = Duration::from_secs(1);
const PART: &str = "agent-health";
const WATCHED: [AlertMetric; 5] =
    [AlertMetric::Latency, AlertMetric::Failures, AlertMetric::OutputSize, AlertMetric::Cost, AlertMetric::Silence];

/// Reads the table to its end, then returns what follows it from there. An agent without a record may be chosen.
///
/// # Errors
/// If the topic cannot be read.
pub(super) async fn follow(
    base: &Base,
    shared: Arc<SharedAgentHealth>,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + use<>> {
    base.health.waiting(PART, "reading how the agents are");
    let (kafka, codec, stop) = (base.config.kafka.clone(), Arc::clone(&base.codec), base.root.clone());
    let (wake, registry, metrics) = (Arc::clone(&base.wake), base.registry.clone(), Arc::clone(&base.metrics));
    let runtime = tokio::runtime::Handle::current();
    let (whole, is_whole) = oneshot::channel();
    let reading = tokio::task::spawn_blocking(move || {
        let topic = format!("{}.agent-health", kafka.prefix);
        let Some(mut tail) = agents::open(&kafka, &topic, &stop)? else { return Ok(()) };
        let mut whole = Some(whole);
        let decode = |record: &Tailed| -> Option<AgentHealth> {
            let value = record.value.as_deref()?;
            while !stop.is_cancelled() {
                match codec.decode(value) {
                    Ok(health) => return Some(health),
                    Err(Undecided::NeedsSchema(id)) => {
                        if let Err(error) = runtime.block_on(registry.learn(id, codec.cache())) {
                            tracing::warn!(%error, "an agent's health waits for the registry");
                            std::thread::sleep(AGAIN);
                        }
                    }
                    Err(Undecided::Refused(refusal)) => {
                        tracing::error!(%refusal, offset = record.offset, "an agent's health cannot be read");
                        return None;
                    }
                }
            }
            None
        };
        while !stop.is_cancelled() {
            match tail.next(Duration::from_millis(200)) {
                Ok(Next::Record(record)) => {
                    let topic_name = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
                    let health = decode(&record);
                    metrics.agent(&topic_name, health.as_ref().map(|health| (phase(health.breaker), health.score)));
                    let prediction = health.as_ref().map(|health| health.prediction).unwrap_or_default();
                    metrics.predictions(&topic_name, prediction.coverage.get(), prediction.brier.get());
                    for metric in WATCHED {
                        let goes_on = |health: &AgentHealth| health.alerts.iter().any(|alert| alert.metric == metric);
                        metrics.anomaly(&topic_name, metric.symbol(), health.as_ref().map(goes_on));
                    }
                    shared.take(&topic_name, health);
                    wake();
                }
                Ok(Next::End) => {
                    // Nobody may be waiting any more.
                    let _ = whole.take().map(|whole| whole.send(()));
                }
                Ok(Next::Idle) => {}
                Err(fault) => return Err(anyhow::Error::from(fault)),
            }
        }
        Ok(())
    });
    if is_whole.await.is_ok() {
        base.health.ready(PART);
    }
    Ok(async move { reading.await.context("the reader of agent-health panicked")? })
}

/// As the metric has it.
fn phase(breaker: BreakerState) -> i64 {
    match breaker {
        BreakerState::Closed | BreakerState::Unknown => 0,
        BreakerState::HalfOpen => 1,
        BreakerState::Open => 2,
    }
}
