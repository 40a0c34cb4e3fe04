//! A million timers, through the runner as the worker uses it.

use super::measure::{on_cpu, resident};
use super::show;
use baton::runner::EffectRunner;
use baton::worker::Runner as _;
use baton::workflow::{Effect, Timer, TimerKind, Timestamp};
use std::sync::Arc;

/// What a worker takes back at once, as `worker.batch` has it.
const BATCH: usize = 2_000;
/// Seconds for each.
const MOST: f64 = 1.0;

/// Adding, cancelling and firing, one timer per task: more tasks for as many timers than any engine would have.
pub(crate) fn run(quick: bool) -> bool {
    let many = if quick { 50_000 } else { 1_000_000 };
    let tasks: Vec<Arc<str>> = (0..many).map(|number| format!("lead-2026-{number:09}").into()).collect();
    let step: Arc<str> = "collect".into();
    let owed = || -> Vec<Vec<Effect>> { (0..many).map(|number| vec![timer(number, &step)]).collect() };
    let mut runner = EffectRunner::new(None, Arc::new(|| {}));
    // Once unmeasured: afterwards the pages are there, as in a worker that has run for a while.
    let before = resident();
    add(&mut runner, &tasks, owed());
    let bytes = before.zip(resident()).map_or(0, |(before, after)| after.saturating_sub(before) / many);
    cancel(&mut runner, &tasks);

    let (effects, start) = (owed(), on_cpu());
    add(&mut runner, &tasks, effects);
    let adding = seconds_since(start);
    let start = on_cpu();
    cancel(&mut runner, &tasks);
    let cancelling = seconds_since(start);
    assert_eq!(runner.next_due(), None, "all are cancelled");

    add(&mut runner, &tasks, owed());
    let (start, mut fired, mut returned) = (on_cpu(), 0, Vec::with_capacity(BATCH));
    while runner.next_due().is_some() {
        returned.clear();
        runner.returned(Timestamp(i64::MAX), BATCH, &mut returned);
        fired += returned.len();
    }
    let firing = seconds_since(start);
    assert_eq!(fired, many, "each fires once");
    println!("timers: a pending one takes {bytes} B, what knows of it for its task included");
    let mut fine = true;
    for (what, took) in [("adding", adding), ("cancelling", cancelling), ("firing", firing)] {
        fine &= show(&format!("timers: {what} {many}"), &format!("{took:.2} s"), "1 s", took <= MOST);
    }
    fine
}

fn seconds_since(start: std::time::Duration) -> f64 {
    on_cpu().saturating_sub(start).as_secs_f64()
}

/// Due within the next hour, in no order.
fn timer(number: usize, step: &Arc<str>) -> Effect {
    let millis = (number as i64).wrapping_mul(2_654_435_761).rem_euclid(3_600_000);
    let kind = TimerKind::AcceptBy { step_id: Arc::clone(step), attempt: 1 };
    Effect::Timer(Timer { due: Timestamp(1_700_000_000_000 + millis), kind })
}

fn add(runner: &mut EffectRunner, tasks: &[Arc<str>], owed: Vec<Vec<Effect>>) {
    for (task, effects) in tasks.iter().zip(owed) {
        runner.owe(0, task, effects, None);
    }
}

fn cancel(runner: &mut EffectRunner, tasks: &[Arc<str>]) {
    for task in tasks {
        runner.owe(0, task, Vec::new(), None);
    }
}
