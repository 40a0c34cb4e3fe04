//! The experiments in force, as `experiments` says.

use crate::selection::Experiment;
use std::sync::{Arc, PoisonError, RwLock};

/// Kept by the table's reader; read by every worker of the process.
#[derive(Debug, Default)]
pub struct SharedExperiments(RwLock<Arc<[Experiment]>>);

impl SharedExperiments {
    /// Puts others in place.
    pub fn set(&self, experiments: Arc<[Experiment]>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = experiments;
    }

    #[must_use]
    pub fn get(&self) -> Arc<[Experiment]> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}
