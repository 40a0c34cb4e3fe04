//! `baton agents register`: every definition is checked before any is sent.

use super::files;
use super::table::Table;
use crate::agent::definition::compile;
use crate::cli::Done;
use crate::cli::context::{Context, WrongUse};
use crate::cli::output;
use crate::contract::{
    CE_ID, CE_SOURCE, CE_SPECVERSION, CE_TYPE, CONTENT_TYPE, ContractNames, FORCED, RecordKind, TopicSpec,
    assignment_topic,
};
use crate::kafka::admin::{self, Admin};
use crate::kafka::produce::{Outgoing, PlainProducer};
use crate::selection::{Agent, same_name};
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A definition that is known to be sound.
struct Sound {
    place: String,
    json: String,
    agent: Agent,
}

impl Sound {
    /// In words: where it is from, and whose it is.
    fn told(&self) -> String {
        format!("{} ({})", self.place, self.agent.name())
    }
}

pub(super) async fn run(context: &Context, files: &[PathBuf], force: bool) -> anyhow::Result<Done> {
    let (mut sound, mut faults): (Vec<Sound>, Vec<String>) = (Vec::new(), Vec::new());
    let registry = context.registry()?;
    let names = ContractNames::new();
    for given in files::read(files, &mut faults) {
        let definition = match given.definition {
            Ok(definition) => definition,
            Err(fault) => {
                faults.push(format!("{}: {fault}", given.place));
                continue;
            }
        };
        let agent_name = definition.agent_name.trim().to_owned();
        let checked = compile(&given.key, &definition, &names, &registry).await;
        match checked.with_context(|| format!("{}: its contracts cannot be looked up", given.place))? {
            Ok(agent) => sound.push(Sound { place: given.place, json: given.json, agent }),
            Err(found) => faults.extend(found.iter().map(|fault| format!("{} ({agent_name}): {fault}", given.place))),
        }
    }
    let table = Table::read(context).await?;
    collisions(&sound, &table, &mut faults);
    if !force {
        breaks(&sound, &table, &mut faults);
    }
    if !faults.is_empty() {
        return Err(
            WrongUse(format!("nothing was registered, for there are faults:\n  - {}", faults.join("\n  - "))).into()
        );
    }
    send(context, &sound, force).await?;
    Ok(Done::Well)
}

/// Two names with one topic would take each other's place.
fn collisions(sound: &[Sound], table: &Table, faults: &mut Vec<String>) {
    let mut seen: BTreeMap<&str, &Sound> = BTreeMap::new();
    for one in sound {
        let key = one.agent.topic_name();
        if let Some(first) = seen.insert(key, one) {
            faults.push(format!("{}: has the topic name `{key}`, as {} has; rename one", one.told(), first.told()));
        }
        let taken = table.entries.iter().find(|entry| entry.key == key).and_then(|entry| entry.agent_name.as_deref());
        if let Some(other) = taken.filter(|other| !same_name(other, one.agent.name())) {
            faults.push(format!(
                "{}: the topic name `{key}` is taken by the agent {other:?}; choose another name, or `baton agents unregister \
                 {key}` first",
                one.told()
            ));
        }
    }
}

/// Within a major version a definition may not break what the one before it promised.
fn breaks(sound: &[Sound], table: &Table, faults: &mut Vec<String>) {
    for one in sound {
        let broken = table.before.broken_by(&one.agent);
        faults.extend(broken.iter().map(|fault| format!("{}: {fault}", one.told())));
    }
}

async fn send(context: &Context, sound: &[Sound], force: bool) -> anyhow::Result<()> {
    let producer = PlainProducer::new(&context.config.kafka, "agents")?;
    let admin = Admin::new(&context.config.kafka)?;
    let spec =
        TopicSpec::built_in().iter().find(|spec| spec.per_agent).context("the topics compiled in lack assignments")?;
    for one in sound {
        let (key, name) = (one.agent.topic_name(), one.agent.name());
        let value = Some(one.json.clone().into_bytes());
        let headers = [
            (CE_SPECVERSION, "1.0"),
            (CE_ID, key),
            (CE_TYPE, RecordKind::AgentDefinition.full_name()),
            (CE_SOURCE, "baton/agents"),
            (CONTENT_TYPE, "application/json"),
        ];
        let forced = force.then_some((FORCED, "true"));
        let headers = headers.into_iter().chain(forced);
        let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect();
        let record =
            Outgoing { topic: context.topic("agents"), partition: None, key: Some(key.into()), value, headers };
        producer.send(&record).await.with_context(|| format!("registering {name}"))?;
        let topic = assignment_topic(&context.config.kafka.prefix, key);
        let partitions = context.config.kafka.partitions.unwrap_or(spec.partitions);
        let wanted = admin::TopicSpec { name: topic.clone(), partitions, config: spec.config.clone() };
        // The worker creates it too; here it is there at once, for the agent that starts next.
        if let Err(fault) = admin.ensure(&wanted).await {
            output::note(format!("warning: the topic {topic} could not be created ({fault}); a worker will try again"));
        }
        output::line(format!("registered {} (reads {topic})", output::safe(name)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::{Resolved, topic_name};

    fn sound(place: &str, name: &str, version: &str, takes: &str) -> Sound {
        let mut definition = crate::selection::Definition::new(name);
        (definition.description, definition.version) = ("does what it does".to_owned(), version.to_owned());
        let (key, takes) = (topic_name(name, 1), Resolved::Label(takes.to_owned()));
        let agent = Agent::compile(&key, definition, takes, Resolved::Any).expect("a sound definition");
        Sound { place: place.to_owned(), json: String::new(), agent }
    }

    #[test]
    fn two_names_with_one_topic_are_refused() {
        let mut faults = Vec::new();
        let both = [sound("a", "Lead Scorer", "1.0.0", "any"), sound("b", "lead-scorer", "1.0.0", "any")];
        collisions(&both, &Table::default(), &mut faults);
        assert!(faults[0].contains("as a (Lead Scorer) has"), "{faults:?}");
    }

    #[test]
    fn what_breaks_the_registered_definition_is_refused_by_file_and_name() {
        let (mut faults, mut table) = (Vec::new(), Table::default());
        table.before.succeed(sound("", "Lead Scorer", "1.0.0", "lead").agent, false).expect("it is the first");
        breaks(&[sound("new.json", "Lead Scorer", "1.1.0", "lead")], &table, &mut faults);
        assert_eq!(faults, [""; 0]);
        breaks(&[sound("new.json", "Lead Scorer", "1.1.0", "form")], &table, &mut faults);
        assert!(faults.len() == 1 && faults[0].starts_with("new.json (Lead Scorer): input.contract"), "{faults:?}");
    }
}
