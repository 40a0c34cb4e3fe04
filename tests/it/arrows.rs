//! Which module may use which, checked against the sources.
//!
//! A scanner, no compiler: it sees `crate::…` and `super::…` paths outside comments and strings, in `use` trees too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each module with the ones it may use. `service` is the composition root and may use all of them.
const ARROWS: &[(&str, &[&str])] = &[
    ("workflow", &[]),
    ("selection", &["workflow"]),
    ("partition", &["workflow", "selection"]),
    ("contract", &["workflow"]),
    ("llm", &["workflow", "telemetry"]),
    ("kafka", &["telemetry", "config", "worker"]),
    ("worker", &["workflow", "partition", "selection", "contract", "telemetry"]),
    ("runner", &["worker", "llm", "workflow", "telemetry"]),
    ("agent", &["contract", "kafka", "selection"]),
    ("sources", &["config", "contract", "kafka", "selection", "telemetry"]),
    ("dispatch", &["agent", "config", "contract", "kafka", "selection", "telemetry"]),
    ("insights", &["contract", "kafka", "selection", "telemetry", "worker", "workflow"]),
    ("experiments", &["contract", "kafka", "selection", "workflow"]),
    ("http", &["dispatch", "telemetry"]),
    ("embedded", &["config", "selection"]),
    ("embeddings", &["selection"]),
    ("config", &[]),
    ("demo", &["agent", "contract", "selection", "workflow"]),
    ("telemetry", &[]),
    (
        "cli",
        &[
            "config",
            "contract",
            "demo",
            "experiments",
            "kafka",
            "agent",
            "service",
            "selection",
            "embedded",
            "http",
            "workflow",
        ],
    ),
];
const ROOT: &str = "service";

#[test]
fn modules_use_only_what_their_arrows_allow() {
    let modules: BTreeSet<&str> = ARROWS.iter().map(|(module, _)| *module).chain([ROOT]).collect();
    let (mut faults, mut met, mut paths) = (vec![], BTreeSet::new(), 0);
    for (file, path) in sources() {
        let text = fs::read_to_string(&file).expect("a source can be read");
        let Some(module) = path.first() else { continue };
        met.insert(module.clone());
        if !modules.contains(module.as_str()) {
            faults.push(format!("{}: module `{module}` has no row in the table", file.display()));
        }
        let found = scan(&text, &path);
        paths += found.paths;
        let allowed = ARROWS.iter().find(|(from, _)| from == module).map_or(&[][..], |(_, to)| to);
        for (used, line) in found.used {
            let fine = used == *module || module == ROOT || allowed.contains(&used.as_str());
            if modules.contains(used.as_str()) && !fine {
                faults.push(format!("{}:{line}: `{module}` may not use `{used}`", file.display()));
            }
        }
        for line in found.rdkafka.iter().filter(|_| module != "kafka") {
            faults.push(format!("{}:{line}: only `kafka` names rdkafka", file.display()));
        }
        for line in found.noida.iter().filter(|_| path != ["embedded", "broker"]) {
            faults.push(format!("{}:{line}: only `embedded::broker` names noida", file.display()));
        }
    }
    let missing: Vec<_> = modules.iter().filter(|module| !met.contains(**module)).collect();
    assert!(missing.is_empty(), "modules in the table without a source: {missing:?}");
    assert!(paths > 0, "no path was found in any source: the scanner is broken");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_scanner_sees_paths_wherever_they_stand() {
    let text = r##"
        //! crate::comment
        use crate::{alpha::{Nested, crate_like}, beta, gamma::*};
        /* crate::block /* crate::inner */ */
        fn f<'a>(x: &'a crate::delta::T) -> char { let _ = "crate::string"; let _ = r#"crate::"raw""#; '"' }
        use super::epsilon::Thing;
        mod tests { use super::own; use super::super::zeta; }
        use rdkafka::Message;
        use noida::kafka;
    "##;
    let found = scan(text, &["here".to_owned()]);
    let used: Vec<&str> = found.used.keys().map(String::as_str).collect();
    assert_eq!(used, ["alpha", "beta", "delta", "epsilon", "gamma", "zeta"]);
    assert_eq!(found.used["delta"], 5);
    assert_eq!((found.rdkafka, found.noida), (vec![8], vec![9]));
}

/// Every source with the path of the module it holds; the crate's roots have none.
fn sources() -> Vec<(PathBuf, Vec<String>)> {
    fn walk(dir: &Path, module: &[String], into: &mut Vec<(PathBuf, Vec<String>)>) {
        for entry in fs::read_dir(dir).expect("src can be listed") {
            let path = entry.expect("src can be listed").path();
            let name = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
            let below: Vec<String> = module.iter().cloned().chain([name.clone()]).collect();
            if path.is_dir() {
                walk(&path, &below, into);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let own = name == "mod" || (module.is_empty() && ["lib", "main"].contains(&name.as_str()));
                into.push((path, if own { module.to_vec() } else { below }));
            }
        }
    }
    let mut all = vec![];
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &[], &mut all);
    all.sort();
    all
}

#[derive(Debug, Default)]
struct Found {
    /// Top-level names reached from the crate's root, with a line each.
    used: BTreeMap<String, usize>,
    rdkafka: Vec<usize>,
    noida: Vec<usize>,
    paths: usize,
}

fn scan(text: &str, module: &[String]) -> Found {
    let tokens = tokens(text);
    let word = |at: usize| tokens.get(at).map_or("", |(word, _)| word.as_str());
    let mut found = Found::default();
    // The depth of braces at which each inline module around this token began.
    let (mut inline, mut braces) = (vec![], 0_usize);
    let mut at = 0;
    while at < tokens.len() {
        match word(at) {
            "{" => braces += 1,
            "}" => {
                braces = braces.saturating_sub(1);
                if inline.last() == Some(&braces) {
                    inline.pop();
                }
            }
            "mod" if word(at + 2) == "{" => inline.push(braces),
            "rdkafka" => found.rdkafka.push(tokens[at].1),
            "noida" => found.noida.push(tokens[at].1),
            "crate" | "super" | "self" if word(at + 1) == "::" => {
                found.paths += 1;
                let (mut up, mut next) = (usize::from(word(at) == "super"), at + 2);
                while word(next) == "super" && word(next + 1) == "::" {
                    (up, next) = (up + 1, next + 2);
                }
                if word(at) == "crate" || (up > 0 && up == module.len() + inline.len()) {
                    heads(&tokens, next, &mut found.used);
                }
                at = next;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The first name of a path, or of each branch of the `use` tree that starts here.
fn heads(tokens: &[(String, usize)], start: usize, used: &mut BTreeMap<String, usize>) {
    let mut keep = |at: usize| {
        if let Some((word, line)) = tokens.get(at) {
            used.entry(word.clone()).or_insert(*line);
        }
    };
    if tokens.get(start).is_none_or(|(word, _)| word != "{") {
        return keep(start);
    }
    let mut depth = 0;
    for (at, (word, _)) in tokens.iter().enumerate().skip(start) {
        match word.as_str() {
            "{" => {
                depth += 1;
                if depth == 1 {
                    keep(at + 1);
                }
            }
            "}" if depth == 1 => return,
            "}" => depth -= 1,
            "," if depth == 1 && tokens.get(at + 1).is_some_and(|(next, _)| next != "}") => keep(at + 1),
            _ => {}
        }
    }
}

/// Words, `::` and single marks with their lines, without comments, strings and characters.
fn tokens(text: &str) -> Vec<(String, usize)> {
    let mut found = vec![];
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = raw_string(rest) {
            length
        } else if first == '"' {
            quoted(rest)
        } else if first == '\'' {
            character(rest)
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            found.push((rest[..length].to_owned(), line));
            length
        } else if rest.starts_with("::") {
            found.push(("::".to_owned(), line));
            2
        } else {
            if !first.is_whitespace() {
                found.push((first.to_string(), line));
            }
            first.len_utf8()
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    loop {
        let next = |mark| text[at..].find(mark).unwrap_or(usize::MAX);
        let (open, close) = (next("/*"), next("*/"));
        if close == usize::MAX {
            return text.len();
        }
        at += open.min(close) + 2;
        depth += if open < close { 1 } else { -1 };
        if depth == 0 {
            return at;
        }
    }
}

fn raw_string(text: &str) -> Option<usize> {
    let body = text.strip_prefix('b').unwrap_or(text).strip_prefix('r')?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let inside = body[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let length = inside.find(&close).map_or(inside.len(), |end| end + close.len());
    Some(text.len() - inside.len() + length)
}

fn quoted(text: &str) -> usize {
    let mut escaped = true;
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => return at + 1,
            '\\' if !escaped => escaped = true,
            _ => escaped = false,
        }
    }
    text.len()
}

/// A character literal, or just the mark of a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((at, c))) => {
            let after = at + c.len_utf8();
            text[after..].find('\'').map_or(after, |end| after + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}
