use serde_json::Value;
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
