//! What librdkafka's errors mean for a transaction, decided once.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// What to do about a failed transaction call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// Abort, then stage the same batch again.
    Abort,
    /// The same call again, with the same arguments.
    Retry,
    /// The outcome is unknown: a new producer, and everything read anew.
    Unknown,
}

/// By the three flags of the error, in this order.
pub(crate) fn disposition(error: &KafkaError) -> Disposition {
    match error {
        KafkaError::Transaction(error) if error.is_fatal() => Disposition::Unknown,
        KafkaError::Transaction(error) if error.txn_requires_abort() => Disposition::Abort,
        KafkaError::Transaction(error) if error.is_retriable() => Disposition::Retry,
        _ => Disposition::Unknown,
    }
}

/// Whether a record itself is why it cannot be written: another try would fail alike.
pub(crate) fn is_culprit(code: RDKafkaErrorCode) -> bool {
    is_content(code)
        || matches!(
            code,
            RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::InvalidTopic
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopicOrPartition
        )
}

/// Whether what the record holds is why, so that another record of the same origin may be taken.
pub(crate) fn is_content(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::MessageBatchTooLarge
            | RDKafkaErrorCode::InvalidRecord
            | RDKafkaErrorCode::InvalidTimestamp
            | RDKafkaErrorCode::InvalidMessage
            | RDKafkaErrorCode::InvalidMessageSize
    )
}

/// Whether the client itself is done for: another member took its place.
pub(crate) fn is_fenced_member(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::FencedInstanceId | RDKafkaErrorCode::Fatal | RDKafkaErrorCode::UnreleasedInstanceId)
    )
}
