//! The composition root: configuration in, a running service out, torn down in order.
//!
//! ```text
//! port ─▶ broker and topics ─▶ schema ids ─▶ table of agents ─▶ the roles
//! ```
//!
//! Whatever is not there yet at start is waited for, and `/readyz` and the log say what that is. Whatever ends early ends
//! the whole: a service that does half its work is worse than one that is started again.

mod agent_health;
mod agents;
mod dispatcher;
mod examples;
mod experiments;
mod guard;
mod heartbeats;
mod insights;
mod judge;
mod lookups;
mod orchestrator;
pub mod prompts;
mod rules;
mod slot;
mod sources;
mod start;
mod table;

use crate::config::Config;
use crate::contract::{Codec, ContractNames, Registry, RegistryAuth};
use crate::dispatch::PostedReports;
use crate::http::{Server, Shown};
use crate::llm::{self, Llm};
use crate::selection::Embed;
use crate::telemetry::{Health, Metrics};
use crate::worker::{SharedAgentHealth, SharedExperiments, SharedPresence, SharedRegistry, StopSignal, TopicLimits};
use anyhow::{Context, anyhow};
pub use judge::{Judge, Judged, Known, otherwise};
use orchestrator::Waker;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// From the first signal to the end of the process, whatever still runs. A transaction takes milliseconds; one whose
/// broker is away ends with the process, and its successor fences it.
const GRACE: Duration = Duration::from_secs(20);

/// A report holds an output and a few words.
const BESIDE_OUTPUT: usize = 64 << 10;

/// What a process may do; several at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Takes tasks and reports, chooses agents, completes.
    Orchestrator,
    /// Makes tasks of the records of other topics.
    Sources,
    /// Posts assignments to agents with an endpoint.
    Dispatcher,
    /// Keeps the agents' statistics and circuit breakers.
    Insights,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Orchestrator, Self::Sources, Self::Dispatcher, Self::Insights];

    /// As `--roles` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Orchestrator => "orchestrator",
            Self::Sources => "sources",
            Self::Dispatcher => "dispatcher",
            Self::Insights => "insights",
        }
    }

    /// The part of the health that is ready when this role is.
    fn part(self) -> &'static str {
        match self {
            Self::Orchestrator => "partitions",
            Self::Sources => "sources",
            Self::Dispatcher => "dispatcher",
            Self::Insights => "insights",
        }
    }
}

/// Who takes the reports that agents post, once there is somebody.
type PostBox = Arc<OnceLock<PostedReports>>;

/// What all roles of a process share.
struct Base {
    config: Config,
    slot: String,
    registry: Registry,
    codec: Arc<Codec>,
    /// Of every topic keyed by task id.
    partitions: i32,
    limits: TopicLimits,
    names: Arc<ContractNames>,
    /// Kept up to date by the table of agents.
    agents: Arc<SharedRegistry>,
    health: Health,
    metrics: Arc<Metrics>,
    /// Something changed that the worker looks at: an agent, a looked-up name.
    wake: Arc<dyn Fn() + Send + Sync>,
    /// Cancelled when the process is to end.
    root: CancellationToken,
}

/// Runs until a signal, or until something ends that should not.
///
/// # Errors
/// Why the service cannot go on.
pub async fn run(config: Config, roles: BTreeSet<Role>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut service = Service::start(config, roles).await?;
    let leaves = tokio::select! {
        ended = service.ended() => return ended,
        _ = terminate.recv() => false,
        _ = interrupt.recv() => true,
    };
    service.stop(leaves).await
}

/// A service under way.
#[derive(Debug)]
pub struct Service {
    health: Health,
    address: SocketAddr,
    stop: Arc<StopSignal>,
    waker: Arc<Waker>,
    root: CancellationToken,
    work: JoinHandle<anyhow::Result<()>>,
    serving: JoinHandle<Result<(), crate::http::HttpError>>,
}

impl Service {
    /// Takes the HTTP port and starts the roles; they get ready in the background.
    ///
    /// # Errors
    /// If the port is taken.
    pub async fn start(config: Config, roles: BTreeSet<Role>) -> anyhow::Result<Self> {
        let (health, metrics, root) = (Health::new(), Arc::new(Metrics::new()), CancellationToken::new());
        // Said before anybody can ask: between two steps of the start no other part may be waiting.
        for role in &roles {
            health.waiting(role.part(), format!("the {} has not started yet", role.name()));
        }
        let token = config.http.token.as_ref().map(|secret| secret.reveal().into());
        let post_box = PostBox::default();
        let reports = roles.contains(&Role::Dispatcher).then(|| Arc::clone(&post_box));
        let report_bytes = config.workflow.payload_bytes.saturating_add(BESIDE_OUTPUT);
        let shown = Shown { health: health.clone(), metrics: Arc::clone(&metrics), token, reports, report_bytes };
        let server = Server::bind(config.http.listen, shown).await?;
        let address = server.address()?;
        tracing::info!(%address, "health and metrics are served");
        let serving = tokio::spawn(server.serve(root.clone()));
        let (stop, waker) = (Arc::new(StopSignal::default()), Arc::new(Waker::default()));
        let port = Port { address, post_box };
        let ends = Ends { stop: Arc::clone(&stop), waker: Arc::clone(&waker), root: root.clone() };
        let work = work(config, roles, port, health.clone(), metrics, ends);
        Ok(Self { health, address, stop, waker, root, work: tokio::spawn(work), serving })
    }

    /// What the parts say of themselves.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Where HTTP is served in fact.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it has ended by itself.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.work.is_finished()
    }

    /// Waits for an end that nobody asked for. May be dropped and called again.
    ///
    /// # Errors
    /// Why the service cannot go on.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        let result = (&mut self.work).await.context("the service panicked")?;
        self.root.cancel();
        result
    }

    /// Ends it in order. `leaves`: other workers take over at once; else the same slot is expected back.
    ///
    /// # Errors
    /// What went wrong on the way out.
    pub async fn stop(self, leaves: bool) -> anyhow::Result<()> {
        tracing::info!(leaves, grace = ?GRACE, "stopping");
        if leaves {
            self.stop.leave()
        } else {
            self.stop.stay()
        }
        self.waker.wake();
        self.root.cancel();
        let result = match tokio::time::timeout(GRACE, self.work).await {
            Ok(ended) => ended.context("the service panicked")?,
            Err(_) => Err(anyhow!("the worker did not end within {GRACE:?}; its successor fences what is open")),
        };
        self.serving.await.context("the HTTP server panicked")??;
        result
    }
}

/// What agents reach of this process.
struct Port {
    address: SocketAddr,
    post_box: PostBox,
}

/// How the roles hear of their end.
struct Ends {
    stop: Arc<StopSignal>,
    waker: Arc<Waker>,
    root: CancellationToken,
}

/// Brings the roles up and waits for the end of the first.
async fn work(
    config: Config,
    roles: BTreeSet<Role>,
    port: Port,
    health: Health,
    metrics: Arc<Metrics>,
    Ends { stop, waker, root }: Ends,
) -> anyhow::Result<()> {
    let slot = slot::take(&config.kafka)?;
    let config = Config { kafka: crate::config::Kafka { slot: Some(slot.name.clone()), ..config.kafka }, ..config };
    let registry = registry(&config)?;
    // Only who chooses needs it.
    let embed = if roles.contains(&Role::Orchestrator) { embed(&config)? } else { None };
    let Some(found) = start::wait(&config, &registry, &health, &root).await? else {
        return Ok(());
    };
    let base = Base {
        slot: slot.name.clone(),
        registry,
        codec: Arc::new(found.codec),
        partitions: found.partitions,
        limits: found.limits,
        names: Arc::new(ContractNames::new()),
        agents: Arc::new(SharedRegistry::default()),
        health,
        metrics,
        wake: {
            let waker = Arc::clone(&waker);
            Arc::new(move || waker.wake())
        },
        root,
        config,
    };
    let runs = |role| roles.contains(&role);
    let memory = Arc::<examples::SharedMemory>::default();
    // Before the agents, so that the first choice is made with what is known of them.
    let examples_following = if runs(Role::Orchestrator) && base.config.routing.learn {
        tokio::select! {
            read = examples::follow(&base, Arc::clone(&memory)) => Some(read?),
            () = base.root.cancelled() => return Ok(()),
        }
    } else {
        None
    };
    let table = agents::Table {
        config: base.config.clone(),
        registry: base.registry.clone(),
        codec: Arc::clone(&base.codec),
        names: Arc::clone(&base.names),
        shared: Arc::clone(&base.agents),
        embed,
        memory,
        health: base.health.clone(),
        wake: Arc::clone(&base.wake),
    };
    let read = table.follow(base.root.clone());
    let following = tokio::select! {
        read = read => read?,
        () = base.root.cancelled() => return Ok(()),
    };
    let presence = Arc::<SharedPresence>::default();
    let agent_health = Arc::<SharedAgentHealth>::default();
    let health_following = if runs(Role::Orchestrator) || runs(Role::Insights) {
        tokio::select! {
            read = agent_health::follow(&base, Arc::clone(&agent_health)) => Some(read?),
            () = base.root.cancelled() => return Ok(()),
        }
    } else {
        None
    };
    let (known, in_force) = (Arc::<experiments::Known>::default(), Arc::<SharedExperiments>::default());
    let experiments_following = if runs(Role::Orchestrator) || runs(Role::Insights) {
        tokio::select! {
            read = experiments::follow(&base, Arc::clone(&known), Arc::clone(&in_force)) => Some(read?),
            () = base.root.cancelled() => return Ok(()),
        }
    } else {
        None
    };
    let leads = Arc::<AtomicBool>::default();
    // Each goes on until all are told to stop; the first that fails ends the others.
    let ended = tokio::try_join!(
        async {
            if runs(Role::Orchestrator) {
                orchestrator::run(&base, Arc::clone(&stop), waker, Arc::clone(&presence), agent_health, in_force).await
            } else {
                Ok(())
            }
        },
        async { if runs(Role::Sources) { sources::run(&base, &stop).await } else { Ok(()) } },
        async {
            if runs(Role::Dispatcher) { dispatcher::run(&base, port.address, &port.post_box).await } else { Ok(()) }
        },
        async {
            if runs(Role::Insights) {
                insights::run(&base, &stop, Arc::clone(&presence), Arc::clone(&leads)).await
            } else {
                Ok(())
            }
        },
        async { if runs(Role::Insights) { guard::run(&base, known, Arc::clone(&leads)).await } else { Ok(()) } },
        async { following.await.context("the table of agents") },
        async {
            match health_following {
                Some(following) => following.await.context("the table of the agents' health"),
                None => Ok(()),
            }
        },
        async {
            match examples_following {
                Some(following) => following.await.context("the table of examples"),
                None => Ok(()),
            }
        },
        async {
            match experiments_following {
                Some(following) => following.await.context("the table of experiments"),
                None => Ok(()),
            }
        },
        async { heartbeats::follow(&base, Arc::clone(&presence)).await.context("the heartbeats") },
    );
    ended.map(drop)
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

/// Who tells what texts mean, as configured; none where nobody does.
///
/// # Errors
/// What is wrong with the model's directory, or that this build cannot use any.
pub fn embed(config: &Config) -> anyhow::Result<Option<Arc<dyn Embed>>> {
    match &config.routing.embeddings {
        None => Ok(None),
        #[cfg(feature = "embeddings")]
        Some(directory) => {
            let model = crate::embeddings::SentenceModel::open(directory).context("routing.embeddings")?;
            Ok(Some(Arc::new(model)))
        }
        #[cfg(not(feature = "embeddings"))]
        Some(_) => Err(anyhow!("routing.embeddings is set, and this build has no embeddings")),
    }
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
    built
        .map(|llm| Some(llm.with_prompts(prompts::prompts(config))))
        .map_err(|faults| anyhow!("[llm]: {}", faults.join("; ")))
}
