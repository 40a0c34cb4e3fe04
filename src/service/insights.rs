//! The role `insights`: a thread that keeps the agents' statistics.

use super::Base;
use super::rules::millis;
use crate::config::{Config, StartFrom};
use crate::insights::{BreakerRules, Forgetting, Keeper, Rules};
use crate::kafka::LogSettings;
use crate::kafka::admin::Admin;
use crate::kafka::relay::RelaySettings;
use crate::worker::{SharedPresence, StopSignal, SystemClock};
use anyhow::{Context, anyhow};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Works until `stop` says so.
///
/// # Errors
/// Why it cannot go on.
pub(super) async fn run(
    base: &Base,
    stop: &Arc<StopSignal>,
    presence: Arc<SharedPresence>,
    leads: Arc<AtomicBool>,
) -> anyhow::Result<()> {
    let (config, worker) = (&base.config, &base.config.worker);
    let outcomes = format!("{}.agent-outcomes", config.kafka.prefix);
    // Waited for at the start of the process.
    let found = Admin::new(&config.kafka)?.topic(&outcomes).await?;
    let partitions = found.with_context(|| format!("{outcomes} is not there; run `baton apply`"))?.partitions;
    let (session, transaction) = (worker.session_timeout, worker.transaction_timeout);
    let log = LogSettings::new(&config.kafka, "insights", &base.slot, session, transaction, worker.batch);
    let (root, stop) = (base.root.clone(), Arc::clone(stop));
    let keeper = Keeper {
        settings: RelaySettings::new(log, vec![outcomes], StartFrom::Earliest),
        kafka: config.kafka.clone(),
        health_topic: format!("{}.agent-health", config.kafka.prefix).into(),
        examples_topic: format!("{}.examples", config.kafka.prefix).into(),
        alerts_topic: format!("{}.alerts", config.kafka.prefix).into(),
        partitions,
        rules: rules(config),
        learns: config.routing.learn,
        every: config.insights.publish_every,
        codec: Arc::clone(&base.codec),
        registry: base.registry.clone(),
        presence,
        agents: Arc::clone(&base.agents),
        health: base.health.clone(),
        metrics: Arc::clone(&base.metrics),
        clock: Box::new(SystemClock::default()),
        stop: Box::new(move || root.is_cancelled().then(|| stop.leaves())),
        runtime: Handle::current(),
        leads,
    };
    let (ended, end) = oneshot::channel();
    thread::Builder::new().name("baton-insights".to_owned()).spawn(move || {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| keeper.run()));
        // Nobody may be waiting any more.
        let _ = ended.send(result.map_err(|_| anyhow!("insights panicked")).and_then(|ended| Ok(ended?)));
    })?;
    end.await.context("the thread of insights is gone")?
}

fn rules(config: &Config) -> Rules {
    let insights = &config.insights;
    let gone_after = millis(config.worker.heartbeat_timeout);
    Rules {
        forgetting: Forgetting {
            outcomes: insights.half_life_outcomes,
            #[allow(clippy::cast_precision_loss, reason = "milliseconds of centuries are below 2^52")]
            millis: millis(insights.half_life) as f64,
        },
        breaker: BreakerRules {
            failures: insights.breaker_failures,
            least: insights.breaker_least,
            in_a_row: insights.breaker_in_a_row,
            first_wait: millis(insights.breaker_wait),
            longest_wait: millis(insights.breaker_longest_wait),
            probes: insights.breaker_probes,
        },
        degraded_below: insights.degraded_below,
        stale_after: millis(insights.stale_after).min(gone_after),
        gone_after,
        kinds: insights.max_kinds,
    }
}
