//! JSON of a record's shape, made into what the record's struct reads, driven by its Avro schema alone.
//!
//! Nothing is fixed silently: every fault is reported with its path. Payload fields (`baton.payload` in the
//! schema) keep the text they were sent with, byte for byte, which is why the JSON is walked as raw slices.

use super::refusal::{Fault, quoted};
use super::schema::RecordKind;
use apache_avro::Schema;
use apache_avro::schema::{EnumSchema, RecordField, RecordSchema};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};
use std::fmt;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The members of a JSON object in their order, doubles included, values unread.
#[derive(Debug)]
pub(super) struct Members<'a>(pub(super) Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// # Errors
    ///
    /// The bytes are no JSON object.
    pub(super) fn parse(json: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// All values given under a name.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &'a RawValue> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = access.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// The record as its struct reads it: all members known and of their type, enums as their symbols, times in
/// milliseconds. What has a default may be left out.
///
/// # Errors
///
/// Every fault found, each with its path.
pub(super) fn normalise(kind: RecordKind, members: &Members<'_>) -> Result<Value, Vec<Fault>> {
    let Schema::Record(record) = kind.schema() else { unreachable!("our schemas are records") };
    let mut walk = Walk { kind, faults: Vec::new() };
    let value = walk.record(record, members, "");
    if walk.faults.is_empty() { Ok(value) } else { Err(walk.faults) }
}

/// Avro's way to mark a field beyond its type.
fn marked(field: Option<&RecordField>, mark: &str) -> bool {
    field.is_some_and(|field| field.custom_attributes.get(mark) == Some(&Value::Bool(true)))
}

struct Walk {
    kind: RecordKind,
    faults: Vec<Fault>,
}

impl Walk {
    /// Notes a fault; the null returned is never used, for a record with faults is refused.
    fn fault(&mut self, path: &str, problem: impl Into<String>) -> Value {
        self.faults.push(Fault::new(path, problem));
        Value::Null
    }

    fn record(&mut self, schema: &RecordSchema, members: &Members<'_>, path: &str) -> Value {
        for (name, _) in &members.0 {
            if !schema.lookup.contains_key(name) {
                let known: Vec<_> = schema.fields.iter().map(|field| field.name.as_str()).collect();
                let remedy = format!("unknown field; known are {}", known.join(", "));
                self.fault(&join(path, &shown(name)), remedy);
            }
        }
        let mut record = Map::new();
        for field in &schema.fields {
            let at = join(path, &field.name);
            let mut given = members.all(&field.name);
            match (given.next(), given.next()) {
                (Some(_), Some(_)) => {
                    self.fault(&at, "given twice; give it once");
                }
                (Some(raw), None) => {
                    let value = self.value(&field.schema, Some(field), raw, &at);
                    record.insert(field.name.clone(), value);
                }
                (None, _) if field.default.is_none() => {
                    self.fault(&at, "missing; give it");
                }
                (None, _) => {}
            }
        }
        Value::Object(record)
    }

    fn value(&mut self, schema: &Schema, field: Option<&RecordField>, raw: &RawValue, path: &str) -> Value {
        match schema {
            Schema::Ref { name } => {
                let schema = self.kind.resolved().get_names()[name];
                self.value(schema, field, raw, path)
            }
            Schema::Union(_) if raw.get() == "null" => Value::Null,
            Schema::Union(union) => {
                let other = union.variants().iter().find(|variant| !matches!(variant, Schema::Null));
                let other = other.expect("our unions are of null and one type");
                self.value(other, field, raw, path)
            }
            Schema::Record(record) => match serde_json::from_str::<Members<'_>>(raw.get()) {
                Ok(members) => self.record(record, &members, path),
                Err(_) => self.not(raw, "an object", path),
            },
            Schema::Array(array) => match serde_json::from_str::<Vec<&RawValue>>(raw.get()) {
                Ok(items) => {
                    let item = |(index, item): (usize, &&RawValue)| {
                        self.value(&array.items, None, item, &format!("{path}[{index}]"))
                    };
                    items.iter().enumerate().map(item).collect()
                }
                Err(_) => self.not(raw, "an array", path),
            },
            Schema::Map(map) => match serde_json::from_str::<Members<'_>>(raw.get()) {
                Ok(members) => {
                    let entry = |(name, raw): &(String, &RawValue)| {
                        (name.clone(), self.value(&map.types, None, raw, &join(path, &shown(name))))
                    };
                    Value::Object(members.0.iter().map(entry).collect())
                }
                Err(_) => self.not(raw, "an object", path),
            },
            Schema::String if marked(field, "baton.payload") && !raw.get().starts_with('"') => {
                Value::String(raw.get().to_owned())
            }
            Schema::String if marked(field, "baton.number") && raw.get().parse::<f64>().is_ok() => {
                Value::String(raw.get().to_owned())
            }
            Schema::String => match serde_json::from_str::<String>(raw.get()) {
                Ok(text) => Value::String(text),
                Err(_) => self.not(raw, "a string", path),
            },
            Schema::Boolean => match serde_json::from_str::<bool>(raw.get()) {
                Ok(yes) => Value::Bool(yes),
                Err(_) => self.not(raw, "true or false", path),
            },
            Schema::Int => match integer(raw).and_then(|number| i32::try_from(number).ok()) {
                Some(number) => number.into(),
                None => self.not(raw, "a whole number of 32 bits", path),
            },
            Schema::Long => match integer(raw) {
                Some(number) => number.into(),
                None => self.not(raw, "a whole number", path),
            },
            Schema::TimestampMillis => match millis(raw) {
                Some(millis) => millis.into(),
                None => self.not(raw, "a time; write RFC 3339 (2026-01-31T12:00:00Z) or milliseconds since 1970", path),
            },
            Schema::Double => match serde_json::from_str::<f64>(raw.get()).ok().and_then(Number::from_f64) {
                Some(number) => number.into(),
                None => self.not(raw, "a number", path),
            },
            Schema::Enum(symbols) => self.symbol(symbols, raw, path),
            _ => unreachable!("ingress records hold no other types, which a test checks"),
        }
    }

    fn symbol(&mut self, schema: &EnumSchema, raw: &RawValue, path: &str) -> Value {
        let given = serde_json::from_str::<String>(raw.get()).ok();
        let found =
            given.and_then(|given| schema.symbols.iter().find(|symbol| symbol.eq_ignore_ascii_case(given.trim())));
        match found {
            Some(symbol) => Value::String(symbol.clone()),
            None => {
                let known: Vec<_> = schema.symbols.iter().map(String::as_str).filter(|s| *s != "UNKNOWN").collect();
                self.not(raw, &format!("one of {}", known.join(", ")), path)
            }
        }
    }

    fn not(&mut self, raw: &RawValue, expected: &str, path: &str) -> Value {
        self.fault(path, format!("{} is not {expected}", quoted(raw.get())))
    }
}

/// A number without a fraction, also if written with one (`5.0`).
fn integer(raw: &RawValue) -> Option<i64> {
    // Beyond this a double stands for more than one whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let number: Number = serde_json::from_str(raw.get()).ok()?;
    let whole = |float: f64| (float.fract() == 0.0 && float.abs() <= EXACT).then_some(float as i64);
    number.as_i64().or_else(|| number.as_f64().filter(|_| !number.is_u64()).and_then(whole))
}

fn millis(raw: &RawValue) -> Option<i64> {
    if let Ok(text) = serde_json::from_str::<String>(raw.get()) {
        let time = OffsetDateTime::parse(text.trim(), &Rfc3339).ok()?;
        return i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok();
    }
    integer(raw)
}

/// A name taken from a record, as a part of a path.
fn shown(name: &str) -> String {
    let mut name = name.escape_debug().to_string();
    super::refusal::cut(&mut name, 80);
    name
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn task(text: &str) -> Result<Value, Vec<String>> {
        let members = Members::parse(text.as_bytes()).unwrap();
        normalise(RecordKind::TaskSubmitted, &members).map_err(|faults| faults.iter().map(Fault::to_string).collect())
    }

    #[test]
    fn a_task_needs_only_its_objective() {
        assert_eq!(task(r#"{"objective":"x"}"#), Ok(json!({"objective":"x"})));
        assert_eq!(task("{}"), Err(vec!["objective: missing; give it".to_owned()]));
    }

    #[test]
    fn a_payload_keeps_the_text_it_was_sent_with() {
        let input = |text: &str| task(&format!(r#"{{"objective":"x","input":{text}}}"#)).unwrap()["input"].clone();
        assert_eq!(input(r#""plain é""#), json!("plain é"));
        assert_eq!(
            input(r#"{"b": 1, "a":12345678901234567890123}"#),
            json!(r#"{"b": 1, "a":12345678901234567890123}"#)
        );
        assert_eq!(input("7"), json!("7"));
        assert_eq!(input("null"), Value::Null);
    }

    #[test]
    fn times_are_rfc_3339_or_milliseconds() {
        let deadline =
            |text: &str| task(&format!(r#"{{"objective":"x","deadline":{text}}}"#)).map(|t| t["deadline"].clone());
        assert_eq!(deadline("1700000000123"), Ok(json!(1_700_000_000_123_i64)));
        assert_eq!(deadline(r#""2023-11-14T23:13:20.123+01:00""#), Ok(json!(1_700_000_000_123_i64)));
        assert!(deadline(r#""tomorrow""#).unwrap_err()[0].starts_with("deadline: `\\\"tomorrow\\\"` is not a time"));
    }

    #[test]
    fn enums_go_in_any_case_and_unknown_symbols_are_refused() {
        assert_eq!(task(r#"{"objective":"x","mode":"route"}"#).unwrap()["mode"], json!("ROUTE"));
        let faults = task(r#"{"objective":"x","mode":"swarm"}"#).unwrap_err();
        assert!(faults[0].contains("one of AUTO, PLAN, ROUTE") && !faults[0].contains("UNKNOWN"), "{faults:?}");
    }

    #[test]
    fn every_fault_is_named_with_its_path() {
        let faults = task(
            r#"{"objective":7,"priority":1.5,"priorty":1,"plan":[{"stepId":"a","objective":"b","inputs":{}}],
                "labels":{"a":1},"explore":"yes","limits":[],"mode":"auto","mode":"auto"}"#,
        )
        .unwrap_err();
        let paths: Vec<_> = faults.iter().map(|fault| fault.split(':').next().unwrap()).collect();
        let expected = ["priorty", "objective", "priority", "plan[0].inputs", "mode", "explore", "labels.a", "limits"];
        assert_eq!(paths, expected, "{faults:#?}");
    }

    #[test]
    fn whole_numbers_may_be_written_with_a_fraction_of_zero() {
        assert_eq!(task(r#"{"objective":"x","priority":7.0}"#).unwrap()["priority"], json!(7));
        assert!(task(r#"{"objective":"x","priority":99999999999}"#).is_err());
        assert!(task(r#"{"objective":"x","deadline":18446744073709551615}"#).is_err());
    }

    #[test]
    fn a_lone_surrogate_is_a_fault_and_no_panic() {
        assert!(task(r#"{"objective":"\ud800"}"#).is_err());
        assert!(task(r#"{"objective":"x","input":"\ud800"}"#).is_err());
    }

    #[test]
    fn numbers_stand_for_themselves_where_an_agent_says_how_good_it_is() {
        let members = Members::parse(
            br#"{"agentName":"a","description":"d","performance":{"averageLatency":200,"successRate":0.98}}"#,
        );
        let definition = normalise(RecordKind::AgentDefinition, &members.unwrap()).unwrap();
        assert_eq!(definition["performance"], json!({"averageLatency":"200","successRate":"0.98"}));
    }

    #[test]
    fn ingress_records_hold_only_types_that_json_can_be_read_into() {
        fn check(kind: RecordKind, schema: &Schema) {
            match schema {
                Schema::Record(record) => record.fields.iter().for_each(|field| check(kind, &field.schema)),
                Schema::Array(array) => check(kind, &array.items),
                Schema::Map(map) => check(kind, &map.types),
                Schema::Union(union) => {
                    assert!(union.variants().len() == 2 && union.is_nullable());
                    union.variants().iter().for_each(|variant| check(kind, variant));
                }
                Schema::Ref { name } => assert!(kind.resolved().get_names().contains_key(name)),
                Schema::Null | Schema::String | Schema::Boolean | Schema::Int | Schema::Long => {}
                Schema::TimestampMillis | Schema::Double | Schema::Enum(_) => {}
                other => panic!("{kind} holds {other:?}"),
            }
        }
        use RecordKind::{AgentDefinition, AgentHeartbeat, AgentReport, TaskCommand, TaskSubmitted};
        [TaskSubmitted, TaskCommand, AgentReport, AgentDefinition, AgentHeartbeat]
            .iter()
            .for_each(|kind| check(*kind, kind.schema()));
    }
}
