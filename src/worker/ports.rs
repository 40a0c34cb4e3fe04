//! What the loop needs of Kafka and of the runner. `kafka` and `runner` implement these; a simulation may too.

use crate::partition::{Arrival, INPUTS, Partition, Staged, View};
use crate::workflow::{Effect, Input, Timestamp, Workflow};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A record of an input topic, as it was read.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Number of the input topic.
    pub input: usize,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    /// The last header of that name, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().rev().find(|(key, _)| key == name)?;
        std::str::from_utf8(value.as_deref()?).ok()
    }
}

/// A record to be written in a transaction.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub topic: Arc<str>,
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Cow<'static, str>, Option<Vec<u8>>)>,
    /// None = now.
    pub timestamp: Option<i64>,
    /// What caused it, for whoever asks which input cannot be written.
    pub origin: usize,
}

/// The next offsets of one partition number: one for each input, always all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    pub partition: i32,
    pub next: [i64; INPUTS],
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Committed,
    /// Certainly nothing of it is visible. `culprit` is the origin of a record that Kafka refuses for itself.
    Aborted {
        culprit: Option<usize>,
        reason: String,
    },
    /// It may have been committed or not: state must be read anew.
    Unknown {
        reason: String,
    },
}

impl Outcome {
    /// One word, for telemetry.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Aborted { .. } => "aborted",
            Self::Unknown { .. } => "unknown",
        }
    }
}

/// What the group decided about this member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebalance {
    /// Partition numbers, each with all its inputs.
    Assigned(Vec<i32>),
    /// All partitions. `lost`: others may own them already, so nothing may be committed for them.
    Revoked { lost: bool },
}

/// A partition as its owner finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owned {
    pub offsets: Offsets,
    /// Whether any input had a committed offset.
    pub committed: bool,
}

/// Why the worker cannot go on. The process ends with it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Stop {
    #[error("slot {slot:?} is taken by another worker: give each worker a kafka.slot of its own ({detail})")]
    SlotTaken { slot: String, detail: String },
    #[error(
        "fenced and rebuilt {times} times within a minute; last: {detail}. Is another worker running under slot {slot:?}?"
    )]
    Fenced { slot: String, times: usize, detail: String },
    #[error("{0}")]
    Broken(String),
}

/// Why a partition was not taken over.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TakeOver {
    /// The group decided anew meanwhile, or the broker did not answer: the group comes first, then once more.
    #[error("not now: the group comes first")]
    Rebalanced,
    #[error(transparent)]
    Stop(#[from] Stop),
}

/// Takes one record of `task-state`: partition, key, value.
pub type Apply<'a> = dyn FnMut(i32, &[u8], Option<&[u8]>) -> Result<(), Stop> + 'a;

/// Kafka, as one worker sees it: one consumer, one transactional producer, used from one thread.
pub trait Log {
    /// Serves the client once and takes up to `most` records. Called between any two transactions.
    ///
    /// # Errors
    /// [`Stop`] if the client cannot go on.
    fn poll(&mut self, most: usize, into: &mut Vec<Record>) -> Result<(), Stop>;

    /// Waits until something may be there or `at_most` is over.
    fn wait(&mut self, at_most: Duration);

    /// What the group decided and has not been answered.
    fn rebalance(&mut self) -> Option<Rebalance>;

    /// Whether the group decided something that was not taken yet.
    fn rebalance_is_pending(&self) -> bool;

    /// Gives all partitions back: the answer to [`Rebalance::Revoked`].
    fn release(&mut self);

    /// Takes partitions over, paused: fences a dead predecessor whose transaction is open, reads the committed
    /// offsets, and positions the inputs there.
    ///
    /// # Errors
    /// [`TakeOver`]
    fn take_over(&mut self, partitions: &[i32]) -> Result<Vec<Owned>, TakeOver>;

    /// Reads the state of each partition from the given offset of `task-state` (0 = the log's start) to its end, and
    /// says where that was.
    ///
    /// # Errors
    /// [`TakeOver`]
    fn restore(&mut self, from: &[(i32, i64)], apply: &mut Apply<'_>) -> Result<Vec<(i32, i64)>, TakeOver>;

    /// Writes this worker's name beside the offsets, so that a successor knows whom to fence, and lets records flow.
    ///
    /// # Errors
    /// [`TakeOver`]
    fn claim(&mut self, offsets: &[Offsets]) -> Result<(), TakeOver>;

    /// One transaction: the records, then the offsets.
    fn transact(&mut self, records: &[Outgoing], offsets: &[Offsets]) -> Outcome;

    /// A new producer after an unknown outcome; ends what its predecessor left open.
    ///
    /// # Errors
    /// [`Stop`] if that happened too often.
    fn renew(&mut self, reason: &str) -> Result<(), Stop>;

    /// The offset after the last of our own records in `task-state`.
    fn state_end(&self, partition: i32) -> i64;

    /// Stops or lets flow what a partition of an input brings.
    fn flow(&mut self, input: usize, partitions: &[i32], on: bool);

    /// The number of partitions of a topic as this client knows it now; asks the broker if it knows nothing.
    fn partitions_of(&mut self, topic: &str) -> Option<i32>;

    /// Looks whether the inputs and `task-state` still have `expected` partitions. A broker that does not answer is no
    /// reason to stop.
    ///
    /// # Errors
    /// [`Stop`] if a count is another one: tasks would live on partitions where nobody looks for them.
    fn check_partitions(&mut self, expected: i32) -> Result<(), Stop>;

    /// Leaves. `at_once`: others take over now; else the same slot is expected back.
    fn close(&mut self, at_once: bool);
}

/// Carries out what is owed, and only after the facts are durable; what comes back is an input.
pub trait Runner {
    /// What a task is owed now: running work that is not in it is cancelled, what is in it and runs goes on, the
    /// rest is started. Nothing owed forgets the task.
    fn owe(&mut self, partition: i32, task_id: &Arc<str>, effects: Vec<Effect>, workflow: Option<&Arc<Workflow>>);

    /// Cancels all work of a partition.
    fn drop_partition(&mut self, partition: i32);

    /// Takes what is due or done, up to `most`.
    fn returned(&mut self, now: Timestamp, most: usize, into: &mut Vec<Returned>);

    /// When the next timer is due.
    fn next_due(&self) -> Option<Timestamp>;
}

/// Time, as one worker has it. The loop reads no other clock.
pub trait Clock {
    /// The wall clock, as the core takes it; it may jump, also back.
    fn now(&self) -> Timestamp;

    /// Since some moment that stays the same; never runs back.
    fn elapsed(&self) -> Duration;

    fn sleep(&self, time: Duration);
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// Looks on while batches are staged, for whoever checks the engine from outside; it changes nothing.
pub trait Witness {
    /// A partition's share of a batch was staged, and will be tried in the next transaction. `view` is as it was before.
    fn staged(&self, partition: &Partition, arrivals: &[Arrival], view: &View<'_>, clock: Timestamp, staged: &Staged);
}

/// An answer or a timer on its way back.
#[derive(Clone, Debug)]
pub struct Returned {
    pub partition: i32,
    pub task_id: Arc<str>,
    pub input: Input,
}
