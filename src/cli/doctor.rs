//! `baton doctor`: looks at everything a worker needs and says what to do. It changes nothing.

mod experiments;
mod llm;
mod sources;

use super::Done;
use super::agents::lint::lint;
use super::agents::table::{Entry, Table};
use super::args::FormatArgs;
use super::context::Context;
use super::desired::{self, Difference};
use super::output::{self, Format};
use crate::contract::{TopicSpec, assignment_topic};
use crate::kafka::admin::Admin;
use crate::selection::Severity;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What was looked at, line by line.
#[derive(Debug, Default)]
struct Report {
    rows: Vec<Value>,
    failed: bool,
}

impl Report {
    fn well(&mut self, what: &str, detail: impl Into<String>) {
        self.say("ok", what, detail.into());
    }

    /// It works, and is perhaps not meant so.
    fn odd(&mut self, what: &str, detail: impl Into<String>) {
        self.say("warning", what, detail.into());
    }

    /// It does not work; `detail` says what to do.
    fn bad(&mut self, what: &str, detail: impl Into<String>) {
        self.failed = true;
        self.say("FAILED", what, detail.into());
    }

    fn say(&mut self, state: &str, what: &str, detail: String) {
        self.rows.push(json!({ "state": state, "what": what, "detail": detail }));
    }
}

pub(super) async fn run(context: &Context, args: FormatArgs) -> anyhow::Result<Done> {
    let mut report = Report::default();
    let specs = TopicSpec::built_in();
    let brokers = brokers(context, specs, &mut report).await;
    let registry = registry(context, specs, &mut report).await;
    if brokers && registry {
        agents(context, specs, &mut report).await;
        experiments::check(context, &mut report).await;
    } else {
        report.odd("agents", "not looked at: brokers, topics and registry come first");
    }
    if brokers {
        sources::check(context, &mut report).await;
    }
    llm::check(&context.config.llm, &mut report).await;
    let columns = [("STATE", "/state"), ("WHAT", "/what"), ("DETAIL", "/detail")];
    output::listing(args.format, &columns, &report.rows)?;
    if args.format == Format::Table {
        output::note(if report.failed { "not well: see FAILED above" } else { "all is well" });
    }
    Ok(if report.failed { Done::Badly } else { Done::Well })
}

/// Whether brokers answer and have all topics.
async fn brokers(context: &Context, specs: &[TopicSpec], report: &mut Report) -> bool {
    let cluster = match Admin::new(&context.config.kafka) {
        Ok(admin) => admin.cluster().await.map(|cluster| (admin, cluster)),
        Err(fault) => Err(fault),
    };
    let (admin, cluster) = match cluster {
        Ok(found) => found,
        Err(fault) => {
            report.bad("brokers", fault.to_string());
            return false;
        }
    };
    let addresses: Vec<&str> = cluster.brokers.values().map(String::as_str).collect();
    report.well("brokers", addresses.join(", "));
    let wanted = desired::topics(context, specs);
    let found = match desired::find(&admin, &wanted).await {
        Ok(found) => found,
        Err(fault) => {
            report.bad("topics", fault.to_string());
            return false;
        }
    };
    let mut complete = true;
    for topic in &wanted {
        let what = format!("topic {}", topic.name);
        match found.differences(topic, &wanted) {
            None => {
                complete = false;
                report.bad(&what, "is not there; run `baton apply`");
            }
            Some(differences) if differences.is_empty() => {
                let partitions = found.topics[&topic.name].partitions;
                report.well(&what, desired::counted(partitions));
            }
            Some(differences) => {
                for difference in differences {
                    match difference {
                        Difference::Wrong(how) => report.bad(&what, how),
                        Difference::Other(how) => report.odd(&what, how),
                    }
                }
            }
        }
    }
    complete
}

/// Whether the registry answers.
async fn registry(context: &Context, specs: &[TopicSpec], report: &mut Report) -> bool {
    let registry = match context.registry() {
        Ok(registry) => registry,
        Err(error) => {
            report.bad("registry", format!("{error:#}"));
            return false;
        }
    };
    for subject in desired::subjects(context, specs) {
        let what = format!("schema {}", subject.name);
        match desired::standing(&registry, &subject).await {
            Err(error) if error.is_retriable() => {
                report.bad("registry", format!("{error}; check registry.url and that the registry runs"));
                return false;
            }
            Err(error) => report.bad(&what, format!("{error}; check registry.url and registry.user")),
            Ok(standing) if !standing.obstacles.is_empty() => {
                let why = standing.obstacles.join("; ");
                report.bad(&what, format!("what is registered does not go with this version: {why}"));
            }
            Ok(standing) => match standing.id {
                None => report.bad(&what, "is not registered; run `baton apply`"),
                Some(_) if standing.level.as_deref() != Some(subject.level.as_str()) => {
                    let (level, wanted) = (standing.level.as_deref().unwrap_or("not set"), subject.level.as_str());
                    report.odd(&what, format!("compatibility is {level}, {wanted} wanted; run `baton apply`"));
                }
                Some(id) => report.well(&what, format!("id {id}, {}", subject.level.as_str())),
            },
        }
    }
    true
}

async fn agents(context: &Context, specs: &[TopicSpec], report: &mut Report) {
    let table = match Table::read(context).await {
        Ok(table) => table,
        Err(error) => return report.bad("agents", format!("{error:#}")),
    };
    if table.entries.is_empty() {
        report.odd("agents", "nobody is registered; run `baton agents register FILE`");
    }
    let topics: BTreeMap<String, i32> = match Admin::new(&context.config.kafka) {
        Ok(admin) => match admin.cluster().await {
            Ok(cluster) => cluster.topics.into_iter().map(|topic| (topic.name, topic.partitions)).collect(),
            Err(fault) => return report.bad("agents", fault.to_string()),
        },
        Err(fault) => return report.bad("agents", fault.to_string()),
    };
    let per_agent = specs.iter().any(|spec| spec.per_agent);
    for entry in &table.entries {
        let what = format!("agent {}", entry.agent_name.as_deref().unwrap_or(&entry.key));
        let topic = assignment_topic(&context.config.kafka.prefix, &entry.key);
        if !entry.faults.is_empty() {
            continue;
        }
        if per_agent && !topics.contains_key(&topic) {
            report.bad(&what, format!("its topic {topic} is not there; register it again, or start a worker"));
        } else {
            report.well(&what, heard(entry));
        }
    }
    for finding in lint(&table.registry(), true).await {
        let (what, message) = (format!("agent {}", finding.agent_name), finding.message);
        match finding.severity {
            Severity::Fault if finding.rule == "definition" => report.bad(&what, format!("is never chosen: {message}")),
            Severity::Fault => report.bad(&what, format!("{}: {message}", finding.field)),
            Severity::Warning => report.odd(&what, format!("{}: {message}", finding.field)),
        }
    }
}

fn heard(entry: &Entry) -> String {
    match entry.heartbeats.len() {
        0 => "never heard of; it counts as alive and is judged by its reports".to_owned(),
        instances => format!("{instances} instances were heard of lately"),
    }
}
