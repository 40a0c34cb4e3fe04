//! What changes the registry: registering, deleting, levels and modes. Each either refuses or is whole.

use super::answer::Refusal;
use super::request::{self, SchemaRequest, VersionRef};
use super::state::{Shown, State, Version};
use super::words::{Level, Mode};
use std::sync::Arc;

/// Versions at most, of all subjects together: for one machine's work it is plenty, and each change writes all of them.
const MAX_VERSIONS: usize = 10_000;
/// Bytes of all schemas together at most.
const MAX_TEXTS: usize = 64 * 1024 * 1024;
/// Subjects that have a level or a mode of their own at most.
const MAX_SETTINGS: usize = 10_000;

impl State {
    /// Registers a schema; gives its id and its version, new or had before.
    pub(super) fn register(&mut self, subject: &str, request: &SchemaRequest) -> Result<(u32, u32), Refusal> {
        request::subject(subject)?;
        let schema = self.check(request.wanted()?)?;
        let given_id = request.id.filter(|id| *id >= 0);
        let given_version = request.version.filter(|version| *version > 0);
        let had = self.id_of(&schema);
        let versions = self.versions(subject, Shown::All);
        let live = versions.iter().rev().find(|found| Some(found.version.id) == had && !found.version.deleted);
        if let Some(live) = live {
            let same = |given: Option<i64>, own: u32| given.is_none_or(|given| given == i64::from(own));
            if same(given_id, live.version.id) && same(given_version, live.number) {
                return Ok((live.version.id, live.number));
            }
        }
        let mode = self.mode(Some(subject));
        match (mode, given_id) {
            (Mode::ReadOnly, _) => {
                return Err(Refusal::not_permitted(format!("Subject {subject} is in read-only mode")));
            }
            (Mode::ReadWrite, Some(_)) => {
                return Err(Refusal::not_permitted(format!("Subject {subject} is not in import mode")));
            }
            (Mode::Import, None) => {
                return Err(Refusal::not_permitted(format!("Subject {subject} is not in read-write mode")));
            }
            _ => {}
        }
        let next = versions.last().map_or(1, |last| last.number.saturating_add(1));
        let number = match given_version.map(u32::try_from) {
            None => next,
            Some(Ok(number)) if mode == Mode::Import || number == next => number,
            Some(_) => return Err(Refusal::invalid_schema("Version is not one more than previous version")),
        };
        if mode != Mode::Import {
            let obstacles = self.obstacles(subject, &schema, &self.versions(subject, Shown::Live));
            if !obstacles.is_empty() {
                return Err(Refusal::incompatible(subject, &obstacles));
            }
        }
        let id = given_id.unwrap_or_else(|| i64::from(had.unwrap_or(self.last_id + 1)));
        let id = i32::try_from(id).ok().and_then(|id| u32::try_from(id).ok());
        let id = id.ok_or_else(|| Refusal::invalid_schema("an id is at most 2^31-1, and so is the next one"))?;
        let is_taken = self.schema(id).is_some_and(|other| !other.is_same(&schema));
        let overwrites = versions.iter().any(|found| found.number == number && found.version.id != id);
        if is_taken || overwrites {
            return Err(Refusal::new(42207, format!("Overwrite new schema with id {id} is not permitted.")));
        }
        let texts: usize = self.schemas.values().map(|schema| schema.text.len()).sum();
        if self.all(Shown::All).count() >= MAX_VERSIONS || texts + schema.text.len() > MAX_TEXTS {
            let why = format!(
                "this registry holds at most {MAX_VERSIONS} versions and {MAX_TEXTS} bytes; delete some for good"
            );
            return Err(Refusal::not_permitted(why));
        }
        self.put(subject, number, id, schema);
        Ok((id, number))
    }

    fn put(&mut self, subject: &str, number: u32, id: u32, schema: super::schema::Schema) {
        self.last_id = self.last_id.max(id);
        self.schemas.entry(id).or_insert_with(|| Arc::new(schema));
        // As with the real one: a deleted version that comes back has a new number and leaves none behind.
        let replaced: Vec<u32> = self
            .versions(subject, Shown::Deleted)
            .into_iter()
            .filter(|old| old.version.id == id && old.number < number)
            .filter(|old| self.referrers(subject, old.number, Shown::All).is_empty())
            .map(|old| old.number)
            .collect();
        let versions = self.subjects.entry(subject.to_owned()).or_default();
        for old in replaced {
            versions.remove(&old);
        }
        versions.insert(number, Version { id, deleted: false });
    }

    /// Deletes all versions of a subject; gives their numbers.
    pub(super) fn delete_subject(&mut self, subject: &str, permanent: bool) -> Result<Vec<u32>, Refusal> {
        let all = self.versions(subject, Shown::All);
        let has_live = all.iter().any(|found| !found.version.deleted);
        match (all.is_empty(), has_live, permanent) {
            (true, ..) => return Err(Refusal::no_subject(subject)),
            (_, true, true) => {
                let why = format!("Subject '{subject}' was not deleted first before being permanently deleted");
                return Err(Refusal::new(40405, why));
            }
            (_, false, false) => {
                let why = format!("Subject '{subject}' was soft deleted. Set permanent=true to delete permanently");
                return Err(Refusal::new(40404, why));
            }
            _ => {}
        }
        self.writable(Some(subject))?;
        let numbers: Vec<u32> =
            all.iter().filter(|found| permanent || !found.version.deleted).map(|found| found.number).collect();
        let from = if permanent { Shown::All } else { Shown::Live };
        for number in &numbers {
            if self.referrers(subject, *number, from).iter().any(|referrer| referrer.subject != subject) {
                return Err(Refusal::referenced(subject, *number));
            }
        }
        for number in &numbers {
            self.drop_version(subject, *number, permanent);
        }
        Ok(numbers)
    }

    /// Deletes one version; gives its number.
    pub(super) fn delete_version(
        &mut self,
        subject: &str,
        wanted: VersionRef,
        permanent: bool,
    ) -> Result<u32, Refusal> {
        let shown = if matches!(wanted, VersionRef::Latest) && !permanent { Shown::Live } else { Shown::All };
        let found = self.version(subject, wanted, shown)?;
        let number = found.number;
        match (found.version.deleted, permanent) {
            (true, false) => {
                let why = format!(
                    "Subject '{subject}' Version {number} was soft deleted. Set permanent=true to delete permanently"
                );
                return Err(Refusal::new(40406, why));
            }
            (false, true) => {
                let why = format!(
                    "Subject '{subject}' Version {number} was not deleted first before being permanently deleted"
                );
                return Err(Refusal::new(40407, why));
            }
            _ => {}
        }
        self.writable(Some(subject))?;
        if !self.referrers(subject, number, if permanent { Shown::All } else { Shown::Live }).is_empty() {
            return Err(Refusal::referenced(subject, number));
        }
        self.drop_version(subject, number, permanent);
        Ok(number)
    }

    fn drop_version(&mut self, subject: &str, number: u32, permanent: bool) {
        let Some(versions) = self.subjects.get_mut(subject) else { return };
        if !permanent {
            versions.entry(number).and_modify(|version| version.deleted = true);
            return;
        }
        let id = versions.remove(&number).map(|version| version.id);
        if versions.is_empty() {
            self.subjects.remove(subject);
            self.levels.remove(&Some(subject.to_owned()));
            self.modes.remove(&Some(subject.to_owned()));
        }
        if let Some(id) = id.filter(|id| self.all(Shown::All).all(|found| found.version.id != *id)) {
            self.schemas.remove(&id);
        }
    }

    /// Sets what all subjects, or one, are held to.
    pub(super) fn set_level(&mut self, subject: Option<&str>, level: Level) -> Result<(), Refusal> {
        self.settable(subject)?;
        self.writable(subject)?;
        self.levels.insert(subject.map(str::to_owned), level);
        Ok(())
    }

    /// Goes back to what holds without; gives what was set.
    pub(super) fn unset_level(&mut self, subject: Option<&str>) -> Result<Level, Refusal> {
        self.writable(subject)?;
        match (self.levels.remove(&subject.map(str::to_owned)), subject) {
            (Some(level), _) => Ok(level),
            (None, None) => Ok(Level::default()),
            (None, Some(subject)) => Err(Refusal::no_subject(subject)),
        }
    }

    pub(super) fn set_mode(&mut self, subject: Option<&str>, mode: Mode, force: bool) -> Result<(), Refusal> {
        self.settable(subject)?;
        let has_schemas = self.all(Shown::Live).any(|found| subject.is_none_or(|subject| found.subject == subject));
        if mode == Mode::Import && self.mode(subject) != Mode::Import && has_schemas && !force {
            return Err(Refusal::not_permitted("Cannot import since found existing subjects"));
        }
        self.modes.insert(subject.map(str::to_owned), mode);
        Ok(())
    }

    pub(super) fn unset_mode(&mut self, subject: Option<&str>) -> Result<Mode, Refusal> {
        match (self.modes.remove(&subject.map(str::to_owned)), subject) {
            (Some(mode), _) => Ok(mode),
            (None, None) => Ok(Mode::default()),
            (None, Some(subject)) => Err(Refusal::no_subject(subject)),
        }
    }

    fn settable(&self, subject: Option<&str>) -> Result<(), Refusal> {
        if let Some(subject) = subject {
            request::subject(subject)?;
        }
        if self.levels.len() + self.modes.len() >= MAX_SETTINGS {
            return Err(Refusal::not_permitted(format!("this registry holds at most {MAX_SETTINGS} levels and modes")));
        }
        Ok(())
    }

    fn writable(&self, subject: Option<&str>) -> Result<(), Refusal> {
        if self.mode(subject) == Mode::ReadOnly {
            let what = subject.map_or_else(|| "The registry".to_owned(), |subject| format!("Subject {subject}"));
            return Err(Refusal::not_permitted(format!("{what} is in read-only mode")));
        }
        Ok(())
    }
}
