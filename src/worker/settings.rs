use crate::partition::Window;
use crate::selection::Strategies;
use crate::workflow::Rules;
use std::time::Duration;

/// Bounds and rules of one worker, from the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Inputs in one transaction at most.
    pub batch: usize,
    /// Live workflows held at most; beyond it no new tasks are taken until some end.
    pub max_live: usize,
    /// Of one input or output, in bytes.
    pub payload_bytes: usize,
    /// Share of dead letters among the inputs of a minute beyond which it is said.
    pub dead_letter_ratio: f64,
    /// After so many milliseconds of silence an agent that sends heartbeats gets no new work.
    pub heartbeat_timeout: i64,
    /// Assignments that an agent whose breaker is half open has at once.
    pub probes: u32,
    pub rules: Rules,
    pub strategies: Strategies,
    pub window: Window,
    /// Prefix of every topic.
    pub prefix: String,
    /// Named in dead letters.
    pub worker: String,
    /// Partitions of every topic keyed by task id.
    pub partitions: i32,
    pub limits: TopicLimits,
}

/// The largest record each kind of topic takes, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct TopicLimits {
    /// The least of the inputs'.
    pub inputs: usize,
    pub assignments: usize,
    /// Events, decisions, snapshots: the least of theirs.
    pub others: usize,
}

/// Room for what the client and the broker add to a record.
pub(super) const RECORD_OVERHEAD: usize = 512;
/// Idle, the loop looks around this often; whatever happens wakes it at once.
pub(super) const IDLE: Duration = Duration::from_millis(100);
/// A change of the registry is looked at by waiting steps at most this often.
pub(super) const ADMIT_EVERY: Duration = Duration::from_secs(1);
/// Admissions and forgotten tasks in one batch.
pub(super) const HOUSEKEEPING: usize = 500;
/// The state of a partition that was given back is kept this long, should it come again.
pub(super) const PARKED_FOR: Duration = Duration::from_secs(600);
/// Aborts of a batch because of one of its records before it is split.
pub(super) const ABORTS_BEFORE_SPLIT: u32 = 2;
/// Aborts of an arrival alone before it is given up.
pub(super) const ABORTS_BEFORE_GIVING_UP: u32 = 3;
/// After a small transaction nothing is begun for this long. The broker is still writing its markers then, and would
/// answer the next one's first request with "again in 20 ms": who comes a moment later is done sooner, and in company.
pub(super) const BREATHER: Duration = Duration::from_millis(3);
/// A transaction of more inputs needs no breather: the next one takes longer to prepare than the markers take.
pub(super) const SMALL: usize = 100;
/// Between two tries of a batch that was aborted through no fault of its own.
pub(super) const BACK_OFF: Duration = Duration::from_millis(100);
/// Partition counts are looked at this often.
pub(super) const CHECK_PARTITIONS_EVERY: Duration = Duration::from_secs(60);
/// While state is read whose schema an older version wrote, the registry is waited for this long, in such slices.
pub(super) const LOOK_UP_PATIENCE: Duration = Duration::from_secs(120);
pub(super) const LOOK_UP_SLICE: Duration = Duration::from_millis(50);
