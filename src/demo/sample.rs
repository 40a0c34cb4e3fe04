//! Where leads and agents come from: a directory that a user can edit, else the copies compiled in.

use super::agent_file::SampleAgent;
use super::lead::Lead;
use crate::selection::topic_name;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Looked at where no directory is named.
const USUAL: &str = "examples/sales";
const LEADS: &str = "leads.jsonl";

macro_rules! compiled_in {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_str!(concat!("../../examples/sales/", $path)))),*]
    };
}

/// By their path below the directory.
const BUILT_IN: [(&str, &str); 9] = compiled_in![
    "README.md",
    "leads.jsonl",
    "agents/compliance-reviewer.json",
    "agents/email-sender.json",
    "agents/lead-researcher.json",
    "agents/lead-scorer.json",
    "agents/nurture-planner.json",
    "agents/outreach-writer.json",
    "agents/workshop-host.json",
];

/// Where a sample was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    BuiltIn,
    Directory(PathBuf),
}

/// Sound leads and agents.
#[derive(Clone, Debug)]
pub struct Sample {
    pub origin: Origin,
    pub leads: Vec<Lead>,
    /// By file.
    pub agents: Vec<SampleAgent>,
}

impl Sample {
    /// Reads the directory named, else `./examples/sales` if it is there, else the copies compiled in.
    ///
    /// # Errors
    /// All that is wrong with the files, each fault with file, line and field.
    pub fn load(directory: Option<&Path>) -> Result<Self, Vec<String>> {
        let usual = Path::new(USUAL);
        match directory.or_else(|| usual.is_dir().then_some(usual)) {
            Some(directory) => Self::read(directory),
            None => Self::of(Origin::BuiltIn, &BUILT_IN.map(|(path, text)| (path.to_owned(), text.to_owned()))),
        }
    }

    fn read(directory: &Path) -> Result<Self, Vec<String>> {
        let unreadable = |path: &Path, error: std::io::Error| {
            vec![format!("{}: cannot be read ({error}); `baton demo --write DIR` makes a sound copy", path.display())]
        };
        let text = |path: &Path| std::fs::read_to_string(path).map_err(|error| unreadable(path, error));
        let (mut files, mut faults) = (Vec::new(), Vec::new());
        let (leads, agents) = (directory.join(LEADS), directory.join("agents"));
        let mut paths = vec![leads];
        match std::fs::read_dir(&agents) {
            Ok(entries) => paths.extend(
                entries
                    .filter_map(|entry| Some(entry.ok()?.path()))
                    .filter(|path| path.extension() == Some("json".as_ref())),
            ),
            Err(error) => faults.extend(unreadable(&agents, error)),
        }
        paths.sort();
        for path in paths {
            match text(&path) {
                Ok(text) => files.push((path.display().to_string(), text)),
                Err(found) => faults.extend(found),
            }
        }
        if faults.is_empty() { Self::of(Origin::Directory(directory.to_owned()), &files) } else { Err(faults) }
    }

    fn of(origin: Origin, files: &[(String, String)]) -> Result<Self, Vec<String>> {
        let (mut leads, mut agents, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        let mut seen: BTreeMap<String, &str> = BTreeMap::new();
        for (file, text) in files {
            if file.ends_with(LEADS) {
                match Lead::read_all(file, text) {
                    Ok(found) => leads = found,
                    Err(found) => faults.extend(found),
                }
            } else if file.ends_with(".json") {
                match SampleAgent::read(file, text) {
                    Ok(agent) => {
                        let name = &agent.definition.agent_name;
                        if let Some(first) = seen.insert(topic_name(name, 1), file) {
                            faults
                                .push(format!("{file}: definition.agentName: `{name}` is that of {first}; rename one"));
                        }
                        agents.push(agent);
                    }
                    Err(found) => faults.extend(found),
                }
            }
        }
        if agents.is_empty() && faults.is_empty() {
            faults.push("agents: there is no agent; give at least one .json file".to_owned());
        }
        if faults.is_empty() { Ok(Self { origin, leads, agents }) } else { Err(faults) }
    }
}

/// Writes the files compiled in below `directory`, and none if one of them is there already.
///
/// # Errors
/// What is there already, or cannot be written.
pub fn write(directory: &Path) -> std::io::Result<()> {
    for (path, _) in BUILT_IN {
        let path = directory.join(path);
        if path.exists() {
            let told = format!("{} is there already, and nothing was written; name another directory", path.display());
            return Err(std::io::Error::new(std::io::ErrorKind::AlreadyExists, told));
        }
    }
    std::fs::create_dir_all(directory.join("agents"))?;
    for (path, text) in BUILT_IN {
        std::fs::File::create_new(directory.join(path))?.write_all(text.as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled_in() -> Vec<(String, String)> {
        BUILT_IN.map(|(path, text)| (path.to_owned(), text.to_owned())).into()
    }

    #[test]
    fn what_is_compiled_in_is_sound_and_complete() {
        let sample = Sample::of(Origin::BuiltIn, &compiled_in()).unwrap();
        assert!(sample.leads.len() >= 50 && sample.agents.len() >= 5);
        let there = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/sales/agents")).unwrap().count();
        assert_eq!(sample.agents.len(), there, "an agent's file is not compiled in");
    }

    #[test]
    fn faults_of_all_files_come_together() {
        let mut files = compiled_in();
        files[1].1.push_str("{}\n");
        files[2].1 = "{".to_owned();
        let faults = Sample::of(Origin::BuiltIn, &files).unwrap_err();
        assert!(faults.iter().any(|fault| fault.starts_with("leads.jsonl:59: company_name: is missing")), "{faults:?}");
        assert!(faults.iter().any(|fault| fault.starts_with("agents/compliance-reviewer.json:1: ")), "{faults:?}");
    }

    #[test]
    fn two_agents_of_one_name_are_refused() {
        let mut files = compiled_in();
        files.push(("agents/x.json".to_owned(), files[3].1.clone()));
        assert!(Sample::of(Origin::BuiltIn, &files).unwrap_err()[0].contains("is that of agents/email-sender.json"));
    }

    #[test]
    fn a_written_copy_is_read_back_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("mine");
        write(&below).unwrap();
        assert_eq!(
            Sample::load(Some(&below)).unwrap().leads,
            Sample::of(Origin::BuiltIn, &compiled_in()).unwrap().leads
        );
        assert_eq!(write(&below).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
        let told = Sample::load(Some(directory.path())).unwrap_err();
        assert!(told.iter().any(|fault| fault.contains("leads.jsonl: cannot be read")), "{told:?}");
    }
}
