//! What Baton withdraws from an agent, or from all: heard on a thread of its own, from the start of the agent on, and told to whoever
//! works on it.
//!
//! Nothing rests on it: a withdrawal that is not heard costs work whose report is stale, no more. So whatever is in the way
//! (no such topic, no right to read it, brokers that are away) is logged, once for each reason, and tried again.

use super::reports::now_ms;
use crate::contract::{Cancellation, Codec, Registry, Undecided};
use crate::kafka::tail::{Next, Start, Tail, Tailed};
use crate::kafka::{Connection, KafkaFault};
use crate::selection::same_name;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// How many are remembered for assignments that are yet to be read; of more, the oldest are forgotten.
const MOST: usize = 10_000;
/// The longest a record is waited for before the end is looked for.
const LOOK: Duration = Duration::from_millis(200);
/// Between two tries to read the topic, or to ask the registry.
const AGAIN: Duration = Duration::from_secs(5);
/// Begun anew after a fault, it reads what is that much older, should clocks differ; to hear one twice is harmless.
const OVERLAP_MS: i64 = 60_000;

/// Who works on what, and what was withdrawn lately. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Withdrawals(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// By assignment; cancelled = withdrawn.
    known: HashMap<String, CancellationToken>,
    /// Those withdrawn, oldest first.
    withdrawn: VecDeque<String>,
}

impl Withdrawals {
    /// Resolves once the assignment is withdrawn, at once if it was. To be given back by [`Self::done`].
    pub(crate) fn of(&self, assignment_id: &str) -> CancellationToken {
        self.inner().known.entry(assignment_id.to_owned()).or_default().clone()
    }

    /// Nobody works on it any more.
    pub(crate) fn done(&self, assignment_id: &str) {
        let mut inner = self.inner();
        if inner.known.get(assignment_id).is_some_and(|token| !token.is_cancelled()) {
            inner.known.remove(assignment_id);
        }
    }

    /// Whether this is news.
    pub(crate) fn withdraw(&self, assignment_id: &str) -> bool {
        let mut inner = self.inner();
        let token = inner.known.entry(assignment_id.to_owned()).or_default();
        if token.is_cancelled() {
            return false;
        }
        token.cancel();
        inner.withdrawn.push_back(assignment_id.to_owned());
        while inner.withdrawn.len() > MOST {
            let Some(oldest) = inner.withdrawn.pop_front() else { break };
            inner.known.remove(&oldest);
        }
        true
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the topic on a thread.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) kafka: Connection,
    /// None = of all agents.
    pub(crate) agent_name: Option<String>,
    pub(crate) codec: Codec,
    pub(crate) registry: Registry,
    pub(crate) withdrawals: Withdrawals,
    pub(crate) runtime: runtime::Handle,
    /// Nobody listens any more.
    pub(crate) end: CancellationToken,
}

impl Listener {
    /// Starts to listen. The receiver hears, by its sender's end, that whatever is withdrawn from now on is heard, or that
    /// it cannot be for now.
    ///
    /// # Errors
    /// There is no thread for it.
    pub(crate) fn start(self) -> std::io::Result<oneshot::Receiver<()>> {
        let (begun, listens) = oneshot::channel();
        std::thread::Builder::new().name("baton-withdrawn".to_owned()).spawn(move || self.run(begun))?;
        Ok(listens)
    }

    fn run(self, begun: oneshot::Sender<()>) {
        let (mut begun, mut said) = (Some(begun), String::new());
        let mut start = Start::End;
        while !self.end.is_cancelled() {
            let before = now_ms() - OVERLAP_MS;
            let Err(fault) = self.listen(start, &mut begun) else { return };
            let reason = fault.to_string();
            if reason != said {
                tracing::warn!("withdrawals are not heard for now, and work goes on without: {reason}");
                said = reason;
            }
            begun = None;
            // From the first try on nothing is left out.
            if start == Start::End {
                start = Start::Since(before);
            }
            self.pause();
        }
    }

    /// Without the runtime's clock, which may end before this thread does.
    fn pause(&self) {
        let until = Instant::now() + AGAIN;
        while Instant::now() < until && !self.end.is_cancelled() {
            std::thread::sleep(LOOK);
        }
    }

    /// Listens until the end.
    fn listen(&self, start: Start, begun: &mut Option<oneshot::Sender<()>>) -> Result<(), KafkaFault> {
        let topic = format!("{}.cancellations", self.codec.prefix());
        let mut tail = Tail::open(&self.kafka, &topic, None, start)?;
        *begun = None;
        while !self.end.is_cancelled() {
            if let Next::Record(record) = tail.next(LOOK)? {
                self.take(&record);
            }
        }
        Ok(())
    }

    fn take(&self, record: &Tailed) {
        let Some(Cancellation { assignment_id, agent_name, reason, .. }) = self.read(record) else { return };
        let ours = self.agent_name.as_ref().is_none_or(|ours| same_name(&agent_name, ours));
        if ours && self.withdrawals.withdraw(&assignment_id) {
            tracing::info!(assignment = %assignment_id, reason, "withdrawn");
        }
    }

    fn read(&self, record: &Tailed) -> Option<Cancellation> {
        let (partition, offset) = (record.partition, record.offset);
        while !self.end.is_cancelled() {
            let id = match self.codec.decode(record.value.as_deref().unwrap_or_default()) {
                Ok(cancellation) => return Some(cancellation),
                Err(Undecided::Refused(refusal)) => {
                    tracing::warn!(partition, offset, %refusal, "a withdrawal that cannot be read is passed over");
                    return None;
                }
                Err(Undecided::NeedsSchema(id)) => id,
            };
            let asked = self.runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = self.end.cancelled() => None,
                    asked = self.registry.learn(id, self.codec.cache()) => Some(asked),
                }
            })?;
            if let Err(error) = asked {
                tracing::warn!(%error, "a withdrawal waits for its schema");
                self.pause();
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_works_is_told_and_who_comes_later_too() {
        let withdrawals = Withdrawals::default();
        let (working, other) = (withdrawals.of("a"), withdrawals.of("b"));
        assert!(withdrawals.withdraw("a") && !withdrawals.withdraw("a"), "it is news once");
        assert!(withdrawals.withdraw("c"));
        assert!(working.is_cancelled() && !other.is_cancelled() && withdrawals.of("c").is_cancelled());
        withdrawals.done("a");
        assert!(withdrawals.of("a").is_cancelled(), "a second delivery is not begun");
    }

    #[test]
    fn what_is_done_leaves_nothing_and_of_withdrawals_the_oldest_go_first() {
        let withdrawals = Withdrawals::default();
        let _working = withdrawals.of("working");
        drop(withdrawals.of("done"));
        withdrawals.done("done");
        for id in 0..=MOST {
            withdrawals.withdraw(&id.to_string());
        }
        assert_eq!(withdrawals.inner().known.len(), MOST + 1, "those withdrawn, and what is worked on");
        assert!(!withdrawals.of("0").is_cancelled() && withdrawals.of("1").is_cancelled());
    }
}
