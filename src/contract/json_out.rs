//! Any record as JSON, for people and scripts: times as RFC 3339, bytes as hex, enums as their symbols.

use super::cache::WriterSchema;
use super::refusal::{Reason, Refusal};
use super::schema::BodyFault;
use apache_avro::types::Value as Avro;
use serde_json::{Value, json};
use std::fmt::Write as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The body of a record (without the wire header) as its writer's schema says.
///
/// # Errors
///
/// UNDECODABLE: the bytes are not what the schema says. UNKNOWN_SCHEMA: it is neither Avro nor JSON.
pub fn to_json(schema: &WriterSchema, body: &[u8]) -> Result<Value, Refusal> {
    match schema {
        WriterSchema::Avro(reader) => match reader.value(body) {
            Ok(value) => Ok(json_of(value)),
            Err(BodyFault::Bytes(problem) | BodyFault::Shape { problem, .. }) => {
                Err(Refusal::new(Reason::Undecodable, problem))
            }
        },
        WriterSchema::Json => {
            serde_json::from_slice(body).map_err(|error| Refusal::new(Reason::Undecodable, error.to_string()))
        }
        WriterSchema::Other(what) => Err(Refusal::new(Reason::UnknownSchema, format!("written with {what}"))),
    }
}

/// A moment as RFC 3339 in UTC; one beyond the year 9999 as its milliseconds.
#[must_use]
pub fn rfc3339(millis: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| millis.to_string())
}

fn json_of(value: Avro) -> Value {
    match value {
        Avro::Null => Value::Null,
        Avro::Boolean(yes) => yes.into(),
        Avro::Int(number) | Avro::Date(number) | Avro::TimeMillis(number) => number.into(),
        Avro::Long(number)
        | Avro::TimeMicros(number)
        | Avro::TimestampMicros(number)
        | Avro::TimestampNanos(number)
        | Avro::LocalTimestampMillis(number)
        | Avro::LocalTimestampMicros(number)
        | Avro::LocalTimestampNanos(number) => number.into(),
        Avro::TimestampMillis(millis) => rfc3339(millis).into(),
        Avro::Float(number) => json!(number),
        Avro::Double(number) => json!(number),
        Avro::String(text) | Avro::Enum(_, text) => text.into(),
        Avro::Bytes(bytes) | Avro::Fixed(_, bytes) => hex(&bytes).into(),
        Avro::Union(_, value) => json_of(*value),
        Avro::Array(items) => items.into_iter().map(json_of).collect(),
        Avro::Map(entries) => entries.into_iter().map(|(name, value)| (name, json_of(value))).collect(),
        Avro::Record(fields) => fields.into_iter().map(|(name, value)| (name, json_of(value))).collect(),
        Avro::Uuid(id) => id.to_string().into(),
        // Types none of our schemas use; a foreign schema may.
        other => format!("{other:?}").into(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::snapshot::{Receipt, Snapshot};
    use crate::contract::{Outcome, RecordKind, wire};

    #[test]
    fn times_bytes_and_enums_are_readable() {
        let receipt = Receipt {
            content_hash: vec![0, 255],
            outcome: Outcome::Failed,
            ended_at: 1_700_000_000_123,
            accepted_partition: 0,
            accepted_offset: 0,
            last_fact: 0,
        };
        let bytes = wire::encode(1, &Snapshot::from(receipt));
        let schema = WriterSchema::parse("AVRO", RecordKind::Snapshot.schema_text());
        let json = to_json(&schema, &bytes[5..]).unwrap();
        assert_eq!(
            json,
            json!({"skeleton": null, "task": null, "payload": null, "plan": null, "receipt":
                {"contentHash": "00ff", "outcome": "FAILED", "endedAt": "2023-11-14T22:13:20.123Z",
                 "acceptedPartition": 0, "acceptedOffset": 0, "lastFact": 0}})
        );
    }

    #[test]
    fn a_time_out_of_bounds_is_shown_all_the_same() {
        assert_eq!(rfc3339(i64::MAX), i64::MAX.to_string());
    }
}
