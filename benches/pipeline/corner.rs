//! One workload's corner of the broker: topics, agents and a worker.

use super::clients;
use super::place::Place;
use super::support::{self, Scratch, Worker, until};
use super::workload::Workload;
use std::path::Path;
use std::time::Duration;

pub(crate) const PARTITIONS: i32 = 6;

pub(crate) struct Corner {
    pub(crate) workload: Workload,
    pub(crate) scratch: Scratch,
    pub(crate) worker: Worker,
    pub(crate) place: Place,
    pub(crate) task_schema: String,
    pub(crate) report_schema: String,
    /// Tasks so far.
    pub(crate) tasks: usize,
}

impl Corner {
    /// With one worker, of slot "0", that knows all agents; `other` is another version's binary, `worker` further
    /// configuration of the worker's.
    pub(crate) fn new(workload: Workload, other: Option<&Path>, worker: &str) -> Self {
        let scratch = Scratch::new(workload.name());
        let scratch = match other {
            Some(binary) => scratch.with_binary(binary),
            None => scratch,
        };
        let partitions = format!("[kafka]\npartitions = {PARTITIONS}\n");
        scratch.baton_with(&partitions, &["apply"], b"").ok();
        let file = scratch.dir().join("agents.json");
        let agents = serde_json::Value::Array(workload.agents());
        std::fs::write(&file, agents.to_string()).expect("the definitions can be written");
        scratch.baton_with(&partitions, &["agents", "register", &file.to_string_lossy()], b"").ok();
        let started = scratch.worker("0").toml(&format!("{partitions}{worker}")).start();
        let count = workload.agents().len() as f64;
        until("all agents can be given work", Duration::from_secs(60), || {
            let eligible = started.metric("baton_agents_eligible");
            if eligible >= count { Ok(()) } else { Err(format!("{eligible} of {count}")) }
        });
        let id = |subject: &str| {
            let url = format!("{}/subjects/{}-value/versions/latest", scratch.stack.registry, scratch.topic(subject));
            let (_, body) = support::get(&url).expect("the registry answers");
            let answer: serde_json::Value = serde_json::from_str(&body).expect("JSON");
            answer["id"].to_string()
        };
        let place = Place { bootstrap: scratch.stack.bootstrap.clone(), prefix: scratch.prefix.clone() };
        let (task_schema, report_schema) = (id("tasks"), id("agent-status"));
        Self { task_schema, report_schema, place, workload, scratch, worker: started, tasks: 0 }
    }

    /// Writes tasks, from this process.
    pub(crate) fn load(&mut self, tasks: usize) {
        let schema = self.task_schema.parse().expect("a schema's id");
        clients::load(&self.place, self.workload, schema, self.tasks, tasks);
        self.tasks += tasks;
    }
}
