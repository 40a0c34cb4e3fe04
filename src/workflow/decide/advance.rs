//! Begins whatever can be begun now, and ends the task where nothing is left.

use super::super::{
    ApprovalReason, Fact, Mode, OnStepFailure, Outcome, Phase, Plan, PlanAcceptance, Step, StepStatus, Task, Workflow,
    World,
};
use super::{Facts, failures, planning, routing};
use std::sync::Arc;

/// Looks at the whole task; does nothing where it is held back.
pub(super) fn advance(facts: &mut Facts<'_>, world: &dyn World) {
    let workflow = facts.workflow();
    if workflow.phase != Phase::Live || workflow.is_held_back() || workflow.planning.is_some() {
        return;
    }
    if workflow.plan.is_none() && workflow.steps.is_empty() && workflow.choices.is_empty() {
        begin(facts, world);
        return;
    }
    if let Some((step_id, why)) = failed_for_good(facts.workflow()) {
        failures::give_up(facts, &step_id, "steps_failed", &why, world);
        return;
    }
    for step_id in ready(facts.workflow()) {
        if facts.workflow().phase != Phase::Live {
            return;
        }
        start(facts, &step_id, world);
    }
    let workflow = facts.workflow();
    if workflow.phase != Phase::Live || !workflow.choices.is_empty() || !workflow.steps.iter().all(is_over) {
        return;
    }
    if workflow.plan.is_some() {
        finish(facts);
    } else {
        routing::next_hop(facts, world);
    }
}

fn is_over(step: &Step) -> bool {
    step.status.is_over()
}

/// The first move: the plan that was given, one to be written, or the first hop of a route.
fn begin(facts: &mut Facts<'_>, world: &dyn World) {
    let Some(task) = facts.workflow().task.clone() else { return };
    let Task { plan, mode, .. } = &*task;
    let rules = world.rules();
    match (plan, mode) {
        (Some(plan), _) => follow(facts, plan.clone(), world),
        (None, Mode::Plan) => planning::ask(facts, 1, Vec::new(), rules),
        (None, Mode::Auto) if rules.auto_plans && rules.can_plan => planning::ask(facts, 1, Vec::new(), rules),
        (None, Mode::Auto | Mode::Route) => routing::next_hop(facts, world),
    }
}

/// Follows a plan that the LLM did not write.
pub(super) fn follow(facts: &mut Facts<'_>, plan: Plan, world: &dyn World) {
    let acceptance =
        PlanAcceptance { question: None, plan, attempts: Vec::new(), prompt_version: None, written: false };
    facts.add(Fact::PlanAccepted(Box::new(acceptance)));
    advance(facts, world);
}

/// A step that ends its plan, and did not yet: the task was held back before another plan was there. And why it failed.
fn failed_for_good(workflow: &Workflow) -> Option<(Arc<str>, Arc<str>)> {
    let task = workflow.task.as_ref()?;
    let ends = workflow.plan.is_some() && task.on_step_failure == OnStepFailure::FailFast;
    let failed = workflow.steps.iter().find(|step| step.status == StepStatus::Failed);
    let why = |step: &Step| step.trouble.as_ref().and_then(|trouble| trouble.feedback.clone());
    // Versions before this one did not keep why.
    let told = |step: &Step| why(step).unwrap_or_else(|| "it failed before the task went on".into());
    failed.filter(|_| ends).map(|step| (Arc::clone(&step.id), told(step)))
}

/// Steps that wait for nothing any more, in the plan's order.
fn ready(workflow: &Workflow) -> Vec<Arc<str>> {
    let free = |(place, step): &(usize, &Step)| {
        let step_at = |place: usize| workflow.steps.get(place);
        let succeeded = |need: Option<usize>| need.and_then(step_at).is_some_and(has_succeeded);
        step.status == StepStatus::Waiting
            && workflow.plan.as_ref().is_none_or(|plan| plan.needs(*place).all(succeeded))
    };
    workflow.steps.iter().enumerate().filter(free).map(|(_, step)| Arc::clone(&step.id)).collect()
}

fn has_succeeded(step: &Step) -> bool {
    step.status == StepStatus::Succeeded
}

fn start(facts: &mut Facts<'_>, step_id: &Arc<str>, world: &dyn World) {
    facts.add(Fact::StepReady { step_id: Arc::clone(step_id) });
    let workflow = facts.workflow();
    let asks = workflow.planned(step_id).is_some_and(|planned| planned.require_approval);
    if asks && !workflow.step(step_id).is_some_and(Step::is_approved) {
        let (step_id, reason) = (Arc::clone(step_id), ApprovalReason::Step);
        facts.add(Fact::ApprovalRequested { step_id, agent_name: None, reason });
    } else {
        routing::choose(facts, step_id, world);
    }
}

/// A plan all of whose steps are over.
fn finish(facts: &mut Facts<'_>) {
    let steps = &facts.workflow().steps;
    let count = |status: StepStatus| steps.iter().filter(|step| step.status == status).count();
    let (succeeded, failed, skipped) =
        (count(StepStatus::Succeeded), count(StepStatus::Failed), count(StepStatus::Skipped));
    match (succeeded, failed + skipped) {
        (_, 0) => facts.end(Outcome::Succeeded, "completed", "every step of the plan succeeded"),
        (0, _) => facts.end(Outcome::Failed, "steps_failed", format!("{failed} steps failed, {skipped} were skipped")),
        _ => facts.end(
            Outcome::Partial,
            "steps_failed",
            format!("{succeeded} steps succeeded, {failed} failed, {skipped} were skipped"),
        ),
    }
}
