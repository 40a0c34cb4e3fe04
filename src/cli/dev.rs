//! `baton dev`: broker, registry, topics and schemas, and all roles in this process, until a signal.
//!
//! What it says on standard output is where everything is and what to do next, with commands that can be pasted.

use super::args::DevArgs;
use super::context::Context;
use super::{apply, output};
use crate::config::Config;
use crate::embedded::{Ports, Stack};
use crate::http::HttpError;
use crate::service::{Role, Service};
use anyhow::Context as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Between two looks whether all is ready.
const LOOK: Duration = Duration::from_millis(5);

pub(super) async fn run(given: Config, args: DevArgs) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut signals = Signals::listen()?;
    for warning in given.warnings() {
        tracing::warn!("{warning}");
    }
    let ports = Ports { kafka: args.kafka_port, registry: args.registry_port };
    let stack = Stack::start(ports, Some(&args.data)).await?;
    tracing::info!(after = ?started.elapsed(), "broker and registry listen");
    let mut config = stack.configure(given.clone());
    if let Some(port) = args.http_port {
        config.http.listen.set_port(port);
    }
    let ran = serve(&stack, &given, config, &args.data, started, &mut signals).await;
    // Also after a failure, so that what was acknowledged is on the disk.
    let stopped = stack.stop().await;
    ran?;
    Ok(stopped?)
}

async fn serve(
    stack: &Stack,
    given: &Config,
    config: Config,
    data: &Path,
    started: Instant,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    let context = Context { config };
    apply::bring_up(&context).await?;
    tracing::info!(after = ?started.elapsed(), "topics and schemas are there");
    let mut service = Service::start(context.config.clone(), Role::ALL.into()).await.map_err(port_taken)?;
    where_it_is(stack, given, &context.config, service.address(), data)?;
    loop {
        tokio::select! {
            ended = service.ended() => return ended,
            () = signals.any() => return service.stop(false).await,
            () = tokio::time::sleep(LOOK) => if service.health().is_ready() { break },
        }
    }
    output::line(format!("  ready after      {:.1} s", started.elapsed().as_secs_f64()))?;
    next(stack, given)?;
    tokio::select! {
        ended = service.ended() => ended,
        () = signals.any() => {
            output::note("ending …");
            service.stop(false).await
        }
    }
}

/// Says it in this command's words.
fn port_taken(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<HttpError>() {
        Ok(HttpError::Listen { address, source }) => anyhow::Error::new(source).context(format!(
            "HTTP cannot listen on {address}; choose another port with --http-port (0 = any free one), or end what listens \
             there"
        )),
        Ok(other) => other.into(),
        Err(other) => other,
    }
}

fn where_it_is(stack: &Stack, given: &Config, config: &Config, http: SocketAddr, data: &Path) -> anyhow::Result<()> {
    let (default, kafka) = (Config::default(), &given.kafka);
    let mut unused = Vec::new();
    let is_other = |given: &str, default: &str, here: &str| given != default && !is_here(given, here);
    if is_other(&kafka.bootstrap_servers, &default.kafka.bootstrap_servers, &stack.bootstrap_servers()) {
        unused.push(format!("kafka.bootstrap_servers = {}", kafka.bootstrap_servers));
    }
    if !kafka.client.is_empty() {
        unused.push("kafka.client".to_owned());
    }
    if is_other(&given.registry.url, &default.registry.url, &stack.registry_url()) {
        unused.push(format!("registry.url = {}", given.registry.url));
    }
    output::line("baton dev: a broker, a schema registry and all of Baton in this process, for developing")?;
    output::line(format!("  Kafka            {}", stack.bootstrap_servers()))?;
    output::line(format!("  schema registry  {}", stack.registry_url()))?;
    output::line(format!("  HTTP             http://{http} (/readyz, /metrics)"))?;
    output::line(format!("  topics           {}.…", config.kafka.prefix))?;
    output::line(format!(
        "  data             {} ({}); every record stays there, so it only grows: delete it to start over",
        data.display(),
        size(stack.kept())
    ))?;
    if !unused.is_empty() {
        output::line(format!("  not used here    {}", unused.join(", ")))?;
    }
    Ok(())
}

/// What to type, in another terminal.
fn next(stack: &Stack, given: &Config) -> anyhow::Result<()> {
    output::line("\nNext, in another terminal:")?;
    let mut settings = Vec::new();
    if !is_here(&given.kafka.bootstrap_servers, &stack.bootstrap_servers()) {
        settings.push(format!("BATON__KAFKA__BOOTSTRAP_SERVERS={}", stack.bootstrap_servers()));
    }
    if !is_here(&given.registry.url, &stack.registry_url()) {
        settings.push(format!("BATON__REGISTRY__URL={}", stack.registry_url()));
    }
    if !settings.is_empty() {
        output::line(format!("  export {}", settings.join(" ")))?;
    }
    let (kafka, registry) = (stack.bootstrap_servers(), stack.registry_url());
    output::line("  baton agents register examples/agent.json")?;
    output::line(format!("  BOOTSTRAP={kafka} REGISTRY={registry} python3 examples/agent.py &"))?;
    output::line("  baton submit 'Count the words of this text' --input '\"one two three\"' --wait")?;
    output::line("\nCtrl-C ends it; the data stays.")?;
    Ok(())
}

/// Whether what other commands are configured to use is what runs here.
fn is_here(configured: &str, address: &str) -> bool {
    configured.trim_end_matches('/').replace("localhost", "127.0.0.1") == address
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// What ends it.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("listening for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("listening for SIGINT")?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
