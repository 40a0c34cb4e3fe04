//! What is known of agents from their work, and what that makes of those between whom their texts do not decide.

use super::agent::Agent;
use super::latency::LatencyRange;
use super::names::{fold, same_name};
use crate::workflow::Task;
use std::collections::BTreeMap;

/// What came of an agent's work of one kind; of what lies back a part only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    pub successes: f64,
    pub failures: f64,
    /// Latencies of successes in milliseconds, with how much each counts.
    pub latencies: Vec<(f64, f64)>,
    /// Of one assignment, in millionths.
    pub cost_micros: Option<f64>,
    /// 0 to 1.
    pub quality: Option<f64>,
}

/// An agent's track record. Kinds are by folded name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Track {
    pub overall: Record,
    pub capabilities: BTreeMap<String, Record>,
    pub task_types: BTreeMap<String, Record>,
    /// Share of what it takes at once that it has in hand, 0 to 1; none if it does not say.
    pub load: Option<f64>,
}

/// How much each factor counts: the exponent it goes into the score with. 0 = not at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// Of how the texts of those that have a capability in common fit.
    pub fit: f64,
    pub success: f64,
    pub latency: f64,
    pub quality: f64,
    pub specialization: f64,
    pub capacity: f64,
    pub cost: f64,
}

impl Default for Weights {
    /// Success before everything; what costs patience or money only between agents that succeed alike.
    fn default() -> Self {
        Self { fit: 0.5, success: 1.0, latency: 0.1, quality: 0.3, specialization: 0.1, capacity: 0.1, cost: 0.05 }
    }
}

/// Outcomes that what an agent declares of itself counts for.
const DECLARED: f64 = 4.0;
/// The rate that one is presumed to have who declares none: better than one half, or nobody new would ever get work.
const PRESUMED: f64 = 0.8;
/// Outcomes that an agent's work as a whole counts for in one kind of it, at most.
const OVERALL: f64 = 5.0;
/// What an agent that is not specialised has where another is; the least a factor can be.
const LEAST: f64 = 0.1;

/// A rate of success as it is believed in: a Beta distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Belief {
    pub alpha: f64,
    pub beta: f64,
}

impl Belief {
    /// The expected rate, 0 to 1.
    #[must_use]
    pub fn mean(self) -> f64 {
        self.alpha / (self.alpha + self.beta)
    }

    fn seen(self, record: &Record) -> Self {
        Self { alpha: self.alpha + record.successes.max(0.0), beta: self.beta + record.failures.max(0.0) }
    }

    /// The same expectation, counting for so many outcomes at most.
    fn at_most(self, weight: f64) -> Self {
        let scale = (weight / (self.alpha + self.beta)).min(1.0);
        Self { alpha: self.alpha * scale, beta: self.beta * scale }
    }
}

/// What speaks for one of several agents, 0 to 1 each, but for how its texts fit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Merit {
    pub(super) belief: Belief,
    /// All but success, each to its weight, multiplied.
    pub(super) rest: f64,
    /// How long it is expected to take.
    pub(super) latency: Option<LatencyRange>,
    pub(super) factors: [(&'static str, f64); 6],
}

/// One agent with its record, for one task.
struct Case<'a> {
    agent: &'a Agent,
    overall: Option<&'a Record>,
    /// Of tasks of this type, else with this capability.
    kind: Option<&'a Record>,
    load: Option<f64>,
}

impl<'a> Case<'a> {
    fn new(agent: &'a Agent, track: Option<&'a Track>, task: &Task, capability: Option<&str>) -> Self {
        let of = |kinds: &'a BTreeMap<String, Record>, name: Option<&str>| kinds.get(&fold(name?));
        let of_kind = |track: &'a Track| {
            of(&track.task_types, task.kind.as_deref()).or_else(|| of(&track.capabilities, capability))
        };
        Self {
            agent,
            overall: track.map(|track| &track.overall),
            kind: track.and_then(of_kind),
            load: track.and_then(|track| track.load),
        }
    }

    /// What it declares is believed until its work says otherwise, and its work as a whole until this kind of it does.
    fn belief(&self) -> Belief {
        let declared = self.agent.definition().success_rate.unwrap_or(PRESUMED).clamp(0.02, 0.98);
        let prior = Belief { alpha: declared * DECLARED, beta: (1.0 - declared) * DECLARED };
        let overall = self.overall.map_or(prior, |record| prior.seen(record));
        self.kind.map_or(overall, |record| overall.at_most(OVERALL).seen(record))
    }

    fn known(&self, of: impl Fn(&Record) -> Option<f64>) -> Option<f64> {
        self.kind.and_then(&of).or_else(|| self.overall.and_then(&of))
    }

    fn latency_range(&self) -> Option<LatencyRange> {
        LatencyRange::expected(self.overall.into_iter().chain(self.kind).map(|record| &record.latencies[..]))
    }

    #[allow(clippy::cast_precision_loss, reason = "milliseconds and millionths: an estimate")]
    fn latency(&self) -> Option<f64> {
        let declared = || self.agent.definition().average_latency_ms.map(|millis| millis as f64);
        self.latency_range().map(|range| range.median).or_else(declared).map(|millis| millis.max(1.0))
    }

    #[allow(clippy::cast_precision_loss, reason = "as above")]
    fn cost(&self) -> Option<f64> {
        let declared = || self.agent.definition().cost_micros_per_task.map(|micros| micros as f64);
        self.known(|record| record.cost_micros).or_else(declared).map(|micros| micros.max(1.0))
    }

    fn is_specialised(&self, task: &Task, capability: Option<&str>) -> bool {
        let wanted = |name: &str| task.kind.iter().map(String::as_str).chain(capability).any(|of| same_name(of, name));
        self.agent.definition().specialization.iter().any(|field| wanted(field))
    }
}

/// How often and how soon an agent is expected to succeed with a task.
pub(super) fn outlook(
    agent: &Agent,
    track: Option<&Track>,
    task: &Task,
    capability: Option<&str>,
) -> (Belief, Option<LatencyRange>) {
    let case = Case::new(agent, track, task, capability);
    (case.belief(), case.latency_range())
}

/// What speaks for each of these agents, which stand in for each other. Times and costs are measured against the best of
/// them; what is not known of one speaks neither for nor against it.
pub(super) fn merits<'a>(
    agents: impl Iterator<Item = (&'a Agent, Option<&'a Track>)>,
    task: &Task,
    capability: Option<&str>,
    weights: &Weights,
) -> Vec<Merit> {
    let cases: Vec<Case<'_>> = agents.map(|(agent, track)| Case::new(agent, track, task, capability)).collect();
    let fastest = cases.iter().filter_map(Case::latency).min_by(f64::total_cmp);
    let cheapest = cases.iter().filter_map(Case::cost).min_by(f64::total_cmp);
    let against = |best: Option<f64>, own: Option<f64>| match (best, own) {
        (Some(best), Some(own)) => (best / own).clamp(LEAST, 1.0),
        _ => 1.0,
    };
    let any_specialised = cases.iter().any(|case| case.is_specialised(task, capability));
    let merit = |case: &Case<'_>| {
        let belief = case.belief();
        let quality = case.known(|record| record.quality).map_or(1.0, |quality| quality.clamp(LEAST, 1.0));
        let specialised = !any_specialised || case.is_specialised(task, capability);
        let parts = [
            ("latency", against(fastest, case.latency()), weights.latency),
            ("quality", quality, weights.quality),
            ("specialization", if specialised { 1.0 } else { LEAST }, weights.specialization),
            ("capacity", case.load.map_or(1.0, |load| (1.0 - load).clamp(LEAST, 1.0)), weights.capacity),
            ("cost", against(cheapest, case.cost()), weights.cost),
        ];
        let [latency, quality, specialization, capacity, cost] = parts.map(|(name, value, _)| (name, value));
        Merit {
            belief,
            latency: case.latency_range(),
            rest: parts.iter().map(|(_, value, weight)| value.powf(*weight)).product(),
            factors: [("success", belief.mean()), latency, quality, specialization, capacity, cost],
        }
    };
    cases.iter().map(merit).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Definition;
    use super::super::contract::Resolved;
    use super::*;

    fn agent(change: impl FnOnce(&mut Definition)) -> Agent {
        let mut definition = Definition::new("A");
        definition.description = "Writes letters.".to_owned();
        change(&mut definition);
        Agent::compile("a", definition, Resolved::Any, Resolved::Any).expect("a sound definition")
    }

    fn seen(successes: f64, failures: f64) -> Track {
        Track { overall: Record { successes, failures, ..Record::default() }, ..Track::default() }
    }

    fn merits_of(cases: &[(&Agent, Option<&Track>)], task: &Task) -> Vec<Merit> {
        merits(cases.iter().copied(), task, Some("letters"), &Weights::default())
    }

    #[test]
    fn what_is_declared_is_believed_until_the_work_says_otherwise() {
        let (boasts, task) = (agent(|definition| definition.success_rate = Some(0.99)), Task::new("t", "o"));
        let rate = |track: Option<&Track>| merits_of(&[(&boasts, track)], &task)[0].belief.mean();
        assert!((rate(None) - 0.98).abs() < 1e-9, "{}", rate(None));
        assert!((rate(Some(&seen(2.0, 8.0))) - 0.42).abs() < 0.01);
        assert!(rate(Some(&seen(20.0, 80.0))) < 0.25);
        let modest = agent(|_| {});
        assert!((merits_of(&[(&modest, None)], &task)[0].belief.mean() - PRESUMED).abs() < 1e-9);
    }

    #[test]
    fn the_kind_of_work_counts_before_the_whole_of_it() {
        let (agent, mut task) = (agent(|_| {}), Task::new("t", "o"));
        let mut track = seen(95.0, 5.0);
        track.task_types.insert("tax".to_owned(), Record { successes: 1.0, failures: 9.0, ..Record::default() });
        assert!(merits_of(&[(&agent, Some(&track))], &task)[0].belief.mean() > 0.9);
        task.kind = Some(" Tax ".to_owned());
        let tax = merits_of(&[(&agent, Some(&track))], &task)[0].belief;
        assert!(tax.mean() < 0.45 && tax.alpha + tax.beta < 16.0, "{tax:?}");
    }

    #[test]
    fn times_and_costs_count_against_the_best_and_only_where_they_are_known() {
        let (fast, slow) = (agent(|d| d.average_latency_ms = Some(100)), agent(|d| d.average_latency_ms = Some(400)));
        let (silent, task) = (agent(|d| d.cost_micros_per_task = Some(5)), Task::new("t", "o"));
        let merits = merits_of(&[(&fast, None), (&slow, None), (&silent, None)], &task);
        let latencies: Vec<f64> = merits.iter().map(|merit| merit.factors[1].1).collect();
        assert_eq!(latencies, [1.0, 0.25, 1.0]);
        assert!(merits[1].rest < merits[0].rest && merits[0].rest == merits[2].rest);
    }

    #[test]
    fn whoever_is_specialised_or_has_room_comes_first() {
        let (general, special) = (agent(|_| {}), agent(|d| d.specialization = vec!["Letters".to_owned()]));
        let (task, busy) = (Task::new("t", "o"), Track { load: Some(0.95), ..Track::default() });
        let merits = merits_of(&[(&general, None), (&special, None), (&special, Some(&busy))], &task);
        assert!(merits[1].rest > merits[0].rest && merits[1].rest > merits[2].rest);
        let alone = merits_of(&[(&general, None)], &task);
        assert!((alone[0].rest - 1.0).abs() < 1e-9, "what nobody has is nobody's fault");
    }
}
