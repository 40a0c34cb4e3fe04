//! The rules for ids. Whatever passes here is safe as a part of a key or of an id made of several. Names of agents are
//! `selection`'s.

use super::refusal::quoted;

/// A name or an id that is not taken, in words that name the value and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameFault(String);

const MAX_TASK_ID: usize = 128;
const MAX_COMMAND_ID: usize = 128;
const MAX_STEP_ID: usize = 64;

/// # Errors
///
/// It is not 1 to 128 of `A–Z a–z 0–9 . _ : -`.
pub fn check_task_id(id: &str) -> Result<(), NameFault> {
    check(id, MAX_TASK_ID, is_of_ids, "a task id", "A-Z a-z 0-9 . _ : -")
}

/// # Errors
///
/// It is not 1 to 128 of `A–Z a–z 0–9 . _ : -`.
pub fn check_command_id(id: &str) -> Result<(), NameFault> {
    check(id, MAX_COMMAND_ID, is_of_ids, "a command id", "A-Z a-z 0-9 . _ : -")
}

/// # Errors
///
/// It is not 1 to 64 of `A–Z a–z 0–9 . _ -`.
pub fn check_step_id(id: &str) -> Result<(), NameFault> {
    let taken = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    check(id, MAX_STEP_ID, taken, "a step id", "A-Z a-z 0-9 . _ -")
}

fn is_of_ids(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._:-".contains(&byte)
}

fn check(name: &str, max: usize, taken: impl Fn(u8) -> bool, what: &str, alphabet: &str) -> Result<(), NameFault> {
    if !name.is_empty() && name.len() <= max && name.bytes().all(taken) {
        return Ok(());
    }
    Err(NameFault(format!("{} is not {what}; use 1 to {max} of {alphabet}", quoted(name))))
}

/// `<prefix>.assignments.<topic name>`.
#[must_use]
pub fn assignment_topic(prefix: &str, topic_name: &str) -> String {
    format!("{prefix}.assignments.{topic_name}")
}

/// The id of a task that came without one and without a key: where its record arrived first. At most 128 bytes,
/// of a long topic the end.
pub(super) fn task_id_of(topic: &str, partition: i32, offset: i64) -> String {
    let id = format!("{topic}-{partition}-{offset}");
    id[id.len().saturating_sub(MAX_TASK_ID)..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_ids_are_of_their_alphabet_and_length() {
        for id in ["a", "Order:2024-01_x.y", &"x".repeat(128)] {
            assert_eq!(check_task_id(id), Ok(()), "{id}");
        }
        for id in ["", "a b", "a/b", "ü", "a~1", &"x".repeat(129)] {
            assert!(check_task_id(id).is_err(), "{id}");
        }
    }

    #[test]
    fn step_ids_have_no_colon() {
        assert!(check_step_id("draft-1.b_2").is_ok() && check_step_id("a:b").is_err() && check_step_id("").is_err());
    }

    #[test]
    fn a_made_id_is_always_a_task_id() {
        assert_eq!(task_id_of("baton.tasks", 3, 42), "baton.tasks-3-42");
        assert_eq!(check_task_id(&task_id_of(&"t".repeat(249), i32::MAX, i64::MAX)), Ok(()));
    }
}
