//! Questions asked of an LLM over HTTP: who works next ([`Llm::ask`]), and by what plan ([`Llm::plan`]).
//!
//! Both go down the same ladder: the first provider, retries and one re-ask there, the next provider, and so on, all within
//! the deadline of the question. What comes back is an answer in the form that was asked for, or the code of why there is
//! none, and every call that was made. It never fails, never answers later than the deadline, never takes a name by a part of
//! it, and never reads more than 1 MB of a response. A choice is a member of the closed set. A plan may name an agent that
//! nobody offered: whether it can be followed is judged by the core, which has it mended with all that is wrong. Doing without
//! an LLM is not done here: the code in [`Answer::said`] and [`PlanAnswer::plan`] says why the caller must.
//!
//! ```text
//! question ─► provider 1 ─► breaker ─► slot ─► limits ─► call ─► read ─► answer
//!                 │   ▲                                    │       │
//!                 │   └── wait and retry ◄── 408 409 429 5xx, lost │
//!                 │   └── re-ask once, with the reason ◄ not valid ┘
//!                 └─► provider 2 … ─► code
//! ```
//!
//! How the time is split: a provider's turn, with all its waits and retries, ends when its even share of what is left does;
//! who is left is counted without providers whose breaker is open. Time a provider does not use goes to the next. So one that
//! hangs costs its share, and the last one has all that is left. A call that runs into the end of the turn is not repeated:
//! there is no time left to.

mod breaker;
mod call;
mod check;
mod codec;
mod lane;
mod limits;
mod plan;
mod prompt;
mod question;
mod retry;
mod rules;
mod schema;
mod settings;
#[cfg(test)]
mod tests;
mod text;
mod validate;

pub use plan::{PlanAsk, PlanLimits, StepSoFar, outline};
pub use rules::{Prompts, Worded};
pub use settings::{Api, MAX_PROVIDERS, Provider, Secret, Settings, Structured};

use crate::workflow::{Answer, Attempt, Payload, PlanAnswer, fnv1a_32};
use lane::{Lane, Tuning};
use plan::PlanPrompt;
use prompt::Prompt;
use question::Question;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Kept back from the deadline, since timers fire late and the answer has to be carried home.
const MARGIN: Duration = Duration::from_millis(25);

/// One question: who works next on a task.
#[derive(Clone, Debug)]
pub struct Ask {
    pub task_id: String,
    /// The number of the task's decision.
    pub question: u32,
    pub objective: String,
    /// What the step before produced, and who.
    pub last_output: Option<Payload>,
    pub last_agent: Option<String>,
    /// Steps so far, oldest first: agent name, step id.
    pub history: Vec<(String, String)>,
    /// The closed set; what is beyond the first 64 is not offered.
    pub candidates: Vec<Card>,
    /// Whether DONE may be answered. NONE always may.
    pub offers_done: bool,
    /// The answer is there by then.
    pub deadline: Instant,
}

/// An agent as the model is told of it. All but the name is capped in the prompt.
#[derive(Clone, Debug)]
pub struct Card {
    /// As registered.
    pub name: String,
    pub description: String,
    pub capabilities: Vec<String>,
    /// What it takes: format and contract in words; empty = not told.
    pub input: String,
    /// What it produces, likewise.
    pub output: String,
    /// How its work went lately, in our words; empty = not known.
    pub lately: String,
}

/// The providers, with their breakers and limits. One per process; shared by reference.
#[derive(Debug)]
pub struct Llm {
    lanes: Vec<Arc<Lane>>,
    prompts: Prompts,
}

impl Llm {
    /// Checks the settings and prepares the connections; connects nowhere yet.
    ///
    /// # Errors
    /// All faults of the settings, each with field, value and remedy.
    pub fn new(settings: Settings) -> Result<Self, Vec<String>> {
        Self::tuned(settings, Tuning::default())
    }

    fn tuned(settings: Settings, tuning: Tuning) -> Result<Self, Vec<String>> {
        let faults = settings.faults();
        if !faults.is_empty() {
            return Err(faults);
        }
        let client = call::client().map_err(|fault| vec![fault])?;
        let mut lanes = Vec::new();
        let mut faults = Vec::new();
        for provider in settings.providers {
            match Lane::new(client.clone(), provider, tuning) {
                Ok(lane) => lanes.push(Arc::new(lane)),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(Self { lanes, prompts: Prompts::default() }) } else { Err(faults) }
    }

    /// The same, asking in these words.
    #[must_use]
    pub fn with_prompts(self, prompts: Prompts) -> Self {
        Self { prompts, ..self }
    }

    /// The same providers, with their breakers and limits, but only those with these models and in their order, and choices
    /// asked under these rules. No models: all; no rules: the same ones.
    #[must_use]
    pub fn otherwise(&self, models: &[String], select_rules: Option<&str>) -> Self {
        let has = |lane: &Arc<Lane>, model: &str| lane.provider.model == model;
        let of = |model| self.lanes.iter().filter(|lane| has(lane, model)).cloned().collect::<Vec<_>>();
        Self {
            lanes: if models.is_empty() { self.lanes.clone() } else { models.iter().flat_map(|one| of(one)).collect() },
            prompts: select_rules.map_or_else(|| self.prompts.clone(), |rules| self.prompts.selecting_by(rules)),
        }
    }

    /// Asks who works next, until there is a valid answer, nobody left to ask, or no time left.
    ///
    /// Without an answer the code is that of the last provider that was called; if none was called, of the last that was not.
    pub async fn ask(&self, ask: &Ask) -> Answer {
        let prompt = Prompt::new(ask, &self.prompts.select);
        let (said, attempts) = self.climb(&prompt, seed(&ask.task_id, ask.question), ask.deadline).await;
        Answer { said: said.map_err(str::to_owned), attempts, prompt_version: Some(prompt.version) }
    }

    /// Has a plan written, in the same way. It is in form; whether it can be followed is for the core to say.
    pub async fn plan(&self, ask: &PlanAsk) -> PlanAnswer {
        let prompt = PlanPrompt::new(ask, &self.prompts.plan);
        let (plan, attempts) = self.climb(&prompt, seed(&ask.task_id, ask.question), ask.deadline).await;
        PlanAnswer { plan: plan.map_err(str::to_owned), attempts, prompt_version: Some(prompt.version) }
    }

    async fn climb<Q: Question>(
        &self,
        question: &Q,
        seed: u32,
        deadline: Instant,
    ) -> (Result<Q::Answer, &'static str>, Vec<Attempt>) {
        let end = deadline.checked_sub(MARGIN).unwrap_or(deadline);
        let mut attempts = Vec::new();
        let (mut code, mut called) = ("timeout", false);
        for (index, lane) in self.lanes.iter().enumerate() {
            let now = Instant::now();
            if now >= end {
                break;
            }
            let sharing = self.lanes[index..].iter().filter(|lane| lane.is_open_to(now)).count().max(1);
            let until = now + (end - now) / u32::try_from(sharing).unwrap_or(1);
            let turn = lane.turn(question, seed, until, &mut attempts).await;
            match turn.said {
                Ok(said) => return (Ok(said), attempts),
                // A skipped provider says less than one that was called.
                Err(why) if turn.called || !called => code = why,
                Err(_) => {}
            }
            called |= turn.called;
        }
        (Err(code), attempts)
    }

    /// Asks each provider one tiny question, once, all at the same time, within 5 s. Per provider, in order: what it did, or what
    /// is wrong and what to do.
    pub async fn check(&self) -> Vec<(String, Result<String, String>)> {
        check::run(&self.lanes).await
    }
}

/// Differs between questions, and is the same when one is asked again.
fn seed(task_id: &str, question: u32) -> u32 {
    fnv1a_32(task_id) ^ question
}
