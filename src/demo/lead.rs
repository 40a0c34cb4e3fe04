//! A lead: one line of `leads.jsonl`, checked, and the task made of it.

use crate::contract::check_task_id;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Leads of one file at most: the demo holds them in memory.
const MOST: usize = 10_000;
/// What every lead has to have, as texts that are not blank.
const REQUIRED: [&str; 5] = ["company_name", "email", "job_title", "lead_source", "name"];
/// What may be left out, and must be a text if it is there. Other fields are the user's own and are passed on.
const TEXTS: [&str; 3] = ["company_website", "country", "project_description"];

/// A sound lead.
#[derive(Clone, Debug, PartialEq)]
pub struct Lead {
    /// The task's id: the field `id`, else made of the line.
    pub id: String,
    pub company: String,
    /// Every field as it was given.
    pub fields: Map<String, Value>,
}

impl Lead {
    /// All leads of a file of JSON lines, or all that is wrong with it: `FILE:LINE: FIELD: what; remedy`.
    ///
    /// # Errors
    /// Every fault of every line.
    pub fn read_all(file: &str, text: &str) -> Result<Vec<Self>, Vec<String>> {
        let (mut leads, mut faults) = (Vec::new(), Vec::new());
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            if line.trim().is_empty() {
                continue;
            }
            match Self::read(number, line) {
                Ok(lead) => {
                    if let Some(first) = seen.insert(lead.id.clone(), number) {
                        faults
                            .push(format!("{file}:{number}: id: `{}` is that of line {first}; give another", lead.id));
                    }
                    leads.push(lead);
                }
                Err(found) => faults.extend(found.into_iter().map(|fault| format!("{file}:{number}: {fault}"))),
            }
        }
        if leads.is_empty() && faults.is_empty() {
            faults.push(format!("{file}: holds no lead; give one JSON object per line"));
        }
        if leads.len() > MOST {
            faults.push(format!("{file}: holds {} leads; keep at most {MOST}", leads.len()));
        }
        if faults.is_empty() { Ok(leads) } else { Err(faults) }
    }

    fn read(number: usize, line: &str) -> Result<Self, Vec<String>> {
        let fields: Map<String, Value> = match serde_json::from_str(line) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) => return Err(vec!["is no object; write {\"company_name\": …}".to_owned()]),
            Err(error) => return Err(vec![format!("is no JSON (column {}: {error})", error.column())]),
        };
        let mut faults = Vec::new();
        for name in REQUIRED {
            match fields.get(name) {
                None | Some(Value::Null) => faults.push(format!("{name}: is missing; give a text")),
                Some(Value::String(text)) if text.trim().is_empty() => {
                    faults.push(format!("{name}: is empty; give a text"));
                }
                Some(Value::String(_)) => {}
                Some(other) => faults.push(not_a(name, "text", other)),
            }
        }
        for name in TEXTS {
            if let Some(other) = fields.get(name).filter(|value| !value.is_string() && !value.is_null()) {
                faults.push(not_a(name, "text", other));
            }
        }
        if let Some(other) = fields.get("employees").filter(|value| value.as_u64().is_none() && !value.is_null()) {
            faults.push(not_a("employees", "whole number of 0 or more", other));
        }
        if let Some(other) = fields.get("consent").filter(|value| !value.is_boolean() && !value.is_null()) {
            faults.push(not_a("consent", "true or false", other));
        }
        let id = match fields.get("id") {
            None | Some(Value::Null) => format!("lead-{number:03}"),
            Some(Value::String(id)) => id.clone(),
            Some(other) => {
                faults.push(not_a("id", "text", other));
                String::new()
            }
        };
        if let Some(fault) = check_task_id(&id).err().filter(|_| !id.is_empty()) {
            faults.push(format!("id: {fault}"));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let company = fields["company_name"].as_str().unwrap_or_default().to_owned();
        Ok(Self { id, company, fields })
    }

    /// The first `count` leads, from the beginning again where there are fewer; repeated ones have ids of their own.
    #[must_use]
    pub fn take(leads: &[Self], count: usize) -> Vec<Self> {
        let again = |(index, lead): (usize, &Self)| {
            let round = index / leads.len() + 1;
            let id = if round == 1 { lead.id.clone() } else { format!("{}-{round}", lead.id) };
            Self { id, ..lead.clone() }
        };
        leads.iter().cycle().take(count).enumerate().map(again).collect()
    }

    /// The task as JSON: what is wanted, in words that name the lead's own, and the lead itself as the input.
    #[must_use]
    pub fn task(&self, deadline_ms: i64) -> Value {
        let wish = self.fields.get("project_description").and_then(Value::as_str).unwrap_or("nothing is known yet");
        json!({
            "taskId": self.id,
            "type": "sales-lead",
            "objective": format!("Make a customer of {}: {wish}", self.company),
            "input": self.fields,
            "inputContract": "lead",
            "deadline": deadline_ms,
            "labels": { "company": self.company },
        })
    }
}

fn not_a(name: &str, what: &str, value: &Value) -> String {
    let shown: String = value.to_string().chars().take(40).collect();
    let article = if what.starts_with("true") { "" } else { "a " };
    format!("{name}: must be {article}{what}, and is {shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str =
        r#"{"company_name":"Acorn","email":"a@b.example.com","job_title":"CTO","lead_source":"referral","name":"A"}"#;

    #[test]
    fn all_faults_come_at_once_with_line_and_field() {
        let text = format!(
            "{SOUND}\n\n{}\n{}\nnothing\n[]\n",
            SOUND.replace("\"Acorn\"", "7").replace("\"CTO\"", "\" \""),
            SOUND.replace("\"name\":\"A\"", "\"employees\":-1,\"consent\":\"yes\""),
        );
        let faults = Lead::read_all("leads.jsonl", &text).unwrap_err();
        let expected = [
            "leads.jsonl:3: company_name: must be a text, and is 7",
            "leads.jsonl:3: job_title: is empty; give a text",
            "leads.jsonl:4: name: is missing; give a text",
            "leads.jsonl:4: employees: must be a whole number of 0 or more, and is -1",
            "leads.jsonl:4: consent: must be true or false, and is \"yes\"",
        ];
        assert_eq!(faults[..5], expected);
        assert!(faults[5].starts_with("leads.jsonl:5: is no JSON (column"), "{}", faults[5]);
        assert!(faults[6].starts_with("leads.jsonl:6: is no object"), "{}", faults[6]);
    }

    #[test]
    fn an_id_is_made_of_the_line_and_none_is_given_twice() {
        let leads = Lead::read_all("f", &format!("{SOUND}\n{SOUND}")).unwrap();
        assert_eq!([&*leads[0].id, &*leads[1].id], ["lead-001", "lead-002"]);
        let given = SOUND.replacen('{', "{\"id\":\"x\",", 1);
        assert!(Lead::read_all("f", &format!("{given}\n{given}")).unwrap_err()[0].contains("f:2: id: `x`"));
        assert!(Lead::read_all("f", &given.replace("\"x\"", "\"no spaces\"")).unwrap_err()[0].contains("f:1: id:"));
        assert!(Lead::read_all("f", "\n").unwrap_err()[0].contains("holds no lead"));
    }

    #[test]
    fn more_tasks_than_leads_repeat_them_under_ids_of_their_own() {
        let leads = Lead::read_all("f", &format!("{SOUND}\n{SOUND}")).unwrap();
        let ids: Vec<_> = Lead::take(&leads, 5).into_iter().map(|lead| lead.id).collect();
        assert_eq!(ids, ["lead-001", "lead-002", "lead-001-2", "lead-002-2", "lead-001-3"]);
    }

    #[test]
    fn fields_of_the_users_own_are_passed_on() {
        let leads = Lead::read_all("f", &SOUND.replacen('{', "{\"favourite_colour\":\"green\",", 1)).unwrap();
        assert_eq!(leads[0].task(0)["input"]["favourite_colour"], "green");
    }
}
