use super::names::{fold, same_name, shown};
use jsonschema::{PatternOptions, Validator};
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;

/// Bytes of a contract's schema text at most.
pub(super) const MAX_SCHEMA_BYTES: usize = 64 * 1024;
/// Steps a pattern of a schema may take on one value: definitions come from others.
const PATTERN_STEPS: usize = 100_000;
/// Characters of a violation that a decision or a report shows.
const MAX_VIOLATION: usize = 200;

/// What a contract's text came to once names were looked up, which needs a registry and so is done elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// Absent, or `any`.
    Any,
    /// A name that stands for no schema.
    Label(String),
    Schema {
        text: String,
    },
}

/// What an agent takes or gives.
#[derive(Clone, Debug)]
pub enum Contract {
    Any,
    /// Trimmed and case-folded; compared with the label of whoever produced the value.
    Label(String),
    /// Checked against the value.
    Schema(Arc<CompiledSchema>),
}

impl Contract {
    /// `any` as a label means no contract. Errors say what is wrong with the schema.
    pub fn compile(resolved: Resolved) -> Result<Self, String> {
        match resolved {
            Resolved::Label(label) if !same_name(&label, "any") && !label.trim().is_empty() => {
                Ok(Self::Label(fold(&label)))
            }
            Resolved::Any | Resolved::Label(_) => Ok(Self::Any),
            Resolved::Schema { text } => CompiledSchema::compile(&text).map(|schema| Self::Schema(Arc::new(schema))),
        }
    }
}

/// A JSON Schema ready to check values.
pub struct CompiledSchema {
    text: String,
    validator: Validator,
    refuses_empty: bool,
}

impl CompiledSchema {
    /// Compiles without any look-up: a `$ref` to another document is an error.
    pub fn compile(text: &str) -> Result<Self, String> {
        if text.len() > MAX_SCHEMA_BYTES {
            return Err(format!("has {} bytes: use at most {MAX_SCHEMA_BYTES}", text.len()));
        }
        let schema: Value = serde_json::from_str(text)
            .map_err(|error| format!("`{}` is not JSON ({error}): give a JSON Schema", shown(text)))?;
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(PATTERN_STEPS))
            .build(&schema)
            .map_err(|error| {
                format!(
                    "`{}` is not a JSON Schema that stands alone ({}): correct it, and put what `$ref` names under `$defs`",
                    shown(text),
                    cut(&error.to_string())
                )
            })?;
        let refuses_empty = !validator.is_valid(&json!({}));
        Ok(Self { text: text.to_owned(), validator, refuses_empty })
    }

    /// The schema as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it refuses `{}`; one that does not says too little about a value to choose by.
    #[must_use]
    pub fn refuses_empty(&self) -> bool {
        self.refuses_empty
    }

    /// Checks a value. The error is the first violation, short, without the value itself, which may be private.
    pub fn accepts(&self, value: &Value) -> Result<(), String> {
        self.validator.validate(value).map_err(|error| {
            let at = error.instance_path().to_string();
            let place = if at.is_empty() { String::new() } else { format!(" at {at}") };
            cut(&format!("{}{place}", error.masked()))
        })
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_VIOLATION).collect()
}

impl fmt::Debug for CompiledSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompiledSchema({})", shown(&self.text))
    }
}
