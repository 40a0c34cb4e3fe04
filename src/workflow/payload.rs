use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What tasks and agents hand on: JSON text, or plain text where an agent's format is `text/*`.
///
/// Kept as the text that was sent, shared and never rewritten, so that what an agent gets is what
/// the one before it wrote, to the byte.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Arc<str>);

impl Payload {
    /// The text as it goes over the wire.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The value the text stands for. Text that is not JSON counts as a JSON string.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or_else(|_| Value::String(self.0.to_string()))
    }

    /// A JSON object of payloads by name, each as it was written; text that is not JSON as a JSON string.
    #[must_use]
    pub fn object<'p>(fields: impl IntoIterator<Item = (&'p str, &'p Self)>) -> Self {
        let quoted = |text: &str| Value::String(text.to_owned()).to_string();
        // The same test as for a value: what is too deep for one is a string here too.
        let is_value = |text: &str| serde_json::from_str::<Value>(text).is_ok();
        let field = |(name, payload): (&'p str, &'p Self)| {
            let text = payload.text();
            (name, if is_value(text) { Cow::Borrowed(text) } else { Cow::Owned(quoted(text)) })
        };
        let fields: BTreeMap<&str, Cow<'_, str>> = fields.into_iter().map(field).collect();
        let length = fields.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>();
        let mut text = String::with_capacity(length + 2);
        for (name, value) in &fields {
            text.push(if text.is_empty() { '{' } else { ',' });
            text.push_str(&quoted(name));
            text.push(':');
            text.push_str(value.trim());
        }
        text.push_str(if text.is_empty() { "{}" } else { "}" });
        Self::from(text)
    }

    /// Whether the text is JSON itself, as `application/json` demands.
    #[must_use]
    pub fn is_json(&self) -> bool {
        serde_json::from_str::<serde::de::IgnoredAny>(&self.0).is_ok()
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// Length and beginning only: payloads are large and may be private.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head: String = self.0.chars().take(24).collect();
        write!(f, "Payload({} B: {head:?})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_holds_each_payload_as_it_was_written() {
        let [number, text, object] = [" 1.0\n", "plain \"text\"", r#"{ "a": 1e2 }"#].map(Payload::from);
        let joined = Payload::object([("z", &number), ("t", &text), ("o \"", &object)]);
        assert_eq!(joined.text(), r#"{"o \"":{ "a": 1e2 },"t":"plain \"text\"","z":1.0}"#);
        assert!(joined.is_json());
        assert_eq!(Payload::object([]).text(), "{}");
    }

    #[test]
    fn what_is_too_deep_for_a_value_is_a_string_in_an_object() {
        let deep = Payload::from("[".repeat(200) + &"]".repeat(200));
        assert!(matches!(&Payload::object([("d", &deep)]).value()["d"], Value::String(text) if text == deep.text()));
    }
}
