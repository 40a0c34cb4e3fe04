//! From arguments and JSON lines to tasks that are known to be sound.
//!
//! A line goes out byte for byte as it came in, with what the flags add put in front: numbers and payloads are not
//! rewritten.

use crate::cli::args::SubmitArgs;
use crate::cli::context::WrongUse;
use crate::cli::fresh::{new_id, now_millis};
use crate::contract::{Codec, IngressLimits, RawRecord, Undecided};
use crate::workflow::Task;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// A task that is known to be sound.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) task_id: String,
    pub(super) json: String,
    /// Whether the id was given, and so may have been used before.
    pub(super) given: bool,
}

#[derive(Debug, Default)]
pub(super) struct Drafts {
    pub(super) drafts: Vec<Draft>,
    /// Each naming where it was found.
    pub(super) faults: Vec<String>,
}

/// All tasks given, and all that is wrong with them.
///
/// # Errors
/// Flags that make no sense, a file that cannot be read.
pub(super) fn collect(args: &SubmitArgs, payload_bytes: usize) -> anyhow::Result<Drafts> {
    let added = fields_of_flags(args)?;
    let mut checker = Checker::new(added, payload_bytes);
    match (&args.objective, &args.file) {
        (Some(objective), _) if objective != "-" => {
            let mut task = json!({ "objective": objective });
            if let Some(id) = &args.id {
                task["taskId"] = json!(id);
            }
            checker.take("the arguments", &task.to_string());
        }
        (_, Some(path)) if path != Path::new("-") => {
            let unreadable = |error| WrongUse(format!("--file {}: {error}; give a readable file", path.display()));
            let file = std::fs::File::open(path).map_err(unreadable)?;
            checker.lines(&path.display().to_string(), file).map_err(unreadable)?;
        }
        _ => {
            let unreadable = |error| WrongUse(format!("standard input: {error}; give JSON lines in UTF-8"));
            checker.lines("standard input", std::io::stdin().lock()).map_err(unreadable)?;
        }
    }
    Ok(checker.found)
}

/// One task as a file has it, in JSON.
///
/// # Errors
/// What is wrong with it.
pub(in crate::cli) fn task_of(json: &str, payload_bytes: usize) -> Result<Task, String> {
    Checker::new(Map::new(), payload_bytes).judge(json.trim_start_matches('\u{feff}').trim())
}

/// What the flags say of every task, as fields of a record.
fn fields_of_flags(args: &SubmitArgs) -> Result<Map<String, Value>, WrongUse> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value);
        }
    };
    // JSON as it is; anything else is text.
    put("input", args.input.as_ref().map(|text| serde_json::from_str(text).unwrap_or_else(|_| json!(text))));
    put("inputContract", args.input_contract.as_ref().map(|contract| json!(contract)));
    put("mode", args.mode.map(|mode| json!(mode.symbol())));
    put("agents", (!args.agents.is_empty()).then(|| json!(args.agents)));
    put("deadline", args.deadline.as_deref().map(deadline).transpose()?);
    put("priority", args.priority.map(|priority| json!(priority)));
    put("correlationId", args.correlation_id.as_ref().map(|id| json!(id)));
    let mut labels = Map::new();
    for label in &args.labels {
        let (key, value) = label
            .split_once('=')
            .ok_or_else(|| WrongUse(format!("--label {label}: has no value; write --label key=value")))?;
        labels.insert(key.to_owned(), json!(value));
    }
    put("labels", (!labels.is_empty()).then_some(Value::Object(labels)));
    Ok(fields)
}

fn deadline(text: &str) -> Result<Value, WrongUse> {
    if let Ok(duration) = humantime::parse_duration(text) {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        return Ok(json!(now_millis().saturating_add(millis)));
    }
    match time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339) {
        Ok(_) => Ok(json!(text)),
        Err(_) => Err(WrongUse(format!(
            "--deadline {text}: is neither a duration such as 10m nor a time such as 2026-01-31T12:00:00Z"
        ))),
    }
}

struct Checker {
    codec: Codec,
    limits: IngressLimits,
    added: Map<String, Value>,
    /// Where each id was seen first.
    seen: BTreeMap<String, String>,
    found: Drafts,
}

impl Checker {
    fn new(added: Map<String, Value>, payload_bytes: usize) -> Self {
        Self {
            codec: Codec::new("baton", [], std::sync::Arc::default()),
            limits: IngressLimits { payload_bytes },
            added,
            seen: BTreeMap::new(),
            found: Drafts::default(),
        }
    }

    fn lines(&mut self, name: &str, from: impl Read) -> std::io::Result<()> {
        for (index, line) in BufReader::new(from).lines().enumerate() {
            let line = line?;
            // A byte order mark is what some editors begin a file with.
            let line = line.trim_start_matches('\u{feff}').trim();
            if !line.is_empty() {
                self.take(&format!("{name}, line {}", index + 1), line);
            }
        }
        Ok(())
    }

    fn take(&mut self, place: &str, line: &str) {
        let given = match serde_json::from_str::<BTreeMap<String, &RawValue>>(line) {
            Ok(given) => given,
            Err(error) => {
                let column = error.column();
                self.found.faults.push(format!("{place}: is no JSON object (column {column}: {error})"));
                return;
            }
        };
        let mut added: Map<String, Value> = self
            .added
            .iter()
            .filter(|(name, _)| !given.contains_key(*name))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        let has_id = given.contains_key("taskId");
        if !has_id {
            added.insert("taskId".to_owned(), json!(new_id('t')));
        }
        let json = with_fields(line, &added, given.is_empty());
        match self.judge(&json) {
            Ok(Task { id: task_id, .. }) => match self.seen.insert(task_id.clone(), place.to_owned()) {
                Some(first) => self.found.faults.push(format!(
                    "{place}: taskId: {task_id:?} is also that of {first}; give each task its own, or none"
                )),
                None => self.found.drafts.push(Draft { task_id, json, given: has_id }),
            },
            Err(problem) => self.found.faults.push(format!("{place}: {problem}")),
        }
    }

    fn judge(&self, json: &str) -> Result<Task, String> {
        let raw = RawRecord {
            topic: "baton.tasks",
            partition: 0,
            offset: 0,
            timestamp_ms: 0,
            key: None,
            value: Some(json.as_bytes()),
            arrived: None,
        };
        let ingress = self.codec.decode_task(&raw).map_err(|undecided| match undecided {
            Undecided::Refused(refusal) => refusal.detail,
            Undecided::NeedsSchema(id) => format!("needs the schema {id}"),
        })?;
        let (task, _) = ingress.draft.check(&self.limits).map_err(|refusal| refusal.detail)?;
        Ok(Task { id: ingress.task_id, ..task })
    }
}

/// The object with fields put in front of its own.
fn with_fields(object: &str, added: &Map<String, Value>, is_empty: bool) -> String {
    if added.is_empty() {
        return object.to_owned();
    }
    let added = Value::Object(added.clone()).to_string();
    let inner = added.trim_end_matches('}');
    // An inner object at the end would lose its own brace with the outer one.
    let inner = if added.len() - inner.len() > 1 { &added[..added.len() - 1] } else { inner };
    let comma = if is_empty { "" } else { "," };
    let rest = object.trim_start().strip_prefix('{').unwrap_or(object);
    format!("{inner}{comma}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(lines: &str, added: Value) -> Drafts {
        let Value::Object(added) = added else { panic!("fields") };
        let mut checker = Checker::new(added, 100);
        checker.lines("f", lines.as_bytes()).unwrap();
        checker.found
    }

    #[test]
    fn a_line_goes_out_as_it_came_in() {
        let line = r#"{"taskId":"a","objective":"x","input":{"n":1.000000000000000000001}}"#;
        assert_eq!(
            checked(line, json!({})).drafts,
            [Draft { task_id: "a".to_owned(), json: line.to_owned(), given: true }]
        );
    }

    #[test]
    fn flags_fill_in_what_a_line_leaves_out() {
        let found = checked(
            "{\"taskId\":\"a\",\"objective\":\"x\",\"priority\":9}\n\n{\"taskId\":\"b\",\"objective\":\"y\"}",
            json!({ "priority": 1, "labels": { "k": "v" } }),
        );
        assert!(found.faults.is_empty(), "{:?}", found.faults);
        let tasks: Vec<Value> = found.drafts.iter().map(|draft| serde_json::from_str(&draft.json).unwrap()).collect();
        assert_eq!(tasks[0], json!({ "taskId": "a", "objective": "x", "priority": 9, "labels": { "k": "v" } }));
        assert_eq!(tasks[1]["priority"], 1);
    }

    #[test]
    fn a_task_without_an_id_gets_one_of_its_own() {
        let found = checked("{\"objective\":\"x\"}\n{\"objective\":\"x\"}", json!({}));
        assert_eq!(found.drafts.len(), 2);
        assert_ne!(found.drafts[0].task_id, found.drafts[1].task_id);
    }

    #[test]
    fn all_faults_are_found_with_their_lines() {
        let lines = [
            "{\"objective\":\"fine\",\"taskId\":\"a\"}",
            "{\"objective\":\"\"}",
            "not json",
            "{\"objective\":\"x\",\"prority\":1}",
            "{\"objective\":\"x\",\"taskId\":\"a\"}",
            "{\"objective\":\"x\",\"taskId\":\"no spaces\"}",
            "{}",
        ];
        let found = checked(&lines.join("\n"), json!({}));
        let places: Vec<_> = found.faults.iter().map(|fault| fault.split(':').next().unwrap()).collect();
        assert_eq!(places, ["f, line 2", "f, line 3", "f, line 4", "f, line 5", "f, line 6", "f, line 7"]);
        assert!(found.faults[2].contains("prority"), "{}", found.faults[2]);
        assert!(found.faults[3].contains("line 1"), "{}", found.faults[3]);
    }

    #[test]
    fn an_input_over_the_limit_is_refused_here_already() {
        let line = format!("{{\"objective\":\"x\",\"input\":\"{}\"}}", "a".repeat(101));
        assert!(checked(&line, json!({})).faults[0].contains("101 bytes"));
    }

    #[test]
    fn a_deadline_is_a_duration_or_a_moment() {
        assert!(deadline("10m").unwrap().as_i64().is_some_and(|millis| millis > now_millis()));
        assert_eq!(deadline("2026-01-31T12:00:00Z").unwrap(), json!("2026-01-31T12:00:00Z"));
        assert!(deadline("tomorrow").is_err());
    }
}
