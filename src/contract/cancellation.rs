//! `Cancellation` on the wire: an assignment that was open is no longer wanted.

use super::schema::{RecordKind, WireRecord};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cancellation {
    pub task_id: String,
    pub assignment_id: String,
    #[serde(default)]
    pub step_id: String,
    pub agent_name: String,
    /// Why, as a code: `accept_timeout`, `assignment_timeout`, or the reason for which the task ended.
    #[serde(default)]
    pub reason: String,
    pub at: i64,
}

impl WireRecord for Cancellation {
    const KIND: RecordKind = RecordKind::Cancellation;
}
