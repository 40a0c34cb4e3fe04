//! Assignments as Baton writes them, of a size that is met: a text of a few hundred bytes and one earlier result.

use super::avro::Writer;
use super::place::{Place, drain, send};
use super::support::{self, Scratch};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn name(number: usize) -> String {
    format!("Letter Writer {number}")
}

/// A topic's name, without the prefix.
pub(crate) fn topic(number: usize) -> String {
    format!("assignments.letter-writer-{number}")
}

/// A definition, as `baton agents register` takes it.
pub(crate) fn agent(number: usize, url: &str) -> Value {
    json!({
        "agentName": name(number),
        "description": "Writes letters for the sales desk.",
        "capabilities": ["write a letter"],
        "input": { "format": "application/json", "contract": "enquiry" },
        "output": { "format": "application/json", "contract": "letter" },
        "endpoint": format!("{url}/{number}"),
    })
}

/// The id of an assignment's schema.
pub(crate) fn schema(scratch: &Scratch) -> u32 {
    let topic = scratch.topic("assignments");
    let url = format!("{}/subjects/{topic}-value/versions/latest", scratch.stack.registry);
    let (_, body) = support::get(&url).expect("the registry answers");
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    answer["id"].as_u64().and_then(|id| u32::try_from(id).ok()).unwrap_or_else(|| panic!("{url}: {body}"))
}

/// Writes assignments `from..from + many`, by turns for each agent; gives how many bytes their values have.
pub(crate) fn write(place: &Place, schema: u32, topics: &[String], from: usize, many: usize) -> usize {
    let producer = place.producer();
    let mut bytes = 0;
    for number in from..from + many {
        let (agent, id) = (number % topics.len(), format!("enquiry-2026-{number:09}"));
        let value = assignment(schema, number, &id, &name(agent));
        bytes += value.len();
        send(&producer, BaseRecord::to(&topics[agent]).key(&id[..]).payload(&value[..]).headers(headers(&id)));
        if number % 1_000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    drain(&producer);
    bytes
}

fn assignment(schema: u32, number: usize, task: &str, agent: &str) -> Vec<u8> {
    let input = format!(
        "{{\"company\":\"Customer {}\",\"contact\":{{\"name\":\"Person {number}\",\"mail\":\"person{number}@example.org\"}},\
         \"message\":\"{}\",\"employees\":{},\"country\":\"DE\"}}",
        number % 977,
        "We ordered twelve units in March and ask for a word on payment terms. Please call back this week. ".repeat(7),
        number % 5_000
    );
    let earlier = format!("{{\"score\":87,\"why\":\"{}\"}}", "It says by when it wants what we sell. ".repeat(8));
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_millis() as i64 + 3_600_000;
    // assignmentId, taskId, stepId, agentName, agentVersion; attempt; effectKey, objective; input.
    let head = Writer::new(schema).text(&format!("{task}~{}-{number}~1~1", number % 6)).text(task).text("1");
    let head = head.text(agent).text("1.0.0").long(1).text(&format!("{task}~1"));
    let head = head.text("Answer this enquiry: check the company, score it and write a reply.").some(&input);
    // One item of context; outputContract; priority; attemptDeadline; taskDeadline, feedback, reportUrl.
    let head = head.long(1).text("0").text("Scorer").text(&earlier).zeros(1).zeros(1).long(5);
    head.long(1).long(deadline).zeros(3).done()
}

/// As many as Baton's have.
fn headers(id: &str) -> OwnedHeaders {
    let headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", id),
        ("ce_type", "io.baton.v1.Assignment"),
        ("ce_source", "baton/orchestrator/worker-1"),
        ("ce_time", "2026-01-31T12:00:00.000Z"),
        ("content-type", "application/avro"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ];
    let add = |all: OwnedHeaders, (key, value)| all.insert(Header { key, value: Some(value) });
    headers.into_iter().fold(OwnedHeaders::new_with_capacity(7), add)
}
