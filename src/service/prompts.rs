//! What a model is told of the agents: for the worker that asks it, and for people who want to read it.

use super::rules::policy;
use crate::config::Config;
use crate::contract::{AgentHealth, AgentStatistics};
use crate::llm::{Ask, Card, PlanAsk, PlanLimits, Prompts, Worded};
use crate::selection::{Agent, Availability, LlmUse, Policy, Registry, Terms, choose, same_name};
use crate::workflow::{Choosing, Task, Verdict};
use std::collections::BTreeMap;
use tokio::time::Instant;

/// The rules in force.
pub(super) fn prompts(config: &Config) -> Prompts {
    Prompts::new(config.llm.select_rules.as_deref(), config.llm.plan_rules.as_deref())
}

/// What the model is told of an agent.
pub(super) fn card(agent: &Agent) -> Card {
    let definition = agent.definition();
    let words = |terms: &Terms| match &terms.contract {
        Some(contract) => format!("{} {contract}", terms.format),
        None => terms.format.clone(),
    };
    Card {
        name: agent.name().to_owned(),
        description: definition.description.clone(),
        capabilities: definition.capabilities.clone(),
        input: words(&definition.input),
        output: words(&definition.output),
        lately: String::new(),
    }
}

/// How an agent's work went lately, and that of one type of task, in words.
pub(super) fn lately(health: &AgentHealth, kind: Option<&str>) -> String {
    let rate = |statistics: &AgentStatistics| {
        let seen = statistics.successes + statistics.failures;
        (seen > 0.0).then(|| format!("{:.0} %", statistics.success_rate * 100.0))
    };
    let of_kind = kind.and_then(|kind| {
        let known = health.task_types.iter().find(|(known, _)| same_name(known, kind));
        known.and_then(|(_, statistics)| rate(statistics))
    });
    let overall = rate(&health.overall).map(|rate| match of_kind {
        Some(of_kind) => format!("{rate} of its work succeeds, {of_kind} of tasks of this type"),
        None => format!("{rate} of its work succeeds"),
    });
    let latency = health.overall.p50_ms.map(|millis| format!("half of it takes less than {:.1} s", millis / 1_000.0));
    let in_hand = health.in_flight.zip(health.capacity);
    let load = in_hand.map(|(in_flight, capacity)| format!("{in_flight} of {capacity} assignments in hand"));
    overall.into_iter().chain(latency).chain(load).collect::<Vec<_>>().join("; ")
}

/// The agents that a plan for the task may name, those that fit its objective best first.
pub(super) fn allowed(registry: &Registry, task: &Task) -> Vec<Card> {
    let may = |agent: &Agent| task.agents.is_empty() || task.agents.iter().any(|name| same_name(name, agent.name()));
    registry.by_fit(&task.objective).into_iter().filter(|agent| may(agent)).map(|agent| card(agent)).collect()
}

pub(super) fn limits(config: &Config) -> PlanLimits {
    let workflow = &config.workflow;
    PlanLimits { max_steps: workflow.max_steps, max_depth: workflow.max_depth, max_fan_out: workflow.max_fan_out }
}

/// How a model would be asked who works first on a task, were it asked.
#[must_use]
pub fn of_choice(config: &Config, registry: &Registry, task: &Task) -> Worded {
    let policy = Policy { llm: LlmUse::Always, llm_by_type: BTreeMap::new(), ..policy(config, true) };
    let choosing =
        Choosing { value: task.input.as_ref(), contract: task.input_contract.as_deref(), ..Choosing::of(task) };
    let there: Availability = registry.current().iter().map(|agent| agent.topic_name()).collect();
    let set = match choose(registry, &there, &policy, &choosing) {
        Verdict::Ask { set, .. } => set,
        Verdict::Settled(settled) => settled.eligible.iter().map(ToString::to_string).collect(),
    };
    let ask = Ask {
        task_id: task.id.clone(),
        question: 1,
        objective: task.objective.clone(),
        last_output: None,
        last_agent: None,
        history: Vec::new(),
        candidates: set.iter().filter_map(|name| registry.agent(name)).map(|agent| card(agent)).collect(),
        offers_done: false,
        deadline: Instant::now(),
    };
    prompts(config).select(&ask)
}

/// How a model would be asked for a plan of a task.
#[must_use]
pub fn of_plan(config: &Config, registry: &Registry, task: &Task) -> Worded {
    let ask = PlanAsk {
        task_id: task.id.clone(),
        question: 1,
        objective: task.objective.clone(),
        input: task.input.clone(),
        input_contract: task.input_contract.clone(),
        agents: allowed(registry, task),
        precedents: Vec::new(),
        so_far: Vec::new(),
        rejected: None,
        faults: [].into(),
        limits: limits(config),
        deadline: Instant::now(),
    };
    prompts(config).plan(&ask)
}
