//! One choice laid out: who stands how, how well each fits, and the decisions that can be made of it.

use super::agent::Agent;
use super::eligibility::{Standing, says_something, standings};
use super::latency::LatencyRange;
use super::policy::Policy;
use super::preference::Preference;
use super::registry::{Availability, Registry};
use super::scoring::{Fit, chances, rounded};
use super::text::SCORED;
use super::track::{Belief, Track};
use super::words::beginning;
use crate::workflow::{Candidate, Choice, Choosing, Settled, SettledBy};
use std::cell::OnceCell;
use std::sync::Arc;

/// Candidates a decision keeps at most.
const MAX_CANDIDATES: usize = 20;
/// Agents whose exclusion a reason spells out; the candidates say it of more.
const SPELLED_OUT: usize = 3;

pub(super) struct Scene<'a> {
    pub(super) registry: &'a Registry,
    availability: &'a Availability,
    pub(super) choosing: &'a Choosing<'a>,
    pub(super) standings: Vec<Standing>,
    fits: OnceCell<Vec<Fit>>,
    /// Each place's chance among those that are eligible; nothing for the others.
    scores: OnceCell<Vec<f64>>,
    /// Whom to take of those that fit alike, once it was asked.
    preference: OnceCell<Preference>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(registry: &'a Registry, availability: &'a Availability, choosing: &'a Choosing<'a>) -> Self {
        let standings = standings(registry, availability, choosing);
        let (fits, scores, preference) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self { registry, availability, choosing, standings, fits, scores, preference }
    }

    /// Whether the work cannot be over yet: a step of a plan, or the first of a route.
    pub(super) fn is_first_hop(&self) -> bool {
        !self.choosing.may_end
    }

    pub(super) fn name(&self, place: usize) -> &str {
        self.registry.current()[place].name()
    }

    /// Places of the agents that contracts point to and that can still be picked by contract.
    pub(super) fn matching(&self) -> Vec<usize> {
        let said = self.choosing.producer.is_some() || self.choosing.contract.is_some_and(says_something);
        if self.is_first_hop() && !said {
            return Vec::new();
        }
        let picked = |place: usize| {
            let names = self.choosing.picked_by_contract;
            !self.is_first_hop() && names.iter().any(|name| super::same_name(name, self.name(place)))
        };
        self.places(|standing| standing.matches && !standing.declined()).filter(|place| !picked(*place)).collect()
    }

    pub(super) fn eligible(&self) -> Vec<usize> {
        self.places(Standing::is_eligible).collect()
    }

    /// Leaves out those that failed on the step, if others are left.
    pub(super) fn prefer_others(&self, pool: &mut Vec<usize>) {
        let failed = |place: usize| {
            let names = self.choosing.failed;
            names.iter().any(|name| super::same_name(name, self.name(place)))
        };
        if pool.iter().any(|place| !failed(*place)) {
            pool.retain(|place| !failed(*place));
        }
    }

    fn places(&self, test: impl Fn(&Standing) -> bool) -> impl Iterator<Item = usize> {
        self.standings.iter().enumerate().filter(move |(_, standing)| test(standing)).map(|(place, _)| place)
    }

    pub(super) fn eligible_names(&self) -> Vec<Arc<str>> {
        // The registry's order is by name.
        self.places(Standing::is_eligible).map(|place| Arc::clone(&self.registry.current()[place].shown_name)).collect()
    }

    fn fits(&self) -> &[Fit] {
        self.fits.get_or_init(|| {
            let output = self.choosing.producer.and(self.choosing.value).map_or("", |output| output.text());
            self.registry.index().fits([beginning(self.choosing.objective, SCORED), beginning(output, SCORED)])
        })
    }

    /// Of those that fit alike what is its part of their chance, once it was asked whom to take; else the chance (0 to 1)
    /// that it is the right one of those that are eligible now.
    fn score(&self, place: usize) -> f64 {
        if let Some(score) = self.preference.get().and_then(|preference| preference.score(place)) {
            return score;
        }
        let among_eligible = || {
            let eligible = self.eligible();
            let mut scores = vec![0.0; self.standings.len()];
            for (place, chance) in eligible.iter().zip(chances(self.fits(), &eligible)) {
                scores[*place] = chance;
            }
            scores
        };
        self.scores.get_or_init(among_eligible)[place]
    }

    /// `pool` with the best first: those in `matching` before the others, then by strength, then by name.
    pub(super) fn ranked(&self, mut pool: Vec<usize>, matching: &[usize]) -> Vec<usize> {
        let strength = |place: usize| rounded(self.fits()[place].strength);
        let by_strength = |a: &usize, b: &usize| strength(*b).total_cmp(&strength(*a)).then(a.cmp(b));
        pool.sort_by(|a, b| matching.contains(b).cmp(&matching.contains(a)).then_with(|| by_strength(a, b)));
        pool
    }

    /// The agent at a place, and what is known of its work.
    pub(super) fn agent(&self, place: usize) -> (&Agent, Option<&Track>) {
        let agent = &*self.registry.current()[place];
        (agent, self.availability.track(agent.topic_name()))
    }

    /// The capability that the step asks for, else the one that the agent fits by.
    pub(super) fn capability_of(&self, place: usize) -> Option<&str> {
        self.choosing.capability.or_else(|| self.registry.index().deciding_capability(&self.fits()[place]))
    }

    /// Whether `other` does what `first`, which fits best, would be chosen for: it has the same capability, or fits to a
    /// hair as well.
    pub(super) fn stands_in(&self, first: usize, other: usize) -> bool {
        if first == other {
            return true;
        }
        // What a contract points to is not replaced by what it does not point to.
        if self.standings[first].matches && !self.standings[other].matches {
            return false;
        }
        let strength = |place: usize| rounded(self.fits()[place].strength);
        let has = |capability: &str| self.registry.current()[other].has_capability(capability);
        self.capability_of(first).is_some_and(has) || strength(first) == strength(other)
    }

    /// Whom to take of `ranked`, which is not empty; looked at once.
    pub(super) fn preference(&self, policy: &Policy, ranked: &[usize]) -> &Preference {
        self.preference.get_or_init(|| Preference::new(self, policy, ranked))
    }

    /// What was expected of the agent when it was compared with others, if it was.
    pub(super) fn compared(&self, place: usize) -> Option<(Belief, Option<LatencyRange>)> {
        self.preference.get()?.expected(place)
    }

    pub(super) fn are_fits_known(&self) -> bool {
        self.fits.get().is_some()
    }

    /// In words, why the first of `ranked` and not the second.
    pub(super) fn comparison(&self, ranked: &[usize]) -> String {
        let first = ranked[0];
        let by = self.registry.index().deciding(&self.fits()[first]);
        let chances = self.chances(ranked);
        let (chance, next) = (chances[0], chances.get(1).copied().unwrap_or(0.0));
        let ahead = format!("`{}` fits best by {by} ({chance:.2})", self.name(first));
        match ranked.get(1) {
            Some(second) => format!("{ahead}, next is `{}` ({next:.2})", self.name(*second)),
            None => format!("{ahead}, the only candidate"),
        }
    }

    /// The chances (0 to 1) of each of `ranked`, if it is to be one of them or none.
    pub(super) fn chances(&self, ranked: &[usize]) -> Vec<f64> {
        chances(self.fits(), ranked)
    }

    /// Why nobody can be chosen.
    pub(super) fn nobody(&self) -> String {
        if self.registry.is_empty() {
            return "no agent is registered".to_owned();
        }
        let excluded = || self.places(|standing| !standing.is_eligible());
        let spelled: Vec<String> = excluded()
            .map(|place| self.candidate(place))
            .chain(self.faulty())
            .take(SPELLED_OUT)
            .map(|candidate| {
                format!("`{}`: {}", candidate.agent_name, candidate.excluded.as_deref().unwrap_or_default())
            })
            .collect();
        let more = excluded().count() + self.registry.faults().count() - spelled.len();
        let more = if more == 0 { String::new() } else { format!("; and {more} more") };
        format!("no registered agent is eligible ({}{more})", spelled.join("; "))
    }

    /// The place of the version that stands for a name: the one that can be chosen, else the newest.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        let mut places = self.registry.places(name);
        places.clone().find(|place| self.standings[*place].is_eligible()).or_else(|| places.next())
    }

    pub(super) fn why_not(&self, place: usize) -> Option<Arc<str>> {
        let why = self.standings[place].excluded.as_ref()?;
        Some(why.text(&self.registry.current()[place]))
    }

    /// A decision for an agent, or for none.
    pub(super) fn settled(&self, choice: Choosable, by: SettledBy, confidence: Option<f64>, reason: String) -> Settled {
        let (choice, place) = match choice {
            Choosable::Agent(place) => (Choice::Agent(self.name(place).to_owned()), Some(place)),
            Choosable::None => (Choice::None, None),
            Choosable::Done => (Choice::Done, None),
        };
        Settled {
            choice,
            chosen: place.map(|place| self.registry.current()[place].as_chosen()),
            by,
            confidence,
            reason,
            candidates: self.candidates(place),
            degraded: None,
            eligible: self.eligible_names(),
            propensity: place.and_then(|place| self.preference.get()?.probability(place)),
            beside: None,
            grounds: place.map(|place| Arc::new(self.grounds(place, by))),
            busy: if place.is_none() { self.busy_topics() } else { Vec::new() },
            strategy: None,
            variant: None,
        }
    }

    /// Those that would do if they had room: of several that contracts point to only they.
    pub(super) fn busy_topics(&self) -> Vec<String> {
        let matching = self.matching();
        let would_do = |place: &usize| matching.is_empty() || matching.contains(place);
        let topic = |place: usize| self.registry.current()[place].topic_name().to_owned();
        self.places(Standing::is_busy).filter(would_do).map(topic).collect()
    }

    /// The chosen, the best, then the excluded.
    fn candidates(&self, chosen: Option<usize>) -> Vec<Candidate> {
        let mut eligible: Vec<usize> = self.eligible().into_iter().filter(|place| Some(*place) != chosen).collect();
        if self.fits.get().is_some() {
            eligible = self.ranked(eligible, &[]);
        }
        let first = chosen.into_iter().chain(eligible).take(MAX_CANDIDATES);
        let mut candidates: Vec<Candidate> = Vec::with_capacity(MAX_CANDIDATES.min(self.standings.len()));
        candidates.extend(first.map(|place| self.candidate(place)));
        let room = MAX_CANDIDATES - candidates.len();
        if room > 0 {
            let excluded = self.places(|standing| !standing.is_eligible()).take(room);
            candidates.extend(excluded.map(|place| self.candidate(place)));
            let room = MAX_CANDIDATES - candidates.len();
            candidates.extend(self.faulty().take(room));
        }
        candidates
    }

    fn candidate(&self, place: usize) -> Candidate {
        let agent = &self.registry.current()[place];
        let fit = self.fits.get().map(|fits| &fits[place]).filter(|_| self.standings[place].is_eligible());
        let merit = self.preference.get().into_iter().flat_map(|preference| preference.factors(place));
        Candidate {
            agent_name: Arc::clone(&agent.shown_name),
            version: Arc::clone(&agent.shown_version),
            score: fit.map(|_| self.score(place)),
            factors: fit.into_iter().flat_map(Fit::factors).chain(merit).collect(),
            excluded: self.why_not(place),
        }
    }

    fn faulty(&self) -> impl Iterator<Item = Candidate> {
        self.registry.faults().map(|fault| Candidate {
            agent_name: fault.agent_name.as_str().into(),
            version: fault.version.as_str().into(),
            score: None,
            factors: Vec::new(),
            excluded: Some(format!("bad definition: {}", fault.faults.first().map_or("", String::as_str)).into()),
        })
    }
}

/// A choice by place in the registry.
#[derive(Clone, Copy, Debug)]
pub(super) enum Choosable {
    Agent(usize),
    None,
    Done,
}
