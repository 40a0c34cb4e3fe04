//! What topics and schemas should be, and how what is there differs: for `apply`, which mends what can be mended without
//! harm, and `doctor`, which only looks.

use super::context::{Context, WrongUse};
use crate::contract::{Compatibility, RecordKind, Registry, RegistryError, TopicSpec};
use crate::kafka::KafkaFault;
use crate::kafka::admin::{Admin, TopicInfo};
use std::collections::BTreeMap;
use std::path::Path;

/// A topic as it should be.
#[derive(Clone, Debug)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) partitions: i32,
    pub(super) config: BTreeMap<String, String>,
    /// Its records lie at the number of their task's home, so that all such topics have one number of partitions.
    pub(super) task_keyed: bool,
}

/// A schema as it should be registered.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) record: RecordKind,
    pub(super) level: Compatibility,
}

/// How a topic that is there differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// It cannot work like this.
    Wrong(String),
    /// Somebody wanted it so, perhaps.
    Other(String),
}

/// What is there, of the topics that should be.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) topics: BTreeMap<String, TopicInfo>,
    pub(super) configs: BTreeMap<String, BTreeMap<String, String>>,
}

/// How a subject stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// The id under which exactly this schema is registered.
    pub(super) id: Option<u32>,
    /// Why it could not be registered; empty if it could, or is.
    pub(super) obstacles: Vec<String>,
    pub(super) level: Option<String>,
}

/// The topics' files: compiled in, or of a directory.
pub(super) fn specs(directory: Option<&Path>) -> Result<Vec<TopicSpec>, WrongUse> {
    let Some(directory) = directory else { return Ok(TopicSpec::built_in().to_vec()) };
    TopicSpec::load(directory).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        WrongUse(format!("--topics: {}", faults.join("\n  - ")))
    })
}

/// Every topic there should be, dead letters included; the agents' own come with the agents.
pub(super) fn topics(context: &Context, specs: &[TopicSpec]) -> Vec<Topic> {
    let kafka = &context.config.kafka;
    let mut topics = Vec::new();
    for spec in specs.iter().filter(|spec| !spec.per_agent) {
        for spec in std::iter::once(spec.clone()).chain(spec.dead_letter_topic()) {
            let mut config = spec.config.clone();
            if let Some(replicas) = kafka.min_insync_replicas {
                config.insert("min.insync.replicas".to_owned(), replicas.to_string());
            }
            let task_keyed = spec.is_task_keyed();
            let partitions = kafka.partitions.filter(|_| task_keyed).unwrap_or(spec.partitions);
            topics.push(Topic { name: spec.topic(&kafka.prefix), partitions, config, task_keyed });
        }
    }
    topics
}

/// Every schema there should be.
pub(super) fn subjects(context: &Context, specs: &[TopicSpec]) -> Vec<Subject> {
    let prefix = &context.config.kafka.prefix;
    let subject = |spec: &TopicSpec| {
        Some(Subject { name: spec.subject(prefix)?, record: spec.record?, level: spec.compatibility? })
    };
    specs.iter().filter_map(subject).collect()
}

/// Looks at what is there of `wanted`.
pub(super) async fn find(admin: &Admin, wanted: &[Topic]) -> Result<Found, KafkaFault> {
    let all = admin.cluster().await?.topics;
    let is_wanted = |topic: &TopicInfo| wanted.iter().any(|wanted| wanted.name == topic.name);
    let topics: BTreeMap<String, TopicInfo> =
        all.into_iter().filter(is_wanted).map(|topic| (topic.name.clone(), topic)).collect();
    let names: Vec<String> = topics.keys().cloned().collect();
    Ok(Found { configs: admin.configs(&names).await?, topics })
}

impl Found {
    /// The number of partitions that the task-keyed topics have: what those still missing must get too. None if none is
    /// there yet or they disagree.
    pub(super) fn common_partitions(&self, wanted: &[Topic]) -> Option<i32> {
        let keyed = wanted.iter().filter(|topic| topic.task_keyed);
        let mut counts: Vec<i32> = keyed.filter_map(|topic| Some(self.topics.get(&topic.name)?.partitions)).collect();
        counts.sort_unstable();
        counts.dedup();
        if let [count] = counts[..] { Some(count) } else { None }
    }

    /// How one topic differs from what it should be; none if it is not there.
    pub(super) fn differences(&self, topic: &Topic, wanted: &[Topic]) -> Option<Vec<Difference>> {
        let found = self.topics.get(&topic.name)?;
        let mut differences = Vec::new();
        if found.partitions != topic.partitions {
            let counts = format!("partitions: {} there, {} wanted", found.partitions, topic.partitions);
            differences.push(if topic.task_keyed && self.common_partitions(wanted).is_none() {
                Difference::Wrong(format!(
                    "{counts}; all topics keyed by task need the same number: delete and create this one while nothing of \
                     it is needed, or set kafka.partitions to what most have"
                ))
            } else if topic.task_keyed {
                let remedy = "kept, for tasks under way would lose their home";
                Difference::Other(format!("{counts}; {remedy}; set kafka.partitions = {}", found.partitions))
            } else if found.partitions > topic.partitions && topic.partitions == 1 {
                Difference::Wrong(format!("{counts}; its order rests on one: delete it and apply again"))
            } else {
                Difference::Other(format!("{counts}; kept"))
            });
        }
        let none = BTreeMap::new();
        let config = self.configs.get(&topic.name).unwrap_or(&none);
        for (name, value) in &topic.config {
            let there = config.get(name).map_or("nothing", String::as_str);
            if there == value || is_same_number(there, value) {
                continue;
            }
            let how = format!(
                "{name}: {there} there, {value} wanted; kafka-configs.sh --alter --entity-type topics --entity-name {} \
                 --add-config {name}={value}",
                topic.name
            );
            let too_small = name == "max.message.bytes"
                && there
                    .parse::<i64>()
                    .ok()
                    .zip(value.parse::<i64>().ok())
                    .is_some_and(|(there, wanted)| there < wanted);
            differences.push(if name == "cleanup.policy" || too_small {
                Difference::Wrong(how)
            } else {
                Difference::Other(how)
            });
        }
        Some(differences)
    }
}

/// A number of partitions in words.
pub(super) fn counted(partitions: i32) -> String {
    if partitions == 1 { "1 partition".to_owned() } else { format!("{partitions} partitions") }
}

fn is_same_number(one: &str, other: &str) -> bool {
    match (one.parse::<f64>(), other.parse::<f64>()) {
        (Ok(one), Ok(other)) => (one - other).abs() < f64::EPSILON * one.abs().max(1.0),
        _ => false,
    }
}

/// Asks the registry how a subject stands.
pub(super) async fn standing(registry: &Registry, subject: &Subject) -> Result<Standing, RegistryError> {
    let schema = subject.record.schema_text();
    let id = registry.id_of(&subject.name, schema).await?;
    let obstacles = match id {
        Some(_) => Vec::new(),
        None => registry.incompatibilities(&subject.name, schema).await?,
    };
    Ok(Standing { id, obstacles, level: registry.compatibility(&subject.name).await? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str, partitions: i32) -> Topic {
        let config = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
        Topic { name: name.to_owned(), partitions, config, task_keyed: true }
    }

    fn found(topics: &[(&str, i32)], policy: &str) -> Found {
        let info = |(name, partitions): &(&str, i32)| {
            ((*name).to_owned(), TopicInfo { name: (*name).to_owned(), partitions: *partitions, replication_factor: 1 })
        };
        let config = BTreeMap::from([("cleanup.policy".to_owned(), policy.to_owned())]);
        let configs = topics.iter().map(|(name, _)| ((*name).to_owned(), config.clone())).collect();
        Found { topics: topics.iter().map(info).collect(), configs }
    }

    #[test]
    fn a_topic_as_wanted_does_not_differ() {
        let wanted = [topic("a", 6)];
        assert_eq!(found(&[("a", 6)], "compact").differences(&wanted[0], &wanted), Some(Vec::new()));
        assert_eq!(found(&[], "compact").differences(&wanted[0], &wanted), None);
    }

    #[test]
    fn another_number_of_partitions_is_kept_as_long_as_all_agree() {
        let wanted = [topic("a", 6), topic("b", 6)];
        let agreeing = found(&[("a", 12), ("b", 12)], "compact");
        assert_eq!(agreeing.common_partitions(&wanted), Some(12));
        assert!(matches!(&agreeing.differences(&wanted[0], &wanted).unwrap()[..], [Difference::Other(_)]));
        let differing = found(&[("a", 12), ("b", 6)], "compact");
        assert!(matches!(&differing.differences(&wanted[0], &wanted).unwrap()[..], [Difference::Wrong(_)]));
    }

    #[test]
    fn a_state_topic_that_is_not_compacted_is_wrong() {
        let wanted = [topic("a", 6)];
        let differences = found(&[("a", 6)], "delete").differences(&wanted[0], &wanted).unwrap();
        assert!(
            matches!(&differences[..], [Difference::Wrong(how)] if how.contains("--add-config cleanup.policy=compact"))
        );
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        assert!(is_same_number("0.1", "0.10") && !is_same_number("6", "12") && !is_same_number("compact", "delete"));
    }
}
