//! From what was staged to records: the core's words become the contract's.

use super::snapshot::signed;
use super::{Outgoing, Record, Settings};
use crate::contract::{
    self as wire, AgentOutcome, Assignment, Attempt, Cancellation, Candidate, Codec, CompletedStep, Completion,
    ContextItem, FactType, OutcomeClass, RoutingDecision, TaskEvents, WireRecord, assignment_topic, home_partition,
    rfc3339,
};
use crate::partition::{
    AssignmentOut, CancellationOut, CompletionOut, Dead, Ending, FactsOut, Note, OutcomeOut, Output, Part, PartKey,
    TaskRef,
};
use crate::selection::DEFAULT_STRATEGY;
use crate::workflow::{
    AssignmentId, Choice, Command, Decision, Event, Expected, Fact, Grounds, How, NextAgent, TimerKind, Timestamp,
};
use serde_json::json;
use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Topic names and what else every record needs, made once.
#[derive(Debug)]
pub(super) struct Encoder {
    pub(super) codec: Arc<Codec>,
    prefix: String,
    worker: String,
    partitions: i32,
    decisions: Arc<str>,
    events: Arc<str>,
    completions: Arc<str>,
    cancellations: Arc<str>,
    outcomes: Arc<str>,
    pub(super) state: Arc<str>,
    pub(super) inputs: [Arc<str>; crate::partition::INPUTS],
    source: String,
    /// The last moment that was put in words: most records of a batch share one.
    spelled: RefCell<(Timestamp, Rc<str>)>,
}

/// One record's beginning: where it goes and under which headers.
struct Envelope<'a> {
    topic: Arc<str>,
    partition: i32,
    task: &'a TaskRef,
    ce_id: String,
    at: Timestamp,
    origin: usize,
}

impl Encoder {
    pub(super) fn new(codec: Arc<Codec>, settings: &Settings, inputs: [Arc<str>; crate::partition::INPUTS]) -> Self {
        let topic = |name: &str| -> Arc<str> { format!("{}.{name}", settings.prefix).into() };
        Self {
            codec,
            prefix: settings.prefix.clone(),
            worker: settings.worker.clone(),
            partitions: settings.partitions,
            decisions: topic("routing-decisions"),
            events: topic("task-events"),
            completions: topic("completions"),
            cancellations: topic("cancellations"),
            outcomes: topic("agent-outcomes"),
            state: topic("task-state"),
            inputs,
            source: format!("baton/{}/orchestrator", settings.prefix),
            spelled: RefCell::new((Timestamp(0), rfc3339(0).into())),
        }
    }

    /// The partition a task lives on.
    pub(super) fn home(&self, task_id: &str) -> i32 {
        home_partition(task_id, self.partitions)
    }

    /// A record of a task. `overhead_micros` is what Baton itself took for a decision; `spread` picks the partition of a
    /// record that is not its task's: by its key if it has one, else any.
    pub(super) fn output(
        &self,
        output: &Output,
        partition: i32,
        origin: usize,
        overhead_micros: i64,
        spread: impl FnOnce(&str, Option<&str>) -> i32,
    ) -> Outgoing {
        let envelope = |topic: &Arc<str>, task, ce_id, at| Envelope {
            topic: Arc::clone(topic),
            partition,
            task,
            ce_id,
            at,
            origin,
        };
        match output {
            Output::Assignment(assignment) => {
                let topic: Arc<str> = assignment_topic(&self.prefix, &assignment.assigned.chosen.topic_name).into();
                let (record, id) = assignment_of(assignment);
                let partition = spread(&topic, None);
                let envelope = envelope(&topic, &assignment.task, id, assignment.at);
                self.record(Envelope { partition, ..envelope }, &record)
            }
            Output::Decision { task, decision, at } => {
                let record = decision_of(task, decision, *at, overhead_micros);
                self.record(envelope(&self.decisions, task, record.decision_id.clone(), *at), &record)
            }
            Output::Facts(facts) => {
                let record = facts_of(facts);
                // Before its task has come, the place is one of another topic.
                let of = if facts.is_known { "" } else { "command-" };
                let id = format!("{}~{of}{}~f{}", facts.task.task_id, facts.task.accepted, facts.first_sequence);
                self.record(envelope(&self.events, &facts.task, id, Timestamp(record.at)), &record)
            }
            Output::Completion(completion) => {
                let (record, id) = self.completion_of(completion);
                self.record(envelope(&self.completions, &completion.task, id, completion.completed_at), &record)
            }
            Output::Cancellation(cancellation) => {
                let record = cancellation_of(cancellation);
                let (id, at) = (format!("{}~withdrawn", record.assignment_id), cancellation.ended.at);
                self.record(envelope(&self.cancellations, &cancellation.task, id, at), &record)
            }
            Output::Outcome(outcome) => {
                let record = outcome_of(outcome);
                let topic_name = &outcome.ended.topic_name;
                let partition = spread(&self.outcomes, Some(topic_name));
                let id = format!("{}~outcome", record.assignment_id);
                let envelope = envelope(&self.outcomes, &outcome.task, id, outcome.ended.at);
                let key = Some(topic_name.as_bytes().to_vec());
                Outgoing { key, ..self.record(Envelope { partition, ..envelope }, &record) }
            }
        }
    }

    fn record<T: WireRecord>(&self, envelope: Envelope<'_>, record: &T) -> Outgoing {
        let Envelope { topic, partition, task, ce_id, at, origin } = envelope;
        let described = wire::Envelope {
            id: &ce_id,
            kind: T::KIND,
            source: &self.source,
            time: &self.time(at),
            traceparent: task.traceparent.as_deref(),
        };
        let headers = described.headers().into_iter().map(owned_header).collect();
        let (key, value) = (Some(task.task_id.as_bytes().to_vec()), Some(self.codec.encode(record)));
        Outgoing { topic, partition, key, value, headers, timestamp: None, origin }
    }

    fn time(&self, at: Timestamp) -> Rc<str> {
        let mut spelled = self.spelled.borrow_mut();
        if spelled.0 != at {
            *spelled = (at, rfc3339(at.0).into());
        }
        Rc::clone(&spelled.1)
    }

    /// One part of a snapshot; none deletes it.
    pub(super) fn part(&self, key: &PartKey, part: Option<&Part>, partition: i32, origin: usize) -> Outgoing {
        Outgoing {
            topic: Arc::clone(&self.state),
            partition,
            key: Some(key.as_str().as_bytes().to_vec()),
            value: part.map(|part| self.codec.encode(&super::snapshot::to_wire(part))),
            headers: Vec::new(),
            timestamp: None,
            origin,
        }
    }

    /// A record on its way home, as it is, with where it arrived first.
    pub(super) fn forward(&self, record: &Record, to: i32, origin: usize) -> Outgoing {
        let mut headers = owned_headers(record);
        let arrived = wire::arrived(record.partition, record.offset);
        headers.push((wire::ARRIVED.into(), Some(arrived.into_bytes())));
        Outgoing {
            topic: Arc::clone(&self.inputs[record.input]),
            partition: to,
            key: record.key.clone(),
            value: record.value.clone(),
            headers,
            timestamp: Some(record.timestamp),
            origin,
        }
    }

    /// What goes home of a record that would outgrow its topic on the way.
    pub(super) fn note(&self, record: &Record, task_id: &str, note: &Note, origin: usize) -> Outgoing {
        let arrived = wire::arrived(record.partition, record.offset);
        let mut headers = vec![(wire::ARRIVED.into(), Some(arrived.into_bytes()))];
        if let Some((reason, detail)) = &note.why {
            headers.push((wire::OUTGROWN.into(), Some(format!("{reason} {detail}").into_bytes())));
        }
        let trace = record.header(wire::TRACEPARENT).filter(|trace| wire::is_traceparent(trace));
        headers.extend(trace.map(|trace| (wire::TRACEPARENT.into(), Some(trace.as_bytes().to_vec()))));
        Outgoing {
            topic: Arc::clone(&self.inputs[record.input]),
            partition: note.to,
            key: Some(task_id.as_bytes().to_vec()),
            value: note.value.clone(),
            headers,
            timestamp: Some(record.timestamp),
            origin,
        }
    }

    /// A record refused: its own bytes, and why.
    pub(super) fn dead(&self, record: &Record, dead: &Dead, now: Timestamp, origin: usize) -> Outgoing {
        let topic = &self.inputs[record.input];
        let mut headers = owned_headers(record);
        let refusal = wire::Refusal::new(dead.reason, dead.detail.clone());
        let from = wire::DeadFrom {
            topic,
            partition: record.partition,
            offset: record.offset,
            worker: &self.worker,
            now_ms: now.0,
        };
        headers.extend(wire::dead_letter(&refusal, &from).into_iter().map(owned_header));
        Outgoing {
            topic: format!("{topic}.dlq").into(),
            partition: record.partition,
            key: record.key.clone(),
            value: record.value.clone(),
            headers,
            timestamp: Some(record.timestamp),
            origin,
        }
    }

    fn completion_of(&self, out: &CompletionOut) -> (Completion, String) {
        let (outcome, reason, id) = match &out.ending {
            Ending::Ended { outcome, reason } => {
                let id = format!("{}~{}~run{}", out.task.task_id, out.task.accepted, out.run);
                (super::snapshot::outcome_to_wire(*outcome), reason.clone(), id)
            }
            Ending::Rejected { reason, code, input, partition, offset } => {
                let place = format!("{}-{partition}-{offset}", self.inputs[*input]);
                let code = code.map_or_else(|| reason.as_str().to_ascii_lowercase(), str::to_owned);
                (wire::Outcome::Rejected, code, format!("{}~{place}~rejected", out.task.task_id))
            }
        };
        let message = match &out.ending {
            Ending::Ended { .. } => out.message.clone(),
            Ending::Rejected { input, partition, offset, .. } => {
                let topic = &self.inputs[*input];
                format!("{} (dead letter in {topic}.dlq: record {partition}/{offset} of {topic})", out.message)
            }
        };
        let steps = out.steps.iter().map(|step| CompletedStep {
            step_id: step.step_id.to_string(),
            agent_name: step.agent_name.to_string(),
            status: super::snapshot::status_to_wire(step.status),
            attempts: signed(step.attempts),
            duration_ms: step.duration_ms,
        });
        let record = Completion {
            task_id: out.task.task_id.to_string(),
            run: signed(out.run),
            outcome,
            reason,
            message,
            result: out.result.as_ref().map(|result| result.text().to_owned()),
            steps: steps.collect(),
            hops: signed(out.hops),
            usage: out.usage.into(),
            correlation_id: out.correlation_id.clone(),
            submitted_at: Some(out.submitted_at.0),
            completed_at: out.completed_at.0,
        };
        (record, id)
    }
}

fn owned_header((key, value): wire::Header<'_>) -> (Cow<'static, str>, Option<Vec<u8>>) {
    (key.into(), Some(value.into_owned().into_bytes()))
}

fn owned_headers(record: &Record) -> Vec<(Cow<'static, str>, Option<Vec<u8>>)> {
    record.headers.iter().map(|(key, value)| (Cow::Owned(key.clone()), value.clone())).collect()
}

fn decision_id(task: &TaskRef, question: u32) -> String {
    format!("{}~{}~q{question}", task.task_id, task.accepted)
}

fn assignment_of(out: &AssignmentOut) -> (Assignment, String) {
    let AssignmentOut { task, assigned, .. } = out;
    let (task_id, step_id) = (&*task.task_id, &*assigned.step_id);
    let id = AssignmentId { task_id, accepted: task.accepted, step_id, attempt: assigned.attempt };
    let assignment_id = id.to_string();
    let context = out.context.iter().map(|(step_id, agent_name, output)| ContextItem {
        step_id: step_id.to_string(),
        agent_name: agent_name.to_string(),
        output: output.text().to_owned(),
    });
    let record = Assignment {
        assignment_id: assignment_id.clone(),
        task_id: task_id.to_owned(),
        step_id: step_id.to_owned(),
        agent_name: assigned.chosen.agent_name.to_string(),
        agent_version: assigned.chosen.version.to_string(),
        attempt: signed(assigned.attempt),
        effect_key: id.effect_key(),
        objective: out.objective.to_string(),
        input: out.input.as_ref().map(|input| input.text().to_owned()),
        context: context.collect(),
        output_contract: match &out.output_contract {
            Some(own) => Some(own.to_string()),
            None => assigned.chosen.output_contract.clone(),
        },
        priority: i32::from(out.priority),
        attempt_deadline: Some(assigned.attempt_deadline.0),
        task_deadline: Some(out.task_deadline.0),
        feedback: out.feedback.as_deref().map(str::to_owned),
        report_url: None,
    };
    (record, assignment_id)
}

fn cancellation_of(out: &CancellationOut) -> Cancellation {
    let CancellationOut { task, ended } = out;
    let (task_id, step_id) = (&*task.task_id, &*ended.step_id);
    let id = AssignmentId { task_id, accepted: task.accepted, step_id, attempt: ended.attempt };
    Cancellation {
        task_id: task_id.to_owned(),
        assignment_id: id.to_string(),
        step_id: step_id.to_owned(),
        agent_name: ended.agent_name.to_string(),
        reason: ended.withdrawn().unwrap_or_default().to_owned(),
        at: ended.at.0,
    }
}

fn outcome_of(out: &OutcomeOut) -> AgentOutcome {
    let OutcomeOut { task, capability, task_type, lesson, ended } = out;
    let (task_id, step_id) = (&*task.task_id, &*ended.step_id);
    let id = AssignmentId { task_id, accepted: task.accepted, step_id, attempt: ended.attempt };
    let outcome = match &ended.how {
        How::Succeeded => OutcomeClass::Succeeded,
        How::Failed(class) => (*class).into(),
        How::OutputRejected => OutcomeClass::InvalidOutput,
        How::Declined => OutcomeClass::Declined,
        How::NeedsInput => OutcomeClass::InputRequired,
        How::NotAccepted => OutcomeClass::NotAccepted,
        How::Overdue(_) => OutcomeClass::Timeout,
        How::Withdrawn(_) => OutcomeClass::Withdrawn,
    };
    let grounds = ended.grounds.as_deref();
    let latency = |of: fn(Expected) -> u32| grounds.and_then(|grounds| grounds.latency).map(|it| i64::from(of(it)));
    AgentOutcome {
        agent_name: ended.agent_name.to_string(),
        version: ended.agent_version.to_string(),
        capability: capability.clone(),
        task_type: task_type.clone(),
        assignment_id: id.to_string(),
        outcome,
        reason: ended.withdrawn().unwrap_or_default().to_owned(),
        latency_ms: ended.at.since(ended.assigned_at).max(0),
        usage: ended.usage.into(),
        output_bytes: i64::try_from(ended.output_bytes).unwrap_or(i64::MAX),
        quality: None,
        at: ended.at.0,
        text: lesson.as_ref().map(|lesson| lesson.text.clone()),
        source: lesson.as_ref().and_then(|lesson| lesson.source.clone()),
        definition: lesson.as_ref().map(|lesson| lesson.definition.cast_signed()),
        predicted_success: grounds.map(|grounds| f64::from(grounds.success) / Grounds::UNIT),
        predicted_latency_ms: latency(|it| it.median),
        predicted_latency_low_ms: latency(|it| it.low),
        predicted_latency_high_ms: latency(|it| it.high),
    }
}

fn decision_of(task: &TaskRef, decision: &Decision, at: Timestamp, overhead_micros: i64) -> RoutingDecision {
    let settled = &decision.settled;
    RoutingDecision {
        decision_id: decision_id(task, decision.question),
        task_id: task.task_id.to_string(),
        step_id: (settled.choice != Choice::Done).then(|| decision.step_id.to_string()),
        question: signed(decision.question),
        choice: (&settled.choice).into(),
        chosen: settled.chosen.as_ref().map(|chosen| chosen.agent_name.to_string()),
        by: settled.by.into(),
        confidence: settled.confidence,
        reason: settled.reason.clone(),
        candidates: settled.candidates.iter().map(Candidate::from).collect(),
        degraded: settled.degraded.is_some(),
        degraded_reason: settled.degraded.clone(),
        strategy: settled.strategy.as_deref().unwrap_or(DEFAULT_STRATEGY).to_owned(),
        variant: settled.variant.as_deref().map(str::to_owned),
        propensity: settled.propensity,
        local_choice: settled.beside.as_ref().map(|beside| chosen_in(&beside.choice)),
        local_confidence: settled.beside.as_ref().and_then(|beside| beside.confidence),
        prompt_version: decision.prompt_version.clone(),
        attempts: decision.attempts.iter().map(Attempt::from).collect(),
        overhead_micros,
        decided_at: at.0,
    }
}

/// The agent's name, or what was chosen instead of one.
fn chosen_in(choice: &Choice) -> String {
    match choice {
        Choice::Agent(name) => name.clone(),
        Choice::None => "NONE".to_owned(),
        Choice::Done => "DONE".to_owned(),
    }
}

fn facts_of(out: &FactsOut) -> TaskEvents {
    TaskEvents {
        task_id: out.task.task_id.to_string(),
        first_sequence: i64::try_from(out.first_sequence).unwrap_or(i64::MAX),
        at: out.events.last().map_or(0, |event| event.at.0),
        facts: out.events.iter().map(|event| fact_of(&out.task, event)).collect(),
    }
}

fn fact_of(task: &TaskRef, event: &Event) -> wire::Fact {
    let of_step = |kind, step_id: &Arc<str>| wire::Fact { step_id: Some(step_id.to_string()), ..wire::Fact::new(kind) };
    match &event.fact {
        Fact::TaskAccepted(acceptance) => {
            let detail = json!({"partition": acceptance.accepted.partition, "offset": acceptance.accepted.offset});
            wire::Fact { detail: Some(detail.to_string()), ..wire::Fact::new(FactType::TaskAccepted) }
        }
        Fact::TaskBegun => wire::Fact::new(FactType::TaskBegun),
        Fact::PlanAsked { question, tries, faults, .. } => wire::Fact {
            decision_id: Some(decision_id(task, *question)),
            detail: Some(json!({"tries": tries, "faults": **faults}).to_string()),
            ..wire::Fact::new(FactType::PlanAsked)
        },
        Fact::PlanAccepted(acceptance) => {
            let steps: Vec<_> = acceptance.plan.iter().map(wire::PlannedStep::from).collect();
            let detail = json!({"steps": steps, "attempts": attempts_of(&acceptance.attempts),
                "promptVersion": acceptance.prompt_version});
            wire::Fact {
                decision_id: acceptance.question.map(|question| decision_id(task, question)),
                reason: Some(if acceptance.written { "written" } else { "given" }.to_owned()),
                detail: Some(detail.to_string()),
                ..wire::Fact::new(FactType::PlanAccepted)
            }
        }
        Fact::PlanRejected(rejection) => {
            let detail = json!({"faults": *rejection.faults, "attempts": attempts_of(&rejection.attempts),
                "promptVersion": rejection.prompt_version});
            wire::Fact {
                decision_id: (rejection.question > 0).then(|| decision_id(task, rejection.question)),
                reason: rejection.faults.first().cloned(),
                detail: Some(detail.to_string()),
                ..wire::Fact::new(FactType::PlanRejected)
            }
        }
        Fact::StepReady { step_id } => of_step(FactType::StepReady, step_id),
        Fact::StepSkipped { step_id, because } => wire::Fact {
            reason: Some(format!("step {because} did not succeed")),
            ..of_step(FactType::StepSkipped, step_id)
        },
        Fact::ApprovalRequested { step_id, agent_name, reason } => wire::Fact {
            agent_name: agent_name.as_deref().map(str::to_owned),
            reason: Some(reason.code().to_owned()),
            ..of_step(FactType::ApprovalRequested, step_id)
        },
        Fact::RetryScheduled { step_id, attempt, until, next, feedback, class } => {
            let agent = match next {
                Some(NextAgent::Named(name) | NextAgent::Again(name)) => Some(name.to_string()),
                None => None,
            };
            wire::Fact {
                attempt: Some(signed(attempt + 1)),
                agent_name: agent,
                reason: Some(class.symbol().to_owned()),
                detail: Some(json!({"until": rfc3339(until.0), "feedback": feedback.as_deref()}).to_string()),
                ..of_step(FactType::RetryScheduled, step_id)
            }
        }
        Fact::CommandApplied(command) => command_fact(FactType::CommandApplied, command, None),
        Fact::CommandRefused { command, reason } => command_fact(FactType::CommandRefused, command, Some(reason)),
        Fact::CommandHeld { command, until, .. } => {
            let held = format!("the task is not known yet; waiting for it until {}", rfc3339(until.0));
            command_fact(FactType::CommandHeld, command, Some(&held))
        }
        Fact::AgentAsked { question, step_id, set, tries, .. } => wire::Fact {
            decision_id: Some(decision_id(task, *question)),
            detail: Some(json!({"set": **set, "tries": tries}).to_string()),
            ..of_step(FactType::AgentAsked, step_id)
        },
        Fact::AgentChosen(decision) => {
            let choice = match &decision.settled.choice {
                Choice::Agent(_) => "AGENT",
                Choice::None => "NONE",
                Choice::Done => "DONE",
            };
            wire::Fact {
                step_id: (decision.settled.choice != Choice::Done).then(|| decision.step_id.to_string()),
                agent_name: decision.settled.chosen.as_ref().map(|chosen| chosen.agent_name.to_string()),
                decision_id: Some(decision_id(task, decision.question)),
                reason: Some(choice.to_owned()),
                ..wire::Fact::new(FactType::AgentChosen)
            }
        }
        Fact::StepAssigned(assigned) => {
            let (task_id, step_id) = (&*task.task_id, &*assigned.step_id);
            let id = AssignmentId { task_id, accepted: task.accepted, step_id, attempt: assigned.attempt };
            wire::Fact {
                assignment_id: Some(id.to_string()),
                agent_name: Some(assigned.chosen.agent_name.to_string()),
                attempt: Some(signed(assigned.attempt)),
                ..of_step(FactType::StepAssigned, &assigned.step_id)
            }
        }
        Fact::StepAccepted { step_id, .. } => of_step(FactType::StepAccepted, step_id),
        Fact::StepProgressed { step_id, progress, message, .. } => {
            let detail = json!({"progress": progress, "message": message}).to_string();
            wire::Fact { detail: Some(detail), ..of_step(FactType::StepProgressed, step_id) }
        }
        Fact::StepSucceeded { step_id, .. } => of_step(FactType::StepSucceeded, step_id),
        Fact::StepFailed { step_id, class, message, .. } => {
            failed(of_step(FactType::StepFailed, step_id), class.symbol(), Some(message))
        }
        Fact::StepDeclined { step_id, message, .. } => {
            failed(of_step(FactType::StepFailed, step_id), "DECLINED", message.as_ref())
        }
        Fact::StepNeedsInput { step_id, message, .. } => {
            failed(of_step(FactType::InputRequested, step_id), "INPUT_REQUIRED", message.as_ref())
        }
        Fact::StepTimedOut { step_id, timer } => {
            let wait = match timer {
                TimerKind::AcceptBy { .. } => "not_accepted",
                TimerKind::QuietBy { .. } => "silent",
                _ => "not_done",
            };
            failed(of_step(FactType::StepTimedOut, step_id), wait, None)
        }
        Fact::OutputRejected { step_id, reason, .. } => {
            failed(of_step(FactType::OutputRejected, step_id), reason, None)
        }
        Fact::TaskEnded(end) => {
            let detail = json!({"outcome": end.outcome.symbol(), "message": end.message}).to_string();
            wire::Fact {
                reason: Some(end.reason.clone()),
                detail: Some(detail),
                ..wire::Fact::new(FactType::TaskEnded)
            }
        }
    }
}

/// The command's own reason where nothing stands in its way.
fn command_fact(kind: FactType, command: &Command, reason: Option<&String>) -> wire::Fact {
    let detail = json!({
        "command": command.kind.symbol(),
        "commandId": command.id,
        "agentName": command.agent_name,
    });
    wire::Fact {
        step_id: command.step_id.clone(),
        actor: command.actor.clone(),
        reason: reason.or(command.reason.as_ref()).cloned(),
        detail: Some(detail.to_string()),
        ..wire::Fact::new(kind)
    }
}

/// Calls to the LLM as a fact tells them: what was asked, without what was answered.
fn attempts_of(attempts: &[crate::workflow::Attempt]) -> Vec<serde_json::Value> {
    let told = |attempt: &crate::workflow::Attempt| {
        json!({
            "provider": attempt.provider,
            "model": attempt.model,
            "verdict": attempt.verdict,
            "millis": attempt.millis,
            "inputTokens": attempt.usage.input_tokens,
            "outputTokens": attempt.usage.output_tokens,
        })
    };
    attempts.iter().map(told).collect()
}

fn failed(fact: wire::Fact, reason: &str, message: Option<&String>) -> wire::Fact {
    let detail = message.map(|message| json!({"message": message}).to_string());
    wire::Fact { reason: Some(reason.to_owned()), detail, ..fact }
}
