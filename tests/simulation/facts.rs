//! What must be true of facts and of the workflow they fold to.

use super::violated;
use baton::workflow::{Event, Fact, Phase, StepStatus, Workflow};

/// Whether a fact can follow.
pub(super) fn fits(task_id: &str, workflow: &Workflow, event: &Event) {
    let last = workflow.last_question;
    let fine = match (&event.fact, workflow.phase) {
        (Fact::TaskAccepted(_), phase) => phase == Phase::Absent,
        (_, Phase::Absent | Phase::Ended { .. }) => false,
        (Fact::AgentAsked { question, .. }, _) => *question == last + 1,
        (Fact::AgentChosen(decision), _) => {
            let question = decision.question;
            question == last + 1 || (question <= last && workflow.choice(question).is_some())
        }
        (Fact::StepAssigned(assigned), _) => {
            let before = workflow.step(&assigned.step_id);
            assigned.attempt == before.map_or(0, |step| step.attempt) + 1
                && before.is_none_or(|step| !is_with_agent(step.status))
        }
        _ => true,
    };
    if !fine || event.at < workflow.last_at {
        violated(format!("{task_id}: {event:#?} cannot follow on {workflow:#?}"));
    }
}

/// Whether a workflow keeps its budgets, and waits for something if it lives.
pub(super) fn lives(task_id: &str, workflow: &Workflow, max_hops: u32) {
    let limits = workflow.task.as_ref().and_then(|task| task.limits.as_ref());
    let hops = limits.and_then(|limits| limits.max_hops).and_then(|hops| u32::try_from(hops).ok()).unwrap_or(max_hops);
    if workflow.used.hops > hops {
        violated(format!("{task_id}: {} hops of {hops}", workflow.used.hops));
    }
    let waits = !workflow.choices.is_empty() || workflow.steps.iter().any(|step| is_with_agent(step.status));
    if workflow.phase == Phase::Live && !waits {
        violated(format!("{task_id} lives and waits for nothing: {workflow:#?}"));
    }
}

fn is_with_agent(status: StepStatus) -> bool {
    matches!(status, StepStatus::Assigned { .. } | StepStatus::Accepted { .. })
}
