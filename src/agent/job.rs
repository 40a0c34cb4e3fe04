//! One delivery of an assignment, from its bytes to its delivered report.

use super::answer::{Answer, Failure};
use super::answers::Answers;
use super::error::AgentError;
use super::handle::Handle;
use super::reports::{Head, Reporter, now_ms};
use super::withdrawals::Withdrawals;
use crate::contract::{AgentReport, Assignment, Codec, ErrorClass, Refusal, Registry, ReportStatus, Undecided};
use crate::kafka::offsets::Ticket;
use crate::kafka::tail::Tailed;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Between two questions to a registry that does not answer.
const AGAIN: Duration = Duration::from_secs(1);

/// What all deliveries share.
#[derive(Debug)]
pub(super) struct Desk<H> {
    pub(super) handler: H,
    pub(super) reporter: Reporter,
    pub(super) codec: Codec,
    pub(super) registry: Registry,
    /// One permit for each assignment that may be worked on at a time.
    pub(super) slots: Arc<Semaphore>,
    pub(super) answers: Mutex<Answers>,
    pub(super) withdrawals: Withdrawals,
    /// No more work is begun.
    pub(super) stop: CancellationToken,
}

impl<H, F> Desk<H>
where
    H: Fn(Assignment, Handle) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Answer, Failure>> + Send + 'static,
{
    /// Whether the record is settled: reported, or in need of no report. If not, it is to be delivered again.
    ///
    /// # Errors
    /// What a person must change; the record is not settled.
    pub(super) async fn serve(&self, record: Tailed, ticket: &Ticket) -> Result<bool, AgentError> {
        let begun = tokio::select! {
            biased;
            () = ticket.revoked.cancelled() => None,
            () = self.stop.cancelled() => None,
            permit = self.slots.acquire() => permit.ok(),
        };
        let Some(_permit) = begun else { return Ok(false) };
        let assignment = match self.read(&record).await? {
            Ok(assignment) => assignment,
            Err(refusal) => {
                let (partition, offset) = (record.partition, record.offset);
                tracing::error!(partition, offset, %refusal, "an assignment that cannot be read is passed over");
                return Ok(true);
            }
        };
        let head = Arc::new(Head::of(&assignment, &record));
        if let Some(late_ms) = head.deadline.map(|deadline| now_ms() - deadline).filter(|late| *late > 0) {
            tracing::warn!(assignment = %head.assignment_id, late_ms, "passed over: its deadline is past by this clock");
            return Ok(true);
        }
        let withdrawn = self.withdrawals.of(&head.assignment_id);
        let result = self.answer(assignment, &head, &withdrawn).await;
        self.withdrawals.done(&head.assignment_id);
        result.map(|()| true)
    }

    /// Works on it, unless somebody did, and delivers the report. Neither, where nobody wants it any more: a report would
    /// be stale.
    async fn answer(
        &self,
        assignment: Assignment,
        head: &Arc<Head>,
        withdrawn: &CancellationToken,
    ) -> Result<(), AgentError> {
        if withdrawn.is_cancelled() {
            tracing::info!(assignment = %head.assignment_id, "passed over: it was withdrawn before its turn came");
            return Ok(());
        }
        let cell = self.answers().of(&head.assignment_id);
        let work = || self.work(assignment, Arc::clone(head), withdrawn.clone());
        let report = cell.get_or_init(work).await.clone();
        if withdrawn.is_cancelled() {
            tracing::info!(assignment = %head.assignment_id, "not reported: it was withdrawn meanwhile");
            self.answers().forget(&head.assignment_id);
            return Ok(());
        }
        self.reporter.deliver(head, report).await?;
        self.answers().answered(&head.assignment_id);
        Ok(())
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(&self, record: &Tailed) -> Result<Result<Assignment, Refusal>, AgentError> {
        let value = record.value.as_deref().unwrap_or_default();
        loop {
            let id = match self.codec.decode(value) {
                Ok(assignment) => return Ok(Ok(assignment)),
                Err(Undecided::Refused(refusal)) => return Ok(Err(refusal)),
                Err(Undecided::NeedsSchema(id)) => id,
            };
            match self.registry.learn(id, self.codec.cache()).await {
                Ok(()) => {}
                Err(error) if error.is_retriable() => {
                    tracing::warn!(%error, "an assignment waits for its schema");
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn work(&self, assignment: Assignment, head: Arc<Head>, withdrawn: CancellationToken) -> AgentReport {
        self.reporter.say(&head, head.report(ReportStatus::Accepted)).await;
        let handle = Handle::new(self.reporter.clone(), Arc::clone(&head), withdrawn);
        let handed = handle.clone();
        // The handler is called inside, for it may panic before it has a future.
        let result = caught(async { (self.handler)(assignment, handed).await }).await;
        let failure = match result {
            Ok(Ok(answer)) => {
                let (status, output, message) = answer.into_parts();
                let mut report = handle.end(status);
                (report.output, report.message) = (output, message);
                return report;
            }
            Ok(Err(failure)) => failure,
            Err(panic) => {
                tracing::error!(assignment = %head.assignment_id, panic, "the handler panicked");
                Failure::new(ErrorClass::Transient, format!("the agent panicked: {panic}")).code("panic")
            }
        };
        let mut report = handle.end(ReportStatus::Failed);
        report.error = Some(failure.into_error());
        report
    }
}

/// A future's end, or what it panicked with. It is not polled again after a panic.
async fn caught<F: Future>(future: F) -> Result<F::Output, String> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(said(panic.as_ref()))),
    })
    .await
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_caught_with_its_words_before_and_after_an_await() {
        let number = std::hint::black_box(7);
        assert_eq!(caught(async { assert!(number == 0, "no {number}") }).await, Err("no 7".to_owned()));
        let later = async {
            tokio::task::yield_now().await;
            std::panic::panic_any(7);
        };
        assert_eq!(caught(later).await, Err::<(), _>("without a message".to_owned()));
        assert_eq!(caught(async { 7 }).await, Ok(7));
    }
}
