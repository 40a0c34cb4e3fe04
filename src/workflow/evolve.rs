//! Folding facts into state. Total: replaying stored facts cannot fail.

use super::{
    Assigned, Attempt, Choice, ChoiceState, Command, CommandKind, Decision, Event, Fact, HeldCommand, NextAgent,
    OpenChoice, Outcome, Phase, PlanAcceptance, PlannedStep, Planning, Step, StepStatus, Timestamp, Usage, Workflow,
};
use std::sync::Arc;

/// Ids of commands that are remembered.
const COMMANDS_KEPT: usize = 32;

/// Folds one fact. A fact that does not fit (it cannot have been decided) changes only the counters.
pub fn evolve(workflow: &mut Workflow, event: &Event) {
    workflow.last_fact += 1;
    workflow.last_at = event.at;
    match &event.fact {
        Fact::TaskAccepted(acceptance) => {
            workflow.phase = Phase::Live;
            workflow.run = 1;
            workflow.unapproved = acceptance.task.require_approval;
            workflow.task = Some(Arc::clone(&acceptance.task));
            workflow.accepted = acceptance.accepted;
            workflow.content_hash = acceptance.content_hash;
            workflow.submitted_at = acceptance.submitted_at;
            workflow.deadline = acceptance.deadline;
            workflow.begins_at = acceptance.begins_at;
            workflow.traceparent.clone_from(&acceptance.traceparent);
        }
        Fact::TaskBegun => workflow.begins_at = None,
        Fact::PlanAsked { question, tries, faults, deadline } => {
            workflow.last_question = workflow.last_question.max(*question);
            let (faults, deadline) = (Arc::clone(faults), *deadline);
            workflow.planning = Some(Planning { question: *question, tries: *tries, faults, deadline });
        }
        Fact::PlanAccepted(acceptance) => plan(workflow, acceptance),
        Fact::PlanRejected(rejection) => {
            workflow.planning = None;
            spend(workflow, &rejection.attempts);
        }
        Fact::StepReady { step_id } => status(workflow, step_id, StepStatus::Choosing),
        Fact::StepSkipped { step_id, .. } => {
            status(workflow, step_id, StepStatus::Skipped);
            workflow.choices.retain(|choice| choice.step_id != *step_id);
        }
        Fact::ApprovalRequested { step_id, agent_name, .. } => {
            let step = step_or_new(workflow, step_id);
            step.status = StepStatus::NeedsApproval;
            if let Some(agent_name) = agent_name {
                step.trouble_mut().next = Some(NextAgent::Again(Arc::clone(agent_name)));
            }
        }
        Fact::RetryScheduled { step_id, until, next, feedback, .. } => {
            if let Some(step) = step_mut(workflow, step_id) {
                step.status = StepStatus::Delayed { until: *until };
                step.ended_at = None;
                let trouble = step.trouble_mut();
                trouble.next.clone_from(next);
                trouble.feedback.clone_from(feedback);
            }
        }
        Fact::AgentAsked { question, step_id, set, offers_done, tries, deadline } => {
            let state = ChoiceState::Asked {
                set: Arc::clone(set),
                offers_done: *offers_done,
                tries: *tries,
                deadline: *deadline,
            };
            open(workflow, step_id, *question, state);
        }
        Fact::AgentChosen(decision) => chosen(workflow, decision),
        Fact::StepAssigned(assigned) => assign(workflow, assigned, event.at),
        Fact::StepAccepted { step_id, done_by, quiet_by } => {
            if let Some(step) = step_mut(workflow, step_id) {
                step.status = StepStatus::Accepted { done_by: *done_by, quiet_by: *quiet_by };
                step.progress_at = Some(event.at);
            }
        }
        Fact::StepProgressed { step_id, quiet_by, .. } => {
            if let Some(step) = step_mut(workflow, step_id)
                && let StepStatus::Accepted { done_by, .. } = step.status
            {
                step.status = StepStatus::Accepted { done_by, quiet_by: *quiet_by };
                step.progress_at = Some(event.at);
            }
        }
        Fact::StepSucceeded { step_id, output, usage } => {
            close(workflow, step_id, StepStatus::Succeeded, event.at, *usage);
            if let Some(step) = step_mut(workflow, step_id) {
                step.output = Some(output.clone());
            }
        }
        Fact::StepFailed { step_id, usage, message: why, .. }
        | Fact::OutputRejected { step_id, usage, reason: why } => {
            failed(workflow, step_id, event.at, *usage, |_| Some(why.as_str().into()));
        }
        Fact::StepTimedOut { step_id, timer } => {
            let why = |agent_name: &str| timer.overdue(agent_name).map(Into::into);
            failed(workflow, step_id, event.at, Usage::default(), why);
        }
        Fact::StepNeedsInput { step_id, usage, .. } => {
            close(workflow, step_id, StepStatus::NeedsInput, event.at, *usage);
            if let Some(step) = step_mut(workflow, step_id) {
                step.ended_at = None;
            }
        }
        Fact::StepDeclined { step_id, usage, .. } => {
            let status = if workflow.is_held_back() { StepStatus::Waiting } else { StepStatus::Choosing };
            close(workflow, step_id, status, event.at, *usage);
            if let Some(step) = step_mut(workflow, step_id) {
                step.ended_at = None;
                let agent_name = Arc::clone(&step.agent_name);
                let trouble = step.trouble_mut();
                trouble.declined_by.push(agent_name);
                trouble.next = None;
            }
        }
        Fact::CommandApplied(command) => applied(workflow, command, event.at),
        Fact::CommandRefused { command, .. } => {
            workflow.held.retain(|held| held.command != *command);
            remember(workflow, command);
        }
        Fact::CommandHeld { command, until, place } => {
            // Until the task has come, what is told of it is named after the first command.
            if workflow.last_fact == 1 {
                workflow.accepted = *place;
            }
            workflow.held.push(HeldCommand { command: Arc::clone(command), until: *until });
        }
        Fact::TaskEnded(end) => ended(workflow, end.outcome, event.at),
    }
}

fn step_mut<'a>(workflow: &'a mut Workflow, id: &str) -> Option<&'a mut Step> {
    let place = workflow.place(id)?;
    workflow.steps.get_mut(place)
}

fn step_or_new<'a>(workflow: &'a mut Workflow, id: &Arc<str>) -> &'a mut Step {
    let place = workflow.place(id).unwrap_or_else(|| {
        workflow.steps.push(Step::new(Arc::clone(id), StepStatus::Choosing));
        workflow.steps.len() - 1
    });
    workflow.steps.get_mut(place).expect("it is there, or was just put there")
}

fn status(workflow: &mut Workflow, step_id: &str, status: StepStatus) {
    if let Some(step) = step_mut(workflow, step_id) {
        step.status = status;
    }
}

fn spend(workflow: &mut Workflow, attempts: &[Attempt]) {
    for attempt in attempts {
        workflow.used.usage = workflow.used.usage.plus(attempt.usage);
    }
}

/// Steps that succeeded under an earlier plan stay, whether the new one names them or not: their outputs may be needed.
fn plan(workflow: &mut Workflow, acceptance: &PlanAcceptance) {
    workflow.planning = None;
    spend(workflow, &acceptance.attempts);
    workflow.replans += u32::from(workflow.plan.is_some());
    workflow.plan = Some(acceptance.plan.clone());
    workflow.choices.clear();
    let before = std::mem::take(&mut workflow.steps);
    let step = |planned: &PlannedStep| {
        let kept = before.iter().find(|step| *step.id == *planned.step_id);
        kept.cloned().unwrap_or_else(|| Step::new(planned.step_id.as_str().into(), StepStatus::Waiting))
    };
    workflow.steps = acceptance.plan.iter().map(step).collect();
}

fn open(workflow: &mut Workflow, step_id: &Arc<str>, question: u32, state: ChoiceState) {
    workflow.last_question = workflow.last_question.max(question);
    workflow.choices.retain(|choice| choice.step_id != *step_id);
    workflow.choices.push(OpenChoice { step_id: Arc::clone(step_id), question, state });
}

fn chosen(workflow: &mut Workflow, decision: &Decision) {
    spend(workflow, &decision.attempts);
    match decision.settled.choice {
        Choice::None => {
            let eligible = decision.settled.eligible.iter().map(ToString::to_string).collect();
            let busy = decision.settled.busy.clone().into();
            open(workflow, &decision.step_id, decision.question, ChoiceState::Refused { eligible, busy });
        }
        Choice::Agent(_) | Choice::Done => {
            workflow.last_question = workflow.last_question.max(decision.question);
            workflow.choices.retain(|choice| choice.step_id != decision.step_id);
        }
    }
}

fn assign(workflow: &mut Workflow, assigned: &Assigned, at: Timestamp) {
    workflow.used.attempts += 1;
    let step = step_or_new(workflow, &assigned.step_id);
    let is_new = step.attempt == 0;
    step.status = StepStatus::Assigned { accept_by: assigned.accept_by };
    step.agent_name = Arc::clone(&assigned.chosen.agent_name);
    step.agent_version = Arc::clone(&assigned.chosen.version);
    step.topic_name = Arc::clone(&assigned.chosen.topic_name);
    step.attempt = assigned.attempt;
    step.by_contract = assigned.by_contract;
    step.grounds.clone_from(&assigned.grounds);
    step.assigned_at = at;
    step.progress_at = None;
    step.ended_at = None;
    if let Some(trouble) = &mut step.trouble {
        trouble.next = None;
    }
    workflow.used.hops += u32::from(is_new);
}

fn close(workflow: &mut Workflow, step_id: &str, status: StepStatus, at: Timestamp, usage: Usage) {
    workflow.used.usage = workflow.used.usage.plus(usage);
    if let Some(step) = step_mut(workflow, step_id) {
        step.status = status;
        step.grounds = None;
        step.ended_at = Some(at);
    }
}

fn failed(
    workflow: &mut Workflow,
    step_id: &str,
    at: Timestamp,
    usage: Usage,
    why: impl FnOnce(&str) -> Option<Arc<str>>,
) {
    close(workflow, step_id, StepStatus::Failed, at, usage);
    if let Some(step) = step_mut(workflow, step_id) {
        let agent_name = Arc::clone(&step.agent_name);
        let trouble = step.trouble_mut();
        trouble.failures += 1;
        trouble.feedback = why(&agent_name);
        if !agent_name.is_empty() && !trouble.failed_by.contains(&agent_name) {
            trouble.failed_by.push(agent_name);
        }
    }
}

/// Only where it stays: of a task that succeeded a receipt is left, of one that did not come nothing.
fn remember(workflow: &mut Workflow, command: &Command) {
    let stays = match workflow.phase {
        Phase::Live => true,
        Phase::Ended { outcome, .. } => outcome != Outcome::Succeeded,
        Phase::Absent => false,
    };
    if let Some(id) = command.id.as_ref().filter(|_| stays) {
        if workflow.commands.len() >= COMMANDS_KEPT {
            workflow.commands.remove(0);
        }
        workflow.commands.push(id.as_str().into());
    }
}

/// What a command changes at once; what follows from that are further facts.
fn applied(workflow: &mut Workflow, command: &Arc<Command>, at: Timestamp) {
    workflow.held.retain(|held| held.command != *command);
    remember(workflow, command);
    let step_id = command.step_id.as_deref();
    match command.kind {
        // The end is a fact of its own.
        CommandKind::Cancel | CommandKind::Reject => {}
        CommandKind::Pause => pause(workflow),
        CommandKind::Resume => workflow.paused = false,
        CommandKind::Retry => retry(workflow, at),
        CommandKind::Approve => match step_id.and_then(|id| step_mut(workflow, id)) {
            Some(step) => {
                step.status = StepStatus::Waiting;
                step.ended_at = None;
                step.trouble_mut().approved = true;
            }
            None => workflow.unapproved = false,
        },
        CommandKind::Answer => {
            if let Some(step) = step_id.and_then(|id| step_mut(workflow, id)) {
                step.status = StepStatus::Waiting;
                let agent_name = Arc::clone(&step.agent_name);
                let trouble = step.trouble_mut();
                trouble.answer.clone_from(&command.value);
                trouble.next = Some(NextAgent::Again(agent_name));
            }
        }
        CommandKind::Reassign => {
            let Some(step_id) = step_id else { return };
            workflow.choices.retain(|choice| *choice.step_id != *step_id);
            let step = step_or_new(workflow, &step_id.into());
            let had = step.status.is_assigned().then(|| Arc::clone(&step.agent_name));
            step.status = StepStatus::Waiting;
            step.grounds = None;
            step.ended_at = None;
            let trouble = step.trouble_mut();
            if let Some(had) = had {
                trouble.failed_by.push(had);
            }
            trouble.next = command.agent_name.as_deref().map(|name| NextAgent::Named(name.into()));
        }
    }
}

/// Questions are dropped: they are put anew, under new numbers, when the task goes on.
fn pause(workflow: &mut Workflow) {
    workflow.paused = true;
    workflow.choices.clear();
    workflow.planning = None;
    workflow.steps.change(|step| step.status == StepStatus::Choosing, |step| step.status = StepStatus::Waiting);
}

/// What succeeded stays; all else begins anew, with budgets for hops and attempts of its own.
fn retry(workflow: &mut Workflow, at: Timestamp) {
    let lasted = workflow.deadline.since(workflow.submitted_at).max(0);
    workflow.phase = Phase::Live;
    workflow.run += 1;
    workflow.paused = false;
    workflow.deadline = workflow.deadline.max(at.plus(lasted));
    workflow.used.hops = 0;
    workflow.used.attempts = 0;
    let anew = |step: &mut Step| {
        step.status = StepStatus::Waiting;
        step.ended_at = None;
        step.trouble = None;
    };
    workflow.steps.change(|step| step.status != StepStatus::Succeeded, anew);
}

fn ended(workflow: &mut Workflow, outcome: Outcome, at: Timestamp) {
    workflow.phase = Phase::Ended { outcome, at };
    workflow.choices.clear();
    workflow.planning = None;
    if outcome == Outcome::Succeeded {
        workflow.commands.clear();
    }
    // What was still with an agent ends with its task; a late report on it changes nothing.
    let end = |step: &mut Step| {
        let begun = step.attempt > 0;
        step.status = if begun { StepStatus::Failed } else { StepStatus::Skipped };
        step.grounds = None;
        step.ended_at = Some(at);
    };
    workflow.steps.change(|step| !step.status.is_over(), end);
}
