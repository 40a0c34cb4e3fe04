//! JSON Schemas in the subset that every API takes: objects with all properties required and no others, types, enums, lists.
//! Structs and no JSON values, because the order of properties is the order in which a model writes them.

use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Debug, Serialize)]
pub(super) struct Object<P> {
    #[serde(rename = "type")]
    kind: &'static str,
    properties: P,
    required: &'static [&'static str],
    #[serde(rename = "additionalProperties")]
    additional_properties: bool,
}

impl<P: Serialize> Object<P> {
    /// `required` are the names of all `properties`.
    pub(super) fn new(properties: P, required: &'static [&'static str]) -> Self {
        Self { kind: "object", properties, required, additional_properties: false }
    }

    pub(super) fn raw(&self) -> Box<RawValue> {
        serde_json::value::to_raw_value(self).expect("strings always serialise")
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Kind {
    #[serde(rename = "type")]
    kind: &'static str,
}

impl Kind {
    pub(super) const STRING: Self = Self { kind: "string" };
    pub(super) const NUMBER: Self = Self { kind: "number" };
}

#[derive(Debug, Serialize)]
pub(super) struct Choices<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "enum")]
    choices: &'a [String],
}

impl<'a> Choices<'a> {
    pub(super) fn new(choices: &'a [String]) -> Self {
        Self { kind: "string", choices }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct List<I> {
    #[serde(rename = "type")]
    kind: &'static str,
    items: I,
}

impl<I> List<I> {
    pub(super) fn of(items: I) -> Self {
        Self { kind: "array", items }
    }
}
