//! The runner: the real one for timers, and an LLM that answers as LLMs do.

use super::kafka::Host as _;
use super::world::World;
use super::{plans, processes};
use baton::runner::EffectRunner;
use baton::worker::{Returned, Runner};
use baton::workflow::{Answer, Attempt, Choice, Effect, Input, PlanAnswer, Said, Timestamp, Usage, Workflow};
use std::collections::BTreeMap;
use std::rc::Weak;
use std::sync::Arc;

type Task = (i32, Arc<str>);

pub(crate) struct SimRunner {
    timers: EffectRunner,
    world: Weak<World>,
    process: usize,
    /// Questions owed, by task.
    owed: BTreeMap<Task, Vec<u32>>,
    /// Answers, by when they come.
    answers: Vec<(i64, Task, Input)>,
}

impl SimRunner {
    pub(crate) fn new(world: Weak<World>, process: usize) -> Self {
        let timers = EffectRunner::new(None, Arc::new(|| {}));
        Self { timers, world, process, owed: BTreeMap::new(), answers: Vec::new() }
    }

    /// The answer comes within the budget, or late, or twice.
    fn answer(&mut self, world: &World, key: &Task, deadline: Timestamp, answer: Input) {
        let dice = &world.dice;
        let budget = (deadline.0 - world.wall_of(self.process)).clamp(0, 3_000);
        let mut due = world.time() + dice.millis(0, budget.max(1));
        if dice.percent(5) {
            world.occurred("answer late");
            due = world.time() + budget + dice.millis(0, 4_000);
        }
        if dice.percent(10) {
            self.answers.push((due + dice.millis(0, 5_000), key.clone(), answer.clone()));
        }
        self.answers.push((due, key.clone(), answer));
    }
}

fn answer(world: &World, set: &[String]) -> Answer {
    let dice = &world.dice;
    let said = |choice, confidence| Ok(Said { choice, confidence, reason: "it seemed right".to_owned() });
    let said = match dice.pick(20) {
        0 => {
            world.occurred("answer failed");
            Err((*dice.one(&["timeout", "unavailable", "invalid_answer", "refused"])).to_owned())
        }
        1 => {
            world.occurred("answer unusable");
            said(Choice::Agent("Nobody".to_owned()), 0.9)
        }
        2 => said(Choice::Agent(dice.one(set).clone()), 0.1),
        3 => said(Choice::None, 0.9),
        4 => said(Choice::Done, 0.9),
        _ => said(Choice::Agent(dice.one(set).clone()), 0.9),
    };
    Answer { said, attempts: vec![attempt()], prompt_version: None }
}

fn plan(world: &World) -> PlanAnswer {
    let dice = &world.dice;
    let core = |steps: Vec<baton::contract::PlannedStep>| Ok(steps.into_iter().map(|step| step.into_step()).collect());
    let plan = match dice.pick(10) {
        0 => {
            world.occurred("plan not written");
            Err((*dice.one(&["timeout", "unavailable", "invalid_answer"])).to_owned())
        }
        1..4 => {
            world.occurred("plan faulty");
            core(plans::faulty(dice))
        }
        _ => core(plans::sound(dice)),
    };
    PlanAnswer { plan, attempts: vec![attempt()], prompt_version: Some("plan".to_owned()) }
}

fn attempt() -> Attempt {
    Attempt {
        provider: "p".to_owned(),
        model: "m".to_owned(),
        answer: String::new(),
        verdict: "valid".to_owned(),
        millis: 5,
        usage: Usage { input_tokens: 100, output_tokens: 10, cost_micros: 3 },
    }
}

fn number(answer: &Input) -> u32 {
    match answer {
        Input::Answered { question, .. } | Input::Planned { question, .. } => *question,
        _ => 0,
    }
}

impl Runner for SimRunner {
    fn owe(&mut self, partition: i32, task_id: &Arc<str>, effects: Vec<Effect>, workflow: Option<&Arc<Workflow>>) {
        let Some(world) = self.world.upgrade() else { return };
        if let Some(workflow) = workflow.filter(|_| processes::owns(&world, self.process)) {
            world.model.borrow().may_start(partition, task_id, workflow);
        }
        world.reached(self.process, "owe");
        let key = (partition, Arc::clone(task_id));
        let before = self.owed.remove(&key).unwrap_or_default();
        let mut timers = Vec::new();
        let mut now = Vec::new();
        for effect in effects {
            match effect {
                Effect::Ask { question, set, deadline, .. } => {
                    now.push(question);
                    if !before.contains(&question) {
                        let answer = Arc::new(answer(&world, &set));
                        self.answer(&world, &key, deadline, Input::Answered { question, answer });
                    }
                }
                Effect::Plan { question, deadline, .. } => {
                    now.push(question);
                    if !before.contains(&question) {
                        let answer = Arc::new(plan(&world));
                        self.answer(&world, &key, deadline, Input::Planned { question, answer });
                    }
                }
                timer @ Effect::Timer(_) => timers.push(timer),
            }
        }
        if timers.is_empty() {
            // The task has ended; another may come under its id, whose questions are none of these.
            self.answers.retain(|(_, of, ..)| *of != key);
        } else if !now.is_empty() {
            self.owed.insert(key, now);
        }
        self.timers.owe(partition, task_id, timers, workflow);
    }

    fn drop_partition(&mut self, partition: i32) {
        self.owed.retain(|(of, _), _| *of != partition);
        self.answers.retain(|(_, (of, _), ..)| *of != partition);
        self.timers.drop_partition(partition);
    }

    fn returned(&mut self, now: Timestamp, most: usize, into: &mut Vec<Returned>) {
        let Some(world) = self.world.upgrade() else { return };
        world.reached(self.process, "returned");
        self.timers.returned(now, most, into);
        let time = world.time();
        while into.len() < most {
            let Some(place) = self.answers.iter().position(|(due, ..)| *due <= time) else { break };
            let (_, key, input) = self.answers.swap_remove(place);
            let owed = self.owed.get_mut(&key).and_then(|owed| {
                let place = owed.iter().position(|owed| *owed == number(&input))?;
                Some(owed.swap_remove(place))
            });
            if owed.is_none() {
                // The engine must not need a runner that holds it back.
                world.occurred("answer stale");
            }
            let (partition, task_id) = key;
            into.push(Returned { partition, task_id, input });
        }
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.timers.next_due()
    }
}
