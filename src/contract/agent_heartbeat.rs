//! `AgentHeartbeat` on the wire: a sign of life of one instance of an agent.

use super::schema::{RecordKind, WireRecord};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentHeartbeat {
    pub agent_name: String,
    #[serde(default)]
    pub instance: String,
    #[serde(default)]
    pub version: String,
    #[serde(default)]
    pub in_flight: i32,
    /// 0 = not said.
    #[serde(default)]
    pub capacity: i32,
    /// The agent's clock; 0 = the record's time.
    #[serde(default)]
    pub time: i64,
}

impl WireRecord for AgentHeartbeat {
    const KIND: RecordKind = RecordKind::AgentHeartbeat;
}
