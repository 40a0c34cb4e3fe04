//! Watches the guardrails of all experiments that run, and stops a variant that breaks one.
//!
//! One process of many does it, so that the topics are not read by all of them; should two believe it is theirs, the ledger
//! lets one stop be written, and the other finds it done.

use super::change::stop_variant;
use super::ledger::{Ledger, LedgerFault};
use super::reading::{Reading, ReadingFault};
use crate::contract::{Codec, Experiment, ExperimentState, Registry};
use crate::kafka::Connection;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(5);
/// One wait; also how late a stop is noticed.
const WAIT: Duration = Duration::from_millis(100);
/// One turn of an experiment, while it has much to read.
const TURN: Duration = Duration::from_millis(500);
/// By whom a variant is stopped.
const ACTOR: &str = "insights";

/// All experiments as their topic has them now, by name.
pub type KnownNow = Box<dyn Fn() -> Arc<BTreeMap<String, Experiment>> + Send>;

/// The watcher, not started yet.
pub struct Guard {
    pub kafka: Connection,
    pub codec: Codec,
    pub registry: Registry,
    pub runtime: Handle,
    pub known: KnownNow,
    /// Whether it is this process's turn.
    pub leads: Box<dyn Fn() -> bool + Send>,
    /// In milliseconds since the epoch.
    pub now: Box<dyn Fn() -> i64 + Send>,
    pub stop: Box<dyn Fn() -> bool + Send>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

/// Why a look came to nothing; the next one may do better.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Reading(#[from] ReadingFault),
    #[error(transparent)]
    Ledger(#[from] LedgerFault),
}

impl Guard {
    /// Watches until told to stop.
    pub fn run(self) {
        let mut readings: BTreeMap<String, Reading> = BTreeMap::new();
        while !(self.stop)() {
            let known = (self.known)();
            let leads = (self.leads)();
            readings.retain(|name, _| leads && known.get(name).is_some_and(is_guarded));
            let mut is_behind = false;
            for (name, experiment) in known.iter().filter(|(_, one)| leads && is_guarded(one)) {
                match self.look(&mut readings, experiment) {
                    Ok(caught_up) => is_behind |= !caught_up,
                    Err(fault) => {
                        tracing::warn!(experiment = name, %fault, "its guardrails are not watched for now");
                        readings.remove(name);
                    }
                }
            }
            let mut left = if is_behind { Duration::ZERO } else { LOOK };
            while !left.is_zero() && !(self.stop)() {
                std::thread::sleep(WAIT);
                left = left.saturating_sub(WAIT);
            }
        }
    }

    /// Reads on and judges what was read; whether that was all there is.
    fn look(&self, readings: &mut BTreeMap<String, Reading>, experiment: &Experiment) -> Result<bool, Fault> {
        if !readings.contains_key(&experiment.name) {
            let opened = Reading::open(&self.kafka, &self.codec, &self.registry, &self.runtime, experiment)?;
            readings.insert(experiment.name.clone(), opened);
        }
        let Some(reading) = readings.get_mut(&experiment.name) else { return Ok(true) };
        if !reading.go_on(TURN)? {
            return Ok(false);
        }
        if let Some((variant, why)) = reading.report(experiment).broken() {
            self.stop_variant(experiment, variant, why)?;
        }
        Ok(true)
    }

    fn stop_variant(&self, experiment: &Experiment, variant: &str, why: &str) -> Result<(), Fault> {
        let name = &experiment.name;
        let ledger = Ledger::open(&self.kafka, &self.codec, &self.registry, &self.runtime)?;
        // As it is now: somebody may have said something meanwhile.
        let Some(current) = ledger.known().get(name) else { return Ok(()) };
        match stop_variant(current, variant, ACTOR, why, (self.now)()) {
            Ok(stopped) => {
                ledger.write(&stopped)?;
                let state = stopped.state.symbol();
                tracing::warn!(experiment = name, variant, why, state, "a guardrail stopped a variant");
            }
            Err(refused) => tracing::debug!(experiment = name, variant, %refused, "there is nothing to stop any more"),
        }
        Ok(())
    }
}

/// Whether there is a guardrail to watch.
fn is_guarded(one: &Experiment) -> bool {
    one.state == ExperimentState::Running && !one.guardrails.is_empty()
}
