//! What is registered: schemas by id, versions by subject, levels and modes. Questions only; `subjects` changes it.

use super::answer::Refusal;
use super::request::VersionRef;
use super::schema::{Reference, Schema, Wanted};
use super::words::{Level, Mode};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many schemas one may build on, also by way of others.
const MAX_PARTS: usize = 100;

/// All of it. Cheap to copy but for the tables: a change is made on a copy, which takes its place once it is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// Ids are given in order and never again.
    pub(super) last_id: u32,
    pub(super) schemas: BTreeMap<u32, Arc<Schema>>,
    pub(super) subjects: BTreeMap<String, BTreeMap<u32, Version>>,
    /// What was set; under none for all subjects.
    pub(super) levels: BTreeMap<Option<String>, Level>,
    pub(super) modes: BTreeMap<Option<String>, Mode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) id: u32,
    /// Softly: it does not count any more, but its id goes on to be known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) deleted: bool,
}

/// Which versions are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Live,
    All,
    Deleted,
}

impl Shown {
    pub(super) fn takes(self, version: Version) -> bool {
        match self {
            Self::Live => !version.deleted,
            Self::All => true,
            Self::Deleted => version.deleted,
        }
    }
}

/// One version as found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub(super) subject: &'a str,
    pub(super) number: u32,
    pub(super) version: Version,
    pub(super) schema: &'a Schema,
}

impl State {
    /// Whether nothing is different; schemas of an id never change.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        self.subjects == other.subjects && self.levels == other.levels && self.modes == other.modes
    }

    /// The versions of a subject, oldest first.
    pub(super) fn versions(&self, subject: &str, shown: Shown) -> Vec<Found<'_>> {
        let Some((subject, versions)) = self.subjects.get_key_value(subject) else { return Vec::new() };
        let taken = versions.iter().filter(|(_, version)| shown.takes(**version));
        taken.map(|(number, version)| self.found(subject, *number, *version)).collect()
    }

    fn found<'a>(&'a self, subject: &'a str, number: u32, version: Version) -> Found<'a> {
        let schema = self.schemas.get(&version.id).expect("a version's schema is kept as long as the version");
        Found { subject, number, version, schema }
    }

    /// Every version there is, by subject and number.
    pub(super) fn all(&self, shown: Shown) -> impl Iterator<Item = Found<'_>> {
        self.subjects.keys().flat_map(move |subject| self.versions(subject, shown))
    }

    /// One version; a subject without any is another refusal than a version it does not have.
    pub(super) fn version(&self, subject: &str, wanted: VersionRef, shown: Shown) -> Result<Found<'_>, Refusal> {
        let versions = self.versions(subject, shown);
        if versions.is_empty() {
            return Err(Refusal::no_subject(subject));
        }
        match wanted {
            VersionRef::Latest => versions.last().copied().ok_or_else(|| Refusal::no_version("latest")),
            VersionRef::Number(number) => {
                let found = versions.into_iter().find(|found| found.number == number);
                found.ok_or_else(|| Refusal::no_version(number))
            }
        }
    }

    pub(super) fn schema(&self, id: u32) -> Option<&Schema> {
        self.schemas.get(&id).map(Arc::as_ref)
    }

    /// The id of the same schema, under whatever subject.
    pub(super) fn id_of(&self, schema: &Schema) -> Option<u32> {
        self.schemas.iter().find(|(_, other)| other.is_same(schema)).map(|(id, _)| *id)
    }

    /// Checks a schema together with those it refers to.
    pub(super) fn check(&self, mut wanted: Wanted) -> Result<Schema, Refusal> {
        for reference in &mut wanted.references {
            // The latest one is the latest as of now.
            reference.version = self.referred(reference)?.number.into();
        }
        let mut parts = Vec::new();
        let mut seen = BTreeSet::new();
        self.gather(&wanted.references, &mut seen, &mut parts)?;
        Schema::check(wanted, parts).map_err(|problem| Refusal::invalid_schema(format!("Invalid schema: {problem}")))
    }

    fn gather(
        &self,
        references: &[Reference],
        seen: &mut BTreeSet<u32>,
        parts: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        for reference in references {
            let found = self.referred(reference)?;
            if !seen.insert(found.version.id) {
                continue;
            }
            if seen.len() > MAX_PARTS {
                let why = format!("Invalid schema: it builds on more than {MAX_PARTS} others");
                return Err(Refusal::invalid_schema(why));
            }
            self.gather(&found.schema.references, seen, parts)?;
            parts.push(found.schema.text.clone());
        }
        Ok(())
    }

    /// What a reference names; softly deleted versions may be referred to by what referred to them before.
    fn referred(&self, reference: &Reference) -> Result<Found<'_>, Refusal> {
        let Reference { name, subject, version } = reference;
        let wanted = match u32::try_from(*version) {
            Err(_) if *version == -1 => Ok(VersionRef::Latest),
            Ok(number) => Ok(VersionRef::Number(number)),
            Err(_) => Err(Refusal::no_version(version)),
        };
        wanted.and_then(|wanted| self.version(subject, wanted, Shown::All)).map_err(|_| {
            let why =
                format!("Invalid schema: its reference {name} is to {subject} version {version}, which is not there");
            Refusal::invalid_schema(why)
        })
    }

    /// Who refers to a version.
    pub(super) fn referrers(&self, subject: &str, number: u32, shown: Shown) -> Vec<Found<'_>> {
        let refers = |reference: &Reference| reference.subject == subject && reference.version == i64::from(number);
        self.all(shown).filter(|found| found.schema.references.iter().any(refers)).collect()
    }

    pub(super) fn level(&self, subject: &str) -> Level {
        let own = self.levels.get(&Some(subject.to_owned()));
        own.or_else(|| self.levels.get(&None)).copied().unwrap_or_default()
    }

    pub(super) fn mode(&self, subject: Option<&str>) -> Mode {
        let own = subject.and_then(|subject| self.modes.get(&Some(subject.to_owned())));
        own.or_else(|| self.modes.get(&None)).copied().unwrap_or_default()
    }

    /// Why a schema cannot follow `before`, which is what it has to go with at its subject's level.
    pub(super) fn obstacles(&self, subject: &str, schema: &Schema, before: &[Found<'_>]) -> Vec<String> {
        let level = self.level(subject);
        let first = if level.is_transitive() { 0 } else { before.len().saturating_sub(1) };
        let checked = before[first..].iter().rev();
        let mut found = Vec::new();
        for older in checked {
            found.extend(schema.obstacles(older.schema, &format!("version {}", older.number), level));
        }
        found
    }
}
