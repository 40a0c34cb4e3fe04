//! What keeps transactions apart: timeouts, stale members, undecided offsets, producers that were fenced.

use super::Inner;
use super::engine::EngineState;
use super::{connection, groups};
use bytes::BytesMut;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    ApiKey, InitProducerIdRequest, InitProducerIdResponse, OffsetFetchRequest, OffsetFetchResponse, ProducerId,
    TransactionalId, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::{Encodable, StrBytes};
use std::collections::HashSet;

const ILLEGAL_GENERATION: i16 = 22;
const UNKNOWN_MEMBER_ID: i16 = 25;
const INVALID_PRODUCER_EPOCH: i16 = 47;
const UNSTABLE_OFFSET_COMMIT: i16 = 88;
const PRODUCER_FENCED: i16 = 90;
/// Of the request that ends a transaction past its time.
const INIT_VERSION: i16 = 4;

/// Aborts what is open past its timeout and fences whoever opened it; whether there was any.
pub(super) fn expire(inner: &mut Inner) -> bool {
    let now = inner.engine.now_ms();
    let over: Vec<(String, i32)> = inner
        .engine
        .txn_info
        .iter()
        .filter(|(_, info)| info.state == "Ongoing" && now - info.start_ms > i64::from(info.timeout_ms))
        .map(|(id, info)| (id.clone(), info.timeout_ms))
        .collect();
    for (id, timeout) in &over {
        tracing::info!(transactional_id = id, "the embedded broker aborts a transaction past its timeout");
        let mut init = InitProducerIdRequest::default();
        init.transactional_id = Some(TransactionalId(StrBytes::from_string(id.clone())));
        (init.transaction_timeout_ms, init.producer_id, init.producer_epoch) = (*timeout, ProducerId(-1), -1);
        let mut body = BytesMut::new();
        init.encode(&mut body, INIT_VERSION).expect("a request of ours can be written");
        let _ = connection::change(inner, ApiKey::InitProducerId, INIT_VERSION, &body.freeze());
    }
    !over.is_empty()
}

/// A producer that asks to go on under its id although another one has it since is fenced; none if it may.
pub(super) fn fence(
    engine: &EngineState,
    asked: &InitProducerIdRequest,
    version: i16,
) -> Option<InitProducerIdResponse> {
    let id = asked.transactional_id.as_ref()?;
    let (producer, epoch) = *engine.txn_producers.get(id.as_str())?;
    if asked.producer_id.0 == -1 || (asked.producer_id.0 == producer && asked.producer_epoch >= epoch) {
        return None;
    }
    let mut answer = InitProducerIdResponse::default();
    answer.error_code = if version >= 4 { PRODUCER_FENCED } else { INVALID_PRODUCER_EPOCH };
    (answer.producer_id, answer.producer_epoch) = (ProducerId(-1), -1);
    Some(answer)
}

/// The answer to a member that is one no more; none if its offsets may be taken.
pub(super) fn stale(inner: &Inner, asked: &TxnOffsetCommitRequest) -> Option<TxnOffsetCommitResponse> {
    if asked.generation_id < 0 && asked.member_id.is_empty() {
        return None;
    }
    let group = inner.engine.groups.get(asked.group_id.as_str());
    let code = match group {
        Some(group) if group.members.contains_key(asked.member_id.as_str()) => {
            if groups::generation(&inner.rounds, group) == asked.generation_id {
                return None;
            }
            ILLEGAL_GENERATION
        }
        _ => UNKNOWN_MEMBER_ID,
    };
    let mut answer = TxnOffsetCommitResponse::default();
    for topic in &asked.topics {
        let mut refused = TxnOffsetCommitResponseTopic::default();
        refused.name = topic.name.clone();
        for partition in &topic.partitions {
            let mut one = TxnOffsetCommitResponsePartition::default();
            (one.partition_index, one.error_code) = (partition.partition_index, code);
            refused.partitions.push(one);
        }
        answer.topics.push(refused);
    }
    Some(answer)
}

/// Offsets, without those that an open transaction is about to change, where only decided ones are asked for.
pub(super) fn offsets(engine: &EngineState, asked: &OffsetFetchRequest, version: i16) -> OffsetFetchResponse {
    let mut answer = engine.handle_offset_fetch(asked, version);
    if !asked.require_stable {
        return answer;
    }
    let pending: HashSet<_> = engine.txn_pending_offsets.values().flatten().map(|offset| &offset.key).collect();
    if pending.is_empty() {
        return answer;
    }
    let undecided =
        |group: &str, topic: &str, partition: i32| pending.contains(&(group.to_owned(), topic.to_owned(), partition));
    for topic in &mut answer.topics {
        for one in &mut topic.partitions {
            if undecided(asked.group_id.as_str(), topic.name.as_str(), one.partition_index) {
                (one.error_code, one.committed_offset) = (UNSTABLE_OFFSET_COMMIT, -1);
            }
        }
    }
    for group in &mut answer.groups {
        for topic in &mut group.topics {
            for one in &mut topic.partitions {
                if undecided(group.group_id.as_str(), topic.name.as_str(), one.partition_index) {
                    (one.error_code, one.committed_offset) = (UNSTABLE_OFFSET_COMMIT, -1);
                }
            }
        }
    }
    answer
}
