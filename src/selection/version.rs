use std::cmp::Ordering;
use std::fmt;

/// A semantic version, ordered as semver.org says; build metadata is kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub major: u64,
    pub minor: u64,
    pub patch: u64,
    /// The identifiers after `-`; none = a release.
    pre: Vec<String>,
}

impl Version {
    /// Reads `major.minor.patch`, optionally followed by `-pre.release` and `+build`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (text, build) = split(text.trim(), '+');
        let (core, pre) = split(text, '-');
        let mut numbers = core.split('.').map(number);
        let version = Self {
            major: numbers.next()??,
            minor: numbers.next()??,
            patch: numbers.next()??,
            pre: pre.map_or_else(Vec::new, |pre| pre.split('.').map(str::to_owned).collect()),
        };
        let well_formed = numbers.next().is_none()
            && build.is_none_or(|build| build.split('.').all(is_identifier))
            && version.pre.iter().all(|part| is_identifier(part) && !has_leading_zero(part));
        well_formed.then_some(version)
    }
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

fn number(text: &str) -> Option<u64> {
    (is_number(text) && !has_leading_zero(text)).then(|| text.parse().ok())?
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn has_leading_zero(text: &str) -> bool {
    is_number(text) && text.len() > 1 && text.starts_with('0')
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.major, self.minor, self.patch).cmp(&(other.major, other.minor, other.patch)).then_with(|| {
            // A release comes after its pre-releases.
            match (self.pre.is_empty(), other.pre.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => compare_pre(&self.pre, &other.pre),
            }
        })
    }
}

fn compare_pre(one: &[String], other: &[String]) -> Ordering {
    one.iter()
        .zip(other)
        .map(|(a, b)| match (is_number(a), is_number(b)) {
            // Without leading zeros, the longer number is the greater one; no overflow this way.
            (true, true) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => a.cmp(b),
        })
        .find(|order| order.is_ne())
        .unwrap_or_else(|| one.len().cmp(&other.len()))
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if self.pre.is_empty() { Ok(()) } else { write!(f, "-{}", self.pre.join(".")) }
    }
}
