//! What a command knows of itself: the moment, ids, who runs it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The wall clock, in milliseconds since the epoch.
pub(super) fn now_millis() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The letter says of what; then the time, so that ids sort, and 64 random bits.
pub(super) fn new_id(of: char) -> String {
    // The standard library's only source of chance; each state has keys of its own.
    let chance = RandomState::new().build_hasher().finish();
    format!("{of}-{:x}-{chance:016x}", now_millis())
}

/// Who runs this process, as far as it says so.
pub(super) fn user() -> String {
    let named =
        ["USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok()).find(|name| !name.is_empty());
    named.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}
