//! What the LLM is asked, read off a workflow.

use super::calls::Asker;
use crate::llm::{Ask, PlanAsk, PlanLimits, StepSoFar, outline};
use crate::workflow::{PlanAnswer, Timestamp, Workflow};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// A plan that is owed.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) faults: Arc<[String]>,
    pub(super) deadline: Timestamp,
    pub(super) workflow: Arc<Workflow>,
    /// What the LLM wrote before and the core rejected. Not in state: after a restart the faults have to do.
    pub(super) rejected: Option<Arc<PlanAnswer>>,
    /// Plans that succeeded for tasks of the type, in short.
    pub(super) precedents: Vec<Arc<str>>,
}

pub(super) fn ask(
    asker: &Asker,
    task_id: &str,
    question: u32,
    set: &[String],
    offers_done: bool,
    deadline: Timestamp,
    workflow: &Workflow,
) -> Ask {
    let choice = workflow.choice(question);
    let step_id = choice.map_or("", |choice| &choice.step_id);
    let planned = workflow.planned(step_id);
    let (value, producer) = workflow.input_of(step_id);
    let objective =
        planned.map(|planned| &planned.objective).or_else(|| workflow.task.as_ref().map(|task| &task.objective));
    let done = workflow.steps.iter().filter(|step| step.output.is_some());
    Ask {
        task_id: task_id.to_owned(),
        question,
        objective: objective.cloned().unwrap_or_default(),
        last_output: value.filter(|_| producer.is_some()),
        last_agent: producer.map(|agent| agent.to_string()),
        history: done.map(|step| (step.agent_name.to_string(), step.id.to_string())).collect(),
        candidates: (asker.cards)(set),
        offers_done,
        deadline: instant(deadline),
    }
}

pub(super) fn plan(asker: &Asker, task_id: &str, question: u32, wanted: Wanted) -> PlanAsk {
    let Wanted { faults, deadline, workflow, rejected, precedents } = wanted;
    let so_far = so_far(&workflow);
    // What succeeded stays in the plan and counts.
    let kept = so_far.iter().filter(|step| step.output.is_some()).count();
    let task = workflow.task.as_ref();
    PlanAsk {
        task_id: task_id.to_owned(),
        question,
        objective: task.map(|task| task.objective.clone()).unwrap_or_default(),
        input: task.and_then(|task| task.input.clone()),
        input_contract: task.and_then(|task| task.input_contract.clone()),
        agents: task.map(|task| (asker.allowed)(task)).unwrap_or_default(),
        precedents,
        so_far,
        rejected: rejected.and_then(|answer| answer.plan.as_deref().map(outline).ok()),
        faults,
        limits: PlanLimits { max_steps: asker.limits.max_steps.saturating_sub(kept).max(1), ..asker.limits },
        deadline: instant(deadline),
    }
}

fn so_far(workflow: &Workflow) -> Vec<StepSoFar> {
    let planned = workflow.plan.iter().flat_map(|plan| plan.iter());
    let told = planned.map(|planned| {
        let step = workflow.step(&planned.step_id);
        StepSoFar {
            step_id: planned.step_id.clone(),
            agent_name: step.map(|step| step.agent_name.to_string()).unwrap_or_default(),
            objective: planned.objective.clone(),
            output: step.and_then(|step| step.output.clone()),
        }
    });
    told.collect()
}

fn instant(deadline: Timestamp) -> Instant {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let due = Duration::from_millis(u64::try_from(deadline.0).unwrap_or(0));
    Instant::now() + due.saturating_sub(now)
}
