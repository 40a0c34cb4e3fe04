//! Why a record is a dead letter.

use std::fmt;

pub use crate::workflow::Reason;

/// A record that is not taken, and why, in words that name field, value and remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Refusal {
    pub reason: Reason,
    pub detail: String,
}

/// A detail is a header of the dead letter, so it stays small however much is wrong.
const DETAIL_BYTES: usize = 2048;

impl Refusal {
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        cut(&mut detail, DETAIL_BYTES);
        Self { reason, detail }
    }

    /// All faults of one record in one refusal.
    pub(super) fn of_faults(faults: &[Fault]) -> Self {
        let shown: Vec<_> = faults.iter().take(MAX_FAULTS).map(Fault::to_string).collect();
        Self::new(Reason::Invalid, shown.join("; "))
    }
}

/// Faults of one record that are named; the others can wait until these are mended.
pub(super) const MAX_FAULTS: usize = 20;

/// One thing wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) path: String,
    pub(super) problem: String,
}

impl Fault {
    pub(super) fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.problem) } else { write!(f, "{}: {}", self.path, self.problem) }
    }
}

/// A value as it is quoted in a detail: at most 80 bytes of it.
pub(super) fn quoted(value: &str) -> String {
    const QUOTED: usize = 80;
    let mut quoted = value.to_owned();
    cut(&mut quoted, QUOTED);
    format!("`{}`", quoted.escape_debug())
}

/// Shortens to at most `bytes` and an ellipsis, between characters.
pub(super) fn cut(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_stays_small_and_whole_characters() {
        let refusal = Refusal::new(Reason::Invalid, "é".repeat(5000));
        assert!(refusal.detail.len() <= DETAIL_BYTES + 3 && refusal.detail.ends_with("é…"));
    }

    #[test]
    fn control_characters_do_not_get_into_a_detail() {
        assert_eq!(quoted("a\u{1b}[2Jb\n"), "`a\\u{1b}[2Jb\\n`");
    }
}
