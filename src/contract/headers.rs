//! The headers of our records: CloudEvents in Kafka's binary mode, the trace, where a record arrived first, and
//! why it is a dead letter. Names are here and nowhere else.

use super::json_out::rfc3339;
use super::refusal::Refusal;
use super::schema::RecordKind;
use std::borrow::Cow;

pub const CE_SPECVERSION: &str = "ce_specversion";
pub const CE_ID: &str = "ce_id";
pub const CE_TYPE: &str = "ce_type";
pub const CE_SOURCE: &str = "ce_source";
pub const CE_TIME: &str = "ce_time";
pub const CONTENT_TYPE: &str = "content-type";
/// W3C Trace Context.
pub const TRACEPARENT: &str = "traceparent";
/// `<partition>/<offset>` where a forwarded record arrived first.
pub const ARRIVED: &str = "baton.arrived";
/// On a definition that is to be taken whatever it breaks of the one before. Its value says nothing.
pub const FORCED: &str = "baton.forced";
/// Of a note that goes home in the stead of a record that would outgrow its topic on the way: the reason and, after
/// a space, the detail.
pub const OUTGROWN: &str = "baton.outgrown";
/// `<topic>/<partition>/<offset>` of the record that a task or report was made from.
pub const SOURCE: &str = "baton.source";

/// The names Kafka Streams gives (KIP-1034), so that tools for its dead letters read ours.
pub const DLQ_EXCEPTION: &str = "__streams.errors.exception";
pub const DLQ_MESSAGE: &str = "__streams.errors.message";
pub const DLQ_TOPIC: &str = "__streams.errors.topic";
pub const DLQ_PARTITION: &str = "__streams.errors.partition";
pub const DLQ_OFFSET: &str = "__streams.errors.offset";
pub const DLQ_REASON: &str = "baton.reason";
pub const DLQ_DETAIL: &str = "baton.detail";
pub const DLQ_WORKER: &str = "baton.worker";
pub const DLQ_TIME: &str = "baton.time";

/// How often a record was replayed, on the record itself; it stays on the dead letter it may become again.
pub const REPLAYS: &str = "baton.replays";
/// Of a mark among dead letters, which has neither key nor value: the offset of the letter of its partition that was
/// replayed, written in the same transaction as the replay.
pub const REPLAYED: &str = "baton.replayed";

/// What [`dead_letter`] adds.
const OF_DEAD_LETTERS: [&str; 9] =
    [DLQ_EXCEPTION, DLQ_MESSAGE, DLQ_TOPIC, DLQ_PARTITION, DLQ_OFFSET, DLQ_REASON, DLQ_DETAIL, DLQ_WORKER, DLQ_TIME];

/// Whether a header of a dead letter is the record's own: neither why it is dead nor which way it had come.
#[must_use]
pub fn is_records_own(name: &str) -> bool {
    !OF_DEAD_LETTERS.contains(&name) && ![ARRIVED, OUTGROWN, REPLAYS].contains(&name)
}

/// A header's name and value.
pub type Header<'a> = (&'static str, Cow<'a, str>);

/// What a record says of itself besides its content.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// Derived from the task, never random, so that a record made again has the same.
    pub id: &'a str,
    pub kind: RecordKind,
    /// Who made it, as a URI reference: `baton/<prefix>/<role>`, or the agent.
    pub source: &'a str,
    /// RFC 3339, see [`rfc3339`]; formatted once for all records of one moment.
    pub time: &'a str,
    pub traceparent: Option<&'a str>,
}

impl<'a> Envelope<'a> {
    /// The headers of a record in Avro.
    #[must_use]
    pub fn headers(&self) -> Vec<Header<'a>> {
        let mut headers = Vec::with_capacity(7);
        headers.extend([
            (CE_SPECVERSION, Cow::Borrowed("1.0")),
            (CE_ID, Cow::Borrowed(self.id)),
            (CE_TYPE, Cow::Borrowed(self.kind.full_name())),
            (CE_SOURCE, Cow::Borrowed(self.source)),
            (CE_TIME, Cow::Borrowed(self.time)),
            (CONTENT_TYPE, Cow::Borrowed("application/avro")),
        ]);
        headers.extend(self.traceparent.map(|trace| (TRACEPARENT, Cow::Borrowed(trace))));
        headers
    }
}

/// The value of [`ARRIVED`].
#[must_use]
pub fn arrived(partition: i32, offset: i64) -> String {
    format!("{partition}/{offset}")
}

/// Partition and offset out of an [`ARRIVED`]; none of one that says nothing.
#[must_use]
pub fn arrived_from(arrived: &str) -> Option<(i32, i64)> {
    let (partition, offset) = arrived.split_once('/')?;
    Some((partition.parse::<u32>().ok()?.try_into().ok()?, offset.parse::<u64>().ok()?.try_into().ok()?))
}

/// Where a dead letter comes from, and when and by whom it was made one.
#[derive(Clone, Copy, Debug)]
pub struct DeadFrom<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    pub worker: &'a str,
    pub now_ms: i64,
}

/// What a dead letter has besides the headers its record came with.
#[must_use]
pub fn dead_letter<'a>(refusal: &'a Refusal, from: &DeadFrom<'a>) -> Vec<Header<'a>> {
    vec![
        (DLQ_EXCEPTION, Cow::Owned(format!("io.baton.{}", refusal.reason))),
        (DLQ_MESSAGE, Cow::Borrowed(&*refusal.detail)),
        (DLQ_TOPIC, Cow::Borrowed(from.topic)),
        (DLQ_PARTITION, Cow::Owned(from.partition.to_string())),
        (DLQ_OFFSET, Cow::Owned(from.offset.to_string())),
        (DLQ_REASON, Cow::Borrowed(refusal.reason.as_str())),
        (DLQ_DETAIL, Cow::Borrowed(&*refusal.detail)),
        (DLQ_WORKER, Cow::Borrowed(from.worker)),
        (DLQ_TIME, Cow::Owned(rfc3339(from.now_ms))),
    ]
}

/// Whether a `traceparent` is one, as W3C writes it. What is not is left out, never handed on.
#[must_use]
pub fn is_traceparent(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut hex = |len: usize| {
        let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        parts.next().filter(|part| part.len() == len && part.bytes().all(lower_hex))
    };
    let (Some(version), Some(trace), Some(span), Some(_flags)) = (hex(2), hex(32), hex(16), hex(2)) else {
        return false;
    };
    let zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    // A later version may say more behind the flags; ours ends there.
    version != "ff" && !zero(trace) && !zero(span) && (version != "00" || parts.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Reason;

    #[test]
    fn a_record_is_a_cloud_event_in_binary_mode() {
        let envelope = Envelope {
            id: "t-1/2",
            kind: RecordKind::Completion,
            source: "baton/orchestrator",
            time: &rfc3339(0),
            traceparent: None,
        };
        let headers = envelope.headers();
        let get = |name| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_ref());
        assert_eq!(get(CE_TYPE), Some("io.baton.v1.Completion"));
        assert_eq!(get(CE_TIME), Some("1970-01-01T00:00:00Z"));
        assert_eq!((get(CE_SPECVERSION), get(TRACEPARENT)), (Some("1.0"), None));
    }

    #[test]
    fn a_dead_letter_says_where_it_comes_from_and_why() {
        let refusal = Refusal::new(Reason::Invalid, "objective: missing");
        let from = DeadFrom { topic: "baton.tasks", partition: 3, offset: 42, worker: "w-1", now_ms: 0 };
        let headers = dead_letter(&refusal, &from);
        let get = |name| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_ref());
        assert_eq!((get(DLQ_REASON), get(DLQ_OFFSET)), (Some("INVALID"), Some("42")));
        assert_eq!(get(DLQ_MESSAGE), Some("objective: missing"));
        assert!(!headers.iter().any(|(name, _)| is_records_own(name)));
        assert!(is_records_own(TRACEPARENT) && is_records_own(CE_ID) && !is_records_own(ARRIVED));
    }

    #[test]
    fn a_trace_that_is_none_is_not_handed_on() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_traceparent(good) && is_traceparent(&format!("cc{}-more", &good[2..])));
        let zero = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        for bad in ["", "00", zero, &good.to_uppercase(), &format!("{good}-more"), &format!("ff{}", &good[2..])] {
            assert!(!is_traceparent(bad), "{bad}");
        }
    }
}
