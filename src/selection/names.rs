//! Agents' names and the topics made from them.

use super::version::Version;

/// Characters of an agent's name at most.
pub const MAX_NAME: usize = 64;

/// Names that are answers, or that models say when they mean one.
const RESERVED: [&str; 5] = ["NONE", "DONE", "UNKNOWN", "END", "FINISH"];

/// A name as it is looked up: trimmed and case-folded.
#[must_use]
pub fn fold(name: &str) -> String {
    name.trim().to_lowercase()
}

/// Whether two names (or labels) mean the same: trimmed, case-folded, whole.
#[must_use]
pub fn same_name(one: &str, other: &str) -> bool {
    let (one, other) = (one.trim(), other.trim());
    if one.is_ascii() && other.is_ascii() {
        one.eq_ignore_ascii_case(other)
    } else {
        one.to_lowercase() == other.to_lowercase()
    }
}

/// The part of an assignment topic's name after the prefix; also the key of the agent's definition.
#[must_use]
pub fn topic_name(agent_name: &str, major: u64) -> String {
    let mut topic: String = agent_name
        .trim()
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9' | '.' | '_' | '-') => c,
            _ => '-',
        })
        .collect();
    if major >= 2 {
        topic.push_str(&format!(".v{major}"));
    }
    topic
}

/// The same of an agent and its version as written; what is no version counts as the first.
#[must_use]
pub fn topic_name_of(agent_name: &str, version: &str) -> String {
    topic_name(agent_name, Version::parse(version).map_or(1, |version| version.major))
}

/// What is wrong with an agent's name, and what to do about it.
pub(super) fn fault_in(name: &str) -> Option<String> {
    let trimmed = name.trim();
    let length = trimmed.chars().count();
    if length == 0 {
        return Some(format!("agentName is empty: give it 1 to {MAX_NAME} characters"));
    }
    let shown = shown(trimmed);
    if length > MAX_NAME {
        return Some(format!("agentName `{shown}` has {length} characters: use at most {MAX_NAME}"));
    }
    if let Some(bad) = trimmed.chars().find(|c| !is_allowed(*c)) {
        return Some(format!("agentName `{shown}` holds {bad:?}: use A-Z a-z 0-9 space . _ - only"));
    }
    if RESERVED.iter().any(|word| trimmed.eq_ignore_ascii_case(word)) {
        return Some(format!("agentName `{shown}` is reserved for answers: choose another name"));
    }
    let folded = trimmed.to_ascii_lowercase();
    if folded.ends_with(".dlq") {
        return Some(format!("agentName `{shown}` ends in `.dlq`, which marks dead letters: choose another ending"));
    }
    let after_v = folded.rsplit_once(".v").map(|(_, digits)| digits);
    if after_v.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())) {
        return Some(format!(
            "agentName `{shown}` ends like a version: leave it out, topics get `.v<major>` from `version`"
        ));
    }
    None
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, ' ' | '.' | '_' | '-')
}

/// A value as a fault shows it: on one line, the beginning only.
pub(super) fn shown(value: &str) -> String {
    const SHOWN: usize = 60;
    let mut text: String = value.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if value.chars().nth(SHOWN).is_some() {
        text.push('…');
    }
    text
}
