//! How often an anomaly is seen where there is none, and how soon where there is one.

use crate::chance::{LATENCIES, normal};
use crate::show;
use baton::contract::OutcomeClass;
use baton::insights::{Anomalies, Change, Level, Observation, Rate};

/// Outcomes of an agent before a shift.
const BEFORE: i64 = 300;
/// After this many a shift counts as missed.
const PATIENCE: i64 = 500;

pub(crate) fn run(quick: bool) -> bool {
    let seeds = if quick { 20 } else { 1_000 };
    let mut fine = steady(seeds);
    for (name, deviation, law) in LATENCIES {
        let shifted = |dice: &fastrand::Rng, shift: f64| -> Watch {
            let (mut level, mut dice) = (Level::default(), dice.clone());
            Box::new(move |at| {
                let off = if at < BEFORE { 0.0 } else { shift };
                is_raised(level.take(200.0 * (law(&mut dice) + off).exp(), 0.0, at))
            })
        };
        fine &= few(&format!("latency, {name}"), alarms(seeds, |dice| shifted(dice, 0.0)));
        fine &= soon(&format!("latency, {name}"), &delays(seeds, |dice| shifted(dice, 3.0 * deviation)), 99);
    }
    // Three failures in 30 outcomes are too few to tell 31 % from 1 % without many a false alarm.
    for (rate, of_100) in [(0.01_f64, 50), (0.05, 99), (0.2, 99)] {
        let worse = (rate + 3.0 * (rate * (1.0 - rate)).sqrt()).min(1.0);
        let failing = |dice: &fastrand::Rng, then: f64| -> Watch {
            let (mut failures, mut dice) = (Rate::default(), dice.clone());
            Box::new(move |at| is_raised(failures.take(dice.f64() < if at < BEFORE { rate } else { then }, at)))
        };
        fine &= few(&format!("failures, {:.0} %", rate * 100.0), alarms(seeds, |dice| failing(dice, rate)));
        let what = format!("failures, {:.0} % to {:.0} %", rate * 100.0, worse * 100.0);
        fine &= soon(&what, &delays(seeds, |dice| failing(dice, worse)), of_100);
    }
    fine
}

/// What an agent does at a time, and whether an anomaly is seen then.
type Watch = Box<dyn FnMut(i64) -> bool>;

fn is_raised(change: Option<Change>) -> bool {
    matches!(change, Some(Change::Raised(_)))
}

/// All metrics of an agent at once, by outcome.
fn steady(seeds: u64) -> bool {
    let alarms = alarms(seeds, |dice| {
        let (mut agent, mut dice) = (Anomalies::default(), dice.clone());
        Box::new(move |at| {
            #[allow(clippy::cast_possible_truncation, reason = "a simulation's numbers")]
            let mut drawn = |middle: f64| (middle * (0.5 * normal(&mut dice)).exp()) as i64;
            let (latency_ms, output_bytes, cost_micros) = (drawn(800.0), drawn(2_000.0), drawn(3_000.0));
            let class = if dice.f64() < 0.95 { OutcomeClass::Succeeded } else { OutcomeClass::Transient };
            let (quality, capability, task_type, tokens) = (None, None, None, 0);
            let seen = Observation {
                class,
                latency_ms,
                tokens,
                cost_micros,
                output_bytes,
                quality,
                capability,
                task_type,
                prediction: None,
                at,
            };
            agent.take(&seen).iter().any(|notice| notice.raised)
        })
    });
    few("all metrics of an agent, log-normal, 5 % failures", alarms)
}

/// False alarms in 10,000 observations.
fn alarms(seeds: u64, agent: impl Fn(&fastrand::Rng) -> Watch) -> f64 {
    let of = |seed| {
        let mut watch = agent(&fastrand::Rng::with_seed(seed));
        (0..10_000).filter(|at| watch(*at)).count()
    };
    let alarms: usize = (0..seeds).map(of).sum();
    #[allow(clippy::cast_precision_loss, reason = "small counts")]
    let per_run = alarms as f64 / seeds as f64;
    per_run
}

/// Observations until a shift is seen, in order; of agents that raised nothing before it.
fn delays(seeds: u64, agent: impl Fn(&fastrand::Rng) -> Watch) -> Vec<i64> {
    let of = |seed| {
        let mut watch = agent(&fastrand::Rng::with_seed(1_000_000 + seed));
        let is_early = (0..BEFORE).any(&mut watch);
        let found = (BEFORE..BEFORE + PATIENCE).find(|at| watch(*at));
        (!is_early).then(|| found.map_or(PATIENCE, |at| at - BEFORE + 1))
    };
    let mut delays: Vec<i64> = (0..seeds).filter_map(of).collect();
    delays.sort_unstable();
    delays
}

fn few(what: &str, alarms: f64) -> bool {
    show(&format!("{what}: false alarms in 10,000"), &format!("{alarms:.3}"), "1", alarms <= 1.0)
}

/// So many of 100 are to be found within 30.
fn soon(what: &str, delays: &[i64], of_100: usize) -> bool {
    let place = |share: usize| delays[(delays.len() - 1) * share / 100];
    let (median, most, longest) = (place(50), place(99), place(100));
    let figure = format!("median {median}, 99 of 100 within {most}, longest {longest} observations");
    let what = format!("{what}: a shift of 3 deviations is found");
    show(&what, &figure, &format!("{of_100} of 100 within 30"), place(of_100) <= 30)
}
