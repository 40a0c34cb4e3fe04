//! The file: everything, as JSON, in one piece. Written beside itself and put in its place, so that it is always whole.

use super::RegistryServerError;
use super::schema::{Reference, Schema, Wanted};
use super::state::{State, Version};
use super::words::{Kind, Level, Mode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::fs;
use tokio::io::AsyncWriteExt;

/// The format; another one is another program's.
const FORMAT: u32 = 1;

#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    format: u32,
    last_id: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compatibility: Option<Level>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    schemas: BTreeMap<u32, FileSchema>,
    subjects: BTreeMap<String, FileSubject>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FileSchema {
    schema_type: Kind,
    schema: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    references: Vec<Reference>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FileSubject {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compatibility: Option<Level>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    versions: BTreeMap<u32, Version>,
}

impl Store {
    /// Reads the file, or writes an empty one where there is none: a place that cannot be written to shows at once.
    pub(super) async fn open(path: PathBuf) -> Result<(State, Self), RegistryServerError> {
        let store = Self { path };
        let state = match fs::read(&store.path).await {
            Ok(bytes) => {
                let damaged = |problem| RegistryServerError::Damaged { path: store.path.clone(), problem };
                let file = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
                read(file).map_err(damaged)?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let state = State::default();
                let failed = |source| RegistryServerError::Store { path: store.path.clone(), source };
                store.write(&state).await.map_err(failed)?;
                state
            }
            Err(source) => return Err(RegistryServerError::Store { path: store.path, source }),
        };
        Ok((state, store))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file what the state is, or leaves it as it was.
    pub(super) async fn write(&self, state: &State) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(&written(state))?;
        let mut beside = self.path.clone().into_os_string();
        beside.push(".new");
        let mut file = fs::File::create(&beside).await?;
        file.write_all(&text).await?;
        file.sync_all().await?;
        drop(file);
        fs::rename(&beside, &self.path).await
    }
}

fn written(state: &State) -> File {
    let mut subjects: BTreeMap<String, FileSubject> = BTreeMap::new();
    for (name, versions) in &state.subjects {
        subjects.entry(name.clone()).or_default().versions.clone_from(versions);
    }
    for (name, level) in &state.levels {
        if let Some(name) = name {
            subjects.entry(name.clone()).or_default().compatibility = Some(*level);
        }
    }
    for (name, mode) in &state.modes {
        if let Some(name) = name {
            subjects.entry(name.clone()).or_default().mode = Some(*mode);
        }
    }
    let schemas = state.schemas.iter().map(|(id, schema)| {
        let Schema { kind, text, references, .. } = schema.as_ref();
        (*id, FileSchema { schema_type: *kind, schema: text.clone(), references: references.clone() })
    });
    File {
        format: FORMAT,
        last_id: state.last_id,
        compatibility: state.levels.get(&None).copied(),
        mode: state.modes.get(&None).copied(),
        schemas: schemas.collect(),
        subjects,
    }
}

/// Everything is checked again as if it was handed in: a file can be edited.
fn read(file: File) -> Result<State, String> {
    if file.format != FORMAT {
        return Err(format!("its format is {}, and this version knows {FORMAT}", file.format));
    }
    let mut state = State { last_id: file.last_id, ..State::default() };
    for (name, subject) in file.subjects {
        for (number, version) in &subject.versions {
            let id = version.id;
            if *number == 0 || !file.schemas.contains_key(&id) || id > file.last_id {
                return Err(format!("{name} version {number} has the id {id}, which no schema has"));
            }
        }
        if let Some(level) = subject.compatibility {
            state.levels.insert(Some(name.clone()), level);
        }
        if let Some(mode) = subject.mode {
            state.modes.insert(Some(name.clone()), mode);
        }
        if !subject.versions.is_empty() {
            state.subjects.insert(name, subject.versions);
        }
    }
    state.levels.extend(file.compatibility.map(|level| (None, level)));
    state.modes.extend(file.mode.map(|mode| (None, mode)));
    Checking { file: file.schemas, state, under_way: Vec::new() }.all()
}

/// Checks each schema after those it refers to, which may have higher ids.
struct Checking {
    file: BTreeMap<u32, FileSchema>,
    state: State,
    under_way: Vec<u32>,
}

impl Checking {
    fn all(mut self) -> Result<State, String> {
        while let Some(id) = self.file.keys().next().copied() {
            self.one(id)?;
        }
        Ok(self.state)
    }

    fn one(&mut self, id: u32) -> Result<(), String> {
        if self.under_way.contains(&id) {
            return Err(format!("schema {id} refers to itself"));
        }
        let Some(FileSchema { schema_type: kind, schema: text, references }) = self.file.remove(&id) else {
            return Ok(());
        };
        self.under_way.push(id);
        for Reference { subject, version, .. } in &references {
            let versions = self.state.subjects.get(subject);
            let found =
                u32::try_from(*version).ok().and_then(|number| versions?.get(&number)).map(|version| version.id);
            let to = found
                .ok_or_else(|| format!("schema {id} refers to {subject} version {version}, which is not there"))?;
            self.one(to)?;
        }
        self.under_way.pop();
        let checked = self.state.check(Wanted { kind, text, references });
        let schema = checked.map_err(|refusal| format!("schema {id}: {}", refusal.message()))?;
        self.state.schemas.insert(id, Arc::new(schema));
        Ok(())
    }
}
