//! A report as it was read, before it is judged.

use super::agent_report::{AgentReport, ReportError, Usage};
use super::ingress::IngressLimits;
use super::refusal::{Fault, Refusal, cut};
use crate::workflow::{self, Payload, Report, Timestamp};

/// A report whose task's id is known, and nothing else yet.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportDraft(Result<AgentReport, Refusal>);

/// A report that counts.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedReport {
    pub report: Report,
    /// Set if the output was over the limit, in words: it is dropped, and the task ends for it.
    pub too_large: Option<String>,
    /// Numbers that cannot be, with their fields: they were dropped.
    pub nonsense: Vec<String>,
}

/// Of texts meant for people, which go into events and completions.
const MAX_MESSAGE: usize = 4096;
const MAX_CODE: usize = 256;

impl ReportDraft {
    pub(super) fn new(record: Result<AgentReport, Refusal>) -> Self {
        Self(record)
    }

    /// The report without what nothing is made of: an output over the limit, and the rest of long texts. None where it
    /// is refused anyway.
    #[must_use]
    pub fn in_short(&self, limits: &IngressLimits) -> Option<AgentReport> {
        let report = self.0.as_ref().ok()?;
        let error = report.error.as_ref().map(|error| ReportError {
            code: error.code.clone().map(|code| shortened(code, MAX_CODE)),
            message: shortened(error.message.clone(), MAX_MESSAGE),
            ..*error
        });
        Some(AgentReport {
            output: report.output.clone().filter(|output| output.len() <= limits.payload_bytes),
            message: report.message.clone().map(|message| shortened(message, MAX_MESSAGE)),
            instance: report.instance.clone().map(|instance| shortened(instance, MAX_CODE)),
            error,
            ..report.clone()
        })
    }

    /// The report. Numbers that cannot be (negative usage, progress outside 0 to 1, a negative wait) are dropped and told,
    /// for what the agent did counts all the same; so is an output over the limit.
    ///
    /// # Errors
    ///
    /// All that is wrong with it.
    pub fn check(self, limits: &IngressLimits) -> Result<CheckedReport, Refusal> {
        let report = self.0?;
        let mut faults = Vec::new();
        if report.assignment_id.is_empty() {
            faults.push(Fault::new("assignmentId", "empty; give the one of the assignment"));
        }
        if report.agent_name.trim().is_empty() {
            faults.push(Fault::new("agentName", "empty; give the one of the assignment"));
        }
        let status = report.status.known();
        let Some(status) = status.filter(|_| faults.is_empty()) else {
            if status.is_none() {
                let known = "ACCEPTED, PROGRESS, SUCCEEDED, FAILED, DECLINED or INPUT_REQUIRED";
                faults.push(Fault::new("status", format!("not one this version knows; give {known}")));
            }
            return Err(Refusal::of_faults(&faults));
        };
        let bytes = report.output.as_ref().map_or(0, String::len);
        let limit = limits.payload_bytes;
        let too_large = (bytes > limit).then(|| format!("output: {bytes} bytes are over the limit of {limit}"));
        let nonsense = nonsense(&report);
        Ok(CheckedReport {
            nonsense,
            report: Report {
                task_id: report.task_id,
                assignment_id: report.assignment_id,
                agent_name: report.agent_name,
                instance: report.instance,
                status,
                output: report.output.filter(|_| too_large.is_none()).map(Payload::from),
                progress: report.progress.filter(|progress| (0.0..=1.0).contains(progress)),
                message: report.message.map(|message| shortened(message, MAX_MESSAGE)),
                error: report.error.map(error),
                usage: report.usage.map(usage),
                time: report.time.map(Timestamp),
            },
            too_large,
        })
    }
}

/// Numbers that are none of what they are said to be.
fn nonsense(report: &AgentReport) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(progress) = report.progress.filter(|progress| !(0.0..=1.0).contains(progress)) {
        found.push(format!("progress {progress} is not between 0 and 1"));
    }
    let usage = report.usage.unwrap_or_default();
    let wait = report.error.as_ref().and_then(|error| error.retry_after_ms).unwrap_or(0);
    for (field, number) in [
        ("usage.inputTokens", usage.input_tokens),
        ("usage.outputTokens", usage.output_tokens),
        ("usage.costMicros", usage.cost_micros),
        ("error.retryAfterMs", wait),
    ] {
        if number < 0 {
            found.push(format!("{field} {number} is negative"));
        }
    }
    found
}

fn error(error: ReportError) -> workflow::ReportError {
    workflow::ReportError {
        class: error.class.into(),
        code: error.code.map(|code| shortened(code, MAX_CODE)),
        message: shortened(error.message, MAX_MESSAGE),
        retry_after_ms: error.retry_after_ms.filter(|millis| *millis >= 0),
    }
}

fn usage(usage: Usage) -> workflow::Usage {
    workflow::Usage {
        input_tokens: usage.input_tokens.max(0),
        output_tokens: usage.output_tokens.max(0),
        cost_micros: usage.cost_micros.max(0),
    }
}

fn shortened(mut text: String, bytes: usize) -> String {
    cut(&mut text, bytes);
    text
}
