//! A sample agent's file: its definition, as `baton agents register` takes it, and the parameters of its work.
//!
//! One convenience: a contract may be written as the JSON Schema it is, not only as text that holds one.

use super::work::Work;
use crate::agent::definition::key_of;
use crate::agent::{AgentDefinition, definition};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// Work that takes longer than this is a mistake in the file.
const LONGEST: u64 = 60_000;

/// An agent that can be run.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleAgent {
    pub definition: AgentDefinition,
    pub work: Work,
    /// How long it takes for its work, so that one can watch.
    pub takes: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    definition: Value,
    work: Value,
}

impl SampleAgent {
    /// Reads one file.
    ///
    /// # Errors
    /// All that is wrong with it, each fault as `FILE: what; remedy`.
    pub fn read(file: &str, text: &str) -> Result<Self, Vec<String>> {
        let parsed: File = serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
            vec![format!("{file}:{}: {error}; give {{\"definition\": {{…}}, \"work\": {{…}}}}", error.line())]
        })?;
        let mut faults = Vec::new();
        let definition =
            read_definition(parsed.definition).map_err(|fault| faults.push(format!("definition: {fault}")));
        let work = read_work(parsed.work).map_err(|found| faults.extend(found));
        match (definition, work) {
            (Ok(definition), Ok((work, takes))) => Ok(Self { definition, work, takes }),
            _ => Err(faults.into_iter().map(|fault| format!("{file}: {fault}")).collect()),
        }
    }

    /// How many assignments it works on at a time.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        self.definition.max_concurrency.and_then(|most| usize::try_from(most).ok()).unwrap_or(1)
    }
}

fn read_definition(mut value: Value) -> Result<AgentDefinition, String> {
    for side in ["input", "output"] {
        if let Some(contract) = value.pointer_mut(&format!("/{side}/contract")).filter(|it| it.is_object()) {
            *contract = Value::String(contract.to_string());
        }
    }
    let read = definition(&value.to_string()).map_err(|error| error.to_string())?;
    if read.endpoint.is_some() {
        return Err("endpoint: a sample agent works inside this process; leave it out".to_owned());
    }
    key_of(&read).map_err(|faults| faults.join("; "))?;
    Ok(read)
}

fn read_work(mut value: Value) -> Result<(Work, Duration), Vec<String>> {
    let millis = match value.as_object_mut().and_then(|fields| fields.remove("millis")) {
        None => 0,
        Some(given) => given
            .as_u64()
            .filter(|millis| *millis <= LONGEST)
            .ok_or_else(|| vec![format!("work.millis: must be a whole number from 0 to {LONGEST}, and is {given}")])?,
    };
    let work: Work = serde_json::from_value(value).map_err(|error| vec![format!("work: {error}")])?;
    let faults = work.faults();
    if faults.is_empty() { Ok((work, Duration::from_millis(millis))) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = r#"{
        "definition": {
            "agentName": "Sender", "description": "Sends.",
            "input": { "format": "application/json", "contract": { "type": "object", "required": ["emails"] } }
        },
        "work": { "kind": "send", "millis": 5, "mostPerLead": 2, "blockedDomains": [] }
    }"#;

    #[test]
    fn a_contract_may_be_written_as_the_schema_it_is() {
        let agent = SampleAgent::read("f", SOUND).unwrap();
        assert_eq!(agent.definition.input.contract, r#"{"required":["emails"],"type":"object"}"#);
        assert_eq!((agent.takes, agent.concurrency()), (Duration::from_millis(5), 1));
    }

    #[test]
    fn what_is_wrong_is_said_with_the_file_and_the_field() {
        let told = |from: &str, to: &str| SampleAgent::read("a.json", &SOUND.replace(from, to)).unwrap_err().join("\n");
        assert!(told("\"work\"", "\"wrok\"").contains("a.json:6: unknown field `wrok`"), "{}", told("work", "wrok"));
        assert!(told("\"Sends.\"", "\"\"").contains("a.json: definition: "), "{}", told("\"Sends.\"", "\"\""));
        assert!(told("\"description\"", "\"descripton\"").contains("descripton: unknown field"));
        assert!(told("\"object\"", "7").contains("input.contract"), "{}", told("\"object\"", "7"));
        assert!(told("\"send\"", "\"fly\"").contains("a.json: work: unknown variant `fly`"));
        assert!(told("\"millis\": 5", "\"millis\": -5").contains("work.millis"));
        let both = SOUND.replace("\"Sends.\"", "\"\"").replace("\"mostPerLead\": 2", "\"mostPerLead\": 0");
        assert_eq!(SampleAgent::read("a.json", &both).unwrap_err().len(), 2);
    }
}
