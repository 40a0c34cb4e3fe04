//! `baton agents register`: every definition is checked before any is sent.

use super::table::Table;
use crate::agent::definition::compile;
use crate::cli::Done;
use crate::cli::context::{Context, WrongUse};
use crate::cli::output;
use crate::contract::{
    CE_ID, CE_SOURCE, CE_SPECVERSION, CE_TYPE, CONTENT_TYPE, Codec, ContractNames, Definition, FORCED, RawRecord,
    RecordKind, TopicSpec, assignment_topic,
};
use crate::kafka::admin::{self, Admin};
use crate::kafka::produce::{Outgoing, PlainProducer};
use crate::selection::{Agent, Version, same_name, topic_name};
use anyhow::Context as _;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// One definition as a file has it.
struct Given {
    /// The file, and which one in it.
    place: String,
    json: String,
}

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
    let codec = Codec::new(&context.config.kafka.prefix, [], Arc::default());
    for given in read(files, &mut faults) {
        let key = key_of(&given.json);
        let definition = match decode(&codec, &key, &given.json) {
            Ok(definition) => definition,
            Err(fault) => {
                faults.push(format!("{}: {fault}", given.place));
                continue;
            }
        };
        let agent_name = definition.agent_name.trim().to_owned();
        let checked = compile(&key, &definition, &names, &registry).await;
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

fn read(files: &[PathBuf], faults: &mut Vec<String>) -> Vec<Given> {
    let mut all = Vec::new();
    for path in files {
        let name = path.display();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                faults.push(format!("{name}: cannot be read ({error}); give a JSON file"));
                continue;
            }
        };
        match serde_json::from_str::<OneOrMany<'_>>(text.trim_start_matches('\u{feff}')) {
            Ok(OneOrMany(many)) if many.len() == 1 => {
                all.extend(many.iter().map(|json| Given { place: name.to_string(), json: json.get().to_owned() }));
            }
            Ok(OneOrMany(many)) => all.extend(
                many.iter()
                    .enumerate()
                    .map(|(i, json)| Given { place: format!("{name}[{i}]"), json: json.get().to_owned() }),
            ),
            Err(error) => faults.push(format!("{name}: {error}; give one definition, or an array of them")),
        }
    }
    all
}

/// An object, or an array of anything: what is wrong with an item is said by the contract.
struct OneOrMany<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for OneOrMany<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let whole: &RawValue = Deserialize::deserialize(deserializer)?;
        if whole.get().starts_with('[') {
            return serde_json::from_str(whole.get()).map(Self).map_err(serde::de::Error::custom);
        }
        Ok(Self(vec![whole]))
    }
}

/// The key it belongs under; empty where name or version cannot be read, which the checks then say.
fn key_of(json: &str) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Named {
        agent_name: String,
        #[serde(default = "first")]
        version: String,
    }
    fn first() -> String {
        "1.0.0".to_owned()
    }
    let named = serde_json::from_str::<Named>(json).ok();
    let key = |named: Named| Some(topic_name(&named.agent_name, Version::parse(&named.version)?.major));
    named.and_then(key).unwrap_or_default()
}

fn decode(codec: &Codec, key: &str, json: &str) -> Result<Box<crate::contract::AgentDefinition>, String> {
    let raw = RawRecord {
        topic: "agents",
        partition: 0,
        offset: 0,
        timestamp_ms: 0,
        key: Some(key.as_bytes()),
        value: Some(json.as_bytes()),
        arrived: None,
    };
    match codec.decode_definition(&raw) {
        Ok(record) => match record.definition {
            Definition::Registered(definition) => Ok(definition),
            Definition::Faulty { fault, .. } => Err(fault.detail),
            Definition::Unregistered => Err("is null; give a definition".to_owned()),
        },
        Err(id) => Err(format!("needs the schema {id}; give JSON")),
    }
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
    use crate::selection::Resolved;

    #[test]
    fn a_file_holds_one_definition_or_an_array_of_them() {
        let many = |text: &str| serde_json::from_str::<OneOrMany<'_>>(text).map(|many| many.0.len()).ok();
        assert_eq!(many("{\"agentName\":\"a\"}"), Some(1));
        assert_eq!(many("[{}, {}]"), Some(2));
        assert_eq!(many("[{}"), None);
    }

    #[test]
    fn the_key_is_the_topic_name_of_name_and_version() {
        assert_eq!(key_of("{\"agentName\":\"Lead Scorer\",\"version\":\"2.1.0\"}"), "lead-scorer.v2");
        assert_eq!(key_of("{\"agentName\":\"a\",\"version\":\"new\"}"), "");
    }

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
