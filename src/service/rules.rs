//! The configuration's words on a task, as the core's rules.

use crate::config::{self, AskLlm, Auto, CLASSES, Class, Config, Fallback, RetryAgent, Routing};
use crate::selection::{LlmUse, Policy, Strategies, Weights, fold};
use crate::workflow::{ErrorClass, PlanFallback, Prefer, RetryRule, RetryRules, Rules};
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// How agents are chosen where no experiment says otherwise.
pub(super) fn policy(config: &Config, llm_available: bool) -> Policy {
    policy_of(&config.routing, llm_available)
}

/// That and the named strategies.
pub(super) fn strategies(config: &Config, llm_available: bool) -> Strategies {
    let named = config.strategies.iter().map(|(name, strategy)| {
        let routing = strategy.over(&config.routing);
        (name.clone(), policy_of(&routing, llm_available))
    });
    Strategies::new(policy(config, llm_available), named.collect())
}

fn policy_of(routing: &Routing, llm_available: bool) -> Policy {
    let Routing {
        llm,
        margin,
        threshold,
        shortlist,
        llm_by_type,
        epsilon,
        exploration,
        learn: _,
        weights,
        embeddings: _,
    } = routing;
    let config::Weights { fit, success, latency, quality, specialization, capacity, cost } = *weights;
    Policy {
        llm: llm_use(*llm),
        llm_by_type: llm_by_type.iter().map(|(kind, ask)| (fold(kind), llm_use(*ask))).collect(),
        llm_available,
        margin: *margin,
        threshold: *threshold,
        shortlist: *shortlist,
        weights: Weights { fit, success, latency, quality, specialization, capacity, cost },
        epsilon: *epsilon,
        exploration: *exploration,
    }
}

fn llm_use(ask: AskLlm) -> LlmUse {
    match ask {
        AskLlm::Always => LlmUse::Always,
        AskLlm::Ambiguous => LlmUse::Ambiguous,
        AskLlm::Never => LlmUse::Never,
    }
}

/// `can_plan`: whether there is an LLM to write plans.
pub(super) fn rules(config: &Config, can_plan: bool) -> Rules {
    let workflow = &config.workflow;
    Rules {
        default_deadline: millis(workflow.default_deadline),
        max_hops: workflow.max_hops,
        max_attempts: workflow.max_attempts,
        max_tokens: workflow.max_tokens,
        max_cost_micros: workflow.max_cost_micros,
        max_repeats: workflow.max_repeats,
        accept_timeout: millis(workflow.accept_timeout),
        assignment_timeout: millis(workflow.assignment_timeout),
        inactivity_timeout: millis(workflow.inactivity_timeout),
        llm_budget: millis(config.llm.budget),
        plan_budget: millis(workflow.plan_budget),
        // Each is a write, and begins the wait for the next word anew.
        progress_interval: millis(workflow.inactivity_timeout) / 4,
        command_patience: millis(workflow.command_patience),
        workflow_bytes: workflow.workflow_bytes,
        retry: retry(config),
        auto_plans: workflow.auto == Auto::Plan,
        can_plan,
        max_steps: workflow.max_steps,
        max_fan_out: workflow.max_fan_out,
        max_depth: workflow.max_depth,
        max_replans: workflow.max_replans,
        plan_fallback: match workflow.plan_fallback {
            Fallback::Step => PlanFallback::Step,
            Fallback::Route => PlanFallback::Route,
            Fallback::Fail => PlanFallback::Fail,
        },
        learn: config.routing.learn,
    }
}

fn retry(config: &Config) -> RetryRules {
    let (retry, defaults) = (&config.workflow.retry, RetryRules::default());
    let classes = retry.classes();
    let by_class = ErrorClass::ALL.map(|class| {
        let place = CLASSES.iter().position(|key| key.eq_ignore_ascii_case(class.symbol()));
        let default = defaults.by_class[class as usize];
        place.map_or(default, |place| over(classes[place], default))
    });
    let mut by_agent = BTreeMap::new();
    for (agent, classes) in &retry.agents {
        for class in ErrorClass::ALL {
            if let Some(own) = classes.get(&class.symbol().to_ascii_lowercase()) {
                let name = agent.trim().to_ascii_lowercase();
                by_agent.insert((name, class.symbol()), over(own, by_class[class as usize]));
            }
        }
    }
    RetryRules { by_class, by_agent }
}

/// What is said, over what holds where nothing is.
fn over(class: &Class, rule: RetryRule) -> RetryRule {
    RetryRule {
        attempts: class.attempts.unwrap_or(rule.attempts),
        backoff: class.backoff.map_or(rule.backoff, |wait| millis(wait.0)),
        backoff_cap: class.backoff_cap.map_or(rule.backoff_cap, |wait| millis(wait.0)),
        agent: match class.agent {
            Some(RetryAgent::Same) => Prefer::Same,
            Some(RetryAgent::Other) => Prefer::Other,
            None => rule.agent,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_the_classs_default_and_an_agents_word_goes_first() {
        let text = r#"
            [workflow.retry.transient]
            attempts = 5
            [workflow.retry.agents."Slow One".transient]
            backoff = "10s"
        "#;
        let config: Config = toml::from_str(text).expect("it parses");
        let rules = retry(&config);
        let of = |agent| rules.of(agent, ErrorClass::Transient);
        assert_eq!((of("any").attempts, of("any").backoff), (5, 1_000));
        assert_eq!((of("slow one").attempts, of("slow one").backoff), (5, 10_000));
        assert_eq!(rules.of("slow one", ErrorClass::Permanent).attempts, 1);
    }

    #[test]
    fn every_class_has_its_key() {
        for class in ErrorClass::ALL {
            assert!(CLASSES.iter().any(|key| key.eq_ignore_ascii_case(class.symbol())), "{}", class.symbol());
        }
    }
}
