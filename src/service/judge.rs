//! Choices made one by one outside of a worker, as a worker would make them: for whoever wants to know how good they are.

use super::prompts::card;
use super::rules::policy;
use crate::config::Config;
use crate::llm::{Ask, Llm};
use crate::selection::{
    Agent, Availability, Confirmed, Embed, Keep, Memory, Policy, Registry, choose, same_name, settle,
};
use crate::workflow::{Choice, Choosing, Settled, SettledBy, Task, Timestamp, Usage, Verdict};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Chooses among the agents of a registry, all taken to be there.
#[derive(Debug)]
pub struct Judge {
    registry: Registry,
    availability: Availability,
    policy: Policy,
    llm: Option<Llm>,
    budget: Duration,
}

/// A task that an agent succeeded with.
#[derive(Clone, Debug)]
pub struct Known {
    pub agent_name: String,
    pub text: String,
    pub capability: Option<String>,
}

/// What was chosen for a text.
#[derive(Clone, Debug)]
pub struct Judged {
    /// As registered; none = no agent was said to be right.
    pub agent_name: Option<String>,
    /// 0 to 1.
    pub confidence: Option<f64>,
    /// Whether it was a clear lead or an LLM's word, and not only the best there was.
    pub without_doubt: bool,
    pub took: Duration,
    /// Of all calls to providers.
    pub tokens: i64,
    pub cost_micros: i64,
}

impl Judge {
    /// By `[routing]`; asks an LLM only if there is one. All that is `known` is remembered, whatever bounds memory has
    /// elsewhere; of agents that are not there nothing is.
    #[must_use]
    pub fn new(
        config: &Config,
        agents: Vec<Arc<Agent>>,
        known: Vec<Known>,
        llm: Option<Llm>,
        embed: Option<Arc<dyn Embed>>,
    ) -> Self {
        let mut memory = Memory::new(Keep { examples: usize::MAX, from_one_source: usize::MAX, of_agent: usize::MAX });
        for (at, Known { agent_name, text, capability }) in (0..).zip(known) {
            if let Some(agent) = agents.iter().find(|agent| same_name(agent.name(), &agent_name)) {
                memory.learn(agent, Confirmed { text, capability, source: String::new(), at: Timestamp(at) });
            }
        }
        let entries = agents.into_iter().map(|agent| (agent.topic_name().to_owned(), Ok(agent))).collect();
        let registry = Registry::remembering(entries, memory, embed);
        let availability = registry.entries().map(|(key, _)| key).collect();
        let policy = policy(config, llm.is_some());
        Self { registry, availability, policy, llm, budget: config.llm.budget }
    }

    /// About how many bytes it takes to choose by texts and examples.
    #[must_use]
    pub fn index_bytes(&self) -> usize {
        self.registry.index_bytes()
    }

    /// Chooses for a task of which nothing but its objective is known. `number` tells questions apart.
    pub async fn judge(&self, number: usize, objective: &str) -> Judged {
        // Nothing is to be learned here: of equals the first.
        let task = Task { explore: false, ..Task::new(format!("eval-{number}"), objective) };
        let choosing = Choosing::of(&task);
        let start = Instant::now();
        let (settled, usage) = match choose(&self.registry, &self.availability, &self.policy, &choosing) {
            Verdict::Settled(settled) => (*settled, Usage::default()),
            Verdict::Ask { set, offers_done } => self.ask(&choosing, set, offers_done).await,
        };
        let took = start.elapsed();
        let agent_name = match settled.choice {
            Choice::Agent(name) => Some(name),
            Choice::None | Choice::Done => None,
        };
        Judged {
            confidence: settled.confidence.filter(|_| agent_name.is_some()),
            without_doubt: agent_name.is_some() && settled.by != SettledBy::Local,
            agent_name,
            took,
            tokens: usage.input_tokens.saturating_add(usage.output_tokens),
            cost_micros: usage.cost_micros,
        }
    }

    async fn ask(&self, choosing: &Choosing<'_>, set: Vec<String>, offers_done: bool) -> (Settled, Usage) {
        let llm = self.llm.as_ref().expect("the policy asks only where there is an LLM");
        let ask = Ask {
            task_id: choosing.task.id.clone(),
            question: 1,
            objective: choosing.objective.to_owned(),
            last_output: None,
            last_agent: None,
            history: Vec::new(),
            candidates: set.iter().filter_map(|name| self.registry.agent(name)).map(|agent| card(agent)).collect(),
            offers_done,
            deadline: tokio::time::Instant::now() + self.budget,
        };
        let answer = llm.ask(&ask).await;
        let usage = answer.attempts.iter().fold(Usage::default(), |usage, attempt| usage.plus(attempt.usage));
        let settled = settle(&self.registry, &self.availability, &self.policy, choosing, &set, offers_done, &answer);
        (settled, usage)
    }
}
