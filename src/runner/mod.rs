//! Carries out what workflows are owed: timers, and bounded calls to the LLM.
//!
//! Lives on the worker's thread; calls run beside it and come back through a channel that wakes the
//! worker. It knows work by (task, effect) and applies differences: what runs and is still owed is never
//! started again. It cannot fail: a call that fails comes back as an answer that says why.

mod calls;
mod timers;

pub use calls::{Asker, CardsOf};

use crate::worker::mutant::{self, Mutant};
use crate::worker::{Returned, Runner};
use crate::workflow::{Effect, Input, Timer, Timestamp, Workflow};
use calls::Calls;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use timers::Timers;

type TaskKey = (i32, Arc<str>);

#[derive(Debug, Default)]
struct Running {
    timers: Vec<Timer>,
    /// Numbers of the questions being asked.
    questions: Vec<u32>,
}

/// The runner of one worker.
#[derive(Debug)]
pub struct EffectRunner {
    running: FxHashMap<TaskKey, Running>,
    timers: Timers,
    calls: Calls,
}

impl EffectRunner {
    /// `asker` is none where no LLM is configured: a question that was asked before comes back unanswered at once.
    #[must_use]
    pub fn new(asker: Option<Asker>, wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self { running: FxHashMap::default(), timers: Timers::default(), calls: Calls::new(asker, wake) }
    }

    fn stop(&mut self, key: &TaskKey, running: Running) {
        for timer in running.timers {
            self.timers.cancel(key, &timer);
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
        let mut now = Running::default();
        for effect in effects {
            match effect {
                Effect::Timer(timer) => {
                    match before.timers.iter().position(|running| *running == timer) {
                        Some(at) => drop(before.timers.swap_remove(at)),
                        None if mutant::is(Mutant::TimerDropped) && !now.timers.is_empty() => {}
                        None => self.timers.arm(&key, &timer),
                    }
                    now.timers.push(timer);
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
            let Some(((partition, task_id), timer)) = self.timers.pop_due(now) else { break };
            if let Some(running) = self.running.get_mut(&(partition, Arc::clone(&task_id))) {
                running.timers.retain(|armed| *armed != timer);
            }
            into.push(Returned { partition, task_id, input: Input::TimerFired(timer) });
        }
        while into.len() < most {
            let Some(((partition, task_id), question, answer)) = self.calls.next() else { break };
            // An answer nobody waits for any more: its task moved on or its partition went away.
            let Some(running) = self.running.get_mut(&(partition, Arc::clone(&task_id))) else { continue };
            let Some(at) = running.questions.iter().position(|asked| *asked == question) else { continue };
            running.questions.swap_remove(at);
            into.push(Returned { partition, task_id, input: Input::Answered { question, answer } });
        }
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.timers.next_due()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::{ChoiceState, OpenChoice, Phase, Task, TimerKind};

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
}
