//! Research: what can be read off a lead's own fields.

use super::text;
use super::words::{Rule, Words};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Research {
    sectors: Vec<Rule>,
    regions: Vec<Rule>,
    seniority: Vec<Rule>,
    intent: Vec<Rule>,
    /// The largest first.
    sizes: Vec<Size>,
    /// Domains of private mailboxes.
    personal_mail: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Size {
    is: String,
    /// Employees.
    from: u64,
}

impl Research {
    pub(super) fn run(&self, input: &Value) -> Result<Value, String> {
        let lead = input.as_object().ok_or("the input is no lead")?;
        let company = text(lead, "company_name").trim();
        let wish = Words::of(text(lead, "project_description"));
        let about = Words::of(&format!("{company} {}", text(lead, "project_description")));
        let (sector, sector_signals) = about.most(&self.sectors).unwrap_or(("other", Vec::new()));
        let region = Words::of(text(lead, "country")).first(&self.regions).map_or("unknown", |(is, _)| is);
        let seniority = Words::of(text(lead, "job_title")).first(&self.seniority).map_or("other", |(is, _)| is);
        let (intent, buying_signals) = wish.first(&self.intent).unwrap_or(("unclear", Vec::new()));
        let employees = lead.get("employees").and_then(Value::as_u64);
        let size = employees.and_then(|count| self.sizes.iter().find(|size| count >= size.from));
        let size = size.map_or("unknown", |size| &*size.is);
        let consent = lead.get("consent").and_then(Value::as_bool).unwrap_or(false);
        let summary = format!(
            "{company}: a company in {sector} ({region}, size: {size}). Who asks: {} ({seniority}). Intent: {intent}.",
            text(lead, "job_title")
        );
        Ok(json!({
            "lead": lead,
            "report": {
                "company": company,
                "sector": sector,
                "sectorSignals": sector_signals,
                "region": region,
                "size": size,
                "seniority": seniority,
                "intent": intent,
                "buyingSignals": buying_signals,
                "mail": self.mail(text(lead, "email"), text(lead, "company_website")),
                "consent": consent,
                "summary": summary,
            },
        }))
    }

    /// Whether the address is the company's, a private one, or another.
    fn mail(&self, email: &str, website: &str) -> &'static str {
        let domain = email.rsplit_once('@').map(|(_, domain)| domain.trim().to_lowercase()).unwrap_or_default();
        let site = website.split_once("://").map_or(website, |(_, rest)| rest).split('/').next().unwrap_or_default();
        let site = site.trim().to_lowercase();
        if self.personal_mail.iter().any(|personal| personal.eq_ignore_ascii_case(&domain)) {
            "personal"
        } else if !domain.is_empty() && (domain == site || site.ends_with(&format!(".{domain}"))) {
            "company"
        } else {
            "other"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Work;
    use crate::demo::agent_file::SampleAgent;
    use serde_json::{Value, json};

    fn report(lead: Value) -> Value {
        let text = include_str!("../../../examples/sales/agents/lead-researcher.json");
        let work: Work = SampleAgent::read("f", text).unwrap().work;
        work.run(&lead).unwrap()["report"].clone()
    }

    #[test]
    fn a_report_is_read_off_the_fields() {
        let report = report(json!({
            "company_name": "Red Bank", "email": "a@red.example.com", "company_website": "https://www.red.example.com/x",
            "job_title": "Head of Payments", "country": "Germany", "employees": 1000, "consent": true,
            "project_description": "Budget is there, and a pilot.",
        }));
        for (field, expected) in [
            ("sector", "finance"),
            ("region", "EU"),
            ("seniority", "head"),
            ("size", "enterprise"),
            ("intent", "ready"),
            ("mail", "company"),
        ] {
            assert_eq!(report[field], expected, "{field}");
        }
        assert_eq!(report["buyingSignals"], json!(["budget", "pilot"]));
        assert_eq!(report["consent"], true);
    }

    #[test]
    fn what_is_not_said_is_unknown_and_not_guessed() {
        let report = report(json!({ "company_name": "X", "email": "a@mail.example.com", "job_title": "?" }));
        let expected = [("sector", "other"), ("region", "unknown"), ("size", "unknown"), ("intent", "unclear")];
        assert!(expected.iter().all(|(field, value)| report[*field] == *value), "{report}");
        assert_eq!([&report["mail"], &report["seniority"]], ["personal", "other"]);
    }
}
