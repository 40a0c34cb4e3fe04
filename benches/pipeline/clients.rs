//! What runs as processes of their own: load, agents and the probe of latency, with plain clients.

use super::avro::{self, Assignment};
use super::place::{Place, drain, send};
use super::workload::{STEPS, Workload};
use rdkafka::consumer::Consumer as _;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, Producer as _};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Tasks `from..from + many`, as fast as they go.
pub(crate) fn load(place: &Place, workload: Workload, schema: u32, from: usize, many: usize) {
    let (producer, topic) = (place.producer(), place.topic("tasks"));
    for number in from..from + many {
        let id = task_id(number);
        let (objective, input, contract) = workload.task(number);
        let value = avro::task(schema, &id, &objective, &input, &contract);
        send(&producer, BaseRecord::to(&topic).key(&id[..]).payload(&value[..]));
        if number % 1_000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    drain(&producer);
}

fn task_id(number: usize) -> String {
    format!("enquiry-2026-{number:09}")
}

/// All agents of a workload: each assignment is answered at once. Runs until it is killed.
pub(crate) fn agents(place: &Place, workload: Workload, schema: u32, from_start: bool) {
    let topics: Vec<String> = workload.topics().iter().map(|topic| place.topic(topic)).collect();
    let (consumer, producer, status) =
        (place.reader(&topics, from_start), place.producer(), place.topic("agent-status"));
    say("ready");
    loop {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message.expect("assignments can be read");
            let assignment = message.payload().and_then(Assignment::read).expect("an assignment");
            let output = Workload::output(assignment.agent);
            let report = avro::report(schema, &assignment, &output);
            send(&producer, BaseRecord::to(&status).key(assignment.task_id).payload(&report));
        }
        producer.poll(Duration::ZERO);
    }
}

/// Submits tasks at a steady rate and says how long each took to its completion, in milliseconds, sorted.
pub(crate) fn probe(place: &Place, workload: Workload, schema: u32, from: usize, many: usize, per_second: usize) {
    let (producer, topic) = (place.producer(), place.topic("tasks"));
    let consumer = place.reader(&[place.topic("completions")], false);
    // So that the first fetch is under way before the first task.
    consumer.poll(Duration::from_millis(500));
    let interval = Duration::from_secs(1) / u32::try_from(per_second).expect("a rate");
    let (start, mut sent, mut took) = (Instant::now(), HashMap::new(), Vec::with_capacity(many));
    let limit = Duration::from_secs(60) + interval * u32::try_from(many).expect("a count");
    while took.len() < many {
        assert!(start.elapsed() < limit, "{} of {many} tasks ended", took.len());
        let due = start + interval * u32::try_from(sent.len()).expect("a count");
        if sent.len() < many && Instant::now() >= due {
            let id = task_id(from + sent.len());
            let (objective, input, contract) = workload.task(from + sent.len());
            let value = avro::task(schema, &id, &objective, &input, &contract);
            sent.insert(id.clone(), Instant::now());
            send(&producer, BaseRecord::to(&topic).key(&id[..]).payload(&value[..]));
            continue;
        }
        producer.poll(Duration::ZERO);
        let wait = if sent.len() < many { due.saturating_duration_since(Instant::now()) } else { interval };
        if let Some(message) = consumer.poll(wait) {
            let message = message.expect("completions can be read");
            let key = message.key().and_then(|key| std::str::from_utf8(key).ok()).expect("a task id");
            if let Some(at) = sent.get(key) {
                took.push(at.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took[((took.len() - 1) as f64 * share).round() as usize];
    say(&format!("{:.1} {:.1} {:.1}", at(0.5), at(0.99), at(1.0)));
}

/// Inputs of one task.
pub(crate) const INPUTS_PER_TASK: usize = 1 + STEPS;

/// A line for whoever started this process.
pub(crate) fn say(line: &str) {
    use std::io::Write as _;
    println!("{line}");
    std::io::stdout().flush().expect("someone listens");
}
