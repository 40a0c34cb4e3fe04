//! JSON Schema: compiled, without look-ups, to see that it is sound.
//!
//! One schema reads what another allows if that can be shown keyword by keyword. What cannot be shown counts as no: a
//! refusal may be wrong, a permission is not. Not looked into, so only equal ones are taken: `$ref`, conditions,
//! patterns of properties, tuples. As with the real registry, a property added to a schema that was open to any property
//! is no compatible change: what stood there before may be anything.

use serde_json::{Map, Value};

/// Reasons given at most: the first ones are those that help.
const MAX_REASONS: usize = 20;
/// They say something about a schema and check nothing.
const ANNOTATIONS: [&str; 11] = [
    "title",
    "description",
    "default",
    "examples",
    "$comment",
    "$id",
    "id",
    "$defs",
    "definitions",
    "deprecated",
    "readOnly",
];
/// What they mean depends on other keywords, or on other places.
const ENTANGLED: [&str; 19] = [
    "$ref",
    "$dynamicRef",
    "$recursiveRef",
    "$anchor",
    "$dynamicAnchor",
    "$recursiveAnchor",
    "if",
    "then",
    "else",
    "patternProperties",
    "additionalItems",
    "prefixItems",
    "contains",
    "minContains",
    "maxContains",
    "unevaluatedItems",
    "unevaluatedProperties",
    "dependentSchemas",
    "dependencies",
];
const AT_LEAST: [&str; 5] = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];
const AT_MOST: [&str; 5] = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];

/// Checks a schema and gives what it is compared by.
///
/// # Errors
/// What is wrong with it, and where.
pub fn sound(text: &str) -> Result<Value, String> {
    let schema: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    match jsonschema::options().offline().build(&schema) {
        Ok(_) => Ok(schema),
        Err(error) => {
            Err(format!("it is not a JSON Schema that stands alone: {error}, at `{}`", error.instance_path()))
        }
    }
}

/// Why not all that the writer's schema allows is taken by the reader's; empty if it is.
#[must_use]
pub fn unread(writer: &Value, reader: &Value) -> Vec<String> {
    if writer == reader {
        return Vec::new();
    }
    // These give `$ref` and keywords their meaning everywhere below.
    for key in ["$schema", "$id", "id", "$defs", "definitions"] {
        if writer.get(key) != reader.get(key) {
            return vec![format!("`{key}` differs, and then only equal schemas are known to go together")];
        }
    }
    if has_far_reference(reader) {
        return vec![
            "it has a `$ref` to outside `$defs` or an `$id` inside, and then only equal schemas are known to go together".to_owned(),
        ];
    }
    let mut reasons = Vec::new();
    takes(reader, writer, "", &mut reasons);
    reasons.truncate(MAX_REASONS);
    reasons
}

/// What a `$ref` points to may change with the rest of the schema, unless it is among the definitions of the root.
fn has_far_reference(schema: &Value) -> bool {
    fn below(value: &Value) -> bool {
        let far = |(key, value): (&String, &Value)| match (key.as_str(), value) {
            ("$ref", Value::String(to)) => !to.starts_with("#/$defs/") && !to.starts_with("#/definitions/"),
            // Below it, `#` is another root.
            ("$id" | "id", Value::String(_)) => true,
            (_, value) => below(value),
        };
        match value {
            Value::Object(object) => object.iter().any(far),
            Value::Array(values) => values.iter().any(below),
            _ => false,
        }
    }
    let mut root = schema.clone();
    if let Some(root) = root.as_object_mut() {
        root.remove("$id");
        root.remove("id");
    }
    below(&root)
}

fn takes(reader: &Value, writer: &Value, place: &str, reasons: &mut Vec<String>) {
    let open = Map::new();
    let (reader, writer) = match (reader, writer) {
        _ if reader == writer || reasons.len() >= MAX_REASONS => return,
        (Value::Bool(true), _) | (_, Value::Bool(false)) => return,
        (Value::Object(reader), Value::Object(writer)) => (reader, writer),
        (Value::Object(reader), _) => (reader, &open),
        _ => return reasons.push(format!("`{place}` takes nothing any more")),
    };
    let is_entangled = |(key, value): (&String, &Value)| {
        let tuple = key == "items" && value.is_array();
        let draft_4 = key.starts_with("exclusive") && value.is_boolean();
        tuple || draft_4 || ENTANGLED.contains(&key.as_str())
    };
    if reader.iter().any(is_entangled) || writer.iter().any(is_entangled) {
        if checks(reader).ne(checks(writer)) {
            reasons.push(format!("`{place}` differs where only equality is looked at"));
        }
        return;
    }
    for (key, value) in checks(reader) {
        keyword(key, value, reader, writer, place, reasons);
    }
}

/// The keywords that check something, in an order that does not depend on the text.
fn checks(schema: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let mut all: Vec<_> = schema.iter().filter(|(key, _)| !ANNOTATIONS.contains(&key.as_str())).collect();
    all.sort_by_key(|(key, _)| *key);
    all.into_iter()
}

fn keyword(
    key: &str,
    value: &Value,
    reader: &Map<String, Value>,
    writer: &Map<String, Value>,
    place: &str,
    reasons: &mut Vec<String>,
) {
    let before = writer.get(key);
    let below = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    let any = Value::Bool(true);
    let others = writer.get("additionalProperties").unwrap_or(&any);
    let fine = match key {
        "type" => before.is_some_and(|before| words(before).iter().all(|kind| has_type(value, kind))),
        "enum" | "const" => values(writer).is_some_and(|old| {
            let new = values(reader).unwrap_or_default();
            old.iter().all(|value| new.contains(value))
        }),
        "required" => words(value).iter().all(|name| before.is_some_and(|before| words(before).contains(name))),
        "properties" => {
            for (name, schema) in value.as_object().into_iter().flatten() {
                let before = before.and_then(|before| before.get(name)).unwrap_or(others);
                takes(schema, before, &below(name), reasons);
            }
            true
        }
        "additionalProperties" => {
            let known = |name: &String| reader.get("properties").is_some_and(|own| own.get(name).is_some());
            let old = writer.get("properties").and_then(Value::as_object);
            for (name, schema) in old.into_iter().flatten().filter(|(name, _)| !known(name)) {
                takes(value, schema, &below(name), reasons);
            }
            takes(value, others, &below("*"), reasons);
            true
        }
        "items" => {
            takes(value, before.unwrap_or(&any), &format!("{place}[]"), reasons);
            true
        }
        key if AT_LEAST.contains(&key) => before.is_some_and(|before| is_up_to(value, before)),
        key if AT_MOST.contains(&key) => before.is_some_and(|before| is_up_to(before, value)),
        _ => before == Some(value),
    };
    if !fine {
        let before = before.map_or_else(|| "not there".to_owned(), ToString::to_string);
        reasons.push(format!("`{}` is {value}, and {before} in the other schema, which allows more", below(key)));
    }
}

/// A word or a list of them.
fn words(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
        value => value.as_str().into_iter().collect(),
    }
}

fn has_type(types: &Value, kind: &str) -> bool {
    let types = words(types);
    types.contains(&kind) || (kind == "integer" && types.contains(&"number"))
}

/// The values a schema is limited to, if it is.
fn values(schema: &Map<String, Value>) -> Option<Vec<&Value>> {
    let list = schema.get("enum").and_then(Value::as_array).map(|values| values.iter().collect());
    match (schema.get("const"), list) {
        (Some(value), None) => Some(vec![value]),
        (Some(value), Some(list)) if list == [value] => Some(list),
        (Some(_), Some(_)) => None,
        (None, list) => list,
    }
}

/// Large integers that a float cannot tell apart count as apart.
fn is_up_to(small: &Value, large: &Value) -> bool {
    small == large || small.as_f64().zip(large.as_f64()).is_some_and(|(small, large)| small < large)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn goes(writer: Value, reader: Value) -> bool {
        unread(&writer, &reader).is_empty()
    }

    fn closed(properties: Value, required: Value) -> Value {
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    }

    #[test]
    fn a_looser_schema_takes_what_a_tighter_one_allows_and_not_the_other_way() {
        let text = |max: u32| json!({"type": "string", "maxLength": max});
        for (tight, loose) in [
            (json!({"type": "integer"}), json!({"type": ["number", "null"]})),
            (json!({"enum": ["a"]}), json!({"enum": ["a", "b"]})),
            (json!({"const": "a"}), json!({"enum": ["a", "b"]})),
            (text(5), text(6)),
            (json!({"minimum": 2}), json!({"minimum": 1.5})),
            (json!({"type": "array", "items": text(5)}), json!({"type": "array", "items": text(6)})),
            (closed(json!({"a": text(5)}), json!(["a"])), closed(json!({"a": text(6)}), json!([]))),
            (closed(json!({}), json!([])), closed(json!({"a": text(5)}), json!([]))),
            (closed(json!({"a": text(5)}), json!([])), json!({"type": "object", "additionalProperties": text(5)})),
            (json!({"anyOf": [text(1)], "minLength": 1}), json!({"anyOf": [text(1)]})),
            (json!(false), json!({"type": "string"})),
        ] {
            assert!(goes(tight.clone(), loose.clone()), "{tight} {loose}");
            assert!(!goes(loose.clone(), tight.clone()), "{loose} {tight}");
        }
        assert!(goes(json!({"title": "a", "type": "string"}), json!({"description": "b", "type": "string"})));
    }

    #[test]
    fn a_property_added_to_an_open_schema_is_no_compatible_change() {
        let open = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        let more = json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}});
        let reasons = unread(&open, &more);
        assert!(reasons[0].contains("`b.type`"), "{reasons:?}");
        assert!(goes(more, open));
    }

    #[test]
    fn what_cannot_be_shown_is_no() {
        let with = |ref_to: &str, a: &str| {
            json!({"$defs": {"d": {"type": "string"}}, "properties": {
                "a": {"type": a}, "b": {"$ref": ref_to}
            }})
        };
        assert!(goes(with("#/$defs/d", "integer"), with("#/$defs/d", "number")));
        assert!(!goes(with("#/properties/a", "integer"), with("#/properties/a", "number")));
        let named =
            |a: &str| json!({"properties": {"x": {"$id": "urn:x", "$ref": "#/$defs/d", "$defs": {"d": {"type": a}}}}});
        assert!(!goes(named("integer"), named("string")));
        let tuple = |kind: &str| json!({"prefixItems": [{"type": kind}]});
        assert!(!goes(tuple("integer"), tuple("number")));
        assert!(!goes(
            json!({"maximum": 1, "exclusiveMaximum": true}),
            json!({"maximum": 1, "exclusiveMaximum": false})
        ));
        assert!(!goes(json!({"const": "a", "enum": ["b"]}), json!({"enum": ["b"], "const": "c"})));
    }

    #[test]
    fn an_unsound_schema_is_told_with_its_place() {
        let error = sound(r#"{"properties": {"a": {"type": "strin"}}}"#).unwrap_err();
        assert!(error.contains("/properties/a/type"), "{error}");
        assert!(sound(r#"{"$ref": "http://example.invalid/x"}"#).is_err());
        assert!(sound("{").is_err());
    }
}
