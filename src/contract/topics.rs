//! The topics: what each is for, how it is made, and which record it holds. Each is a file under `topics/`,
//! compiled in; a directory of such files can take their place. Nothing here talks to a broker.

use super::schema::RecordKind;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

/// One topic, or, where `per_agent`, the topics of all agents.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicSpec {
    /// Without the prefix; of the agents' topics what stands before the agent.
    pub name: String,
    pub per_agent: bool,
    pub key: TopicKey,
    pub kind: TopicKind,
    pub partitions: i32,
    /// None on dead letters, which hold the bytes of anything.
    pub record: Option<RecordKind>,
    pub compatibility: Option<Compatibility>,
    /// Whether a `<name>.dlq` belongs to it.
    pub dead_letters: bool,
    pub max_message_bytes: u32,
    /// Every setting of the topic by its name in Kafka, also those that have a field of their own.
    pub config: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TopicKind {
    /// Others write it.
    In,
    /// We write it for others.
    Out,
    /// Nobody else reads or writes it.
    Internal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum TopicKey {
    #[serde(rename = "task")]
    Task,
    /// `<task id>`, `<task id>/` or `<task id>/<step id>`, in the task's partition.
    #[serde(rename = "task part")]
    TaskPart,
    #[serde(rename = "agent")]
    Agent,
    #[serde(rename = "agent topic")]
    AgentTopic,
    /// An experiment's name.
    #[serde(rename = "experiment")]
    Experiment,
    /// Whatever the records that are kept there had, or what only their writer understands.
    #[serde(rename = "other")]
    Other,
}

/// What the registry holds a subject to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Compatibility {
    FullTransitive,
    BackwardTransitive,
}

impl Compatibility {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FullTransitive => "FULL_TRANSITIVE",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
        }
    }
}

/// What is wrong with a topic's file; it names the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct TopicSpecError {
    pub file: String,
    pub problem: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    #[serde(default)]
    per_agent: bool,
    key: TopicKey,
    kind: TopicKind,
    partitions: i32,
    /// Without one it holds JSON, or the bytes of anything.
    record: Option<String>,
    compatibility: Option<Compatibility>,
    cleanup: Cleanup,
    retention: Option<String>,
    max_message_bytes: u32,
    #[serde(default)]
    dead_letters: bool,
    #[serde(default)]
    config: BTreeMap<String, toml::Value>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Cleanup {
    Delete,
    Compact,
    /// The last of each key, and that not for ever.
    CompactDelete,
}

/// The end of a name that says dead letters.
const DLQ: &str = ".dlq";
/// Dead letters wait for a person to look.
const DLQ_RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);
/// Settings with a field of their own.
const OWN_FIELDS: [(&str, &str); 3] =
    [("cleanup.policy", "cleanup"), ("retention.ms", "retention"), ("max.message.bytes", "max_message_bytes")];

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        [$((concat!($name, ".toml"), include_str!(concat!("../../topics/", $name, ".toml")))),*]
    };
}

const BUILT_IN: [(&str, &str); 18] = built_in![
    "agent-health",
    "agent-outcomes",
    "agent-status",
    "agents",
    "alerts",
    "assignments",
    "cancellations",
    "completions",
    "examples",
    "experiments",
    "heartbeats",
    "routing-decisions",
    "source-state",
    "sources.dlq",
    "task-commands",
    "task-events",
    "task-state",
    "tasks",
];

static SPECS: LazyLock<Vec<TopicSpec>> = LazyLock::new(|| {
    let parse = |(file, text): (&str, &str)| TopicSpec::parse(file, text);
    BUILT_IN
        .into_iter()
        .map(|built_in| parse(built_in).expect("the topics compiled in parse, which a test checks"))
        .collect()
});

impl TopicSpec {
    /// The topics compiled in, by name, without dead letters.
    #[must_use]
    pub fn built_in() -> &'static [TopicSpec] {
        &SPECS
    }

    /// One topic's file.
    ///
    /// # Errors
    ///
    /// The first thing wrong with it, with the place.
    pub fn parse(file: &str, text: &str) -> Result<Self, TopicSpecError> {
        let fault = |problem: String| TopicSpecError { file: file.to_owned(), problem };
        let parsed: File = toml::from_str(text).map_err(|error| fault(error.to_string().trim_end().to_owned()))?;
        parsed.into_spec().map_err(fault)
    }

    /// The topics compiled in, those replaced for which the directory has a file.
    ///
    /// # Errors
    ///
    /// Everything wrong with the files: also a topic we do not have, or one that would hold another record or key.
    pub fn load(directory: &Path) -> Result<Vec<Self>, Vec<TopicSpecError>> {
        let fault = |path: &Path, problem: String| TopicSpecError { file: path.display().to_string(), problem };
        let unreadable = |error: std::io::Error| vec![fault(directory, format!("cannot be read: {error}"))];
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                paths.push(path);
            }
        }
        paths.sort();
        if paths.is_empty() {
            return Err(vec![fault(
                directory,
                "holds no .toml file; name the directory of the topics' files".to_owned(),
            )]);
        }
        let (mut specs, mut faults) = (Self::built_in().to_vec(), Vec::new());
        for path in paths {
            let read = std::fs::read_to_string(&path).map_err(|error| fault(&path, format!("cannot be read: {error}")));
            let parsed = read.and_then(|text| Self::parse(&path.display().to_string(), &text));
            match parsed.and_then(|spec| spec.replace_in(&mut specs).map_err(|problem| fault(&path, problem))) {
                Ok(()) => {}
                Err(problem) => faults.push(problem),
            }
        }
        if faults.is_empty() { Ok(specs) } else { Err(faults) }
    }

    fn replace_in(self, specs: &mut [Self]) -> Result<(), String> {
        let names: Vec<_> = specs.iter().map(|spec| spec.name.clone()).collect();
        let Some(old) = specs.iter_mut().find(|spec| spec.name == self.name) else {
            return Err(format!("name: `{}` is none of our topics: {}", self.name, names.join(", ")));
        };
        for (field, same) in [
            ("record", old.record == self.record),
            ("key", old.key == self.key),
            ("kind", old.kind == self.kind),
            ("per_agent", old.per_agent == self.per_agent),
            ("dead_letters", old.dead_letters == self.dead_letters),
        ] {
            if !same {
                return Err(format!("{field}: cannot differ from the one compiled in, which the program relies on"));
            }
        }
        *old = self;
        Ok(())
    }

    /// The topic's name on the broker. Of the agents' topics there is one per agent: see [`super::assignment_topic`].
    #[must_use]
    pub fn topic(&self, prefix: &str) -> String {
        format!("{prefix}.{}", self.name)
    }

    /// The registry's subject of its values (TopicNameStrategy); none on dead letters.
    #[must_use]
    pub fn subject(&self, prefix: &str) -> Option<String> {
        self.record.map(|_| subject_of(&self.topic(prefix)))
    }

    /// Whether it has as many partitions as every other such topic, and a task's records are at its home's number.
    #[must_use]
    pub fn is_task_keyed(&self) -> bool {
        matches!(self.key, TopicKey::Task | TopicKey::TaskPart) && !self.per_agent
    }

    /// The topic of its dead letters, which takes records twice as large: a poison record at this topic's limit
    /// grows by its headers, and must not block its partition.
    #[must_use]
    pub fn dead_letter_topic(&self) -> Option<Self> {
        if !self.dead_letters {
            return None;
        }
        let max_message_bytes = self.max_message_bytes.saturating_mul(2);
        let config = [
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", DLQ_RETENTION.as_millis().to_string()),
            ("max.message.bytes", max_message_bytes.to_string()),
        ];
        Some(Self {
            name: format!("{}{DLQ}", self.name),
            per_agent: false,
            key: self.key,
            kind: TopicKind::Out,
            partitions: self.partitions,
            record: None,
            compatibility: None,
            dead_letters: false,
            max_message_bytes,
            config: config.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        })
    }
}

/// The registry's subject of a topic's values.
pub(super) fn subject_of(topic: &str) -> String {
    format!("{topic}-value")
}

impl File {
    fn into_spec(self) -> Result<TopicSpec, String> {
        let named = !self.name.is_empty()
            && self.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        // Dead letters of a topic come with it; those of topics that are not ours have a file of their own.
        if !named || (self.name.ends_with(DLQ) && self.record.is_some()) {
            return Err(format!(
                "name: `{}` is no topic's name; use A-Z a-z 0-9 . _ - and no .dlq at the end",
                self.name
            ));
        }
        if self.partitions < 1 {
            return Err(format!("partitions: {} is too few; give at least 1", self.partitions));
        }
        let record = self.record.as_deref().map(str::parse::<RecordKind>).transpose();
        let record = record.map_err(|problem| format!("record: {problem}"))?;
        if record.is_some() != self.compatibility.is_some() {
            return Err("compatibility: belongs to a record; give both, or neither".to_owned());
        }
        let mut config = BTreeMap::new();
        for (name, value) in &self.config {
            if let Some((_, field)) = OWN_FIELDS.iter().find(|(own, _)| own == name) {
                return Err(format!("config.\"{name}\": has a field of its own; set `{field}`"));
            }
            config
                .insert(name.clone(), plain(value).ok_or_else(|| format!("config.\"{name}\": give text or a number"))?);
        }
        let retention = match (self.cleanup, &self.retention) {
            (Cleanup::Compact, None) => None,
            (Cleanup::Compact, Some(_)) => {
                return Err("retention: a compacted topic keeps the last of each key; leave it out".to_owned());
            }
            (Cleanup::Delete | Cleanup::CompactDelete, None) => {
                return Err("retention: missing; give for example 7d".to_owned());
            }
            (Cleanup::Delete | Cleanup::CompactDelete, Some(text)) => {
                Some(humantime::parse_duration(text).map_err(|error| format!("retention: `{text}`: {error}"))?)
            }
        };
        let cleanup = match self.cleanup {
            Cleanup::Delete => "delete",
            Cleanup::Compact => "compact",
            Cleanup::CompactDelete => "compact,delete",
        };
        config.insert("cleanup.policy".to_owned(), cleanup.to_owned());
        config.insert("max.message.bytes".to_owned(), self.max_message_bytes.to_string());
        config.extend(retention.map(|retention| ("retention.ms".to_owned(), retention.as_millis().to_string())));
        Ok(TopicSpec {
            name: self.name,
            per_agent: self.per_agent,
            key: self.key,
            kind: self.kind,
            partitions: self.partitions,
            record,
            compatibility: self.compatibility,
            dead_letters: self.dead_letters,
            max_message_bytes: self.max_message_bytes,
            config,
        })
    }
}

fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(yes) => Some(yes.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str) -> &'static TopicSpec {
        TopicSpec::built_in().iter().find(|spec| spec.name == name).unwrap()
    }

    #[test]
    fn every_topic_file_is_compiled_in_named_as_its_file_and_says_what_it_is_for() {
        let directory = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/topics")).unwrap();
        let mut files: Vec<_> = directory.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        assert_eq!(files, BUILT_IN.map(|(file, _)| file));
        for (spec, (file, text)) in TopicSpec::built_in().iter().zip(BUILT_IN) {
            assert_eq!(format!("{}.toml", spec.name), file);
            assert!(text.starts_with("# "), "{file}");
            assert_eq!(RecordKind::of_topic(&spec.name), spec.record, "{file}");
        }
    }

    #[test]
    fn all_topics_keyed_by_task_have_one_number_of_partitions() {
        let keyed = TopicSpec::built_in().iter().filter(|spec| spec.is_task_keyed());
        let mut counts: Vec<_> = keyed.map(|spec| spec.partitions).collect();
        assert_eq!(counts.len(), 8);
        counts.dedup();
        assert_eq!(counts, [6]);
    }

    #[test]
    fn dead_letters_take_twice_what_their_topic_takes() {
        let dead = spec("tasks").dead_letter_topic().unwrap();
        assert_eq!((dead.topic("baton"), dead.subject("baton")), ("baton.tasks.dlq".to_owned(), None));
        assert_eq!(dead.config["max.message.bytes"], "2097176");
        assert_eq!(spec("agents").dead_letter_topic(), None);
    }

    #[test]
    fn settings_have_their_names_in_kafka() {
        let state = spec("task-state");
        assert_eq!(state.config["cleanup.policy"], "compact");
        assert_eq!(state.config["min.cleanable.dirty.ratio"], "0.1");
        assert_eq!(state.config["segment.bytes"], "67108864");
        assert_eq!(spec("tasks").config["retention.ms"], "604800000");
        assert_eq!(spec("tasks").subject("baton").as_deref(), Some("baton.tasks-value"));
    }

    #[test]
    fn topics_without_a_record_have_no_schema_and_none_of_them_counts_as_keyed_by_task() {
        let (dead, state) = (spec("sources.dlq"), spec("source-state"));
        assert_eq!((dead.subject("baton"), dead.topic("baton").as_str()), (None, "baton.sources.dlq"));
        assert_eq!((state.subject("baton"), state.partitions, state.is_task_keyed()), (None, 1, false));
        assert_eq!(state.config["cleanup.policy"], "compact,delete");
    }

    #[test]
    fn a_fault_names_file_field_and_remedy() {
        let tasks = BUILT_IN.iter().find(|(file, _)| *file == "tasks.toml").unwrap().1;
        let fault =
            |from: &str, to: &str| TopicSpec::parse("x.toml", &tasks.replace(from, to)).unwrap_err().to_string();
        assert!(fault("partitions = 6", "partitions = 0").starts_with("x.toml: partitions: 0 is too few"));
        assert!(fault("TaskSubmitted", "Task").contains("record: `Task` is none of our records"));
        assert!(fault("\"7d\"", "\"soon\"").contains("retention: `soon`"));
        assert!(fault("cleanup = ", "clean = ").contains("clean"));
        assert!(fault("\"task\"", "\"tusk\"").contains("tusk"));
        let doubled = format!("{tasks}\n[config]\n\"retention.ms\" = 1\n");
        assert!(TopicSpec::parse("x.toml", &doubled).unwrap_err().problem.contains("set `retention`"));
    }

    #[test]
    fn a_directory_replaces_the_topics_it_has_files_for() {
        let directory = tempfile::tempdir().unwrap();
        let tasks = BUILT_IN.iter().find(|(file, _)| *file == "tasks.toml").unwrap().1;
        std::fs::write(directory.path().join("a.toml"), tasks.replace("\"7d\"", "\"1d\"")).unwrap();
        let specs = TopicSpec::load(directory.path()).unwrap();
        assert_eq!(specs.len(), BUILT_IN.len());
        assert_eq!(specs.iter().find(|spec| spec.name == "tasks").unwrap().config["retention.ms"], "86400000");
    }

    #[test]
    fn a_directory_cannot_change_what_the_program_relies_on_and_all_its_faults_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let tasks = BUILT_IN.iter().find(|(file, _)| *file == "tasks.toml").unwrap().1;
        std::fs::write(directory.path().join("a.toml"), tasks.replace("\"tasks\"", "\"orders\"")).unwrap();
        std::fs::write(directory.path().join("b.toml"), tasks.replace("TaskSubmitted", "AgentReport")).unwrap();
        let faults = TopicSpec::load(directory.path()).unwrap_err();
        assert!(faults[0].problem.contains("`orders` is none of our topics"));
        assert!(faults[1].problem.starts_with("record: cannot differ"));
        assert!(TopicSpec::load(&directory.path().join("none")).is_err());
    }
}
