//! `baton apply`: creates what is missing, says what differs, and takes nothing away. Safe to repeat.

use super::Done;
use super::args::ApplyArgs;
use super::context::Context;
use super::desired::{self, Difference, Subject, Topic};
use super::output;
use crate::contract::Registry;
use crate::kafka::admin::{Admin, Creation, TopicSpec};
use serde_json::{Value, json};

/// What was found or done, line by line.
#[derive(Debug, Default)]
struct Report {
    rows: Vec<Value>,
    failed: bool,
}

impl Report {
    fn say(&mut self, what: &str, name: &str, state: &str, detail: impl Into<String>) {
        self.failed |= state == "WRONG";
        self.rows.push(json!({ "what": what, "name": name, "state": state, "detail": detail.into() }));
    }
}

pub(super) async fn run(context: &Context, args: ApplyArgs) -> anyhow::Result<Done> {
    let report = look(context, &desired::specs(args.topics.as_deref())?, args.dry_run).await?;
    let columns = [("WHAT", "/what"), ("NAME", "/name"), ("STATE", "/state"), ("DETAIL", "/detail")];
    output::listing(args.format.format, &columns, &report.rows)?;
    Ok(if report.failed { Done::Badly } else { Done::Well })
}

/// The same for a command that needs all of it there, without a word unless something is wrong.
pub(super) async fn bring_up(context: &Context) -> anyhow::Result<()> {
    let report = look(context, &desired::specs(None)?, false).await?;
    let wrong: Vec<String> = report
        .rows
        .iter()
        .filter(|row| row["state"] == "WRONG")
        .map(|row| {
            format!(
                "{} {}: {}",
                output::cell(row.get("what")),
                output::cell(row.get("name")),
                output::cell(row.get("detail"))
            )
        })
        .collect();
    anyhow::ensure!(wrong.is_empty(), "topics and schemas are not as they must be: {}", wrong.join("; "));
    Ok(())
}

async fn look(context: &Context, specs: &[crate::contract::TopicSpec], dry_run: bool) -> anyhow::Result<Report> {
    let mut report = Report::default();
    topics(context, &desired::topics(context, specs), dry_run, &mut report).await?;
    let registry = context.registry()?;
    for subject in desired::subjects(context, specs) {
        schema(&registry, &subject, dry_run, &mut report).await?;
    }
    Ok(report)
}

async fn topics(context: &Context, wanted: &[Topic], dry_run: bool, report: &mut Report) -> anyhow::Result<()> {
    let admin = Admin::new(&context.config.kafka)?;
    let found = desired::find(&admin, wanted).await?;
    let common = found.common_partitions(wanted);
    let mut missing = Vec::new();
    for topic in wanted {
        match found.differences(topic, wanted) {
            None => {
                // A newcomer must have as many as those that are there, whatever the file says.
                let partitions = common.filter(|_| topic.task_keyed).unwrap_or(topic.partitions);
                missing.push(TopicSpec { name: topic.name.clone(), partitions, config: topic.config.clone() });
            }
            Some(differences) if differences.is_empty() => report.say("topic", &topic.name, "as wanted", ""),
            Some(differences) => {
                for difference in differences {
                    match difference {
                        Difference::Wrong(how) => report.say("topic", &topic.name, "WRONG", how),
                        Difference::Other(how) => report.say("topic", &topic.name, "differs", how),
                    }
                }
            }
        }
    }
    if dry_run {
        for topic in missing {
            report.say("topic", &topic.name, "to create", desired::counted(topic.partitions));
        }
        return Ok(());
    }
    for (name, creation) in admin.create(&missing).await? {
        match creation {
            Creation::Created => {
                let partitions = missing.iter().find(|topic| topic.name == name).map_or(0, |topic| topic.partitions);
                report.say("topic", &name, "created", desired::counted(partitions));
            }
            Creation::Existed => report.say("topic", &name, "as wanted", "created meanwhile by somebody else"),
            Creation::Failed(fault) => report.say("topic", &name, "WRONG", fault.to_string()),
        }
    }
    Ok(())
}

async fn schema(registry: &Registry, subject: &Subject, dry_run: bool, report: &mut Report) -> anyhow::Result<()> {
    let standing = desired::standing(registry, subject).await?;
    let level = subject.level.as_str();
    let is_held = standing.level.as_deref() == Some(level);
    if !standing.obstacles.is_empty() {
        let why = standing.obstacles.join("; ");
        report.say("schema", &subject.name, "WRONG", format!("what is registered does not go with ours: {why}"));
        return Ok(());
    }
    match (standing.id, is_held) {
        (Some(id), true) => report.say("schema", &subject.name, "as wanted", format!("id {id}, {level}")),
        _ if dry_run => {
            let what = if standing.id.is_some() { "to hold to" } else { "to register" };
            report.say("schema", &subject.name, what, level);
        }
        (id, _) => {
            // What is there is held to its level before it is added to; a new subject cannot be before it is there.
            let exists = standing.level.is_some();
            if exists && !is_held {
                registry.set_compatibility(&subject.name, subject.level).await?;
            }
            let registered = match id {
                Some(id) => id,
                None => registry.register(&subject.name, subject.record.schema_text()).await?,
            };
            if !exists {
                registry.set_compatibility(&subject.name, subject.level).await?;
            }
            let state = if id.is_some() { "held" } else { "registered" };
            report.say("schema", &subject.name, state, format!("id {registered}, {level}"));
        }
    }
    Ok(())
}
