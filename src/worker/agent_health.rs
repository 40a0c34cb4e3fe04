//! How the agents are, as `agent-health` says.

use crate::contract::AgentHealth;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// All agents' health by topic name.
pub type HealthTable = BTreeMap<String, Arc<AgentHealth>>;

/// The last record of each agent, as the table's reader keeps it; read by every worker of the process.
#[derive(Debug, Default)]
pub struct SharedAgentHealth {
    current: RwLock<Arc<HealthTable>>,
    version: AtomicU64,
}

impl SharedAgentHealth {
    /// Takes an agent's record; none = it is forgotten.
    pub fn take(&self, topic_name: &str, health: Option<AgentHealth>) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let table = Arc::make_mut(&mut current);
        match health {
            Some(health) => drop(table.insert(topic_name.to_owned(), Arc::new(health))),
            None => drop(table.remove(topic_name)),
        }
        self.version.fetch_add(1, Ordering::SeqCst);
    }

    #[must_use]
    pub fn get(&self) -> Arc<HealthTable> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Rises with each record.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }
}
