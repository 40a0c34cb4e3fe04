//! What the sample agents do: real computations on a lead, each with its parameters from the agent's file.
//!
//! Pure: the same input gives the same output, whoever asks and how often. An input that lacks what the work needs is an
//! error in words, which fails the step.

mod research;
mod review;
mod score;
mod send;
mod words;
mod write;

use serde::Deserialize;
use serde_json::{Map, Value};

/// One kind of work with its parameters.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Work {
    /// A lead in, the lead and a report out.
    Research(research::Research),
    /// A report in, an assessment with its reasons and the next step out.
    Score(score::Score),
    /// An assessment in, a campaign's e-mails from templates out.
    Write(write::Write),
    /// E-mails in, the same softened, or held back, out.
    Review(review::Review),
    /// E-mails in, what a simulated outbox took out.
    Send(send::Send),
}

impl Work {
    /// The agent's output for this input.
    ///
    /// # Errors
    /// What the input lacks.
    pub fn run(&self, input: &Value) -> Result<Value, String> {
        match self {
            Self::Research(work) => work.run(input),
            Self::Score(work) => work.run(input),
            Self::Write(work) => work.run(input),
            Self::Review(work) => work.run(input),
            Self::Send(work) => work.run(input),
        }
    }

    /// What is wrong with the parameters beyond their shape, each as `work.FIELD: what; remedy`.
    pub(super) fn faults(&self) -> Vec<String> {
        match self {
            Self::Research(_) => Vec::new(),
            Self::Score(work) => work.faults(),
            Self::Write(work) => work.faults(),
            Self::Review(_) => Vec::new(),
            Self::Send(work) => work.faults(),
        }
    }
}

/// An object that the input must have.
fn object<'a>(input: &'a Value, name: &str) -> Result<&'a Map<String, Value>, String> {
    input.get(name).and_then(Value::as_object).ok_or_else(|| format!("the input has no object `{name}`"))
}

fn text<'a>(object: &'a Map<String, Value>, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}
