//! Choosing facts. Looks, does not touch: a redo from the same state and world gives the same facts.

mod reports;
mod routing;
mod timers;

pub use routing::waiting;

use super::{
    Acceptance, Event, Fact, Input, Mode, Outcome, Phase, Rules, Submission, Task, TaskEnd, Timestamp, Workflow, World,
    evolve,
};

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
    Refused { code: &'static str, message: String },
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
        (_, Phase::Absent) => return Err(Rejection::Stale("the task is not known")),
        (_, Phase::Ended { .. }) => return Err(Rejection::Stale("the task has ended")),
        (Input::Answered { question, answer }, Phase::Live) => routing::answered(&mut facts, *question, answer, world)?,
        (Input::Admitted { question }, Phase::Live) => routing::admitted(&mut facts, *question, world)?,
        (Input::TimerFired(timer), Phase::Live) => timers::fired(&mut facts, timer)?,
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
    served(task)?;
    let rules = world.rules();
    let deadline = task.deadline.unwrap_or_else(|| facts.now.plus(rules.default_deadline));
    facts.add(Fact::TaskAccepted(Box::new(Acceptance {
        task: task.clone(),
        content_hash: submission.content_hash,
        accepted: submission.accepted,
        submitted_at: submission.submitted_at,
        deadline,
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
    routing::next_hop(facts, world);
    Ok(())
}

/// Refuses what a task may ask for by its record and this build does not do.
fn served(task: &Task) -> Result<(), Rejection> {
    let asks = [
        (task.plan.is_some() && task.mode == Mode::Route, "a plan in mode ROUTE"),
        (task.plan.is_some(), "a plan"),
        (task.mode == Mode::Plan, "mode PLAN"),
        (task.not_before.is_some(), "notBefore"),
        (task.require_approval, "requireApproval"),
    ];
    match asks.iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(Rejection::Refused {
            code: "not_supported",
            message: format!("the task asks for {what}, which is not supported; submit it in mode ROUTE without it"),
        }),
        None => Ok(()),
    }
}

/// The task's own hop budget, else the configured one.
fn max_hops(workflow: &Workflow, rules: &Rules) -> u32 {
    let limits = workflow.task.as_ref().and_then(|task| task.limits.as_ref());
    let own = limits.and_then(|limits| limits.max_hops).and_then(|hops| u32::try_from(hops).ok());
    own.unwrap_or(rules.max_hops)
}
