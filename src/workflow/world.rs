use super::{Answer, Choosing, Settled, Verdict};

/// The read-only view of registry and rules at one moment.
///
/// Tables may differ between workers for a moment without harm: what a decision used is in the decision.
pub trait World {
    fn rules(&self) -> &Rules;

    /// What can be said without a call, or whom to ask about.
    fn choose(&self, choosing: &Choosing<'_>) -> Verdict;

    /// Makes a decision of the LLM's answer, checked against the set that was asked and who is eligible now.
    fn settle(&self, choosing: &Choosing<'_>, set: &[String], offers_done: bool, answer: &Answer) -> Settled;

    /// Names of the agents eligible now, sorted.
    fn eligible(&self, choosing: &Choosing<'_>) -> Vec<String>;

    /// Whether the agent declares its output `application/json`.
    fn output_is_json(&self, agent_name: &str) -> bool;
}

/// Limits in force, each named as in the configuration; times in milliseconds, sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub default_deadline: i64,
    pub max_hops: u32,
    pub accept_timeout: i64,
    pub assignment_timeout: i64,
    /// Of one whole decision by the LLM.
    pub llm_budget: i64,
    /// A PROGRESS report is kept at most this often.
    pub progress_interval: i64,
    /// Of all payloads of one workflow.
    pub workflow_bytes: usize,
}
