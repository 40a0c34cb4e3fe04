//! `kill -9` of a worker that has a transaction open, until another decides on one of its partitions.

use super::corner::{Corner, PARTITIONS};
use super::median;
use super::restore::{Said, WORKER};
use super::support::{Worker, until};
use super::workload::Workload;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The default: the least that most brokers allow.
const SESSION: f64 = 6.0;
/// One takeover, in seconds.
struct Takeover {
    /// From the kill until the partitions are given to the heir.
    detection: f64,
    /// From there until it is sure that something is undecided, and whoever left it so begins to be fenced.
    noticed: f64,
    /// From there until it is fenced, and the state is restored and claimed.
    restored: f64,
    /// From the kill.
    first_decision: f64,
}

/// Prints where the time goes; there is no target but the session timeout, which is most of it.
pub(crate) fn run(quick: bool) -> bool {
    let (rounds, tasks) = if quick { (1, 20_000) } else { (5, 60_000) };
    let seen: Vec<Takeover> = (0..rounds).map(|_| once(tasks)).collect();
    let of = |what: fn(&Takeover) -> f64| median(seen.iter().map(what).collect());
    let longest = seen.iter().map(|one| one.first_decision).fold(0.0, f64::max);
    println!(
        "takeover after kill -9 with an open transaction ({rounds} rounds): session timeout {SESSION} s; detection {:.2} s, \
         fenced from {:.0} ms later, restored {:.0} ms after that; first decision after {:.2} s, at most {longest:.2} s",
        of(|one| one.detection),
        of(|one| one.noticed) * 1e3,
        of(|one| one.restored) * 1e3,
        of(|one| one.first_decision),
    );
    true
}

fn once(tasks: usize) -> Takeover {
    let corner = Corner::new(Workload::Contract, None, WORKER);
    let worker = format!("[kafka]\npartitions = {PARTITIONS}\n{WORKER}");
    let heir = corner.scratch.worker("1").toml(&worker).start();
    let half = PARTITIONS as usize / 2;
    let victims: BTreeSet<i32> = until("each has its half", Duration::from_secs(60), || {
        let kept = assigned(&heir).last().map(|(_, kept)| kept.clone()).unwrap_or_default();
        let held = corner.worker.metric("baton_partitions") as usize;
        let rest = (0..PARTITIONS).filter(|partition| !kept.contains(partition)).collect();
        if (kept.len(), held) == (half, half) { Ok(rest) } else { Err(format!("{kept:?}, and {held} held")) }
    });
    let reader = corner.place.reader(&[corner.place.topic("routing-decisions")], false);
    reader.poll(Duration::from_millis(500));
    let open = OpenTransaction::new(&corner);
    let taken = "baton_inputs_total{topic=\"tasks\",outcome=\"accepted\"}";
    let mut dying = corner.worker;
    let (place, workload, schema) = (&corner.place, corner.workload, corner.task_schema.parse().expect("a number"));
    let killed = std::thread::scope(|scope| {
        scope.spawn(move || super::clients::load(place, workload, schema, 0, tasks));
        until("it is at work", Duration::from_secs(60), || {
            let taken = dying.metric(taken);
            if taken >= 2_000.0 { Ok(()) } else { Err(format!("{taken}")) }
        });
        until("it is stopped with a transaction open", Duration::from_secs(60), || {
            dying.freeze();
            if open.is_there(&victims) {
                return Ok(());
            }
            dying.thaw();
            Err("there is none".to_owned())
        });
        let killed = SystemTime::now();
        dying.kill9();
        killed
    });
    let since = |at: SystemTime| at.duration_since(killed).unwrap_or_default().as_secs_f64();
    let millis = i64::try_from(killed.duration_since(UNIX_EPOCH).expect("after 1970").as_millis()).expect("it fits");
    let first_decision = until("a decision on its partitions", Duration::from_secs(60), || {
        loop {
            let Some(message) = reader.poll(Duration::from_millis(20)) else { return Err("nothing".to_owned()) };
            let message = message.expect("decisions can be read");
            let later = message.timestamp().to_millis().is_some_and(|at| at > millis);
            if later && victims.contains(&message.partition()) {
                return Ok(since(SystemTime::now()));
            }
        }
    });
    let log = heir.log();
    let given = assigned(&heir).into_iter().find(|(at, all)| *at > killed && all.len() == PARTITIONS as usize);
    let detection = since(given.expect("it was given all").0);
    let fenced = Said::all(&log, "ending the open transaction of the worker that was here before");
    // None if the broker had ended it by then.
    let fenced = fenced.iter().find(|said| said.at > killed).map_or(detection, |said| since(said.at));
    let restored = Said::all(&log, "partitions restored");
    let restored = restored.iter().rfind(|said| said.at > killed).expect("it restored");
    Takeover { detection, noticed: fenced - detection, restored: since(restored.at) - fenced, first_decision }
}

/// Looks whether records of `task-state` are written and not decided.
struct OpenTransaction {
    topic: String,
    /// Its ends are those of all records, and of those that are decided.
    all: BaseConsumer,
    decided: BaseConsumer,
}

impl OpenTransaction {
    fn new(corner: &Corner) -> Self {
        let reader = |isolation: &str| {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", &corner.place.bootstrap).set("isolation.level", isolation);
            config.create().expect("a consumer is made")
        };
        let topic = corner.place.topic("task-state");
        Self { topic, all: reader("read_uncommitted"), decided: reader("read_committed") }
    }

    fn is_there(&self, partitions: &BTreeSet<i32>) -> bool {
        let end = |reader: &BaseConsumer, partition| {
            reader.fetch_watermarks(&self.topic, partition, Duration::from_secs(10)).expect("the broker answers").1
        };
        partitions.iter().any(|partition| end(&self.decided, *partition) < end(&self.all, *partition))
    }
}

/// What a worker was given by the group, and when.
fn assigned(worker: &Worker) -> Vec<(SystemTime, Vec<i32>)> {
    let said = Said::all(&worker.log(), "partitions assigned");
    // As a list of numbers shows itself.
    let numbers = |said: &Said| serde_json::from_str(said.fields["partitions"].as_str()?).ok();
    said.iter().filter_map(|said| Some((said.at, numbers(said)?))).collect()
}
