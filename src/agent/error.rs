//! Why an agent cannot start or go on, with what to do about it.

use crate::contract::RegistryError;
use crate::kafka::KafkaFault;

/// What a person has to change; what passes by itself is waited for and logged.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The definition breaks its contract.
    #[error("the definition is not taken: {0}")]
    Definition(String),
    #[error("{setting} is {value}; {remedy}")]
    Setting { setting: &'static str, value: String, remedy: &'static str },
    /// Two agents with one topic cannot be.
    #[error(
        "the topic name `{key}` is taken by the agent {other:?}; choose another name, or `baton agents unregister {key}` first"
    )]
    NameTaken { key: String, other: String },
    #[error(transparent)]
    Kafka(#[from] KafkaFault),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Nothing of it is lost: what was not reported is delivered again.
    #[error("the agent's own loop ended: {0}; start it again, and report this")]
    Broken(String),
}
