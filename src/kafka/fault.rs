//! Why a plain client (no transaction, no group) could not do what a person asked of it, with what to do about it.

use super::settings;
use crate::config;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// An error of the admin client, the groupless reader or the plain producer.
#[derive(Debug, thiserror::Error)]
pub enum KafkaFault {
    #[error("no broker answers at {servers} ({detail}); check kafka.bootstrap_servers and that the broker runs")]
    Unreachable { servers: String, detail: String },
    #[error("the Kafka client cannot be set up: {0}; check [kafka.client]")]
    Setup(String),
    #[error("the topic {0} is not there; `baton apply` creates it")]
    NoTopic(String),
    #[error("the broker denies {what} ({detail}); give this user the right to, or another user in [kafka.client]")]
    Denied { what: String, detail: String },
    #[error("{what}: the record of {bytes} B is over the limit ({detail}); send less, or raise max.message.bytes")]
    TooLarge { what: String, bytes: usize, detail: String },
    #[error("{topic}-{partition}: an open transaction holds back what lies from offset {offset} on; try again later")]
    HeldBack { topic: String, partition: i32, offset: i64 },
    #[error("{what}: {detail}")]
    Failed { what: String, detail: String, again: bool },
}

/// What can be done about an error without a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The same again may work.
    Again,
    /// A person must change something.
    Refuse,
}

impl KafkaFault {
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Unreachable { .. } | Self::HeldBack { .. } | Self::Failed { again: true, .. } => Disposition::Again,
            Self::Setup(_) | Self::NoTopic(_) | Self::Denied { .. } | Self::TooLarge { .. } | Self::Failed { .. } => {
                Disposition::Refuse
            }
        }
    }

    /// Where nobody answered: looks for the reason, for a few seconds. A broker that refuses a password does not answer
    /// either.
    pub(super) fn explained(self, kafka: &config::Kafka) -> Self {
        let Self::Unreachable { servers, detail } = self else { return self };
        match settings::why_unreachable(kafka) {
            Some((error, reason)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Authentication) => {
                Self::Denied { what: format!("a connection to {servers}"), detail: reason }
            }
            Some((_, reason)) => Self::Unreachable { servers, detail: reason },
            None => Self::Unreachable { servers, detail },
        }
    }

    /// Classifies what the client said while doing `what`.
    pub(super) fn of(error: &KafkaError, what: &str, servers: &str) -> Self {
        let detail = error.to_string();
        if let KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) = error {
            return Self::Setup(detail);
        }
        match error.rdkafka_error_code() {
            Some(code) => Self::of_code(code, what, servers),
            None => Self::Failed { what: what.to_owned(), detail, again: false },
        }
    }

    pub(super) fn of_code(code: RDKafkaErrorCode, what: &str, servers: &str) -> Self {
        use RDKafkaErrorCode as Code;
        let (what, detail) = (what.to_owned(), code.to_string());
        match code {
            Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::TimedOutQueue
            | Code::MessageTimedOut => Self::Unreachable { servers: servers.to_owned(), detail },
            Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::Authentication
            | Code::SaslAuthenticationFailed => Self::Denied { what, detail },
            _ => {
                let again = matches!(
                    code,
                    Code::RequestTimedOut
                        | Code::NotController
                        | Code::LeaderNotAvailable
                        | Code::NotLeaderForPartition
                );
                Self::Failed { what, detail, again }
            }
        }
    }
}
