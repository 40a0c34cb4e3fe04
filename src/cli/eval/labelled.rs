//! Tasks whose agent is known, as lines of JSON.

use crate::cli::context::WrongUse;
use crate::selection::{Agent, same_name};
use anyhow::Context as _;
use serde::Deserialize;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Faults told at once: who has more has another file in mind.
const MOST_FAULTS: usize = 20;

/// A task with the agent that is right for it.
#[derive(Debug, PartialEq)]
pub(super) struct Labelled {
    /// From 1.
    pub(super) line: usize,
    pub(super) text: String,
    /// None = none of them is.
    pub(super) agent: Option<String>,
    pub(super) capability: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    text: String,
    agent: Option<String>,
    capability: Option<String>,
}

/// Everything in a file; `-` is standard input.
pub(super) fn read(path: &Path, agents: &[Arc<Agent>]) -> anyhow::Result<Vec<Labelled>> {
    let name = path.display();
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().lock().read_to_string(&mut text).context("standard input cannot be read")?;
    } else {
        text = std::fs::read_to_string(path).map_err(|error| WrongUse(format!("{name} cannot be read: {error}")))?;
    }
    let labelled = parse(&text, agents).map_err(|mut faults| {
        let more = faults.len().saturating_sub(MOST_FAULTS);
        faults.truncate(MOST_FAULTS);
        let more = if more == 0 { String::new() } else { format!("\n  and {more} more") };
        WrongUse(format!("{name} has faults:\n  - {}{more}", faults.join("\n  - ")))
    })?;
    if labelled.is_empty() {
        return Err(WrongUse(format!("{name} holds nothing; give one JSON object a line")).into());
    }
    Ok(labelled)
}

fn parse(text: &str, agents: &[Arc<Agent>]) -> Result<Vec<Labelled>, Vec<String>> {
    let (mut labelled, mut faults) = (Vec::new(), Vec::new());
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        match one(line, agents) {
            Ok(Line { text, agent, capability }) => {
                labelled.push(Labelled { line: number + 1, text, agent, capability });
            }
            Err(fault) => faults.push(format!("line {}: {fault}", number + 1)),
        }
    }
    if faults.is_empty() { Ok(labelled) } else { Err(faults) }
}

fn one(line: &str, agents: &[Arc<Agent>]) -> Result<Line, String> {
    let line: Line = serde_json::from_str(line).map_err(|error| {
        format!("{error}; give e.g. {{\"text\": \"score the lead\", \"agent\": \"Lead Scorer\", \"capability\": null}}")
    })?;
    if line.text.trim().is_empty() {
        return Err("`text` is blank; give the task's words".to_owned());
    }
    match &line.agent {
        Some(name) if !agents.iter().any(|agent| same_name(agent.name(), name)) => {
            let known: Vec<&str> = agents.iter().take(MOST_FAULTS).map(|agent| agent.name()).collect();
            let known = known.join(", ");
            Err(format!("no agent is called `{}`; there are {known}", name.escape_debug()))
        }
        _ => Ok(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::definition::by_texts;
    use crate::contract::AgentDefinition;

    fn agents() -> Vec<Arc<Agent>> {
        vec![Arc::new(by_texts(&AgentDefinition::new("Clerk", "files papers")).expect("sound"))]
    }

    #[test]
    fn a_line_names_an_agent_or_none() {
        let text = "{\"text\":\"file it\",\"agent\":\"clerk\",\"capability\":\"file\"}\n\n{\"text\":\"sing\",\"agent\":null}\n";
        let read = parse(text, &agents()).expect("sound");
        let known = Labelled {
            line: 1,
            text: "file it".to_owned(),
            agent: Some("clerk".to_owned()),
            capability: Some("file".to_owned()),
        };
        assert_eq!(read[0], known);
        assert_eq!((read[1].line, &read[1].agent), (3, &None));
    }

    #[test]
    fn every_bad_line_is_told_with_its_number() {
        let text = "{\"text\":\"a\"\n{\"text\":\"a\",\"agnt\":\"clerk\"}\n{\"text\":\" \"}\n{\"text\":\"a\",\"agent\":\"cook\"}";
        let faults = parse(text, &agents()).expect_err("four faults");
        for (fault, part) in
            faults.iter().zip(["line 1: EOF", "line 2: unknown field `agnt`", "line 3: `text`", "line 4:"])
        {
            assert!(fault.starts_with(part), "{fault}");
        }
        assert!(faults[3].contains("`cook`") && faults[3].contains("Clerk"), "{}", faults[3]);
    }
}
