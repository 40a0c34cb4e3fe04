//! Task ids out of whatever others call their things. Always the same for the same, and never the same for two.

use crate::contract::{Refusal, check_task_id};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// What a task's id may have at most.
const LONGEST: usize = 128;
/// Hexadecimal digits of the hash that tells apart what would look alike.
const TELLS_APART: usize = 16;

/// The text itself where it is a task id; else its letters and digits, the rest as dashes, and a hash of it all.
///
/// # Errors
/// It is empty.
pub(super) fn task_id(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() {
        return Err("is empty");
    }
    if check_task_id(text).is_ok() {
        return Ok(text.to_owned());
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._:-".contains(c) { c } else { '-' };
    let mut id: String = text.chars().map(plain).take(LONGEST - 1 - TELLS_APART).collect();
    id.push('.');
    id.push_str(&hash(text.as_bytes())[..TELLS_APART]);
    Ok(id)
}

/// The id of what has none of its own: where it lies. Of a long name the end.
pub(super) fn of_place(name: &str, partition: i32, offset: i64) -> String {
    let id = format!("{name}-{partition}-{offset}");
    id[id.len().saturating_sub(LONGEST)..].to_owned()
}

/// SHA-256, the first 16 bytes in hexadecimal.
pub(super) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(16).fold(String::with_capacity(32), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

/// A refusal for an id that cannot be made.
pub(super) fn refusal(detail: String) -> Refusal {
    Refusal::new(crate::contract::Reason::Id, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_one_stays_as_it_is() {
        assert_eq!(task_id("Order:17_x.y-z").as_deref(), Ok("Order:17_x.y-z"));
    }

    #[test]
    fn any_other_becomes_one_that_no_other_becomes() {
        let one = task_id("ada@example.com").unwrap();
        assert!(one.starts_with("ada-example.com."), "{one}");
        assert_ne!(one, task_id("ada#example.com").unwrap());
        assert_eq!(one, task_id("ada@example.com").unwrap());
        for text in ["ü", "a b", &"x".repeat(4_000), "日本語"] {
            check_task_id(&task_id(text).unwrap()).unwrap();
        }
        assert!(task_id(" ").is_err() && task_id("").is_err());
    }

    #[test]
    fn a_place_is_always_an_id() {
        assert_eq!(of_place("crm.leads", 3, 42), "crm.leads-3-42");
        check_task_id(&of_place(&"t".repeat(249), i32::MAX, i64::MAX)).unwrap();
    }
}
