//! Many seeds, and what they met with.

use super::Violation;
use super::coverage::Coverage;
use super::world::World;
use baton::worker::mutant::{self, Mutant};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Seeds of one run of the tests.
const SEEDS: u64 = 2_000;
/// Processes are frozen inside of one another's turns, each on the same stack.
const STACK: usize = 256 << 20;
/// The threads they run on, which panic in silence: what they panic with is told with the seed.
const THREAD: &str = "seeds";

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs one seed in this thread.
pub(crate) fn run(seed: u64, loud: bool, into: &mut Coverage) -> Result<(), String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if thread::current().name() == Some(THREAD) {
                PANIC.set(Some(info.to_string()));
            } else {
                before(info);
            }
        }));
    });
    let world = World::new(seed, loud);
    let ended = catch_unwind(AssertUnwindSafe(|| world.run()));
    into.add(&world.seen.borrow());
    into.steps += world.steps();
    into.transactions += world.model.borrow().transactions;
    into.facts += world.model.borrow().facts;
    world.processes.borrow_mut().clear();
    ended.map_err(|payload| match payload.downcast::<Violation>() {
        Ok(violation) => violation.0,
        Err(_) => PANIC.take().unwrap_or_else(|| "it panicked".to_owned()),
    })
}

/// Runs seeds on all cores until one fails: what they met with, and which failed with what.
pub(crate) fn run_all(seeds: std::ops::Range<u64>, mutant: Option<Mutant>) -> (Coverage, Option<(u64, String)>) {
    let next = AtomicU64::new(seeds.start);
    let end = AtomicU64::new(seeds.end);
    let found = Mutex::new((Coverage::default(), None::<(u64, String)>));
    let work = || {
        mutant::set(mutant);
        let mut coverage = Coverage::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end.load(Ordering::Relaxed) {
                break;
            }
            if let Err(why) = run(seed, false, &mut coverage) {
                end.store(0, Ordering::Relaxed);
                let failed = &mut found.lock().unwrap_or_else(PoisonError::into_inner).1;
                if failed.as_ref().is_none_or(|(before, _)| seed < *before) {
                    *failed = Some((seed, why));
                }
            }
        }
        found.lock().unwrap_or_else(PoisonError::into_inner).0.merge(coverage);
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            let builder = thread::Builder::new().name(THREAD.to_owned()).stack_size(STACK);
            builder.spawn_scoped(scope, work).expect("a thread starts");
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// How to see a seed's story.
pub(crate) fn command(seed: u64) -> String {
    format!("BATON_SIM_SEED={seed} cargo test --test simulation nothing_is_lost -- --nocapture")
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
fn nothing_is_lost_or_doubled_whatever_goes_wrong() {
    if let Some(seed) = number("BATON_SIM_SEED") {
        return replay(seed);
    }
    let seeds = number("BATON_SIM_SEEDS").unwrap_or(SEEDS);
    let (coverage, failed) = run_all(0..seeds, None);
    if let Some((seed, why)) = failed {
        panic!("seed {seed}: {why}\nreplay it: {}", command(seed));
    }
    eprintln!(
        "{} seeds: {} steps, {} transactions, {} facts",
        coverage.seeds, coverage.steps, coverage.transactions, coverage.facts
    );
    let rare = coverage.rare();
    assert!(seeds < 1_000 || rare.is_empty(), "in less than 1 % of {seeds} seeds: {rare:?}");
}

#[test]
fn the_same_seeds_are_the_same_runs() {
    let figures = [0, 1].map(|_| run_all(0..20, None).0).map(|one| (one.steps, one.transactions, one.facts));
    assert_eq!(figures[0], figures[1]);
}

/// One seed, and its story as it goes.
fn replay(seed: u64) {
    let thread = thread::Builder::new().name(THREAD.to_owned()).stack_size(STACK);
    let run = thread.spawn(move || run(seed, true, &mut Coverage::default())).expect("a thread starts");
    if let Err(why) = run.join().expect("it catches what it throws") {
        panic!("seed {seed}: {why}");
    }
}
