//! What the ladder is climbed for: a question in words, and how a model's words become an answer to it.

use super::Structured;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// A longer text is no answer. It also bounds the search for an object in prose.
pub(super) const TEXT_CAP: usize = 64 * 1024;

/// One question, ready to be sent to any provider.
pub(super) trait Question: Sync {
    type Answer: Send;
    /// What the schema is called, where an API wants a name.
    const NAME: &'static str;
    /// What an answer may take at least; a provider that allows more is asked for that.
    const OUTPUT_TOKENS: u32;
    /// Bytes that a re-ask repeats of the answer before.
    const REPEATED: usize;
    /// Whether an endpoint that refuses such a request is set up wrongly. A large one may only be more than its model takes.
    const IS_PLAIN: bool;

    /// The rules, in words that are the same for every question of this kind.
    fn system(&self) -> &str;

    /// The question itself.
    fn user(&self) -> &str;

    /// The answer's JSON Schema, properties in the order in which a model is to write them.
    fn schema(&self) -> Box<RawValue>;

    /// The answer in `text`, or what is wrong with it.
    fn read(&self, text: &str, structured: Structured) -> Result<Self::Answer, Invalid>;

    /// What is wrong with an answer that was cut off.
    fn truncated(&self) -> Invalid;

    /// What is said after an answer that could not be taken.
    fn repair(&self, why: &str) -> String;
}

/// Why an answer is not valid: `verdict` for the record, `why` for the model.
#[derive(Debug, PartialEq)]
pub(super) struct Invalid {
    pub(super) verdict: &'static str,
    pub(super) why: String,
}

pub(super) fn invalid<T>(verdict: &'static str, why: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid { verdict, why: why.into() })
}

/// The text, trimmed, if its length is one an answer can have.
pub(super) fn within(text: &str) -> Result<&str, Invalid> {
    let text = text.trim();
    if text.is_empty() {
        return invalid("empty", "it was empty");
    }
    if text.len() > TEXT_CAP {
        return invalid("too_large", "it was far too long");
    }
    Ok(text)
}

/// The objects with this key in a text of prose and fences, outermost ones only.
pub(super) fn objects_with(text: &str, key: &str) -> Vec<Map<String, Value>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find('{').map(|at| from + at) {
        let mut parsed = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Map<String, Value>>();
        from = match parsed.next() {
            Some(Ok(object)) => {
                let end = start + parsed.byte_offset();
                if object.contains_key(key) {
                    found.push(object);
                }
                end
            }
            _ => start + 1,
        };
    }
    found
}
