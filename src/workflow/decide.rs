//! Choosing facts. Looks, does not touch: a redo from the same state and world gives the same facts.

mod advance;
mod commands;
mod failures;
mod planning;
mod reports;
mod routing;
mod timers;

pub use routing::{is_news, waiting};

use super::{
    Acceptance, Event, Fact, Input, Mode, Outcome, Phase, Rules, Submission, Task, TaskEnd, Timestamp, Workflow, World,
    evolve, fnv1a_64, plan_faults,
};
use std::sync::Arc;

/// Why an input changed nothing. Never an I/O error: the core cannot have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Late or repeated, as at-least-once delivery brings it. Counted and skipped.
    Stale(&'static str),
    /// The same task again. Counted and skipped.
    Duplicate,
    /// Another task under an id in use. A dead letter.
    OtherContent,
    /// Cannot follow from anything done. A record is a dead letter; an answer or timer is our own fault.
    Impossible(String),
    /// The task asks for what is not served: a dead letter, and a completion REJECTED with this code.
    Refused {
        code: &'static str,
        message: String,
        /// What is wrong with its plan, where that is why.
        plan_faults: Arc<[String]>,
    },
}

/// Decides what follows from one input.
///
/// `now` must not be before the workflow's last event.
///
/// # Errors
/// A [`Rejection`] if the input changes nothing.
pub fn decide(workflow: &Workflow, input: &Input, world: &dyn World, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    decided(workflow, input, world, now).map(|(events, _)| events)
}

/// The same, and the workflow as the facts leave it: deciding several facts folds each of them already. None if there
/// are no facts.
///
/// # Errors
/// As [`decide`].
pub fn decided(
    workflow: &Workflow,
    input: &Input,
    world: &dyn World,
    now: Timestamp,
) -> Result<(Vec<Event>, Option<Workflow>), Rejection> {
    let mut facts = Facts { workflow: None, original: workflow, now, events: Vec::new() };
    match (input, workflow.phase) {
        (Input::Submitted(submission), Phase::Absent) => accept(&mut facts, submission, world)?,
        (Input::Submitted(submission), Phase::Live | Phase::Ended { .. }) => {
            let same = submission.content_hash == workflow.content_hash;
            return Err(if same { Rejection::Duplicate } else { Rejection::OtherContent });
        }
        (Input::Reported { report, too_large }, _) => {
            reports::reported(&mut facts, report, too_large.as_deref(), world)?;
        }
        (Input::Commanded { command, place, too_large }, _) => {
            commands::commanded(&mut facts, command, *place, too_large.as_deref(), world)?;
        }
        (Input::TimerFired(timer), Phase::Absent) => timers::fired(&mut facts, timer, world)?,
        (_, Phase::Absent) => return Err(Rejection::Stale("the task is not known")),
        (_, Phase::Ended { .. }) => return Err(Rejection::Stale("the task has ended")),
        (Input::Answered { question, answer }, Phase::Live) => routing::answered(&mut facts, *question, answer, world)?,
        (Input::Admitted { question, topic_name }, Phase::Live) => {
            routing::admitted(&mut facts, *question, topic_name.is_some(), world)?;
        }
        (Input::Planned { question, answer }, Phase::Live) => {
            planning::planned(&mut facts, *question, answer, world)?;
        }
        (Input::TimerFired(timer), Phase::Live) => timers::fired(&mut facts, timer, world)?,
        (Input::TooLarge { detail }, Phase::Live) => facts.end(Outcome::Failed, "too_large", detail.clone()),
        (Input::Internal { detail }, Phase::Live) => facts.end(Outcome::Failed, "internal", detail.clone()),
    }
    Ok((facts.events, facts.workflow))
}

/// The facts decided so far, and the workflow as it is after them.
struct Facts<'a> {
    original: &'a Workflow,
    workflow: Option<Workflow>,
    now: Timestamp,
    events: Vec<Event>,
}

impl Facts<'_> {
    fn workflow(&self) -> &Workflow {
        self.workflow.as_ref().unwrap_or(self.original)
    }

    /// Adds a fact; what is decided next sees it.
    fn add(&mut self, fact: Fact) {
        let event = Event { at: self.now, fact };
        evolve(self.workflow.get_or_insert_with(|| self.original.clone()), &event);
        self.events.push(event);
    }

    fn end(&mut self, outcome: Outcome, reason: impl Into<String>, message: impl Into<String>) {
        self.add(Fact::TaskEnded(TaskEnd { outcome, reason: reason.into(), message: message.into() }));
    }
}

fn accept(facts: &mut Facts<'_>, submission: &Submission, world: &dyn World) -> Result<(), Rejection> {
    let task = &submission.task;
    served(task, world)?;
    let rules = world.rules();
    let deadline = task.deadline.unwrap_or_else(|| facts.now.plus(rules.default_deadline));
    facts.add(Fact::TaskAccepted(Box::new(Acceptance {
        task: task.clone(),
        content_hash: submission.content_hash,
        accepted: submission.accepted,
        submitted_at: submission.submitted_at,
        deadline,
        begins_at: task.not_before.filter(|at| *at > facts.now),
        traceparent: submission.traceparent.clone(),
    })));
    if deadline <= facts.now {
        facts.end(Outcome::Expired, "deadline", "the deadline had passed when the task arrived");
        return Ok(());
    }
    if facts.workflow().payload_bytes() > rules.workflow_bytes {
        facts.end(Outcome::Failed, "too_large", "the task's input is over workflow.workflow_bytes");
        return Ok(());
    }
    for held in facts.workflow().held.clone() {
        commands::apply(facts, &held.command, world);
    }
    advance::advance(facts, world);
    Ok(())
}

/// Refuses a task that cannot be worked on the way it asks for.
fn served(task: &Task, world: &dyn World) -> Result<(), Rejection> {
    let refused = |code, message: String| Err(Rejection::Refused { code, message, plan_faults: Arc::default() });
    match (&task.plan, task.mode) {
        (Some(_), Mode::Route) => {
            refused("plan_in_route", "mode: ROUTE follows no plan; leave out one of the two".to_owned())
        }
        (None, Mode::Plan) if !world.rules().can_plan => refused(
            "no_plan",
            "mode: PLAN without a plan needs an LLM to write one; give a plan, or configure [[llm.providers]]"
                .to_owned(),
        ),
        (Some(plan), _) => {
            let faults = plan_faults(plan, &task.agents, world);
            if faults.is_empty() {
                return Ok(());
            }
            let message = faults.join("; ");
            Err(Rejection::Refused { code: "plan_rejected", message, plan_faults: faults.into() })
        }
        (None, _) => Ok(()),
    }
}

/// The code and message of the first budget that is spent, of those that no further call or assignment may go over.
fn overspent(workflow: &Workflow, rules: &Rules) -> Option<(&'static str, String)> {
    let own = workflow.task.as_ref().and_then(|task| task.limits.as_ref());
    let usage = workflow.used.usage;
    let attempts = own.and_then(|own| own.max_attempts).and_then(|most| u32::try_from(most).ok());
    let attempts = attempts.unwrap_or(rules.max_attempts);
    if workflow.used.attempts >= attempts {
        return Some(("budget_attempts", format!("a further assignment is needed after {attempts}")));
    }
    let tokens = usage.input_tokens.saturating_add(usage.output_tokens);
    if let Some(most) = own.and_then(|own| own.max_tokens).or(rules.max_tokens).filter(|most| tokens >= *most) {
        return Some(("budget_tokens", format!("{tokens} tokens are used; {most} are allowed")));
    }
    let cost = usage.cost_micros;
    if let Some(most) = own.and_then(|own| own.max_cost_micros).or(rules.max_cost_micros).filter(|most| cost >= *most) {
        return Some(("budget_cost", format!("{cost} millionths are spent; {most} are allowed")));
    }
    None
}

/// Differs between tasks and steps, and by what the numbers count, and is the same however often it is decided.
fn seed(workflow: &Workflow, numbers: &[u32], step_id: &str) -> u64 {
    let place = [workflow.accepted.offset.to_le_bytes(), i64::from(workflow.accepted.partition).to_le_bytes()];
    let numbers = numbers.iter().flat_map(|number| number.to_le_bytes());
    fnv1a_64(place.concat().into_iter().chain(numbers).chain(step_id.bytes()))
}

/// The task's own hop budget, else the configured one.
fn max_hops(workflow: &Workflow, rules: &Rules) -> u32 {
    let limits = workflow.task.as_ref().and_then(|task| task.limits.as_ref());
    let own = limits.and_then(|limits| limits.max_hops).and_then(|hops| u32::try_from(hops).ok());
    own.unwrap_or(rules.max_hops)
}
