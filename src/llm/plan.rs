//! A plan asked of an LLM: what it is told, and what is made of what it writes.

mod prompt;
mod read;

pub(super) use prompt::{GUARD, PlanPrompt, RULES, VERSION};

use super::Card;
use super::text::line;
use crate::workflow::{Payload, PlannedStep};
use std::fmt::Write;
use std::sync::Arc;
use tokio::time::Instant;

/// Bytes of an outline; a step is told in about a hundred.
const OUTLINE_CAP: usize = 4_000;
const ID_CAP: usize = 64;
const SHORT_CAP: usize = 160;

/// What a plan is wanted for.
#[derive(Clone, Debug)]
pub struct PlanAsk {
    pub task_id: String,
    /// The number of the task's question.
    pub question: u32,
    pub objective: String,
    /// The task's.
    pub input: Option<Payload>,
    /// What the input is said to be: a label or a schema.
    pub input_contract: Option<String>,
    /// Who may be named, best first; what is beyond the first 64 is not told of.
    pub agents: Vec<Card>,
    /// Plans that succeeded for tasks of the same type, as [`outline`] tells them.
    pub precedents: Vec<Arc<str>>,
    /// The plan followed until now, where one of its steps failed for good.
    pub so_far: Vec<StepSoFar>,
    /// The plan that is to be mended, as [`outline`] tells it.
    pub rejected: Option<String>,
    /// What was wrong with the plan before.
    pub faults: Arc<[String]>,
    pub limits: PlanLimits,
    /// The answer is there by then.
    pub deadline: Instant,
}

/// What a plan may not be more than.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanLimits {
    pub max_steps: usize,
    /// Steps on the longest way through it.
    pub max_depth: usize,
    /// Steps that depend on one step.
    pub max_fan_out: usize,
}

/// A step of the plan followed until now.
#[derive(Clone, Debug, PartialEq)]
pub struct StepSoFar {
    pub step_id: String,
    /// Empty if none was chosen.
    pub agent_name: String,
    pub objective: String,
    /// Of a step that succeeded, and only of those: what a further plan may build on.
    pub output: Option<Payload>,
}

/// A plan in short: a line for each step with its id, who does it, what it depends on and what it is for.
#[must_use]
pub fn outline(plan: &[PlannedStep]) -> String {
    let mut text = String::new();
    for (place, step) in plan.iter().enumerate() {
        if text.len() >= OUTLINE_CAP {
            let _ = writeln!(text, "and {} more steps", plan.len() - place);
            break;
        }
        let _ = write!(text, "{}", line(&step.step_id, ID_CAP));
        match (&step.agent_name, &step.capability) {
            (Some(agent), _) => drop(write!(text, ", agent {:?}", line(agent, ID_CAP))),
            (None, Some(capability)) => drop(write!(text, ", capability {:?}", line(capability, ID_CAP))),
            (None, None) => {}
        }
        if !step.depends_on.is_empty() {
            let _ = write!(text, ", after {}", line(&step.depends_on.join(" and "), SHORT_CAP));
        }
        let _ = writeln!(text, ": {}", line(step.objective.trim(), SHORT_CAP));
    }
    text
}
