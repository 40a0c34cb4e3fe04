//! The sample agents at work in this process, through the SDK that anybody's agent would use.

use crate::agent::{Agent, Answer, Connection, ErrorClass, Failure, input};
use crate::cli::context::Context;
use crate::contract::{
    CE_ID, CE_SOURCE, CE_SPECVERSION, CE_TYPE, CONTENT_TYPE, RecordKind, Registry, TopicSpec, assignment_topic,
};
use crate::demo::SampleAgent;
use crate::kafka::admin::{Admin, Creation, TopicSpec as TopicToBe};
use crate::kafka::produce::{Outgoing, PlainProducer};
use crate::selection::topic_name_of;
use anyhow::{Context as _, bail};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What the agents have begun when the demo ends takes no longer than this, or is left.
const GRACE: Duration = Duration::from_secs(2);

/// Puts all definitions into the table of agents and makes their topics, all at once: nobody has to wait for a topic.
pub(super) async fn register(
    context: &Context,
    producer: &PlainProducer,
    agents: &[SampleAgent],
) -> anyhow::Result<()> {
    let kafka = &context.config.kafka;
    let spec =
        TopicSpec::built_in().iter().find(|spec| spec.per_agent).context("the topics compiled in lack assignments")?;
    let topic = |agent: &SampleAgent| TopicToBe {
        name: assignment_topic(&kafka.prefix, &key(agent)),
        partitions: kafka.partitions.unwrap_or(spec.partitions),
        config: spec.config.clone(),
    };
    let topics: Vec<TopicToBe> = agents.iter().map(topic).collect();
    for (name, creation) in Admin::new(kafka)?.create(&topics).await? {
        if let Creation::Failed(fault) = creation {
            bail!("creating {name}: {fault}");
        }
    }
    let mut pending = Vec::with_capacity(agents.len());
    for agent in agents {
        pending.push(producer.enqueue(&registration(context, agent)?).await?);
    }
    for delivery in pending {
        delivery.delivered().await.context("registering the agents")?;
    }
    Ok(())
}

fn key(agent: &SampleAgent) -> String {
    topic_name_of(&agent.definition.agent_name, &agent.definition.version)
}

fn registration(context: &Context, agent: &SampleAgent) -> anyhow::Result<Outgoing> {
    let key = key(agent);
    let headers = [
        (CE_SPECVERSION, "1.0"),
        (CE_ID, &key),
        (CE_TYPE, RecordKind::AgentDefinition.full_name()),
        (CE_SOURCE, "baton/demo"),
        (CONTENT_TYPE, "application/json"),
    ];
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect();
    let value = Some(serde_json::to_vec(&agent.definition)?);
    Ok(Outgoing { topic: context.topic("agents"), partition: None, key: Some(key.into_bytes()), value, headers })
}

/// All agents, each in a task of its own.
#[derive(Debug)]
pub(super) struct Cast {
    agents: JoinSet<anyhow::Result<()>>,
    stop: CancellationToken,
}

impl Cast {
    pub(super) fn start(context: &Context, registry: &Registry, agents: &[SampleAgent]) -> Self {
        let (mut running, stop) = (JoinSet::new(), CancellationToken::new());
        for sample in agents {
            let (sample, kafka) = (sample.clone(), context.config.kafka.clone());
            let (registry, stop) = (registry.clone(), stop.clone());
            running.spawn(async move {
                let name = sample.definition.agent_name.clone();
                Box::pin(work(sample, kafka, registry, stop)).await.with_context(|| format!("the agent {name}"))
            });
        }
        Self { agents: running, stop }
    }

    /// Waits for an agent's end that nobody asked for. May be dropped and called again.
    pub(super) async fn ended(&mut self) -> anyhow::Result<()> {
        match self.agents.join_next().await {
            Some(ended) => ended.context("an agent panicked")?,
            None => std::future::pending().await,
        }
    }

    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        let mut result = Ok(());
        while let Some(ended) = self.agents.join_next().await {
            let ended = ended.context("an agent panicked").and_then(|ended| ended);
            result = result.and(ended);
        }
        result
    }
}

async fn work(
    sample: SampleAgent,
    kafka: Connection,
    registry: Registry,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let concurrency = sample.concurrency();
    let agent = Agent::builder(sample.definition)
        .kafka(kafka)
        .registry_client(registry)
        .registered_elsewhere()
        .concurrency(concurrency)
        .grace(GRACE)
        .build()?;
    let (work, takes) = (Arc::new(sample.work), sample.takes);
    let handler = move |assignment, _| {
        let work = Arc::clone(&work);
        async move {
            tokio::time::sleep(takes).await;
            let given = input(&assignment)?;
            // The same input would fail again.
            work.run(&given).map(Answer::Json).map_err(|why| Failure::new(ErrorClass::Permanent, why))
        }
    };
    Ok(agent.run(handler, stop).await?)
}
