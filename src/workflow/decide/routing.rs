//! Questions: whom to give a step to, and what follows from the answer.

use super::super::{
    Answer, ApprovalReason, Assigned, Choice, ChoiceState, Choosing, Decision, Fact, NextAgent, OpenChoice, Outcome,
    Payload, Phase, Pinned, Rules, Settled, SettledBy, Step, Task, Verdict, Workflow, World,
};
use super::{Facts, Rejection, max_hops, overspent, seed};
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
        Some(Verdict::Settled(settled)) => settle(facts, step_id, question, *settled, None, world),
        Some(Verdict::Ask { set, offers_done }) => {
            if let Some((code, message)) = overspent(facts.workflow(), world.rules()) {
                facts.end(Outcome::Failed, code, message);
                return;
            }
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
    settle(facts, &open.step_id, question, settled, Some(answer), world);
    Ok(())
}

/// A step that waits may be asked about again, if others are eligible than those refused, or if it is the next of a line:
/// should the agent not suit any more, it stands in the way of others there.
pub(super) fn admitted(
    facts: &mut Facts<'_>,
    question: u32,
    is_next: bool,
    world: &dyn World,
) -> Result<(), Rejection> {
    let open = outstanding(facts.workflow(), question)?;
    let ChoiceState::Refused { eligible: refused, busy } = open.state else {
        return Err(Rejection::Stale("the step does not wait"));
    };
    let news = |choosing: &Choosing<'_>| is_news(choosing, &refused, &busy, world);
    if !is_next && !with_choosing(facts.workflow(), &open.step_id, news).unwrap_or(false) {
        return Err(Rejection::Stale("the eligible agents are the ones refused"));
    }
    choose(facts, &open.step_id, world);
    Ok(())
}

/// Whether a choice that was refused with these agents eligible, and these busy, would come out otherwise now: others are
/// eligible, or one more would do if it had room, whose line the step is to join. Whoever stands in an agent's line is let in
/// by that, one after the other, and not all at once.
pub fn is_news(choosing: &Choosing<'_>, eligible: &[String], busy: &[String], world: &dyn World) -> bool {
    let (by_line, now) = (world.limited(busy), world.prospects(choosing));
    let others = now.eligible.iter().filter(|name| !by_line.contains(name)).ne(eligible.iter());
    others || now.busy.iter().any(|topic| !busy.contains(topic))
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
    world: &dyn World,
) {
    let (choice, chosen, by_contract) =
        (settled.choice.clone(), settled.chosen.clone(), settled.by == SettledBy::Contract);
    let grounds = settled.grounds.clone();
    facts.add(Fact::AgentChosen(Arc::new(Decision {
        question,
        step_id: Arc::clone(step_id),
        settled,
        attempts: answer.map(|answer| answer.attempts.clone()).unwrap_or_default(),
        prompt_version: answer.and_then(|answer| answer.prompt_version.clone()),
    })));
    let chosen = match (choice, chosen) {
        (Choice::Agent(_), Some(chosen)) => chosen,
        (Choice::Done, _) => {
            facts.end(Outcome::Succeeded, "completed", "the route is done");
            return;
        }
        // NONE, and an agent without its registration, which no world returns: the step waits.
        (Choice::None | Choice::Agent(_), _) => return,
    };
    let rules = world.rules();
    if let Some((code, message)) = beyond(facts.workflow(), step_id, &chosen.agent_name, rules) {
        facts.end(Outcome::Failed, code, message);
        return;
    }
    let workflow = facts.workflow();
    let step = workflow.step(step_id);
    let asks = world.agent(&chosen.topic_name).is_some_and(|agent| agent.require_approval);
    if asks && !step.is_some_and(Step::is_approved) {
        let agent_name = Some(Arc::clone(&chosen.agent_name));
        let (step_id, reason) = (Arc::clone(step_id), ApprovalReason::Agent);
        facts.add(Fact::ApprovalRequested { step_id, agent_name, reason });
        return;
    }
    let attempt = step.map_or(0, |step| step.attempt) + 1;
    let accept_by = facts.now.plus(rules.accept_timeout);
    let attempt_deadline = accept_by.plus(done_within(workflow, step_id, rules)).min(workflow.deadline);
    // Several steps of one decision share the agents' room.
    world.assigned(&chosen.topic_name);
    facts.add(Fact::StepAssigned(Box::new(Assigned {
        step_id: Arc::clone(step_id),
        chosen,
        attempt,
        by_contract,
        grounds,
        accept_by,
        attempt_deadline,
    })));
}

/// Milliseconds from ACCEPTED to the end of an attempt: the plan's word on the step, else the configured time.
pub(super) fn done_within(workflow: &Workflow, step_id: &str, rules: &Rules) -> i64 {
    workflow.planned(step_id).and_then(|planned| planned.timeout_ms).unwrap_or(rules.assignment_timeout)
}

/// The budget that one assignment more would break, or the loop it would go on with.
fn beyond(workflow: &Workflow, step_id: &str, agent_name: &str, rules: &Rules) -> Option<(&'static str, String)> {
    let is_hop = workflow.plan.is_none() && workflow.step(step_id).is_none_or(|step| step.attempt == 0);
    let hops = max_hops(workflow, rules);
    if is_hop && workflow.used.hops >= hops {
        return Some(("budget_hops", format!("a further agent is needed after {hops} hops")));
    }
    if is_hop && repeats(workflow, agent_name) >= rules.max_repeats {
        let most = rules.max_repeats;
        let message = format!("{agent_name} had the same input {most} times already (workflow.max_repeats)");
        return Some(("loop", message));
    }
    overspent(workflow, rules)
}

/// How often in a route the agent was given what it would be given now.
fn repeats(workflow: &Workflow, agent_name: &str) -> u32 {
    let input = workflow.task.as_ref().and_then(|task| task.input.as_ref());
    let outputs = workflow.steps.iter().map(|step| step.output.as_ref());
    let inputs: Vec<Option<&Payload>> = std::iter::once(input).chain(outputs).collect();
    let now = inputs.last().copied().flatten();
    let same = |(step, input): &(&Step, &Option<&Payload>)| *step.agent_name == *agent_name && **input == now;
    let count = workflow.steps.iter().zip(&inputs).filter(same).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Calls `with` on what a choice for `step_id` may depend on; none of a workflow without its task.
fn with_choosing<R>(workflow: &Workflow, step_id: &str, with: impl FnOnce(&Choosing<'_>) -> R) -> Option<R> {
    let task: &Task = workflow.task.as_deref()?;
    debug_assert!(workflow.phase == Phase::Live, "only a live task has questions");
    let planned = workflow.planned(step_id);
    let (value, producer) = workflow.input_of(step_id);
    let trouble = workflow.step(step_id).and_then(|step| step.trouble.as_deref());
    let next = trouble.and_then(|trouble| trouble.next.as_ref());
    let by_plan = planned.and_then(|planned| planned.agent_name.as_deref());
    // A step's own agent is no agent before it.
    let picks = workflow.steps.iter().filter(|step| step.by_contract && *step.id != *step_id);
    let picked: Vec<Arc<str>> = picks.map(|step| Arc::clone(&step.agent_name)).collect();
    let says_itself = planned.is_some_and(|planned| planned.input_contract.is_some());
    Some(with(&Choosing {
        task,
        submitted_at: workflow.submitted_at,
        objective: planned.map_or(&task.objective, |planned| &planned.objective),
        value: value.as_ref(),
        producer: producer.map(|step| &*step.topic_name).filter(|_| !says_itself),
        contract: match planned {
            Some(planned) => planned.input_contract.as_deref().or_else(|| {
                let takes_the_tasks = planned.depends_on.is_empty() && planned.input.is_none();
                task.input_contract.as_deref().filter(|_| takes_the_tasks)
            }),
            None => task.input_contract.as_deref(),
        },
        capability: planned.and_then(|planned| planned.capability.as_deref()),
        may_end: planned.is_none() && producer.is_some(),
        pinned: match next {
            Some(NextAgent::Named(agent_name)) => Some(Pinned { agent_name, by_operator: true }),
            _ => by_plan.map(|agent_name| Pinned { agent_name, by_operator: false }),
        },
        again: match next {
            Some(NextAgent::Again(agent_name)) => Some(agent_name),
            _ => None,
        },
        declined: trouble.map_or(&[], |trouble| &trouble.declined_by),
        failed: trouble.map_or(&[], |trouble| &trouble.failed_by),
        picked_by_contract: &picked,
        seed: seed(workflow, &[workflow.last_question], step_id),
    }))
}

/// What a choice that waits depends on, for whoever looks whether to admit it.
pub fn waiting<R>(workflow: &Workflow, choice: &OpenChoice, with: impl FnOnce(&Choosing<'_>) -> R) -> Option<R> {
    with_choosing(workflow, &choice.step_id, with)
}
