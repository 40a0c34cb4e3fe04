//! What must be true of every transaction: nothing lost, nothing twice, the facts' fold is the state.
//!
//! Knows of the engine only what it staged and what became visible; keeps a state of its own, folded from facts alone.

use super::coverage;
use super::facts::{fits, is_refusal, lives};
use super::kafka::{Broker, Written};
use super::violated;
use baton::contract::{AgentOutcome, Codec, TaskEvents};
use baton::partition::{Arrival, INPUTS, Kept, Output, Partition, Staged, What};
use baton::worker::Offsets;
use baton::workflow::{AssignmentId, Effect, Event, Fact, Outcome, Phase, Workflow, evolve, outstanding};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Task, first number and count of facts that were written together.
type Told = (String, i64, usize);

fn take(told: &mut Vec<Told>, one: &Told) -> bool {
    let place = told.iter().position(|other| other == one);
    place.map(|place| told.swap_remove(place)).is_some()
}

/// What a worker staged of one partition, to be compared with what became of it.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Input and offset of each record, in the batch's order.
    read: Vec<(usize, i64)>,
    facts: Vec<(Arc<str>, u64, Vec<Event>)>,
    changed: Vec<(Arc<str>, Option<Kept>)>,
    sent_home: usize,
    dead: usize,
    parts: usize,
    outputs: usize,
}

impl Seen {
    pub(crate) fn of(arrivals: &[Arrival], staged: &Staged) -> Self {
        let read = arrivals.iter().filter_map(|arrival| arrival.source).map(|source| (source.input, source.offset));
        let facts = staged.outputs.iter().filter_map(|planned| match &planned.item {
            Output::Facts(facts) => Some((Arc::clone(&facts.task.task_id), facts.first_sequence, facts.events.clone())),
            _ => None,
        });
        let home = |arrival: &&Arrival| matches!(arrival.what, What::Forwarded { .. } | What::Outgrown(_));
        Self {
            read: read.collect(),
            facts: facts.collect(),
            changed: staged.changed.clone(),
            sent_home: arrivals.iter().filter(home).count(),
            dead: staged.dead.len(),
            parts: staged.parts.len(),
            outputs: staged.outputs.len(),
        }
    }
}

/// The committed state of one partition.
#[derive(Debug, Default)]
struct Place {
    next: [i64; INPUTS],
    tasks: BTreeMap<Arc<str>, Known>,
}

#[derive(Debug)]
struct Known {
    /// Folded from facts.
    workflow: Workflow,
    /// As the engine keeps it.
    kept: Kept,
}

#[derive(Debug)]
pub(crate) struct Model {
    codec: Arc<Codec>,
    prefix: String,
    places: BTreeMap<i32, Place>,
    /// What each process staged last, by partition.
    staged: BTreeMap<(usize, i32), Seen>,
    begun: BTreeMap<u64, Vec<(i32, Seen)>>,
    /// Names of records that may be there once.
    names: BTreeSet<String>,
    /// The name of the completion of each task that was accepted, and of each of its runs.
    runs: Vec<String>,
    pub(crate) transactions: u64,
    pub(crate) facts: u64,
    pub(crate) occurred: Vec<&'static str>,
    /// Each fact in a few words, for whoever tells the story.
    pub(crate) story: Vec<String>,
}

impl Model {
    pub(crate) fn new(codec: Arc<Codec>) -> Self {
        Self {
            prefix: codec.prefix().to_owned(),
            codec,
            places: BTreeMap::new(),
            staged: BTreeMap::new(),
            begun: BTreeMap::new(),
            names: BTreeSet::new(),
            transactions: 0,
            facts: 0,
            occurred: Vec::new(),
            story: Vec::new(),
            runs: Vec::new(),
        }
    }

    pub(crate) fn staged(&mut self, process: usize, partition: i32, seen: Seen) {
        self.staged.insert((process, partition), seen);
    }

    pub(crate) fn began(&mut self, process: usize, transaction: u64, offsets: &[Offsets]) {
        let seen = |one: &Offsets| Some((one.partition, self.staged.remove(&(process, one.partition))?));
        let seen: Vec<_> = offsets.iter().filter_map(seen).collect();
        if seen.len() != offsets.len() {
            violated(format!("a transaction sends offsets of partitions of which nothing was staged: {offsets:?}"));
        }
        self.begun.insert(transaction, seen);
    }

    /// Judges a transaction that was decided.
    pub(crate) fn decided(&mut self, broker: &Broker, inputs: &[String; INPUTS], written: &Written) {
        let Some(begun) = self.begun.remove(&written.transaction) else {
            violated(format!("transaction {} was decided twice", written.transaction));
        };
        if !written.committed {
            return;
        }
        self.transactions += 1;
        if written.offsets.len() != begun.len() {
            violated("a transaction was committed without the offsets that fence it".to_owned());
        }
        let count = |suffix: &str| written.records.iter().filter(|(topic, ..)| topic.ends_with(suffix)).count();
        let sum = |of: fn(&Seen) -> usize| begun.iter().map(|(_, seen)| of(seen)).sum::<usize>();
        let home = written.records.iter().filter(|(topic, ..)| inputs.contains(topic)).count();
        let found = [count(".dlq"), home, count(".task-state"), written.records.len()];
        let (dead, sent, parts) = (sum(|seen| seen.dead), sum(|seen| seen.sent_home), sum(|seen| seen.parts));
        let wanted = [dead, sent, parts, dead + sent + parts + sum(|seen| seen.outputs)];
        if found != wanted {
            violated(format!(
                "a transaction holds {found:?} dead letters, records sent home, snapshot parts and records in all, not {wanted:?}"
            ));
        }
        let mut told: Vec<Told> = Vec::new();
        let mut outcomes: BTreeSet<String> = BTreeSet::new();
        for (topic, number, kept) in &written.records {
            self.unique(inputs, topic, *number, &kept.headers);
            if *topic == format!("{}.task-events", self.prefix) {
                let value = kept.value.as_deref().unwrap_or_default();
                let events: TaskEvents = self.codec.decode(value).unwrap_or_else(|why| {
                    violated(format!("task-events holds what cannot be read: {why:?}"));
                });
                told.push((events.task_id, events.first_sequence, events.facts.len()));
            }
            if *topic == format!("{}.agent-outcomes", self.prefix) {
                let value = kept.value.as_deref().unwrap_or_default();
                let outcome: AgentOutcome = self.codec.decode(value).unwrap_or_else(|why| {
                    violated(format!("agent-outcomes holds what cannot be read: {why:?}"));
                });
                // That it is not there twice is seen to by its name.
                outcomes.insert(outcome.assignment_id);
            }
        }
        for (number, seen) in begun {
            let offsets = written.offsets.iter().find(|one| one.partition == number).expect("counted above");
            self.read(broker, inputs, offsets, &seen.read);
            self.fold(number, seen, &mut told, &mut outcomes);
        }
        if let Some(id) = outcomes.first() {
            violated(format!("assignment {id} has an outcome, and has not ended"));
        }
        if !told.is_empty() {
            violated(format!("task-events tells what was not decided: {told:?}"));
        }
    }

    /// Assignments, events, completions and dead letters have derived names: no two are the same.
    fn unique(&mut self, inputs: &[String], topic: &String, number: usize, headers: &[(String, Option<Vec<u8>>)]) {
        let header = |name: &str| {
            let (_, value) = headers.iter().find(|(key, _)| key == name)?;
            Some(String::from_utf8_lossy(value.as_deref()?).into_owned())
        };
        let name = if topic.ends_with(".dlq") {
            header("__streams.errors.offset").map(|offset| format!("{topic} {number} {offset}"))
        } else if inputs.contains(topic) {
            header("baton.arrived").map(|arrived| format!("{topic} {arrived}"))
        } else {
            header("ce_id").map(|id| format!("{topic} {id}"))
        };
        if topic.ends_with(".completions") && name.as_ref().is_some_and(|name| name.ends_with("~rejected")) {
            self.occurred.push("task rejected");
        }
        if topic.ends_with(".cancellations") {
            self.occurred.push("assignment withdrawn");
        }
        if let Some(name) = name
            && !self.names.insert(name.clone())
        {
            violated(format!("written twice: {name}"));
        }
    }

    /// The offsets go on by exactly the records that were read.
    fn read(&mut self, broker: &Broker, inputs: &[String; INPUTS], offsets: &Offsets, read: &[(usize, i64)]) {
        let place = self.places.entry(offsets.partition).or_default();
        for (input, next) in offsets.next.iter().enumerate() {
            let number = usize::try_from(offsets.partition).expect("no partition is negative");
            let log = &broker.topics[&inputs[input]].partitions[number];
            let there = log.committed(place.next[input]).map(|kept| kept.offset).take_while(|offset| offset < next);
            let there: Vec<i64> = there.collect();
            let taken: Vec<i64> = read.iter().filter(|(of, _)| *of == input).map(|(_, offset)| *offset).collect();
            if *next < place.next[input] || there != taken {
                violated(format!(
                    "{} {number}: the offset goes from {} to {next} over records {there:?}, and {taken:?} were read",
                    inputs[input], place.next[input]
                ));
            }
            place.next[input] = *next;
        }
    }

    fn fold(&mut self, number: i32, seen: Seen, told: &mut Vec<Told>, outcomes: &mut BTreeSet<String>) {
        let tasks = &mut self.places.entry(number).or_default().tasks;
        let mut folded: BTreeMap<Arc<str>, Workflow> = BTreeMap::new();
        for (task_id, first, events) in seen.facts {
            let before = tasks.get(&task_id).map(|known| known.workflow.clone()).unwrap_or_default();
            if is_refusal(&events) {
                // Of a task that was refused: it is told, and nothing is kept of it.
                self.occurred.push("plan refused");
                if !take(told, &(task_id.to_string(), 1, 1)) {
                    violated(format!("{task_id}: that its plan is refused is not in task-events"));
                }
                continue;
            }
            if first != before.last_fact + 1 {
                violated(format!("{task_id}: fact {first} follows fact {}", before.last_fact));
            }
            let wire = (task_id.to_string(), i64::try_from(first).unwrap_or(0), events.len());
            if !take(told, &wire) {
                violated(format!("{task_id}: its facts from {first} on are not in task-events"));
            }
            let mut workflow = before;
            for event in &events {
                self.occurred.push(coverage::name(&event.fact));
                self.occurred.extend(coverage::further(&event.fact));
                self.facts += 1;
                fits(&task_id, &workflow, event);
                let run = workflow.run;
                let before = with_agents(&task_id, &workflow);
                evolve(&mut workflow, event);
                for ended in before.difference(&with_agents(&task_id, &workflow)) {
                    if !outcomes.remove(ended) {
                        violated(format!("assignment {ended} ended without an outcome"));
                    }
                }
                if workflow.run > run {
                    let (accepted, run) = (workflow.accepted, workflow.run);
                    self.runs.push(format!("{}.completions {task_id}~{accepted}~run{run}", self.prefix));
                }
                once(&mut self.names, &task_id, &workflow, &event.fact);
            }
            lives(&task_id, &workflow);
            let names: Vec<_> = events.iter().map(|event| coverage::name(&event.fact)).collect();
            self.story.push(format!("{task_id} from {first}: {}", names.join(", ")));
            folded.insert(task_id, workflow);
        }
        for (task_id, kept) in seen.changed {
            let absent = folded.get(&task_id).is_some_and(|workflow| workflow.phase == Phase::Absent);
            if kept.is_none() && absent {
                // Commands for it were refused: nothing is left.
                let workflow = folded.remove(&task_id);
                if workflow.is_some_and(|workflow| !workflow.held.is_empty()) {
                    violated(format!("{task_id} is forgotten, and commands wait for it"));
                }
                tasks.remove(&task_id);
                continue;
            }
            let Some(kept) = kept else {
                self.occurred.push("task forgotten");
                let was = tasks.remove(&task_id);
                if was.is_none_or(|known| known.kept.ended_at().is_none()) {
                    violated(format!("{task_id} is forgotten, and had not ended"));
                }
                continue;
            };
            let Some(workflow) = folded.remove(&task_id) else {
                violated(format!("{task_id} changed without a fact"));
            };
            let same = match &kept {
                Kept::Workflow(kept) => **kept == workflow,
                Kept::Receipt(receipt) => {
                    workflow.content_hash == receipt.content_hash
                        && workflow.phase == Phase::Ended { outcome: Outcome::Succeeded, at: receipt.ended_at }
                }
            };
            if !same {
                violated(format!("{task_id}: the facts fold to {workflow:#?}, and {kept:#?} is kept"));
            }
            tasks.insert(task_id, Known { workflow, kept });
        }
        if let Some(task_id) = folded.keys().next() {
            violated(format!("{task_id} has new facts, and its state was not changed"));
        }
    }

    /// Whether a partition, as its owner has it in memory, is what was committed.
    pub(crate) fn compare(&self, partition: &Partition) {
        let nothing = Place::default();
        let number = partition.number();
        let place = self.places.get(&number).unwrap_or(&nothing);
        let next = partition.next().map(|next| next.unwrap_or(0));
        if next != place.next {
            violated(format!("partition {number}: its owner is at {next:?}, committed is {:?}", place.next));
        }
        if partition.len() != place.tasks.len() {
            let ids: Vec<_> = place.tasks.keys().collect();
            violated(format!("partition {number}: its owner has {} tasks, committed are {ids:?}", partition.len()));
        }
        for (task_id, known) in &place.tasks {
            if partition.get(task_id) != Some(&known.kept) {
                let found = partition.get(task_id);
                violated(format!("{task_id}: its owner has {found:#?}, committed is {:#?}", known.kept));
            }
        }
    }

    /// The workflows of a partition.
    pub(crate) fn workflows(&self, partition: i32) -> impl Iterator<Item = (&Arc<str>, &Workflow)> {
        let place = self.places.get(&partition);
        place.into_iter().flat_map(|place| place.tasks.iter().map(|(id, known)| (id, &known.workflow)))
    }

    /// Tasks that have not ended.
    pub(crate) fn live(&self) -> Vec<&str> {
        let all = self.places.values().flat_map(|place| &place.tasks);
        all.filter(|(_, known)| known.kept.ended_at().is_none()).map(|(id, _)| &**id).collect()
    }

    /// Whether a wait that was to end before `moment` goes on.
    pub(crate) fn nothing_is_overdue(&self, moment: i64) {
        for (task_id, known) in self.places.values().flat_map(|place| &place.tasks) {
            for effect in outstanding(&known.workflow) {
                let due = match &effect {
                    Effect::Timer(timer) => timer.due,
                    Effect::Ask { deadline, .. } | Effect::Plan { deadline, .. } => *deadline,
                };
                if due.0 < moment {
                    violated(format!("{task_id} is owed {effect:?} since {} ms", moment - due.0));
                }
            }
        }
    }

    /// Whether all records of an input's partition have been read up to there.
    pub(crate) fn has_read(&self, broker: &Broker, inputs: &[String; INPUTS], partitions: usize) -> bool {
        let nothing = Place::default();
        (0..partitions).all(|number| {
            let place = self.places.get(&i32::try_from(number).unwrap_or(0)).unwrap_or(&nothing);
            let rest = |(input, next): (usize, &i64)| {
                let log = &broker.topics[&inputs[input]].partitions[number];
                log.stable() == log.end() && log.committed(*next).next().is_none()
            };
            place.next.iter().enumerate().all(rest)
        })
    }

    /// Whether work may start for a workflow that has come so far: its facts are durable.
    pub(crate) fn may_start(&self, partition: i32, task_id: &str, workflow: &Workflow) {
        let known = self.places.get(&partition).and_then(|place| place.tasks.get(task_id));
        let durable = known.map_or(0, |known| known.workflow.last_fact);
        if durable < workflow.last_fact {
            violated(format!("{task_id}: work starts for fact {}, durable are {durable}", workflow.last_fact));
        }
    }

    /// Who waits for a task has been told what became of it: also of each run of each task that was
    /// accepted, whose end has one name.
    pub(crate) fn everybody_was_told(&self, expected: &[String]) {
        for name in expected.iter().map(|id| format!("{}.completions {id}~", self.prefix)) {
            let first = self.names.range(name.clone()..).next();
            if first.is_none_or(|first| !first.starts_with(&name)) {
                violated(format!("nobody was told: {name}"));
            }
        }
        if let Some(name) = self.runs.iter().find(|name| !self.names.contains(*name)) {
            violated(format!("nobody was told: {name}"));
        }
    }
}

/// Ids of the assignments that agents have.
fn with_agents(task_id: &str, workflow: &Workflow) -> BTreeSet<String> {
    let accepted = workflow.accepted;
    let open = workflow.steps.iter().filter(|step| step.status.is_assigned());
    open.map(|step| AssignmentId { task_id, accepted, step_id: &step.id, attempt: step.attempt }.to_string()).collect()
}

/// A wait is over once: the same timer twice would do twice what follows.
fn once(names: &mut BTreeSet<String>, task_id: &str, workflow: &Workflow, fact: &Fact) {
    let attempt = |step_id: &str| workflow.step(step_id).map_or(0, |step| step.attempt);
    let what = match fact {
        Fact::TaskBegun => "begun".to_owned(),
        Fact::StepTimedOut { step_id, .. } => format!("overdue {step_id} {}", attempt(step_id)),
        Fact::RetryScheduled { step_id, attempt, .. } => format!("retry {step_id} {attempt}"),
        _ => return,
    };
    let name = format!("{task_id}~{} {what}", workflow.accepted);
    if !names.insert(name.clone()) {
        violated(format!("twice: {name}"));
    }
}
