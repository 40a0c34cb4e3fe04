//! Definitions in files: JSON, one or an array of them.

use crate::contract::{AgentDefinition, Codec, Definition, RawRecord};
use crate::selection::{Version, topic_name};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::path::PathBuf;
use std::sync::Arc;

/// One definition as a file has it.
pub(in crate::cli) struct Given {
    /// The file, and which one in it.
    pub(in crate::cli) place: String,
    pub(in crate::cli) json: String,
    /// The key it belongs under; empty where name or version cannot be read.
    pub(in crate::cli) key: String,
    /// What it says, or what is wrong with its form.
    pub(in crate::cli) definition: Result<Box<AgentDefinition>, String>,
}

/// All definitions of these files; `faults` gets the files that hold none.
pub(in crate::cli) fn read(files: &[PathBuf], faults: &mut Vec<String>) -> Vec<Given> {
    let mut all = Vec::new();
    for path in files {
        let name = path.display();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                faults.push(format!("{name}: cannot be read ({error}); give a JSON file"));
                continue;
            }
        };
        match serde_json::from_str::<OneOrMany<'_>>(text.trim_start_matches('\u{feff}')) {
            Ok(OneOrMany(many)) if many.len() == 1 => all.push(given(name.to_string(), many[0].get())),
            Ok(OneOrMany(many)) => {
                all.extend(many.iter().enumerate().map(|(i, json)| given(format!("{name}[{i}]"), json.get())));
            }
            Err(error) => faults.push(format!("{name}: {error}; give one definition, or an array of them")),
        }
    }
    all
}

fn given(place: String, json: &str) -> Given {
    let key = key_of(json);
    let definition = decode(&key, json);
    Given { place, json: json.to_owned(), key, definition }
}

/// An object, or an array of anything: what is wrong with an item is said by the contract.
struct OneOrMany<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for OneOrMany<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let whole: &RawValue = Deserialize::deserialize(deserializer)?;
        if whole.get().starts_with('[') {
            return serde_json::from_str(whole.get()).map(Self).map_err(serde::de::Error::custom);
        }
        Ok(Self(vec![whole]))
    }
}

fn key_of(json: &str) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Named {
        agent_name: String,
        #[serde(default = "first")]
        version: String,
    }
    fn first() -> String {
        "1.0.0".to_owned()
    }
    let named = serde_json::from_str::<Named>(json).ok();
    let key = |named: Named| Some(topic_name(&named.agent_name, Version::parse(&named.version)?.major));
    named.and_then(key).unwrap_or_default()
}

fn decode(key: &str, json: &str) -> Result<Box<AgentDefinition>, String> {
    // In JSON no schema is needed.
    let codec = Codec::new("", [], Arc::default());
    let raw = RawRecord {
        topic: "agents",
        partition: 0,
        offset: 0,
        timestamp_ms: 0,
        key: Some(key.as_bytes()),
        value: Some(json.as_bytes()),
        arrived: None,
    };
    match codec.decode_definition(&raw) {
        Ok(record) => match record.definition {
            Definition::Registered(definition) => Ok(definition),
            Definition::Faulty { fault, .. } => Err(fault.detail),
            Definition::Unregistered => Err("is null; give a definition".to_owned()),
        },
        Err(id) => Err(format!("needs the schema {id}; give JSON")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_one_definition_or_an_array_of_them() {
        let many = |text: &str| serde_json::from_str::<OneOrMany<'_>>(text).map(|many| many.0.len()).ok();
        assert_eq!(many("{\"agentName\":\"a\"}"), Some(1));
        assert_eq!(many("[{}, {}]"), Some(2));
        assert_eq!(many("[{}"), None);
    }

    #[test]
    fn the_key_is_the_topic_name_of_name_and_version() {
        assert_eq!(key_of("{\"agentName\":\"Lead Scorer\",\"version\":\"2.1.0\"}"), "lead-scorer.v2");
        assert_eq!(key_of("{\"agentName\":\"a\",\"version\":\"new\"}"), "");
    }
}
