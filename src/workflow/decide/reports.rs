//! Agents' reports: which count, and what follows from those that do.

use super::super::{
    AssignmentId, ErrorClass, Fact, Outcome, Payload, Phase, Report, ReportStatus, Step, StepStatus, Timestamp, Usage,
    Workflow, World,
};
use super::failures::{self, Failure};
use super::{Facts, Rejection, advance, routing};
use std::sync::Arc;

pub(super) fn reported(
    facts: &mut Facts<'_>,
    report: &Report,
    too_large: Option<&str>,
    world: &dyn World,
) -> Result<(), Rejection> {
    let step = subject(facts.workflow(), report)?;
    let (step_id, status) = (Arc::clone(&step.id), step.status);
    let usage = report.usage.unwrap_or_default();
    match report.status {
        ReportStatus::Accepted => accepted(facts, &step_id, status, world)?,
        ReportStatus::Progress => progressed(facts, &step_id, status, report, world)?,
        ReportStatus::Succeeded => succeeded(facts, &step_id, report, too_large, usage, world),
        ReportStatus::Failed => failed(facts, &step_id, report, usage, world),
        ReportStatus::Declined => {
            facts.add(Fact::StepDeclined { step_id: Arc::clone(&step_id), message: report.message.clone(), usage });
            go_on(facts, &step_id, world);
        }
        ReportStatus::InputRequired => {
            facts.add(Fact::StepNeedsInput { step_id, message: report.message.clone(), usage });
        }
    }
    Ok(())
}

/// Another agent is chosen, now or when the task goes on.
fn go_on(facts: &mut Facts<'_>, step_id: &Arc<str>, world: &dyn World) {
    if !facts.workflow().is_held_back() {
        routing::choose(facts, step_id, world);
    }
}

/// The step a report is about, if the report counts now.
fn subject<'w>(workflow: &'w Workflow, report: &Report) -> Result<&'w Step, Rejection> {
    let impossible = |why: &str| Rejection::Impossible(format!("assignmentId {:?}: {why}", report.assignment_id));
    let Some(id) = AssignmentId::parse(&report.assignment_id) else {
        return Err(impossible("not an id that Baton writes"));
    };
    if id.task_id != report.task_id {
        return Err(impossible("it belongs to another task than taskId says"));
    }
    match workflow.phase {
        Phase::Absent => return Err(Rejection::Stale("the task is not known (any more)")),
        Phase::Ended { .. } => return Err(Rejection::Stale("the task has ended")),
        Phase::Live => {}
    }
    if id.accepted != workflow.accepted {
        let earlier =
            id.accepted.partition == workflow.accepted.partition && id.accepted.offset < workflow.accepted.offset;
        return Err(if earlier {
            Rejection::Stale("it is about an earlier task of this id")
        } else {
            impossible("the task was accepted elsewhere")
        });
    }
    let Some(step) = workflow.step(id.step_id) else {
        let replanned = workflow.replans > 0;
        return Err(if replanned {
            Rejection::Stale("the step is not in the plan any more")
        } else {
            impossible("the task has no such step")
        });
    };
    if id.attempt == 0 || id.attempt > step.attempt {
        return Err(impossible("the step has no such attempt"));
    }
    if id.attempt < step.attempt {
        return Err(Rejection::Stale("it is about an earlier attempt"));
    }
    if !step.agent_name.trim().eq_ignore_ascii_case(report.agent_name.trim()) {
        return Err(impossible(&format!("it is {:?}'s, not {:?}'s", step.agent_name, report.agent_name)));
    }
    match step.status {
        status if status.is_assigned() => Ok(step),
        _ => Err(Rejection::Stale("the assignment has ended")),
    }
}

fn accepted(facts: &mut Facts<'_>, step_id: &Arc<str>, status: StepStatus, world: &dyn World) -> Result<(), Rejection> {
    if matches!(status, StepStatus::Accepted { .. }) {
        return Err(Rejection::Stale("the assignment is accepted already"));
    }
    let done_by = facts.now.plus(routing::done_within(facts.workflow(), step_id, world.rules()));
    let quiet_by = next_word(facts, world);
    facts.add(Fact::StepAccepted { step_id: Arc::clone(step_id), done_by, quiet_by });
    Ok(())
}

/// When the agent must have said something again.
fn next_word(facts: &Facts<'_>, world: &dyn World) -> Timestamp {
    facts.now.plus(world.rules().inactivity_timeout)
}

/// Whoever reports progress has accepted. Of the rest few are kept: each is a write.
fn progressed(
    facts: &mut Facts<'_>,
    step_id: &Arc<str>,
    status: StepStatus,
    report: &Report,
    world: &dyn World,
) -> Result<(), Rejection> {
    let fresh = !matches!(status, StepStatus::Accepted { .. });
    if fresh {
        accepted(facts, step_id, status, world)?;
    }
    let since = facts.workflow().step(step_id).and_then(|step| step.progress_at);
    if !fresh && since.is_some_and(|since| facts.now.since(since) < world.rules().progress_interval) {
        return Err(Rejection::Stale("progress was noted a moment ago"));
    }
    let (progress, message) = (report.progress, report.message.clone());
    let quiet_by = next_word(facts, world);
    facts.add(Fact::StepProgressed { step_id: Arc::clone(step_id), quiet_by, progress, message });
    Ok(())
}

fn succeeded(
    facts: &mut Facts<'_>,
    step_id: &Arc<str>,
    report: &Report,
    too_large: Option<&str>,
    usage: Usage,
    world: &dyn World,
) {
    // An agent that has nothing to say has said null.
    let output = report.output.clone().unwrap_or_else(|| Payload::from("null"));
    let too_large = too_large.map(str::to_owned).or_else(|| {
        let (sum, limit) = (facts.workflow().payload_bytes() + output.text().len(), world.rules().workflow_bytes);
        (sum > limit)
            .then(|| format!("with this output the task holds {sum} B, over workflow.workflow_bytes ({limit})"))
    });
    if let Some(detail) = too_large {
        facts.add(Fact::OutputRejected { step_id: Arc::clone(step_id), reason: detail.clone(), usage });
        facts.end(Outcome::Failed, "too_large", detail);
        return;
    }
    let workflow = facts.workflow();
    let contract = workflow.planned(step_id).and_then(|planned| planned.output_contract.as_deref());
    let topic_name = workflow.step(step_id).map_or("", |step| &step.topic_name);
    if let Some(reason) = world.output_fault(topic_name, contract, &output) {
        facts.add(Fact::OutputRejected { step_id: Arc::clone(step_id), reason: reason.clone(), usage });
        let class = ErrorClass::InvalidOutput;
        let failure = Failure { class, code: class.symbol(), message: reason, retry_after: None };
        failures::settle(facts, step_id, &failure, world);
        return;
    }
    facts.add(Fact::StepSucceeded { step_id: Arc::clone(step_id), output, usage });
    advance::advance(facts, world);
}

fn failed(facts: &mut Facts<'_>, step_id: &Arc<str>, report: &Report, usage: Usage, world: &dyn World) {
    let error = report.error.as_ref();
    let class = error.map_or(ErrorClass::Transient, |error| error.class);
    let told = error.map(|error| error.message.clone()).or_else(|| report.message.clone());
    let message = told.unwrap_or_else(|| "the agent gave no reason".to_owned());
    facts.add(Fact::StepFailed { step_id: Arc::clone(step_id), class, message: message.clone(), usage });
    let retry_after = error.and_then(|error| error.retry_after_ms);
    failures::settle(facts, step_id, &Failure { class, code: class.symbol(), message, retry_after }, world);
}
