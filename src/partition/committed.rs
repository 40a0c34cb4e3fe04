use super::{INPUTS, Staged};
use crate::workflow::{
    ChoiceState, Choosing, ContentHash, Effect, OpenChoice, Outcome, Phase, Position, Steps, Timestamp, Workflow,
    World, outstanding,
};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is kept of one task.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// Live, or ended without success: kept whole for the window, so that it can be retried.
    Workflow(Arc<Workflow>),
    Receipt(Receipt),
}

/// What is left of a task that succeeded, so that the same one submitted again does not run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub content_hash: ContentHash,
    pub outcome: Outcome,
    pub ended_at: Timestamp,
    /// Where its facts go on, should something be said of it still.
    pub accepted: Position,
    pub last_fact: u64,
}

/// How long finished tasks are remembered: both bounds hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub millis: i64,
    /// Per partition.
    pub count: usize,
}

/// The committed state of one partition. Nothing else can touch it.
#[derive(Debug, Default)]
pub struct Partition {
    pub(super) number: i32,
    /// Looked up, never iterated where order could reach a decision.
    pub(super) tasks: FxHashMap<Arc<str>, Kept>,
    pub(super) next: [Option<i64>; INPUTS],
    /// Tasks with a step that waits for other agents to be eligible, by rank.
    waiting: BTreeSet<(i64, Arc<str>)>,
    /// Assignments by the agents' topic names.
    in_flight: FxHashMap<Arc<str>, usize>,
    /// Steps that wait for an agent to have room, by the agent's topic name and their place in its line.
    lines: BTreeMap<String, BTreeSet<InLine>>,
    /// Finished tasks by the time they ended.
    ended: BTreeSet<(Timestamp, Arc<str>)>,
    live: usize,
}

/// A step's place in the line for an agent: the least is next.
///
/// A level of priority counts as much as a minute of waiting, so that the urgent come first and nobody waits for ever.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InLine {
    rank: i64,
    pub task_id: Arc<str>,
    pub question: u32,
}

/// Milliseconds of waiting that make up for one level of priority.
const AGEING: i64 = 60_000;

impl InLine {
    fn new(task_id: &Arc<str>, workflow: &Workflow, question: u32) -> Self {
        Self { rank: rank(workflow), task_id: Arc::clone(task_id), question }
    }
}

/// Who of several that wait is next: the least. It stays as long as the task does.
fn rank(workflow: &Workflow) -> i64 {
    let priority = workflow.task.as_ref().map_or(0, |task| i64::from(task.priority));
    workflow.submitted_at.0.saturating_sub(priority * AGEING)
}

impl Kept {
    /// When it ended; none of a live task.
    #[must_use]
    pub fn ended_at(&self) -> Option<Timestamp> {
        match self {
            Self::Receipt(receipt) => Some(receipt.ended_at),
            Self::Workflow(workflow) => match workflow.phase {
                Phase::Ended { at, .. } => Some(at),
                Phase::Absent | Phase::Live => None,
            },
        }
    }

    /// Whether it was accepted and has not ended.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Workflow(workflow) if workflow.phase == Phase::Live)
    }

    /// The workflow to decide on; of a receipt, one that has ended and knows no more than that.
    pub(super) fn workflow(&self) -> Arc<Workflow> {
        match self {
            Self::Workflow(workflow) => Arc::clone(workflow),
            Self::Receipt(receipt) => Arc::new(Workflow {
                phase: Phase::Ended { outcome: receipt.outcome, at: receipt.ended_at },
                content_hash: receipt.content_hash,
                accepted: receipt.accepted,
                last_fact: receipt.last_fact,
                last_at: receipt.ended_at,
                ..Workflow::default()
            }),
        }
    }
}

impl Partition {
    /// A partition as it was restored: `next` are the offsets of the inputs.
    #[must_use]
    pub fn new(
        number: i32,
        next: [Option<i64>; INPUTS],
        tasks: impl IntoIterator<Item = (Arc<str>, Kept), IntoIter: ExactSizeIterator>,
    ) -> Self {
        let mut partition = Self { number, next, ..Self::default() };
        let tasks = tasks.into_iter();
        partition.tasks.reserve(tasks.len());
        for (id, kept) in tasks {
            partition.keep(id, Some(kept));
        }
        partition
    }

    #[must_use]
    pub fn number(&self) -> i32 {
        self.number
    }

    /// Next offset of each input; none of one that was never read.
    #[must_use]
    pub fn next(&self) -> [Option<i64>; INPUTS] {
        self.next
    }

    /// Tasks accepted and not ended.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live
    }

    /// Tasks kept, live and finished.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    #[must_use]
    pub fn get(&self, task_id: &str) -> Option<&Kept> {
        self.tasks.get(task_id)
    }

    /// What is kept of a task that is not a receipt.
    #[must_use]
    pub fn workflow(&self, task_id: &str) -> Option<&Arc<Workflow>> {
        match self.tasks.get(task_id)? {
            Kept::Workflow(workflow) => Some(workflow),
            Kept::Receipt(_) => None,
        }
    }

    /// Whether a task of that id was accepted and is kept whole. Commands that wait for one are kept too.
    #[must_use]
    pub fn knows(&self, task_id: &str) -> bool {
        self.workflow(task_id).is_some_and(|workflow| workflow.is_known())
    }

    /// The same state with the offsets a new owner found.
    #[must_use]
    pub fn moved_to(self, next: [Option<i64>; INPUTS]) -> Self {
        Self { next, ..self }
    }

    /// The only writer of committed state; called once the transaction is durable.
    pub fn adopt(&mut self, staged: Staged) {
        self.next = staged.next;
        for (id, kept) in staged.changed {
            self.keep(id, kept);
        }
    }

    /// All work owed, by task in the order of their ids: what a new owner starts.
    #[must_use]
    pub fn owed(&self) -> Vec<(Arc<str>, Vec<Effect>)> {
        let mut owed: Vec<_> = self
            .tasks
            .iter()
            .filter_map(|(id, kept)| match kept {
                Kept::Workflow(workflow) => Some((Arc::clone(id), outstanding(workflow))),
                Kept::Receipt(_) => None,
            })
            .filter(|(_, effects)| !effects.is_empty())
            .collect();
        owed.sort_by(|(a, _), (b, _)| a.cmp(b));
        owed
    }

    /// Waiting steps that may be asked about again: others are eligible than those refused.
    ///
    /// At most `most`, in the order of a line.
    #[must_use]
    pub fn admit(&self, world: &dyn World, most: usize) -> Vec<(Arc<str>, u32)> {
        world.set_partition(self.number);
        let admissible = |(_, id): &(i64, Arc<str>)| {
            let Some(Kept::Workflow(workflow)) = self.tasks.get(id) else { return Vec::new() };
            let others = |choice: &&OpenChoice| match &choice.state {
                ChoiceState::Refused { eligible, busy } => {
                    let news = |choosing: &Choosing<'_>| crate::workflow::is_news(choosing, eligible, busy, world);
                    crate::workflow::waiting(workflow, choice, news).unwrap_or(false)
                }
                ChoiceState::Asked { .. } => false,
            };
            workflow.choices.iter().filter(others).map(|choice| (Arc::clone(id), choice.question)).collect()
        };
        self.waiting.iter().flat_map(admissible).take(most).collect()
    }

    /// Assignments that the agent of this topic has here.
    #[must_use]
    pub fn in_flight(&self, topic_name: &str) -> usize {
        self.in_flight.get(topic_name).copied().unwrap_or(0)
    }

    /// The steps that wait for the agent of this topic to have room, the next one first.
    pub fn line(&self, topic_name: &str) -> impl Iterator<Item = &InLine> {
        self.lines.get(topic_name).into_iter().flatten()
    }

    /// Whether any step waits for an agent to have room.
    #[must_use]
    pub fn has_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    /// How many wait for the agent of this topic to have room.
    #[must_use]
    pub fn line_length(&self, topic_name: &str) -> usize {
        self.lines.get(topic_name).map_or(0, BTreeSet::len)
    }

    /// Whether any step waits for other agents.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Finished tasks to be forgotten at `now`, oldest first, at most `most`.
    #[must_use]
    pub fn forgettable(&self, window: Window, now: Timestamp, most: usize) -> Vec<Arc<str>> {
        let over = self.ended.len().saturating_sub(window.count);
        let closed =
            |(index, (at, _)): &(usize, &(Timestamp, Arc<str>))| *index < over || at.plus(window.millis) <= now;
        self.ended.iter().enumerate().take_while(closed).take(most).map(|(_, (_, id))| Arc::clone(id)).collect()
    }

    /// Counts anew what a task's steps are with which agent, or wait for.
    fn line_up(&mut self, id: &Arc<str>, after: Option<&Kept>) {
        fn steps<'k>(kept: Option<&'k Kept>, none: &'k Steps) -> &'k Steps {
            match kept {
                Some(Kept::Workflow(workflow)) => &workflow.steps,
                Some(Kept::Receipt(_)) | None => none,
            }
        }
        let (before, none) = (self.tasks.get(id), Steps::default());
        let (gone, come) = steps(before, &none).apart(steps(after, &none));
        for step in gone.filter(|step| step.status.is_assigned()) {
            if let Some(count) = self.in_flight.get_mut(&step.topic_name) {
                *count = count.saturating_sub(1);
            }
        }
        for step in come.filter(|step| step.status.is_assigned()) {
            *self.in_flight.entry(Arc::clone(&step.topic_name)).or_default() += 1;
        }
        if let Some(Kept::Workflow(before)) = before {
            for (agent, place) in places(id, before) {
                if let Some(line) = self.lines.get_mut(agent) {
                    line.remove(&place);
                    if line.is_empty() {
                        self.lines.remove(agent);
                    }
                }
            }
        }
        if let Some(Kept::Workflow(after)) = after {
            for (agent, place) in places(id, after) {
                self.lines.entry(agent.to_owned()).or_default().insert(place);
            }
        }
    }

    fn keep(&mut self, id: Arc<str>, kept: Option<Kept>) {
        let waits = |kept: &Kept| match kept {
            Kept::Workflow(workflow) => {
                let refused = |choice: &OpenChoice| matches!(choice.state, ChoiceState::Refused { .. });
                workflow.choices.iter().any(refused).then(|| (rank(workflow), Arc::clone(&id)))
            }
            Kept::Receipt(_) => None,
        };
        let (waited, waits) = (self.tasks.get(&id).and_then(waits), kept.as_ref().and_then(waits));
        if waited != waits {
            waited.map(|place| self.waiting.remove(&place));
            self.waiting.extend(waits);
        }
        self.live += usize::from(kept.as_ref().is_some_and(Kept::is_live));
        if let Some(at) = kept.as_ref().and_then(Kept::ended_at) {
            self.ended.insert((at, Arc::clone(&id)));
        }
        self.line_up(&id, kept.as_ref());
        let before = match kept {
            Some(kept) => self.tasks.insert(Arc::clone(&id), kept),
            None => self.tasks.remove(&id),
        };
        if let Some(before) = before {
            self.live -= usize::from(before.is_live());
            if let Some(at) = before.ended_at()
                && self.tasks.get(&id).and_then(Kept::ended_at) != Some(at)
            {
                self.ended.remove(&(at, id));
            }
        }
    }
}

/// The lines a task's steps stand in.
fn places<'w>(id: &Arc<str>, workflow: &'w Workflow) -> impl Iterator<Item = (&'w str, InLine)> {
    workflow.choices.iter().flat_map(move |choice| {
        let busy = match &choice.state {
            ChoiceState::Refused { busy, .. } => &busy[..],
            ChoiceState::Asked { .. } => &[],
        };
        busy.iter().map(move |agent| (agent.as_str(), InLine::new(id, workflow, choice.question)))
    })
}
