//! The loop that stays in the group: polls, hands each record to a task, and commits what is settled.
//!
//! It never waits for work, so `max.poll.interval.ms` is not met however long the work takes; when there is enough in
//! hand it holds the topic back and polls on. Stopped, it lets work that has begun finish within the grace period, and
//! what has not begun, or does not finish, is delivered again to whoever reads the partition next.

use super::answer::{Answer, Failure};
use super::error::AgentError;
use super::handle::Handle;
use super::job::Desk;
use crate::contract::Assignment;
use crate::kafka::group::{GroupReader, Place, Read};
use crate::kafka::offsets::{Offsets, Ticket};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime;
use tokio::task::{JoinError, JoinSet};

/// Records read ahead of those that are worked on, so that a slot that is free has work at once.
const AHEAD: usize = 16;
/// Records that may wait for the settlement of an earlier one before no more are read.
const HELD: usize = 10_000;
/// With nothing in hand only a record, which ends the wait, and the end are waited for.
const IDLE: Duration = Duration::from_millis(100);
/// With work in hand its end is looked for this often: only the commit waits for it, no report does.
const BUSY: Duration = Duration::from_millis(10);
/// Between two tries to commit.
const COMMIT_AGAIN: Duration = Duration::from_secs(1);
/// For the last commits' answers, before the group is left.
const COMMITTED: Duration = Duration::from_secs(5);

type Done = (Ticket, Result<bool, AgentError>);

pub(super) struct Loop<H> {
    pub(super) desk: Arc<Desk<H>>,
    pub(super) reader: GroupReader,
    pub(super) runtime: runtime::Handle,
    pub(super) concurrency: usize,
    pub(super) grace: Duration,
}

impl<H, F> Loop<H>
where
    H: Fn(Assignment, Handle) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Answer, Failure>> + Send + 'static,
{
    /// Runs until stopped, then leaves the group.
    ///
    /// # Errors
    /// What made it stop by itself; work in hand was finished as if it had been told to.
    pub(super) fn run(mut self) -> Result<(), AgentError> {
        let (mut jobs, mut offsets) = (JoinSet::new(), Offsets::default());
        let (mut full, mut end, mut commit_again) = (false, None, None);
        let mut ended = Ok(());
        loop {
            while let Some(done) = jobs.try_join_next() {
                if let Err(error) = settle(done, &mut offsets) {
                    self.stop(&mut ended, error);
                }
            }
            if self.reader.commit_failed() {
                commit_again = Some(Instant::now() + COMMIT_AGAIN);
            }
            if commit_again.is_some_and(|at| at <= Instant::now()) {
                commit_again = None;
                offsets.again();
            }
            let due = offsets.due();
            if !due.is_empty() {
                self.reader.commit(&due);
            }
            let stopping = self.desk.stop.is_cancelled();
            if stopping {
                let end = *end.get_or_insert_with(|| Instant::now() + self.grace);
                if jobs.is_empty() || Instant::now() >= end {
                    break;
                }
            }
            // Held back until half of it is gone: holding lets go of what was fetched.
            let ahead = if full { AHEAD / 2 } else { AHEAD };
            full = jobs.len() >= self.concurrency + ahead || offsets.held() >= HELD;
            let wait = if jobs.is_empty() { IDLE } else { BUSY };
            let read = self.reader.hold(full || stopping).and_then(|()| self.reader.next(wait));
            match read {
                Ok(Read::Record(record)) if !stopping => {
                    let Some(ticket) = offsets.open(Place::new(&record.topic, record.partition), record.offset) else {
                        continue;
                    };
                    let desk = Arc::clone(&self.desk);
                    let job = async move {
                        let result = desk.serve(record, &ticket).await;
                        (ticket, result)
                    };
                    jobs.spawn_on(job, &self.runtime);
                }
                Ok(Read::Assigned(partitions)) => {
                    tracing::info!(?partitions, "assigned");
                    offsets.assigned(&partitions);
                }
                Ok(Read::Revoked(partitions)) => {
                    tracing::info!(?partitions, "revoked");
                    offsets.revoked(&partitions);
                }
                Ok(Read::Record(_) | Read::Idle) => {}
                Err(fault) => {
                    self.stop(&mut ended, fault.into());
                    // A client that is done for answers at once, again and again.
                    std::thread::sleep(BUSY);
                }
            }
        }
        if !jobs.is_empty() {
            tracing::warn!(unfinished = jobs.len(), grace = ?self.grace, "given up; delivered again to who reads on");
        }
        drop(jobs);
        if !self.reader.finish_commits(COMMITTED) {
            tracing::warn!("the last offsets may not be committed; their assignments are then answered again");
        }
        ended
    }

    /// Keeps the first reason.
    fn stop(&self, ended: &mut Result<(), AgentError>, error: AgentError) {
        self.desk.stop.cancel();
        if ended.is_ok() {
            tracing::error!(%error, "stopping");
            *ended = Err(error);
        }
    }
}

fn settle(done: Result<Done, JoinError>, offsets: &mut Offsets) -> Result<(), AgentError> {
    match done {
        Ok((ticket, Ok(settled))) => {
            if settled {
                offsets.settle(&ticket);
            }
            Ok(())
        }
        Ok((_, Err(error))) => Err(error),
        // The handler's own panics are caught: this one is ours, or the runtime has ended.
        Err(error) => Err(AgentError::Broken(error.to_string())),
    }
}
