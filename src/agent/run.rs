//! A running agent: prepared, at work, with signs of life, drained.

use super::answer::{Answer, Failure};
use super::answers::Answers;
use super::builder::Agent;
use super::error::AgentError;
use super::handle::Handle;
use super::job::Desk;
use super::reports::{Reporter, now_ms};
use super::withdrawals::{Listener, Withdrawals};
use super::work::Loop;
use crate::contract::{AgentHeartbeat, Assignment};
use crate::kafka::group::GroupReader;
use crate::kafka::produce::PlainProducer;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// For the last sign of life.
const FAREWELL: Duration = Duration::from_secs(2);

impl Agent {
    /// Works until `stop` is cancelled, then takes nothing more, lets what has begun finish within the grace period,
    /// commits and leaves the group. What is away (Kafka, the registry, the topic) is waited for, at the start and later.
    ///
    /// `handler` may be called again for an assignment that was answered, or begun, by a process that then died.
    /// Dropped before it is done, the agent stops in the background as if it had been told to.
    ///
    /// # Errors
    /// What a person must change. Nothing is lost: what is not reported is delivered again.
    pub async fn run<H, F>(self, handler: H, stop: CancellationToken) -> Result<(), AgentError>
    where
        H: Fn(Assignment, Handle) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Answer, Failure>> + Send + 'static,
    {
        // Our own end is not the caller's.
        let stop = stop.child_token();
        let _stopped_when_dropped = stop.clone().drop_guard();
        let producer = PlainProducer::new(&self.kafka, "agent")?;
        let Some(codec) = self.prepare(&producer, &stop).await? else { return Ok(()) };
        let reporter = Reporter::agent(producer, codec.clone(), self.encoding, &self.key, &self.instance);
        // Work that goes on within the grace period still hears what is withdrawn.
        let deaf = CancellationToken::new();
        let _deaf_at_the_end = deaf.clone().drop_guard();
        let withdrawals = Withdrawals::default();
        let no_thread = |error| AgentError::Broken(format!("no thread for it: {error}"));
        let runtime = tokio::runtime::Handle::current();
        let listener = Listener {
            kafka: self.kafka.clone(),
            agent_name: Some(self.definition.agent_name.clone()),
            codec: codec.clone(),
            registry: self.registry.clone(),
            withdrawals: withdrawals.clone(),
            runtime: runtime.clone(),
            end: deaf,
        };
        // Before the first assignment is taken, so that none of its withdrawals is missed. Its end is its word.
        let _ = listener.start().map_err(no_thread)?.await;
        let slots = Arc::new(Semaphore::new(self.concurrency));
        let desk = Arc::new(Desk {
            handler,
            reporter: reporter.clone(),
            codec,
            registry: self.registry.clone(),
            slots: Arc::clone(&slots),
            answers: Mutex::new(Answers::default()),
            withdrawals,
            stop: stop.clone(),
        });
        let group = format!("{}.agent.{}", self.kafka.prefix, self.key);
        let reader = GroupReader::join(&self.kafka, "agent", &group, &self.topic)?;
        tracing::info!(agent = %self.definition.agent_name, instance = %self.instance, topic = %self.topic, "working");
        let work = Loop { desk, reader, runtime, concurrency: self.concurrency, grace: self.grace };
        let (ended, end) = oneshot::channel();
        let thread = std::thread::Builder::new().name("baton-agent".to_owned());
        let spawned = thread.spawn(move || {
            // Nobody may be waiting any more.
            let _ = ended.send(work.run());
        });
        spawned.map_err(no_thread)?;
        let result = self.live(&reporter, &slots, &stop, end).await;
        if self.heartbeat.is_some() {
            // It waits no longer than that, for nothing rests on it.
            let _ = tokio::time::timeout(FAREWELL, self.beat(&reporter, &slots, true)).await;
        }
        result
    }

    /// Sends signs of life until the loop ends.
    async fn live(
        &self,
        reporter: &Reporter,
        slots: &Semaphore,
        stop: &CancellationToken,
        end: oneshot::Receiver<Result<(), AgentError>>,
    ) -> Result<(), AgentError> {
        let beats = async {
            let Some(every) = self.heartbeat else { return std::future::pending().await };
            let mut ticks = tokio::time::interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                self.beat(reporter, slots, stop.is_cancelled()).await;
            }
        };
        tokio::select! {
            biased;
            ended = end => ended.unwrap_or_else(|_| Err(AgentError::Broken("it panicked".to_owned()))),
            never = beats => never,
        }
    }

    /// Stopping, it has room for nothing.
    async fn beat(&self, reporter: &Reporter, slots: &Semaphore, stopping: bool) {
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let beat = AgentHeartbeat {
            agent_name: self.definition.agent_name.clone(),
            instance: self.instance.clone(),
            version: self.definition.version.clone(),
            in_flight: number(self.concurrency.saturating_sub(slots.available_permits())),
            capacity: if stopping { 0 } else { number(self.concurrency) },
            time: now_ms(),
        };
        if let Err(fault) = reporter.heartbeat(beat).await {
            tracing::debug!(%fault, "no sign of life was sent");
        }
    }
}
