//! `baton eval --replay`: what another `[routing]` would have chosen in the decisions that were made, and what that would
//! have come to.

use super::short;
use crate::cli::args::EvalArgs;
use crate::cli::context::{Context, WrongUse};
use crate::cli::fresh::{millis, now_millis};
use crate::cli::records::{MOST, Records};
use crate::contract::{AgentOutcome, Codec, OutcomeClass, RoutingDecision, SettledBy as By};
use crate::kafka::tail::{self, Start, Tailed};
use crate::selection::{Estimate, Otherwise, Past, PastCandidate, Replay, fold};
use crate::service::otherwise;
use crate::workflow::{AssignmentId, SettledBy, fnv1a_64};
use serde::Serialize;
use std::collections::BTreeMap;

/// Reads the log and plays it again.
pub(super) async fn run(context: &Context, args: &EvalArgs) -> anyhow::Result<Summary> {
    let ago = |since: Option<std::time::Duration>| since.map(|ago| now_millis().saturating_sub(millis(ago)));
    let (since, until) = (ago(args.since), ago(args.until));
    if since.zip(until).is_some_and(|(since, until)| since >= until) {
        return Err(WrongUse("--until is not later than --since: nothing lies between".to_owned()).into());
    }
    let records = Records::new(context)?;
    let codec = Codec::new(&context.config.kafka.prefix, [], std::sync::Arc::clone(records.schemas()));
    let start = since.map_or(Start::Beginning, Start::Since);
    let read = |topic: &str, until: Option<i64>| {
        let within = move |record: &Tailed| until.is_none_or(|until| record.timestamp.is_some_and(|at| at <= until));
        let (kafka, topic) = (context.config.kafka.clone(), context.topic(topic));
        async move { tail::read(&kafka, &topic, None, start, MOST, within).await }
    };
    // Work that was given before `until` may have ended later.
    let mut outcomes = BTreeMap::new();
    for record in read("agent-outcomes", None).await? {
        let outcome: AgentOutcome = records.typed(&codec, &record).await?;
        outcomes.extend(key_of(&outcome).map(|key| (key, outcome)));
    }
    let mut played = Played { other: otherwise(&context.config), ..Played::default() };
    for record in read("routing-decisions", until).await? {
        let decision: RoutingDecision = records.typed(&codec, &record).await?;
        let outcome = key(&decision).and_then(|key| outcomes.get(&key));
        played.take(&decision, outcome);
    }
    Ok(played.summary())
}

/// By what a decision and the end of what came of it know each other: the task as accepted, the step, the agent, and when it
/// was given to it, which is when it was decided.
type Key = (String, String, String, i64);

fn key(decision: &RoutingDecision) -> Option<Key> {
    let (task, _) = decision.decision_id.rsplit_once("~q")?;
    Some((task.to_owned(), decision.step_id.clone()?, fold(decision.chosen.as_deref()?), decision.decided_at))
}

fn key_of(outcome: &AgentOutcome) -> Option<Key> {
    let id = AssignmentId::parse(&outcome.assignment_id)?;
    let task = format!("{}~{}", id.task_id, id.accepted);
    Some((task, id.step_id.to_owned(), fold(&outcome.agent_name), outcome.at.saturating_sub(outcome.latency_ms)))
}

/// Whether the step succeeded; none where that says nothing of the choice.
fn success(outcome: &AgentOutcome) -> Option<bool> {
    match outcome.outcome {
        OutcomeClass::Succeeded => Some(true),
        OutcomeClass::Withdrawn | OutcomeClass::Cancelled | OutcomeClass::InputRequired | OutcomeClass::Unknown => None,
        OutcomeClass::Transient
        | OutcomeClass::RateLimited
        | OutcomeClass::Timeout
        | OutcomeClass::InvalidOutput
        | OutcomeClass::Contract
        | OutcomeClass::Auth
        | OutcomeClass::Permanent
        | OutcomeClass::NotAccepted
        | OutcomeClass::Declined => Some(false),
    }
}

fn past(decision: &RoutingDecision, kind: Option<&str>) -> Option<Past> {
    let by = match decision.by {
        By::Pinned => SettledBy::Pinned,
        By::Operator => SettledBy::Operator,
        By::Contract => SettledBy::Contract,
        By::Cache => SettledBy::Cache,
        By::ClearWinner => SettledBy::ClearWinner,
        By::Llm => SettledBy::Llm,
        By::Local => SettledBy::Local,
        By::Unknown => return None,
    };
    let candidate = |one: &crate::contract::Candidate| PastCandidate {
        agent_name: one.agent_name.clone(),
        score: one.score,
        factors: one.factors.clone(),
    };
    Some(Past {
        by,
        chosen: decision.chosen.clone(),
        without_llm: decision.local_choice.clone(),
        confidence: decision.confidence,
        degraded: decision.degraded_reason.clone(),
        propensity: decision.propensity,
        words: decision.prompt_version.clone(),
        model: decision.attempts.last().map(|attempt| attempt.model.clone()),
        kind: kind.map(str::to_owned),
        candidates: decision.candidates.iter().filter(|one| one.excluded.is_none()).map(candidate).collect(),
    })
}

/// One number of each decision: as it was, and what it would have been.
#[derive(Clone, Copy, Debug, Default)]
struct Number {
    sum: f64,
    count: f64,
    replay: Replay,
}

impl Number {
    fn take(&mut self, propensity: f64, probability: f64, value: f64) {
        if self.replay.take(propensity, probability, value).is_ok() {
            self.sum += value;
            self.count += 1.0;
        }
    }

    fn told(&self) -> Told {
        let logged = (self.count > 0.0).then(|| self.sum / self.count);
        let estimate = self.replay.estimate();
        let of = |part: fn(&Estimate) -> f64| estimate.as_ref().map(part);
        Told {
            logged: short(logged),
            estimate: short(of(|one| one.value)),
            low: short(of(|one| one.interval.0)),
            high: short(of(|one| one.interval.1)),
            ips: short(of(|one| one.plain)),
            ips_low: short(of(|one| one.plain_interval.0)),
            ips_high: short(of(|one| one.plain_interval.1)),
        }
    }
}

/// The log as far as it was played again.
#[derive(Debug, Default)]
struct Played {
    other: Otherwise,
    decisions: usize,
    replayed: usize,
    not_replayed: BTreeMap<&'static str, usize>,
    same: f64,
    asked: [usize; 2],
    tokens: [i64; 2],
    success: Number,
    latency: Number,
    cost: Number,
    /// How often each agent was chosen, and would be.
    agents: BTreeMap<String, [f64; 2]>,
}

impl Played {
    fn take(&mut self, decision: &RoutingDecision, outcome: Option<&AgentOutcome>) {
        self.decisions += 1;
        if let Err(why) = self.play(decision, outcome) {
            *self.not_replayed.entry(why).or_default() += 1;
        }
    }

    fn play(&mut self, decision: &RoutingDecision, outcome: Option<&AgentOutcome>) -> Result<(), &'static str> {
        let kind = outcome.and_then(|outcome| outcome.task_type.as_deref());
        let past = past(decision, kind).ok_or("unscored")?;
        let again = past.again(&self.other, fnv1a_64(decision.decision_id.bytes())).map_err(|why| why.code())?;
        let outcome = outcome.ok_or("noOutcome")?;
        let succeeded = success(outcome).ok_or("noOutcome")?;
        self.replayed += 1;
        self.same += again.of_chosen;
        let tokens: i64 = decision.attempts.iter().map(|one| one.input_tokens + one.output_tokens).sum();
        let was_asked = !decision.attempts.is_empty();
        self.asked[0] += usize::from(was_asked);
        self.tokens[0] += tokens;
        if again.asks {
            self.asked[1] += usize::from(was_asked);
            self.tokens[1] += tokens;
        }
        for (candidate, probability) in past.candidates.iter().zip(&again.probabilities) {
            self.agents.entry(candidate.agent_name.to_string()).or_default()[1] += probability;
        }
        self.agents.entry(outcome.agent_name.clone()).or_default()[0] += 1.0;
        let (propensity, probability) = (again.propensity, again.of_chosen);
        self.success.take(propensity, probability, f64::from(succeeded));
        #[allow(clippy::cast_precision_loss, reason = "milliseconds and millionths")]
        let (latency, cost) = (outcome.latency_ms as f64, outcome.usage.cost_micros as f64);
        if succeeded {
            self.latency.take(propensity, probability, latency);
        }
        self.cost.take(propensity, probability, cost);
        Ok(())
    }

    fn summary(self) -> Summary {
        #[allow(clippy::cast_precision_loss, reason = "a count of records read into memory")]
        let all = self.replayed as f64;
        let share = |count: f64| short((all > 0.0).then(|| count / all));
        let estimate = self.success.replay.estimate();
        let agents = self.agents.into_iter().map(|(agent_name, [chosen, would_be])| Share {
            agent_name,
            chosen: share(chosen),
            would_be_chosen: share(would_be),
        });
        Summary {
            decisions: self.decisions,
            replayed: self.replayed,
            not_replayed: self.not_replayed,
            agreement: share(self.same),
            effective_sample: short(estimate.map(|one| one.effective)),
            covered: short(estimate.map(|one| one.covered)),
            capped: short(estimate.map(|one| one.capped)),
            success: self.success.told(),
            latency_ms: self.latency.told(),
            cost_micros: self.cost.told(),
            llm: Asked { logged: self.asked[0], otherwise: self.asked[1] },
            tokens: Asked { logged: self.tokens[0], otherwise: self.tokens[1] },
            agents: agents.collect(),
        }
    }
}

/// What is printed, in this order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    decisions: usize,
    replayed: usize,
    not_replayed: BTreeMap<&'static str, usize>,
    agreement: Option<f64>,
    effective_sample: Option<f64>,
    covered: Option<f64>,
    capped: Option<f64>,
    success: Told,
    latency_ms: Told,
    cost_micros: Told,
    llm: Asked<usize>,
    tokens: Asked<i64>,
    agents: Vec<Share>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    logged: Option<f64>,
    estimate: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    ips: Option<f64>,
    ips_low: Option<f64>,
    ips_high: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Asked<N> {
    logged: N,
    otherwise: N,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Share {
    agent_name: String,
    chosen: Option<f64>,
    would_be_chosen: Option<f64>,
}
