//! Folding facts into state. Total: replaying stored facts cannot fail.

use super::{
    Assigned, ChoiceState, Decision, Event, Fact, OpenChoice, Outcome, Phase, Step, StepStatus, Timestamp, Usage,
    Workflow,
};
use super::{Choice, Payload};
use std::sync::Arc;

/// Folds one fact. A fact that does not fit (it cannot have been decided) changes only the counters.
pub fn evolve(workflow: &mut Workflow, event: &Event) {
    workflow.last_fact += 1;
    workflow.last_at = event.at;
    match &event.fact {
        Fact::TaskAccepted(acceptance) => {
            workflow.phase = Phase::Live;
            workflow.task = Some(Arc::clone(&acceptance.task));
            workflow.accepted = acceptance.accepted;
            workflow.content_hash = acceptance.content_hash;
            workflow.submitted_at = acceptance.submitted_at;
            workflow.deadline = acceptance.deadline;
            workflow.traceparent.clone_from(&acceptance.traceparent);
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
        Fact::StepAccepted { step_id, done_by } => {
            if let Some(step) = step_mut(workflow, step_id) {
                step.status = StepStatus::Accepted { done_by: *done_by };
                step.progress_at = Some(event.at);
            }
        }
        Fact::StepProgressed { step_id, done_by, .. } => {
            if let Some(step) = step_mut(workflow, step_id) {
                step.status = StepStatus::Accepted { done_by: *done_by };
                step.progress_at = Some(event.at);
            }
        }
        Fact::StepSucceeded { step_id, output, usage } => {
            close(workflow, step_id, StepStatus::Succeeded, Some(output), Some(event.at), *usage);
        }
        Fact::StepFailed { step_id, usage, .. }
        | Fact::StepNeedsInput { step_id, usage, .. }
        | Fact::OutputRejected { step_id, usage, .. } => {
            close(workflow, step_id, StepStatus::Failed, None, Some(event.at), *usage);
        }
        Fact::StepTimedOut { step_id, .. } => {
            close(workflow, step_id, StepStatus::Failed, None, Some(event.at), Usage::default());
        }
        Fact::StepDeclined { step_id, usage, .. } => {
            close(workflow, step_id, StepStatus::Choosing, None, None, *usage);
            if let Some(step) = step_mut(workflow, step_id) {
                step.declined_by.push(step.agent_name.to_string());
            }
        }
        Fact::TaskEnded(end) => ended(workflow, end.outcome, event.at),
    }
}

fn step_mut<'a>(workflow: &'a mut Workflow, id: &str) -> Option<&'a mut Step> {
    workflow.steps.iter_mut().find(|step| &*step.id == id)
}

fn open(workflow: &mut Workflow, step_id: &Arc<str>, question: u32, state: ChoiceState) {
    workflow.last_question = workflow.last_question.max(question);
    workflow.choices.retain(|choice| choice.step_id != *step_id);
    workflow.choices.push(OpenChoice { step_id: Arc::clone(step_id), question, state });
}

fn chosen(workflow: &mut Workflow, decision: &Decision) {
    for attempt in &decision.attempts {
        workflow.used.usage = workflow.used.usage.plus(attempt.usage);
    }
    match decision.settled.choice {
        Choice::None => {
            let eligible = decision.settled.eligible.clone().into();
            open(workflow, &decision.step_id, decision.question, ChoiceState::Refused { eligible });
        }
        Choice::Agent(_) | Choice::Done => {
            workflow.last_question = workflow.last_question.max(decision.question);
            workflow.choices.retain(|choice| choice.step_id != decision.step_id);
        }
    }
}

fn assign(workflow: &mut Workflow, assigned: &Assigned, at: Timestamp) {
    workflow.used.attempts += 1;
    let status = StepStatus::Assigned { accept_by: assigned.accept_by };
    let agent_name: Arc<str> = assigned.chosen.agent_name.as_str().into();
    let agent_version: Arc<str> = assigned.chosen.version.as_str().into();
    if let Some(step) = step_mut(workflow, &assigned.step_id) {
        step.status = status;
        step.agent_name = agent_name;
        step.agent_version = agent_version;
        step.attempt = assigned.attempt;
        step.by_contract = assigned.by_contract;
        step.assigned_at = at;
        step.progress_at = None;
        step.ended_at = None;
        return;
    }
    workflow.used.hops += 1;
    workflow.steps.push(Step {
        id: Arc::clone(&assigned.step_id),
        status,
        agent_name,
        agent_version,
        attempt: assigned.attempt,
        by_contract: assigned.by_contract,
        declined_by: Vec::new(),
        assigned_at: at,
        progress_at: None,
        ended_at: None,
        output: None,
    });
}

fn close(
    workflow: &mut Workflow,
    step_id: &str,
    status: StepStatus,
    output: Option<&Payload>,
    ended_at: Option<Timestamp>,
    usage: Usage,
) {
    workflow.used.usage = workflow.used.usage.plus(usage);
    if let Some(step) = step_mut(workflow, step_id) {
        step.status = status;
        step.output = output.cloned();
        step.ended_at = ended_at;
    }
}

fn ended(workflow: &mut Workflow, outcome: Outcome, at: Timestamp) {
    workflow.phase = Phase::Ended { outcome, at };
    workflow.choices.clear();
    for step in &mut workflow.steps {
        // What was still with an agent ends with its task; a late report on it changes nothing.
        if matches!(step.status, StepStatus::Choosing | StepStatus::Assigned { .. } | StepStatus::Accepted { .. }) {
            step.status = StepStatus::Failed;
            step.ended_at = Some(at);
        }
    }
}
