//! One client's connection: a request at a time, in order, until it is closed.
//!
//! What cannot be read closes the connection, as Kafka does. A change that cannot be kept on disk is not made, and its
//! client is not answered: it tries again.

use super::engine::EngineState;
use super::{Inner, Shared, fetch, groups, transactions};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, OffsetCommitRequest, OffsetCommitResponse, ProduceRequest, RequestHeader,
    ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;

/// Of one request: above what any topic of ours takes, below what would hurt.
const MOST: usize = 32 << 20;
/// From the next version on a fetch names topics by ids, which there are none of here.
const FETCH_BY_NAME: i16 = 12;
const UNSUPPORTED_VERSION: i16 = 35;

struct Request {
    key: ApiKey,
    version: i16,
    header: RequestHeader,
    body: Bytes,
}

pub(super) fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // As groups show their members' hosts.
    let host = format!("/{}", stream.peer_addr()?.ip());
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    let mut ends = fetch::Ends::new();
    let unreadable = || io::Error::new(io::ErrorKind::InvalidData, "a request that cannot be read");
    while let Some(frame) = frame(&mut reader)? {
        let request = parse(frame).ok_or_else(unreadable)?;
        if let Answer::Bytes(answer) = answer(shared, &request, &host, &mut ends).ok_or_else(unreadable)? {
            writer.write_all(&answer)?;
        }
        if shared.is_stopping() {
            break;
        }
    }
    Ok(())
}

fn frame(reader: &mut impl Read) -> io::Result<Option<Bytes>> {
    let mut length = [0; 4];
    match reader.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > MOST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a request that is too large"));
    }
    let mut frame = vec![0; length];
    reader.read_exact(&mut frame)?;
    Ok(Some(frame.into()))
}

fn parse(frame: Bytes) -> Option<Request> {
    let number = |at: usize| Some(i16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?));
    let (key, version) = (ApiKey::try_from(number(0)?).ok()?, number(2)?);
    let mut body = frame;
    let header = RequestHeader::decode(&mut body, key.request_header_version(version)).ok()?;
    Some(Request { key, version, header, body })
}

enum Answer {
    Bytes(Vec<u8>),
    /// The client wants to hear nothing.
    Silence,
}

/// None if the request cannot be served.
fn answer(shared: &Shared, request: &Request, host: &str, ends: &mut fetch::Ends) -> Option<Answer> {
    let Request { key, version, header, body } = request;
    let (key, version) = (*key, *version);
    let client = header.client_id.as_deref().unwrap_or_default();
    let mut answered = version;
    let bytes = match key {
        ApiKey::ApiVersions => {
            let versions = versions(&shared.lock().engine);
            // One that we do not speak is answered in the first, which every client reads.
            answered = if version <= 3 { version } else { 0 };
            write(&if version <= 3 { versions } else { unsupported(versions) }, answered)?
        }
        ApiKey::Fetch => write(&fetch::fetch(shared, &read(body, version)?, ends), version)?,
        ApiKey::JoinGroup => write(&groups::join(shared, &read(body, version)?, version, client, host), version)?,
        ApiKey::SyncGroup => write(&groups::sync(shared, &read(body, version)?, version), version)?,
        ApiKey::OffsetCommit => write(&commit(shared, &read(body, version)?, version)?, version)?,
        _ => {
            let mut inner = shared.lock();
            match look(&mut inner, key, version, body)? {
                Look::Answer(answer) => answer,
                Look::Change => {
                    let changed = change(&mut inner, key, version, body)?;
                    drop(inner);
                    shared.data.notify_all();
                    changed
                }
            }
        }
    };
    if key == ApiKey::LeaveGroup {
        shared.groups.notify_all();
    }
    if key == ApiKey::Produce && read::<ProduceRequest>(body, version)?.acks == 0 {
        return Some(Answer::Silence);
    }
    let mut head = BytesMut::new();
    let mut response = ResponseHeader::default();
    response.correlation_id = header.correlation_id;
    response.encode(&mut head, key.response_header_version(answered)).ok()?;
    let length = u32::try_from(head.len() + bytes.len()).ok()?;
    Some(Answer::Bytes([&length.to_be_bytes()[..], &head, &bytes].concat()))
}

fn read<T: Decodable>(body: &Bytes, version: i16) -> Option<T> {
    T::decode(&mut body.clone(), version).ok()
}

fn write(answer: &impl Encodable, version: i16) -> Option<BytesMut> {
    let mut bytes = BytesMut::new();
    answer.encode(&mut bytes, version).ok()?;
    Some(bytes)
}

enum Look {
    Answer(BytesMut),
    /// It changes something that is kept.
    Change,
}

/// Decodes, answers and encodes; gives up where that cannot be done.
macro_rules! answered {
    ($engine:ident, $body:ident, $version:ident, $answer:expr) => {
        write(&$answer($engine, &read($body, $version)?, $version), $version)?
    };
}

/// What leaves no trace, or none that is kept; none if it cannot be read.
fn look(inner: &mut Inner, key: ApiKey, version: i16, body: &Bytes) -> Option<Look> {
    if key == ApiKey::TxnOffsetCommit {
        let refused = transactions::stale(inner, &read(body, version)?);
        return refused.map_or(Some(Look::Change), |refused| write(&refused, version).map(Look::Answer));
    }
    let engine = &mut inner.engine;
    let answer = match key {
        ApiKey::Metadata => answered!(engine, body, version, EngineState::handle_metadata),
        ApiKey::ListOffsets => answered!(engine, body, version, EngineState::handle_list_offsets),
        ApiKey::FindCoordinator => answered!(engine, body, version, EngineState::handle_find_coordinator),
        ApiKey::Heartbeat => answered!(engine, body, version, groups::heartbeat),
        ApiKey::LeaveGroup => answered!(engine, body, version, EngineState::handle_leave_group),
        ApiKey::DescribeGroups => answered!(engine, body, version, EngineState::handle_describe_groups),
        ApiKey::ListGroups => answered!(engine, body, version, EngineState::handle_list_groups),
        ApiKey::OffsetFetch => answered!(engine, body, version, transactions::offsets),
        ApiKey::DescribeConfigs => answered!(engine, body, version, EngineState::handle_describe_configs),
        ApiKey::DescribeCluster => answered!(engine, body, version, EngineState::handle_describe_cluster),
        ApiKey::OffsetForLeaderEpoch => {
            answered!(engine, body, version, EngineState::handle_offset_for_leader_epoch)
        }
        ApiKey::DescribeTransactions => {
            answered!(engine, body, version, EngineState::handle_describe_transactions)
        }
        ApiKey::ListTransactions => answered!(engine, body, version, EngineState::handle_list_transactions),
        ApiKey::DescribeProducers => answered!(engine, body, version, EngineState::handle_describe_producers),
        ApiKey::DescribeLogDirs => answered!(engine, body, version, EngineState::handle_describe_log_dirs),
        ApiKey::InitProducerId => match transactions::fence(engine, &read(body, version)?, version) {
            Some(fenced) => write(&fenced, version)?,
            None => return Some(Look::Change),
        },
        _ => return Some(Look::Change),
    };
    Some(Look::Answer(answer))
}

/// Keeps a change, then makes it; none if it cannot be read or kept.
pub(super) fn change(inner: &mut Inner, key: ApiKey, version: i16, body: &Bytes) -> Option<BytesMut> {
    if !CHANGES.contains(&key) {
        return None;
    }
    if let Some(journal) = &mut inner.journal {
        journal.append(key, version, body).ok()?;
    }
    apply(&mut inner.engine, key, version, body)
}

const CHANGES: [ApiKey; 14] = [
    ApiKey::Produce,
    ApiKey::InitProducerId,
    ApiKey::AddPartitionsToTxn,
    ApiKey::AddOffsetsToTxn,
    ApiKey::TxnOffsetCommit,
    ApiKey::EndTxn,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::CreatePartitions,
    ApiKey::AlterConfigs,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::DeleteRecords,
    ApiKey::DeleteGroups,
    ApiKey::OffsetDelete,
];

/// Makes a change, new or read back; none if it cannot be read.
pub(super) fn apply(engine: &mut EngineState, key: ApiKey, version: i16, body: &Bytes) -> Option<BytesMut> {
    let answer = match key {
        ApiKey::Produce => answered!(engine, body, version, EngineState::handle_produce),
        ApiKey::InitProducerId => answered!(engine, body, version, EngineState::handle_init_producer_id),
        ApiKey::AddPartitionsToTxn => answered!(engine, body, version, EngineState::handle_add_partitions_to_txn),
        ApiKey::AddOffsetsToTxn => answered!(engine, body, version, EngineState::handle_add_offsets_to_txn),
        ApiKey::TxnOffsetCommit => answered!(engine, body, version, EngineState::handle_txn_offset_commit),
        ApiKey::EndTxn => answered!(engine, body, version, EngineState::handle_end_txn),
        ApiKey::OffsetCommit => answered!(engine, body, version, EngineState::handle_offset_commit),
        ApiKey::CreateTopics => answered!(engine, body, version, EngineState::handle_create_topics),
        ApiKey::DeleteTopics => answered!(engine, body, version, EngineState::handle_delete_topics),
        ApiKey::CreatePartitions => answered!(engine, body, version, EngineState::handle_create_partitions),
        ApiKey::AlterConfigs => answered!(engine, body, version, EngineState::handle_alter_configs),
        ApiKey::IncrementalAlterConfigs => {
            answered!(engine, body, version, EngineState::handle_incremental_alter_configs)
        }
        ApiKey::DeleteRecords => answered!(engine, body, version, EngineState::handle_delete_records),
        ApiKey::DeleteGroups => answered!(engine, body, version, EngineState::handle_delete_groups),
        ApiKey::OffsetDelete => answered!(engine, body, version, EngineState::handle_offset_delete),
        _ => return None,
    };
    Some(answer)
}

/// A member's commit is judged by a membership that is not kept: what is kept is what was taken, in nobody's name.
fn commit(shared: &Shared, asked: &OffsetCommitRequest, version: i16) -> Option<OffsetCommitResponse> {
    let mut inner = shared.lock();
    let mut kept = asked.clone();
    if let Some(group) = inner.engine.groups.get(asked.group_id.as_str())
        && groups::generation(&inner.rounds, group) == asked.generation_id_or_member_epoch
    {
        kept.generation_id_or_member_epoch = group.generation_id;
    }
    let answer = inner.engine.handle_offset_commit(&kept, version);
    for (topic, judged) in kept.topics.iter_mut().zip(&answer.topics) {
        let mut codes = judged.partitions.iter().map(|partition| partition.error_code);
        topic.partitions.retain(|_| codes.next() == Some(0));
    }
    kept.topics.retain(|topic| !topic.partitions.is_empty());
    (kept.generation_id_or_member_epoch, kept.member_id, kept.group_instance_id) = (-1, StrBytes::new(), None);
    if let Some(journal) = inner.journal.as_mut().filter(|_| !kept.topics.is_empty()) {
        journal.append(ApiKey::OffsetCommit, version, &write(&kept, version)?).ok()?;
    }
    Some(answer)
}

/// What we speak: of what the state machine knows, what is served here.
fn versions(engine: &EngineState) -> ApiVersionsResponse {
    let mut answer = engine.handle_api_versions(3);
    answer.api_keys.retain(|one| {
        let unserved = [
            ApiKey::DescribeAcls,
            ApiKey::CreateAcls,
            ApiKey::DeleteAcls,
            ApiKey::SaslHandshake,
            ApiKey::SaslAuthenticate,
        ];
        !unserved.iter().any(|key| *key as i16 == one.api_key)
    });
    for one in &mut answer.api_keys {
        if one.api_key == ApiKey::Fetch as i16 {
            one.max_version = FETCH_BY_NAME;
        }
    }
    answer
}

fn unsupported(versions: ApiVersionsResponse) -> ApiVersionsResponse {
    let is_own = |one: &ApiVersion| one.api_key == ApiKey::ApiVersions as i16;
    let mut answer = versions;
    answer.error_code = UNSUPPORTED_VERSION;
    answer.api_keys.retain(is_own);
    answer
}
