//! Questions: whom to give a step to, and what follows from the answer.

use super::super::{
    Answer, Assigned, Choice, ChoiceState, Choosing, Decision, Fact, OpenChoice, Outcome, Phase, Rules, Settled,
    SettledBy, Step, Task, Verdict, Workflow, World,
};
use super::{Facts, Rejection, max_hops};
use std::sync::Arc;

/// How often a question is put again because the agent that was chosen is not eligible any more.
const MAX_TRIES: u32 = 2;

/// Asks for the route's next step: the one after those there are.
pub(super) fn next_hop(facts: &mut Facts<'_>, world: &dyn World) {
    let step_id: Arc<str> = (facts.workflow().steps.len() + 1).to_string().into();
    choose(facts, &step_id, world);
}

/// Asks who takes `step_id`; settles at once what needs no call.
pub(super) fn choose(facts: &mut Facts<'_>, step_id: &Arc<str>, world: &dyn World) {
    let question = facts.workflow().last_question + 1;
    let verdict = with_choosing(facts.workflow(), step_id, |choosing| world.choose(choosing));
    match verdict {
        Some(Verdict::Settled(settled)) => settle(facts, step_id, question, *settled, None, world.rules()),
        Some(Verdict::Ask { set, offers_done }) => {
            ask(facts, step_id, question, set.into(), offers_done, 1, world.rules());
        }
        None => {}
    }
}

/// The LLM's last word on a question.
pub(super) fn answered(
    facts: &mut Facts<'_>,
    question: u32,
    answer: &Arc<Answer>,
    world: &dyn World,
) -> Result<(), Rejection> {
    let open = outstanding(facts.workflow(), question)?;
    let ChoiceState::Asked { set, offers_done, tries, deadline } = open.state else {
        return Err(Rejection::Stale("the question was answered before"));
    };
    let settled =
        with_choosing(facts.workflow(), &open.step_id, |choosing| world.settle(choosing, &set, offers_done, answer));
    let Some(settled) = settled else { return Ok(()) };
    let gone = settled.degraded.as_deref() == Some("not_eligible");
    if gone && tries < MAX_TRIES && facts.now < deadline && !settled.eligible.is_empty() {
        // The agent the LLM named went away while it thought: put it again, with those who are left.
        let verdict = with_choosing(facts.workflow(), &open.step_id, |choosing| world.choose(choosing));
        if let Some(Verdict::Ask { set, offers_done }) = verdict {
            let next = facts.workflow().last_question + 1;
            ask(facts, &open.step_id, next, set.into(), offers_done, tries + 1, world.rules());
            return Ok(());
        }
    }
    settle(facts, &open.step_id, question, settled, Some(answer), world.rules());
    Ok(())
}

/// A step that waits may be asked about again, if others are eligible than those refused.
pub(super) fn admitted(facts: &mut Facts<'_>, question: u32, world: &dyn World) -> Result<(), Rejection> {
    let open = outstanding(facts.workflow(), question)?;
    let ChoiceState::Refused { eligible: refused } = open.state else {
        return Err(Rejection::Stale("the step does not wait"));
    };
    let eligible = with_choosing(facts.workflow(), &open.step_id, |choosing| world.eligible(choosing));
    if eligible.is_none_or(|eligible| *eligible == *refused) {
        return Err(Rejection::Stale("the eligible agents are the ones refused"));
    }
    choose(facts, &open.step_id, world);
    Ok(())
}

fn outstanding(workflow: &Workflow, question: u32) -> Result<OpenChoice, Rejection> {
    if question == 0 || question > workflow.last_question {
        return Err(Rejection::Impossible(format!("question {question} was never asked")));
    }
    workflow.choice(question).cloned().ok_or(Rejection::Stale("the question is not open"))
}

fn ask(
    facts: &mut Facts<'_>,
    step_id: &Arc<str>,
    question: u32,
    set: Arc<[String]>,
    offers_done: bool,
    tries: u32,
    rules: &Rules,
) {
    let deadline = facts.now.plus(rules.llm_budget);
    facts.add(Fact::AgentAsked { question, step_id: Arc::clone(step_id), set, offers_done, tries, deadline });
}

fn settle(
    facts: &mut Facts<'_>,
    step_id: &Arc<str>,
    question: u32,
    settled: Settled,
    answer: Option<&Arc<Answer>>,
    rules: &Rules,
) {
    let (choice, chosen, by_contract) =
        (settled.choice.clone(), settled.chosen.clone(), settled.by == SettledBy::Contract);
    facts.add(Fact::AgentChosen(Arc::new(Decision {
        question,
        step_id: Arc::clone(step_id),
        settled,
        attempts: answer.map(|answer| answer.attempts.clone()).unwrap_or_default(),
        prompt_version: answer.and_then(|answer| answer.prompt_version.clone()),
    })));
    match (choice, chosen) {
        (Choice::Agent(_), Some(chosen)) => {
            let workflow = facts.workflow();
            let before = workflow.step(step_id).map(|step| step.attempt);
            let hops = max_hops(workflow, rules);
            if before.is_none() && workflow.used.hops >= hops {
                facts.end(Outcome::Failed, "budget_hops", format!("a further agent is needed after {hops} hops"));
                return;
            }
            let accept_by = facts.now.plus(rules.accept_timeout);
            let attempt_deadline = accept_by.plus(rules.assignment_timeout).min(workflow.deadline);
            let attempt = before.unwrap_or(0) + 1;
            facts.add(Fact::StepAssigned(Box::new(Assigned {
                step_id: Arc::clone(step_id),
                chosen,
                attempt,
                by_contract,
                accept_by,
                attempt_deadline,
            })));
        }
        (Choice::Done, _) => facts.end(Outcome::Succeeded, "completed", "the route is done"),
        // NONE, and an agent without its registration, which no world returns: the step waits.
        (Choice::None | Choice::Agent(_), _) => {}
    }
}

/// Calls `with` on what a choice for `step_id` may depend on; none of a workflow without its task.
fn with_choosing<R>(workflow: &Workflow, step_id: &str, with: impl FnOnce(&Choosing<'_>) -> R) -> Option<R> {
    let task: &Task = workflow.task.as_deref()?;
    debug_assert!(workflow.phase == Phase::Live, "only a live task has questions");
    let last = workflow.last_output().map(|(output, agent)| (output, &**agent));
    let declined = workflow.step(step_id).map_or(&[][..], |step: &Step| &step.declined_by);
    let picked: Vec<String> =
        workflow.steps.iter().filter(|step| step.by_contract).map(|step| step.agent_name.to_string()).collect();
    Some(with(&Choosing { task, last, declined, picked_by_contract: &picked }))
}

/// What a choice that waits depends on, for whoever looks whether to admit it.
pub fn waiting<R>(workflow: &Workflow, choice: &OpenChoice, with: impl FnOnce(&Choosing<'_>) -> R) -> Option<R> {
    with_choosing(workflow, &choice.step_id, with)
}
