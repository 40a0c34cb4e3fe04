//! Scoring: a sum of weights, each with what it was given for, and the next step that follows from it.

use super::{object, text};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Score {
    /// Points by field of the report, or of the lead, and its value.
    weights: BTreeMap<String, BTreeMap<String, i64>>,
    engage_from: i64,
    nurture_from: i64,
    /// By sector.
    talking_points: BTreeMap<String, Vec<String>>,
}

impl Score {
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.engage_from <= self.nurture_from {
            faults.push(format!(
                "work.engageFrom: {} is not over work.nurtureFrom ({}); raise it, or lower the other",
                self.engage_from, self.nurture_from
            ));
        }
        for (name, from) in [("engageFrom", self.engage_from), ("nurtureFrom", self.nurture_from)] {
            if !(0..=100).contains(&from) {
                faults.push(format!("work.{name}: {from} is not between 0 and 100; scores are"));
            }
        }
        faults
    }

    pub(super) fn run(&self, input: &Value) -> Result<Value, String> {
        let (lead, report) = (object(input, "lead")?, object(input, "report")?);
        let (mut sum, mut reasons) = (0_i64, Vec::new());
        for (field, points) in &self.weights {
            let found = report.get(field).or_else(|| lead.get(field)).and_then(Value::as_str).unwrap_or("unknown");
            if let Some(points) = points.get(found).filter(|points| **points != 0) {
                sum = sum.saturating_add(*points);
                reasons.push((*points, format!("{field}: {found}")));
            }
        }
        reasons.sort_by_key(|(points, _)| std::cmp::Reverse(points.saturating_abs()));
        let score = sum.clamp(0, 100);
        let next_step = match score {
            score if score >= self.engage_from => "engage",
            score if score >= self.nurture_from => "nurture",
            _ => "disqualify",
        };
        let reasons: Vec<Value> =
            reasons.into_iter().map(|(points, because)| json!({ "points": points, "because": because })).collect();
        let sector = text(report, "sector");
        Ok(json!({
            "lead": lead,
            "assessment": {
                "score": score,
                "reasons": reasons,
                "talkingPoints": self.talking_points.get(sector).map_or(&[][..], Vec::as_slice),
                "sector": sector,
                "region": text(report, "region"),
                "size": text(report, "size"),
            },
            "nextStep": next_step,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score() -> Score {
        let parameters = json!({
            "weights": { "intent": { "ready": 40, "none": -50 }, "lead_source": { "referral": 30 } },
            "engageFrom": 60, "nurtureFrom": 30, "talkingPoints": { "health": ["x"] },
        });
        serde_json::from_value(parameters).unwrap()
    }

    fn judged(intent: &str, source: &str) -> Value {
        let input = json!({ "lead": { "lead_source": source }, "report": { "intent": intent, "sector": "health" } });
        score().run(&input).unwrap()
    }

    #[test]
    fn every_point_says_where_it_comes_from() {
        let judged = judged("ready", "referral");
        assert_eq!(judged["assessment"]["score"], 70);
        let expected =
            json!([{ "points": 40, "because": "intent: ready" }, { "points": 30, "because": "lead_source: referral" }]);
        assert_eq!(judged["assessment"]["reasons"], expected);
        assert_eq!(judged["assessment"]["talkingPoints"], json!(["x"]));
    }

    #[test]
    fn the_next_step_follows_from_the_score() {
        let step = |intent, source| judged(intent, source)["nextStep"].clone();
        assert_eq!(step("ready", "referral"), "engage");
        assert_eq!(step("ready", "somewhere"), "nurture");
        assert_eq!(step("none", "referral"), "disqualify");
    }

    #[test]
    fn thresholds_that_cross_are_a_fault_and_a_value_without_report_an_error() {
        let crossed = Score { engage_from: 20, ..score() };
        assert!(crossed.faults()[0].contains("work.engageFrom: 20"));
        assert_eq!(score().run(&json!({ "lead": {} })), Err("the input has no object `report`".to_owned()));
    }
}
