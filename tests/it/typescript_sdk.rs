//! The TypeScript SDK on the real broker with real workers: what its section in `docs/agents.md` promises, from a task to
//! its completion. Its agent is `sdk/typescript/test/agent.mjs`.

use super::sdk::{self, Bench, SOON};
use super::support::read_all;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::path::{Path, PathBuf};
use std::process::Command;

fn bench(name: &str, toml: &str) -> Bench {
    Bench::new(name, toml, || {
        let mut node = Command::new("node");
        node.arg(built().join("test/agent.mjs")).env_remove("CLIENT");
        node
    })
}

#[test]
fn a_typescript_agent_registers_works_and_says_how_its_work_ended() {
    sdk::it_registers_works_and_says_how_its_work_ended(&bench("ts-well", ""));
}

#[test]
fn withdrawn_work_in_typescript_hears_of_it_and_is_not_reported() {
    sdk::withdrawn_work_hears_of_it_and_is_not_reported(&bench(
        "ts-withdrawn",
        "[workflow]\nassignment_timeout = \"3s\"",
    ));
}

#[test]
fn a_killed_typescript_agents_work_comes_again_and_a_stopped_ones_is_finished() {
    sdk::killed_its_work_comes_again_and_stopped_it_finishes(&bench("ts-drain", ""));
}

#[test]
fn assignments_of_aborted_transactions_are_not_begun_in_typescript() {
    let bench = bench("ts-aborted", "");
    let agent = bench.agent("agent.log");
    bench.submit(&["one"]);
    assert_eq!(bench.completion("one")["outcome"], "SUCCEEDED");
    agent.ends_in_order();
    let topic = bench.scratch.topic("assignments.moody");
    let made = read_all(bench.scratch.stack, &topic).remove(0);
    let bytes = made.raw.as_ref().expect("it has a value");
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &bench.scratch.stack.bootstrap)
        .set("transactional.id", format!("{}.aborts", bench.scratch.prefix))
        .create()
        .expect("a producer");
    producer.init_transactions(SOON).expect("it may begin");
    // The first two abort, within one answer of the broker; the same bytes stand for three deliveries.
    for aborted in [true, true, false] {
        producer.begin_transaction().expect("a transaction begins");
        let record = BaseRecord::to(&topic).partition(made.partition).key("one").payload(bytes.as_slice());
        producer.send(record).map_err(|(error, _)| error).expect("it is queued");
        producer.flush(SOON).expect("it is written");
        if aborted { producer.abort_transaction(SOON) } else { producer.commit_transaction(SOON) }.expect("it ends");
    }
    let again = bench.agent("again.log");
    again.says("begun");
    bench.submit(&["two"]);
    assert_eq!(bench.completion("two")["outcome"], "SUCCEEDED");
    let reports = bench.reports("one");
    let done = reports.iter().filter(|report| report.text("status") == "SUCCEEDED").count();
    assert_eq!(done, 2, "one report of the first agent, one for the delivery that was committed");
    again.ends_in_order();
}

/// Where the SDK is.
fn built() -> PathBuf {
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk/typescript");
    let built = sdk.join("dist/baton-agent.js").exists() && sdk.join("node_modules/avsc").exists();
    assert!(built, "{} is not built. Node 20 or later does it by:\n  npm ci --prefix sdk/typescript", sdk.display());
    sdk
}
