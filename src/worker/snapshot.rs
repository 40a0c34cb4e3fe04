//! Snapshot parts between the core and the wire. What cannot be read back stops the worker: skipping a part
//! would lose a task.

use super::Stop;
use super::mutant::{self, Mutant};
use crate::contract::{self as wire, Codec, Snapshot, StepPayload, TaskSubmitted, Undecided};
use crate::partition::{Part, Receipt};
use crate::selection::topic_name_of;
use crate::workflow::{
    ChoiceState, Command, Expected, Grounds, HeldCommand, NextAgent, OpenChoice, Outcome, Payload, Phase, Plan,
    Planning, Position, Step, StepStatus, Timestamp, Trouble, Usage, Used, Workflow,
};
use std::sync::Arc;

pub(super) fn to_wire(part: &Part) -> Snapshot {
    match part {
        Part::Skeleton(workflow) => skeleton(workflow).into(),
        Part::Task(task) => TaskSubmitted::from(&**task).into(),
        Part::Plan(plan) => plan.iter().map(wire::PlannedStep::from).collect::<Vec<_>>().into(),
        Part::Output(output) => StepPayload { input: None, output: Some(output.text().to_owned()) }.into(),
        Part::Receipt(receipt) => wire::Receipt {
            content_hash: receipt.content_hash.to_vec(),
            outcome: outcome_to_wire(receipt.outcome),
            ended_at: receipt.ended_at.0,
            accepted_partition: receipt.accepted.partition,
            accepted_offset: receipt.accepted.offset,
            last_fact: i64::try_from(receipt.last_fact).unwrap_or(i64::MAX),
        }
        .into(),
    }
}

/// Decodes one record of `task-state`; none deletes its key. `look_up` is called for a schema that is not known yet, and
/// again until it is or the worker must stop.
pub(super) fn read<'k>(
    codec: &Codec,
    key: &'k [u8],
    value: Option<&[u8]>,
    look_up: &mut dyn FnMut(u32) -> Result<(), Stop>,
) -> Result<(&'k str, Option<Part>), Stop> {
    let broken = |what: &str| {
        let key = String::from_utf8_lossy(key);
        Stop::Broken(format!("task-state holds what this version cannot read, under key {key:?}: {what}"))
    };
    let text = std::str::from_utf8(key).map_err(|_| broken("the key is not text"))?;
    let Some(value) = value else { return Ok((text, None)) };
    let snapshot: Snapshot = loop {
        match codec.decode(value) {
            Ok(snapshot) => break snapshot,
            Err(Undecided::NeedsSchema(id)) => look_up(id)?,
            Err(Undecided::Refused(refusal)) => return Err(broken(&refusal.to_string())),
        }
    };
    let part = from_wire(snapshot).ok_or_else(|| broken("no field that this version knows is set"))?;
    Ok((text, Some(part)))
}

fn from_wire(snapshot: Snapshot) -> Option<Part> {
    match snapshot {
        Snapshot { skeleton: Some(skeleton), .. } => Some(Part::Skeleton(Arc::new(workflow(skeleton)?))),
        Snapshot { task: Some(task), .. } => Some(Part::Task(Arc::new(task.into_task()))),
        Snapshot { plan: Some(plan), .. } => {
            Some(Part::Plan(plan.into_iter().map(wire::PlannedStep::into_step).collect()))
        }
        Snapshot { payload: Some(StepPayload { output: Some(output), .. }), .. } => {
            Some(Part::Output(Payload::from(output)))
        }
        Snapshot { receipt: Some(receipt), .. } => Some(Part::Receipt(Receipt {
            content_hash: receipt.content_hash.try_into().ok()?,
            outcome: outcome_from_wire(receipt.outcome)?,
            ended_at: Timestamp(receipt.ended_at),
            accepted: Position { partition: receipt.accepted_partition, offset: receipt.accepted_offset },
            last_fact: u64::try_from(receipt.last_fact).ok()?,
        })),
        _ => None,
    }
}

pub(super) fn outcome_to_wire(outcome: Outcome) -> wire::Outcome {
    match outcome {
        Outcome::Succeeded => wire::Outcome::Succeeded,
        Outcome::Partial => wire::Outcome::Partial,
        Outcome::Cancelled => wire::Outcome::Cancelled,
        Outcome::Failed => wire::Outcome::Failed,
        Outcome::Expired => wire::Outcome::Expired,
    }
}

fn outcome_from_wire(outcome: wire::Outcome) -> Option<Outcome> {
    match outcome {
        wire::Outcome::Succeeded => Some(Outcome::Succeeded),
        wire::Outcome::Partial => Some(Outcome::Partial),
        wire::Outcome::Cancelled => Some(Outcome::Cancelled),
        wire::Outcome::Failed => Some(Outcome::Failed),
        wire::Outcome::Expired => Some(Outcome::Expired),
        _ => None,
    }
}

pub(super) fn status_to_wire(status: StepStatus) -> wire::StepStatus {
    match status {
        StepStatus::Waiting => wire::StepStatus::Waiting,
        StepStatus::Choosing => wire::StepStatus::Choosing,
        StepStatus::Delayed { .. } => wire::StepStatus::Delayed,
        StepStatus::NeedsApproval => wire::StepStatus::NeedsApproval,
        StepStatus::NeedsInput => wire::StepStatus::NeedsInput,
        StepStatus::Skipped => wire::StepStatus::Skipped,
        StepStatus::Assigned { .. } => wire::StepStatus::Assigned,
        StepStatus::Accepted { .. } => wire::StepStatus::Accepted,
        StepStatus::Succeeded => wire::StepStatus::Succeeded,
        StepStatus::Failed => wire::StepStatus::Failed,
    }
}

fn skeleton(workflow: &Workflow) -> wire::Skeleton {
    let (phase, outcome, ended_at) = match workflow.phase {
        Phase::Absent => (wire::Phase::Absent, None, None),
        Phase::Live => (wire::Phase::Live, None, None),
        Phase::Ended { outcome, at } => (wire::Phase::Ended, Some(outcome_to_wire(outcome)), Some(at.0)),
    };
    let Used { hops, attempts, usage } = workflow.used;
    wire::Skeleton {
        accepted_partition: workflow.accepted.partition,
        accepted_offset: workflow.accepted.offset,
        content_hash: workflow.content_hash.to_vec(),
        phase,
        outcome,
        submitted_at: workflow.submitted_at.0,
        deadline: workflow.deadline.0,
        last_question: signed(workflow.last_question),
        last_fact: i64::try_from(workflow.last_fact).unwrap_or(i64::MAX),
        last_at: workflow.last_at.0,
        used: wire::Used {
            hops: signed(hops),
            attempts: signed(attempts),
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cost_micros: usage.cost_micros,
        },
        traceparent: workflow.traceparent.as_deref().map(str::to_owned),
        choices: workflow.choices.iter().map(choice_to_wire).collect(),
        steps: workflow.steps.iter().map(step_to_wire).collect(),
        ended_at,
        run: signed(workflow.run),
        begins_at: workflow.begins_at.map(|at| at.0),
        unapproved: workflow.unapproved,
        paused: workflow.paused,
        planned: workflow.plan.is_some(),
        planning: workflow.planning.as_ref().map(|planning| wire::Planning {
            question: signed(planning.question),
            tries: signed(planning.tries),
            faults: planning.faults.to_vec(),
            deadline: planning.deadline.0,
        }),
        replans: signed(workflow.replans),
        commands: workflow.commands.iter().map(ToString::to_string).collect(),
        held: workflow.held.iter().map(held_to_wire).collect(),
    }
}

fn held_to_wire(held: &HeldCommand) -> wire::HeldCommand {
    wire::HeldCommand { command: (&*held.command).into(), until: held.until.0 }
}

fn trouble_to_wire(trouble: &Trouble) -> wire::Trouble {
    let (next_named, next_again) = match &trouble.next {
        Some(NextAgent::Named(name)) => (Some(name.to_string()), None),
        Some(NextAgent::Again(name)) => (None, Some(name.to_string())),
        None => (None, None),
    };
    wire::Trouble {
        failed_by: trouble.failed_by.iter().map(ToString::to_string).collect(),
        failures: signed(trouble.failures),
        next_named,
        next_again,
        feedback: trouble.feedback.as_deref().map(str::to_owned),
        answer: trouble.answer.as_ref().map(|answer| answer.text().to_owned()),
        approved: trouble.approved,
    }
}

fn choice_to_wire(choice: &OpenChoice) -> wire::OpenChoice {
    let named = wire::OpenChoice {
        step_id: choice.step_id.to_string(),
        question: signed(choice.question),
        ..Default::default()
    };
    match &choice.state {
        ChoiceState::Asked { set, offers_done, tries, deadline } => wire::OpenChoice {
            set: set.to_vec(),
            offers_done: *offers_done,
            tries: signed(*tries),
            deadline: Some(deadline.0),
            ..named
        },
        ChoiceState::Refused { eligible, busy } => {
            wire::OpenChoice { refused: eligible.to_vec(), busy: busy.to_vec(), ..named }
        }
    }
}

fn step_to_wire(step: &Step) -> wire::Step {
    let (mut accept_by, mut done_by, mut quiet_by, mut until) = (None, None, None, None);
    match step.status {
        StepStatus::Assigned { accept_by: at } => accept_by = Some(at.0),
        StepStatus::Accepted { done_by: done, quiet_by: quiet } => (done_by, quiet_by) = (Some(done.0), Some(quiet.0)),
        StepStatus::Delayed { until: at } => until = Some(at.0),
        StepStatus::Waiting
        | StepStatus::Choosing
        | StepStatus::NeedsApproval
        | StepStatus::NeedsInput
        | StepStatus::Succeeded
        | StepStatus::Failed
        | StepStatus::Skipped => {}
    }
    let declined = step.trouble.iter().flat_map(|trouble| &trouble.declined_by);
    wire::Step {
        step_id: step.id.to_string(),
        status: status_to_wire(step.status),
        agent_name: step.agent_name.to_string(),
        agent_version: step.agent_version.to_string(),
        attempt: signed(step.attempt),
        by_contract: step.by_contract,
        declined_by: declined.map(ToString::to_string).collect(),
        assigned_at: Some(step.assigned_at.0),
        accept_by,
        done_by,
        progress_at: step.progress_at.map(|at| at.0),
        ended_at: step.ended_at.map(|at| at.0),
        quiet_by,
        until,
        trouble: step.trouble.as_deref().map(trouble_to_wire),
        grounds: step.grounds.as_deref().map(grounds_to_wire),
    }
}

fn grounds_to_wire(grounds: &Grounds) -> wire::Grounds {
    let millis = |of: fn(Expected) -> u32| grounds.latency.map(|latency| signed(of(latency)));
    wire::Grounds {
        success: i32::from(grounds.success),
        latency_low_ms: millis(|it| it.low),
        latency_ms: millis(|it| it.median),
        latency_high_ms: millis(|it| it.high),
        teaches: grounds.teaches.map(u64::cast_signed),
    }
}

fn grounds_of(wire: wire::Grounds) -> Grounds {
    let latency = wire.latency_low_ms.zip(wire.latency_ms).zip(wire.latency_high_ms);
    let expected =
        |((low, median), high)| Expected { low: unsigned(low), median: unsigned(median), high: unsigned(high) };
    Grounds {
        success: u16::try_from(wire.success).unwrap_or(0),
        latency: latency.map(expected),
        teaches: wire.teaches.map(i64::cast_unsigned),
    }
}

fn workflow(skeleton: wire::Skeleton) -> Option<Workflow> {
    let phase = match skeleton.phase {
        wire::Phase::Absent => Phase::Absent,
        wire::Phase::Live => Phase::Live,
        wire::Phase::Ended => Phase::Ended {
            outcome: outcome_from_wire(skeleton.outcome?)?,
            // Versions that kept no such time did nothing to a workflow after its end.
            at: Timestamp(skeleton.ended_at.unwrap_or(skeleton.last_at)),
        },
        wire::Phase::Unknown => return None,
    };
    let choice = |choice: wire::OpenChoice| OpenChoice {
        step_id: choice.step_id.into(),
        question: unsigned(choice.question),
        state: match choice.deadline {
            Some(deadline) => ChoiceState::Asked {
                set: choice.set.into(),
                offers_done: choice.offers_done,
                tries: unsigned(choice.tries),
                deadline: Timestamp(deadline),
            },
            None => ChoiceState::Refused { eligible: choice.refused.into(), busy: choice.busy.into() },
        },
    };
    Some(Workflow {
        phase,
        task: None,
        accepted: Position { partition: skeleton.accepted_partition, offset: skeleton.accepted_offset },
        content_hash: skeleton.content_hash.try_into().ok()?,
        submitted_at: Timestamp(skeleton.submitted_at),
        deadline: Timestamp(skeleton.deadline),
        traceparent: skeleton.traceparent.map(Into::into),
        last_question: if mutant::is(Mutant::QuestionNumberReused) { 0 } else { unsigned(skeleton.last_question) },
        last_fact: skeleton.last_fact.try_into().ok()?,
        last_at: Timestamp(skeleton.last_at),
        used: Used {
            hops: unsigned(skeleton.used.hops),
            attempts: unsigned(skeleton.used.attempts),
            usage: Usage {
                input_tokens: skeleton.used.input_tokens,
                output_tokens: skeleton.used.output_tokens,
                cost_micros: skeleton.used.cost_micros,
            },
        },
        choices: skeleton.choices.into_iter().map(choice).collect(),
        steps: skeleton.steps.into_iter().map(step).collect::<Option<_>>()?,
        run: unsigned(skeleton.run),
        begins_at: skeleton.begins_at.map(Timestamp),
        unapproved: skeleton.unapproved,
        paused: skeleton.paused,
        // What it is comes in another part.
        plan: skeleton.planned.then(Plan::default),
        planning: skeleton.planning.map(|planning| Planning {
            question: unsigned(planning.question),
            tries: unsigned(planning.tries),
            faults: planning.faults.into(),
            deadline: Timestamp(planning.deadline),
        }),
        replans: unsigned(skeleton.replans),
        commands: skeleton.commands.into_iter().map(Into::into).collect(),
        held: skeleton.held.into_iter().map(held).collect::<Option<_>>()?,
    })
}

fn held(held: wire::HeldCommand) -> Option<HeldCommand> {
    let command: Command = held.command.into_command()?;
    Some(HeldCommand { command: Arc::new(command), until: Timestamp(held.until) })
}

fn trouble(declined_by: Vec<String>, trouble: Option<wire::Trouble>) -> Option<Box<Trouble>> {
    if declined_by.is_empty() && trouble.is_none() {
        return None;
    }
    let wire::Trouble { failed_by, failures, next_named, next_again, feedback, answer, approved } =
        trouble.unwrap_or_default();
    let named = next_named.map(|name| NextAgent::Named(name.into()));
    Some(Box::new(Trouble {
        declined_by: declined_by.into_iter().map(Into::into).collect(),
        failed_by: failed_by.into_iter().map(Into::into).collect(),
        failures: unsigned(failures),
        next: named.or_else(|| next_again.map(|name| NextAgent::Again(name.into()))),
        feedback: feedback.map(Into::into),
        answer: answer.map(Payload::from),
        approved,
    }))
}

fn step(step: wire::Step) -> Option<Step> {
    let status = match step.status {
        wire::StepStatus::Waiting => StepStatus::Waiting,
        wire::StepStatus::Choosing => StepStatus::Choosing,
        wire::StepStatus::Delayed => StepStatus::Delayed { until: Timestamp(step.until?) },
        wire::StepStatus::NeedsApproval => StepStatus::NeedsApproval,
        wire::StepStatus::NeedsInput => StepStatus::NeedsInput,
        wire::StepStatus::Assigned => StepStatus::Assigned { accept_by: Timestamp(step.accept_by?) },
        wire::StepStatus::Accepted => StepStatus::Accepted {
            done_by: Timestamp(step.done_by?),
            // Versions that knew one wait only began it anew with each word.
            quiet_by: Timestamp(step.quiet_by.or(step.done_by)?),
        },
        wire::StepStatus::Succeeded => StepStatus::Succeeded,
        wire::StepStatus::Failed => StepStatus::Failed,
        wire::StepStatus::Skipped => StepStatus::Skipped,
        wire::StepStatus::Unknown => return None,
    };
    // Not written: it follows from name and version. None was chosen yet where there is no name.
    let (name, version) = (&step.agent_name, &step.agent_version);
    let topic_name = if name.is_empty() { String::new() } else { topic_name_of(name, version) };
    Some(Step {
        id: step.step_id.into(),
        status,
        topic_name: topic_name.into(),
        agent_name: step.agent_name.into(),
        agent_version: step.agent_version.into(),
        attempt: unsigned(step.attempt),
        by_contract: step.by_contract,
        assigned_at: Timestamp(step.assigned_at.unwrap_or(0)),
        progress_at: step.progress_at.map(Timestamp),
        ended_at: step.ended_at.map(Timestamp),
        output: None,
        trouble: trouble(step.declined_by, step.trouble),
        grounds: step.grounds.map(|grounds| Arc::new(grounds_of(grounds))),
    })
}

/// Avro has no unsigned numbers; ours are counts, far below the limit.
pub(super) fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn unsigned(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}
