//! Review: nothing goes to a region with a consent law without consent; promises are softened; a footer is added.

use super::{object, text};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Review {
    consent_regions: Vec<String>,
    /// Words, and what is said instead.
    soften: BTreeMap<String, String>,
    footer: String,
}

impl Review {
    pub(super) fn run(&self, input: &Value) -> Result<Value, String> {
        let (lead, campaign) = (object(input, "lead")?, object(input, "campaign")?);
        let emails = input.get("emails").and_then(Value::as_array).ok_or("the input has no list `emails`")?;
        let region = text(campaign, "region");
        let has_consent = lead.get("consent").and_then(Value::as_bool).unwrap_or(false);
        if !has_consent && self.consent_regions.iter().any(|listed| listed == region) {
            return Ok(json!({
                "lead": lead,
                "campaign": campaign,
                "review": "held",
                "because": [format!("{region} has a consent law, and this lead gave no consent")],
                "held": emails.len(),
            }));
        }
        let mut changes = Vec::new();
        let emails: Vec<Value> = emails.iter().map(|email| self.reviewed(email, &mut changes)).collect();
        Ok(json!({ "lead": lead, "campaign": campaign, "emails": emails, "review": "passed", "changes": changes }))
    }

    fn reviewed(&self, email: &Value, changes: &mut Vec<String>) -> Value {
        let mut email = email.clone();
        for part in ["subject", "body"] {
            let Some(before) = email[part].as_str() else { continue };
            let mut after = before.to_owned();
            for (promise, instead) in &self.soften {
                if !promise.is_empty() && after.contains(promise.as_str()) {
                    after = after.replace(promise.as_str(), instead);
                    let change = format!("{part}: `{promise}` is `{instead}` now");
                    if !changes.contains(&change) {
                        changes.push(change);
                    }
                }
            }
            if part == "body" {
                after = format!("{after}\n\n{}", self.footer);
            }
            email[part] = Value::String(after);
        }
        email
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reviewed(region: &str, consent: bool) -> Value {
        let review = Review {
            consent_regions: vec!["EU".to_owned()],
            soften: [("guarantee".to_owned(), "aim for".to_owned())].into(),
            footer: "Reply STOP.".to_owned(),
        };
        let input = json!({
            "lead": { "consent": consent }, "campaign": { "region": region },
            "emails": [{ "to": "a", "subject": "s", "body": "We guarantee it." }],
        });
        review.run(&input).unwrap()
    }

    #[test]
    fn without_consent_nothing_goes_on() {
        let held = reviewed("EU", false);
        assert_eq!((&held["review"], &held["held"]), (&json!("held"), &json!(1)));
        assert!(held.get("emails").is_none(), "no sender can take it");
    }

    #[test]
    fn promises_are_softened_and_the_footer_is_there() {
        for passed in [reviewed("EU", true), reviewed("elsewhere", false)] {
            assert_eq!(passed["review"], "passed");
            assert_eq!(passed["emails"][0]["body"], "We aim for it.\n\nReply STOP.");
            assert_eq!(passed["changes"], json!(["body: `guarantee` is `aim for` now"]));
        }
    }
}
