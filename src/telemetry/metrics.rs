//! What is counted, as handles that are found once and then only added to: a hot loop never looks up a label.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Input {
    topic: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Sourced {
    source: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Delivery {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Agreement {
    agrees: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfAgent {
    agent: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfMetric {
    agent: String,
    metric: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Decided {
    by: String,
    degraded: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: String,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    provider: String,
    model: String,
    verdict: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Model {
    provider: String,
    model: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Tokens {
    provider: String,
    model: String,
    direction: &'static str,
}

type Seconds = Family<Model, Histogram, fn() -> Histogram>;

/// All of Baton's metrics. Shared by `Arc`; updating one is an atomic add.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    inputs: Family<Input, Counter>,
    sources: Family<Sourced, Counter>,
    deliveries: Family<Delivery, Counter>,
    /// Assignments of agents with an endpoint that are read and not ended.
    pub deliveries_in_hand: Gauge,
    dead_letters: Family<Reason, Counter>,
    /// Of the inputs of the last minute, the share of dead letters.
    pub dead_letter_ratio: Gauge<f64, AtomicU64>,
    /// 1 while that is over `worker.dead_letter_ratio`.
    pub dead_letters_over_ratio: Gauge,
    decisions: Family<Decided, Counter>,
    completions: Family<Ended, Counter>,
    llm_calls: Family<Call, Counter>,
    llm_seconds: Seconds,
    llm_tokens: Family<Tokens, Counter>,
    llm_cost: Family<Model, Counter>,
    /// From a transaction's first record to its commit.
    pub transaction_seconds: Histogram,
    /// Inputs in one transaction.
    pub transaction_inputs: Histogram,
    pub transactions_aborted: Counter,
    /// Commits and aborts of which nobody said how they ended.
    pub transactions_unknown: Counter,
    pub live_workflows: Gauge,
    /// Partition numbers held.
    pub partitions: Gauge,
    /// 1 while no new tasks are taken because `worker.max_live` is reached.
    pub tasks_paused: Gauge,
    pub restores: Counter,
    pub restore_seconds: Histogram,
    pub restored_records: Counter,
    pub rebalances: Counter,
    pub producers_rebuilt: Counter,
    pub agents_registered: Gauge,
    pub agents_eligible: Gauge,
    /// Agents whose definition has a fault.
    pub agents_faulty: Gauge,
    agent_outcomes: Family<Delivery, Counter>,
    llm_agreement: Family<Agreement, Counter>,
    agent_breakers: Family<OfAgent, Gauge>,
    agent_scores: Family<OfAgent, Gauge<f64, AtomicU64>>,
    prediction_coverage: Family<OfAgent, Gauge<f64, AtomicU64>>,
    brier_scores: Family<OfAgent, Gauge<f64, AtomicU64>>,
    anomalies: Family<OfMetric, Gauge>,
    /// Reports that counted without numbers that cannot be.
    pub reports_corrected: Counter,
    /// Signs of life of agents that are not registered.
    pub heartbeats_unknown: Counter,
}

/// What became of the records of one topic.
#[derive(Clone, Debug)]
pub struct InputCounters {
    pub accepted: Counter,
    pub stale: Counter,
    pub duplicate: Counter,
    /// Sent home to another partition.
    pub forwarded: Counter,
    pub dead: Counter,
}

/// What became of the records of one source.
#[derive(Clone, Debug)]
pub struct SourceCounters {
    /// Made into a task.
    pub tasks: Counter,
    /// Made into an agent's report.
    pub reports: Counter,
    /// Handed to an agent that reads another topic.
    pub predictions: Counter,
    /// Null values, which mean that something is gone.
    pub skipped: Counter,
    pub dead: Counter,
}

/// What one model was asked and what it cost.
#[derive(Clone, Debug)]
pub struct LlmCounters {
    pub seconds: Histogram,
    pub input_tokens: Counter,
    pub output_tokens: Counter,
    pub cost_micros: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("baton");
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 14));
        let metrics = Self {
            inputs: Family::default(),
            sources: Family::default(),
            deliveries: Family::default(),
            deliveries_in_hand: Gauge::default(),
            dead_letters: Family::default(),
            dead_letter_ratio: Gauge::default(),
            dead_letters_over_ratio: Gauge::default(),
            decisions: Family::default(),
            completions: Family::default(),
            llm_calls: Family::default(),
            llm_seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.05, 2.0, 10))),
            llm_tokens: Family::default(),
            llm_cost: Family::default(),
            // Four buckets to the doubling: most transactions take 3 to 10 ms, and that is where one looks.
            transaction_seconds: Histogram::new(exponential_buckets(0.001, 2.0_f64.powf(0.25), 54)),
            transaction_inputs: Histogram::new(exponential_buckets(1.0, 4.0, 8)),
            transactions_aborted: Counter::default(),
            transactions_unknown: Counter::default(),
            live_workflows: Gauge::default(),
            partitions: Gauge::default(),
            tasks_paused: Gauge::default(),
            restores: Counter::default(),
            restore_seconds: seconds(),
            restored_records: Counter::default(),
            rebalances: Counter::default(),
            producers_rebuilt: Counter::default(),
            agents_registered: Gauge::default(),
            agents_eligible: Gauge::default(),
            agents_faulty: Gauge::default(),
            agent_outcomes: Family::default(),
            llm_agreement: Family::default(),
            agent_breakers: Family::default(),
            agent_scores: Family::default(),
            prediction_coverage: Family::default(),
            brier_scores: Family::default(),
            anomalies: Family::default(),
            reports_corrected: Counter::default(),
            heartbeats_unknown: Counter::default(),
            registry: Registry::default(),
        };
        let m = &metrics;
        registry.register("inputs", "Records taken, by topic and what became of them", m.inputs.clone());
        registry.register("sources", "Records of sources, by what became of them", m.sources.clone());
        registry.register(
            "deliveries",
            "Requests to agents with an endpoint, by what became of them",
            m.deliveries.clone(),
        );
        let in_hand = "Assignments of agents with an endpoint that are read and not ended";
        registry.register("deliveries_in_hand", in_hand, m.deliveries_in_hand.clone());
        registry.register("dead_letters", "Records refused, by reason", m.dead_letters.clone());
        registry.register(
            "dead_letter_ratio",
            "Share of dead letters among the inputs of the last minute",
            m.dead_letter_ratio.clone(),
        );
        registry.register(
            "dead_letters_over_ratio",
            "1 while that share is over worker.dead_letter_ratio",
            m.dead_letters_over_ratio.clone(),
        );
        registry.register("decisions", "Decisions, by who settled them and whether degraded", m.decisions.clone());
        registry.register("completions", "Tasks ended, by outcome and reason", m.completions.clone());
        registry.register("llm_calls", "Calls to models, by what came of them", m.llm_calls.clone());
        registry.register("llm_call_seconds", "Time of one call to a model", m.llm_seconds.clone());
        registry.register("llm_tokens", "Tokens, by direction", m.llm_tokens.clone());
        registry.register("llm_cost_micros", "Cost in millionths of the currency", m.llm_cost.clone());
        registry.register("transaction_seconds", "Time of one transaction", m.transaction_seconds.clone());
        registry.register("transaction_inputs", "Inputs in one transaction", m.transaction_inputs.clone());
        registry.register("transactions_aborted", "Transactions aborted", m.transactions_aborted.clone());
        registry.register("transactions_unknown", "Transactions of unknown outcome", m.transactions_unknown.clone());
        registry.register("live_workflows", "Tasks under way on this worker", m.live_workflows.clone());
        registry.register("partitions", "Partition numbers held by this worker", m.partitions.clone());
        registry.register("tasks_paused", "1 while no new tasks are taken", m.tasks_paused.clone());
        registry.register("restores", "Partition numbers restored", m.restores.clone());
        registry.register("restore_seconds", "Time of one restore", m.restore_seconds.clone());
        registry.register("restored_records", "Snapshot records read in restores", m.restored_records.clone());
        registry.register("rebalances", "Assignments of partitions changed", m.rebalances.clone());
        registry.register("producers_rebuilt", "Producers replaced after an error", m.producers_rebuilt.clone());
        registry.register("agents_registered", "Agents in the table", m.agents_registered.clone());
        registry.register("agents_eligible", "Agents that may be chosen", m.agents_eligible.clone());
        registry.register("agents_faulty", "Agents whose definition has a fault", m.agents_faulty.clone());
        let agreement = "Questions that an LLM decided, by whether the local selector would have chosen the same";
        registry.register("llm_agreement", agreement, m.llm_agreement.clone());
        registry.register("agent_outcomes", "Outcomes of assignments taken, by class", m.agent_outcomes.clone());
        let breaker = "An agent's circuit breaker: 0 closed, 1 half open, 2 open";
        registry.register("agent_breaker", breaker, m.agent_breakers.clone());
        registry.register("agent_health_score", "How well an agent does, 0 to 1", m.agent_scores.clone());
        let coverage = "Share of successes that took as long as nine of ten were expected to";
        registry.register("agent_prediction_coverage", coverage, m.prediction_coverage.clone());
        let brier = "Mean square of what the predicted probability of success was off by, 0 to 1";
        registry.register("agent_brier_score", brier, m.brier_scores.clone());
        registry.register("anomalies", "1 while something of an agent is unusual, by metric", m.anomalies.clone());
        let corrected = "Reports that counted without their numbers, which cannot be";
        registry.register("reports_corrected", corrected, m.reports_corrected.clone());
        let unknown = "Signs of life of agents that are not registered";
        registry.register("heartbeats_unknown", unknown, m.heartbeats_unknown.clone());
        Self { registry, ..metrics }
    }

    /// The counters of one input topic, to be kept by whoever reads it.
    #[must_use]
    pub fn inputs(&self, topic: &str) -> InputCounters {
        let counter = |outcome| self.inputs.get_or_create_owned(&Input { topic: topic.to_owned(), outcome });
        InputCounters {
            accepted: counter("accepted"),
            stale: counter("stale"),
            duplicate: counter("duplicate"),
            forwarded: counter("forwarded"),
            dead: counter("dead"),
        }
    }

    /// The counters of one source.
    #[must_use]
    pub fn source(&self, name: &str) -> SourceCounters {
        let counter = |outcome| self.sources.get_or_create_owned(&Sourced { source: name.to_owned(), outcome });
        SourceCounters {
            tasks: counter("task"),
            reports: counter("report"),
            predictions: counter("prediction"),
            skipped: counter("skipped"),
            dead: counter("dead"),
        }
    }

    /// What became of requests to agents with an endpoint.
    #[must_use]
    pub fn deliveries(&self, outcome: &'static str) -> Counter {
        self.deliveries.get_or_create_owned(&Delivery { outcome })
    }

    /// Questions that an LLM decided; `agrees` if the local selector would have chosen the same.
    #[must_use]
    pub fn llm_agreement(&self, agrees: bool) -> Counter {
        self.llm_agreement.get_or_create_owned(&Agreement { agrees: if agrees { "yes" } else { "no" } })
    }

    /// Outcomes of assignments that were taken into the statistics.
    #[must_use]
    pub fn agent_outcomes(&self, outcome: &'static str) -> Counter {
        self.agent_outcomes.get_or_create_owned(&Delivery { outcome })
    }

    /// How an agent is: the phase of its breaker and its score; none = nothing is known of it any more.
    pub fn agent(&self, topic_name: &str, health: Option<(i64, f64)>) {
        let labels = OfAgent { agent: topic_name.to_owned() };
        match health {
            Some((breaker, score)) => {
                self.agent_breakers.get_or_create(&labels).set(breaker);
                self.agent_scores.get_or_create(&labels).set(score);
            }
            None => {
                self.agent_breakers.remove(&labels);
                self.agent_scores.remove(&labels);
            }
        }
    }

    /// How good predictions of an agent's work are: coverage of latencies and Brier score, 0 to 1 each; none = nothing is
    /// known, or nothing any more.
    pub fn predictions(&self, topic_name: &str, coverage: Option<f64>, brier: Option<f64>) {
        let labels = OfAgent { agent: topic_name.to_owned() };
        for (family, value) in [(&self.prediction_coverage, coverage), (&self.brier_scores, brier)] {
            match value {
                Some(value) => drop(family.get_or_create(&labels).set(value)),
                None => drop(family.remove(&labels)),
            }
        }
    }

    /// Whether something of an agent is unusual now; none = nothing is known of it any more.
    pub fn anomaly(&self, topic_name: &str, metric: &'static str, goes_on: Option<bool>) {
        let labels = OfMetric { agent: topic_name.to_owned(), metric };
        match goes_on {
            Some(goes_on) => drop(self.anomalies.get_or_create(&labels).set(i64::from(goes_on))),
            None => drop(self.anomalies.remove(&labels)),
        }
    }

    /// Dead letters with this reason.
    #[must_use]
    pub fn dead_letters(&self, reason: &str) -> Counter {
        self.dead_letters.get_or_create_owned(&Reason { reason: reason.to_owned() })
    }

    /// Decisions settled by `by`; `degraded` is the code, if one is.
    #[must_use]
    pub fn decisions(&self, by: &str, degraded: Option<&str>) -> Counter {
        let degraded = degraded.unwrap_or_default().to_owned();
        self.decisions.get_or_create_owned(&Decided { by: by.to_owned(), degraded })
    }

    /// Tasks that ended this way. Reasons are codes: their number is bounded.
    #[must_use]
    pub fn completions(&self, outcome: &str, reason: &str) -> Counter {
        self.completions.get_or_create_owned(&Ended { outcome: outcome.to_owned(), reason: reason.to_owned() })
    }

    /// Calls to a model that came to `verdict`, which must be a code and no free text.
    #[must_use]
    pub fn llm_calls(&self, provider: &str, model: &str, verdict: &str) -> Counter {
        self.llm_calls.get_or_create_owned(&Call {
            provider: provider.to_owned(),
            model: model.to_owned(),
            verdict: verdict.to_owned(),
        })
    }

    /// Time, tokens and cost of one model, to be kept by its client.
    #[must_use]
    pub fn llm(&self, provider: &str, model: &str) -> LlmCounters {
        let (provider, model) = (provider.to_owned(), model.to_owned());
        let labels = Model { provider: provider.clone(), model: model.clone() };
        let tokens = |direction| {
            self.llm_tokens.get_or_create_owned(&Tokens { provider: provider.clone(), model: model.clone(), direction })
        };
        LlmCounters {
            seconds: self.llm_seconds.get_or_create_owned(&labels),
            input_tokens: tokens("input"),
            output_tokens: tokens("output"),
            cost_micros: self.llm_cost.get_or_create_owned(&labels),
        }
    }

    /// Everything in OpenMetrics text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string cannot fail");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_rendered_under_batons_names() {
        let metrics = Metrics::new();
        let inputs = metrics.inputs("tasks");
        inputs.accepted.inc_by(2);
        inputs.dead.inc();
        metrics.dead_letters("INVALID").inc();
        metrics.decisions("LLM", Some("low_confidence")).inc();
        metrics.llm("http://a", "m").input_tokens.inc_by(7);
        metrics.llm_calls("http://a", "m", "valid").inc();
        metrics.live_workflows.set(3);
        metrics.agent_outcomes("TIMEOUT").inc();
        metrics.agent("scorer", Some((2, 0.25)));
        metrics.agent("gone", Some((0, 1.0)));
        metrics.agent("gone", None);
        metrics.predictions("scorer", Some(0.75), None);
        metrics.predictions("gone", Some(1.0), Some(0.5));
        metrics.predictions("gone", None, None);
        metrics.transaction_seconds.observe(0.004);
        let text = metrics.render();
        for line in [
            r#"baton_inputs_total{topic="tasks",outcome="accepted"} 2"#,
            r#"baton_inputs_total{topic="tasks",outcome="dead"} 1"#,
            r#"baton_dead_letters_total{reason="INVALID"} 1"#,
            r#"baton_decisions_total{by="LLM",degraded="low_confidence"} 1"#,
            r#"baton_llm_tokens_total{provider="http://a",model="m",direction="input"} 7"#,
            r#"baton_live_workflows 3"#,
            r#"baton_agent_outcomes_total{outcome="TIMEOUT"} 1"#,
            r#"baton_agent_breaker{agent="scorer"} 2"#,
            r#"baton_agent_health_score{agent="scorer"} 0.25"#,
            r#"baton_agent_prediction_coverage{agent="scorer"} 0.75"#,
            "baton_transaction_seconds_count 1",
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
        assert!(!text.contains("gone"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
