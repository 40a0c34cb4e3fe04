//! Whether a model's words name a member of the set. Never by a part of a name, never by guessing: what is not exactly one
//! member, after trimming and case folding, is a fault with words for the re-ask.

use super::Structured;
use super::prompt::Prompt;
use super::question::{Invalid, invalid, objects_with, within};
use super::text::line;
use crate::workflow::{Choice, Said};
use serde_json::{Map, Value};

/// What an answer without a confidence counts as where none can be demanded: neither sure nor unsure.
pub(super) const DEFAULT_CONFIDENCE: f64 = 0.5;

const REASON_CAP: usize = 500;

/// The valid choice in `text`, or what is wrong with it.
pub(super) fn validate(text: &str, structured: Structured, prompt: &Prompt) -> Result<Said, Invalid> {
    let text = within(text)?;
    let object = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(object)) => object,
        _ if structured == Structured::JsonSchema => return invalid("not_json", "it was not one JSON object"),
        _ => match objects_with(text, "agent").as_slice() {
            [one] => one.clone(),
            [] => return bare_name(text, structured, prompt),
            [first, rest @ ..] if rest.iter().all(|other| other.get("agent") == first.get("agent")) => first.clone(),
            _ => return invalid("ambiguous", "it held several JSON objects that name different agents"),
        },
    };
    from_object(&object, structured, prompt)
}

fn from_object(object: &Map<String, Value>, structured: Structured, prompt: &Prompt) -> Result<Said, Invalid> {
    let Some(Value::String(name)) = object.get("agent") else {
        return invalid("missing_agent", "\"agent\" was missing or not a string");
    };
    let choice = choice(name, prompt)?;
    let confidence = match object.get("confidence") {
        None | Some(Value::Null) if structured == Structured::None || !matches!(choice, Choice::Agent(_)) => {
            DEFAULT_CONFIDENCE
        }
        None | Some(Value::Null) => return invalid("missing_confidence", "\"confidence\" was missing"),
        Some(value) => match value.as_f64().filter(|number| (0.0..=1.0).contains(number)) {
            Some(number) => number,
            None => return invalid("bad_confidence", "\"confidence\" was not a number from 0 to 1"),
        },
    };
    let reason = match object.get("reason") {
        Some(Value::String(reason)) if !reason.trim().is_empty() => line(reason.trim(), REASON_CAP),
        _ => "the model gave no reason".to_owned(),
    };
    Ok(Said { choice, confidence, reason })
}

/// Where nothing was promised, the name alone is an answer: small models drop the form before they drop the name.
fn bare_name(text: &str, structured: Structured, prompt: &Prompt) -> Result<Said, Invalid> {
    let name = text.trim_matches(|quote| matches!(quote, '"' | '\'' | '`'));
    match choice(name, prompt) {
        Ok(choice) if structured == Structured::None => Ok(Said {
            choice,
            confidence: DEFAULT_CONFIDENCE,
            reason: "the model answered with the bare name".to_owned(),
        }),
        _ => invalid("not_json", "it held no JSON object with \"agent\""),
    }
}

fn choice(name: &str, prompt: &Prompt) -> Result<Choice, Invalid> {
    let folded = name.trim().to_lowercase();
    match folded.as_str() {
        "none" => return Ok(Choice::None),
        "done" if prompt.offers_done => return Ok(Choice::Done),
        "done" => return invalid("done_not_offered", "DONE is not a valid answer here"),
        _ => {}
    }
    match prompt.valid.iter().find(|valid| valid.trim().to_lowercase() == folded) {
        Some(valid) => Ok(Choice::Agent(valid.clone())),
        None => invalid("unknown_name", format!("{:?} is not one of the valid answers", line(name, 100))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::question::TEXT_CAP;
    use super::super::{Ask, Card};
    use super::*;

    fn prompt(offers_done: bool) -> Prompt {
        let card = |name: &str| Card {
            name: name.to_owned(),
            description: String::new(),
            capabilities: vec![],
            input: String::new(),
            output: String::new(),
            lately: String::new(),
        };
        let ask = Ask {
            task_id: "t".to_owned(),
            question: 1,
            objective: "o".to_owned(),
            last_output: None,
            last_agent: None,
            history: vec![],
            candidates: vec![card("Agent A"), card("Agent AB")],
            offers_done,
            deadline: tokio::time::Instant::now(),
        };
        Prompt::new(&ask, &super::super::Prompts::default().select)
    }

    fn verdict(text: &str, structured: Structured) -> String {
        match validate(text, structured, &prompt(false)) {
            Ok(said) => format!("{:?} {}", said.choice, said.confidence),
            Err(invalid) => invalid.verdict.to_owned(),
        }
    }

    #[test]
    fn only_an_exact_name_after_trim_and_case_fold_is_taken() {
        for (name, expected) in [
            ("Agent A", "Agent(\"Agent A\") 0.9"),
            (" agent ab ", "Agent(\"Agent AB\") 0.9"),
            ("none", "None 0.9"),
            ("Agent", "unknown_name"),
            ("Agent ABC", "unknown_name"),
            ("Agent  A", "unknown_name"),
            ("Agemt A", "unknown_name"),
            ("Agent A, Agent AB", "unknown_name"),
            ("", "unknown_name"),
            ("DONE", "done_not_offered"),
        ] {
            let text = serde_json::json!({"reason": "r", "agent": name, "confidence": 0.9}).to_string();
            for structured in [Structured::JsonSchema, Structured::JsonObject, Structured::None] {
                assert_eq!(verdict(&text, structured), expected, "{name:?}");
            }
        }
        let done =
            validate("{\"agent\":\"done\",\"reason\":\"r\",\"confidence\":1}", Structured::JsonSchema, &prompt(true));
        assert_eq!(done.unwrap().choice, Choice::Done);
    }

    #[test]
    fn an_object_in_fences_or_prose_is_found_only_where_no_schema_was_promised() {
        let object = "{\"reason\":\"r {x}\",\"agent\":\"Agent A\",\"confidence\":0.7}";
        for text in [
            format!("```json\n{object}\n```"),
            format!("Sure! {{not json}} Here: {object} Good luck."),
            format!("{object}\n{object}"),
        ] {
            assert_eq!(verdict(&text, Structured::JsonSchema), "not_json");
            assert_eq!(verdict(&text, Structured::JsonObject), "Agent(\"Agent A\") 0.7");
            assert_eq!(verdict(&text, Structured::None), "Agent(\"Agent A\") 0.7");
        }
        let two = format!("{object} or {}", object.replace("Agent A", "Agent AB"));
        assert_eq!(verdict(&two, Structured::None), "ambiguous");
        assert_eq!(verdict("I would take Agent A.", Structured::None), "not_json");
    }

    #[test]
    fn a_bare_name_is_an_answer_only_where_nothing_was_promised() {
        assert_eq!(verdict("`agent a`", Structured::None), "Agent(\"Agent A\") 0.5");
        assert_eq!(verdict("\"Agent AB\"", Structured::None), "Agent(\"Agent AB\") 0.5");
        assert_eq!(verdict("Agent A", Structured::JsonObject), "not_json");
        assert_eq!(verdict("Agent", Structured::None), "not_json");
    }

    #[test]
    fn confidence_is_a_number_from_0_to_1_and_may_be_missing_only_where_nobody_needs_it() {
        for (text, structured, expected) in [
            ("{\"agent\":\"Agent A\"}", Structured::JsonSchema, "missing_confidence"),
            ("{\"agent\":\"Agent A\",\"confidence\":null}", Structured::JsonObject, "missing_confidence"),
            ("{\"agent\":\"Agent A\"}", Structured::None, "Agent(\"Agent A\") 0.5"),
            ("{\"agent\":\"NONE\"}", Structured::JsonSchema, "None 0.5"),
            ("{\"agent\":\"Agent A\",\"confidence\":1.01}", Structured::None, "bad_confidence"),
            ("{\"agent\":\"Agent A\",\"confidence\":-0.1}", Structured::None, "bad_confidence"),
            ("{\"agent\":\"Agent A\",\"confidence\":\"high\"}", Structured::None, "bad_confidence"),
            ("{\"agent\":7,\"confidence\":1}", Structured::None, "missing_agent"),
            ("[]", Structured::JsonSchema, "not_json"),
            ("", Structured::None, "empty"),
        ] {
            assert_eq!(verdict(text, structured), expected, "{text}");
        }
    }

    #[test]
    fn a_text_made_of_openings_costs_little() {
        assert_eq!(verdict(&"{\"a\":".repeat(10_000), Structured::None), "not_json");
        assert_eq!(verdict(&"{".repeat(TEXT_CAP + 1), Structured::None), "too_large");
    }
}
