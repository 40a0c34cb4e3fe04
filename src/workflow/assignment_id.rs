//! Ids of assignments and of everything else that is derived from a task's acceptance.

use super::state::Position;
use std::fmt;

/// `<taskId>~<partition>-<offset of acceptance>~<stepId>~<attempt>`.
///
/// Derived, never random: a redo gives the same id, and a task id that is used again after its
/// receipt is gone gets new ones, because it was accepted at another offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssignmentId<'a> {
    pub task_id: &'a str,
    pub accepted: Position,
    pub step_id: &'a str,
    pub attempt: u32,
}

impl<'a> AssignmentId<'a> {
    /// Reads an id back; none if it was not written by us.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.rsplitn(4, '~');
        let attempt = parts.next()?.parse().ok()?;
        let step_id = parts.next()?;
        let (partition, offset) = parts.next()?.split_once('-')?;
        let accepted = Position { partition: partition.parse().ok()?, offset: offset.parse().ok()? };
        let task_id = parts.next()?;
        let id = Self { task_id, accepted, step_id, attempt };
        // Only the one spelling that we write: `+1` or `01` would be a second name of the same assignment.
        (id.to_string() == text).then_some(id)
    }

    /// The id without its attempt: the same over attempts and agents, for side effects.
    #[must_use]
    pub fn effect_key(&self) -> String {
        format!("{}~{}~{}", self.task_id, self.accepted, self.step_id)
    }
}

impl fmt::Display for AssignmentId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}~{}~{}~{}", self.task_id, self.accepted, self.step_id, self.attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        let id = AssignmentId {
            task_id: "a-b.c:d",
            accepted: Position { partition: 3, offset: 42 },
            step_id: "1",
            attempt: 2,
        };
        assert_eq!(id.to_string(), "a-b.c:d~3-42~1~2");
        assert_eq!(AssignmentId::parse("a-b.c:d~3-42~1~2"), Some(id));
        assert_eq!(id.effect_key(), "a-b.c:d~3-42~1");
    }

    #[test]
    fn what_we_did_not_write_is_no_id() {
        for text in ["", "t", "t~3-42~1", "t~3-42~1~x", "t~3-42~1~-1", "t~342~1~1", "t~3-42~1~01", "t~3-+42~1~1"] {
            assert_eq!(AssignmentId::parse(text), None, "{text}");
        }
    }
}
