//! Topics of others as sources of tasks, on a real broker and registry, from the outside.

mod confluent;
mod kills;
mod letters;
mod templates;

use super::support::{Partitioner, Scratch, Send, Sender, post};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use serde_json::{Value, json};
use std::time::Duration;

/// What should take a moment, on a machine that is busy.
const SOON: Duration = Duration::from_secs(40);

/// A topic that is none of Baton's: its name does not begin with the prefix and a dot.
fn foreign(scratch: &Scratch, name: &str) -> String {
    format!("{}-{name}", scratch.prefix)
}

/// Makes such a topic.
#[track_caller]
fn create(scratch: &Scratch, name: &str, partitions: i32, settings: &[(&str, &str)]) -> String {
    let topic = foreign(scratch, name);
    let admin: AdminClient<_> = ClientConfig::new()
        .set("bootstrap.servers", &scratch.stack.bootstrap)
        .create()
        .expect("an admin client is built");
    let new = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
    let new = settings.iter().fold(new, |new, (setting, value)| new.set(setting, value));
    let made = super::support::runtime().block_on(admin.create_topics([&new], &AdminOptions::new()));
    made.expect("the broker answers").remove(0).expect("the topic is made");
    topic
}

/// Registers a JSON Schema as any client does and gives its id.
#[track_caller]
fn register_json(scratch: &Scratch, subject: &str, schema: &Value) -> u32 {
    let url = format!("{}/subjects/{subject}/versions", scratch.stack.registry);
    let mut schema = schema.clone();
    // Some registries do not believe the type without it.
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    let body = json!({ "schema": schema.to_string(), "schemaType": "JSON" });
    let said = post(&url, &body, Duration::from_secs(10)).expect("the registry answers");
    let body: Value = serde_json::from_str(&said.body).expect("the registry speaks JSON");
    body["id"].as_u64().and_then(|id| u32::try_from(id).ok()).unwrap_or_else(|| panic!("{subject}: {body}"))
}

/// JSON in the registry's wire format.
fn framed(id: u32, value: &Value) -> Vec<u8> {
    [&[0], &id.to_be_bytes()[..], value.to_string().as_bytes()].concat()
}

fn sender(scratch: &Scratch) -> Sender {
    Sender::new(scratch.stack, Partitioner::Default)
}
