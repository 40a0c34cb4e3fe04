//! What must be there before work begins, waited for: the broker, the topics, the schemas' ids.

use crate::config::Config;
use crate::contract::{Codec, RecordKind, Registry, SchemaCache, TopicSpec, WriterSchema};
use crate::kafka::admin::Admin;
use crate::telemetry::Health;
use crate::worker::TopicLimits;
use anyhow::bail;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const AGAIN: Duration = Duration::from_secs(1);

/// What the start found.
pub(super) struct Found {
    pub(super) codec: Codec,
    /// Of every topic keyed by task id.
    pub(super) partitions: i32,
    pub(super) limits: TopicLimits,
}

/// Waits until all is there; none if told to stop meanwhile.
///
/// # Errors
/// What waiting does not mend.
pub(super) async fn wait(
    config: &Config,
    registry: &Registry,
    health: &Health,
    root: &CancellationToken,
) -> anyhow::Result<Option<Found>> {
    let admin = Admin::new(&config.kafka)?;
    let mut said = String::new();
    let mut say = |part: &str, reason: String| {
        if reason != said {
            tracing::warn!(part, "waiting: {reason}");
            said.clone_from(&reason);
        }
        health.waiting(part, reason);
    };
    let (partitions, limits) = loop {
        match topics(config, &admin).await? {
            Ok(found) => break found,
            Err(reason) => say("kafka", reason),
        }
        tokio::select! { () = tokio::time::sleep(AGAIN) => {}, () = root.cancelled() => return Ok(None) }
    };
    health.ready("kafka");
    let codec = loop {
        match codec(config, registry).await {
            Ok(codec) => break codec,
            Err(reason) => say("registry", reason),
        }
        tokio::select! { () = tokio::time::sleep(AGAIN) => {}, () = root.cancelled() => return Ok(None) }
    };
    health.ready("registry");
    Ok(Some(Found { codec, partitions, limits }))
}

/// The partition count that all topics share, and their limits; else what is waited for.
async fn topics(config: &Config, admin: &Admin) -> anyhow::Result<Result<(i32, TopicLimits), String>> {
    let cluster = match admin.cluster().await {
        Ok(cluster) => cluster,
        Err(fault) => return Ok(Err(fault.to_string())),
    };
    let prefix = &config.kafka.prefix;
    let mut wanted: Vec<TopicSpec> = TopicSpec::built_in().iter().filter(|spec| !spec.per_agent).cloned().collect();
    wanted.extend(TopicSpec::built_in().iter().filter_map(TopicSpec::dead_letter_topic));
    let mut missing = Vec::new();
    let mut counts = BTreeMap::new();
    for spec in &wanted {
        let name = spec.topic(prefix);
        match cluster.topics.iter().find(|topic| topic.name == name) {
            None => missing.push(name),
            Some(topic) if spec.is_task_keyed() => {
                counts.insert(name, topic.partitions);
            }
            Some(_) => {}
        }
    }
    if !missing.is_empty() {
        return Ok(Err(format!("topics are missing: {}; run `baton apply`", missing.join(", "))));
    }
    let Some(count) = counts.values().next().copied() else { bail!("no topic is keyed by task id") };
    if counts.values().any(|other| *other != count) {
        let shown: Vec<String> = counts.iter().map(|(name, count)| format!("{name}: {count}")).collect();
        bail!(
            "topics keyed by task id must have the same number of partitions, for a task lives on one number in all: {}. \
             Partitions can only be added, and tasks move home when they are: create the topics anew under another \
             kafka.prefix, or add partitions to the smaller ones while nothing runs and task-state is empty",
            shown.join(", ")
        );
    }
    // What is configured on the broker may be less than what we asked for; the client's own check comes on top.
    let limit = |name: &str| {
        let spec = wanted.iter().chain(TopicSpec::built_in()).find(|spec| spec.name == name);
        spec.map_or(1 << 20, |spec| spec.max_message_bytes as usize)
    };
    let others = ["routing-decisions", "task-events", "task-state"].map(limit).into_iter().min().unwrap_or(1 << 20);
    let inputs = ["tasks", "agent-status", "task-commands"].map(limit).into_iter().min().unwrap_or(0);
    Ok(Ok((count, TopicLimits { inputs, assignments: limit("assignments"), others })))
}

/// The ids of all schemas we write; else what is waited for.
async fn codec(config: &Config, registry: &Registry) -> Result<Codec, String> {
    let cache = Arc::new(SchemaCache::new());
    let mut ids = BTreeMap::new();
    for spec in TopicSpec::built_in() {
        let (Some(kind), Some(subject)) = (spec.record, spec.subject(&config.kafka.prefix)) else { continue };
        let found = registry.id_of(&subject, kind.schema_text()).await;
        match found.map_err(|error| error.to_string())? {
            Some(id) => {
                ids.insert(kind, id);
                cache.insert(id, WriterSchema::parse("AVRO", kind.schema_text()));
            }
            None => return Err(format!("schema {} is not under {subject}; run `baton apply`", kind.name())),
        }
    }
    debug_assert!(RecordKind::ALL.iter().all(|kind| ids.contains_key(kind)), "every record has a topic");
    Ok(Codec::new(&config.kafka.prefix, ids, cache))
}
