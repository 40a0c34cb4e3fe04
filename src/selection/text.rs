//! Texts as terms: words and the character 3- and 4-grams inside them.
//!
//! Words find what is said the same way, n-grams what is said nearly so (plurals, compounds, typing
//! errors, languages this has no word rules for). A term is a 64-bit key, never a string.

use super::definition::Definition;
use super::names::fold;
use std::collections::BTreeMap;

/// English words that say little about what is wanted; they count for [`STOP_WEIGHT`].
/// Dropping them altogether is worse: "how", "what" and "my" tell questions from orders.
pub(super) const STOP_WORDS: [&str; 87] = [
    "a", "about", "am", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do",
    "does", "for", "from", "get", "give", "had", "has", "have", "how", "i", "if", "in", "into", "is", "it", "its",
    "just", "let", "like", "ll", "m", "me", "much", "my", "need", "of", "on", "or", "our", "please", "s", "should",
    "so", "some", "t", "tell", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "to",
    "up", "us", "ve", "want", "was", "we", "were", "what", "when", "where", "which", "who", "why", "will", "with",
    "would", "you", "your", "d", "re", "don", "im", "whats",
];
/// Best of 0, 0.1, 0.2 and 0.4 on an intent data set.
pub(super) const STOP_WEIGHT: f32 = 0.4;

/// Characters of an objective, and of a last output, that are scored at most.
pub(super) const SCORED: usize = 2_000;

/// What kind of term a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    Gram,
}

/// Walks over the terms of a text: each word's own key, then the keys of its n-grams.
pub(super) fn terms(text: &str, mut each: impl FnMut(Kind, u64)) {
    let mut word: Vec<u32> = Vec::with_capacity(32);
    word.push(EDGE);
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            word.push(u32::from(c.to_ascii_lowercase()));
        } else if c.is_ascii() || !c.is_alphanumeric() {
            end_word(&mut word, &mut each);
        } else {
            word.extend(c.to_lowercase().map(u32::from));
        }
    }
    end_word(&mut word, &mut each);
}

/// Stands before and after each word, so that beginnings and endings are n-grams of their own.
const EDGE: u32 = ' ' as u32;

fn end_word(word: &mut Vec<u32>, each: &mut impl FnMut(Kind, u64)) {
    if word.len() == 1 {
        return;
    }
    each(Kind::Word, word_key(stem(&word[1..])));
    word.push(EDGE);
    for three in word.windows(3) {
        each(Kind::Gram, gram_key(three));
    }
    for four in word.windows(4) {
        each(Kind::Gram, gram_key(four));
    }
    word.truncate(1);
}

/// Takes common English endings off: the same on both sides, so a wrong stem does no harm but to merge two words.
fn stem(word: &[u32]) -> &[u32] {
    /// Letters that must stay, or short words lose their sense.
    const STAYS: usize = 3;
    let ends = |ending: &str| {
        word.len() >= ending.len() + STAYS
            && word.iter().rev().zip(ending.bytes().rev()).all(|(a, b)| *a == u32::from(b))
    };
    for ending in ["ing", "es", "ed", "s"] {
        if ends(ending) && !ends("ss") {
            return &word[..word.len() - ending.len()];
        }
    }
    if ends("e") || ends("y") { &word[..word.len() - 1] } else { word }
}

const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

fn word_key(letters: &[u32]) -> u64 {
    // FNV-1a over whole characters.
    let start = 0xcbf2_9ce4_8422_2325;
    letters.iter().fold(start, |key, c| (key ^ u64::from(*c)).wrapping_mul(0x0100_0000_01b3))
}

fn gram_key(letters: &[u32]) -> u64 {
    // A character has 21 bits: three fit side by side, a fourth is mixed in.
    letters
        .iter()
        .fold(0, |key: u64, c| (key.rotate_left(21) ^ u64::from(*c)).wrapping_add(SPREAD))
        .wrapping_mul(SPREAD)
}

/// What a document says about its agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A capability with the examples given for it; its name as written.
    Capability(String),
    /// An example that belongs to no capability.
    Example(String),
    /// Description and specialization; `alone` if there is nothing else to judge the agent by.
    Description {
        alone: bool,
    },
    Name,
}

/// One field of an agent's definition as counted terms, worked out when the definition is read.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) role: Role,
    /// Key, kind and how often it occurs, by key.
    pub(super) terms: Vec<(u64, Kind, u32)>,
}

impl Document {
    pub(super) fn of(definition: &Definition) -> Vec<Self> {
        let mut texts: BTreeMap<String, (Role, Vec<&str>)> = BTreeMap::new();
        for capability in &definition.capabilities {
            let entry = texts.entry(fold(capability));
            entry.or_insert_with(|| (Role::Capability(capability.trim().to_owned()), vec![capability]));
        }
        let mut documents = Vec::new();
        for example in &definition.examples {
            if let Some(capability) = &example.capability {
                let entry = texts.entry(fold(capability));
                let (_, texts) =
                    entry.or_insert_with(|| (Role::Capability(capability.trim().to_owned()), vec![capability]));
                texts.push(&example.text);
            } else {
                documents.push(Self::new(Role::Example(example.text.trim().to_owned()), &[&example.text]));
            }
        }
        documents.extend(texts.into_values().map(|(role, texts)| Self::new(role, &texts)));
        let alone = documents.is_empty();
        let mut description = vec![definition.description.as_str()];
        description.extend(definition.specialization.iter().map(String::as_str));
        documents.push(Self::new(Role::Description { alone }, &description));
        documents.push(Self::new(Role::Name, &[&definition.agent_name]));
        documents
    }

    fn new(role: Role, texts: &[&str]) -> Self {
        let mut counted: BTreeMap<(u64, bool), u32> = BTreeMap::new();
        for text in texts {
            terms(text, |kind, key| *counted.entry((key, kind == Kind::Word)).or_default() += 1);
        }
        let terms = counted
            .into_iter()
            .map(|((key, is_word), count)| (key, if is_word { Kind::Word } else { Kind::Gram }, count))
            .collect();
        Self { role, terms }
    }
}

/// The beginning of a text, at most `most` characters.
pub(super) fn beginning(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}
