//! What a handler can ask and say while it works.

use super::reports::{Head, Reporter};
use crate::contract::{AgentReport, ReportStatus, Usage};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

/// One assignment under way. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    reporter: Reporter,
    head: Arc<Head>,
    used: Arc<Mutex<Usage>>,
    withdrawn: CancellationToken,
}

impl Handle {
    pub(super) fn new(reporter: Reporter, head: Arc<Head>, withdrawn: CancellationToken) -> Self {
        Self { reporter, head, used: Arc::default(), withdrawn }
    }

    /// Says how far the work is (0 to 1), for people who watch the task. Nothing rests on it: it is not sent again,
    /// moves no deadline, and of reports in quick succession not all are noted.
    pub async fn progress(&self, progress: f64, message: impl Into<String>) {
        let mut report = self.head.report(ReportStatus::Progress);
        report.progress = Some(progress.clamp(0.0, 1.0));
        report.message = Some(message.into());
        self.reporter.say(&self.head, report).await;
    }

    /// Adds to what the work has used; the sum goes into the report, however it ends.
    pub fn used(&self, usage: Usage) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.input_tokens = used.input_tokens.saturating_add(usage.input_tokens);
        used.output_tokens = used.output_tokens.saturating_add(usage.output_tokens);
        used.cost_micros = used.cost_micros.saturating_add(usage.cost_micros);
    }

    /// When the attempt, or the task if that is earlier, is given up at the latest: an answer after it changes nothing.
    /// (Workers may be configured to give less time once the work was accepted.) The work is not interrupted then; a
    /// handler that may take that long watches it.
    #[must_use]
    pub fn deadline(&self) -> Option<SystemTime> {
        let millis = u64::try_from(self.head.deadline?).unwrap_or(0);
        Some(UNIX_EPOCH + Duration::from_millis(millis))
    }

    /// Resolves once nobody wants this work any more: a wait for it is over, or its task has ended. The work is not
    /// interrupted; a handler that may take long stops by itself, and what it returns then is not reported. Never
    /// resolves for work that stays wanted, so it belongs into a `select!` with the work.
    pub async fn withdrawn(&self) {
        self.withdrawn.cancelled().await;
    }

    /// Whether nobody wants this work any more, as far as is known here.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.withdrawn.is_cancelled()
    }

    /// What is left until the deadline, by this machine's clock.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        Some(self.deadline()?.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO))
    }

    /// W3C trace context of the decision that led here, to hand on to the services asked.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.head.traceparent.as_deref()
    }

    /// The report that ends the work, with what was used.
    pub(super) fn end(&self, status: ReportStatus) -> AgentReport {
        let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let mut report = self.head.report(status);
        report.usage = (used != Usage::default()).then_some(used);
        report
    }
}
