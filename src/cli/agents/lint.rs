//! `baton agents lint`: what is wrong, or likely to go wrong, with definitions, registered or in files.

use super::files;
use super::table::Table;
use crate::agent::definition::compile_alone;
use crate::cli::Done;
use crate::cli::args::LintArgs;
use crate::cli::context::{Context, WrongUse};
use crate::cli::output::{self, Format};
use crate::selection::{self, Fault, Finding, Registry, Severity};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::Url;

/// How long an endpoint is waited for: it is to answer far sooner when it gets work.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn run(context: &Context, args: LintArgs) -> anyhow::Result<Done> {
    let registry = if args.files.is_empty() { Table::read(context).await?.registry() } else { of_files(&args)? };
    let findings = lint(&registry, !args.offline).await;
    let rows: Vec<Value> = findings.iter().map(row).collect();
    let columns = [
        ("SEVERITY", "/severity"),
        ("AGENT", "/agentName"),
        ("RULE", "/rule"),
        ("FIELD", "/field"),
        ("MESSAGE", "/message"),
    ];
    let faults = findings.iter().filter(|finding| finding.severity == Severity::Fault).count();
    if args.format.format == Format::Json || !rows.is_empty() {
        output::listing(args.format.format, &columns, &rows)?;
    }
    if args.format.format == Format::Table {
        let (agents, warnings) = (registry.entries().count(), findings.len() - faults);
        output::note(format!("{agents} definitions, {faults} faults, {warnings} warnings"));
    }
    let fails = faults > 0 || (args.strict && !findings.is_empty());
    Ok(if fails { Done::Badly } else { Done::Well })
}

/// Everything found, with endpoints nobody listens at if the network is to be asked.
pub(in crate::cli) async fn lint(registry: &Registry, network: bool) -> Vec<Finding> {
    let mut findings = selection::lint(registry);
    if network {
        let unreachable = unreachable(registry).await;
        findings.splice(0..0, unreachable);
    }
    findings
}

fn row(finding: &Finding) -> Value {
    let severity = match finding.severity {
        Severity::Fault => "fault",
        Severity::Warning => "warning",
    };
    json!({
        "severity": severity,
        "rule": finding.rule,
        "agentName": finding.agent_name,
        "topicName": finding.topic_name,
        "field": finding.field,
        "message": finding.message,
    })
}

/// The definitions of files as a registry would have them, contracts' names taken for labels.
fn of_files(args: &LintArgs) -> Result<Registry, WrongUse> {
    let (mut entries, mut unread) = (BTreeMap::new(), Vec::new());
    let given = files::read(&args.files, &mut unread);
    if !unread.is_empty() {
        return Err(WrongUse(unread.join("\n")));
    }
    for given in given {
        let (name, version, checked) = match &given.definition {
            Ok(wire) => (wire.agent_name.clone(), wire.version.clone(), compile_alone(&given.key, wire)),
            Err(fault) => (given.place.clone(), String::new(), Err(vec![fault.clone()])),
        };
        let fault = |faults: Vec<String>| {
            let faults = faults.into_iter().map(|fault| format!("{fault} (in {})", given.place)).collect();
            Fault { agent_name: name.clone(), version: version.clone(), faults }
        };
        // Those without a name that can be read have no key either.
        let key = if given.key.is_empty() { given.place.clone() } else { given.key.clone() };
        if entries.contains_key(&key) {
            let twice = format!("agentName `{name}` has the topic name `{key}`, as another definition has: rename one");
            entries.insert(given.place.clone(), Err(fault(vec![twice])));
            continue;
        }
        entries.insert(key, checked.map(Arc::new).map_err(fault));
    }
    Ok(Registry::new(entries))
}

/// Endpoints that nobody listens at. Nothing is sent to them: a request would be an assignment.
async fn unreachable(registry: &Registry) -> Vec<Finding> {
    let mut asked = JoinSet::new();
    for agent in registry.current() {
        let Some(endpoint) = agent.definition().endpoint.clone() else { continue };
        let (agent_name, topic_name) = (agent.name().to_owned(), agent.topic_name().to_owned());
        asked.spawn(async move {
            let why = connect(&endpoint).await.err()?;
            let message =
                format!("{endpoint} cannot be reached from here ({why}): start the agent, or correct the URL");
            Some(Finding {
                severity: Severity::Fault,
                rule: "endpoint",
                agent_name,
                topic_name,
                field: "endpoint".to_owned(),
                message,
            })
        });
    }
    let mut found: Vec<Finding> = asked.join_all().await.into_iter().flatten().collect();
    found.sort_by(|a, b| (&a.agent_name, &a.topic_name).cmp(&(&b.agent_name, &b.topic_name)));
    found
}

async fn connect(endpoint: &str) -> Result<(), String> {
    let url = Url::parse(endpoint).map_err(|error| error.to_string())?;
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = url.port_or_known_default().unwrap_or(80);
    match timeout(PATIENCE, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::FormatArgs;
    use std::path::PathBuf;

    fn args(files: Vec<PathBuf>) -> LintArgs {
        LintArgs { files, offline: false, strict: false, format: FormatArgs { format: Format::Json } }
    }

    #[tokio::test]
    async fn definitions_in_files_are_judged_together_and_endpoints_only_connected_to() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let there = format!("http://{}/run", listener.local_addr().unwrap());
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let nowhere = format!("http://{}/run", gone.local_addr().unwrap());
        drop(gone);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agents.json");
        let definitions = json!([
            {"agentName": "There", "description": "reads letters", "endpoint": there},
            {"agentName": "Nowhere", "description": "counts words", "endpoint": nowhere},
            {"agentName": "nowhere", "description": "does it again"},
            {"agentName": "Bad", "description": "x", "version": "one", "maxConcurrency": 0},
            {"agentName": "Odd", "descripton": "x"},
        ]);
        std::fs::write(&file, definitions.to_string()).unwrap();
        let registry = of_files(&args(vec![file])).unwrap();
        let faults = |findings: Vec<Finding>| -> Vec<String> {
            let all = findings.into_iter().filter(|finding| finding.severity == Severity::Fault);
            all.map(|finding| format!("{} {} {}", finding.agent_name, finding.rule, finding.field)).collect()
        };
        let told = faults(lint(&registry, true).await);
        assert_eq!(told[0], "Nowhere endpoint endpoint", "{told:?}");
        let offline = faults(lint(&registry, false).await);
        assert_eq!(told[1..], offline);
        for part in ["Bad definition version", "Bad definition maxConcurrency", "nowhere definition agentName"] {
            assert!(offline.iter().any(|fault| fault == part), "{part}: {offline:?}");
        }
        assert!(offline.iter().any(|fault| fault.contains("agents.json[4] definition")), "{offline:?}");
        listener.set_nonblocking(true).unwrap();
        let (mut caller, _) = listener.accept().unwrap();
        let mut sent = String::new();
        std::io::Read::read_to_string(&mut caller, &mut sent).unwrap();
        assert_eq!(sent, "", "an agent takes a request for an assignment");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_wrong_use() {
        assert!(of_files(&args(vec![PathBuf::from("/none.json")])).is_err());
    }
}
