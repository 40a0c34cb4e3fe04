//! How a record of a source becomes a task: `[[sources]]` applied.

use super::document::{Document, payload, words};
use super::ids;
use super::work::{Made, Unready, Work, refused};
use super::writer::Writer;
use crate::config::{Piece, Pointer, Source, Template};
use crate::contract::{Reason, Refusal, TaskSubmitted, Undecided};
use crate::kafka::relay::Outgoing;
use crate::kafka::tail::Tailed;
use serde_json::Value;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::runtime::Handle;

/// Makes tasks of one source's records.
#[derive(Debug)]
pub struct Recipe {
    source: Source,
    writer: Writer,
    /// Bytes of one payload.
    payload_bytes: usize,
}

impl Recipe {
    /// `payload_bytes` bounds the input and the objective.
    #[must_use]
    pub fn new(source: Source, writer: Writer, payload_bytes: usize) -> Self {
        Self { source, writer, payload_bytes }
    }

    fn task(&self, record: &Tailed, value: &[u8]) -> Result<TaskSubmitted, Undecided> {
        let document = Document::read(value, self.writer.codec().cache())?;
        let source = &self.source;
        let task_id = match &source.id {
            None => ids::of_place(self.writer.name(), record.partition, record.offset),
            Some(path) => {
                let made = words(document.at(path)).and_then(|text| ids::task_id(&text));
                made.map_err(|problem| ids::refusal(format!("id: {path} {problem}")))?
            }
        };
        let mut faults = Vec::new();
        let mut task = TaskSubmitted::new(rendered("objective", &source.objective, &document, &mut faults));
        if faults.is_empty() && task.objective.trim().is_empty() {
            faults.push("objective: what the template gives is empty".to_owned());
        }
        for (label, template) in &source.labels {
            let text = rendered(&format!("labels.{label}"), template, &document, &mut faults);
            task.labels.insert(label.clone(), text);
        }
        match document.at(&source.input) {
            Some(raw) => task.input = Some(payload(raw)),
            None => faults.push(format!("input: {} is not there", source.input)),
        }
        if let Some(path) = &source.deadline {
            match moment(document.at(path)) {
                Ok(at) => task.deadline = at,
                Err(problem) => faults.push(format!("deadline: {path} {problem}")),
            }
        }
        if !faults.is_empty() {
            return Err(Refusal::new(Reason::Invalid, faults.join("; ")).into());
        }
        within(&task, self.payload_bytes)?;
        task.task_id = task_id;
        task.kind.clone_from(&source.kind);
        task.input_contract.clone_from(&source.input_contract);
        task.priority = source.priority.map_or(task.priority, i32::from);
        task.agents.clone_from(&source.agents);
        task.submitted_by = Some(format!("sources/{}", self.writer.name()));
        task.submitted_at = record.timestamp;
        Ok(task)
    }
}

impl Work for Recipe {
    fn prepare(&mut self, _: &[Tailed], _: &Handle) -> Result<(), Unready> {
        Ok(())
    }

    fn begin(&mut self) {}

    fn judge(&mut self, record: &Tailed, origin: usize, made: &mut Vec<Outgoing>) -> Result<Made, u32> {
        let Some(value) = &record.value else { return Ok(Made::Skipped) };
        match self.task(record, value) {
            Ok(task) => {
                made.push(self.writer.task(&task, record, origin));
                Ok(Made::Task)
            }
            Err(undecided) => refused(undecided),
        }
    }
}

/// The template with what its paths lead to; what is wrong goes to the faults.
pub(super) fn rendered(field: &str, template: &Template, document: &Document, faults: &mut Vec<String>) -> String {
    let mut text = String::new();
    for piece in template.pieces() {
        match piece {
            Piece::Text(plain) => text.push_str(plain),
            Piece::Path(path) => match words(document.at(path)) {
                Ok(words) => text.push_str(&words),
                Err(problem) => faults.push(format!("{field}: {path} {problem}")),
            },
        }
    }
    text
}

/// Over these the task itself would be refused.
pub(super) fn within(task: &TaskSubmitted, payload_bytes: usize) -> Result<(), Refusal> {
    for (field, text) in [("objective", Some(&task.objective)), ("input", task.input.as_ref())] {
        if let Some(bytes) = text.map(String::len).filter(|bytes| *bytes > payload_bytes) {
            let detail = format!("{field}: {bytes} bytes, over workflow.payload_bytes ({payload_bytes})");
            return Err(Refusal::new(Reason::TooLarge, detail));
        }
    }
    Ok(())
}

/// Milliseconds since the epoch; none where there is nothing.
fn moment(value: Option<&RawValue>) -> Result<Option<i64>, &'static str> {
    const NEITHER: &str = "is neither RFC 3339 nor milliseconds since the epoch";
    match value.map(|raw| serde_json::from_str(raw.get())) {
        None | Some(Ok(Value::Null)) => Ok(None),
        Some(Ok(Value::Number(number))) => number.as_i64().map(Some).ok_or(NEITHER),
        Some(Ok(Value::String(text))) => {
            let at = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| NEITHER)?;
            Ok(i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok())
        }
        Some(_) => Err(NEITHER),
    }
}

/// For paths that a source does not have.
pub(super) fn pointer(text: &str) -> Pointer {
    Pointer::parse(text).expect("it is written in the source")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Codec, RecordKind, SchemaCache};
    use std::sync::Arc;

    fn recipe(toml: &str) -> Recipe {
        let source: Source = toml::from_str(&format!("topic = \"crm.leads\"\n{toml}")).unwrap();
        let codec = Codec::new("baton", [(RecordKind::TaskSubmitted, 1)], Arc::new(SchemaCache::new()));
        let writer = Writer::new(Arc::new(codec), 6, 6, "w", source.name());
        Recipe::new(source, writer, 1_000)
    }

    fn record(value: &str) -> Tailed {
        Tailed {
            topic: "crm.leads".to_owned(),
            partition: 2,
            offset: 40,
            timestamp: Some(1_700_000_000_000),
            key: None,
            value: Some(value.as_bytes().to_vec()),
            headers: Vec::new(),
        }
    }

    fn refusal(toml: &str, value: &str) -> String {
        match recipe(toml).task(&record(value), value.as_bytes()) {
            Err(Undecided::Refused(refusal)) => refusal.to_string(),
            other => panic!("{other:?}"),
        }
    }

    fn task(toml: &str, value: &str) -> TaskSubmitted {
        recipe(toml).task(&record(value), value.as_bytes()).unwrap()
    }

    #[test]
    fn every_field_comes_from_its_template_or_path() {
        let toml = r#"
            name = "leads"
            id = "/lead/email"
            objective = "Qualify {/lead/name} ({/score})"
            input = "/lead"
            input_contract = "lead"
            type = "sales"
            priority = 7
            deadline = "/due"
            agents = ["Scorer"]
            labels = { region = "{/lead/region}", from = "crm" }
        "#;
        let value =
            r#"{"lead":{"email":"a@b.c","name":"Ada","region":"EU"},"score":0.50,"due":"2030-01-02T03:04:05Z"}"#;
        let made = task(toml, value);
        assert!(made.task_id.starts_with("a-b.c."), "{}", made.task_id);
        assert_eq!(made.objective, "Qualify Ada (0.50)");
        assert_eq!(made.input.as_deref(), Some(r#"{"email":"a@b.c","name":"Ada","region":"EU"}"#));
        assert_eq!((made.input_contract.as_deref(), made.kind.as_deref()), (Some("lead"), Some("sales")));
        assert_eq!((made.priority, made.deadline), (7, Some(1_893_553_445_000)));
        assert_eq!((made.agents, made.labels["region"].as_str()), (vec!["Scorer".to_owned()], "EU"));
        assert_eq!((made.submitted_at, made.submitted_by.as_deref()), (Some(1_700_000_000_000), Some("sources/leads")));
    }

    #[test]
    fn without_an_id_the_place_of_the_record_is_it_and_all_of_the_value_the_input() {
        let made = task("objective = \"x\"", "[1, 2]");
        assert_eq!((made.task_id.as_str(), made.input.as_deref()), ("crm.leads-2-40", Some("[1, 2]")));
    }

    #[test]
    fn all_that_does_not_fit_is_named_at_once() {
        let toml = "objective = \"{/a} {/b}\"\ninput = \"/c\"\ndeadline = \"/d\"\nlabels = { l = \"{/e}\" }";
        let said = refusal(toml, r#"{"a":null,"b":{},"d":"soon","e":[]}"#);
        for part in [
            "INVALID: objective: /a is null",
            "objective: /b is an object",
            "labels.l: /e is a list",
            "input: /c is not there",
            "deadline: /d is neither",
        ] {
            assert!(said.contains(part), "{part} is not in {said}");
        }
    }

    #[test]
    fn an_id_that_is_none_is_a_matter_of_the_id() {
        let toml = "objective = \"x\"\nid = \"/id\"";
        for (value, why) in [("{}", "is not there"), (r#"{"id":""}"#, "is empty"), (r#"{"id":{}}"#, "an object")] {
            let said = refusal(toml, value);
            assert!(said.starts_with("ID: id: /id ") && said.contains(why), "{said}");
        }
        assert_eq!(task(toml, r#"{"id":17}"#).task_id, "17");
    }

    #[test]
    fn what_a_task_may_not_hold_is_refused_where_it_comes_from() {
        let said = refusal("objective = \"x\"", &format!("[\"{}\"]", "y".repeat(1_000)));
        assert!(said.starts_with("TOO_LARGE: input: 1004 bytes"), "{said}");
    }

    #[test]
    fn a_tombstone_is_skipped() {
        let (mut made, gone) = (Vec::new(), Tailed { value: None, ..record("") });
        assert_eq!(recipe("objective = \"x\"").judge(&gone, 0, &mut made), Ok(Made::Skipped));
        assert!(made.is_empty());
    }

    #[test]
    fn a_task_lies_at_home_and_says_where_it_comes_from() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut given = record("{}");
        given.headers.push(("traceparent".to_owned(), Some(trace.as_bytes().to_vec())));
        let mut made = Vec::new();
        assert_eq!(recipe("objective = \"x\"").judge(&given, 3, &mut made), Ok(Made::Task));
        let header = |name: &str| {
            let found = made[0].headers.iter().find(|(known, _)| known == name);
            found.and_then(|(_, value)| String::from_utf8(value.clone()?).ok()).unwrap_or_default()
        };
        assert_eq!(header("baton.source"), "crm.leads/2/40");
        assert_eq!((header("traceparent").as_str(), header("ce_type")), (trace, "io.baton.v1.TaskSubmitted".into()));
        assert_eq!(made[0].partition, crate::contract::home_partition("crm.leads-2-40", 6));
        assert_eq!((&*made[0].topic, made[0].origin), ("baton.tasks", 3));
    }
}
