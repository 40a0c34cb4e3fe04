//! What a person says of a task: done, refused with the reason, or kept until its task has come.

use super::super::{
    Command, CommandKind, ErrorClass, Fact, Outcome, Phase, Position, StepStatus, Usage, Workflow, World,
};
use super::{Facts, Rejection, advance, failures};
use std::sync::Arc;

/// Commands that wait for one task at most.
const MAX_HELD: usize = 16;

pub(super) fn commanded(
    facts: &mut Facts<'_>,
    command: &Arc<Command>,
    place: Position,
    too_large: Option<&str>,
    world: &dyn World,
) -> Result<(), Rejection> {
    let workflow = facts.workflow();
    if let Some(id) = &command.id {
        let held = workflow.held.iter().any(|held| held.command.id.as_ref() == Some(id));
        if held || workflow.commands.iter().any(|known| **known == **id) {
            return Err(Rejection::Stale("the command was taken before"));
        }
    }
    if let Some(detail) = too_large {
        refuse(facts, command, format!("what the task would write does not fit: {detail}"));
        return Ok(());
    }
    if workflow.phase == Phase::Absent {
        if workflow.held.len() >= MAX_HELD {
            refuse(facts, command, format!("the task is not known, and {MAX_HELD} commands wait for it already"));
        } else {
            let until = facts.now.plus(world.rules().command_patience);
            facts.add(Fact::CommandHeld { command: Arc::clone(command), until, place });
        }
        return Ok(());
    }
    apply(facts, command, world);
    Ok(())
}

/// The task has not come: whoever sent the commands is told.
pub(super) fn overdue(facts: &mut Facts<'_>) -> Result<(), Rejection> {
    let due = |held: &&super::super::HeldCommand| held.until <= facts.now;
    let overdue: Vec<Arc<Command>> =
        facts.workflow().held.iter().filter(due).map(|held| Arc::clone(&held.command)).collect();
    if overdue.is_empty() {
        return Err(Rejection::Stale("no command waits that long"));
    }
    for command in overdue {
        refuse(facts, &command, "the task is not known".to_owned());
    }
    Ok(())
}

fn refuse(facts: &mut Facts<'_>, command: &Arc<Command>, reason: String) {
    facts.add(Fact::CommandRefused { command: Arc::clone(command), reason });
}

/// Does what the command says, or says why not.
pub(super) fn apply(facts: &mut Facts<'_>, command: &Arc<Command>, world: &dyn World) {
    let command = match resolved(facts.workflow(), command, world) {
        Ok(resolved) => resolved,
        Err(reason) => {
            refuse(facts, command, reason);
            return;
        }
    };
    facts.add(Fact::CommandApplied(Arc::clone(&command)));
    let by = command.actor.as_deref().map_or_else(String::new, |actor| format!(" by {actor}"));
    let why = command.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
    match (command.kind, &command.step_id) {
        (CommandKind::Cancel, _) => facts.end(Outcome::Cancelled, "cancelled", format!("cancelled{by}{why}")),
        (CommandKind::Reject, Some(step_id)) => {
            let (step_id, message) = (Arc::from(step_id.as_str()), format!("rejected{by}{why}"));
            facts.add(Fact::StepFailed {
                step_id: Arc::clone(&step_id),
                class: ErrorClass::Permanent,
                message: message.clone(),
                usage: Usage::default(),
            });
            failures::give_up(facts, &step_id, "rejected", &message, world);
        }
        (CommandKind::Reject, None) => facts.end(Outcome::Failed, "rejected", format!("rejected{by}{why}")),
        (CommandKind::Pause, _) => {}
        _ => advance::advance(facts, world),
    }
}

/// The command with the step it is about, or what stands in its way.
fn resolved(workflow: &Workflow, command: &Arc<Command>, world: &dyn World) -> Result<Arc<Command>, String> {
    use CommandKind::{Answer, Approve, Cancel, Pause, Reassign, Reject, Resume, Retry};
    let about = |step_id: &Arc<str>| Arc::new(Command { step_id: Some(step_id.to_string()), ..(**command).clone() });
    match (workflow.phase, command.kind) {
        (Phase::Ended { outcome, .. }, Retry) => {
            if workflow.task.is_none() || outcome == Outcome::Succeeded {
                return Err("the task has succeeded; submit it anew under another id".to_owned());
            }
            return match super::overspent(&Workflow { used: fresh(workflow), ..workflow.clone() }, world.rules()) {
                Some((code, message)) => Err(format!("{code}: {message}")),
                None => Ok(Arc::clone(command)),
            };
        }
        (Phase::Ended { outcome, .. }, _) => return Err(format!("the task has ended {}", outcome.symbol())),
        (Phase::Live, Retry) => return Err("the task goes on; only one that ended is retried".to_owned()),
        (Phase::Live | Phase::Absent, _) => {}
    }
    match command.kind {
        Cancel | Retry => Ok(Arc::clone(command)),
        Pause if workflow.paused => Err("the task is paused already".to_owned()),
        Resume if !workflow.paused => Err("the task is not paused".to_owned()),
        Pause | Resume => Ok(Arc::clone(command)),
        Approve | Reject if workflow.unapproved && command.step_id.is_none() => Ok(Arc::clone(command)),
        Approve | Reject => {
            one_step(workflow, command, "waits for approval", |status| status == StepStatus::NeedsApproval).map(about)
        }
        Answer => {
            one_step(workflow, command, "waits for an answer", |status| status == StepStatus::NeedsInput).map(about)
        }
        Reassign => reassigned(workflow, command, world).map(|step_id| about(&step_id)),
    }
}

/// What a retry will have used: hops and attempts begin anew, tokens and cost do not.
fn fresh(workflow: &Workflow) -> super::super::Used {
    super::super::Used { usage: workflow.used.usage, ..Default::default() }
}

/// The named step, else the only one of that status.
fn one_step<'w>(
    workflow: &'w Workflow,
    command: &Command,
    what: &str,
    is_it: impl Fn(StepStatus) -> bool,
) -> Result<&'w Arc<str>, String> {
    let mut fitting = workflow.steps.iter().filter(|step| is_it(step.status)).map(|step| &step.id);
    if let Some(wanted) = &command.step_id {
        let found = fitting.find(|id| ***id == **wanted);
        return found.ok_or_else(|| match workflow.step(wanted) {
            Some(_) => format!("step {wanted} is not one that {what}"),
            None => format!("the task has no step {wanted}"),
        });
    }
    match (fitting.next(), fitting.next()) {
        (Some(id), None) => Ok(id),
        (None, _) => Err(format!("no step {what}")),
        (Some(_), Some(_)) => Err(format!("more than one step {what}; name it with stepId")),
    }
}

/// The step that goes to another agent: one with an agent, or one that waits for one.
fn reassigned(workflow: &Workflow, command: &Command, world: &dyn World) -> Result<Arc<str>, String> {
    if let Some(agent_name) = &command.agent_name
        && world.labels(agent_name).is_none()
    {
        return Err(format!("agentName {agent_name:?} is not registered"));
    }
    // In a route a step that nobody was chosen for yet is there only as an open question.
    let asked = workflow.choices.iter().map(|choice| &choice.step_id);
    if let Some(wanted) = &command.step_id
        && let Some(step_id) = asked.clone().find(|step_id| ***step_id == **wanted)
    {
        return Ok(Arc::clone(step_id));
    }
    let open = |status: StepStatus| !status.is_over() && status != StepStatus::Waiting;
    match one_step(workflow, command, "can be given to another agent", open) {
        Ok(step_id) => Ok(Arc::clone(step_id)),
        Err(why) => match (command.step_id.is_none(), asked.collect::<Vec<_>>().as_slice()) {
            (true, [only]) => Ok(Arc::clone(only)),
            _ => Err(why),
        },
    }
}
