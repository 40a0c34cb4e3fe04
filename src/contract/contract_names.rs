//! What the names of contracts stand for: a JSON Schema, or a label.
//!
//! Names compiled in come first, then the registry's answers, which this cache keeps. Look-ups are synchronous;
//! a name that is not here is asked for outside the loop, and whoever needs it waits: no name becomes a label
//! because the registry could not be asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a contract's name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contract {
    /// A JSON Schema, as text: checked against the value.
    Schema(Arc<str>),
    /// Nobody has a schema of that name: checked against the label of whoever produced the value.
    Label,
    /// The name stands for something that is no contract; in words, what.
    Unusable(Arc<str>),
}

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameLookup {
    Known(Contract),
    /// Ask the registry, put the answer in, look again.
    Unknown,
}

/// Schemas compiled in, by name: the files under `schemas/contracts/`.
const BUILT_IN: [(&str, &str); 1] = [("text-object", include_str!("../../schemas/contracts/text-object.json"))];
/// After this long a name that is in use is asked for again; until the answer comes the old one counts.
const FRESH_FOR: Duration = Duration::from_secs(60);
/// Names come from tasks, so anyone can make up any number of them.
const MAX_NAMES: usize = 10_000;

#[derive(Debug)]
struct Entry {
    contract: Contract,
    asked: Instant,
    /// Whether anyone looked since it was asked for: what nobody uses is not asked for again.
    used: bool,
}

/// Shared by all that resolve names.
#[derive(Debug)]
pub struct ContractNames {
    built_in: BTreeMap<&'static str, Contract>,
    asked: Mutex<BTreeMap<String, Entry>>,
}

impl Default for ContractNames {
    fn default() -> Self {
        Self::new()
    }
}

impl ContractNames {
    #[must_use]
    pub fn new() -> Self {
        let built_in = BUILT_IN.into_iter().map(|(name, text)| (name, Contract::Schema(text.into()))).collect();
        Self { built_in, asked: Mutex::default() }
    }

    /// What a name stands for, however old the answer.
    #[must_use]
    pub fn get(&self, name: &str) -> NameLookup {
        if let Some(contract) = self.built_in.get(name) {
            return NameLookup::Known(contract.clone());
        }
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.get_mut(name).map_or(NameLookup::Unknown, |entry| {
            entry.used = true;
            NameLookup::Known(entry.contract.clone())
        })
    }

    /// Keeps the registry's answer.
    pub fn put(&self, name: &str, contract: Contract, now: Instant) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() >= MAX_NAMES && !asked.contains_key(name) {
            // Rather ask again for all than keep a list of who was used last: this many names are no normal use.
            asked.retain(|_, entry| entry.used && now.duration_since(entry.asked) < FRESH_FOR);
            if asked.len() >= MAX_NAMES {
                asked.clear();
            }
        }
        asked.insert(name.to_owned(), Entry { contract, asked: now, used: false });
    }

    /// Names in use whose answer is older than a minute: to be asked for again.
    #[must_use]
    pub fn due(&self, now: Instant) -> Vec<String> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let due = |entry: &Entry| entry.used && now.duration_since(entry.asked) >= FRESH_FOR;
        asked.iter().filter(|(_, entry)| due(entry)).map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_unknown_until_the_registry_answered() {
        let names = ContractNames::new();
        assert_eq!(names.get("lead"), NameLookup::Unknown);
        names.put("lead", Contract::Label, Instant::now());
        assert_eq!(names.get("lead"), NameLookup::Known(Contract::Label));
    }

    #[test]
    fn a_name_in_use_is_asked_for_again_after_a_minute_and_counts_meanwhile() {
        let (names, start) = (ContractNames::new(), Instant::now());
        names.put("lead", Contract::Label, start);
        names.put("unused", Contract::Label, start);
        let _ = names.get("lead");
        assert!(names.due(start + Duration::from_secs(59)).is_empty());
        assert_eq!(names.due(start + Duration::from_secs(60)), ["lead"]);
        assert_eq!(names.get("lead"), NameLookup::Known(Contract::Label));
    }

    #[test]
    fn names_compiled_in_need_no_registry() {
        let NameLookup::Known(Contract::Schema(text)) = ContractNames::new().get("text-object") else {
            panic!("compiled in")
        };
        assert!(serde_json::from_str::<serde_json::Value>(&text).unwrap().is_object());
    }

    #[test]
    fn every_contract_file_is_compiled_in() {
        let directory = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/contracts")).unwrap();
        let mut files: Vec<_> = directory.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        assert_eq!(files, BUILT_IN.map(|(name, _)| format!("{name}.json")));
    }

    #[test]
    fn made_up_names_do_not_fill_the_memory() {
        let (names, now) = (ContractNames::new(), Instant::now());
        (0..=MAX_NAMES).for_each(|n| names.put(&n.to_string(), Contract::Label, now));
        assert!(names.asked.lock().unwrap().len() <= MAX_NAMES);
    }
}
