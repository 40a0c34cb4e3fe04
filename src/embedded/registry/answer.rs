//! Answers as the API gives them: JSON of its own media type; a refusal with its documented code.

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// A good answer.
#[derive(Debug)]
pub(super) enum Answer {
    Json(Value),
    /// A schema's text by itself.
    Text(String),
}

/// A refusal; the HTTP status is the first three digits of the code.
#[derive(Debug)]
pub(super) struct Refusal {
    code: u32,
    message: String,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Self::Json(value) => response(StatusCode::OK, value.to_string()),
            Self::Text(text) => response(StatusCode::OK, text),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = if self.code < 1000 { self.code } else { self.code / 100 };
        let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let body = json!({ "error_code": self.code, "message": self.message });
        response(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body.to_string())
    }
}

fn response(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], Body::from(body)).into_response()
}

impl Refusal {
    pub(super) fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn is_invalid_schema(&self) -> bool {
        self.code == 42201
    }

    pub(super) fn message(self) -> String {
        self.message
    }

    pub(super) fn no_such_path() -> Self {
        Self::new(404, "HTTP 404 Not Found")
    }

    pub(super) fn no_subject(subject: &str) -> Self {
        Self::new(40401, format!("Subject '{subject}' not found."))
    }

    pub(super) fn no_version(version: impl std::fmt::Display) -> Self {
        Self::new(40402, format!("Version {version} not found."))
    }

    pub(super) fn no_schema() -> Self {
        Self::new(40403, "Schema not found")
    }

    pub(super) fn no_schema_of(id: u32) -> Self {
        Self::new(40403, format!("Schema {id} not found"))
    }

    pub(super) fn no_own_level(subject: &str) -> Self {
        Self::new(40408, format!("Subject '{subject}' does not have subject-level compatibility configured"))
    }

    pub(super) fn no_own_mode(subject: &str) -> Self {
        Self::new(40409, format!("Subject '{subject}' does not have subject-level mode configured"))
    }

    pub(super) fn incompatible(subject: &str, reasons: &[String]) -> Self {
        let reasons = reasons.join("; ");
        Self::new(
            409,
            format!(
                "Schema being registered is incompatible with an earlier schema for subject \"{subject}\", details: [{reasons}]"
            ),
        )
    }

    pub(super) fn invalid_schema(problem: impl Into<String>) -> Self {
        Self::new(42201, problem)
    }

    pub(super) fn not_permitted(problem: impl Into<String>) -> Self {
        Self::new(42205, problem)
    }

    pub(super) fn referenced(subject: &str, version: u32) -> Self {
        Self::new(42206, format!("One or more references exist to the schema {subject} version {version}."))
    }
}
