//! The loop of one source: waits for its topics, joins, and carries batch after batch through a transaction.
//!
//! Whatever goes wrong ends this life of the relay, and the next begins at the committed offsets, after a while that
//! doubles up to [`LONGEST_WAIT`]. What it waits for is on `/readyz` under its name, and in the log.

use super::work::{Made, Unready, Work};
use super::writer::{Form, Writer};
use crate::contract::{Reason, Refusal, Registry, SchemaCache};
use crate::kafka::admin::Admin;
use crate::kafka::lives::Lives;
use crate::kafka::relay::{Outcome, Outgoing, Relay, RelayFault, RelaySettings};
use crate::kafka::tail::Tailed;
use crate::telemetry::{Health, Metrics, SourceCounters};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// Records in one transaction at most.
const BATCH: usize = 500;
/// One wait for records; also how late a stop is noticed.
const IDLE: Duration = Duration::from_millis(100);
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Between two looks for topics that are not there.
const LOOK: Duration = Duration::from_secs(1);

/// Whether to stop, and then whether others are to take over at once.
pub type Stop = Box<dyn Fn() -> Option<bool> + Send>;

/// Why a source cannot go on.
#[derive(Debug, thiserror::Error)]
#[error("source {name}: {detail}")]
pub struct FeedEnded {
    pub name: String,
    pub detail: String,
}

/// One source, not started yet.
pub struct Feed<W> {
    pub settings: RelaySettings,
    /// Topics it writes that are not Baton's own.
    pub outputs: Vec<String>,
    pub work: W,
    pub writer: Writer,
    pub admin: Admin,
    pub registry: Registry,
    pub schemas: Arc<SchemaCache>,
    pub health: Health,
    pub metrics: Arc<Metrics>,
    pub stop: Stop,
    pub runtime: Handle,
}

impl<W> std::fmt::Debug for Feed<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("topics", &self.settings.topics).finish_non_exhaustive()
    }
}

/// Dead letters of a batch, by the place of their record in it.
type Letters = BTreeMap<usize, (Refusal, Form)>;

impl<W: Work> Feed<W> {
    /// Works until told to stop.
    ///
    /// # Errors
    /// Why it cannot go on at all.
    pub fn run(mut self) -> Result<(), FeedEnded> {
        let mut lives = Lives::default();
        let counters = self.metrics.source(self.writer.name());
        self.health.waiting(&self.part(), "it has not started yet");
        while self.find_topics() {
            let began = Instant::now();
            let fault = match self.live(&counters) {
                Ok(()) => break,
                Err(fault) => fault,
            };
            let again = lives.after(began.elapsed(), &fault);
            let wait = again.map_err(|detail| FeedEnded { name: self.writer.name().to_owned(), detail })?;
            self.waiting(&format!("{fault}; again in {wait:?}"));
            self.sleep(wait);
        }
        self.health.forget(&self.part());
        Ok(())
    }

    /// Waits until all topics are there; false if told to stop.
    fn find_topics(&self) -> bool {
        let wanted: Vec<&String> = self.settings.topics.iter().chain(&self.outputs).collect();
        let mut said = String::new();
        while (self.stop)().is_none() {
            let reason = match self.runtime.block_on(self.admin.cluster()) {
                Ok(cluster) => {
                    let is_missing = |name: &&&String| !cluster.topics.iter().any(|topic| topic.name == ***name);
                    let missing: Vec<&str> = wanted.iter().filter(is_missing).map(|name| name.as_str()).collect();
                    if missing.is_empty() {
                        return true;
                    }
                    format!("waiting for topics that are not there: {}", missing.join(", "))
                }
                Err(fault) => fault.to_string(),
            };
            if reason != said {
                self.waiting(&reason);
                said = reason;
            }
            self.sleep(LOOK);
        }
        false
    }

    /// From joining the group to the first thing that goes wrong, or to the end.
    fn live(&mut self, counters: &SourceCounters) -> Result<(), RelayFault> {
        let mut relay = Relay::join(&self.settings)?;
        let mut is_ready = false;
        loop {
            if let Some(at_once) = (self.stop)() {
                relay.close(at_once);
                return Ok(());
            }
            let batch = relay.poll(IDLE, BATCH)?;
            if relay.is_member() != is_ready {
                is_ready = relay.is_member();
                if is_ready {
                    self.health.ready(&self.part());
                } else {
                    self.waiting("the group is deciding who reads what");
                }
            }
            if !batch.is_empty() && !self.carry(&mut relay, &batch, counters)? {
                is_ready = false;
            }
        }
    }

    /// One batch through a transaction. False: it was given up for the group or for a stop, and comes again.
    fn carry(&mut self, relay: &mut Relay, batch: &[Tailed], counters: &SourceCounters) -> Result<bool, RelayFault> {
        let (mut letters, mut wait) = (Letters::new(), FIRST_WAIT);
        loop {
            let (records, made) = match self.stage(batch, &letters) {
                Ok(staged) => staged,
                Err(Unready::Kafka(fault)) => return Err(RelayFault::Again(fault.to_string())),
                Err(unready @ (Unready::Registry(_) | Unready::Behind)) => {
                    self.waiting(&match unready {
                        Unready::Registry(reason) => format!("{reason}; it waits for the registry"),
                        other => other.to_string(),
                    });
                    if (self.stop)().is_some() || !self.hold(relay, wait)? {
                        return Ok(false);
                    }
                    wait = (wait * 2).min(LONGEST_WAIT);
                    continue;
                }
            };
            if wait > FIRST_WAIT {
                self.health.ready(&self.part());
            }
            match relay.transact(&records, batch) {
                Outcome::Committed => {
                    self.count(&made, counters);
                    return Ok(true);
                }
                Outcome::Aborted { culprit: Some(origin), reason } => {
                    tracing::warn!(source = self.writer.name(), reason, "a record cannot be written");
                    let letter = match letters.remove(&origin).or_else(|| refusal_of(&made, origin)) {
                        Some((refusal, form)) => form.smaller().map(|form| (refusal, form)),
                        None => Some((Refusal::new(Reason::TooLarge, reason.clone()), Form::Whole)),
                    };
                    let Some(letter) = letter else { return Err(RelayFault::Again(reason)) };
                    letters.insert(origin, letter);
                }
                Outcome::Aborted { culprit: None, reason } | Outcome::Unknown { reason } => {
                    return Err(RelayFault::Again(reason));
                }
            }
        }
    }

    /// What a batch becomes, as it would be now.
    fn stage(&mut self, batch: &[Tailed], letters: &Letters) -> Result<(Vec<Outgoing>, Vec<Made>), Unready> {
        self.work.prepare(batch, &self.runtime)?;
        'again: loop {
            self.work.begin();
            let (mut records, mut made) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
            for (origin, record) in batch.iter().enumerate() {
                let judged = match letters.get(&origin) {
                    Some((refusal, _)) => Made::Refused(refusal.clone()),
                    None => match self.work.judge(record, origin, &mut records) {
                        Ok(judged) => judged,
                        Err(schema) => {
                            self.learn(schema)?;
                            continue 'again;
                        }
                    },
                };
                if let Made::Refused(refusal) = &judged {
                    let form = letters.get(&origin).map_or(Form::Whole, |(_, form)| *form);
                    records.push(self.writer.dead(refusal, form, record, origin));
                }
                made.push(judged);
            }
            return Ok((records, made));
        }
    }

    fn learn(&self, id: u32) -> Result<(), Unready> {
        let learned = self.runtime.block_on(self.registry.learn(id, &self.schemas));
        learned.map_err(|error| Unready::Registry(error.to_string()))
    }

    /// Stays in the group for a while without reading; false if the group decided anew.
    fn hold(&self, relay: &mut Relay, wait: Duration) -> Result<bool, RelayFault> {
        let until = Instant::now() + wait;
        while Instant::now() < until && (self.stop)().is_none() {
            if !relay.hold(IDLE)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn count(&self, made: &[Made], counters: &SourceCounters) {
        let mut refusals = made.iter().filter_map(|made| if let Made::Refused(why) = made { Some(why) } else { None });
        if let Some(first) = refusals.next() {
            let (source, count) = (self.writer.name(), 1 + refusals.count());
            tracing::warn!(source, count, %first, "records became dead letters");
        }
        for made in made {
            match made {
                Made::Task => drop(counters.tasks.inc()),
                Made::Report => drop(counters.reports.inc()),
                Made::Prediction => drop(counters.predictions.inc()),
                Made::Skipped => drop(counters.skipped.inc()),
                Made::Refused(refusal) => {
                    counters.dead.inc();
                    self.metrics.dead_letters(refusal.reason.as_str()).inc();
                }
            }
        }
    }

    /// Under this the source is on `/readyz`.
    fn part(&self) -> String {
        format!("source {}", self.writer.name())
    }

    fn waiting(&self, reason: &str) {
        tracing::warn!(source = self.writer.name(), "{reason}");
        self.health.waiting(&self.part(), reason);
    }

    fn sleep(&self, wait: Duration) {
        let until = Instant::now() + wait;
        while Instant::now() < until && (self.stop)().is_none() {
            std::thread::sleep(IDLE.min(until.saturating_duration_since(Instant::now())));
        }
    }
}

/// A letter that was written for the first time.
fn refusal_of(made: &[Made], origin: usize) -> Option<(Refusal, Form)> {
    match made.get(origin) {
        Some(Made::Refused(refusal)) => Some((refusal.clone(), Form::Whole)),
        _ => None,
    }
}
