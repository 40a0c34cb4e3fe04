//! Whether the topics of `[[sources]]` and `[confluent]` are there, and its agents are registered.

use super::Report;
use crate::cli::context::Context;
use crate::contract::assignment_topic;
use crate::kafka::admin::Admin;
use crate::selection::topic_name;
use std::collections::BTreeMap;

pub(super) async fn check(context: &Context, report: &mut Report) {
    let config = &context.config;
    if config.sources.is_empty() && !config.confluent.is_on() {
        return;
    }
    let cluster = match Admin::new(&config.kafka) {
        Ok(admin) => admin.cluster().await,
        Err(fault) => Err(fault),
    };
    let topics: BTreeMap<String, i32> = match cluster {
        Ok(cluster) => cluster.topics.into_iter().map(|topic| (topic.name, topic.partitions)).collect(),
        Err(fault) => return report.bad("sources", fault.to_string()),
    };
    for source in &config.sources {
        topic(&format!("source {}", source.name()), &source.topic, &topics, report);
    }
    if !config.confluent.is_on() {
        return;
    }
    for name in [&config.confluent.messages, &config.confluent.predictions] {
        topic("confluent", name, &topics, report);
    }
    for agent in &config.confluent.agents {
        let topic = assignment_topic(&config.kafka.prefix, &topic_name(agent, 1));
        if !topics.contains_key(&topic) {
            let how =
                format!("{topic} is not there; run `baton agents register FILE` with the definition of {agent:?}");
            report.bad("confluent", format!("waits for an agent: {how}"));
        }
    }
}

fn topic(what: &str, name: &str, topics: &BTreeMap<String, i32>, report: &mut Report) {
    match topics.get(name) {
        Some(partitions) => report.well(what, format!("{name}, {}", super::desired::counted(*partitions))),
        None => report.bad(what, format!("waits for {name}, which is not there; create it, or mend the name")),
    }
}
