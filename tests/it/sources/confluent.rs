//! Confluent's example with its own shapes: a stand-in for its connectors reads predictions and posts them, its five
//! agents answer at once and produce messages, and Baton is in the place of the Flink jobs. The agents' definitions and
//! the sample messages are those under `examples/confluent`.

use super::super::support::{Partitioner, Scratch, Send, Sender, Topic, heavy, runtime, until};
use super::{SOON, create, framed, register_json, sender};
use axum::extract::{Json, Path, State};
use axum::routing::post;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Names as the connectors filter them, and where they post.
const ROUTES: [(&str, &str); 5] = [
    ("Lead Ingestion Agent", "lead-ingestion-agent"),
    ("Lead Scoring Agent", "lead-scoring-agent"),
    ("Active Outreach Agent", "active-outreach-agent"),
    ("Nurture Campaign Agent", "nurture-campaign-agent"),
    ("Send Email Agent", "send-email-agent"),
];

fn example(path: &str) -> String {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/confluent").join(path);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn definitions() -> Vec<Value> {
    ["lead-ingestion", "lead-scoring", "active-outreach", "nurture-campaign", "send-email"]
        .map(|name| serde_json::from_str(&example(&format!("agents/{name}.json"))).expect("it is JSON"))
        .into()
}

/// The value schema of `agent_messages`, and with `agent_name` of `agent_predictions`.
fn record_schema(predictions: bool) -> Value {
    let text = json!({ "oneOf": [{ "type": "null" }, { "type": "string" }] });
    let fields =
        ["company_name", "email", "job_title", "lead_source", "name", "company_website", "project_description"];
    let lead: Value = fields.map(|name| (name.to_owned(), json!({ "type": "string" }))).into_iter().collect();
    let mut schema = json!({
        "title": "Record", "type": "object",
        "properties": {
            "lead_data": { "oneOf": [{ "type": "null" }, {
                "type": "object", "properties": lead,
                "required": ["name", "email", "company_name", "lead_source", "job_title"],
            }] },
            "context": text,
        },
    });
    if predictions {
        schema["properties"]["agent_name"] = schema["properties"]["context"].clone();
    }
    schema
}

/// What an agent makes of a record, as Confluent's do: text, or JSON as text.
fn work(agent: &str, lead: &Value, context: Option<&str>) -> String {
    let to = lead["email"].as_str().unwrap_or_default();
    let mails = |kind: &str| {
        json!({ "campaign_type": kind, "emails": [{ "to": to, "subject": kind, "body": context }] }).to_string()
    };
    match agent {
        "lead-ingestion-agent" => format!(
            "# Report\n{} of {}: {}",
            lead["name"].as_str().unwrap_or_default(),
            lead["company_name"].as_str().unwrap_or_default(),
            lead["project_description"].as_str().unwrap_or_default(),
        ),
        "lead-scoring-agent" => {
            let urgent = context.is_some_and(|report| report.contains("quarter"));
            let next = if urgent { "Actively Engage" } else { "Nurture" };
            json!({ "score": if urgent { 90 } else { 20 }, "next_step": next, "talking_points": [to] }).to_string()
        }
        "active-outreach-agent" => mails("Outreach"),
        "nurture-campaign-agent" => mails("Nurture"),
        "send-email-agent" => format!("Sent to {to}"),
        other => panic!("nobody serves {other}"),
    }
}

/// A record as one of the agents saw it.
#[derive(Clone, Debug)]
struct Asked {
    route: String,
    record: Value,
}

#[derive(Clone)]
struct Agents {
    asked: Arc<Mutex<Vec<Asked>>>,
    say: mpsc::Sender<Value>,
    /// Every agent says what it says twice.
    twice: bool,
}

impl Agents {
    async fn serve(
        State(this): State<Self>,
        Path(route): Path<String>,
        Json(records): Json<Vec<Value>>,
    ) -> &'static str {
        for record in records {
            this.asked
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(Asked { route: route.clone(), record: record.clone() });
            let (this, route) = (this.clone(), route.clone());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                let output = work(&route, &record["lead_data"], record["context"].as_str());
                let message = json!({ "context": output, "lead_data": record["lead_data"] });
                let _ = this.say.send(message.clone());
                if this.twice {
                    tokio::time::sleep(Duration::from_millis(60)).await;
                    let _ = this.say.send(message);
                }
            });
        }
        "ok"
    }
}

/// Connectors and agents; stop with the test.
struct Example {
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Predictions that no connector's filter lets through, and records of another shape.
    strays: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Example {
    fn start(scratch: &Scratch, messages: &str, predictions: &str, schemas: (u32, u32), twice: bool) -> Self {
        let (say, said) = mpsc::channel::<Value>();
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let agents = Agents { asked: Arc::clone(&asked), say, twice };
        let app = axum::Router::new().route("/api/{agent}", post(Agents::serve)).with_state(agents);
        let listener = runtime().block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("some port is free");
        let address = listener.local_addr().expect("it is bound");
        runtime().spawn(async move { axum::serve(listener, app).await });
        let stop = Arc::<AtomicBool>::default();
        let strays = Arc::<Mutex<Vec<String>>>::default();
        let (topic, produced, ended) = (messages.to_owned(), schemas.0, Arc::clone(&stop));
        let sender = Sender::new(scratch.stack, Partitioner::Default);
        let producing = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                if let Ok(message) = said.recv_timeout(Duration::from_millis(50)) {
                    let batch = std::iter::once(message).chain(said.try_iter().collect::<Vec<_>>());
                    sender.send_all(batch.map(|message| Send::to(&topic).bytes(framed(produced, &message))));
                }
            }
        });
        let connector = Connector {
            reader: connector_reader(scratch, predictions),
            schema: schemas.1,
            url: format!("http://{address}/api"),
            strays: Arc::clone(&strays),
        };
        let ended = Arc::clone(&stop);
        let connecting = std::thread::spawn(move || connector.run(&ended));
        Self { asked, strays, stop, threads: vec![producing, connecting] }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn strays(&self) -> Vec<String> {
        self.strays.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn connector_reader(scratch: &Scratch, topic: &str) -> BaseConsumer {
    // As Connect's sinks read by default: what is not committed yet too.
    let reader: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &scratch.stack.bootstrap)
        .set("group.id", scratch.topic("connector"))
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_uncommitted")
        .create()
        .expect("a reader is built");
    let mut all = TopicPartitionList::new();
    for partition in 0..3 {
        all.add_partition_offset(topic, partition, Offset::Beginning).expect("it is a valid offset");
    }
    reader.assign(&all).expect("a reader can be assigned");
    reader
}

/// The five sink connectors in one: each filters on its agent's name and posts an array.
struct Connector {
    reader: BaseConsumer,
    schema: u32,
    url: String,
    strays: Arc<Mutex<Vec<String>>>,
}

impl Connector {
    fn run(&self, stop: &AtomicBool) {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client is built");
        while !stop.load(Ordering::Relaxed) {
            let Some(read) = self.reader.poll(Duration::from_millis(50)) else { continue };
            let message = read.expect("the topic can be read");
            let stray = |what: String| self.strays.lock().unwrap_or_else(PoisonError::into_inner).push(what);
            let Some([0, a, b, c, d, body @ ..]) = message.payload() else {
                stray("not in the registry's wire format".to_owned());
                continue;
            };
            let record: Value = serde_json::from_slice(body).expect("the body is JSON");
            let header = |name: &str| message.headers().is_some_and(|all| all.iter().any(|header| header.key == name));
            let fields: Vec<_> = record.as_object().into_iter().flat_map(|fields| fields.keys()).collect();
            if u32::from_be_bytes([*a, *b, *c, *d]) != self.schema
                || message.key().is_some()
                || fields != ["agent_name", "context", "lead_data"]
                || !header("baton.task")
                || !header("baton.assignment")
            {
                stray(format!("another shape: {record}"));
            }
            let route = ROUTES.iter().find(|(name, _)| record["agent_name"] == *name);
            let Some((_, route)) = route else {
                stray(format!("no filter lets it through: {record}"));
                continue;
            };
            let posted = client.post(format!("{}/{route}", self.url)).json(&[record]).send();
            let answer = runtime().block_on(posted).expect("the agents answer");
            assert_eq!(answer.status().as_u16(), 200);
        }
    }
}

fn lead(number: usize) -> Value {
    let mut message: Value = example("messages.jsonl")
        .lines()
        .nth(number % 2)
        .map(|line| serde_json::from_str(line).expect("it is JSON"))
        .expect("there are two samples");
    message["lead_data"]["email"] = json!(format!("lead-{number}@northwind.example"));
    message
}

/// The task id of a sample, and what its path must be.
fn path(number: usize) -> [&'static str; 4] {
    let third = if number.is_multiple_of(2) { "Active Outreach Agent" } else { "Nurture Campaign Agent" };
    ["Lead Ingestion Agent", "Lead Scoring Agent", third, "Send Email Agent"]
}

const LEADS: usize = 40;

#[test]
fn its_messages_in_and_its_predictions_out_bring_every_lead_to_its_end() {
    let _turn = heavy();
    let scratch = Scratch::new("confluent");
    scratch.apply().register_all(&definitions());
    let (messages, predictions) =
        (create(&scratch, "agent_messages", 2, &[]), create(&scratch, "agent_predictions", 3, &[]));
    let schemas = (
        register_json(&scratch, &format!("{messages}-value"), &record_schema(false)),
        register_json(&scratch, &format!("{predictions}-value"), &record_schema(true)),
    );
    let mut config: toml::Table = example("baton.toml").parse().expect("the example is TOML");
    for section in ["kafka", "registry"] {
        config.remove(section);
    }
    config["confluent"]["messages"] = messages.clone().into();
    config["confluent"]["predictions"] = predictions.clone().into();
    let config = config.to_string();
    let mut one = scratch.worker("a").toml(&config).start();
    let mut other = scratch.worker("b").toml(&config).start();
    let example = Example::start(&scratch, &messages, &predictions, schemas, true);

    let sender = sender(&scratch);
    sender.send_all((0..LEADS / 2).map(|n| Send::to(&messages).bytes(framed(schemas.0, &lead(n)))));
    // Plain JSON is taken too, in any order of fields; the same lead twice is one task.
    sender.send_all((LEADS / 2..LEADS).map(|n| Send::to(&messages).key(format!("{n}")).json(&lead(n))));
    sender.send(Send::to(&messages).json(&lead(0)));
    sender.send_all([
        Send::to(&messages).json(&json!({ "lead_data": null, "context": null })),
        Send::to(&messages).json(&json!({ "lead_data": { "name": "nobody knows" }, "context": "an answer" })),
    ]);
    let mut completions = Topic::open(scratch.stack, &scratch.topic("completions"));
    completions.count(LEADS / 8, SOON);
    // The first is gone for good, and what it had open is known to the other and to its successor.
    one.kill9();
    completions.count(LEADS / 4, SOON);
    other.kill9();
    one = scratch.worker("a").toml(&config).spawn();
    other = scratch.worker("b").toml(&config).spawn();
    completions.count(LEADS, Duration::from_secs(60));
    one.ready(SOON);
    other.ready(SOON);

    let mut tasks: BTreeMap<String, usize> = BTreeMap::new();
    let mut inputs = Topic::open(scratch.stack, &scratch.topic("tasks"));
    for task in inputs.settle() {
        let input: Value = serde_json::from_str(task.text("input")).expect("it is the lead");
        let number = (0..LEADS).find(|n| input["email"] == lead(*n)["lead_data"]["email"]).expect("one of ours");
        assert!(input.get("company_website").is_none_or(|website| !website.is_null()), "nulls are left out: {input}");
        tasks.insert(task.text("taskId").to_owned(), number);
    }
    assert_eq!(tasks.len(), LEADS);
    let ended = completions.settle();
    assert_eq!(ended.len(), LEADS);
    for completion in ended {
        let value = &completion.value;
        let number = tasks[completion.text("taskId")];
        let agents: Vec<_> = value["steps"].as_array().into_iter().flatten().map(|step| &step["agentName"]).collect();
        assert_eq!(agents, path(number), "{value:#}");
        assert_eq!(
            (completion.text("outcome"), completion.text("result")),
            ("SUCCEEDED", format!("Sent to lead-{number}@northwind.example").as_str())
        );
    }
    assert_eq!(example.strays(), Vec::<String>::new());
    for (_, route) in ROUTES {
        assert!(example.asked().iter().any(|asked| asked.route == route), "{route} was asked");
    }
    for asked in example.asked() {
        let first = asked.route == "lead-ingestion-agent";
        assert!(asked.record["context"].is_null() == first, "{asked:?}");
    }
    let mut letters = Topic::open(scratch.stack, &scratch.topic("sources.dlq"));
    letters.count(2, SOON);
    let mut reasons: Vec<_> = letters.settle().iter().map(|letter| letter.header("baton.reason").to_owned()).collect();
    reasons.sort();
    assert_eq!(reasons, ["IMPOSSIBLE", "INVALID"]);
    // All that agents said twice changed nothing.
    for topic in ["tasks.dlq", "agent-status.dlq"] {
        assert!(Topic::open(scratch.stack, &scratch.topic(topic)).settle().is_empty(), "{topic}");
    }
    let source = "baton_sources_total{source=\"confluent\",outcome=\"report\"}";
    until("reports are counted", SOON, || match one.metric(source) + other.metric(source) {
        seen if seen > 0.0 => Ok(()),
        seen => Err(seen.to_string()),
    });
}
