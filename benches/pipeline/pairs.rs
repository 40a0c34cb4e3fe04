//! This version's engine against another's, by turns in one run: what the machine does meanwhile happens to both.

use super::corner::Corner;
use super::workload::Workload;
use super::{Bench, FROZEN, Stretch};
use std::path::Path;

/// How sure the interval must be that the true median lies in it.
const SURE: f64 = 0.93;

/// Prints how this version compares; false if it is slower and chance does not explain it.
pub(crate) fn run(bench: &Bench, other: &Path, pairs: usize, tasks: usize) -> bool {
    println!("pairs: {} against {}, {tasks} tasks each", env!("CARGO_BIN_EXE_baton"), other.display());
    let mut new = Corner::new(Workload::Contract, None, FROZEN);
    let mut old = Corner::new(Workload::Contract, Some(other), FROZEN);
    for corner in [&mut new, &mut old] {
        bench.taking_turns(corner, tasks / 5);
    }
    let (mut speed, mut cpu) = (Vec::new(), Vec::new());
    for number in 0..pairs {
        let both = |bench: &Bench, first: &mut Corner, second: &mut Corner| {
            (bench.taking_turns(first, tasks), bench.taking_turns(second, tasks))
        };
        // Whoever comes second finds the broker as the first left it.
        let (now, before) = if number % 2 == 0 {
            both(bench, &mut new, &mut old)
        } else {
            let (before, now) = both(bench, &mut old, &mut new);
            (now, before)
        };
        let micros = |stretch: &Stretch| stretch.worker * 1e6 / stretch.inputs();
        println!(
            "  pair {}: {:.0} against {:.0} inputs/s; worker CPU {:.1} against {:.1} µs per input",
            number + 1,
            now.inputs_per_second(),
            before.inputs_per_second(),
            micros(&now),
            micros(&before)
        );
        speed.push((now.inputs_per_second() / before.inputs_per_second() - 1.0) * 100.0);
        cpu.push((micros(&now) / micros(&before) - 1.0) * 100.0);
    }
    let slower = Interval::of(speed);
    slower.print("inputs/s");
    Interval::of(cpu).print("worker CPU per input");
    let worse = slower.high < 0.0;
    println!("{}", if worse { "WORSE: the interval excludes zero" } else { "not worse" });
    !worse
}

/// The median of some differences, and between which of them the true one lies.
#[derive(Debug)]
struct Interval {
    median: f64,
    low: f64,
    high: f64,
    sure: f64,
}

impl Interval {
    /// By rank, with nothing assumed of how the differences are spread: the median lies below a difference as often as
    /// above it, so how many lie on one side is a coin's count.
    fn of(mut all: Vec<f64>) -> Self {
        all.sort_by(f64::total_cmp);
        let many = all.len();
        let (mut ways, mut below, mut rank, mut sure) = (1.0, 0.0, 0, 0.0);
        for left_out in 0..many.div_ceil(2) {
            below += ways / 2_f64.powi(i32::try_from(many).unwrap_or(i32::MAX));
            ways *= (many - left_out) as f64 / (left_out + 1) as f64;
            let covers = 1.0 - 2.0 * below;
            if left_out == 0 || covers >= SURE {
                (rank, sure) = (left_out, covers);
            }
        }
        let median = (all[(many - 1) / 2] + all[many / 2]) / 2.0;
        Self { median, low: all[rank], high: all[many - 1 - rank], sure }
    }

    fn print(&self, what: &str) {
        let Self { median, low, high, sure } = self;
        println!("{what}: {median:+.1} % [{low:+.1}, {high:+.1}], {:.0} % sure", sure * 100.0);
    }
}
