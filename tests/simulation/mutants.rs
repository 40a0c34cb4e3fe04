//! The test of the test: twelve faults in the engine's own path, each of which must be found.

use super::seeds::run_all;
use baton::worker::mutant::Mutant;

/// Seeds in which a fault must show.
const SEEDS: u64 = 400;

#[test]
fn every_mutant_is_found() {
    for mutant in Mutant::ALL {
        let (coverage, found) = run_all(0..SEEDS, Some(mutant));
        match found {
            Some((seed, why)) => {
                let why: String = why.lines().next().unwrap_or_default().chars().take(120).collect();
                eprintln!("{mutant:?} is found by seed {seed} ({} run): {why}", coverage.seeds);
            }
            None => panic!("{mutant:?} is not found by {SEEDS} seeds: the simulation is blind to it"),
        }
    }
}
