//! Looks at and creates topics. It never deletes one, changes one or takes anything away; what is there already counts as
//! created. Each call asks the brokers anew and waits at most [`settings::REQUEST`].

use super::fault::KafkaFault;
use super::settings::{self, ClientLog, REQUEST};
use crate::config;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication,
};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafkaRespErr;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An administrator's client.
#[derive(Clone)]
pub struct Admin {
    client: Arc<AdminClient<ClientLog>>,
    kafka: Arc<config::Kafka>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").field("servers", &self.kafka.bootstrap_servers).finish_non_exhaustive()
    }
}

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    pub name: String,
    pub partitions: i32,
    pub replication_factor: i32,
}

/// A topic as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    pub name: String,
    pub partitions: i32,
    /// The broker's own names: `cleanup.policy`, `retention.ms`, ….
    pub config: BTreeMap<String, String>,
}

/// What became of one topic that was to be created.
#[derive(Debug)]
pub enum Creation {
    Created,
    /// It was there; nothing of it was looked at.
    Existed,
    Failed(KafkaFault),
}

/// The brokers as they present themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// `host:port` by broker id.
    pub brokers: BTreeMap<i32, String>,
    pub topics: Vec<TopicInfo>,
}

impl Admin {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// [`KafkaFault::Setup`].
    pub fn new(kafka: &config::Kafka) -> Result<Self, KafkaFault> {
        let client = AdminClient::from_config_and_context(&settings::client(kafka, "admin"), ClientLog)
            .map_err(|error| KafkaFault::of(&error, "set up the admin client", &kafka.bootstrap_servers))?;
        Ok(Self { client: Arc::new(client), kafka: Arc::new(kafka.clone()) })
    }

    /// Brokers and all topics, by name.
    ///
    /// # Errors
    /// [`KafkaFault::Unreachable`] after [`REQUEST`]; whatever the brokers refuse.
    pub async fn cluster(&self) -> Result<Cluster, KafkaFault> {
        let this = self.clone();
        on_a_thread(move || this.metadata(None)).await
    }

    /// One topic; none if it is not there. Never creates it.
    ///
    /// # Errors
    /// As [`Admin::cluster`].
    pub async fn topic(&self, name: &str) -> Result<Option<TopicInfo>, KafkaFault> {
        let (this, name) = (self.clone(), name.to_owned());
        Ok(on_a_thread(move || this.metadata(Some(&name))).await?.topics.pop())
    }

    fn metadata(&self, topic: Option<&str>) -> Result<Cluster, KafkaFault> {
        let metadata = self.client.inner().fetch_metadata(topic, REQUEST).map_err(|error| {
            KafkaFault::of(&error, "ask for topics", &self.kafka.bootstrap_servers).explained(&self.kafka)
        })?;
        let brokers =
            metadata.brokers().iter().map(|broker| (broker.id(), format!("{}:{}", broker.host(), broker.port())));
        let mut topics = Vec::with_capacity(metadata.topics().len());
        for topic in metadata.topics() {
            match topic.error() {
                None => {}
                Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => continue,
                Some(error) => {
                    let what = format!("look at {}", topic.name());
                    return Err(KafkaFault::of_code(error.into(), &what, &self.kafka.bootstrap_servers));
                }
            }
            let replicas = topic.partitions().first().map_or(0, |partition| partition.replicas().len());
            topics.push(TopicInfo {
                name: topic.name().to_owned(),
                partitions: i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX),
                replication_factor: i32::try_from(replicas).unwrap_or(i32::MAX),
            });
        }
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Cluster { brokers: brokers.collect(), topics })
    }

    /// Creates what is not there, with `kafka.replication_factor` or the broker's. By topic, in the order asked for.
    ///
    /// # Errors
    /// Where the request as a whole fails; a topic that fails is in its own result.
    pub async fn create(&self, topics: &[TopicSpec]) -> Result<Vec<(String, Creation)>, KafkaFault> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let replication = self.kafka.replication_factor.map_or(-1, i32::from);
        let wanted: Vec<NewTopic<'_>> = topics
            .iter()
            .map(|topic| {
                let new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(replication));
                topic.config.iter().fold(new, |new, (key, value)| new.set(key, value))
            })
            .collect();
        let results = self
            .client
            .create_topics(&wanted, &options())
            .await
            .map_err(|error| KafkaFault::of(&error, "create topics", &self.kafka.bootstrap_servers))?;
        Ok(results
            .into_iter()
            .map(|result| match result {
                Ok(name) => (name, Creation::Created),
                Err((name, RDKafkaErrorCode::TopicAlreadyExists)) => (name, Creation::Existed),
                Err((name, code)) => {
                    let fault = KafkaFault::of_code(code, &format!("create {name}"), &self.kafka.bootstrap_servers);
                    (name, Creation::Failed(fault))
                }
            })
            .collect())
    }

    /// Makes sure that one topic is there.
    ///
    /// # Errors
    /// Where it neither is nor can be created.
    pub async fn ensure(&self, topic: &TopicSpec) -> Result<(), KafkaFault> {
        match self.create(std::slice::from_ref(topic)).await?.pop() {
            Some((_, Creation::Failed(fault))) => Err(fault),
            _ => Ok(()),
        }
    }

    /// The settings in force of each topic, those of the broker included.
    ///
    /// # Errors
    /// Where the brokers do not answer or refuse.
    pub async fn configs(&self, topics: &[String]) -> Result<BTreeMap<String, BTreeMap<String, String>>, KafkaFault> {
        if topics.is_empty() {
            return Ok(BTreeMap::new());
        }
        let what = "read the topics' settings";
        let specifiers: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
        let described = self
            .client
            .describe_configs(&specifiers, &options())
            .await
            .map_err(|error| KafkaFault::of(&error, what, &self.kafka.bootstrap_servers))?;
        let mut configs = BTreeMap::new();
        for resource in described {
            let resource = resource.map_err(|code| KafkaFault::of_code(code, what, &self.kafka.bootstrap_servers))?;
            if let OwnedResourceSpecifier::Topic(name) = resource.specifier {
                let entries = resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?)));
                configs.insert(name, entries.collect());
            }
        }
        Ok(configs)
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST))
}

/// The client's metadata calls block.
pub(super) async fn on_a_thread<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, KafkaFault> + Send + 'static,
) -> Result<T, KafkaFault> {
    tokio::task::spawn_blocking(call).await.unwrap_or_else(|panic| {
        Err(KafkaFault::Failed { what: "a call to the client".to_owned(), detail: panic.to_string(), again: false })
    })
}
