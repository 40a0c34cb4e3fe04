//! This worker's name: given, or the first that is free on this host.

use crate::config::Kafka;
use anyhow::{Context, bail};
use std::fs::{File, TryLockError};
use std::path::PathBuf;

/// More workers than this on one host without a name of their own are a mistake.
const MOST: usize = 64;

/// A slot, held as long as this lives.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) name: String,
    /// Locked; the system lets go of it when the process ends, however it ends.
    _lock: Option<File>,
}

/// The configured slot, or `<host>-<n>` with the first n whose lock file nobody on this host holds.
pub(super) fn take(kafka: &Kafka) -> anyhow::Result<Slot> {
    if let Some(name) = &kafka.slot {
        return Ok(Slot { name: name.clone(), _lock: None });
    }
    let host = host();
    for n in 1..=MOST {
        let name = format!("{host}-{n}");
        let path = std::env::temp_dir().join(format!("{}-{name}.slot", kafka.prefix));
        let file =
            File::options().create(true).truncate(false).write(true).open(&path).with_context(|| {
                format!("the lock file of this worker's slot, {}; or set kafka.slot", path.display())
            })?;
        match file.try_lock() {
            Ok(()) => return Ok(Slot { name, _lock: Some(file) }),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("locking {}; or set kafka.slot", path.display()));
            }
        }
    }
    bail!("{MOST} workers run on this host already: give each a kafka.slot of its own");
}

fn host() -> String {
    let read = |path: &str| std::fs::read_to_string(PathBuf::from(path)).ok();
    let name =
        read("/proc/sys/kernel/hostname").or_else(|| read("/etc/hostname")).or_else(|| std::env::var("HOSTNAME").ok());
    let kept: String =
        name.unwrap_or_default().trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    if kept.is_empty() { "worker".to_owned() } else { kept }
}
