//! How often an experiment shows a difference where there is none, and how soon where there is one.

use crate::chance::normal;
use crate::show;
use baton::selection::{Arm, Difference, Shares};

/// Tasks of one experiment.
const TASKS: u32 = 2_000;

/// A name, the share of the variant, what it differs by where it does, and what an arm gives.
type Case = (&'static str, f64, f64, fn(&mut fastrand::Rng, f64) -> f64);

const CASES: [Case; 6] = [
    ("success of 50 %, even shares", 0.5, 0.1, |dice, effect| f64::from(dice.f64() < 0.5 + effect)),
    ("success of 95 %, even shares", 0.5, -0.05, |dice, effect| f64::from(dice.f64() < 0.95 + effect)),
    ("success of 95 %, a tenth", 0.1, -0.1, |dice, effect| f64::from(dice.f64() < 0.95 + effect)),
    ("success of 99 %, a tenth", 0.1, -0.05, |dice, effect| f64::from(dice.f64() < 0.99 + effect)),
    ("latency's logarithm, a third longer", 0.5, 0.288, |dice, effect| 0.8 * normal(dice) + effect),
    ("cost, log-normal, half as much again", 0.5, 824.0, |dice, effect| (7.0 + normal(dice)).exp() + effect),
];

pub(crate) fn run(quick: bool) -> bool {
    let experiments = if quick { 50 } else { 2_000 };
    let mut fine = true;
    for (name, share, effect, law) in CASES {
        let shown = |seed: u64, effect: f64| {
            let (mut dice, mut seen) = (fastrand::Rng::with_seed(seed), Difference::new(share));
            (1..=TASKS).find(|_| {
                let (arm, effect) = if dice.f64() < share { (Arm::Variant, effect) } else { (Arm::Control, 0.0) };
                seen.take(arm, law(&mut dice, effect));
                seen.p_value() < 0.05
            })
        };
        let wrong = (0..experiments).filter(|seed| shown(*seed, 0.0).is_some()).count();
        fine &= at_most(&format!("{name}: a difference where there is none"), wrong, experiments, 5.0);
        let mut found: Vec<u32> = (0..experiments).filter_map(|seed| shown(seed, effect)).collect();
        found.sort_unstable();
        let median = found.get(found.len() / 2).map_or_else(|| "-".to_owned(), u32::to_string);
        let percent = percent(found.len(), experiments);
        println!("  one of {effect}: found in {percent:.1} % within {TASKS} tasks, half of these within {median}");
    }
    let wanted = [0.9, 0.1];
    let contradicted = |seed: u64, share: f64| {
        let (mut dice, mut shares) = (fastrand::Rng::with_seed(seed), Shares::new(&wanted));
        (0..TASKS).for_each(|_| shares.take(usize::from(dice.f64() < share)));
        shares.p_value() < 0.01
    };
    let wrong = (0..experiments).filter(|seed| contradicted(*seed, 0.1)).count();
    fine &= at_most("shares of 90 % and 10 %: wrong where they are right", wrong, experiments, 1.0);
    let found = (0..experiments).filter(|seed| contradicted(*seed, 0.07)).count();
    println!("  93 % and 7 %: found in {:.1} % within {TASKS} tasks", percent(found, experiments));
    fine
}

fn at_most(what: &str, wrong: usize, all: u64, bound: f64) -> bool {
    let percent = percent(wrong, all);
    show(
        what,
        &format!("{percent:.2} % of {all} experiments read after every task"),
        &format!("{bound} %"),
        percent <= bound,
    )
}

#[allow(clippy::cast_precision_loss, reason = "small counts")]
fn percent(part: usize, all: u64) -> f64 {
    part as f64 / all as f64 * 100.0
}
