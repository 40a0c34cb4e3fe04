//! The role `orchestrator`: one worker on a thread of its own, with the runner and the looker-up it needs.

use super::rules::{millis, rules, strategies};
use super::{Base, lookups, prompts};
use crate::config::Config;
use crate::kafka::{KafkaLog, LogSettings};
use crate::llm::{Card, Llm};
use crate::partition::Window;
use crate::runner::{Asker, ChooserOf, EffectRunner};
use crate::selection::Agent;
use crate::telemetry::Metrics;
use crate::worker::{
    Parts, Settings, SharedAgentHealth, SharedExperiments, SharedPresence, SharedRegistry, Stop, StopSignal,
    SystemClock, TopicLimits, Worker,
};
use crate::workflow::Attempt;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

/// Wakes the worker's thread, from wherever.
#[derive(Debug, Default)]
pub(super) struct Waker(OnceLock<Thread>);

impl Waker {
    pub(super) fn wake(&self) {
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
    }
}

/// Works until `stop` says so.
///
/// # Errors
/// Why the worker cannot go on.
pub(super) async fn run(
    base: &Base,
    stop: Arc<StopSignal>,
    waker: Arc<Waker>,
    presence: Arc<SharedPresence>,
    agent_health: Arc<SharedAgentHealth>,
    experiments: Arc<SharedExperiments>,
) -> anyhow::Result<()> {
    let Base { config, registry, codec, names, agents, health, metrics, .. } = base;
    let wake = Arc::clone(&base.wake);
    let lookups = lookups::start(registry.clone(), Arc::clone(names), Arc::clone(codec.cache()), Arc::clone(&wake));
    let asker = asker(config, agents, &agent_health, &experiments, metrics)?;
    let settings = settings(config, &base.slot, base.partitions, base.limits, asker.is_some());
    let log = log_settings(config, &base.slot);
    let parts = Parts {
        settings,
        codec: Arc::clone(codec),
        names: Arc::clone(names),
        registry: Arc::clone(agents),
        presence,
        agent_health,
        experiments,
        metrics: Arc::clone(metrics),
        health: health.clone(),
        stop,
    };
    let (ended, end) = oneshot::channel();
    thread::Builder::new().name("baton-worker".to_owned()).spawn(move || {
        // Set once, before anything can wake it.
        let _ = waker.0.set(thread::current());
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let runner = EffectRunner::new(asker, Arc::clone(&wake));
            let log = KafkaLog::connect(log, move || wake())?;
            Worker::new(log, runner, Box::new(lookups), Box::new(SystemClock::default()), parts).run()
        }));
        let _ = ended.send(result.unwrap_or_else(|_| Err(Stop::Broken("the worker panicked".to_owned()))));
    })?;
    let gone = |_| Err(Stop::Broken("the worker's thread is gone".to_owned()));
    Ok(end.await.unwrap_or_else(gone)?)
}

fn settings(config: &Config, slot: &str, partitions: i32, limits: TopicLimits, llm_available: bool) -> Settings {
    let workflow = &config.workflow;
    Settings {
        batch: config.worker.batch,
        max_live: config.worker.max_live,
        dead_letter_ratio: config.worker.dead_letter_ratio,
        heartbeat_timeout: millis(config.worker.heartbeat_timeout),
        probes: config.insights.breaker_probes,
        payload_bytes: workflow.payload_bytes,
        rules: rules(config, llm_available),
        strategies: strategies(config, llm_available),
        window: Window { millis: millis(workflow.receipt_window), count: workflow.receipts_per_partition },
        prefix: config.kafka.prefix.clone(),
        worker: slot.to_owned(),
        partitions,
        limits,
    }
}

fn log_settings(config: &Config, slot: &str) -> LogSettings {
    LogSettings::new(
        &config.kafka,
        "orchestrator",
        slot,
        config.worker.session_timeout,
        config.worker.transaction_timeout,
        config.worker.batch,
    )
}

fn asker(
    config: &Config,
    agents: &Arc<SharedRegistry>,
    health: &Arc<SharedAgentHealth>,
    experiments: &Arc<SharedExperiments>,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Option<Asker>> {
    let Some(llm) = super::llm(config)? else {
        tracing::info!("no [[llm.providers]]: agents are chosen by contract and by the local selector");
        return Ok(None);
    };
    let llm = Arc::new(llm);
    let (named, allowed, metrics) = (Arc::clone(agents), Arc::clone(agents), Arc::clone(metrics));
    let health = Arc::clone(health);
    Ok(Some(Asker {
        chooser: chooser(config, &llm, Arc::clone(experiments)),
        planner: llm,
        cards: Arc::new(move |set, kind| {
            let (registry, health) = (named.get(), health.get());
            let card = |agent: &Arc<Agent>| {
                let lately = health.get(agent.topic_name()).map(|health| prompts::lately(health, kind));
                Card { lately: lately.unwrap_or_default(), ..prompts::card(agent) }
            };
            set.iter().filter_map(|name| registry.agent(name)).map(card).collect()
        }),
        allowed: Arc::new(move |task| prompts::allowed(&allowed.get(), task)),
        limits: prompts::limits(config),
        runtime: Handle::current(),
        turns: Arc::new(Semaphore::new(config.llm.max_in_flight)),
        observe: Arc::new(move |attempts| observe(&metrics, attempts)),
    }))
}

/// The LLM as the strategy has it that holds for a task.
fn chooser(config: &Config, llm: &Arc<Llm>, experiments: Arc<SharedExperiments>) -> ChooserOf {
    let strategies = strategies(config, true);
    let named: BTreeMap<String, Arc<Llm>> = config
        .strategies
        .iter()
        .map(|(name, own)| (name.clone(), Arc::new(llm.otherwise(&own.models, own.select_rules.as_deref()))))
        .collect();
    let default = Arc::clone(llm);
    Arc::new(move |workflow| {
        let strategies = strategies.with(experiments.get());
        let task = workflow.task.as_deref();
        let strategy = task.and_then(|task| strategies.of(task, workflow.submitted_at).strategy.cloned());
        Arc::clone(strategy.and_then(|strategy| named.get(&*strategy)).unwrap_or(&default))
    })
}

fn observe(metrics: &Metrics, attempts: &[Attempt]) {
    for attempt in attempts {
        metrics.llm_calls(&attempt.provider, &attempt.model, &attempt.verdict).inc();
        let counters = metrics.llm(&attempt.provider, &attempt.model);
        let count = |tokens: i64| u64::try_from(tokens).unwrap_or(0);
        counters.seconds.observe(std::time::Duration::from_millis(count(attempt.millis)).as_secs_f64());
        counters.input_tokens.inc_by(count(attempt.usage.input_tokens));
        counters.output_tokens.inc_by(count(attempt.usage.output_tokens));
        counters.cost_micros.inc_by(count(attempt.usage.cost_micros));
    }
}
