//! The rules for ids and names, and the topics made of them. Whatever passes here is safe as a part of a key,
//! a topic's name or an id made of several.

use super::refusal::quoted;

/// A name or an id that is not taken, in words that name the value and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameFault(String);

const MAX_TASK_ID: usize = 128;
const MAX_STEP_ID: usize = 64;
const MAX_AGENT_NAME: usize = 64;
/// Answers a router may give besides an agent's name.
const RESERVED: [&str; 5] = ["NONE", "DONE", "UNKNOWN", "END", "FINISH"];

/// # Errors
///
/// It is not 1 to 128 of `A–Z a–z 0–9 . _ : -`.
pub fn check_task_id(id: &str) -> Result<(), NameFault> {
    let taken = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    check(id, MAX_TASK_ID, taken, "a task id", "A-Z a-z 0-9 . _ : -")
}

/// # Errors
///
/// It is not 1 to 64 of `A–Z a–z 0–9 . _ -`.
pub fn check_step_id(id: &str) -> Result<(), NameFault> {
    let taken = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    check(id, MAX_STEP_ID, taken, "a step id", "A-Z a-z 0-9 . _ -")
}

/// Checks an agent's name, trimmed.
///
/// # Errors
///
/// It is not 1 to 64 of `A–Z a–z 0–9 space . _ -`, or is reserved: what a router may answer, `.dlq` and
/// `.v<digits>` at the end, which other topics are called by.
pub fn check_agent_name(name: &str) -> Result<(), NameFault> {
    let name = name.trim();
    let taken = |byte: u8| byte.is_ascii_alphanumeric() || b" ._-".contains(&byte);
    check(name, MAX_AGENT_NAME, taken, "an agent's name", "A-Z a-z 0-9 space . _ -")?;
    if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
        return Err(NameFault(format!("{} is reserved for answers that name no agent; take another", quoted(name))));
    }
    let folded = name.to_ascii_lowercase();
    if folded.ends_with(".dlq") {
        return Err(NameFault(format!("{} ends as the topics of dead letters do; take another end", quoted(name))));
    }
    let versioned = folded.rsplit_once(".v").is_some_and(|(_, end)| is_number(end));
    if versioned {
        return Err(NameFault(format!("{} ends like a version; give it as the version", quoted(name))));
    }
    Ok(())
}

fn check(name: &str, max: usize, taken: impl Fn(u8) -> bool, what: &str, alphabet: &str) -> Result<(), NameFault> {
    if !name.is_empty() && name.len() <= max && name.bytes().all(taken) {
        return Ok(());
    }
    Err(NameFault(format!("{} is not {what}; use 1 to {max} of {alphabet}", quoted(name))))
}

/// What names of agents are compared by: trimmed, case folded; never a part of it.
#[must_use]
pub fn folded(name: &str) -> String {
    name.trim().to_ascii_lowercase()
}

/// Whether two spellings name one agent.
#[must_use]
pub fn same_agent(one: &str, other: &str) -> bool {
    one.trim().eq_ignore_ascii_case(other.trim())
}

/// The part of an agent's assignment topic after `<prefix>.assignments.`, and its key on `<prefix>.agents`.
///
/// # Errors
///
/// The name or the version is not taken.
pub fn topic_name(agent_name: &str, version: &str) -> Result<String, NameFault> {
    check_agent_name(agent_name)?;
    let major = major(version)?;
    let keep = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c.to_ascii_lowercase() } else { '-' };
    let mut topic: String = agent_name.trim().chars().map(keep).collect();
    if major >= 2 {
        topic.push_str(&format!(".v{major}"));
    }
    Ok(topic)
}

/// `<prefix>.assignments.<topic name>`.
#[must_use]
pub fn assignment_topic(prefix: &str, topic_name: &str) -> String {
    format!("{prefix}.assignments.{topic_name}")
}

/// The first number of `major[.minor[.patch]]`, whatever follows a `-` or `+`.
fn major(version: &str) -> Result<u32, NameFault> {
    let fault = || NameFault(format!("{} is not a version; write it like 1.0.0", quoted(version)));
    let numbers = version.trim().split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<_> = numbers.split('.').collect();
    if parts.len() > 3 || !parts.iter().all(|part| is_number(part)) {
        return Err(fault());
    }
    parts[0].parse().map_err(|_| fault())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
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
    fn what_a_router_may_answer_is_no_agents_name() {
        for name in ["NONE", "done", " Unknown ", "END", "finish"] {
            assert!(check_agent_name(name).is_err(), "{name}");
        }
        for name in ["Nonesuch", "end-to-end", "Lead Scorer"] {
            assert!(check_agent_name(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn names_that_end_like_another_topic_are_refused() {
        for name in ["a.dlq", "a.DLQ", "a.v2", "a.V17"] {
            assert!(check_agent_name(name).is_err(), "{name}");
        }
        for name in ["a.v", "a.vx2", "av2", "dlq"] {
            assert!(check_agent_name(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_topic_is_the_name_in_lower_case_and_the_major_version_from_two_on() {
        assert_eq!(topic_name(" Lead Scorer ", "1.0.0").unwrap(), "lead-scorer");
        assert_eq!(topic_name("Lead_Scorer.eu", "2.1.0-rc.1").unwrap(), "lead_scorer.eu.v2");
        assert_eq!(topic_name("a", "0.9").unwrap(), "a");
        assert_eq!(assignment_topic("baton", "a.v2"), "baton.assignments.a.v2");
    }

    #[test]
    fn a_version_that_is_none_is_refused() {
        for version in ["", "latest", "v1", "1.", "1.2.3.4", "99999999999"] {
            assert!(topic_name("a", version).is_err(), "{version}");
        }
    }

    #[test]
    fn agents_are_compared_trimmed_and_case_folded_but_never_by_part() {
        assert!(same_agent(" Banking", "banking ") && !same_agent("bank", "banking"));
        assert_eq!(folded(" Lead Scorer "), "lead scorer");
    }

    #[test]
    fn a_made_id_is_always_a_task_id() {
        assert_eq!(task_id_of("baton.tasks", 3, 42), "baton.tasks-3-42");
        assert_eq!(check_task_id(&task_id_of(&"t".repeat(249), i32::MAX, i64::MAX)), Ok(()));
    }
}
