//! What was given, merged: a tree of values that each remember where they came from.
//!
//! File, environment and flags are laid over each other here, before anything is typed.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    File(PathBuf),
    Variable(String),
    Flag,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
            Self::Flag => f.write_str("--set"),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Table(BTreeMap<String, Node>),
    List(Vec<Node>),
    /// From a file: it has a type of its own.
    Typed(toml::Value, Origin),
    /// From the environment or a flag: the field it is for gives it its type.
    Text(String, Origin),
}

/// Why a value could not be laid over the tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// An index that leaves a gap in a list of this length.
    Gap(usize),
    /// A key below something that is a value.
    NotATable,
}

impl Node {
    pub(super) fn from_toml(value: toml::Value, origin: &Origin) -> Self {
        match value {
            toml::Value::Table(table) => {
                Self::Table(table.into_iter().map(|(key, value)| (key, Self::from_toml(value, origin))).collect())
            }
            toml::Value::Array(items) => {
                Self::List(items.into_iter().map(|item| Self::from_toml(item, origin)).collect())
            }
            scalar => Self::Typed(scalar, origin.clone()),
        }
    }

    /// Lays one text over what is there. A segment that is a number is a list's index; the next one appends.
    pub(super) fn set(&mut self, path: &[String], text: String, origin: Origin) -> Result<(), Misfit> {
        let Some((segment, rest)) = path.split_first() else {
            *self = Self::Text(text, origin);
            return Ok(());
        };
        let fresh = || Self::Table(BTreeMap::new());
        if let Ok(index) = segment.parse::<usize>() {
            if matches!(self, Self::Table(table) if table.is_empty()) {
                *self = Self::List(Vec::new());
            }
            let Self::List(items) = self else { return Err(Misfit::NotATable) };
            if index > items.len() {
                return Err(Misfit::Gap(items.len()));
            }
            if index == items.len() {
                items.push(fresh());
            }
            return items[index].set(rest, text, origin);
        }
        let Self::Table(table) = self else { return Err(Misfit::NotATable) };
        table.entry(segment.clone()).or_insert_with(fresh).set(rest, text, origin)
    }

    pub(super) fn get(&self, path: &[String]) -> Option<&Self> {
        let Some((segment, rest)) = path.split_first() else { return Some(self) };
        match self {
            Self::Table(table) => table.get(segment)?.get(rest),
            Self::List(items) => items.get(segment.parse::<usize>().ok()?)?.get(rest),
            Self::Typed(..) | Self::Text(..) => None,
        }
    }

    /// Takes a key away, so that its default holds. A list's item becomes an empty one: the others keep their index.
    pub(super) fn forget(&mut self, path: &[String]) {
        let Some((last, parents)) = path.split_last() else {
            *self = Self::Table(BTreeMap::new());
            return;
        };
        let parent = parents.iter().try_fold(self, |node, segment| match node {
            Self::Table(table) => table.get_mut(segment),
            Self::List(items) => items.get_mut(segment.parse::<usize>().ok()?),
            Self::Typed(..) | Self::Text(..) => None,
        });
        match parent {
            Some(Self::Table(table)) => drop(table.remove(last)),
            Some(Self::List(items)) => {
                if let Some(item) = last.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                    *item = Self::Table(BTreeMap::new());
                }
            }
            _ => {}
        }
    }

    /// The value as text and its origin, for a fault; a table or list has neither.
    pub(super) fn shown(&self) -> Option<(String, &Origin)> {
        match self {
            Self::Typed(toml::Value::String(text), origin) | Self::Text(text, origin) => Some((text.clone(), origin)),
            Self::Typed(value, origin) => Some((value.to_string(), origin)),
            Self::Table(_) | Self::List(_) => None,
        }
    }

    /// The origin of the first value in it.
    pub(super) fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Table(table) => table.values().find_map(Self::origin),
            Self::List(items) => items.iter().find_map(Self::origin),
            Self::Typed(_, origin) | Self::Text(_, origin) => Some(origin),
        }
    }
}

/// A path as people write it: `llm.providers[0].model`.
pub(super) fn written(path: &[String]) -> String {
    path.iter().fold(String::new(), |mut key, segment| {
        if segment.parse::<usize>().is_ok() {
            key.push_str(&format!("[{segment}]"));
        } else {
            if !key.is_empty() {
                key.push('.');
            }
            key.push_str(segment);
        }
        key
    })
}

/// The path behind a key written as `llm.providers[0].model` or `llm.providers.0.model`. The client's properties have
/// dots in their own names and are one segment.
pub(super) fn path_of(key: &str) -> Vec<String> {
    if let Some(property) = key.strip_prefix("kafka.client.") {
        return vec!["kafka".to_owned(), "client".to_owned(), property.to_owned()];
    }
    key.replace('[', ".").replace(']', "").split('.').map(str::to_owned).collect()
}
