//! What must be true of every batch: staged again it is the same, one by one it is the same, and what is stale changes
//! nothing.

use super::facts::is_refusal;
use super::lines;
use super::model::Seen;
use super::processes;
use super::violated;
use super::world::World;
use baton::partition::{Arrival, Kept, Output, Partition, Staged, View, What};
use baton::worker::Witness;
use baton::workflow::{Event, Input, Phase, TimerKind, Timestamp, outstanding};
use std::collections::BTreeMap;
use std::rc::Weak;
use std::sync::Arc;

pub(crate) struct Onlooker {
    pub(crate) world: Weak<World>,
    pub(crate) process: usize,
}

impl Witness for Onlooker {
    fn staged(&self, partition: &Partition, arrivals: &[Arrival], view: &View<'_>, clock: Timestamp, staged: &Staged) {
        let Some(world) = self.world.upgrade() else { return };
        if world.dice.percent(5) {
            let again = partition.stage(arrivals, &view.clone(), clock);
            if format!("{again:?}") != format!("{staged:?}") {
                violated(format!("staged again it differs: {staged:#?} and {again:#?}"));
            }
        }
        if world.dice.percent(15) {
            one_by_one(partition, arrivals, &view.clone(), clock, staged);
        }
        owed(staged);
        if processes::owns(&world, self.process) {
            lines::priorities(&world, self.process, partition.number(), arrivals, staged);
        }
        timers(&world, arrivals);
        for (tally, _) in staged.counts.inputs.iter().zip(0..) {
            let fates = [
                (tally.accepted, "record accepted"),
                (tally.stale, "record stale"),
                (tally.duplicate, "record duplicate"),
                (tally.forwarded, "record forwarded"),
                (tally.dead, "record dead"),
            ];
            fates.iter().filter(|(count, _)| *count > 0).for_each(|(_, fate)| world.occurred(fate));
        }
        if let Some(fault) = staged.counts.faults.first() {
            violated(format!("an answer or a timer that cannot follow from anything done: {fault}"));
        }
        world.model.borrow_mut().staged(self.process, partition.number(), Seen::of(arrivals, staged));
    }
}

fn facts(staged: &Staged, into: &mut BTreeMap<Arc<str>, Vec<Event>>) {
    for planned in &staged.outputs {
        if let Output::Facts(facts) = &planned.item {
            // A plan that is refused is told at once, and is no part of what is kept of the task.
            let refused = is_refusal(&facts.events);
            let key = if refused {
                format!("{} refused", facts.task.task_id).into()
            } else {
                Arc::clone(&facts.task.task_id)
            };
            into.entry(key).or_default().extend(facts.events.iter().cloned());
        }
    }
}

/// A batch is a saving, and nothing else.
fn one_by_one(partition: &Partition, arrivals: &[Arrival], view: &View<'_>, clock: Timestamp, staged: &Staged) {
    let touched: BTreeMap<Arc<str>, Kept> = arrivals
        .iter()
        .filter_map(|arrival| Some((Arc::clone(&arrival.task_id), partition.get(&arrival.task_id)?.clone())))
        .collect();
    let mut alone = Partition::new(partition.number(), partition.next(), touched);
    let (mut singly, mut together) = (BTreeMap::new(), BTreeMap::new());
    let mut counts = staged.counts.clone();
    for arrival in arrivals {
        let one = alone.stage(std::slice::from_ref(arrival), view, clock);
        facts(&one, &mut singly);
        let mut stale = 0;
        for (all, tally) in counts.inputs.iter_mut().zip(&one.counts.inputs) {
            let less = |all: &mut u64, one: u64| match all.checked_sub(one) {
                Some(rest) => *all = rest,
                None => violated(format!("one by one a record has another fate: {arrival:?}")),
            };
            less(&mut all.accepted, tally.accepted);
            less(&mut all.stale, tally.stale);
            less(&mut all.duplicate, tally.duplicate);
            less(&mut all.forwarded, tally.forwarded);
            less(&mut all.dead, tally.dead);
            stale += tally.stale + tally.duplicate;
        }
        if stale > 0 && !(one.changed.is_empty() && one.outputs.is_empty() && one.parts.is_empty()) {
            violated(format!("what is stale changes something: {arrival:?} {one:#?}"));
        }
        alone.adopt(one);
    }
    facts(staged, &mut together);
    if singly != together {
        violated(format!("one by one a batch has other facts: {singly:#?} and {together:#?}"));
    }
    if alone.next() != staged.next {
        violated(format!("one by one a batch ends at {:?}, not {:?}", alone.next(), staged.next));
    }
    for (task_id, kept) in &staged.changed {
        if let (Some(Kept::Workflow(one)), Some(Kept::Workflow(other))) = (alone.get(task_id), kept)
            && one.phase == Phase::Absent
            && one.held == other.held
        {
            // Commands that wait for their task: one by one it may have been forgotten in between.
            continue;
        }
        let forgotten = |arrival: &Arrival| arrival.task_id == *task_id && matches!(arrival.what, What::Forget);
        if alone.get(task_id).is_none() && arrivals.iter().any(forgotten) {
            // Something was said of it in the same batch: it is forgotten with the next.
            continue;
        }
        if alone.get(task_id) != kept.as_ref() {
            violated(format!("{task_id}: one by one a batch leaves {:#?}, not {kept:#?}", alone.get(task_id)));
        }
    }
}

/// What is started is what the state owes, and a task that lives is owed its end.
fn owed(staged: &Staged) {
    for (task_id, effects) in &staged.owed {
        let kept = staged.changed.iter().find(|(id, _)| id == task_id).and_then(|(_, kept)| kept.as_ref());
        let wanted = match kept {
            Some(Kept::Workflow(workflow)) => outstanding(workflow),
            Some(Kept::Receipt(_)) | None => Vec::new(),
        };
        let lives = matches!(kept, Some(Kept::Workflow(workflow)) if workflow.phase == Phase::Live);
        if *effects != wanted || (lives && effects.is_empty()) {
            violated(format!("{task_id}: {effects:?} are started, and owed are {wanted:?}"));
        }
    }
}

/// Counts which timers come.
fn timers(world: &World, arrivals: &[Arrival]) {
    for arrival in arrivals {
        if let What::Input(Input::TimerFired(timer)) = &arrival.what {
            world.occurred(match timer.kind {
                TimerKind::TaskDeadline => "timer TaskDeadline",
                TimerKind::AcceptBy { .. } => "timer AcceptBy",
                TimerKind::DoneBy { .. } => "timer DoneBy",
                TimerKind::QuietBy { .. } => "timer QuietBy",
                TimerKind::RetryAt { .. } => "timer RetryAt",
                TimerKind::NotBefore => "timer NotBefore",
                TimerKind::CommandHeld => "timer CommandHeld",
            });
        }
    }
}
