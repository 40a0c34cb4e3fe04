//! How long one local choice takes, what building the selector takes, and what it holds.

use crate::set::agent;
use crate::show;
use baton::config::Config;
use baton::selection::{Agent, Definition};
use baton::service::{Judge, Known};
use std::sync::Arc;
use std::time::Instant;

const CHOICES: usize = 5_000;
const CAPABILITIES: usize = 15;

pub(crate) fn run() -> bool {
    let mut fine = true;
    for (agents, examples, most) in [(10, 0, 0.5), (10, 10, 0.5), (1_000, 0, 5.0), (1_000, 5, 5.0)] {
        fine &= one(agents, examples, most);
    }
    fine
}

fn one(agents: usize, examples: usize, most_millis: f64) -> bool {
    let mut dice = fastrand::Rng::with_seed(7);
    let all: Vec<Arc<Agent>> = (0..agents).map(|number| able(number, &mut dice)).collect();
    let known: Vec<Known> = all.iter().flat_map(|agent| taught(agent, examples, &mut dice)).collect();
    let start = Instant::now();
    let judge = Judge::new(&Config::default(), all, known, None, None);
    let built = start.elapsed();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // The best of three: what else runs on the machine is not the selector's.
    let timed = |objective: &str| runtime.block_on(judge.judge(1, objective)).took.as_secs_f64() * 1e6;
    let best = |objective: String| (0..3).map(|_| timed(&objective)).fold(f64::MAX, f64::min);
    let mut micros: Vec<f64> = (0..CHOICES).map(|_| best(text(12, &mut dice))).collect();
    micros.sort_by(f64::total_cmp);
    let (middle, late) = (micros[CHOICES / 2], micros[CHOICES * 99 / 100]);
    println!(
        "{agents} agents with {CAPABILITIES} capabilities and {examples} examples of each: built in {:.2} s, {:.1} MB",
        built.as_secs_f64(),
        judge.index_bytes() as f64 / 1e6
    );
    let figure = format!("{:.3} ms, the middle one {:.3} ms", late / 1e3, middle / 1e3);
    show("  a choice, p99", &figure, &format!("{most_millis} ms"), late <= most_millis * 1e3)
}

fn able(number: usize, dice: &mut fastrand::Rng) -> Arc<Agent> {
    let mut definition = Definition::new(format!("agent {number}"));
    definition.description = text(12, dice);
    definition.capabilities = (0..CAPABILITIES).map(|_| text(2, dice)).collect();
    agent(definition)
}

fn taught(agent: &Agent, examples: usize, dice: &mut fastrand::Rng) -> Vec<Known> {
    let mut known = Vec::new();
    for capability in &agent.definition().capabilities {
        for _ in 0..examples {
            let text = format!("{capability} {}", text(7, dice));
            known.push(Known { agent_name: agent.name().to_owned(), text, capability: Some(capability.clone()) });
        }
    }
    known
}

/// Words made of syllables, some much more frequent than others, as in a language.
fn text(words: usize, dice: &mut fastrand::Rng) -> String {
    const SYLLABLES: [&str; 20] = [
        "ta", "ri", "son", "lek", "mo", "pan", "cu", "ver", "dis", "tion", "bel", "gor", "hin", "ja", "kel", "lum",
        "nes", "opt", "qua", "zur",
    ];
    let word = |dice: &mut fastrand::Rng| {
        // The square of chance: the first of 8,000 words come most often.
        let rank = (dice.f64().powi(2) * 8_000.0) as usize;
        [SYLLABLES[rank % 20], SYLLABLES[rank / 20 % 20], SYLLABLES[rank / 400]].concat()
    };
    (0..words).map(|_| word(dice)).collect::<Vec<String>>().join(" ")
}
