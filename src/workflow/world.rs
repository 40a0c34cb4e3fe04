use super::{Answer, Choosing, Payload, RetryRules, Settled, Verdict};

/// The read-only view of registry and rules at one moment.
///
/// Tables may differ between workers for a moment without harm: what a decision used is in the decision.
pub trait World {
    fn rules(&self) -> &Rules;

    /// Takes note that what is decided next is of this partition's tasks.
    fn set_partition(&self, number: i32);

    /// What can be said without a call, or whom to ask about.
    fn choose(&self, choosing: &Choosing<'_>) -> Verdict;

    /// Makes a decision of the LLM's answer, checked against the set that was asked and who is eligible now.
    fn settle(&self, choosing: &Choosing<'_>, set: &[String], offers_done: bool, answer: &Answer) -> Settled;

    /// Who could be chosen now.
    fn prospects(&self, choosing: &Choosing<'_>) -> Prospects;

    /// Names of those of these agents, by topic name, that take so many assignments at once and no more, now.
    fn limited(&self, topic_names: &[String]) -> Vec<String>;

    /// Takes note that the agent of this topic has one assignment more, for what is decided after it in the same
    /// transaction.
    fn assigned(&self, topic_name: &str);

    /// Takes note that the step that is decided next is the next of this agent's line, which has room for it; none: of
    /// nobody's.
    fn let_through(&self, topic_name: Option<&str>);

    /// What is known of the agent of this topic; none if it is not registered.
    fn agent(&self, topic_name: &str) -> Option<AgentTraits>;

    /// What the registered versions of an agent take and give; none if no version is registered.
    fn labels(&self, agent_name: &str) -> Option<Labels>;

    /// Whether a registered agent has the capability.
    fn has_capability(&self, capability: &str) -> bool;

    /// Why the output is not what the agent declares, or not what the step's own contract asks for.
    fn output_fault(&self, topic_name: &str, contract: Option<&str>, output: &Payload) -> Option<String>;

    /// Whether an output is held against a schema that refuses something: the agent's, or the step's own contract.
    fn verifies(&self, topic_name: &str, contract: Option<&str>) -> bool;
}

/// Whom a choice could go to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prospects {
    /// Names of the agents that are eligible, sorted.
    pub eligible: Vec<String>,
    /// Topic names of those that would be if they had room, in the order of their names.
    pub busy: Vec<String>,
}

/// What follows depend on of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentTraits {
    /// Whether work of which nobody knows how far it came may be repeated.
    pub idempotent: bool,
    /// Whether a person approves of each step it gets.
    pub require_approval: bool,
}

/// The labels of an agent's contracts over its versions. Empty where one of them is no label: that may take or give
/// anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    pub takes: Vec<String>,
    pub gives: Vec<String>,
}

/// Limits in force, each named as in the configuration; times in milliseconds, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    pub default_deadline: i64,
    pub max_hops: u32,
    /// Assignments of one task.
    pub max_attempts: u32,
    /// Tokens and cost of one task; none = no limit.
    pub max_tokens: Option<i64>,
    pub max_cost_micros: Option<i64>,
    /// How often in a route one agent may get the same input.
    pub max_repeats: u32,
    pub accept_timeout: i64,
    pub assignment_timeout: i64,
    pub inactivity_timeout: i64,
    /// Of one whole decision by the LLM.
    pub llm_budget: i64,
    /// Of one plan by the LLM.
    pub plan_budget: i64,
    /// A PROGRESS report is kept at most this often.
    pub progress_interval: i64,
    /// How long a command waits for its task.
    pub command_patience: i64,
    /// Of all payloads of one workflow.
    pub workflow_bytes: usize,
    pub retry: RetryRules,
    /// Whether a task in mode AUTO without a plan has one written.
    pub auto_plans: bool,
    /// Whether there is an LLM to write plans.
    pub can_plan: bool,
    pub max_steps: usize,
    /// Steps that depend on one step.
    pub max_fan_out: usize,
    /// Steps on the longest way through a plan.
    pub max_depth: usize,
    pub max_replans: u32,
    pub plan_fallback: PlanFallback,
    /// Whether texts that an agent turned out to be right for are told of.
    pub learn: bool,
}

/// Ample: for whoever has no configuration.
impl Default for Rules {
    fn default() -> Self {
        const HOUR: i64 = 3_600_000;
        Self {
            default_deadline: 24 * HOUR,
            max_hops: 20,
            max_attempts: 200,
            max_tokens: None,
            max_cost_micros: None,
            max_repeats: 3,
            accept_timeout: HOUR,
            assignment_timeout: HOUR,
            inactivity_timeout: HOUR,
            llm_budget: 3_000,
            plan_budget: 30_000,
            progress_interval: HOUR / 4,
            command_patience: 5_000,
            workflow_bytes: 1 << 20,
            retry: RetryRules::default(),
            auto_plans: false,
            can_plan: false,
            max_steps: 1_000,
            max_fan_out: 1_000,
            max_depth: 1_000,
            max_replans: 1,
            plan_fallback: PlanFallback::default(),
            learn: true,
        }
    }
}

/// What is done where no plan could be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlanFallback {
    /// One step with the task's objective.
    #[default]
    Step,
    Route,
    Fail,
}
