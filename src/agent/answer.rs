//! What a handler gives back.

use crate::contract::{Assignment, ErrorClass, ReportError, ReportStatus};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// What became of an assignment that did not fail.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Done, with this output.
    Json(Value),
    /// Done, with plain text: for agents whose output format is `text/*`.
    Text(String),
    /// Not mine, give it to another agent; why.
    Declined(String),
    /// A person must answer this.
    InputRequired(String),
}

impl Answer {
    /// Any value as JSON.
    ///
    /// # Errors
    /// INVALID_OUTPUT: the value has no form in JSON.
    pub fn json(value: impl Serialize) -> Result<Self, Failure> {
        serde_json::to_value(value)
            .map(Self::Json)
            .map_err(|error| Failure::new(ErrorClass::InvalidOutput, format!("the output is no JSON: {error}")))
    }

    /// Status, output and message of the report.
    pub(super) fn into_parts(self) -> (ReportStatus, Option<String>, Option<String>) {
        match self {
            Self::Json(value) => (ReportStatus::Succeeded, Some(value.to_string()), None),
            Self::Text(text) => (ReportStatus::Succeeded, Some(text), None),
            Self::Declined(why) => (ReportStatus::Declined, None, Some(why)),
            Self::InputRequired(what) => (ReportStatus::InputRequired, None, Some(what)),
        }
    }
}

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Self::Json(value)
    }
}

/// Why the work failed. Any error becomes one by `?`: TRANSIENT, with its causes as the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub class: ErrorClass,
    /// The agent's own code, for people and dashboards.
    pub code: Option<String>,
    pub message: String,
    /// How long a service that was asked too often wants to be left alone.
    pub retry_after: Option<Duration>,
}

impl Failure {
    #[must_use]
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, code: None, message: message.into(), retry_after: None }
    }

    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    pub(super) fn into_error(self) -> ReportError {
        let retry_after_ms = self.retry_after.map(|wait| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        ReportError { class: self.class, code: self.code, message: self.message, retry_after_ms }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Self::new(ErrorClass::Transient, message)
    }
}

/// The assignment's input as a value; none counts as JSON's null, and text that is no JSON as a string.
///
/// # Errors
/// CONTRACT: it is not of this shape.
pub fn input<T: DeserializeOwned>(assignment: &Assignment) -> Result<T, Failure> {
    let value = match assignment.input.as_deref() {
        None => Value::Null,
        Some(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
    };
    serde_json::from_value(value)
        .map_err(|error| Failure::new(ErrorClass::Contract, format!("the input is not as agreed: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_that_is_no_json_is_a_string_and_a_wrong_shape_breaks_the_contract() {
        let of = |text: &str| Assignment { input: Some(text.to_owned()), ..Assignment::default() };
        assert_eq!(input::<String>(&of("one two")), Ok("one two".to_owned()));
        assert_eq!(input::<Value>(&of("{\"a\":1}")), Ok(json!({ "a": 1 })));
        assert_eq!(input::<Option<u8>>(&Assignment::default()), Ok(None));
        assert_eq!(input::<u8>(&of("one")).unwrap_err().class, ErrorClass::Contract);
    }

    #[test]
    fn an_error_becomes_a_transient_failure_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("the service")]
        struct Outer(#[source] std::fmt::Error);
        let work = || -> Result<Answer, Failure> { Err(Outer(std::fmt::Error))? };
        let failure = work().unwrap_err();
        assert_eq!(failure.class, ErrorClass::Transient);
        assert!(failure.message.starts_with("the service: "), "{failure:?}");
    }

    #[test]
    fn a_json_string_is_reported_as_json_and_text_as_it_is() {
        let output = |answer: Answer| answer.into_parts().1.unwrap();
        assert_eq!(output(json!("x").into()), "\"x\"");
        assert_eq!(output(Answer::Text("x".into())), "x");
    }
}
