//! A plan in a model's words. Read leniently where nothing can be meant but one thing: prose and fences around the object,
//! names in another case, ids with characters that ids do not have. A name that was not offered stays as it is, so that the
//! plan is rejected with it.

use super::super::question::{Invalid, invalid, objects_with, within};
use super::super::text::line;
use crate::workflow::PlannedStep;
use serde_json::{Map, Value};

/// A step's id is at most 64 long, and gets a prefix where a plan is written anew.
const ID_CAP: usize = 48;
const NAME_CAP: usize = 100;
/// Faults told to the model at once.
const MAX_FAULTS: usize = 10;

/// The steps of the one plan in `text`, or what is wrong with its form; `valid` are the names that were offered.
pub(super) fn steps(text: &str, valid: &[String]) -> Result<Vec<PlannedStep>, Invalid> {
    let text = within(text)?;
    let object = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(object)) => object,
        _ => match objects_with(text, "steps").as_slice() {
            [] => return invalid("not_json", "it held no JSON object with \"steps\""),
            [first, rest @ ..] if rest.iter().all(|other| other.get("steps") == first.get("steps")) => first.clone(),
            _ => return invalid("ambiguous", "it held several JSON objects with different \"steps\""),
        },
    };
    let Some(Value::Array(written)) = object.get("steps") else {
        return invalid("missing_steps", "\"steps\" was missing or not a list");
    };
    let mut faults = Vec::new();
    let steps = written.iter().enumerate().map(|(place, step)| {
        let fault = |what: &str| faults.push(format!("steps[{place}]{what}"));
        read(step, valid, fault)
    });
    let steps: Vec<PlannedStep> = steps.collect();
    if faults.is_empty() {
        return Ok(steps);
    }
    faults.truncate(MAX_FAULTS);
    invalid("bad_step", faults.join("; "))
}

fn read(step: &Value, valid: &[String], mut fault: impl FnMut(&str)) -> PlannedStep {
    let Value::Object(step) = step else {
        fault(" was not an object");
        return PlannedStep::default();
    };
    let step_id = step.get("stepId").and_then(id).unwrap_or_else(|| {
        fault(".stepId was missing, or no short word");
        String::new()
    });
    let objective = match step.get("objective") {
        Some(Value::String(objective)) if !objective.trim().is_empty() => objective.trim().to_owned(),
        _ => {
            fault(".objective was missing, empty or not a string");
            String::new()
        }
    };
    let depends_on = match step.get("dependsOn") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(ids)) if ids.iter().all(|before| id(before).is_some()) => ids.iter().filter_map(id).collect(),
        Some(_) => {
            fault(".dependsOn was not a list of stepIds");
            Vec::new()
        }
    };
    let agent_name = text(step, "agentName", &mut fault).map(|name| known(&name, valid));
    // Who is named is named, whatever it can do: beside a name a capability could only leave nobody to choose.
    let capability = text(step, "capability", &mut fault).filter(|_| agent_name.is_none());
    PlannedStep { step_id, objective, depends_on, agent_name, capability, ..PlannedStep::default() }
}

/// An id as ids are written; the same id gives the same everywhere in the plan.
fn id(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let fits = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
    let id: String = text.chars().map(|character| if fits(character) { character } else { '-' }).take(ID_CAP).collect();
    id.contains(|character: char| character.is_ascii_alphanumeric()).then_some(id)
}

/// The text of a field; none if it says that there is none.
fn text(step: &Map<String, Value>, field: &str, fault: &mut impl FnMut(&str)) -> Option<String> {
    match step.get(field) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => {
            let text = text.trim();
            (!text.is_empty() && !text.eq_ignore_ascii_case("none")).then(|| line(text, NAME_CAP))
        }
        Some(_) => {
            fault(&format!(".{field} was not a string"));
            None
        }
    }
}

/// The name as it was offered, else as it was written.
fn known(name: &str, valid: &[String]) -> String {
    let folded = name.to_lowercase();
    valid.iter().find(|valid| valid.trim().to_lowercase() == folded).cloned().unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn valid() -> Vec<String> {
        ["Agent A", "Agent AB", "NONE"].map(str::to_owned).to_vec()
    }

    fn one(step: &Value) -> Result<PlannedStep, Invalid> {
        steps(&json!({"reason": "r", "steps": [step]}).to_string(), &valid()).map(|steps| steps[0].clone())
    }

    fn verdict(text: &str) -> &'static str {
        steps(text, &valid()).map_or_else(|invalid| invalid.verdict, |_| "valid")
    }

    #[test]
    fn a_name_is_one_that_was_offered_or_stays_as_it_was_written() {
        for (name, expected) in [
            (json!(" agent ab "), Some("Agent AB")),
            (json!("Agent"), Some("Agent")),
            (json!("Agent ABC"), Some("Agent ABC")),
            (json!("Evil\u{202E}\n>>>>"), Some("Evil >> >>")),
            (json!("none"), None),
            (json!(""), None),
            (json!(null), None),
        ] {
            let step = one(&json!({"stepId": "a", "objective": "o", "dependsOn": [], "agentName": name})).unwrap();
            assert_eq!(step.agent_name.as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_capability_counts_only_where_nobody_is_named() {
        let step =
            |agent: &str| one(&json!({"stepId": "a", "objective": "o", "agentName": agent, "capability": "sums"}));
        assert_eq!(step("NONE").unwrap().capability.as_deref(), Some("sums"));
        assert_eq!(step("Agent A").unwrap().capability, None);
    }

    #[test]
    fn ids_are_made_ids_in_the_same_way_everywhere() {
        let text = json!({"steps": [
            {"stepId": " Find it! ", "objective": "o"},
            {"stepId": 2, "objective": "o", "dependsOn": ["Find it! "]},
            {"stepId": "x".repeat(500), "objective": "o", "dependsOn": [2]},
        ]});
        let steps = steps(&text.to_string(), &valid()).unwrap();
        assert_eq!(steps[1].depends_on, [steps[0].step_id.as_str()]);
        assert_eq!((steps[0].step_id.as_str(), steps[1].step_id.as_str()), ("Find-it-", "2"));
        assert_eq!((steps[2].step_id.len(), steps[2].depends_on.as_slice()), (ID_CAP, &["2".to_owned()][..]));
    }

    #[test]
    fn all_that_is_wrong_with_the_form_is_told_at_once() {
        let text = json!({"steps": [
            {"stepId": "", "objective": " ", "dependsOn": "a", "agentName": 7},
            "b",
            {"stepId": "c", "objective": "o", "dependsOn": [null]},
        ]});
        let Invalid { verdict, why } = steps(&text.to_string(), &valid()).unwrap_err();
        assert_eq!(verdict, "bad_step");
        for told in ["[0].stepId", "[0].objective", "[0].dependsOn", "[0].agentName", "[1] was", "[2].dependsOn"] {
            assert!(why.contains(told), "{told}: {why}");
        }
    }

    #[test]
    fn one_plan_is_found_in_prose_and_fences_and_no_other_text_is_one() {
        let plan = json!({"reason": "{", "steps": [{"stepId": "a", "objective": "o"}]}).to_string();
        for text in [
            plan.clone(),
            format!("```json\n{plan}\n```"),
            format!("Sure {{x}}: {plan} Bye."),
            format!("{plan} {plan}"),
        ] {
            assert_eq!(verdict(&text), "valid", "{text}");
        }
        let other = plan.replace("\"a\"", "\"b\"");
        assert_eq!(verdict(&format!("{plan} {other}")), "ambiguous");
        for (text, expected) in [
            (" ", "empty"),
            ("I would first search.", "not_json"),
            (&plan[..plan.len() - 3], "not_json"),
            ("[]", "not_json"),
            ("{\"plan\": []}", "missing_steps"),
            ("{\"steps\": {}}", "missing_steps"),
            ("{\"steps\": []}", "valid"),
        ] {
            assert_eq!(verdict(text), expected, "{text}");
        }
        assert_eq!(verdict(&"{\"steps\":[".repeat(1_000)), "not_json");
        assert_eq!(verdict(&"x".repeat(70_000)), "too_large");
    }
}
