//! Follows `agent-health`: whose circuit breaker is open, and how each agent does.

use super::{Base, table};
use crate::contract::{AgentHealth, AlertMetric, BreakerState};
use crate::worker::SharedAgentHealth;
use std::sync::Arc;

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
    let (wake, metrics) = (Arc::clone(&base.wake), Arc::clone(&base.metrics));
    let take = move |topic_name: &str, health: Option<AgentHealth>| {
        metrics.agent(topic_name, health.as_ref().map(|health| (phase(health.breaker), health.score)));
        let prediction = health.as_ref().map(|health| health.prediction).unwrap_or_default();
        metrics.predictions(topic_name, prediction.coverage.get(), prediction.brier.get());
        for metric in WATCHED {
            let goes_on = |health: &AgentHealth| health.alerts.iter().any(|alert| alert.metric == metric);
            metrics.anomaly(topic_name, metric.symbol(), health.as_ref().map(goes_on));
        }
        shared.take(topic_name, health);
        wake();
    };
    table::follow(base, "agent-health", Box::new(take)).await
}

/// As the metric has it.
fn phase(breaker: BreakerState) -> i64 {
    match breaker {
        BreakerState::Closed | BreakerState::Unknown => 0,
        BreakerState::HalfOpen => 1,
        BreakerState::Open => 2,
    }
}
