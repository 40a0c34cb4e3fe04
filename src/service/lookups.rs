//! Looks schemas and contracts up beside the loop, until the registry answers.

use crate::contract::{ContractNames, Registry, SchemaCache};
use crate::worker::{Lookups, Need};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Names in use are asked for again when their answer is a minute old; looked at this often.
const REFRESH: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(super) struct RegistryLookups {
    registry: Registry,
    names: Arc<ContractNames>,
    schemas: Arc<SchemaCache>,
    wake: Arc<dyn Fn() + Send + Sync>,
    runtime: Handle,
    under_way: Arc<Mutex<BTreeSet<Need>>>,
}

/// Starts looking up, and asking again for the names in use.
pub(super) fn start(
    registry: Registry,
    names: Arc<ContractNames>,
    schemas: Arc<SchemaCache>,
    wake: Arc<dyn Fn() + Send + Sync>,
) -> RegistryLookups {
    let lookups =
        RegistryLookups { registry, names, schemas, wake, runtime: Handle::current(), under_way: Arc::default() };
    let refresher = lookups.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(REFRESH).await;
            for name in refresher.names.due(Instant::now()) {
                // A registry that is away changes nothing: the last answer counts.
                if let Ok(contract) = refresher.registry.contract(&name).await {
                    refresher.names.put(&name, contract, Instant::now());
                }
            }
        }
    });
    lookups
}

impl RegistryLookups {
    async fn answer(&self, need: &Need) -> Result<(), String> {
        match need {
            Need::Schema(id) => {
                self.registry.learn(*id, &self.schemas).await.map_err(|error| error.to_string())?;
            }
            Need::Contract(name) => {
                let contract = self.registry.contract(name).await.map_err(|error| error.to_string())?;
                self.names.put(name, contract, Instant::now());
            }
        }
        Ok(())
    }
}

impl Lookups for RegistryLookups {
    fn want(&self, need: Need) {
        if !self.under_way.lock().unwrap_or_else(PoisonError::into_inner).insert(need.clone()) {
            return;
        }
        let this = self.clone();
        self.runtime.spawn(async move {
            let mut wait = FIRST_WAIT;
            while let Err(reason) = this.answer(&need).await {
                tracing::warn!(?need, reason, again_in = ?wait, "the registry does not answer");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            this.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&need);
            (this.wake)();
        });
    }
}
