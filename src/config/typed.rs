//! From the merged tree to typed values, through serde: the field a text is for says how to read it, so `0` is a string
//! for `kafka.slot` and a number for `kafka.partitions`.
//!
//! An error carries the path to the value it is about. Nothing here decides what to do about it.

use super::fault::nearest;
use super::tree::Node;
use serde::de::{self, DeserializeSeed, Expected, IntoDeserializer, Unexpected, Visitor};
use std::collections::btree_map;
use std::fmt;

/// What is wrong with the value at `path`.
#[derive(Debug)]
pub(super) struct Mistyped {
    /// From the inside out while it travels up; see [`Mistyped::path`].
    reversed: Vec<String>,
    pub(super) problem: String,
    pub(super) remedy: Option<String>,
}

impl Mistyped {
    fn under(mut self, segment: String) -> Self {
        self.reversed.push(segment);
        self
    }

    pub(super) fn path(&self) -> Vec<String> {
        self.reversed.iter().rev().cloned().collect()
    }

    fn one_of(problem: &str, given: &str, known: &'static [&'static str]) -> Self {
        let remedy = nearest(given, known)
            .map_or_else(|| format!("known are: {}", known.join(", ")), |name| format!("did you mean {name:?}?"));
        Self { reversed: Vec::new(), problem: problem.to_owned(), remedy: Some(remedy) }
    }
}

impl fmt::Display for Mistyped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl std::error::Error for Mistyped {}

impl de::Error for Mistyped {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self { reversed: Vec::new(), problem: problem.to_string(), remedy: None }
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let given = match unexpected {
            Unexpected::Map => "a table",
            Unexpected::Seq => "a list",
            Unexpected::Str(_) => "text",
            Unexpected::Bool(_) => "true or false",
            Unexpected::Signed(_) | Unexpected::Unsigned(_) => "a number",
            _ => return Self::custom(format!("is {unexpected}, not {expected}")),
        };
        Self::custom(format!("is {given}, not {}", plain(expected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format!("is {unexpected}, not {}", plain(expected)))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::one_of("is not a known choice", variant, expected)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::one_of("is not a known key", field, expected).under(field.to_owned())
    }
}

/// serde's names of Rust types, as users call them.
fn plain(expected: &dyn Expected) -> String {
    match expected.to_string().as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "i8" | "i16" | "i32" | "i64" => "a whole number".to_owned(),
        "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" | "string" => "text".to_owned(),
        "a sequence" => "a list".to_owned(),
        other if other.starts_with("struct") || other == "a map" => "a section with keys of its own".to_owned(),
        other => other.to_owned(),
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $kind:ty, $expected:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistyped> {
            match self {
                Node::Text(text, _) => match text.trim().parse::<$kind>() {
                    Ok(value) => visitor.$visit(value),
                    Err(_) => Err(de::Error::custom(concat!("must be ", $expected))),
                },
                typed => typed.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> de::Deserializer<'de> for &'de Node {
    type Error = Mistyped;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistyped> {
        match self {
            Node::Table(table) => visitor.visit_map(Keys { entries: table.iter(), value: None }),
            Node::List(items) => visitor.visit_seq(Items { items: items.iter().enumerate() }),
            Node::Text(text, _) => visitor.visit_str(text),
            Node::Typed(value, _) => match value {
                toml::Value::String(text) => visitor.visit_str(text),
                toml::Value::Integer(number) => visitor.visit_i64(*number),
                toml::Value::Float(number) => visitor.visit_f64(*number),
                toml::Value::Boolean(flag) => visitor.visit_bool(*flag),
                toml::Value::Datetime(moment) => visitor.visit_string(moment.to_string()),
                toml::Value::Array(_) | toml::Value::Table(_) => unreachable!("the tree keeps these as its own nodes"),
            },
        }
    }

    parsed! {
        deserialize_bool visit_bool bool, "true or false";
        deserialize_u16 visit_u16 u16, "a whole number, 0 to 65535";
        deserialize_u32 visit_u32 u32, "a whole number, 0 or more";
        deserialize_u64 visit_u64 u64, "a whole number, 0 or more";
        deserialize_i16 visit_i16 i16, "a whole number";
        deserialize_i32 visit_i32 i32, "a whole number";
        deserialize_i64 visit_i64 i64, "a whole number";
        deserialize_f64 visit_f64 f64, "a number";
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistyped> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Mistyped> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistyped> {
        match self {
            Node::Text(text, _) | Node::Typed(toml::Value::String(text), _) => {
                visitor.visit_enum(text.trim().into_deserializer())
            }
            _ => Err(de::Error::custom(format!("must be one of {}", known.join(", ")))),
        }
    }

    serde::forward_to_deserialize_any! {
        i8 i128 u8 u128 f32 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
        ignored_any
    }
}

struct Keys<'de> {
    entries: btree_map::Iter<'de, String, Node>,
    value: Option<(&'de String, &'de Node)>,
}

impl<'de> de::MapAccess<'de> for Keys<'de> {
    type Error = Mistyped;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mistyped> {
        self.value = self.entries.next();
        self.value.map(|(key, _)| seed.deserialize(key.as_str().into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mistyped> {
        let (key, value) = self.value.take().expect("serde asks for a value after its key");
        seed.deserialize(value).map_err(|error| error.under(key.clone()))
    }
}

struct Items<'de> {
    items: std::iter::Enumerate<std::slice::Iter<'de, Node>>,
}

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Mistyped;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mistyped> {
        let Some((index, item)) = self.items.next() else { return Ok(None) };
        seed.deserialize(item).map(Some).map_err(|error| error.under(index.to_string()))
    }
}
