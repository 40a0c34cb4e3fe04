//! Choices between agents that fit alike and whose success drifts, by the selection and the statistics that are run.

use super::show;
use baton::contract::OutcomeClass;
use baton::insights::{AgentState, Observation, Rules};
use baton::selection::{
    Agent, Availability, Definition, Policy, Record, Registry, Resolved, Track, choose, topic_name,
};
use baton::workflow::{Choosing, Task, Verdict};
use std::sync::Arc;

const AGENTS: usize = 5;
/// Between two choices, in milliseconds.
const EVERY: i64 = 100;
const LATENCY: i64 = 2_000;

/// How an agent is picked.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Selection,
    RoundRobin,
    /// The best by what is known, with the same statistics, never another.
    Greedy,
}

/// Agents with what is known of them.
struct World {
    way: Way,
    registry: Registry,
    names: Vec<String>,
    states: Vec<AgentState>,
    rules: Rules,
    now: i64,
    dice: fastrand::Rng,
}

impl World {
    fn new(way: Way, seed: u64) -> Self {
        let names: Vec<String> = (0..AGENTS).map(|number| format!("translator-{number}")).collect();
        let entries = names.iter().map(|name| {
            let mut definition = Definition::new(name);
            definition.description = "Translates letters.".to_owned();
            definition.capabilities = vec!["translate letters".to_owned()];
            let key = topic_name(name, 1);
            let agent = Agent::compile(&key, definition, Resolved::Any, Resolved::Any).expect("a sound definition");
            (key, Ok(Arc::new(agent)))
        });
        Self {
            way,
            registry: Registry::new(entries.collect()),
            names,
            states: vec![AgentState::default(); AGENTS],
            rules: Rules::default(),
            now: 1_700_000_000_000,
            dice: fastrand::Rng::with_seed(seed),
        }
    }

    fn pick(&mut self, number: u64) -> usize {
        let expected = |state: &AgentState| state.overall.success.mean();
        match self.way {
            Way::RoundRobin => number as usize % AGENTS,
            Way::Greedy => {
                let best = self.states.iter().map(expected).fold(0.0, f64::max);
                self.states.iter().position(|state| expected(state) >= best).expect("one is the best")
            }
            Way::Selection => self.select(number),
        }
    }

    fn select(&self, number: u64) -> usize {
        let mut available: Availability = self.names.iter().collect();
        let track = |state: &AgentState| Track {
            overall: Record {
                successes: state.overall.success.successes,
                failures: state.overall.success.failures,
                latencies: vec![(LATENCY as f64, state.overall.success.successes)],
                ..Record::default()
            },
            ..Track::default()
        };
        available.set_tracks(self.names.iter().cloned().zip(self.states.iter().map(track)).collect());
        let task = Task::new("t", "translate these letters");
        let choosing = Choosing { seed: number.wrapping_mul(0x9e37_79b9_7f4a_7c15), ..Choosing::of(&task) };
        let Verdict::Settled(settled) = choose(&self.registry, &available, &Policy::default(), &choosing) else {
            unreachable!("there is no LLM")
        };
        let chosen = settled.chosen.expect("all of them will do");
        self.names.iter().position(|name| **name == *chosen.agent_name).expect("it is one of them")
    }

    /// One choice, and what comes of it with these rates of success; who was chosen.
    fn step(&mut self, number: u64, rates: &[f64; AGENTS]) -> usize {
        self.now += EVERY;
        let picked = self.pick(number);
        let succeeds = self.dice.f64() < rates[picked];
        let seen = Observation {
            class: if succeeds { OutcomeClass::Succeeded } else { OutcomeClass::Transient },
            latency_ms: LATENCY,
            tokens: 0,
            cost_micros: 0,
            output_bytes: 100,
            quality: None,
            capability: None,
            task_type: None,
            prediction: None,
            at: self.now,
        };
        self.states[picked].take(&seen, self.now, &self.rules);
        picked
    }
}

pub(super) fn run(quick: bool) -> bool {
    let seeds = if quick { 1 } else { 10 };
    let mut fine = regret(seeds);
    fine &= fall(seeds);
    fine &= steady(seeds);
    fine
}

/// Rates between 0.5 and 0.99, of which one changes every 500 choices.
fn regret(seeds: u64) -> bool {
    let total = |way: Way| -> f64 {
        (0..seeds)
            .map(|seed| {
                let (mut world, mut drift) = (World::new(way, seed), fastrand::Rng::with_seed(seed ^ 0xd21f));
                let mut rates = [0.0; AGENTS].map(|_: f64| 0.5 + 0.49 * drift.f64());
                let mut regret = 0.0;
                for number in 0..10_000 {
                    if number % 500 == 499 {
                        rates[drift.usize(..AGENTS)] = 0.5 + 0.49 * drift.f64();
                    }
                    let best = rates.iter().copied().fold(0.0, f64::max);
                    regret += best - rates[world.step(number, &rates)];
                }
                regret
            })
            .sum()
    };
    let (ours, turns, greedy) = (total(Way::Selection), total(Way::RoundRobin), total(Way::Greedy));
    let figure = format!("{:.2} of round robin's, {:.2} of greedy's", ours / turns, ours / greedy);
    show("regret with drifting agents", &figure, "under 0.5 of each", ours < 0.5 * turns && ours < 0.5 * greedy)
}

/// One of five that are right in 95 % falls to 60 %, and recovers.
fn fall(seeds: u64) -> bool {
    let (mut worst, mut slowest, mut back) = (0.0_f64, 0, true);
    for seed in 0..seeds {
        let mut world = World::new(Way::Selection, seed);
        let (well, ill) = ([0.95; AGENTS], [0.6, 0.95, 0.95, 0.95, 0.95]);
        let mut number = 0;
        let mut turn = |world: &mut World, rates: &[f64; AGENTS]| {
            number += 1;
            world.step(number, rates)
        };
        for _ in 0..1_000 {
            turn(&mut world, &well);
        }
        // Until it has had 50 more outcomes, or others have had all the work for long.
        let (mut had, mut waited) = (0, 0);
        while had < 50 && waited < 2_000 {
            (had, waited) = (had + usize::from(turn(&mut world, &ill) == 0), waited + 1);
        }
        let after = (0..1_000).filter(|_| turn(&mut world, &ill) == 0).count();
        worst = worst.max(after as f64 / 1_000.0 * AGENTS as f64);
        // Back to four fifths of a fifth over 500 choices.
        let mut choices = 0;
        back &= loop {
            let share = (0..500).filter(|_| turn(&mut world, &well) == 0).count() as f64 / 500.0;
            choices += 500;
            if share >= 0.8 / AGENTS as f64 {
                break true;
            }
            if choices >= 50_000 {
                break false;
            }
        };
        slowest = slowest.max(choices);
    }
    let lost = format!("{:.0} % of its share at worst", (1.0 - worst) * 100.0);
    let fine = show("an agent falling from 95 to 60 % loses, 50 outcomes on,", &lost, "80 %", worst <= 0.2);
    let regained = if back { format!("within {slowest} choices at worst") } else { "not".to_owned() };
    show("and has its share again once it is well", &regained, "it has", back) && fine
}

/// Five that are right in 95 %: nobody is ever left out.
fn steady(seeds: u64) -> bool {
    let (mut least, mut most) = (1.0_f64, 0.0_f64);
    for seed in 0..seeds {
        let mut world = World::new(Way::Selection, seed);
        for window in 0..10 {
            let mut shares = [0.0; AGENTS];
            for number in 0..1_000 {
                shares[world.step(window * 1_000 + number, &[0.95; AGENTS])] += 0.001;
            }
            if window > 0 {
                least = shares.iter().copied().fold(least, f64::min);
                most = shares.iter().copied().fold(most, f64::max);
            }
        }
    }
    let figure = format!("shares of 1,000 choices from {:.0} to {:.0} %", least * 100.0, most * 100.0);
    show("five that do equally well", &figure, "none under 5 or over 50 %", least >= 0.05 && most <= 0.5)
}
