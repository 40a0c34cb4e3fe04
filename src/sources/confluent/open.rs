//! Which assignments each lead has had, and which of them is open: the table `source-state`, one JSON record for each
//! assignment under `<lead>/<assignment id>`, written when it is handed on and once more when it is answered.

use super::super::ids;
use crate::contract::Assignment;
use crate::kafka::relay::Outgoing;
use crate::kafka::tail::Tailed;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

/// Of one lead; a route has fewer hops.
const MOST_HOPS: usize = 64;
/// Leads held at most; beyond it those longest without a new assignment are forgotten, and are dead letters if an answer
/// comes all the same.
const MOST_LEADS: usize = 1_000_000;
/// Longer than the topic keeps anything (`topics/source-state.toml`).
const KEPT_MS: i64 = 8 * 24 * 3_600_000;

/// One assignment with an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hop {
    pub(super) task_id: String,
    pub(super) assignment_id: String,
    pub(super) agent_name: String,
    /// When it was assigned, in milliseconds since the epoch.
    at: i64,
    /// The hash of its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
}

impl Hop {
    pub(super) fn of(assignment: &Assignment, agent: &str, at: i64) -> Self {
        let (task_id, assignment_id) = (assignment.task_id.clone(), assignment.assignment_id.clone());
        Self { task_id, assignment_id, agent_name: agent.to_owned(), at, answer: None }
    }

    pub(super) fn answered_with(self, output: &str) -> Self {
        Self { answer: Some(ids::hash(output.as_bytes())), ..self }
    }
}

/// Which assignment an output answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    /// One that is open.
    First(Hop),
    /// One that was answered: agents say things more than once, and the engine counts it as late.
    Again(Hop),
    /// None that is known.
    Nothing,
}

#[derive(Debug, Default)]
pub(super) struct Open {
    leads: HashMap<String, Vec<Hop>>,
    /// Leads that the batch in hand has changed, as they will be once it is committed.
    staged: HashMap<String, Vec<Hop>>,
    newest: i64,
}

impl Open {
    /// A record of the table. One that cannot be read is not ours, and counts for nothing.
    pub(super) fn apply(&mut self, record: &Tailed) {
        let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
        let lead = key.and_then(|key| key.split_once('/')).map(|(lead, _)| lead);
        let hop = record.value.as_deref().and_then(|value| serde_json::from_slice::<Hop>(value).ok());
        let (Some(lead), Some(hop)) = (lead, hop) else { return };
        self.newest = self.newest.max(hop.at);
        put(self.leads.entry(lead.to_owned()).or_default(), hop);
        if self.leads.len() > MOST_LEADS {
            self.forget();
        }
    }

    /// Drops what is too old; if that is too little, the older half.
    fn forget(&mut self) {
        let last = |hops: &Vec<Hop>| hops.last().map_or(0, |hop| hop.at);
        let oldest = self.newest - KEPT_MS;
        self.leads.retain(|_, hops| last(hops) >= oldest);
        if self.leads.len() > MOST_LEADS {
            let mut ages: Vec<i64> = self.leads.values().map(last).collect();
            let (_, middle, _) = ages.select_nth_unstable(MOST_LEADS / 2);
            let middle = *middle;
            tracing::warn!(most = MOST_LEADS, "too many leads at once: the older half is forgotten");
            self.leads.retain(|_, hops| last(hops) > middle);
        }
    }

    pub(super) fn begin(&mut self) {
        self.staged.clear();
    }

    pub(super) fn stage(&mut self, lead: &str, hop: Hop) {
        let Self { leads, staged, .. } = self;
        put(staged.entry(lead.to_owned()).or_insert_with(|| leads.get(lead).cloned().unwrap_or_default()), hop);
    }

    /// Without a link: an output that was heard before answers what it answered then, any other what is open, and where
    /// nothing is, what was open last.
    pub(super) fn answered_by(&self, lead: &str, output: &str, link: Option<&str>) -> Answers {
        let Some(hops) = self.staged.get(lead).or_else(|| self.leads.get(lead)) else { return Answers::Nothing };
        let hash = ids::hash(output.as_bytes());
        let linked = link.and_then(|link| hops.iter().rfind(|hop| hop.assignment_id == link));
        let heard = || hops.iter().rfind(|hop| hop.answer.as_ref() == Some(&hash));
        let Some(hop) = linked.or_else(heard).or_else(|| hops.last()) else { return Answers::Nothing };
        if hop.answer.is_none() { Answers::First(hop.clone()) } else { Answers::Again(hop.clone()) }
    }
}

/// In the order of assignment; one that is known is replaced.
fn put(hops: &mut Vec<Hop>, hop: Hop) {
    hops.retain(|known| known.assignment_id != hop.assignment_id);
    let at = hops.partition_point(|known| (known.at, &known.assignment_id) < (hop.at, &hop.assignment_id));
    hops.insert(at, hop);
    if hops.len() > MOST_HOPS {
        hops.remove(0);
    }
}

/// The record of an assignment that was handed on.
pub(super) fn asked(topic: &Arc<str>, lead: &str, hop: &Hop, origin: usize) -> Outgoing {
    Outgoing {
        topic: Arc::clone(topic),
        partition: 0,
        key: Some(format!("{lead}/{}", hop.assignment_id).into_bytes()),
        value: Some(serde_json::to_vec(hop).expect("it is made of texts and a number")),
        headers: Vec::new(),
        timestamp: None,
        origin,
    }
}

/// The record of one that was answered.
pub(super) fn answered(topic: &Arc<str>, lead: &str, hop: &Hop, output: &str, origin: usize) -> Outgoing {
    asked(topic, lead, &hop.clone().answered_with(output), origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(number: i64) -> Hop {
        Hop {
            task_id: "t".to_owned(),
            assignment_id: format!("t~0-0~{number}~1"),
            agent_name: format!("agent {number}"),
            at: number,
            answer: None,
        }
    }

    fn read(open: &mut Open, outgoing: &Outgoing) {
        open.apply(&Tailed {
            topic: outgoing.topic.to_string(),
            partition: 0,
            offset: 0,
            timestamp: None,
            key: outgoing.key.clone(),
            value: outgoing.value.clone(),
            headers: Vec::new(),
        });
    }

    fn asked_and_answered() -> Open {
        let (mut open, topic) = (Open::default(), Arc::from("state"));
        read(&mut open, &asked(&topic, "lead", &hop(1), 0));
        read(&mut open, &answered(&topic, "lead", &hop(1), "research", 0));
        read(&mut open, &asked(&topic, "lead", &hop(2), 0));
        open
    }

    #[test]
    fn an_output_answers_what_is_open() {
        assert_eq!(asked_and_answered().answered_by("lead", "score", None), Answers::First(hop(2)));
        assert_eq!(asked_and_answered().answered_by("another", "score", None), Answers::Nothing);
    }

    #[test]
    fn an_output_said_again_answers_what_it_answered_before() {
        let again = hop(1).answered_with("research");
        assert_eq!(asked_and_answered().answered_by("lead", "research", None), Answers::Again(again));
    }

    #[test]
    fn a_link_says_which_assignment_is_meant() {
        let other_words = asked_and_answered().answered_by("lead", "research in other words", Some("t~0-0~1~1"));
        assert_eq!(other_words, Answers::Again(hop(1).answered_with("research")));
        assert_eq!(asked_and_answered().answered_by("lead", "score", Some("nobody's")), Answers::First(hop(2)));
    }

    #[test]
    fn what_a_batch_has_done_counts_within_it_and_not_after_it_was_given_up() {
        let mut open = asked_and_answered();
        open.stage("lead", hop(2).answered_with("score"));
        open.stage("lead", hop(3));
        assert_eq!(open.answered_by("lead", "mails", None), Answers::First(hop(3)));
        assert!(matches!(open.answered_by("lead", "score", None), Answers::Again(_)));
        open.begin();
        assert_eq!(open.answered_by("lead", "score", None), Answers::First(hop(2)));
    }

    #[test]
    fn an_answer_that_is_noted_late_does_not_change_the_order() {
        let mut open = asked_and_answered();
        read(&mut open, &answered(&Arc::from("state"), "lead", &hop(1), "research", 0));
        assert_eq!(open.answered_by("lead", "score", None), Answers::First(hop(2)));
    }

    #[test]
    fn one_leads_hops_are_bounded() {
        let mut hops = Vec::new();
        (0..1_000).for_each(|number| put(&mut hops, hop(number)));
        assert_eq!((hops.len(), hops.last()), (MOST_HOPS, Some(&hop(999))));
    }
}
