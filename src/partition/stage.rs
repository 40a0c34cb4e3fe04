//! From a batch of arrivals to what one transaction will hold.

use super::lesson::lesson;
use super::{
    Arrival, AssignmentOut, CancellationOut, CompletionOut, CompletionStep, Dead, Ending, FactsOut, INPUTS, Kept,
    OutcomeOut, Output, Part, PartKey, Partition, Planned, Receipt, Refusal, Source, Staged, Tally, TaskRef, What,
};
use crate::workflow::{
    Event, Fact, Input, Outcome, Payload, Phase, Plan, PlanRejection, Position, Reason, Rejection, Step, TaskEnd,
    Timestamp, Usage, Workflow, World, decided, ended, outstanding,
};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// What a batch makes of one task.
struct Draft {
    /// Absent, if nothing was known of the task.
    committed: Arc<Workflow>,
    workflow: Arc<Workflow>,
    events: Vec<Event>,
    /// Steps whose output came with this batch.
    outputs: Vec<Arc<str>>,
    origin: usize,
    forgotten: bool,
}

/// The drafts of a batch, in the order in which their tasks came: found by a hash, gone through by that order.
#[derive(Default)]
struct Drafts {
    by_arrival: Vec<(Arc<str>, Draft)>,
    places: FxHashMap<Arc<str>, usize>,
}

impl Drafts {
    fn get(&self, task_id: &str) -> Option<&Draft> {
        self.places.get(task_id).map(|place| &self.by_arrival[*place].1)
    }

    fn entry(&mut self, task_id: &Arc<str>, make: impl FnOnce() -> Draft) -> &mut Draft {
        let place = match self.places.get(task_id) {
            Some(place) => *place,
            None => {
                self.by_arrival.push((Arc::clone(task_id), make()));
                self.places.insert(Arc::clone(task_id), self.by_arrival.len() - 1);
                self.by_arrival.len() - 1
            }
        };
        &mut self.by_arrival[place].1
    }
}

impl Partition {
    /// Decides a batch, in its order, without touching committed state: staged again from the same
    /// state, world and clock it gives the same.
    #[must_use]
    pub fn stage(&self, batch: &[Arrival], world: &dyn World, clock: Timestamp) -> Staged {
        let mut staged = Staged { next: self.next, ..Staged::default() };
        let mut drafts = Drafts::default();
        world.set_partition(self.number);
        for (origin, arrival) in batch.iter().enumerate() {
            if let Some(Source { input, offset }) = arrival.source {
                // What Kafka wants is the next offset to read; this is the only place that knows.
                staged.next[input] = Some(offset + 1);
            }
            match &arrival.what {
                What::Input(input) => {
                    let draft = self.draft(&mut drafts, &arrival.task_id, origin);
                    self.input(&mut staged, draft, origin, arrival, input, world, clock);
                }
                What::Refused(refusal) => self.refuse(&mut staged, &drafts, origin, arrival, refusal, clock),
                What::Forwarded { .. } => tally(&mut staged, arrival).forwarded += 1,
                What::Outgrown(note) => match &note.why {
                    Some((reason, detail)) if note.is_dead => {
                        dead(&mut staged, arrival, origin, *reason, detail.clone())
                    }
                    _ => tally(&mut staged, arrival).forwarded += 1,
                },
                What::RefusedElsewhere { refusal, at } => {
                    tally(&mut staged, arrival).accepted += 1;
                    if !self.is_in_use(&drafts, &arrival.task_id) {
                        reject(&mut staged, origin, arrival, refusal, None, *at, clock);
                    }
                }
                What::Skipped => {}
                What::Forget => {
                    let draft = self.draft(&mut drafts, &arrival.task_id, origin);
                    draft.forgotten = matches!(draft.workflow.phase, Phase::Ended { .. }) && draft.events.is_empty();
                }
            }
        }
        for (task_id, draft) in drafts.by_arrival {
            finish(&mut staged, task_id, draft);
        }
        staged
    }

    fn draft<'d>(&self, drafts: &'d mut Drafts, task_id: &Arc<str>, origin: usize) -> &'d mut Draft {
        drafts.entry(task_id, || {
            let committed = self.tasks.get(task_id).map_or_else(Arc::default, Kept::workflow);
            let workflow = Arc::clone(&committed);
            Draft { committed, workflow, events: Vec::new(), outputs: Vec::new(), origin, forgotten: false }
        })
    }

    #[allow(clippy::too_many_arguments, reason = "one call, and each is needed")]
    fn input(
        &self,
        staged: &mut Staged,
        draft: &mut Draft,
        origin: usize,
        arrival: &Arrival,
        input: &Input,
        world: &dyn World,
        clock: Timestamp,
    ) {
        // Time never runs backwards within a workflow, whatever the wall clock of its new owner says.
        let now = clock.max(draft.workflow.last_at);
        let next_of = match input {
            Input::Admitted { topic_name, .. } => topic_name.as_deref(),
            _ => None,
        };
        world.let_through(next_of);
        match decided(&draft.workflow, input, world, now) {
            Ok((events, evolved)) => {
                tally(staged, arrival).accepted += 1;
                draft.origin = origin;
                let before = Arc::clone(&draft.workflow);
                draft.workflow = evolved.map_or_else(|| Arc::clone(&before), Arc::new);
                for event in &events {
                    publish(staged, draft, origin, &arrival.task_id, event);
                }
                for ended in ended(&before, &events) {
                    let task = reference(&arrival.task_id, &draft.workflow);
                    if ended.withdrawn().is_some() {
                        let (task, ended) = (task.clone(), ended.clone());
                        let item = Output::Cancellation(Box::new(CancellationOut { task, ended }));
                        staged.outputs.push(Planned { origin, item });
                    }
                    // As planned when it was assigned: the plan may be another by now.
                    let capability = before.planned(&ended.step_id).and_then(|planned| planned.capability.clone());
                    let task_type = draft.workflow.task.as_ref().and_then(|task| task.kind.clone());
                    let lesson = lesson(&before, &ended, world);
                    let item = Output::Outcome(Box::new(OutcomeOut { task, capability, task_type, lesson, ended }));
                    staged.outputs.push(Planned { origin, item });
                }
                draft.events.extend(events);
            }
            Err(Rejection::Stale(_)) => tally(staged, arrival).stale += 1,
            Err(Rejection::Duplicate) => tally(staged, arrival).duplicate += 1,
            Err(Rejection::OtherContent) => {
                let detail = "taskId: in use by a task with other content; submit it under another id".to_owned();
                dead(staged, arrival, origin, Reason::Duplicate, detail);
            }
            Err(Rejection::Impossible(detail)) if arrival.source.is_some() => {
                dead(staged, arrival, origin, Reason::Impossible, detail);
            }
            Err(Rejection::Impossible(detail)) => staged.counts.faults.push(detail),
            Err(Rejection::Refused { code, message, plan_faults }) => {
                if !plan_faults.is_empty() {
                    tell_plan(staged, origin, arrival, self.place(arrival), plan_faults, clock);
                }
                let refusal = Refusal { reason: Reason::Invalid, detail: message, is_task: true };
                reject(staged, origin, arrival, &refusal, Some(code), self.place(arrival), clock);
                dead(staged, arrival, origin, refusal.reason, refusal.detail);
            }
        }
    }

    fn refuse(
        &self,
        staged: &mut Staged,
        drafts: &Drafts,
        origin: usize,
        arrival: &Arrival,
        refusal: &Refusal,
        clock: Timestamp,
    ) {
        if refusal.is_task && !arrival.task_id.is_empty() && !self.is_in_use(drafts, &arrival.task_id) {
            reject(staged, origin, arrival, refusal, None, self.place(arrival), clock);
        }
        dead(staged, arrival, origin, refusal.reason, refusal.detail.clone());
    }

    fn is_in_use(&self, drafts: &Drafts, task_id: &Arc<str>) -> bool {
        let known = |kept: &Kept| kept.ended_at().is_some() || kept.is_live();
        self.tasks.get(task_id).is_some_and(known) || drafts.get(task_id).is_some_and(|draft| draft.workflow.is_known())
    }

    /// Where the arrival's record lies.
    fn place(&self, arrival: &Arrival) -> Position {
        Position { partition: self.number, offset: arrival.source.map_or(0, |source| source.offset) }
    }
}

/// The facts of a task that is refused for its plan: one, and nothing is kept of it.
fn tell_plan(
    staged: &mut Staged,
    origin: usize,
    arrival: &Arrival,
    accepted: Position,
    faults: Arc<[String]>,
    at: Timestamp,
) {
    let task = TaskRef { task_id: Arc::clone(&arrival.task_id), accepted, traceparent: None };
    let rejection = PlanRejection { question: 0, faults, attempts: Vec::new(), prompt_version: None };
    let fact = Fact::PlanRejected(Box::new(rejection));
    let facts = FactsOut { task, first_sequence: 1, is_known: true, events: vec![Event { at, fact }] };
    staged.outputs.push(Planned { origin, item: Output::Facts(facts) });
}

fn tally<'s>(staged: &'s mut Staged, arrival: &Arrival) -> &'s mut Tally {
    &mut staged.counts.inputs[arrival.source.map_or(INPUTS, |source| source.input)]
}

fn dead(staged: &mut Staged, arrival: &Arrival, origin: usize, reason: Reason, detail: String) {
    tally(staged, arrival).dead += 1;
    staged.dead.push(Dead { origin, reason, detail });
}

/// Tells whoever waits for a refused task that it is over; `place` is its record's.
fn reject(
    staged: &mut Staged,
    origin: usize,
    arrival: &Arrival,
    refusal: &Refusal,
    code: Option<&'static str>,
    place: Position,
    clock: Timestamp,
) {
    let Some(Source { input, .. }) = arrival.source else { return };
    let Position { partition, offset } = place;
    let task = TaskRef { task_id: Arc::clone(&arrival.task_id), accepted: Default::default(), traceparent: None };
    let completion = CompletionOut {
        task,
        ending: Ending::Rejected { reason: refusal.reason, code, input, partition, offset },
        message: refusal.detail.clone(),
        run: 1,
        result: None,
        steps: Vec::new(),
        hops: 0,
        usage: Usage::default(),
        correlation_id: match &arrival.what {
            What::Input(Input::Submitted(submission)) => submission.task.correlation_id.clone(),
            _ => None,
        },
        submitted_at: arrival.at,
        completed_at: clock,
    };
    staged.outputs.push(Planned { origin, item: Output::Completion(Box::new(completion)) });
}

/// Adds the records an event makes, from the state after its input: what an assignment takes from there (earlier outputs,
/// the deadline) none of the facts behind it in the same decision changes, and the task's end is the last of its facts.
fn publish(staged: &mut Staged, draft: &mut Draft, origin: usize, task_id: &Arc<str>, event: &Event) {
    let workflow = &draft.workflow;
    let output = match &event.fact {
        Fact::AgentChosen(decision) => {
            staged.counts.decisions += 1;
            let task = reference(task_id, workflow);
            Output::Decision { task, decision: Arc::clone(decision), at: event.at }
        }
        Fact::StepAssigned(assigned) => {
            let Some(submitted) = &workflow.task else { return };
            let trouble = workflow.step(&assigned.step_id).and_then(|step| step.trouble.as_deref());
            let planned = workflow.planned(&assigned.step_id);
            Output::Assignment(Box::new(AssignmentOut {
                task: reference(task_id, workflow),
                context: context(workflow, &assigned.step_id, trouble.and_then(|trouble| trouble.answer.as_ref())),
                objective: planned.map_or(&submitted.objective, |planned| &planned.objective).as_str().into(),
                output_contract: planned.and_then(|planned| planned.output_contract.as_deref()).map(Into::into),
                feedback: trouble.and_then(|trouble| trouble.feedback.clone()),
                priority: submitted.priority,
                assigned: (**assigned).clone(),
                input: workflow.input_of(&assigned.step_id).0,
                task_deadline: workflow.deadline,
                at: event.at,
            }))
        }
        Fact::StepSucceeded { step_id, .. } => {
            draft.outputs.push(Arc::clone(step_id));
            return;
        }
        Fact::TaskEnded(end) => Output::Completion(Box::new(completion(task_id, workflow, end, event.at))),
        Fact::TaskAccepted(_)
        | Fact::TaskBegun
        | Fact::PlanAsked { .. }
        | Fact::PlanAccepted(_)
        | Fact::PlanRejected(_)
        | Fact::StepReady { .. }
        | Fact::StepSkipped { .. }
        | Fact::ApprovalRequested { .. }
        | Fact::RetryScheduled { .. }
        | Fact::AgentAsked { .. }
        | Fact::StepAccepted { .. }
        | Fact::StepProgressed { .. }
        | Fact::StepFailed { .. }
        | Fact::StepDeclined { .. }
        | Fact::StepNeedsInput { .. }
        | Fact::StepTimedOut { .. }
        | Fact::OutputRejected { .. }
        | Fact::CommandApplied(_)
        | Fact::CommandRefused { .. }
        | Fact::CommandHeld { .. } => return,
    };
    staged.outputs.push(Planned { origin, item: output });
}

fn reference(task_id: &Arc<str>, workflow: &Workflow) -> TaskRef {
    let (accepted, traceparent) = (workflow.accepted, workflow.traceparent.clone());
    TaskRef { task_id: Arc::clone(task_id), accepted, traceparent }
}

/// What the step may want to know: in a route all that was done before and the task's own input as step "", in a plan
/// what the step depends on; last, as the step itself, what a person answered.
fn context(workflow: &Workflow, step_id: &Arc<str>, answer: Option<&Payload>) -> Vec<(Arc<str>, Arc<str>, Payload)> {
    let done = |step: &Step| {
        let output = step.output.clone()?;
        Some((Arc::clone(&step.id), Arc::clone(&step.agent_name), output))
    };
    let mut context: Vec<_> = match workflow.planned(step_id) {
        Some(planned) => planned.depends_on.iter().filter_map(|id| done(workflow.step(id)?)).collect(),
        None => workflow.steps.iter().filter_map(done).collect(),
    };
    let input = workflow.task.as_ref().and_then(|task| task.input.clone());
    if let (false, Some(input)) = (context.is_empty(), input) {
        context.insert(0, ("".into(), "".into(), input));
    }
    context.extend(answer.map(|answer| (Arc::clone(step_id), "".into(), answer.clone())));
    context
}

fn completion(task_id: &Arc<str>, workflow: &Workflow, end: &TaskEnd, at: Timestamp) -> CompletionOut {
    let step = |step: &Step| CompletionStep {
        step_id: Arc::clone(&step.id),
        agent_name: Arc::clone(&step.agent_name),
        status: step.status,
        attempts: step.attempt,
        duration_ms: if step.attempt == 0 { 0 } else { step.ended_at.unwrap_or(at).since(step.assigned_at) },
    };
    CompletionOut {
        task: reference(task_id, workflow),
        ending: Ending::Ended { outcome: end.outcome, reason: end.reason.clone() },
        message: end.message.clone(),
        run: workflow.run,
        result: workflow.result(),
        steps: workflow.steps.iter().map(step).collect(),
        hops: workflow.used.hops,
        usage: workflow.used.usage,
        correlation_id: workflow.task.as_ref().and_then(|task| task.correlation_id.clone()),
        submitted_at: workflow.submitted_at,
        completed_at: at,
    }
}

/// Writes what is to be kept of a task after the batch.
fn finish(staged: &mut Staged, task_id: Arc<str>, draft: Draft) {
    let Draft { committed, workflow, events, outputs, origin, forgotten } = draft;
    let mut part = |key: PartKey, part: Option<Part>| staged.parts.push(Planned { origin, item: (key, part) });
    if forgotten {
        delete(&task_id, &committed, &mut part);
        part(PartKey::head(&task_id), None);
        staged.changed.push((task_id, None));
        return;
    }
    if events.is_empty() {
        return;
    }
    let first_sequence = workflow.last_fact + 1 - events.len() as u64;
    let kept = match workflow.phase {
        // Commands whose task never came: once they are refused, nothing is left.
        Phase::Absent if workflow.held.is_empty() => {
            part(PartKey::head(&task_id), None);
            None
        }
        Phase::Ended { outcome: Outcome::Succeeded, at } => {
            let receipt = Receipt {
                content_hash: workflow.content_hash,
                outcome: Outcome::Succeeded,
                ended_at: at,
                accepted: workflow.accepted,
                last_fact: workflow.last_fact,
            };
            delete(&task_id, &committed, &mut part);
            part(PartKey::head(&task_id), Some(Part::Receipt(receipt)));
            Some(Kept::Receipt(receipt))
        }
        Phase::Absent | Phase::Live | Phase::Ended { .. } => {
            if !committed.is_known()
                && let Some(task) = &workflow.task
            {
                part(PartKey::task(&task_id), Some(Part::Task(Arc::clone(task))));
            }
            if let Some(plan) = written_plan(&workflow)
                && written_plan(&committed).is_none_or(|before| !before.is(plan))
            {
                part(PartKey::plan(&task_id), Some(Part::Plan(plan.clone())));
            }
            for step_id in &outputs {
                let output = workflow.step(step_id).and_then(|step| step.output.clone());
                part(PartKey::step(&task_id, step_id), output.map(Part::Output));
            }
            part(PartKey::head(&task_id), Some(Part::Skeleton(Arc::clone(&workflow))));
            Some(Kept::Workflow(Arc::clone(&workflow)))
        }
    };
    let task = reference(&task_id, &workflow);
    let facts = FactsOut { task, first_sequence, is_known: workflow.is_known(), events };
    staged.outputs.push(Planned { origin, item: Output::Facts(facts) });
    staged.owed.push((Arc::clone(&task_id), outstanding(&workflow)));
    staged.changed.push((task_id, kept));
}

/// The plan, if it did not come with the task.
fn written_plan(workflow: &Workflow) -> Option<&Plan> {
    let given = workflow.task.as_ref().and_then(|task| task.plan.as_ref());
    workflow.plan.as_ref().filter(|plan| given.is_none_or(|given| !given.is(plan)))
}

/// Deletes the parts beside the head that are in the topic already.
fn delete(task_id: &str, committed: &Workflow, part: &mut impl FnMut(PartKey, Option<Part>)) {
    if committed.task.is_some() {
        part(PartKey::task(task_id), None);
    }
    if written_plan(committed).is_some() {
        part(PartKey::plan(task_id), None);
    }
    for step in committed.steps.iter().filter(|step| step.output.is_some()) {
        part(PartKey::step(task_id, &step.id), None);
    }
}
