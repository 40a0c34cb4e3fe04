//! An agent's settings, checked before anything is asked of the network.

use super::Encoding;
use super::definition::key_of;
use super::error::AgentError;
use crate::contract::{AgentDefinition, Codec, Registry, RegistryAuth, Undecided, assignment_topic};
use crate::kafka::Connection;
use std::sync::Arc;
use std::time::Duration;

/// More at once in one process is a mistake; start further instances.
const MOST: usize = 10_000;

/// An agent that can be run.
#[derive(Debug)]
pub struct Agent {
    pub(super) definition: AgentDefinition,
    /// Its topic name: its key in the table of agents.
    pub(super) key: String,
    pub(super) topic: String,
    pub(super) kafka: Connection,
    pub(super) registry: Registry,
    pub(super) instance: String,
    pub(super) concurrency: usize,
    pub(super) heartbeat: Option<Duration>,
    pub(super) grace: Duration,
    pub(super) encoding: Encoding,
    pub(super) registers: bool,
}

impl Agent {
    /// Everything else has a default: Kafka and the registry on this machine, one assignment at a time.
    pub fn builder(definition: AgentDefinition) -> Builder {
        Builder {
            definition,
            kafka: Connection::default(),
            registry: "http://localhost:8081".to_owned(),
            auth: None,
            client: None,
            instance: None,
            concurrency: 1,
            heartbeat: Some(Duration::from_secs(10)),
            grace: Duration::from_secs(30),
            encoding: Encoding::Avro,
            registers: true,
        }
    }
}

/// A definition as `baton agents register` takes it, from JSON.
///
/// # Errors
/// All that is wrong with it, each with its remedy.
pub fn definition(json: &str) -> Result<AgentDefinition, AgentError> {
    let codec = Codec::new("", [], Arc::default());
    codec.decode(json.as_bytes()).map_err(|undecided| match undecided {
        Undecided::Refused(refusal) => AgentError::Definition(refusal.detail),
        Undecided::NeedsSchema(_) => AgentError::Definition("it is no JSON".to_owned()),
    })
}

/// How an agent is to run.
#[derive(Debug)]
#[must_use = "nothing is built yet"]
pub struct Builder {
    definition: AgentDefinition,
    kafka: Connection,
    registry: String,
    auth: Option<RegistryAuth>,
    client: Option<Registry>,
    instance: Option<String>,
    concurrency: usize,
    heartbeat: Option<Duration>,
    grace: Duration,
    encoding: Encoding,
    registers: bool,
}

impl Builder {
    /// Brokers, prefix, and librdkafka's properties (TLS, SASL, `session.timeout.ms`, …) in its `client`.
    pub fn kafka(mut self, kafka: Connection) -> Self {
        self.kafka = kafka;
        self
    }

    /// The schema registry's address.
    pub fn registry(mut self, url: impl Into<String>) -> Self {
        self.registry = url.into();
        self
    }

    pub fn registry_auth(mut self, auth: RegistryAuth) -> Self {
        self.auth = Some(auth);
        self
    }

    /// A registry's client that others use too, in place of one of its own: making one reads all of the system's
    /// certificates, which counts where many agents start in one process.
    pub(crate) fn registry_client(mut self, client: Registry) -> Self {
        self.client = Some(client);
        self
    }

    /// What this instance is called in reports and heartbeats; the host and the process id by default.
    pub fn instance(mut self, name: impl Into<String>) -> Self {
        self.instance = Some(name.into());
        self
    }

    /// How many assignments are worked on at a time.
    pub fn concurrency(mut self, most: usize) -> Self {
        self.concurrency = most;
        self
    }

    /// How often a sign of life is sent; none = never, and then the agent counts as alive by its reports.
    pub fn heartbeat(mut self, every: Option<Duration>) -> Self {
        self.heartbeat = every;
        self
    }

    /// How long work that has begun may take to finish once the agent is told to stop.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Leaves the table of agents alone: for an agent that may not write there, and is registered by
    /// `baton agents register`.
    pub fn registered_elsewhere(mut self) -> Self {
        self.registers = false;
        self
    }

    /// Connects to nothing yet.
    ///
    /// # Errors
    /// Whatever of the settings or the definition is not right.
    pub fn build(self) -> Result<Agent, AgentError> {
        let key = key_of(&self.definition).map_err(|faults| AgentError::Definition(faults.join("; ")))?;
        let setting = |setting, value: String, remedy| Err(AgentError::Setting { setting, value, remedy });
        if !(1..=MOST).contains(&self.concurrency) {
            return setting("concurrency", self.concurrency.to_string(), "give 1 to 10,000");
        }
        if self.heartbeat.is_some_and(|every| every < Duration::from_millis(100)) {
            return setting("heartbeat", format!("{:?}", self.heartbeat), "give 100 ms or more, or none");
        }
        Ok(Agent {
            topic: assignment_topic(&self.kafka.prefix, &key),
            key,
            registry: match self.client {
                Some(client) => client,
                None => Registry::new(&self.registry, self.auth)?,
            },
            instance: self.instance.unwrap_or_else(instance),
            definition: self.definition,
            kafka: self.kafka,
            concurrency: self.concurrency,
            heartbeat: self.heartbeat,
            grace: self.grace,
            encoding: self.encoding,
            registers: self.registers,
        })
    }
}

fn instance() -> String {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let host =
        read("/proc/sys/kernel/hostname").or_else(|| read("/etc/hostname")).or_else(|| std::env::var("HOSTNAME").ok());
    let host = host.as_deref().map(str::trim).filter(|host| !host.is_empty()).unwrap_or("host");
    format!("{host}-{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder(name: &str) -> Builder {
        Agent::builder(AgentDefinition::new(name, "does things"))
    }

    #[test]
    fn the_topic_follows_from_name_version_and_prefix() {
        let mut definition = AgentDefinition::new("Lead Scorer", "scores leads");
        definition.version = "2.1.0".to_owned();
        let agent = Agent::builder(definition).build().unwrap();
        assert_eq!((agent.key.as_str(), agent.topic.as_str()), ("lead-scorer.v2", "baton.assignments.lead-scorer.v2"));
    }

    #[test]
    fn a_definition_is_read_from_the_json_that_is_registered() {
        let read = definition(include_str!("../../examples/agent.json")).unwrap();
        assert_eq!((read.agent_name.as_str(), read.performance.average_latency.as_str()), ("Word Counter", "50"));
        let told = definition("{\"agentName\":\"a\",\"descripton\":\"d\"}").unwrap_err().to_string();
        assert!(told.contains("descripton: unknown field"), "{told}");
    }

    #[test]
    fn what_cannot_be_is_told_with_its_remedy() {
        let told = |builder: Builder| builder.build().unwrap_err().to_string();
        assert!(told(builder("NONE")).contains("reserved"));
        assert!(told(Agent::builder(AgentDefinition::new("a", " "))).contains("description is blank"));
        assert!(told(builder("a").concurrency(0)).contains("concurrency is 0; give 1"));
        assert!(told(builder("a").heartbeat(Some(Duration::ZERO))).contains("100 ms"));
        assert!(told(builder("a").registry("localhost:8081")).contains("no registry's address"));
    }
}
