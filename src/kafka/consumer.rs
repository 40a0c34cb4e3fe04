//! The group's consumer: it only records what the group decides; the loop answers, between transactions.

use super::settings::{log_error, log_line};
use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// One decision of the group, as the client reported it.
#[derive(Debug)]
pub(crate) enum GroupChange {
    Assign(Vec<(String, i32)>),
    Revoke { lost: bool },
}

#[derive(Debug, Default)]
pub(crate) struct GroupContext {
    changes: Mutex<VecDeque<GroupChange>>,
    /// Set while the consumer closes: nobody is left to answer, so the callback does.
    closing: AtomicBool,
}

impl GroupContext {
    pub(crate) fn next(&self) -> Option<GroupChange> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Tells the loop that all partitions are lost, where the client itself cannot any more.
    pub(crate) fn lose(&self) {
        let lost = GroupChange::Revoke { lost: true };
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push_back(lost);
    }

    pub(crate) fn is_pending(&self) -> bool {
        !self.changes.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let assigns = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::SeqCst) {
            if let Err(error) = consumer.unassign() {
                tracing::warn!(%error, "giving partitions back while closing");
            }
            return;
        }
        let change = if assigns {
            let named = partitions.elements();
            GroupChange::Assign(named.iter().map(|one| (one.topic().to_owned(), one.partition())).collect())
        } else {
            GroupChange::Revoke { lost: consumer.assignment_lost() }
        };
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push_back(change);
    }
}
