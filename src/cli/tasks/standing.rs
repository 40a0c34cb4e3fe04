//! How a task stands, folded from its facts in their order.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Every status there is. The rest of what a task may be is how it ended.
pub(super) const ALL: [&str; 8] =
    ["RUNNING", "PAUSED", "SUCCEEDED", "PARTIAL", "FAILED", "CANCELLED", "EXPIRED", "REJECTED"];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// When its last fact happened, in milliseconds since the epoch. None: no fact says that there is such a task.
    pub(super) at: Option<i64>,
    /// The type of the last fact that moved it.
    pub(super) last: Option<String>,
    pub(super) step: Option<String>,
    pub(super) agent: Option<String>,
    /// Why it ended, as a code.
    pub(super) reason: Option<String>,
    paused: bool,
    outcome: Option<String>,
}

impl Standing {
    /// The next fact, with its time: see [`super::facts`].
    pub(super) fn take(&mut self, fact: &Value) {
        let text = |field: &str| fact[field].as_str().map(str::to_owned);
        let detail: Value = text("detail").and_then(|detail| serde_json::from_str(&detail).ok()).unwrap_or_default();
        match fact["type"].as_str() {
            // A word that was not followed leaves a task as it was, and one that is unknown, unknown.
            Some("COMMAND_REFUSED" | "COMMAND_HELD") | None => return,
            Some("STEP_PROGRESSED") => {}
            Some("COMMAND_APPLIED") => {
                match detail["command"].as_str() {
                    Some("PAUSE") => self.paused = true,
                    Some("RESUME") => self.paused = false,
                    Some("RETRY") => (self.outcome, self.reason) = (None, None),
                    _ => {}
                }
                self.last = text("type");
            }
            Some("TASK_ENDED") => {
                self.outcome = Some(detail["outcome"].as_str().unwrap_or("ENDED").to_owned());
                (self.reason, self.paused, self.last) = (text("reason"), false, text("type"));
            }
            Some(_) => {
                self.last = text("type");
                self.step = text("stepId").or_else(|| self.step.take());
                self.agent = text("agentName").or_else(|| self.agent.take());
            }
        }
        self.at = Some(moment(&fact["at"]));
    }

    /// A completion, of which the facts may say nothing: those of a refused task never do.
    pub(super) fn complete(&mut self, completion: &Value) {
        let text = |field: &str| completion[field].as_str().map(str::to_owned);
        let at = moment(&completion["completedAt"]);
        if self.is_live() && self.at.is_none_or(|last| at >= last) {
            (self.at, self.outcome, self.reason) = (Some(at), text("outcome"), text("reason"));
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.outcome.is_none()
    }

    pub(super) fn status(&self) -> &str {
        match &self.outcome {
            Some(outcome) => outcome,
            None if self.paused => "PAUSED",
            None => "RUNNING",
        }
    }
}

/// In milliseconds since the epoch. Of the same moment there are several spellings, so that texts do not compare.
fn moment(at: &Value) -> i64 {
    let parsed = at.as_str().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    parsed.and_then(|at| i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fact(kind: &str, at: &str, detail: &Value) -> Value {
        json!({ "type": kind, "at": format!("2026-01-01T00:00:00.{at}Z"), "detail": detail.to_string() })
    }

    fn after(facts: &[Value]) -> Standing {
        let mut standing = Standing::default();
        facts.iter().for_each(|fact| standing.take(fact));
        standing
    }

    #[test]
    fn a_task_runs_pauses_ends_and_runs_again() {
        let said = |command: &str| fact("COMMAND_APPLIED", "2", &json!({ "commandId": "c", "command": command }));
        let refused = fact("COMMAND_REFUSED", "3", &json!({ "commandId": "c", "command": "PAUSE" }));
        let ended = fact("TASK_ENDED", "4", &json!({ "outcome": "FAILED" }));
        let accepted = fact("TASK_ACCEPTED", "1", &Value::Null);
        let status = |facts: &[Value]| after(facts).status().to_owned();
        assert_eq!(status(&[accepted.clone(), refused.clone()]), "RUNNING");
        assert_eq!(status(&[accepted.clone(), said("PAUSE"), refused.clone()]), "PAUSED");
        assert_eq!(status(&[accepted.clone(), said("PAUSE"), said("RESUME")]), "RUNNING");
        assert_eq!(status(&[accepted.clone(), said("PAUSE"), ended.clone(), refused]), "FAILED");
        assert_eq!(status(&[accepted, ended, said("RETRY")]), "RUNNING");
    }

    #[test]
    fn a_completion_tells_of_what_the_facts_do_not_and_an_older_one_of_nothing() {
        let completion = |at: &str| json!({ "completedAt": at, "outcome": "REJECTED", "reason": "invalid" });
        let mut refused = Standing::default();
        refused.complete(&completion("2026-01-01T00:00:00Z"));
        assert_eq!((refused.status(), refused.reason.as_deref()), ("REJECTED", Some("invalid")));
        let mut accepted = after(&[fact("TASK_ACCEPTED", "2", &Value::Null)]);
        accepted.complete(&completion("2026-01-01T00:00:00Z"));
        assert_eq!(accepted.status(), "RUNNING");
    }

    #[test]
    fn every_status_but_those_of_a_live_task_is_an_outcome() {
        use crate::contract::Outcome;
        for outcome in &ALL[2..] {
            let known: Outcome = serde_json::from_value(json!(outcome)).unwrap();
            assert_ne!(known, Outcome::Unknown, "{outcome}");
        }
    }
}
