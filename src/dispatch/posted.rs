//! Reports that agents post: what they took over, they report later.

use crate::agent::reports::{Head, Reporter};
use crate::contract::{AgentReport, Codec, Undecided, is_traceparent};
use crate::kafka::{Disposition, KafkaFault};
use std::sync::Arc;

/// Takes a report to the brokers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PostedReports {
    pub(super) reporter: Reporter,
    pub(super) codec: Arc<Codec>,
}

/// Why a report was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// It would be refused whoever brought it.
    #[error("{0}")]
    Invalid(String),
    /// Post it again later.
    #[error("{0}")]
    Unavailable(String),
}

impl PostedReports {
    /// Returns once the brokers have it. One for an assignment that is over changes nothing, and is taken all the same:
    /// whoever posts twice is answered alike.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub async fn take(&self, body: &[u8], traceparent: Option<&str>) -> Result<(), NotTaken> {
        if body.first() == Some(&0) {
            return Err(NotTaken::Invalid("the body is to be JSON".to_owned()));
        }
        let report: AgentReport = match self.codec.decode(body) {
            Ok(report) => report,
            Err(Undecided::Refused(refusal)) => return Err(NotTaken::Invalid(refusal.detail)),
            Err(Undecided::NeedsSchema(id)) => return Err(NotTaken::Invalid(format!("schema {id} in JSON"))),
        };
        let head = Head {
            task_id: report.task_id.clone(),
            assignment_id: report.assignment_id.clone(),
            agent_name: report.agent_name.clone(),
            deadline: None,
            traceparent: traceparent.filter(|trace| is_traceparent(trace)).map(str::to_owned),
        };
        self.reporter.deliver_once(&head, report).await.map_err(|fault| match fault {
            KafkaFault::TooLarge { .. } => NotTaken::Invalid(fault.to_string()),
            fault if fault.disposition() == Disposition::Again => NotTaken::Unavailable(fault.to_string()),
            fault => {
                tracing::error!(%fault, "a posted report cannot be written");
                NotTaken::Unavailable(fault.to_string())
            }
        })
    }
}
