//! How often the right agent comes first, without examples and with some for each capability.

use crate::set::{Set, Task};
use crate::show;
use baton::config::Config;
use baton::selection::{Figures, Outcome, accuracy_of_surest};
use baton::service::Judge;
use std::path::Path;

/// The most that confidence may be from what comes true, on average.
const CALIBRATION: f64 = 0.05;

/// With so many examples for each capability: the right agent first, and right among the surest 80 %.
struct Wanted {
    examples: usize,
    accuracy: f64,
    surest: Option<f64>,
}

/// Of a set of thousands of tasks, ten agents with fifteen capabilities each.
const LARGE: [Wanted; 3] = [
    Wanted { examples: 0, accuracy: 0.75, surest: None },
    Wanted { examples: 5, accuracy: 0.89, surest: Some(0.96) },
    Wanted { examples: 10, accuracy: 0.91, surest: None },
];
/// Of our own, which is harder without examples and too small to tell how well confidence is calibrated.
const OWN: [Wanted; 2] =
    [Wanted { examples: 0, accuracy: 0.38, surest: None }, Wanted { examples: 4, accuracy: 0.82, surest: Some(0.92) }];

pub(crate) fn run(given: Option<&Path>) -> bool {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/retailer");
    let set = Set::read(given.unwrap_or(&own));
    println!("{} agents, {} tasks", set.agents.len(), set.tasks.len());
    let wanted = if given.is_some() { &LARGE[..] } else { &OWN };
    wanted.iter().fold(true, |fine, wanted| fine & one(&set, wanted, given.is_some()))
}

fn one(set: &Set, wanted: &Wanted, is_large: bool) -> bool {
    let judge = Judge::new(&Config::default(), set.agents.clone(), set.examples(wanted.examples), None, None);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let judged = |(number, task): (usize, &Task)| {
        let judged = runtime.block_on(judge.judge(number, &task.text));
        Outcome {
            in_scope: task.agent.is_some(),
            right: task.agent.is_some() && task.agent == judged.agent_name,
            answered: judged.without_doubt,
            confidence: judged.confidence,
            micros: u64::try_from(judged.took.as_micros()).unwrap(),
        }
    };
    let outcomes: Vec<Outcome> = set.tasks.iter().enumerate().map(judged).collect();
    let figures = Figures::of(&outcomes);
    let percent = |share: Option<f64>| format!("{:.1} %", share.unwrap_or(f64::NAN) * 100.0);
    println!("with {} examples for each capability", wanted.examples);
    let at_least = |what: &str, share: Option<f64>, least: f64| {
        show(what, &percent(share), &percent(Some(least)), share.unwrap_or(0.0) >= least)
    };
    let mut fine = at_least("  right agent first", figures.accuracy, wanted.accuracy);
    let surest = accuracy_of_surest(&outcomes, 0.8);
    match wanted.surest {
        Some(least) => fine &= at_least("  right among the surest 80 %", surest, least),
        None => println!("  right among the surest 80 %: {}", percent(surest)),
    }
    println!(
        "  answered by a clear lead: {}, right of those: {}; of no agent and not answered: {}",
        percent(figures.answered),
        percent(figures.accuracy_answered),
        percent(figures.out_of_scope_abstained)
    );
    let error = figures.calibration_error.unwrap_or(f64::NAN);
    if is_large {
        fine &= show("  calibration error", &format!("{error:.3}"), &format!("{CALIBRATION}"), error <= CALIBRATION);
    } else {
        println!("  calibration error: {error:.3}");
    }
    fine
}
