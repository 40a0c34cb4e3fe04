//! The composition root: configuration in, a running service out, torn down in order.
//!
//! ```text
//! port ─▶ broker and topics ─▶ schema ids ─▶ table of agents ─▶ worker
//! ```
//!
//! Whatever is not there yet at start is waited for, and `/readyz` and the log say what that is. Whatever ends early ends
//! the whole: a service that does half its work is worse than one that is started again.

mod agents;
mod lookups;
mod slot;
mod start;

use crate::config::{AskLlm, Config};
use crate::contract::{ContractNames, Registry, RegistryAuth};
use crate::http::{Server, Shown};
use crate::kafka::{KafkaLog, LogSettings};
use crate::llm::{self, Card, Llm};
use crate::partition::Window;
use crate::runner::{Asker, EffectRunner};
use crate::selection::{Agent, LlmUse, Policy};
use crate::telemetry::{Health, Metrics};
use crate::worker::{Parts, Settings, SharedRegistry, Stop, StopSignal, TopicLimits, Worker};
use crate::workflow::{Answer, Rules};
use anyhow::{Context, anyhow};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

/// From the first signal to the end of the process, whatever still runs. A transaction takes milliseconds; one whose
/// broker is away ends with the process, and its successor fences it.
const GRACE: Duration = Duration::from_secs(20);

/// Wakes the worker's thread, from wherever.
#[derive(Debug, Default)]
struct Waker(OnceLock<Thread>);

impl Waker {
    fn wake(&self) {
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
    }
}

/// Runs until a signal, or until something ends that should not.
///
/// # Errors
/// Why the service cannot go on.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let (health, metrics, root) = (Health::new(), Arc::new(Metrics::new()), CancellationToken::new());
    // Said before anybody can ask: between two steps of the start no other part may be waiting.
    health.waiting("partitions", "the worker has not started yet");
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let token = config.http.token.as_ref().map(|secret| secret.reveal().into());
    let shown = Shown { health: health.clone(), metrics: Arc::clone(&metrics), token };
    let server = Server::bind(config.http.listen, shown).await?;
    tracing::info!(address = %server.address()?, "health and metrics are served");
    let serving = tokio::spawn(server.serve(root.clone()));

    let stop = Arc::new(StopSignal::default());
    let waker = Arc::new(Waker::default());
    let work = work(config, health, metrics, Arc::clone(&stop), Arc::clone(&waker), root.clone());
    tokio::pin!(work);
    let result = tokio::select! {
        ended = &mut work => ended,
        leaves = async { tokio::select! { _ = terminate.recv() => false, _ = interrupt.recv() => true } } => {
            tracing::info!(leaves, grace = ?GRACE, "stopping");
            if leaves { stop.leave() } else { stop.stay() }
            waker.wake();
            root.cancel();
            match tokio::time::timeout(GRACE, &mut work).await {
                Ok(ended) => ended,
                Err(_) => Err(anyhow!("the worker did not end within {GRACE:?}; its successor fences what is open")),
            }
        }
    };
    root.cancel();
    serving.await.context("the HTTP server panicked")??;
    result
}

/// Brings the worker up and waits for its end.
async fn work(
    config: Config,
    health: Health,
    metrics: Arc<Metrics>,
    stop: Arc<StopSignal>,
    waker: Arc<Waker>,
    root: CancellationToken,
) -> anyhow::Result<()> {
    let slot = slot::take(&config.kafka)?;
    let config = Config { kafka: crate::config::Kafka { slot: Some(slot.name.clone()), ..config.kafka }, ..config };
    let registry = registry(&config)?;
    let Some(found) = start::wait(&config, &registry, &health, &root).await? else {
        return Ok(());
    };
    let wake: Arc<dyn Fn() + Send + Sync> = {
        let waker = Arc::clone(&waker);
        Arc::new(move || waker.wake())
    };
    let (names, agents) = (Arc::new(ContractNames::new()), Arc::new(SharedRegistry::default()));
    let codec = Arc::new(found.codec);
    let lookups = lookups::start(registry.clone(), Arc::clone(&names), Arc::clone(codec.cache()), Arc::clone(&wake));
    let table = agents::Table {
        config: config.clone(),
        registry,
        codec: Arc::clone(&codec),
        names: Arc::clone(&names),
        shared: Arc::clone(&agents),
        health: health.clone(),
        wake: Arc::clone(&wake),
    };
    let read = table.follow(root.clone());
    tokio::pin!(read);
    let read_whole = tokio::select! {
        read = &mut read => read,
        () = root.cancelled() => return Ok(()),
    };
    let following = read_whole?;

    let asker = asker(&config, &agents, &metrics)?;
    let settings = settings(&config, &slot.name, found.partitions, found.limits, asker.is_some());
    let log = log_settings(&config, &slot.name);
    let parts = Parts { settings, codec, names, registry: agents, metrics, health, stop };
    let (ended, end) = oneshot::channel();
    thread::Builder::new().name("baton-worker".to_owned()).spawn(move || {
        // Set once, before anything can wake it.
        let _ = waker.0.set(thread::current());
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let runner = EffectRunner::new(asker, Arc::clone(&wake));
            let log = KafkaLog::connect(log, move || wake())?;
            Worker::new(log, runner, Box::new(lookups), parts).run()
        }));
        let _ = ended.send(result.unwrap_or_else(|_| Err(Stop::Broken("the worker panicked".to_owned()))));
    })?;
    let result = tokio::select! {
        result = end => result.unwrap_or_else(|_| Err(Stop::Broken("the worker's thread is gone".to_owned()))),
        table = following => match table {
            Ok(()) => return Ok(()),
            Err(error) => return Err(error.context("the table of agents")),
        },
    };
    drop(slot);
    Ok(result?)
}

/// The registry's client as configured.
///
/// # Errors
/// If the address is none.
pub fn registry(config: &Config) -> anyhow::Result<Registry> {
    let auth = config.registry.user.as_ref().zip(config.registry.password.as_ref());
    let auth =
        auth.map(|(user, password)| RegistryAuth::Basic { user: user.clone(), password: password.reveal().to_owned() });
    Ok(Registry::new(&config.registry.url, auth)?)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn settings(config: &Config, slot: &str, partitions: i32, limits: TopicLimits, llm_available: bool) -> Settings {
    let workflow = &config.workflow;
    Settings {
        batch: config.worker.batch,
        max_live: config.worker.max_live,
        payload_bytes: workflow.payload_bytes,
        rules: Rules {
            default_deadline: millis(workflow.default_deadline),
            max_hops: workflow.max_hops,
            accept_timeout: millis(workflow.accept_timeout),
            assignment_timeout: millis(workflow.assignment_timeout),
            llm_budget: millis(config.llm.budget),
            // Each is a write, and begins the wait for the next word anew.
            progress_interval: millis(workflow.assignment_timeout) / 4,
            workflow_bytes: workflow.workflow_bytes,
        },
        policy: Policy {
            llm: match config.routing.llm {
                AskLlm::Always => LlmUse::Always,
                AskLlm::Ambiguous => LlmUse::Ambiguous,
                AskLlm::Never => LlmUse::Never,
            },
            llm_available,
            margin: config.routing.margin,
            threshold: config.routing.threshold,
            shortlist: config.routing.shortlist,
        },
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

/// The providers as configured; none where there are none.
///
/// # Errors
/// All faults of the providers.
pub fn llm(config: &Config) -> anyhow::Result<Option<Llm>> {
    if config.llm.providers.is_empty() {
        return Ok(None);
    }
    let provider = |(index, provider): (usize, &crate::config::Provider)| {
        let api = match provider.api {
            crate::config::Api::OpenaiChat => llm::Api::OpenaiChat,
            crate::config::Api::AnthropicMessages => llm::Api::AnthropicMessages,
        };
        let name = format!("{}-{}", index + 1, provider.model);
        let plain = llm::Provider::new(name, api, &provider.base_url, &provider.model);
        llm::Provider {
            api_key: provider.api_key.as_ref().map(|key| llm::Secret::new(key.reveal())),
            structured: match provider.structured {
                crate::config::Structured::JsonSchema => llm::Structured::JsonSchema,
                crate::config::Structured::JsonObject => llm::Structured::JsonObject,
                crate::config::Structured::None => llm::Structured::None,
            },
            requests_per_minute: provider.requests_per_minute,
            tokens_per_minute: provider.tokens_per_minute.map(u64::from),
            max_in_flight: provider
                .max_in_flight
                .and_then(|most| u32::try_from(most).ok())
                .unwrap_or(plain.max_in_flight),
            daily_cost_cap_micros: provider.daily_cost_cap_micros,
            input_price_micros: provider.prices.input_micros_per_million,
            output_price_micros: provider.prices.output_micros_per_million,
            ..plain
        }
    };
    let providers = config.llm.providers.iter().enumerate().map(provider).collect();
    let built = Llm::new(llm::Settings { providers });
    built.map(Some).map_err(|faults| anyhow!("[llm]: {}", faults.join("; ")))
}

fn asker(config: &Config, agents: &Arc<SharedRegistry>, metrics: &Arc<Metrics>) -> anyhow::Result<Option<Asker>> {
    let Some(llm) = llm(config)? else {
        tracing::info!("no [[llm.providers]]: agents are chosen by contract and by the local selector");
        return Ok(None);
    };
    let (agents, metrics) = (Arc::clone(agents), Arc::clone(metrics));
    Ok(Some(Asker {
        llm: Arc::new(llm),
        cards: Arc::new(move |set| {
            let registry = agents.get();
            set.iter().filter_map(|name| registry.agent(name)).map(|agent| card(agent)).collect()
        }),
        runtime: Handle::current(),
        turns: Arc::new(Semaphore::new(config.llm.max_in_flight)),
        observe: Arc::new(move |answer| observe(&metrics, answer)),
    }))
}

/// What the model is told of an agent.
fn card(agent: &Agent) -> Card {
    let definition = agent.definition();
    let words = |terms: &crate::selection::Terms| match &terms.contract {
        Some(contract) => format!("{} {contract}", terms.format),
        None => terms.format.clone(),
    };
    Card {
        name: agent.name().to_owned(),
        description: definition.description.clone(),
        capabilities: definition.capabilities.clone(),
        input: words(&definition.input),
        output: words(&definition.output),
    }
}

fn observe(metrics: &Metrics, answer: &Answer) {
    for attempt in &answer.attempts {
        metrics.llm_calls(&attempt.provider, &attempt.model, &attempt.verdict).inc();
        let counters = metrics.llm(&attempt.provider, &attempt.model);
        let count = |tokens: i64| u64::try_from(tokens).unwrap_or(0);
        counters.seconds.observe(std::time::Duration::from_millis(count(attempt.millis)).as_secs_f64());
        counters.input_tokens.inc_by(count(attempt.usage.input_tokens));
        counters.output_tokens.inc_by(count(attempt.usage.output_tokens));
        counters.cost_micros.inc_by(count(attempt.usage.cost_micros));
    }
}
