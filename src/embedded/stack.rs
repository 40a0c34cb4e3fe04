//! Broker and registry together, and the configuration that points at them.

use super::registry::{RegistryServer, RegistryServerError};
use super::{Broker, EmbeddedError};
use crate::config::Config;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The registry's file in the folder of data.
const SCHEMAS: &str = "registry.json";
/// The one worker's name: under it a restarted process ends at once what its predecessor left open.
const SLOT: &str = "embedded";

/// On this machine only; 0 is any free one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    pub kafka: u16,
    pub registry: u16,
}

/// Both under way; dropped, both end.
#[derive(Debug)]
pub struct Stack {
    broker: Broker,
    registry: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), RegistryServerError>>,
}

impl Stack {
    /// Takes both ports and reads back what the folder `data` holds; without one all is forgotten at the end.
    ///
    /// # Errors
    /// [`EmbeddedError`]: a port that is taken, data that is in use or damaged.
    pub async fn start(ports: Ports, data: Option<&Path>) -> Result<Self, EmbeddedError> {
        let here = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        // Its lock is that of the whole folder, so it comes first.
        let broker = Broker::start(here(ports.kafka), data)?;
        let registry = RegistryServer::bind(here(ports.registry), data.map(|folder| folder.join(SCHEMAS))).await;
        let registry = registry.map_err(|error| match error {
            RegistryServerError::Listen { address, source } => EmbeddedError::ListenForSchemas { address, source },
            other => EmbeddedError::Registry(other),
        })?;
        let (address, stop) = (registry.address(), CancellationToken::new());
        let serving = tokio::spawn(registry.serve(stop.clone()));
        Ok(Self { broker, registry: address, stop, serving })
    }

    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        self.broker.address().to_string()
    }

    #[must_use]
    pub fn registry_url(&self) -> String {
        format!("http://{}", self.registry)
    }

    /// Bytes of records on disk.
    #[must_use]
    pub fn kept(&self) -> u64 {
        self.broker.kept()
    }

    /// The same configuration with these two in place of any other broker and registry, and without what only made sense
    /// for those: credentials, TLS, replicas.
    #[must_use]
    pub fn configure(&self, mut config: Config) -> Config {
        let kafka = &mut config.kafka;
        kafka.bootstrap_servers = self.bootstrap_servers();
        kafka.client.clear();
        (kafka.replication_factor, kafka.min_insync_replicas) = (None, None);
        kafka.slot.get_or_insert_with(|| SLOT.to_owned());
        config.registry = crate::config::Registry { url: self.registry_url(), ..crate::config::Registry::default() };
        config
    }

    /// Ends both. Whoever uses them should have ended before.
    ///
    /// # Errors
    /// Where what was acknowledged could not be brought to the disk.
    pub async fn stop(mut self) -> Result<(), EmbeddedError> {
        self.stop.cancel();
        match (&mut self.serving).await {
            Ok(served) => served.map_err(EmbeddedError::Registry)?,
            Err(panic) => tracing::error!(%panic, "the schema registry's task"),
        }
        let stopped = tokio::task::spawn_blocking(move || self.broker.stop()).await;
        stopped.unwrap_or_else(|panic| {
            tracing::error!(%panic, "stopping the embedded broker");
            Ok(())
        })
    }
}
