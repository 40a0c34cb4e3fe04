//! What an agent answers to an assignment it was handed: an `AgentReport` in JSON whose ids may be left out, for they are
//! those of the question.

use super::json_in::{Members, normalise};
use super::refusal::{Fault, Reason, Refusal};
use super::schema::RecordKind;
use super::{AgentReport, Assignment};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

impl AgentReport {
    /// As strict as JSON ingress: unknown fields are refused by name. Ids that are given must be the assignment's.
    ///
    /// # Errors
    ///
    /// All that is wrong with it.
    pub fn from_answer(json: &[u8], assignment: &Assignment) -> Result<Self, Refusal> {
        let mut members = Members::parse(json)
            .map_err(|error| Refusal::new(Reason::Undecodable, format!("not a JSON object: {error}")))?;
        let ids = [
            ("taskId", &assignment.task_id),
            ("assignmentId", &assignment.assignment_id),
            ("agentName", &assignment.agent_name),
        ];
        let raw = ids.map(|(name, id)| (name, to_raw_value(id).expect("text has a form in JSON")));
        for (name, id) in &raw {
            members.give(name, id);
        }
        let value = normalise(RecordKind::AgentReport, &members).map_err(|faults| Refusal::of_faults(&faults))?;
        // The walk checked every type, so this only fails if struct and schema differ.
        let mut report = Self::deserialize(value)
            .map_err(|error| Refusal::new(Reason::Invalid, format!("not a report: {error}")))?;
        let mut faults = Vec::new();
        let given = [&report.task_id, &report.assignment_id, &report.agent_name];
        for ((name, id), given) in ids.iter().zip(given) {
            let same = if *name == "agentName" { given.trim().eq_ignore_ascii_case(id) } else { given == *id };
            if !same {
                faults.push(Fault::new(*name, format!("not the assignment's {id:?}; give that, or leave it out")));
            }
        }
        if !faults.is_empty() {
            return Err(Refusal::of_faults(&faults));
        }
        report.agent_name.clone_from(&assignment.agent_name);
        Ok(report)
    }
}

impl<'a> Members<'a> {
    /// Puts in what was left out, or given as null.
    fn give(&mut self, name: &str, value: &'a RawValue) {
        match self.0.iter_mut().find(|(given, _)| given == name) {
            None => self.0.push((name.to_owned(), value)),
            Some((_, given)) if given.get() == "null" => *given = value,
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{ErrorClass, ReportStatus};

    fn answer(json: &str) -> Result<AgentReport, String> {
        let assignment = Assignment {
            task_id: "t".to_owned(),
            assignment_id: "t~0-1~1~1".to_owned(),
            agent_name: "Word Counter".to_owned(),
            ..Assignment::default()
        };
        AgentReport::from_answer(json.as_bytes(), &assignment).map_err(|refusal| refusal.detail)
    }

    #[test]
    fn a_status_and_an_output_are_enough() {
        let report = answer(r#"{"status":"succeeded","output":{"words": 3},"taskId":null}"#).unwrap();
        assert_eq!((&*report.task_id, &*report.assignment_id, &*report.agent_name), ("t", "t~0-1~1~1", "Word Counter"));
        assert_eq!((report.status, report.output.as_deref()), (ReportStatus::Succeeded, Some(r#"{"words": 3}"#)));
        let failed =
            answer(r#"{"status":"FAILED","error":{"class":"AUTH","message":"no"},"agentName":"word counter"}"#);
        assert_eq!(failed.unwrap().error.unwrap().class, ErrorClass::Auth);
    }

    #[test]
    fn what_is_no_report_is_refused_with_all_that_is_wrong() {
        for (json, words) in [
            ("<html>", "not a JSON object"),
            ("[]", "not a JSON object"),
            (r#"{"output":1}"#, "status: missing"),
            (r#"{"status":"DONE"}"#, "one of ACCEPTED"),
            (r#"{"status":"SUCCEEDED","result":1}"#, "result: unknown field"),
            (r#"{"status":"SUCCEEDED","assignmentId":"t~0-1~1~2"}"#, "not the assignment's"),
        ] {
            let refused = answer(json).unwrap_err();
            assert!(refused.contains(words), "{json}: {refused}");
        }
    }
}
