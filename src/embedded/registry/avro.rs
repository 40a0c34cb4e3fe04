//! Avro: parsed and checked by apache-avro, with the named types of other schemas where one refers to them.
//!
//! Whether one schema reads what another wrote is asked of apache-avro's checker. That one takes the names of types at
//! their word, so named types are put in their places first. It stops at its first finding and does not say where; so it
//! is asked again, further and further inside, until the place is known.

use apache_avro::Schema;
use apache_avro::schema::{Name, NamespaceRef, SchemaKind, UnionSchema};
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Types in a schema at most once its names are replaced by what they stand for, which can grow exponentially.
const MAX_TYPES: usize = 50_000;
/// How deep types may stand inside each other then.
const MAX_DEPTH: usize = 200;
/// Reasons given at most: the first ones are those that help.
const MAX_REASONS: usize = 20;
const PRIMITIVES: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];

/// Checks a schema and gives what it is compared by.
pub(super) fn check(text: &str, parts: &[String]) -> Result<Value, String> {
    parse(text, parts)?;
    let value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    Ok(canonical(value, ""))
}

/// Why what the writer wrote cannot always be read; empty if it can. Each schema comes with those it builds on.
pub(super) fn unread(writer: (&str, &[String]), reader: (&str, &[String])) -> Result<Vec<String>, String> {
    let (writer, reader) = (parse(writer.0, writer.1)?, parse(reader.0, reader.1)?);
    let mut reasons = Vec::new();
    explain(&writer, &reader, "", &mut reasons);
    Ok(reasons)
}

/// The schema with every name replaced by what it stands for, but where a type holds itself.
fn parse(text: &str, parts: &[String]) -> Result<Schema, String> {
    let parsed = if parts.is_empty() {
        Schema::parse_str(text).map(|schema| (schema, Vec::new()))
    } else {
        Schema::parse_str_with_list(text, parts)
    };
    let (schema, others) = parsed.map_err(|error| format!("it is not a valid Avro schema: {error}"))?;
    let mut types = HashMap::new();
    for schema in others.iter().chain([&schema]) {
        collect(schema, None, &mut types);
    }
    Unfolding { types: &types, within: Vec::new(), depth: 0, left: MAX_TYPES }.unfold(&schema, None)
}

fn collect<'a>(schema: &'a Schema, namespace: NamespaceRef<'_>, types: &mut HashMap<Name, &'a Schema>) {
    let own = schema.name().map(|name| name.fully_qualified_name(namespace).into_owned());
    match schema {
        Schema::Ref { .. } => return,
        Schema::Array(array) => collect(&array.items, namespace, types),
        Schema::Map(map) => collect(&map.types, namespace, types),
        Schema::Union(union) => union.variants().iter().for_each(|variant| collect(variant, namespace, types)),
        Schema::Record(record) => {
            let inner = own.as_ref().map_or(namespace, Name::namespace);
            record.fields.iter().for_each(|field| collect(&field.schema, inner, types));
        }
        _ => {}
    }
    if let Some(name) = own {
        types.insert(name, schema);
    }
}

struct Unfolding<'a> {
    types: &'a HashMap<Name, &'a Schema>,
    /// The records around this place. Both sides of a comparison are in the same ones at the same place, so that a
    /// name that stays a name meets the same name.
    within: Vec<Name>,
    depth: usize,
    left: usize,
}

impl Unfolding<'_> {
    fn unfold(&mut self, schema: &Schema, namespace: NamespaceRef<'_>) -> Result<Schema, String> {
        if self.left == 0 || self.depth == MAX_DEPTH {
            let why =
                format!("it has more than {MAX_TYPES} types, or {MAX_DEPTH} inside each other, with names followed");
            return Err(why);
        }
        self.left -= 1;
        self.depth += 1;
        let unfolded = self.inside(schema, namespace);
        self.depth -= 1;
        unfolded
    }

    fn inside(&mut self, schema: &Schema, namespace: NamespaceRef<'_>) -> Result<Schema, String> {
        Ok(match schema {
            Schema::Ref { name } => {
                let name = name.fully_qualified_name(namespace).into_owned();
                match self.types.get(&name).copied() {
                    Some(definition) if !self.within.contains(&name) => self.unfold(definition, name.namespace())?,
                    Some(_) => Schema::Ref { name },
                    None => return Err(format!("it uses the type {name}, which is defined nowhere")),
                }
            }
            Schema::Array(array) => {
                let mut array = array.clone();
                array.items = Box::new(self.unfold(&array.items, namespace)?);
                Schema::Array(array)
            }
            Schema::Map(map) => {
                let mut map = map.clone();
                map.types = Box::new(self.unfold(&map.types, namespace)?);
                Schema::Map(map)
            }
            Schema::Union(union) => {
                let variants: Result<Vec<_>, _> =
                    union.variants().iter().map(|variant| self.unfold(variant, namespace)).collect();
                Schema::Union(UnionSchema::new(variants?).map_err(|error| error.to_string())?)
            }
            Schema::Record(record) => {
                let name = record.name.fully_qualified_name(namespace).into_owned();
                self.within.push(name.clone());
                let mut record = record.clone();
                for field in &mut record.fields {
                    field.schema = self.unfold(&field.schema, name.namespace())?;
                }
                self.within.pop();
                Schema::Record(record)
            }
            other => other.clone(),
        })
    }
}

/// Partly readable is unreadable: the value that is not may be the next one.
fn reads(writer: &Schema, reader: &Schema) -> bool {
    matches!(SchemaCompatibility::can_read(writer, reader), Ok(Compatibility::Full))
}

fn explain(writer: &Schema, reader: &Schema, place: &str, reasons: &mut Vec<String>) {
    if reasons.len() == MAX_REASONS || reads(writer, reader) {
        return;
    }
    let before = reasons.len();
    let at = if place.is_empty() { String::new() } else { format!("`{place}`: ") };
    match (writer, reader) {
        (Schema::Record(old), Schema::Record(new)) if old.name.name() == new.name.name() => {
            for field in &new.fields {
                let inner = if place.is_empty() { field.name.clone() } else { format!("{place}.{}", field.name) };
                let names = || std::iter::once(&field.name).chain(&field.aliases);
                let written = names().find_map(|name| old.fields.iter().find(|other| other.name == *name));
                match written {
                    Some(other) => explain(&other.schema, &field.schema, &inner, reasons),
                    None if field.default.is_none() && reasons.len() < MAX_REASONS => {
                        reasons.push(format!("`{inner}` is not written and has no default to be read as"));
                    }
                    None => {}
                }
            }
        }
        (Schema::Array(old), Schema::Array(new)) => explain(&old.items, &new.items, &format!("{place}[]"), reasons),
        (Schema::Map(old), Schema::Map(new)) => explain(&old.types, &new.types, &format!("{place}{{}}"), reasons),
        (Schema::Enum(old), Schema::Enum(new)) if old.name.name() == new.name.name() => {
            let missing: Vec<_> = old.symbols.iter().filter(|symbol| !new.symbols.contains(symbol)).cloned().collect();
            reasons.push(format!(
                "{at}the symbols {} are unknown to the reader, which has no default",
                missing.join(", ")
            ));
        }
        (Schema::Union(old), _) => {
            for variant in old.variants().iter().filter(|variant| !reads(variant, reader)) {
                if reasons.len() < MAX_REASONS {
                    reasons
                        .push(format!("{at}the branch {} of what is written fits no type that is read", kind(variant)));
                }
            }
        }
        _ => reasons.push(format!("{at}{} is written where {} is read", kind(writer), kind(reader))),
    }
    if reasons.len() == before {
        reasons.push(format!("{at}{} is written where {} is read", kind(writer), kind(reader)));
    }
}

/// A type's name as a user knows it.
fn kind(schema: &Schema) -> String {
    let kind = format!("{:?}", SchemaKind::from(schema)).to_lowercase();
    match schema {
        Schema::Union(union) => {
            let variants: Vec<_> = union.variants().iter().map(kind_of_variant).collect();
            format!("union [{}]", variants.join(", "))
        }
        _ => schema.name().map_or_else(|| kind.clone(), |name| format!("{kind} {name}")),
    }
}

fn kind_of_variant(schema: &Schema) -> String {
    schema.name().map_or_else(|| format!("{:?}", SchemaKind::from(schema)).to_lowercase(), ToString::to_string)
}

/// The schema's JSON with names qualified and without what may be left out: the same for schemas that mean the same.
/// Everything else stays, attributes of others too: who adds one wants it kept.
fn canonical(schema: Value, namespace: &str) -> Value {
    match schema {
        Value::String(name) => {
            Value::String(if PRIMITIVES.contains(&name.as_str()) { name } else { full(&name, namespace) })
        }
        Value::Array(variants) => variants.into_iter().map(|variant| canonical(variant, namespace)).collect(),
        Value::Object(mut schema) => {
            let kind = schema.get("type").and_then(Value::as_str).map(str::to_owned);
            match kind.as_deref() {
                Some("record" | "error" | "enum" | "fixed") => named(&mut schema, namespace),
                Some("array") => each(&mut schema, "items", namespace),
                Some("map") => each(&mut schema, "values", namespace),
                _ => each(&mut schema, "type", namespace),
            }
            match schema.remove("type") {
                Some(kind) if schema.is_empty() => kind,
                Some(kind) => {
                    schema.insert("type".to_owned(), kind);
                    Value::Object(schema)
                }
                None => Value::Object(schema),
            }
        }
        other => other,
    }
}

fn named(schema: &mut Map<String, Value>, namespace: &str) {
    let own = schema.remove("namespace");
    let own = own.as_ref().and_then(Value::as_str).unwrap_or(namespace);
    let name = schema.get("name").and_then(Value::as_str).map(|name| full(name, own)).unwrap_or_default();
    let inner = name.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
    schema.insert("name".to_owned(), Value::String(name));
    if let Some(Value::Array(aliases)) = schema.get_mut("aliases") {
        for alias in aliases {
            if let Value::String(text) = alias {
                *text = full(text, &inner);
            }
        }
    }
    for field in schema.get_mut("fields").and_then(Value::as_array_mut).into_iter().flatten() {
        let Value::Object(field) = field else { continue };
        each(field, "type", &inner);
        if field.get("order").and_then(Value::as_str) == Some("ascending") {
            field.remove("order");
        }
    }
}

fn each(schema: &mut Map<String, Value>, key: &str, namespace: &str) {
    if let Some(inner) = schema.get_mut(key) {
        *inner = canonical(inner.take(), namespace);
    }
}

fn full(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(writer: &str, reader: &str) -> Vec<String> {
        unread((writer, &[]), (reader, &[])).unwrap()
    }

    fn record(fields: &str) -> String {
        format!(r#"{{"type":"record","name":"R","namespace":"n","fields":[{fields}]}}"#)
    }

    #[test]
    fn a_type_defined_at_another_place_is_still_the_same_type() {
        let child = r#"{"type":"record","name":"C","fields":[{"name":"x","type":"int"}]}"#;
        let first = record(&format!(r#"{{"name":"a","type":{child}}},{{"name":"b","type":"C"}}"#));
        let moved = record(&format!(r#"{{"name":"b","type":{child}}}"#));
        assert_eq!(reasons(&first, &moved), [""; 0]);
    }

    #[test]
    fn a_name_that_stands_for_another_type_is_not_taken_at_its_word() {
        let child = |kind: &str| format!(r#"{{"type":"record","name":"C","fields":[{{"name":"x","type":"{kind}"}}]}}"#);
        let old = record(&format!(r#"{{"name":"a","type":{}}},{{"name":"b","type":"C"}}"#, child("int")));
        let new = record(&format!(
            r#"{{"name":"z","type":["null",{}],"default":null}},{{"name":"b","type":"C"}}"#,
            child("string")
        ));
        assert_eq!(reasons(&old, &new), ["`b.x`: int is written where string is read"]);
    }

    #[test]
    fn types_that_hold_themselves_are_compared() {
        let list = |kind: &str| {
            record(&format!(r#"{{"name":"v","type":"{kind}"}},{{"name":"next","type":["null","R"],"default":null}}"#))
        };
        assert!(reasons(&list("int"), &list("long")).is_empty());
        assert_eq!(reasons(&list("long"), &list("int")), ["`v`: long is written where int is read"]);
    }

    #[test]
    fn what_is_readable_only_in_part_is_not_readable() {
        let symbols = |symbols: &str| {
            record(&format!(r#"{{"name":"e","type":{{"type":"enum","name":"E","symbols":[{symbols}]}}}}"#))
        };
        let found = reasons(&symbols(r#""A","B""#), &symbols(r#""A""#));
        assert_eq!(found, ["`e`: the symbols B are unknown to the reader, which has no default"]);
        let found = reasons(r#"["null","int"]"#, r#"["null","string"]"#);
        assert_eq!(found, ["the branch int of what is written fits no type that is read"]);
    }

    #[test]
    fn names_that_multiply_when_followed_are_bounded() {
        let mut fields = vec![r#"{"name":"f0","type":{"type":"record","name":"T0","fields":[]}}"#.to_owned()];
        for i in 1..40 {
            let before = i - 1;
            fields.push(format!(
                r#"{{"name":"f{i}","type":{{"type":"record","name":"T{i}","fields":[
                   {{"name":"a","type":"T{before}"}},{{"name":"b","type":"T{before}"}}]}}}}"#
            ));
        }
        let error = check(&record(&fields.join(",")), &[]).unwrap_err();
        assert!(error.contains("50000 types"), "{error}");
    }

    #[test]
    fn spelling_makes_no_other_schema_and_documentation_does() {
        let one = check(&record(r#"{"name":"a","type":{"type":"string"},"order":"ascending"}"#), &[]).unwrap();
        let other = r#"{"fields":[{"type":"string","name":"a"}],"name":"n.R","type":"record"}"#;
        assert_eq!(one, check(other, &[]).unwrap());
        assert_ne!(one, check(&record(r#"{"name":"a","type":"string","doc":"d"}"#), &[]).unwrap());
        let java = record(r#"{"name":"a","type":{"type":"string","avro.java.string":"String"}}"#);
        assert_ne!(one, check(&java, &[]).unwrap());
    }
}
