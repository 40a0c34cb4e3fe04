//! The role `sources`: a thread for each of `[[sources]]`, and one for `[confluent]`.

use super::Base;
use crate::config::{CONFLUENT, StartFrom};
use crate::contract::assignment_topic;
use crate::kafka::LogSettings;
use crate::kafka::admin::Admin;
use crate::kafka::relay::RelaySettings;
use crate::selection::topic_name;
use crate::sources::{Confluent, Feed, Recipe, Work, Writer};
use crate::worker::StopSignal;
use anyhow::{Context, anyhow};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Works until `stop` says so.
///
/// # Errors
/// Why a source cannot go on.
pub(super) async fn run(base: &Base, stop: &Arc<StopSignal>) -> anyhow::Result<()> {
    let (config, bytes) = (&base.config, base.config.workflow.payload_bytes);
    let admin = Admin::new(&config.kafka)?;
    let dead = format!("{}.sources.dlq", config.kafka.prefix);
    // Waited for at the start of the process.
    let letters =
        admin.topic(&dead).await?.with_context(|| format!("{dead} is not there; run `baton apply`"))?.partitions;
    let writer = |name| Writer::new(Arc::clone(&base.codec), base.partitions, letters, &base.slot, name);
    let mut ends = JoinSet::new();
    for source in &config.sources {
        let writer = writer(source.name());
        let settings = settings(base, source.name(), vec![source.topic.clone()], source.from);
        let work = Recipe::new(source.clone(), writer.clone(), bytes);
        ends.spawn(start(feed(base, stop, &admin, settings, vec![], work, writer), source.name())?);
    }
    if config.confluent.is_on() {
        let (ours, kafka) = (config.confluent.clone(), config.kafka.clone());
        let topic = |name: &String| assignment_topic(&kafka.prefix, &topic_name(name, 1));
        let agents: BTreeMap<String, String> =
            ours.agents.iter().map(|name| (topic(name), name.trim().to_owned())).collect();
        let topics = std::iter::once(ours.messages.clone()).chain(agents.keys().cloned()).collect();
        let (settings, outputs) = (settings(base, CONFLUENT, topics, ours.from), vec![ours.predictions.clone()]);
        let writer = writer(CONFLUENT);
        let work = Confluent::new(ours, kafka, writer.clone(), base.registry.clone(), agents, bytes);
        ends.spawn(start(feed(base, stop, &admin, settings, outputs, work, writer), CONFLUENT)?);
    }
    base.health.ready("sources");
    while let Some(end) = ends.join_next().await {
        end.context("a source's thread is gone")??;
    }
    base.root.cancelled().await;
    Ok(())
}

fn settings(base: &Base, name: &str, topics: Vec<String>, from: StartFrom) -> RelaySettings {
    let worker = &base.config.worker;
    let role = format!("sources.{name}");
    let (session, transaction) = (worker.session_timeout, worker.transaction_timeout);
    let log = LogSettings::new(&base.config.kafka, &role, &base.slot, session, transaction, worker.batch);
    RelaySettings::new(log, topics, from)
}

fn feed<W: Work>(
    base: &Base,
    stop: &Arc<StopSignal>,
    admin: &Admin,
    settings: RelaySettings,
    outputs: Vec<String>,
    work: W,
    writer: Writer,
) -> Feed<W> {
    let (root, stop) = (base.root.clone(), Arc::clone(stop));
    Feed {
        settings,
        outputs,
        work,
        writer,
        admin: admin.clone(),
        registry: base.registry.clone(),
        schemas: Arc::clone(base.codec.cache()),
        health: base.health.clone(),
        metrics: Arc::clone(&base.metrics),
        stop: Box::new(move || root.is_cancelled().then(|| stop.leaves())),
        runtime: Handle::current(),
    }
}

/// Starts its thread; what comes back waits for its end.
fn start<W: Work + Send + 'static>(
    feed: Feed<W>,
    name: &str,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + Send + 'static> {
    let (ended, end) = oneshot::channel();
    let named = name.to_owned();
    thread::Builder::new().name(format!("baton-source-{name}")).spawn(move || {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| feed.run()));
        // Nobody may be waiting any more.
        let _ = ended.send(result.map_err(|_| anyhow!("source {named} panicked")).and_then(|ended| Ok(ended?)));
    })?;
    Ok(async move { end.await.context("a source's thread is gone")? })
}
