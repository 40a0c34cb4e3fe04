//! The vocabulary of choosing: what is asked, what may be answered, what was settled and why.

use super::{Grounds, Payload, PlannedStep, Task, Timestamp, Usage};
use std::sync::Arc;

/// What a decision came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// An agent, by its name as registered.
    Agent(String),
    /// No agent fits: the step waits for a change of the eligible set.
    None,
    /// Nothing is left to do: the route ends with its last output.
    Done,
}

/// Who settled a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettledBy {
    /// The plan names the agent.
    Pinned,
    /// A person named the agent.
    Operator,
    /// Contracts left one agent, or none (DONE).
    Contract,
    /// The same question had been answered before.
    Cache,
    /// The best chance led by the margin: no call was needed.
    ClearWinner,
    Llm,
    /// The local selector.
    Local,
}

/// One agent as a decision saw it.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    pub agent_name: Arc<str>,
    pub version: Arc<str>,
    /// 0 to 1; none where nothing was scored.
    pub score: Option<f64>,
    /// The parts of the score by name.
    pub factors: Vec<(&'static str, f64)>,
    /// Why the agent could not be chosen; none = eligible.
    pub excluded: Option<Arc<str>>,
}

/// The agent a decision chose, as it was registered at that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    pub agent_name: Arc<str>,
    /// The part of the assignment topic's name after the prefix.
    pub topic_name: Arc<str>,
    pub version: Arc<str>,
    /// The agent's output contract as written, for the assignment.
    pub output_contract: Option<String>,
    /// Whether the agent declares its output `application/json`: then it must parse.
    pub output_is_json: bool,
}

/// A decision without the numbers and times that the workflow gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    pub choice: Choice,
    /// Present exactly if `choice` is an agent.
    pub chosen: Option<Arc<Chosen>>,
    pub by: SettledBy,
    pub confidence: Option<f64>,
    pub reason: String,
    /// At most 20: the chosen, the best, then excluded ones. Never empty while agents are registered.
    pub candidates: Vec<Candidate>,
    /// Set if an LLM was to be asked and its valid answer did not decide: a code such as `low_confidence`.
    pub degraded: Option<String>,
    /// Names eligible at that moment, sorted: what a NONE waits to see changed.
    pub eligible: Vec<Arc<str>>,
    /// How likely the chosen agent was to be taken, 0 to 1, where chance had a part in it.
    pub propensity: Option<f64>,
    /// What would have been chosen without the LLM, where its answer decided.
    pub beside: Option<Box<Beside>>,
    /// Of the chosen agent.
    pub grounds: Option<Arc<Grounds>>,
    /// Of a NONE: topic names of agents that would do, but have as much to do as they take; the step waits in line for
    /// them.
    pub busy: Vec<String>,
    /// The name of the strategy that was followed; none = what is configured without a name.
    pub strategy: Option<Arc<str>>,
    /// The variant of an experiment that the task belongs to: `<experiment>/<variant>`.
    pub variant: Option<Arc<str>>,
}

/// The local selector's answer to a question that the LLM decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Beside {
    pub choice: Choice,
    pub confidence: Option<f64>,
}

/// What can be said at once: a decision, or whom to let the LLM choose from.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Settled(Box<Settled>),
    Ask {
        /// The closed set: agents' names as registered, best first.
        set: Vec<String>,
        /// Whether DONE may be answered. NONE always may.
        offers_done: bool,
    },
}

/// What the LLM said, after all retries and re-asks within the decision's budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// A valid member of the set, or the code of why there is none
    /// (`timeout`, `unavailable`, `invalid_answer`, `refused`, `rate_limited`, `cost_cap`, `misconfigured`).
    pub said: Result<Said, String>,
    pub attempts: Vec<Attempt>,
    pub prompt_version: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    pub choice: Choice,
    /// 0 to 1.
    pub confidence: f64,
    pub reason: String,
}

/// One call to one provider.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    pub provider: String,
    pub model: String,
    /// At most 1 KB of what came back.
    pub answer: String,
    /// `valid`, or what was wrong with it.
    pub verdict: String,
    pub millis: i64,
    pub usage: Usage,
}

/// A plan as the LLM wrote it, or the code of why there is none, as of [`Answer::said`].
#[derive(Clone, Debug, PartialEq)]
pub struct PlanAnswer {
    pub plan: Result<Vec<PlannedStep>, String>,
    pub attempts: Vec<Attempt>,
    pub prompt_version: Option<String>,
}

/// Everything a choice may depend on, but the registry.
#[derive(Clone, Copy, Debug)]
pub struct Choosing<'a> {
    pub task: &'a Task,
    /// When the task was submitted.
    pub submitted_at: Timestamp,
    /// The step's in a plan, else the task's.
    pub objective: &'a str,
    /// What the agent would get.
    pub value: Option<&'a Payload>,
    /// The topic name of the agent whose output the value is, if it is one agent's.
    pub producer: Option<&'a str>,
    /// What the value is said to be, where no producer says it: a schema or a label.
    pub contract: Option<&'a str>,
    /// The agent must have it.
    pub capability: Option<&'a str>,
    /// Whether the route may end instead: after its first result.
    pub may_end: bool,
    /// No other agent will do.
    pub pinned: Option<Pinned<'a>>,
    /// Comes before all others, if it is eligible.
    pub again: Option<&'a str>,
    /// Agents that declined this step.
    pub declined: &'a [Arc<str>],
    /// Agents that failed on this step: others come first.
    pub failed: &'a [Arc<str>],
    /// Agents already picked by contract in this route.
    pub picked_by_contract: &'a [Arc<str>],
    /// Of this choice and no other: what chance goes by.
    pub seed: u64,
}

impl<'a> Choosing<'a> {
    /// The first choice for a task of which nothing is known but what it says: without contracts, history or chance.
    #[must_use]
    pub fn of(task: &'a Task) -> Self {
        Self {
            task,
            submitted_at: task.submitted_at.unwrap_or(Timestamp(0)),
            objective: &task.objective,
            value: None,
            producer: None,
            contract: None,
            capability: None,
            may_end: false,
            pinned: None,
            again: None,
            declined: &[],
            failed: &[],
            picked_by_contract: &[],
            seed: 0,
        }
    }
}

/// The one agent that will do, and whose word that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinned<'a> {
    pub agent_name: &'a str,
    /// A person's on this step, or the plan's.
    pub by_operator: bool,
}
