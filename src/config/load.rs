//! Reads the sources, lays them over each other and types the result, collecting every fault on the way.

use super::check::Checks;
use super::fault::{Fault, Faults};
use super::secret::{REDACTED, is_secret};
use super::tree::{Misfit, Node, Origin, path_of, written};
use super::typed::Mistyped;
use super::{Config, value_at};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const PREFIX: &str = "BATON__";
const DEFAULT_FILE: &str = "baton.toml";

/// Where a configuration is read from, later ones over earlier ones.
#[derive(Clone, Default)]
pub struct Sources {
    /// A file that must be there; none = `baton.toml` of the working directory, if it is there.
    pub file: Option<PathBuf>,
    /// The process's environment: `BATON__…` and the variables that hold keys.
    pub environment: BTreeMap<String, String>,
    /// `section.key=value`, from flags.
    pub set: Vec<String>,
}

/// Without the environment, which holds secrets.
impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Sources {
    /// This process's environment, with the file and the flags it was started with.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, set: Vec<String>) -> Self {
        let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
        Self { file, environment: std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect(), set }
    }
}

impl Config {
    /// The configuration in force.
    ///
    /// # Errors
    /// All faults at once. Reads files and nothing else.
    pub fn load(sources: &Sources) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let mut tree = Node::Table(BTreeMap::new());
        if let Some(path) = file_to_read(sources) {
            match read(&path) {
                Ok(root) => tree = root,
                Err(fault) => faults.push(fault),
            }
        }
        for (name, value) in &sources.environment {
            if let Some(path) = name.strip_prefix(PREFIX) {
                lay(&mut tree, &path_of_variable(path), value, Origin::Variable(name.clone()), &mut faults);
            }
        }
        for assignment in &sources.set {
            match assignment.split_once('=') {
                Some((key, value)) => lay(&mut tree, &path_of(key.trim()), value, Origin::Flag, &mut faults),
                None => faults.push(Fault {
                    key: assignment.clone(),
                    value: None,
                    origin: Some(Origin::Flag.to_string()),
                    problem: "has no value".to_owned(),
                    remedy: "write --set section.key=value".to_owned(),
                }),
            }
        }
        let (mut config, known) = typed(tree, &mut faults);
        let mut checks = Checks::default();
        config.kafka.read_secret_files(&mut checks);
        config.registry.read_secret_files(&mut checks);
        config.http.read_secret_files(&mut checks);
        config.llm.read_rules(&mut checks);
        for (name, strategy) in &mut config.strategies {
            strategy.read_rules(name, &mut checks);
        }
        config.llm.read_keys(&sources.environment, &mut checks);
        config.dispatcher.read_secrets(&sources.environment, &mut checks);
        config.check(&mut checks);
        let shown = config.effective();
        for mut fault in checks.faults {
            // A value that could not be typed has been said already; its default is no second fault.
            if faults.iter().any(|earlier| fault.key.starts_with(&earlier.key) && !earlier.key.is_empty()) {
                continue;
            }
            let given = known.get(&path_of(&fault.key));
            fault.origin = given.and_then(Node::origin).map(ToString::to_string);
            fault.value = given.and_then(|node| shown_of(&fault.key, node)).or_else(|| value_at(&shown, &fault.key));
            faults.push(fault);
        }
        if faults.is_empty() { Ok(config) } else { Err(Faults(faults)) }
    }
}

fn file_to_read(sources: &Sources) -> Option<PathBuf> {
    sources.file.clone().or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()))
}

fn read(path: &Path) -> Result<Node, Fault> {
    let fault = |problem: String, remedy: &str| Fault {
        key: String::new(),
        value: None,
        origin: Some(path.display().to_string()),
        problem,
        remedy: remedy.to_owned(),
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| fault(format!("cannot be read ({error})"), "give the path of a readable file to --config"))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        fault(format!("line {line} is no TOML: {}", error.message()), "correct that line")
    })?;
    Ok(Node::from_toml(toml::Value::Table(table), &Origin::File(path.to_owned())))
}

/// `KAFKA__CLIENT__SASL_PASSWORD` stands for `kafka.client."sasl.password"`, anything else for its lower case.
fn path_of_variable(name: &str) -> Vec<String> {
    let name = name.to_lowercase();
    if let Some(property) = name.strip_prefix("kafka__client__") {
        return vec!["kafka".to_owned(), "client".to_owned(), property.replace('_', ".")];
    }
    name.split("__").map(str::to_owned).collect()
}

fn lay(tree: &mut Node, path: &[String], value: &str, origin: Origin, faults: &mut Vec<Fault>) {
    let from = origin.to_string();
    let Err(misfit) = tree.set(path, value.to_owned(), origin) else { return };
    let (problem, remedy) = match misfit {
        Misfit::Gap(0) => ("begins a list that is empty".to_owned(), "begin with index 0".to_owned()),
        Misfit::Gap(length) => (format!("leaves a gap in a list of {length}"), format!("the next index is {length}")),
        Misfit::NotATable => {
            ("lies below something that has no such keys".to_owned(), "see `baton config print`".to_owned())
        }
    };
    let key = written(path);
    let value = if path.iter().any(|segment| is_secret(segment)) { REDACTED } else { value };
    faults.push(Fault { key, value: Some(value.to_owned()), origin: Some(from), problem, remedy });
}

/// Types the tree. What cannot be typed becomes a fault and its default holds, so that one reading finds them all.
/// Also gives back the tree as it was, to say later where a value came from.
fn typed(mut tree: Node, faults: &mut Vec<Fault>) -> (Config, Node) {
    let given = tree.clone();
    // Each round takes one value out of the tree, or ends.
    loop {
        match Config::deserialize(&tree) {
            Ok(config) => return (config, given),
            Err(error) => {
                let path = error.path();
                faults.push(fault_of(&error, &path, &given));
                tree.forget(&path);
            }
        }
    }
}

fn fault_of(error: &Mistyped, path: &[String], given: &Node) -> Fault {
    let key = written(path);
    let node = given.get(path);
    let remedy = error.remedy.clone().unwrap_or_else(|| match node {
        Some(Node::Typed(toml::Value::Integer(_) | toml::Value::Boolean(_) | toml::Value::Float(_), _))
            if error.problem.ends_with("not text") =>
        {
            "put it in quotes".to_owned()
        }
        _ => "correct or remove it".to_owned(),
    });
    Fault {
        value: node.and_then(|node| shown_of(&key, node)),
        origin: node.and_then(Node::origin).map(ToString::to_string),
        key,
        problem: error.problem.clone(),
        remedy,
    }
}

fn shown_of(key: &str, node: &Node) -> Option<String> {
    let (value, _) = node.shown()?;
    Some(if is_secret(key) { REDACTED.to_owned() } else { value })
}

#[cfg(test)]
mod tests;
