//! What is wrong with a configuration, said so that it can be put right.

use std::fmt;

/// One thing wrong: which key, what it holds, where that came from, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key as `section.key`; empty if a whole file cannot be read.
    pub key: String,
    /// The value as given; secrets are redacted, and none is shown where nothing was given.
    pub value: Option<String>,
    /// The file, environment variable or flag it came from; none for a default.
    pub origin: Option<String>,
    /// What is wrong with it.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            f.write_str(&self.key)?;
            if let Some(value) = &self.value {
                write!(f, " = {value:?}")?;
            }
        }
        match &self.origin {
            Some(origin) if self.key.is_empty() => write!(f, "{origin}: ")?,
            Some(origin) => write!(f, " (from {origin}): ")?,
            None => f.write_str(": ")?,
        }
        write!(f, "{}; {}", self.problem, self.remedy)
    }
}

/// Everything that is wrong with a configuration; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "the configuration has a fault: {one}"),
            many => {
                write!(f, "the configuration has {} faults:", many.len())?;
                for fault in many {
                    write!(f, "\n  - {fault}")?;
                }
                Ok(())
            }
        }
    }
}

/// The known name that `given` most likely stands for; none if nothing is near.
pub(super) fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    let limit = (given.chars().count() / 3).max(2);
    known
        .iter()
        .map(|name| (distance(&given.to_lowercase(), name), *name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// How many letters must be put in, taken out or changed to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let change = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not_made_up() {
        let known = ["bootstrap_servers", "prefix", "slot"];
        assert_eq!(nearest("bootstrap_server", &known), Some("bootstrap_servers"));
        assert_eq!(nearest("PREFX", &known), Some("prefix"));
        assert_eq!(nearest("colour", &known), None);
    }
}
