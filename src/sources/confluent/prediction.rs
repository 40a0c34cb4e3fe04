//! What the connectors of Confluent's example read: `{lead_data, context, agent_name}`, with a null key.

use super::super::writer::traceparent;
use super::lead::Lead;
use super::open::Hop;
use crate::contract::{Assignment, CE_ID, CONTENT_TYPE, TRACEPARENT, wire};
use crate::kafka::relay::Outgoing;
use crate::kafka::tail::Tailed;
use serde_json::{Value, json};
use std::sync::Arc;

/// For people and tools; its agents do not see them.
const TASK: &str = "baton.task";
const ASSIGNMENT: &str = "baton.assignment";
/// The client chooses: no order is promised where keys are null.
const ANY_PARTITION: i32 = -1;

/// What an assignment gives its agent to work on.
pub(super) struct Given<'a> {
    /// The task's own input.
    pub(super) lead: &'a str,
    /// What the agent before it produced; none on the first hop.
    pub(super) context: Option<&'a str>,
}

pub(super) fn given(assignment: &Assignment) -> Given<'_> {
    let input = assignment.input.as_deref();
    match assignment.context.iter().find(|item| item.step_id.is_empty()) {
        Some(task) => Given { lead: &task.output, context: input },
        None => Given { lead: input.unwrap_or("null"), context: None },
    }
}

#[allow(clippy::too_many_arguments, reason = "what a prediction is made of, each once")]
pub(super) fn record(
    topic: &Arc<str>,
    schema: Option<u32>,
    lead: &Lead,
    given: &Given<'_>,
    agent: &str,
    link: Option<(&str, &str)>,
    from: &Tailed,
    hop: &Hop,
    origin: usize,
) -> Outgoing {
    let mut lead_data: Value = serde_json::from_str(&lead.text).expect("it was written from a value");
    if let Some((field, assignment_id)) = link {
        lead_data[field] = assignment_id.into();
    }
    let body = json!({ "lead_data": lead_data, "context": given.context, "agent_name": agent }).to_string();
    let text = |text: &str| Some(text.as_bytes().to_vec());
    let mut headers = vec![
        (CE_ID.into(), text(&hop.assignment_id)),
        (TASK.into(), text(&hop.task_id)),
        (ASSIGNMENT.into(), text(&hop.assignment_id)),
        (CONTENT_TYPE.into(), text("application/json")),
    ];
    headers.extend(traceparent(from).map(|trace| (TRACEPARENT.into(), text(trace))));
    Outgoing {
        topic: Arc::clone(topic),
        partition: ANY_PARTITION,
        key: None,
        value: Some(schema.map_or_else(|| body.clone().into_bytes(), |id| wire::frame(id, body.as_bytes()))),
        headers,
        timestamp: None,
        origin,
    }
}
