//! Records of the two tables every worker reads whole: `agents` and `heartbeats`. They have no dead letters: a
//! bad definition stays in the table, never eligible, and is shown with its fault.

use super::codec::{Codec, RawRecord, Undecided};
use super::refusal::Refusal;
use super::{AgentDefinition, AgentHeartbeat};

/// A record of `agents`.
#[derive(Clone, Debug, PartialEq)]
pub struct DefinitionRecord {
    /// The agent's topic name, if the record is right.
    pub key: String,
    pub definition: Definition,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Definition {
    /// A null value: the agent is gone.
    Unregistered,
    Registered(Box<AgentDefinition>),
    /// Never eligible. `agent_name` as far as it can be read.
    Faulty {
        agent_name: Option<String>,
        fault: Refusal,
    },
}

impl Codec {
    /// A record of `agents`; a form that is wrong is in the answer. Whether it is a sound definition, `selection` says.
    ///
    /// # Errors
    ///
    /// The id of a schema that must be asked for first.
    pub fn decode_definition(&self, raw: &RawRecord<'_>) -> Result<DefinitionRecord, u32> {
        let key = String::from_utf8_lossy(raw.key.unwrap_or_default()).into_owned();
        if raw.value.is_none() {
            return Ok(DefinitionRecord { key, definition: Definition::Unregistered });
        }
        let read = match self.content::<AgentDefinition>(raw.value, Some("agentName")) {
            Ok(content) => content.record.map_err(|fault| (content.id.text(), fault)),
            Err(Undecided::Refused(fault)) => Err((None, fault)),
            Err(Undecided::NeedsSchema(id)) => return Err(id),
        };
        let definition = match read {
            Ok(agent) => Definition::Registered(Box::new(agent)),
            Err((agent_name, fault)) => Definition::Faulty { agent_name, fault },
        };
        Ok(DefinitionRecord { key, definition })
    }

    /// A record of `heartbeats`.
    ///
    /// # Errors
    ///
    /// Why it says nothing; a heartbeat that is refused is skipped.
    pub fn decode_heartbeat(&self, raw: &RawRecord<'_>) -> Result<AgentHeartbeat, Undecided> {
        Ok(self.content::<AgentHeartbeat>(raw.value, None)?.record?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::SchemaCache;
    use std::sync::Arc;

    fn read(key: &str, value: Option<&str>) -> Definition {
        let codec = Codec::new("baton", [], Arc::new(SchemaCache::new()));
        let raw = RawRecord {
            topic: "baton.agents",
            partition: 0,
            offset: 0,
            timestamp_ms: 0,
            key: Some(key.as_bytes()),
            value: value.map(str::as_bytes),
            arrived: None,
        };
        codec.decode_definition(&raw).unwrap().definition
    }

    fn fault(key: &str, value: &str) -> String {
        match read(key, Some(value)) {
            Definition::Faulty { fault, .. } => fault.detail,
            other => panic!("{other:?} has no fault"),
        }
    }

    #[test]
    fn a_definition_in_the_form_teams_have_them_is_registered() {
        let value = r#"{"agentName":"Credit Cards","description":"Handles cards.","capabilities":["apr"],
            "input":{"format":"text/plain","contract":"utterance"},"output":{"format":"application/json","contract":"answer"},
            "performance":{"averageLatency":"200ms","successRate":"98%","specialization":["credit cards"]}}"#;
        let Definition::Registered(agent) = read("credit-cards", Some(value)) else { panic!("registered") };
        assert_eq!((agent.version.as_str(), agent.idempotent), ("1.0.0", true));
        assert_eq!((agent.output.is_json(), agent.input.contract()), (true, Some("utterance")));
    }

    #[test]
    fn null_unregisters() {
        assert_eq!(read("credit-cards", None), Definition::Unregistered);
    }

    #[test]
    fn a_bad_definition_is_told_with_its_fault() {
        assert!(fault("a", r#"{"agentName":"a","descripton":"d"}"#).contains("descripton: unknown field"));
        assert!(fault("a", "hello").contains("send Avro or JSON"));
    }

    #[test]
    fn the_name_of_a_bad_definition_is_kept_as_far_as_it_can_be_read() {
        let name = |value: &str| match read("a", Some(value)) {
            Definition::Faulty { agent_name, .. } => agent_name,
            other => panic!("{other:?} has no fault"),
        };
        assert_eq!(name(r#"{"agentName":"a","more":1}"#).as_deref(), Some("a"));
        assert_eq!(name("hello"), None);
    }
}
