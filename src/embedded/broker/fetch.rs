//! What readers get: as many whole batches as they asked for, once there are any or their patience ends.
//!
//! A reader that has come to the end is told so at once and waits the next time: whoever reads to the end, as every restore
//! and every command does, would otherwise wait out its patience for nothing.

use super::engine::{EngineState, PartitionState};
use super::{Shared, batch_last_offset};
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchRequest, FetchResponse, ProducerId};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Of one answer, whatever is asked for; a batch that is larger comes alone.
const MOST: usize = 16 << 20;
/// No reader waits longer for something to read.
const PATIENCE: Duration = Duration::from_secs(30);

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const OFFSET_OUT_OF_RANGE: i16 = 1;

/// Where a connection's reader was told that there is no more, by partition.
pub(super) type Ends = HashMap<(String, i32), i64>;

pub(super) fn fetch(shared: &Shared, asked: &FetchRequest, ends: &mut Ends) -> FetchResponse {
    let patience = Duration::from_millis(u64::try_from(asked.max_wait_ms).unwrap_or(0)).min(PATIENCE);
    let deadline = Instant::now() + patience;
    let least = usize::try_from(asked.min_bytes).unwrap_or(0);
    let mut inner = shared.lock();
    loop {
        let (answer, size, at_once) = look(&inner.engine, asked, ends);
        let left = deadline.saturating_duration_since(Instant::now());
        if at_once || size >= least || left.is_zero() || shared.is_stopping() {
            return answer;
        }
        inner = Shared::wait(&shared.data, inner, left);
    }
}

/// What there is now, how much, and whether it says something that must not wait.
fn look(engine: &EngineState, asked: &FetchRequest, ends: &mut Ends) -> (FetchResponse, usize, bool) {
    let committed = asked.isolation_level == 1;
    let most = usize::try_from(asked.max_bytes).unwrap_or(MOST).min(MOST);
    let (mut answer, mut size, mut at_once) = (FetchResponse::default(), 0, false);
    for topic in &asked.topics {
        let mut found = FetchableTopicResponse::default();
        found.topic = topic.topic.clone();
        for wanted in &topic.partitions {
            let partition =
                engine.topics.get(topic.topic.as_str()).and_then(|topic| topic.partitions.get(&wanted.partition));
            let data = match partition {
                Some(partition) => read(partition, wanted, committed, most.saturating_sub(size), size == 0),
                None => refused(wanted, UNKNOWN_TOPIC_OR_PARTITION),
            };
            size += data.records.as_ref().map_or(0, bytes::Bytes::len);
            at_once |= data.error_code != 0;
            if data.error_code == 0 && data.records.is_none() && size < most {
                let place = (topic.topic.to_string(), wanted.partition);
                at_once |= ends.insert(place, wanted.fetch_offset) != Some(wanted.fetch_offset);
            }
            found.partitions.push(data);
        }
        answer.responses.push(found);
    }
    (answer, size, at_once)
}

fn refused(wanted: &FetchPartition, code: i16) -> PartitionData {
    let mut data = PartitionData::default();
    data.partition_index = wanted.partition;
    data.error_code = code;
    data.high_watermark = -1;
    data
}

/// `first`: nothing was given yet, so that one batch is, however large.
fn read(
    partition: &PartitionState,
    wanted: &FetchPartition,
    committed: bool,
    most: usize,
    first: bool,
) -> PartitionData {
    let end = partition.high_watermark;
    let stable = partition.active_txns.values().copied().min().map_or(end, |open| open.min(end));
    let (from, to) = (wanted.fetch_offset, if committed { stable } else { end });
    let out_of_range = from < partition.log_start_offset || from > end;
    let mut data = refused(wanted, if out_of_range { OFFSET_OUT_OF_RANGE } else { 0 });
    (data.high_watermark, data.last_stable_offset, data.log_start_offset) = (end, stable, partition.log_start_offset);
    if out_of_range || from >= to {
        return data;
    }
    let most = most.min(usize::try_from(wanted.partition_max_bytes).unwrap_or(most));
    let batches = &partition.record_batches;
    // Compaction leaves gaps: the last batch that begins at or before `from` may end before it.
    let start = batches.partition_point(|(base, _)| *base <= from).saturating_sub(1);
    let mut records = Vec::new();
    let mut upper = from;
    for (base, bytes) in &batches[start..] {
        let last = batch_last_offset(*base, bytes);
        if last < from {
            continue;
        }
        let fits = records.len() + bytes.len() <= most || (first && records.is_empty());
        if *base >= to || !fits {
            break;
        }
        records.extend_from_slice(bytes);
        upper = last;
    }
    if committed {
        data.aborted_transactions = Some(aborted(partition, from, upper));
    }
    if !records.is_empty() {
        data.records = Some(records.into());
    }
    data
}

/// The aborted transactions with records between the two. Named beyond that, clients would drop what the same producer
/// wrote later, for they take a transaction as aborted until they meet its marker.
fn aborted(partition: &PartitionState, from: i64, upper: i64) -> Vec<AbortedTransaction> {
    let lies_within = |(producer, first): &&(i64, i64)| *first <= upper && marker(partition, *producer, *first) >= from;
    let named = partition.aborted_txns.iter().filter(lies_within).map(|(producer, first)| {
        let mut aborted = AbortedTransaction::default();
        (aborted.producer_id, aborted.first_offset) = (ProducerId(*producer), *first);
        aborted
    });
    named.collect()
}

/// Where the transaction that begins at `first` was decided: the producer's next control batch.
fn marker(partition: &PartitionState, producer: i64, first: i64) -> i64 {
    let batches = &partition.record_batches;
    let start = batches.partition_point(|(base, _)| *base < first);
    let decides = |(_, bytes): &&(i64, Vec<u8>)| {
        let control = bytes.get(22).is_some_and(|attributes| attributes & 0x20 != 0);
        control && bytes.get(43..51).is_some_and(|id| id == producer.to_be_bytes())
    };
    batches[start..].iter().find(decides).map_or(i64::MAX, |(base, _)| *base)
}
