//! Reading a large state back from the broker, by a worker as it is run.

use super::corner::{Corner, PARTITIONS};
use super::machine::Cpu;
use super::support::until;
use super::workload::Workload;
use super::{median, show};
use serde_json::Value;
use std::time::{Duration, SystemTime};

const LEAST: f64 = 200_000.0;
/// Lines that a program can read, and room for all tasks.
pub(crate) const WORKER: &str = "[telemetry]\nlog_format = \"json\"\n[worker]\nmax_live = 1000000\n";

/// What a worker logged: when, what, and with which fields.
pub(crate) struct Said {
    pub(crate) at: SystemTime,
    pub(crate) fields: Value,
}

impl Said {
    /// Everything in a log with that message.
    pub(crate) fn all(log: &str, message: &str) -> Vec<Self> {
        let said = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            let at = humantime::parse_rfc3339(line["timestamp"].as_str()?).ok()?;
            (line["fields"]["message"] == message).then(|| Self { at, fields: line["fields"].clone() })
        };
        log.lines().filter_map(said).collect()
    }

    /// A field that holds a time, in seconds.
    pub(crate) fn seconds(&self, field: &str) -> f64 {
        let text = self.fields[field].as_str().unwrap_or_default();
        // As `Duration` shows itself, which may have a fraction.
        let number = |unit| text.strip_suffix(unit).and_then(|number: &str| number.parse::<f64>().ok());
        let scaled = [("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0)];
        let found = scaled.into_iter().find_map(|(unit, scale)| number(unit).map(|number| number * scale));
        found.unwrap_or_else(|| panic!("{field} is no time: {}", self.fields))
    }
}

/// Live tasks in their first step: one skeleton each, and the task as it was submitted, which a restore needs as well.
pub(crate) fn run(quick: bool) -> bool {
    let (many, rounds) = if quick { (5_000, 1) } else { (300_000, 3) };
    let mut corner = Corner::new(Workload::Contract, None, WORKER);
    corner.load(many);
    until("the tasks are live", Duration::from_secs(300), || {
        let live = corner.worker.metric("baton_live_workflows");
        if live as usize == many { Ok(()) } else { Err(format!("{live}")) }
    });
    let (mut took, mut busy, mut records) = (Vec::new(), Vec::new(), 0.0);
    for _ in 0..rounds {
        corner.worker.kill9();
        let before = Said::all(&corner.worker.log(), "partitions restored").len();
        let worker = format!("[kafka]\npartitions = {PARTITIONS}\n{WORKER}");
        corner.worker = corner.scratch.worker("0").toml(&worker).spawn();
        let mut cpu = Cpu::of(Some(corner.worker.pid()));
        corner.worker.ready(Duration::from_secs(120));
        busy.push(cpu.used());
        let said = Said::all(&corner.worker.log(), "partitions restored");
        let said = said[before..].iter().find(|said| said.fields["live"] == many).expect("it restored them");
        took.push(said.seconds("took"));
        records = said.fields["records"].as_f64().unwrap_or_default();
    }
    let took = median(took);
    let rate = many as f64 / took;
    let figure = format!(
        "{rate:.0} workflows/s, {:.0} records/s ({many} in {took:.2} s; from its start to ready the worker used {:.2} s \
         of CPU)",
        records / took,
        median(busy)
    );
    show("restore from the broker", &figure, "200,000 workflows/s", rate >= LEAST)
}
