//! Carries out what workflows are owed: timers, and bounded calls to the LLM.
//!
//! Lives on the worker's thread; calls run beside it and come back through a channel that wakes the
//! worker. It knows work by (task, effect) and applies differences: what runs and is still owed is never
//! started again. It cannot fail: a call that fails comes back as an answer that says why.

mod calls;
mod plan_memory;
mod questions;
mod timers;

pub use calls::{AllowedBy, Asker, CardsOf, ChooserOf, Observe};

use crate::worker::mutant::{self, Mutant};
use crate::worker::{Returned, Runner};
use crate::workflow::{Effect, Input, Plan, PlanAnswer, Task, Timer, TimerKind, Timestamp, Workflow};
use calls::{Calls, Said};
use plan_memory::PlanMemory;
use questions::Wanted;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use timers::{Place, Timers};

type TaskKey = (i32, Arc<str>);

#[derive(Debug, Default)]
struct Running {
    timers: Vec<(Place, TimerKind)>,
    /// Numbers of the questions being asked.
    questions: Vec<u32>,
    /// The plan that is followed, to be remembered should it succeed.
    followed: Option<(Arc<Task>, Plan)>,
    /// The plan that the LLM wrote last, to be told should it have to be mended.
    written: Option<Arc<PlanAnswer>>,
}

/// The runner of one worker.
#[derive(Debug)]
pub struct EffectRunner {
    running: FxHashMap<TaskKey, Running>,
    timers: Timers,
    calls: Calls,
    memory: PlanMemory,
}

impl EffectRunner {
    /// `asker` is none where no LLM is configured: a question that was asked before comes back unanswered at once.
    #[must_use]
    pub fn new(asker: Option<Asker>, wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        let calls = Calls::new(asker, wake);
        Self { running: FxHashMap::default(), timers: Timers::default(), calls, memory: PlanMemory::default() }
    }

    fn stop(&mut self, key: &TaskKey, running: Running) {
        for (place, _) in running.timers {
            self.timers.cancel(place);
        }
        for question in running.questions {
            self.calls.cancel(key, question);
        }
    }
}

impl Runner for EffectRunner {
    fn owe(&mut self, partition: i32, task_id: &Arc<str>, effects: Vec<Effect>, workflow: Option<&Arc<Workflow>>) {
        let key = (partition, Arc::clone(task_id));
        let mut before = self.running.remove(&key).unwrap_or_default();
        // Of a task that ended in any other way the workflow is kept: only success leaves none.
        if let (true, None, Some((task, plan))) = (effects.is_empty(), workflow, &before.followed)
            && let Some(kind) = &task.kind
        {
            self.memory.succeeded(kind, plan);
        }
        let mut now = Running {
            // Nearly all that is owed is timers; there may be a million of them.
            timers: Vec::with_capacity(effects.len()),
            followed: workflow.and_then(|workflow| followed(workflow)),
            ..Running::default()
        };
        for effect in effects {
            match effect {
                Effect::Timer(timer) => {
                    let is_it = |(place, kind): &(Place, TimerKind)| place.0 == timer.due && *kind == timer.kind;
                    let place = match before.timers.iter().position(is_it) {
                        Some(at) => before.timers.swap_remove(at).0,
                        None if mutant::is(Mutant::TimerDropped) && !now.timers.is_empty() => continue,
                        None => self.timers.arm(&key, &timer),
                    };
                    now.timers.push((place, timer.kind));
                }
                Effect::Ask { question, set, offers_done, deadline } => {
                    match (before.questions.iter().position(|running| *running == question), workflow) {
                        (Some(at), _) => drop(before.questions.swap_remove(at)),
                        (None, Some(workflow)) => {
                            self.calls.ask(&key, question, &set, offers_done, deadline, workflow);
                        }
                        (None, None) => continue,
                    }
                    now.questions.push(question);
                }
                Effect::Plan { question, faults, deadline } => {
                    now.written = before.written.take();
                    match (before.questions.iter().position(|running| *running == question), workflow) {
                        (Some(at), _) => drop(before.questions.swap_remove(at)),
                        (None, Some(workflow)) => {
                            let kind = workflow.task.as_ref().and_then(|task| task.kind.as_deref());
                            let precedents = kind.map(|kind| self.memory.of(kind)).unwrap_or_default();
                            let (workflow, rejected) = (Arc::clone(workflow), now.written.clone());
                            self.calls.plan(
                                &key,
                                question,
                                Wanted { faults, deadline, workflow, rejected, precedents },
                            );
                        }
                        (None, None) => continue,
                    }
                    now.questions.push(question);
                }
            }
        }
        self.stop(&key, before);
        if !now.timers.is_empty() || !now.questions.is_empty() {
            self.running.insert(key, now);
        }
    }

    fn drop_partition(&mut self, partition: i32) {
        let keys: Vec<TaskKey> = self.running.keys().filter(|(of, _)| *of == partition).cloned().collect();
        for key in keys {
            if let Some(running) = self.running.remove(&key) {
                self.stop(&key, running);
            }
        }
    }

    fn returned(&mut self, now: Timestamp, most: usize, into: &mut Vec<Returned>) {
        while into.len() < most {
            let Some((key, place, kind)) = self.timers.pop_due(now) else { break };
            if let Some(running) = self.running.get_mut(&key) {
                running.timers.retain(|(armed, _)| *armed != place);
            }
            let ((partition, task_id), timer) = (key, Timer { due: place.0, kind });
            into.push(Returned { partition, task_id, input: Input::TimerFired(timer) });
        }
        while into.len() < most {
            let Some(((partition, task_id), question, answer)) = self.calls.next() else { break };
            // An answer nobody waits for any more: its task moved on or its partition went away.
            let Some(running) = self.running.get_mut(&(partition, Arc::clone(&task_id))) else { continue };
            let Some(at) = running.questions.iter().position(|asked| *asked == question) else { continue };
            running.questions.swap_remove(at);
            let input = match answer {
                Said::Agent(answer) => Input::Answered { question, answer },
                Said::Plan(answer) => {
                    running.written = Some(Arc::clone(&answer));
                    Input::Planned { question, answer }
                }
            };
            into.push(Returned { partition, task_id, input });
        }
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.timers.next_due()
    }
}

/// The plan that a task of some type follows.
fn followed(workflow: &Workflow) -> Option<(Arc<Task>, Plan)> {
    let (task, plan) = (workflow.task.as_ref()?, workflow.plan.as_ref()?);
    task.kind.is_some().then(|| (Arc::clone(task), plan.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::{ChoiceState, OpenChoice, Outcome, Phase, PlannedStep, Planning, TimerKind};

    fn deadline(due: i64) -> Effect {
        Effect::Timer(Timer { due: Timestamp(due), kind: TimerKind::TaskDeadline })
    }

    fn fired(runner: &mut EffectRunner, now: i64) -> Vec<Input> {
        let mut returned = Vec::new();
        runner.returned(Timestamp(now), 100, &mut returned);
        returned.into_iter().map(|one| one.input).collect()
    }

    #[test]
    fn what_is_no_longer_owed_is_cancelled_and_what_is_still_owed_goes_on() {
        let mut runner = EffectRunner::new(None, Arc::new(|| {}));
        let task: Arc<str> = "t".into();
        runner.owe(0, &task, vec![deadline(10), deadline(20)], None);
        runner.owe(0, &task, vec![deadline(20), deadline(30)], None);
        assert_eq!(runner.next_due(), Some(Timestamp(20)));
        let due = Timer { due: Timestamp(20), kind: TimerKind::TaskDeadline };
        assert_eq!(fired(&mut runner, 25), [Input::TimerFired(due)], "each fires once");
        assert_eq!(fired(&mut runner, 25), []);
        runner.owe(0, &task, vec![], None);
        assert_eq!(runner.next_due(), None);
    }

    #[test]
    fn a_partition_that_went_away_takes_its_work_along() {
        let mut runner = EffectRunner::new(None, Arc::new(|| {}));
        runner.owe(0, &"a".into(), vec![deadline(10)], None);
        runner.owe(1, &"b".into(), vec![deadline(11)], None);
        runner.drop_partition(0);
        assert_eq!(runner.next_due(), Some(Timestamp(11)));
    }

    #[test]
    fn without_an_llm_a_question_comes_back_unanswered() {
        let mut runner = EffectRunner::new(None, Arc::new(|| {}));
        let set: Arc<[String]> = Arc::from(["a".to_owned()]);
        let asked = ChoiceState::Asked { set: Arc::clone(&set), offers_done: false, tries: 1, deadline: Timestamp(5) };
        let workflow = Arc::new(Workflow {
            phase: Phase::Live,
            task: Some(Arc::new(Task::new("t", "o"))),
            choices: vec![OpenChoice { step_id: "1".into(), question: 1, state: asked }],
            ..Workflow::default()
        });
        let owed = crate::workflow::outstanding(&workflow);
        runner.owe(0, &"t".into(), owed, Some(&workflow));
        let back = fired(&mut runner, -1);
        assert!(
            matches!(&back[..], [Input::Answered { question: 1, answer }] if answer.said == Err("unavailable".to_owned())),
            "{back:?}"
        );
    }
    #[test]
    fn without_an_llm_a_plan_comes_back_unwritten() {
        let mut runner = EffectRunner::new(None, Arc::new(|| {}));
        let planning = Planning { question: 1, tries: 1, faults: Arc::default(), deadline: Timestamp(5) };
        let workflow = Arc::new(Workflow {
            phase: Phase::Live,
            task: Some(Arc::new(Task::new("t", "o"))),
            planning: Some(planning),
            ..Workflow::default()
        });
        runner.owe(0, &"t".into(), crate::workflow::outstanding(&workflow), Some(&workflow));
        let back = fired(&mut runner, -1);
        assert!(
            matches!(&back[..], [Input::Planned { question: 1, answer }] if answer.plan == Err("unavailable".to_owned())),
            "{back:?}"
        );
    }

    #[test]
    fn the_plan_of_a_task_is_remembered_for_its_type_if_the_task_succeeds() {
        let step = |id: &str| PlannedStep { step_id: id.to_owned(), ..PlannedStep::default() };
        let task = Task { kind: Some("lead".to_owned()), ..Task::new("t", "o") };
        let live = Workflow {
            phase: Phase::Live,
            task: Some(Arc::new(task)),
            plan: Some(vec![step("a"), step("b")].into()),
            ..Workflow::default()
        };
        let failed = Phase::Ended { outcome: Outcome::Failed, at: Timestamp(1) };
        let failed = Arc::new(Workflow { phase: failed, ..live.clone() });
        let live = Arc::new(live);
        let mut runner = EffectRunner::new(None, Arc::new(|| {}));
        let begin = |runner: &mut EffectRunner, id: &str| {
            runner.owe(0, &id.into(), crate::workflow::outstanding(&live), Some(&live));
        };
        begin(&mut runner, "one that fails");
        runner.owe(0, &"one that fails".into(), vec![], Some(&failed));
        begin(&mut runner, "one that goes elsewhere");
        runner.drop_partition(0);
        assert!(runner.memory.of("lead").is_empty());
        begin(&mut runner, "one that succeeds");
        runner.owe(0, &"one that succeeds".into(), vec![], None);
        assert_eq!(runner.memory.of("lead").len(), 1);
    }
}
