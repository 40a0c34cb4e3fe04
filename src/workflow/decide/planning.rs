//! Plans that the LLM writes: asked for, repaired once, written anew where a step failed for good.

use super::super::{
    Fact, Outcome, PlanAcceptance, PlanAnswer, PlanFallback, PlanRejection, PlannedStep, Planning, Rules, StepStatus,
    Workflow, World, plan_faults,
};
use super::{Facts, Rejection, advance, overspent, routing};
use std::sync::Arc;

/// How often a plan is asked for: once, and once more with what was wrong.
const MAX_TRIES: u32 = 2;

pub(super) fn ask(facts: &mut Facts<'_>, tries: u32, faults: Vec<String>, rules: &Rules) {
    if let Some((code, message)) = overspent(facts.workflow(), rules) {
        facts.end(Outcome::Failed, code, message);
        return;
    }
    let question = facts.workflow().last_question + 1;
    let deadline = facts.now.plus(rules.plan_budget);
    facts.add(Fact::PlanAsked { question, tries, faults: faults.into(), deadline });
}

/// The LLM's last word on a plan.
pub(super) fn planned(
    facts: &mut Facts<'_>,
    question: u32,
    answer: &PlanAnswer,
    world: &dyn World,
) -> Result<(), Rejection> {
    let workflow = facts.workflow();
    if question == 0 || question > workflow.last_question {
        return Err(Rejection::Impossible(format!("question {question} was never asked")));
    }
    let planning = workflow.planning.clone().filter(|planning| planning.question == question);
    let Some(Planning { tries, .. }) = planning else { return Err(Rejection::Stale("the question is not open")) };
    let (attempts, prompt_version) = (answer.attempts.clone(), answer.prompt_version.clone());
    let faults = match &answer.plan {
        Ok(steps) => {
            let plan = whole(workflow, steps);
            let allowed = workflow.task.as_ref().map_or(&[][..], |task| &task.agents);
            let faults = plan_faults(&plan, allowed, world);
            if faults.is_empty() {
                let acceptance = PlanAcceptance {
                    question: Some(question),
                    plan: plan.into(),
                    attempts,
                    prompt_version,
                    written: true,
                };
                facts.add(Fact::PlanAccepted(Box::new(acceptance)));
                advance::advance(facts, world);
                return Ok(());
            }
            faults
        }
        Err(code) => vec![format!("the LLM wrote no plan ({code})")],
    };
    let repairable = answer.plan.is_ok() && tries < MAX_TRIES;
    let rejection = PlanRejection { question, faults: faults.clone().into(), attempts, prompt_version };
    facts.add(Fact::PlanRejected(Box::new(rejection)));
    if repairable {
        ask(facts, tries + 1, faults, world.rules());
    } else {
        fall_back(facts, &faults, world);
    }
    Ok(())
}

/// The steps that succeeded so far, and after them what was written; the new steps have ids of their own, so that no
/// assignment of theirs is taken for an earlier one.
fn whole(workflow: &Workflow, written: &[PlannedStep]) -> Vec<PlannedStep> {
    let Some(before) = &workflow.plan else { return written.to_vec() };
    let succeeded =
        |step: &&PlannedStep| workflow.step(&step.step_id).is_some_and(|step| step.status == StepStatus::Succeeded);
    let mut plan: Vec<PlannedStep> = before.iter().filter(succeeded).cloned().collect();
    let round = workflow.replans + 1;
    let renamed = |id: &str| format!("r{round}.{id}");
    for step in written {
        let known = |id: &String| written.iter().any(|step| step.step_id == *id);
        let depends_on = step.depends_on.iter().map(|id| if known(id) { renamed(id) } else { id.clone() });
        plan.push(PlannedStep { step_id: renamed(&step.step_id), depends_on: depends_on.collect(), ..step.clone() });
    }
    plan
}

/// Asks for another plan where a step of a written one failed for good; false if that is not to be. Of a task that is
/// held back it is asked for when the task goes on.
pub(super) fn again(facts: &mut Facts<'_>, step_id: &Arc<str>, message: &str, world: &dyn World) -> bool {
    let (workflow, rules) = (facts.workflow(), world.rules());
    let given = workflow.task.as_ref().is_some_and(|task| task.plan.is_some());
    if given || !rules.can_plan || workflow.replans >= rules.max_replans {
        return false;
    }
    if workflow.is_held_back() {
        return true;
    }
    ask(facts, 1, vec![format!("step {step_id} failed: {message}")], rules);
    true
}

/// What the configuration names where no plan could be had.
fn fall_back(facts: &mut Facts<'_>, faults: &[String], world: &dyn World) {
    let Some(task) = facts.workflow().task.clone() else { return };
    let replanned = facts.workflow().plan.is_some();
    match world.rules().plan_fallback {
        PlanFallback::Step if !replanned => {
            let step = PlannedStep { step_id: "1".to_owned(), objective: task.objective.clone(), ..Default::default() };
            advance::follow(facts, vec![step].into(), world);
        }
        PlanFallback::Route if !replanned => routing::next_hop(facts, world),
        PlanFallback::Step | PlanFallback::Route | PlanFallback::Fail => {
            facts.end(Outcome::Failed, "no_plan", faults.join("; "));
        }
    }
}
