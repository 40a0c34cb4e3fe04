//! Writing: a campaign's e-mails from templates. `{field}` is a field of the lead or of its assessment, `{field|words}`
//! has words in its stead where there is none.

use super::{object, text};
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Write {
    campaign_type: String,
    /// E-mails to these must be reviewed before they go out.
    review_sectors: Vec<String>,
    review_regions: Vec<String>,
    templates: Vec<Template>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Template {
    #[serde(default)]
    after_days: u32,
    subject: String,
    body: String,
}

/// A piece of a template.
#[derive(Debug, PartialEq)]
enum Piece<'t> {
    Words(&'t str),
    Field { name: &'t str, otherwise: Option<&'t str> },
}

impl Write {
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.templates.is_empty() {
            faults.push("work.templates: is empty; give at least one".to_owned());
        }
        for (index, template) in self.templates.iter().enumerate() {
            for (name, text) in [("subject", &template.subject), ("body", &template.body)] {
                if let Err(fault) = pieces(text) {
                    faults.push(format!("work.templates[{index}].{name}: {fault}"));
                }
            }
        }
        faults
    }

    pub(super) fn run(&self, input: &Value) -> Result<Value, String> {
        let (lead, assessment) = (object(input, "lead")?, object(input, "assessment")?);
        let fields = Fields { lead, assessment };
        let emails: Vec<Value> = self
            .templates
            .iter()
            .map(|template| {
                Ok(json!({
                    "to": text(lead, "email"),
                    "subject": fields.fill(&template.subject)?,
                    "body": fields.fill(&template.body)?,
                    "afterDays": template.after_days,
                }))
            })
            .collect::<Result<_, String>>()?;
        let (sector, region) = (text(assessment, "sector"), text(assessment, "region"));
        let listed = |list: &[String], value: &str| list.iter().any(|listed| listed == value);
        let mut because = Vec::new();
        if listed(&self.review_sectors, sector) {
            because.push(format!("{sector} is a regulated sector"));
        }
        if listed(&self.review_regions, region) {
            because.push(format!("{region} has a consent law"));
        }
        Ok(json!({
            "lead": lead,
            "campaign": { "type": self.campaign_type, "sector": sector, "region": region },
            "emails": emails,
            "review": if because.is_empty() { "not needed" } else { "required" },
            "because": because,
        }))
    }
}

struct Fields<'a> {
    lead: &'a Map<String, Value>,
    assessment: &'a Map<String, Value>,
}

impl Fields<'_> {
    fn fill(&self, template: &str) -> Result<String, String> {
        let mut filled = String::with_capacity(template.len() * 2);
        for piece in pieces(template)? {
            match piece {
                Piece::Words(words) => filled.push_str(words),
                Piece::Field { name, otherwise } => match self.value(name).or_else(|| otherwise.map(str::to_owned)) {
                    Some(value) => filled.push_str(&value),
                    None => return Err(format!("a template wants {{{name}}}, which this lead has not")),
                },
            }
        }
        Ok(filled)
    }

    fn value(&self, name: &str) -> Option<String> {
        let point = match name {
            "talkingPoint" => Some(0),
            "talkingPoint2" => Some(1),
            _ => None,
        };
        let value = match point {
            Some(index) => self.assessment.get("talkingPoints")?.get(index)?,
            None => self.lead.get(name).or_else(|| self.assessment.get(name))?,
        };
        match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
}

fn pieces(template: &str) -> Result<Vec<Piece<'_>>, String> {
    let (mut pieces, mut rest) = (Vec::new(), template);
    while let Some(open) = rest.find('{') {
        let close = rest[open..].find('}').ok_or("has a `{` without `}`; close it")? + open;
        let inside = &rest[open + 1..close];
        let (name, otherwise) = inside.split_once('|').map_or((inside, None), |(name, words)| (name, Some(words)));
        if name.trim().is_empty() {
            return Err("has `{}` without a field's name; write e.g. {company_name}".to_owned());
        }
        pieces.push(Piece::Words(&rest[..open]));
        pieces.push(Piece::Field { name: name.trim(), otherwise });
        rest = &rest[close + 1..];
    }
    pieces.push(Piece::Words(rest));
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(body: &str) -> Write {
        let parameters = json!({
            "campaignType": "nurture", "reviewSectors": ["health"], "reviewRegions": ["EU"],
            "templates": [{ "subject": "For {company_name}", "body": body }],
        });
        serde_json::from_value(parameters).unwrap()
    }

    fn input(sector: &str, region: &str) -> Value {
        json!({
            "lead": { "company_name": "Acorn", "email": "a@acorn.example.com", "employees": 7 },
            "assessment": { "sector": sector, "region": region, "talkingPoints": ["speed"] },
        })
    }

    #[test]
    fn templates_are_filled_from_lead_and_assessment() {
        let written =
            write("{employees} people, {talkingPoint}, {talkingPoint2|and more}").run(&input("x", "y")).unwrap();
        assert_eq!(written["emails"][0]["subject"], "For Acorn");
        assert_eq!(written["emails"][0]["body"], "7 people, speed, and more");
        assert_eq!(written["emails"][0]["to"], "a@acorn.example.com");
    }

    #[test]
    fn a_field_that_is_not_there_fails_the_step() {
        assert!(write("{city}").run(&input("x", "y")).unwrap_err().contains("{city}"));
    }

    #[test]
    fn regulated_sectors_and_consent_laws_ask_for_a_review() {
        let review = |sector, region| write("").run(&input(sector, region)).unwrap();
        assert_eq!(review("retail", "Asia")["review"], "not needed");
        assert_eq!(review("health", "Asia")["review"], "required");
        assert_eq!(review("health", "EU")["because"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_broken_template_is_a_fault_of_the_file() {
        assert!(write("{name").faults()[0].contains("work.templates[0].body: has a `{` without `}`"));
        assert!(write("{}").faults()[0].contains("without a field's name"));
    }
}
