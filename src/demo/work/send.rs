//! Sending into a simulated outbox: addresses are checked, doubles dropped, message ids made of what is sent. Nothing
//! leaves the machine, and the output says so.

use super::{object, text};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Send {
    most_per_lead: usize,
    blocked_domains: Vec<String>,
}

impl Send {
    pub(super) fn faults(&self) -> Vec<String> {
        let nothing = self.most_per_lead == 0;
        nothing.then(|| "work.mostPerLead: 0 sends nothing; give 1 or more".to_owned()).into_iter().collect()
    }

    pub(super) fn run(&self, input: &Value) -> Result<Value, String> {
        let campaign = object(input, "campaign")?;
        let emails = input.get("emails").and_then(Value::as_array).ok_or("the input has no list `emails`")?;
        let (mut sent, mut skipped, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        for email in emails {
            let part = |name: &str| email[name].as_str().unwrap_or_default().trim();
            let (to, subject, body) = (part("to"), part("subject"), part("body"));
            let why = match self.refuses(to) {
                Some(why) => Some(why),
                None if !seen.insert((to.to_lowercase(), subject, body)) => {
                    Some("the same e-mail once more".to_owned())
                }
                None if sent.len() >= self.most_per_lead => {
                    Some(format!("one lead gets at most {}", self.most_per_lead))
                }
                None => None,
            };
            match why {
                Some(why) => skipped.push(json!({ "to": to, "subject": subject, "why": why })),
                None => sent.push(json!({
                    "messageId": message_id(to, subject, body),
                    "to": to,
                    "subject": subject,
                    "afterDays": email["afterDays"],
                })),
            }
        }
        Ok(json!({
            "outbox": "simulated: nothing has left this machine",
            "campaignType": text(campaign, "type"),
            "sent": sent,
            "skipped": skipped,
        }))
    }

    fn refuses(&self, to: &str) -> Option<String> {
        let legal = |text: &str| !text.is_empty() && !text.contains(|it: char| it.is_whitespace() || it.is_control());
        let parts = to.split_once('@').filter(|(local, domain)| {
            legal(local) && legal(domain) && !domain.contains('@') && domain.split('.').count() > 1
        });
        let Some((_, domain)) = parts.filter(|(_, domain)| domain.split('.').all(|label| !label.is_empty())) else {
            return Some("this is no address".to_owned());
        };
        let blocked = self.blocked_domains.iter().any(|blocked| blocked.eq_ignore_ascii_case(domain));
        blocked.then(|| format!("{domain} is blocked"))
    }
}

/// The same e-mail has the same id, however often it is delivered.
fn message_id(to: &str, subject: &str, body: &str) -> String {
    let mut hash = Sha256::new();
    for part in [to, subject, body] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    let id: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("<{id}@outbox.example.com>")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(to: &[&str]) -> Value {
        let send = Send { most_per_lead: 2, blocked_domains: vec!["blocked.example.com".to_owned()] };
        let emails: Vec<Value> = to.iter().map(|to| json!({ "to": to, "subject": "s", "body": "b" })).collect();
        send.run(&json!({ "campaign": { "type": "t" }, "emails": emails })).unwrap()
    }

    #[test]
    fn only_sound_addresses_are_sent_to_and_each_once() {
        let out = sent(&[
            "a@x.example.com",
            "A@x.example.com",
            "nobody",
            "a@b",
            "a@x..com",
            "a b@x.com",
            "c@blocked.example.com",
        ]);
        assert_eq!(out["sent"].as_array().unwrap().len(), 1);
        let whys: Vec<_> = out["skipped"].as_array().unwrap().iter().map(|it| it["why"].as_str().unwrap()).collect();
        let none = "this is no address";
        assert_eq!(whys, ["the same e-mail once more", none, none, none, none, "blocked.example.com is blocked"]);
        assert!(out["outbox"].as_str().unwrap().contains("simulated"));
    }

    #[test]
    fn a_lead_gets_no_more_than_the_file_says() {
        let out = sent(&["a@x.example.com", "b@x.example.com", "c@x.example.com"]);
        assert_eq!(out["skipped"][0]["why"], "one lead gets at most 2");
    }

    #[test]
    fn a_message_id_follows_from_what_is_sent() {
        assert_eq!(sent(&["a@x.example.com"]), sent(&["a@x.example.com"]));
        assert_ne!(message_id("a", "b", "c"), message_id("a", "bc", ""));
    }
}
