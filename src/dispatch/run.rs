//! The loop that stays in the group: follows which agents have an endpoint, hands each record to a delivery, commits what
//! is settled.
//!
//! It never waits for an agent. What is read and not begun is bounded by agent and in all; at the bound an agent's topic
//! is held back, and no other's. Stopped, requests under way may finish within the grace period; what is not settled is
//! delivered again, under the key it had, to whoever reads the partition next.

use super::call::Caller;
use super::delivery::{Delivered, Desk};
use super::lane::Lane;
use super::posted::PostedReports;
use crate::agent::reports::Reporter;
use crate::agent::withdrawals::{Listener, Withdrawals};
use crate::config;
use crate::contract::{Codec, Registry, TRACEPARENT, assignment_topic};
use crate::kafka::KafkaFault;
use crate::kafka::admin::Admin;
use crate::kafka::group::{GroupReader, Place, Read, Sharing};
use crate::kafka::offsets::{Offsets, Ticket};
use crate::kafka::produce::PlainProducer;
use crate::kafka::tail::Tailed;
use crate::selection;
use crate::telemetry::{Health, Metrics};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// With nothing in hand only a record, which ends the wait, and the end are waited for.
const IDLE: Duration = Duration::from_millis(100);
/// With deliveries under way their end is looked for this often.
const BUSY: Duration = Duration::from_millis(10);
/// Between two looks at the table of agents.
const LOOK: Duration = Duration::from_millis(500);
/// Between two commits: for each record there would be as many requests as records, and a crash repeats those that ended
/// since the last one.
const COMMIT: Duration = Duration::from_millis(25);
/// Between two tries to commit.
const COMMIT_AGAIN: Duration = Duration::from_secs(1);
/// For the last commits' answers, before the group is left.
const COMMITTED: Duration = Duration::from_secs(3);
/// What requests under way have to finish once the process is told to stop.
const GRACE: Duration = Duration::from_secs(12);

/// What it is built of.
#[derive(Debug)]
pub struct Setup {
    pub config: config::Config,
    pub codec: Arc<Codec>,
    pub registry: Registry,
    pub metrics: Arc<Metrics>,
    pub health: Health,
    /// Its name in the group.
    pub slot: String,
    /// What its reports are stamped with; another one for each process.
    pub writer: String,
    /// The most an answer may be.
    pub answer_bytes: usize,
    /// Where agents report later.
    pub report_url: String,
    pub stop: CancellationToken,
}

/// What a person must change.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    #[error("{0}")]
    Setup(String),
    #[error(transparent)]
    Kafka(#[from] KafkaFault),
    #[error("a delivery cannot be reported: {0}")]
    Delivery(String),
}

/// The dispatcher of a process, not yet at work.
#[derive(Debug)]
pub struct Dispatcher {
    setup: Setup,
    desk: Arc<Desk>,
    admin: Admin,
}

/// The deliveries of one topic.
#[derive(Debug, Default)]
struct Load {
    records: usize,
    bytes: usize,
}

struct Done {
    topic: Arc<str>,
    bytes: usize,
    ticket: Ticket,
    delivered: Delivered,
}

/// The loop's own.
struct Loop {
    dispatcher: Dispatcher,
    reader: GroupReader,
    runtime: Handle,
    /// By topic: also of agents that have no endpoint any more, while their records are in hand.
    agents: BTreeMap<Arc<str>, watch::Sender<Option<Arc<Lane>>>>,
    subscribed: BTreeSet<Arc<str>>,
    /// Topics found to be there.
    there: BTreeSet<Arc<str>>,
    load: BTreeMap<Arc<str>, Load>,
    held: BTreeSet<Arc<str>>,
    jobs: JoinSet<Done>,
    offsets: Offsets,
}

impl Dispatcher {
    /// # Errors
    /// What is configured and cannot be.
    pub fn new(setup: Setup) -> Result<Self, DispatchError> {
        let settings = &setup.config.dispatcher;
        let caller = Caller::new(settings, setup.answer_bytes).map_err(DispatchError::Setup)?;
        let producer = PlainProducer::new(&setup.config.kafka, "dispatcher")?;
        let admin = Admin::new(&setup.config.kafka)?;
        let desk = Arc::new(Desk {
            caller,
            reporter: Reporter::for_others(producer, setup.codec.as_ref().clone(), "dispatcher", setup.writer.clone()),
            codec: Arc::clone(&setup.codec),
            registry: setup.registry.clone(),
            withdrawals: Withdrawals::default(),
            metrics: Arc::clone(&setup.metrics),
            shared: Arc::new(Semaphore::new(settings.max_in_flight.min(Semaphore::MAX_PERMITS))),
            taken_over: Desk::taken_over(),
            report_url: setup.report_url.clone(),
            stop: setup.stop.clone(),
        });
        Ok(Self { setup, desk, admin })
    }

    /// Takes the reports that agents post.
    #[must_use]
    pub fn posted(&self) -> PostedReports {
        PostedReports { reporter: self.desk.reporter.clone(), codec: Arc::clone(&self.desk.codec) }
    }

    /// Works until told to stop. `agents` gives the table as it is now.
    ///
    /// # Errors
    /// Why it cannot go on. Nothing is lost: what is not settled is delivered again.
    pub async fn run(self, agents: impl Fn() -> selection::Registry + Send + 'static) -> Result<(), DispatchError> {
        // Requests that finish within the grace period still hear what is withdrawn.
        let deaf = CancellationToken::new();
        let _deaf_at_the_end = deaf.clone().drop_guard();
        let no_thread = |error| DispatchError::Setup(format!("no thread for it: {error}"));
        let listener = Listener {
            kafka: self.setup.config.kafka.clone(),
            agent_name: None,
            codec: self.setup.codec.as_ref().clone(),
            registry: self.setup.registry.clone(),
            withdrawals: self.desk.withdrawals.clone(),
            runtime: Handle::current(),
            end: deaf,
        };
        // Before the first delivery, so that none of its withdrawals is missed. Its end is its word.
        let _ = listener.start().map_err(no_thread)?.await;
        let group = format!("{}.dispatcher", self.setup.config.kafka.prefix);
        let mut kafka = self.setup.config.kafka.clone();
        // Started again under its slot, it has its partitions at once; else others have them once its session is over.
        kafka.client.insert("group.instance.id".to_owned(), self.setup.slot.clone());
        let session = self.setup.config.worker.session_timeout.as_millis();
        kafka.client.insert("session.timeout.ms".to_owned(), session.to_string());
        kafka.client.insert("heartbeat.interval.ms".to_owned(), (session / 3).to_string());
        let reader = GroupReader::new(&kafka, "dispatcher", &group, Sharing::CooperativeSticky)?;
        let work = Loop {
            dispatcher: self,
            reader,
            runtime: Handle::current(),
            agents: BTreeMap::new(),
            subscribed: BTreeSet::new(),
            there: BTreeSet::new(),
            load: BTreeMap::new(),
            held: BTreeSet::new(),
            jobs: JoinSet::new(),
            offsets: Offsets::default(),
        };
        let (ended, end) = oneshot::channel();
        let spawned = thread::Builder::new().name("baton-dispatch".to_owned()).spawn(move || {
            // Nobody may be waiting any more.
            let _ = ended.send(work.run(&agents));
        });
        spawned.map_err(no_thread)?;
        end.await.unwrap_or_else(|_| Err(DispatchError::Delivery("its loop panicked".to_owned())))
    }
}

impl Loop {
    fn run(mut self, agents: &dyn Fn() -> selection::Registry) -> Result<(), DispatchError> {
        let stop = self.dispatcher.setup.stop.clone();
        let (mut end, mut commit_again, mut look_at, mut commit_at) = (None, None, Instant::now(), Instant::now());
        loop {
            while let Some(done) = self.jobs.try_join_next() {
                self.settle(done)?;
            }
            self.dispatcher.setup.metrics.deliveries_in_hand.set(i64::try_from(self.jobs.len()).unwrap_or(i64::MAX));
            if self.reader.commit_failed() {
                commit_again = Some(Instant::now() + COMMIT_AGAIN);
            }
            if commit_again.is_some_and(|at| at <= Instant::now()) {
                commit_again = None;
                self.offsets.again();
            }
            if commit_at <= Instant::now() && self.commit() {
                commit_at = Instant::now() + COMMIT;
            }
            let stopping = stop.is_cancelled();
            if stopping {
                let end = *end.get_or_insert_with(|| Instant::now() + GRACE);
                if self.jobs.is_empty() || Instant::now() >= end {
                    break;
                }
            } else if look_at <= Instant::now() {
                self.look(&agents())?;
                look_at = Instant::now() + LOOK;
            }
            self.hold(stopping)?;
            let wait = if self.jobs.is_empty() { IDLE } else { BUSY };
            match self.reader.next(wait)? {
                Read::Record(record) if !stopping => self.take(record),
                Read::Assigned(partitions) => {
                    tracing::info!(?partitions, "assigned");
                    self.offsets.assigned(&partitions);
                }
                Read::Revoked(partitions) => {
                    tracing::info!(?partitions, "revoked");
                    self.offsets.revoked(&partitions);
                }
                Read::Record(_) | Read::Idle => {}
            }
        }
        if !self.jobs.is_empty() {
            tracing::warn!(unfinished = self.jobs.len(), grace = ?GRACE, "given up; delivered again to who reads on");
        }
        self.commit();
        drop(self.jobs);
        if !self.reader.finish_commits(COMMITTED) {
            tracing::warn!("the last offsets may not be committed; their assignments are then delivered again");
        }
        Ok(())
    }

    /// Whether there was anything to commit.
    fn commit(&mut self) -> bool {
        let due = self.offsets.due();
        if !due.is_empty() {
            self.reader.commit(&due);
        }
        !due.is_empty()
    }

    /// Takes over what the table says now.
    fn look(&mut self, agents: &selection::Registry) -> Result<(), DispatchError> {
        let setup = &self.dispatcher.setup;
        let mut wanted = BTreeSet::new();
        for agent in agents.current() {
            let Some(lane) = Lane::of(agent, &setup.config.dispatcher) else { continue };
            let topic: Arc<str> = assignment_topic(&setup.config.kafka.prefix, agent.topic_name()).into();
            if !self.there.contains(&topic) {
                // One that is subscribed to before it is there is found within minutes only. Whoever reads the table creates it.
                match self.runtime.block_on(self.dispatcher.admin.topic(&topic)) {
                    Ok(Some(_)) => drop(self.there.insert(Arc::clone(&topic))),
                    Ok(None) => continue,
                    Err(fault) => {
                        tracing::warn!(%topic, %fault, "cannot be looked for");
                        continue;
                    }
                }
            }
            let known = self.agents.entry(Arc::clone(&topic)).or_default();
            if !known.borrow().as_ref().is_some_and(|known| known.is_same(&lane)) {
                tracing::info!(agent = %lane.agent_name, endpoint = %lane.endpoint, at_once = lane.most, "delivering");
                known.send_replace(Some(Arc::new(lane)));
            }
            wanted.insert(topic);
        }
        // What is in hand of the others waits until the group has taken their partitions away, or the endpoint is back.
        self.agents.retain(|topic, agent| {
            wanted.contains(topic) || {
                agent.send_if_modified(|lane| lane.take().is_some());
                agent.receiver_count() > 0
            }
        });
        if wanted != self.subscribed {
            self.reader.subscribe(wanted.clone())?;
            self.subscribed = wanted;
        }
        setup.health.ready("dispatcher");
        Ok(())
    }

    fn take(&mut self, mut record: Tailed) {
        let Some(ticket) = self.offsets.open(Place::new(&record.topic, record.partition), record.offset) else {
            return;
        };
        let topic: Arc<str> = match self.agents.get_key_value(&*record.topic) {
            Some((topic, _)) => Arc::clone(topic),
            None => record.topic.as_str().into(),
        };
        // One without an endpoint is not passed over: were it back at once, what came after would be committed.
        let agent = self.agents.entry(Arc::clone(&topic)).or_default().subscribe();
        let desk = Arc::clone(&self.dispatcher.desk);
        // Of what waits only that is kept which a delivery needs.
        record.key = None;
        record.headers.retain(|(name, _)| name == TRACEPARENT);
        record.headers.shrink_to_fit();
        let bytes = record.value.as_ref().map_or(0, Vec::len);
        let load = self.load.entry(Arc::clone(&topic)).or_default();
        load.records += 1;
        load.bytes += bytes;
        let mut job = Box::pin(async move {
            let delivered = desk.serve(record, &ticket, agent).await;
            Done { topic, bytes, ticket, delivered }
        });
        // The runtime begins tasks in any order. Polled here first, records have their turns in theirs: were an early one
        // late, no offset after it could be committed, and a crash would repeat all of those.
        let _context = self.runtime.enter();
        match job.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => drop(self.jobs.spawn_on(std::future::ready(done), &self.runtime)),
            Poll::Pending => drop(self.jobs.spawn_on(job, &self.runtime)),
        }
    }

    fn settle(&mut self, done: Result<Done, JoinError>) -> Result<(), DispatchError> {
        let done = done.map_err(|error| DispatchError::Delivery(error.to_string()))?;
        if let Some(load) = self.load.get_mut(&done.topic) {
            load.records -= 1;
            load.bytes -= done.bytes;
        }
        if done.delivered.map_err(|error| DispatchError::Delivery(error.to_string()))? {
            self.offsets.settle(&done.ticket);
        }
        Ok(())
    }

    /// Holds back the topics of which enough is in hand, until half of it is gone: holding lets go of what was fetched.
    fn hold(&mut self, all: bool) -> Result<(), DispatchError> {
        if all {
            return Ok(self.reader.hold(true)?);
        }
        let settings = &self.dispatcher.setup.config.dispatcher;
        let (most, most_bytes) = (settings.max_waiting, settings.max_waiting_bytes);
        let bytes: usize = self.load.values().map(|load| load.bytes).sum();
        let share = most_bytes / self.subscribed.len().max(1);
        // What waits for an earlier one of its partition to be settled is in hand too: a crash would repeat it.
        let unsettled = self.offsets.held_by_topic();
        let is_full = |topic: &Arc<str>, load: &Load, part: usize| {
            let at_once = self.agents.get(topic).and_then(|agent| Some(agent.borrow().as_ref()?.most)).unwrap_or(0);
            load.records.max(unsettled.get(&**topic).copied().unwrap_or_default()) >= (most + at_once) / part
                || (bytes >= most_bytes / part && load.bytes >= share / part)
        };
        let held = self
            .load
            .iter()
            .filter(|(topic, load)| is_full(topic, load, if self.held.contains(*topic) { 2 } else { 1 }));
        let held: BTreeSet<Arc<str>> = held.map(|(topic, _)| Arc::clone(topic)).collect();
        if held != self.held {
            self.reader.hold_topics(held.clone())?;
            self.held = held;
        }
        Ok(())
    }
}
