//! What must be true of agents of limited capacity: none gets more than its share, and whoever waits longest for the
//! weight it has is next.

use super::agents;
use super::breakers;
use super::kafka::FakeLog;
use super::llm::SimRunner;
use super::model::Model;
use super::violated;
use super::world::World;
use baton::partition::{Arrival, Kept, Output, Staged, What};
use baton::worker::Worker;
use baton::workflow::{ChoiceState, Fact, Input, Workflow};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Milliseconds of waiting that make up for one level of priority, as documented.
const AGEING: i64 = 60_000;

/// Milliseconds after which whoever waits for an agent that is idle is forgotten: a takeover is over by then.
const PATIENCE: i64 = 15_000;

/// What a worker holds, and how much of it each agent of limited capacity has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    partitions: BTreeSet<i32>,
    by_agent: BTreeMap<&'static str, usize>,
}

pub(crate) fn taken(world: &World, worker: &Worker<FakeLog, SimRunner>) -> Taken {
    let model = world.model.borrow();
    let partitions: BTreeSet<i32> = worker.partitions().map(baton::partition::Partition::number).collect();
    let count = |name: &str| {
        let workflows = partitions.iter().flat_map(|number| model.workflows(*number));
        let steps = workflows.flat_map(|(_, workflow)| workflow.steps.iter());
        steps.filter(|step| step.status.is_assigned() && *step.agent_name == *name).count()
    };
    let by_agent = agents::limited().map(|(name, _)| (name, count(name))).collect();
    Taken { partitions, by_agent }
}

/// Whoever got more than it had is within the worker's share, rounded up. What it had may be over: shares change with the
/// partitions.
pub(crate) fn capacity(world: &World, before: &Taken, after: &Taken) {
    if before.partitions != after.partitions {
        return;
    }
    for (name, most) in agents::limited() {
        let share = (most * after.partitions.len()).div_ceil(world.partitions).max(1);
        let (had, has) = (before.by_agent[name], after.by_agent[name]);
        if has > had && has > share {
            violated(format!("{name} has {has} assignments of a worker whose share is {share}, before {had}"));
        }
    }
}

/// In a world where nothing goes wrong any more nobody waits for long for an agent that has nothing to do.
pub(crate) fn starvation(world: &World) {
    let model = world.model.borrow();
    let all = || 0..i32::try_from(world.partitions).expect("a few");
    for (name, _) in agents::limited() {
        let steps = all().flat_map(|number| model.workflows(number)).flat_map(|(_, workflow)| workflow.steps.iter());
        let busy = steps.filter(|step| step.status.is_assigned()).any(|step| *step.agent_name == *name);
        let waits = all().any(|number| line(&model, number, name).next().is_some());
        let mut idle = world.idle.borrow_mut();
        // Over a breaker that is not closed nobody is let in, but where its turn is.
        if busy || !waits || !breakers::is_closed(world, name) {
            idle.remove(name);
            continue;
        }
        let since = *idle.entry(name).or_insert_with(|| world.time());
        if world.time() - since > PATIENCE {
            violated(format!(
                "{name} has nothing to do since {} ms, and steps stand in its line",
                world.time() - since
            ));
        }
    }
}

/// The steps that wait for room at an agent, by rank, task and question.
fn line<'m>(model: &'m Model, partition: i32, agent: &'m str) -> impl Iterator<Item = (i64, &'m Arc<str>, u32)> {
    model.workflows(partition).flat_map(move |(task_id, workflow)| {
        let waits = workflow.choices.iter().filter(move |choice| waits_for(&choice.state, agent));
        waits.map(move |choice| (rank(workflow), task_id, choice.question))
    })
}

fn waits_for(state: &ChoiceState, agent: &str) -> bool {
    matches!(state, ChoiceState::Refused { busy, .. } if busy.iter().any(|topic| *topic == agents::key(agent)))
}

fn rank(workflow: &Workflow) -> i64 {
    let priority = workflow.task.as_ref().map_or(0, |task| i64::from(task.priority));
    workflow.submitted_at.0 - priority * AGEING
}

/// Tasks and questions that stand in any line.
pub(crate) type Standing = BTreeSet<(Arc<str>, u32)>;

pub(crate) fn standing(world: &World) -> Standing {
    let model = world.model.borrow();
    let all = 0..i32::try_from(world.partitions).expect("a few");
    let workflows = all.flat_map(|number| model.workflows(number));
    let stands = |state: &ChoiceState| matches!(state, ChoiceState::Refused { busy, .. } if !busy.is_empty());
    let choices = workflows.flat_map(|(id, workflow)| workflow.choices.iter().map(move |choice| (id, choice)));
    choices.filter(|(_, choice)| stands(&choice.state)).map(|(id, choice)| (Arc::clone(id), choice.question)).collect()
}

/// Of those who stood in an agent's line when the worker's turn began, nobody was let in before one that comes first and
/// still stands there. Whoever came while a batch was carried in parts was no part of its choice.
pub(crate) fn priorities(world: &World, process: usize, partition: i32, arrivals: &[Arrival], staged: &Staged) {
    let model = world.model.borrow();
    let admitted: BTreeSet<(&Arc<str>, u32)> = arrivals
        .iter()
        .filter_map(|arrival| match arrival.what {
            What::Input(Input::Admitted { question, .. }) => Some((&arrival.task_id, question)),
            _ => None,
        })
        .collect();
    if admitted.is_empty() {
        return;
    }
    let processes = world.processes.borrow();
    let stood = &processes[process].stood;
    let stands_still = |task_id: &Arc<str>, question: u32| {
        if !stood.contains(&(Arc::clone(task_id), question)) {
            return false;
        }
        let changed = staged.changed.iter().find(|(id, _)| id == task_id);
        changed.is_none_or(|(_, kept)| match kept {
            Some(Kept::Workflow(workflow)) => workflow.choice(question).is_some(),
            Some(Kept::Receipt(_)) | None => false,
        })
    };
    for planned in &staged.outputs {
        let Output::Facts(facts) = &planned.item else { continue };
        for event in &facts.events {
            let Fact::StepAssigned(assigned) = &event.fact else { continue };
            let (task_id, agent) = (&facts.task.task_id, &*assigned.chosen.agent_name);
            let before = model.workflows(partition).find(|(id, _)| *id == task_id);
            let choice = before.and_then(|(_, workflow)| {
                let choice = workflow.choices.iter().find(|choice| choice.step_id == assigned.step_id)?;
                Some((rank(workflow), task_id, choice.question)).filter(|_| waits_for(&choice.state, agent))
            });
            let Some(place) = choice.filter(|(_, id, question)| admitted.contains(&(*id, *question))) else { continue };
            world.occurred("let in from a line");
            let passed = line(&model, partition, agent).find(|one| *one < place && stands_still(one.1, one.2));
            if let Some(passed) = passed {
                violated(format!("{agent}: {place:?} is let in before {passed:?}, which stands in line still"));
            }
        }
    }
}
