//! What an agent, or who calls one, writes: reports and heartbeats, in Avro or JSON, at the task's home.

use super::Encoding;
use crate::contract::{
    AgentHeartbeat, AgentReport, Assignment, CONTENT_TYPE, Codec, Envelope, ErrorClass, RecordKind, ReportError,
    ReportStatus, TRACEPARENT, WireRecord, is_traceparent, rfc3339,
};
use crate::kafka::produce::{Outgoing, PlainProducer};
use crate::kafka::tail::Tailed;
use crate::kafka::{Disposition, KafkaFault};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Between two tries to deliver a report. The producer itself has tried for longer before each.
const AGAIN: Duration = Duration::from_secs(1);

/// What all reports on one assignment have in common.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) task_id: String,
    pub(crate) assignment_id: String,
    pub(crate) agent_name: String,
    /// The earlier of the attempt's and the task's.
    pub(crate) deadline: Option<i64>,
    pub(crate) traceparent: Option<String>,
}

impl Head {
    pub(crate) fn of(assignment: &Assignment, record: &Tailed) -> Self {
        let header = record.headers.iter().find(|(name, _)| name == TRACEPARENT);
        let trace = header.and_then(|(_, value)| String::from_utf8(value.clone()?).ok());
        Self {
            task_id: assignment.task_id.clone(),
            assignment_id: assignment.assignment_id.clone(),
            agent_name: assignment.agent_name.clone(),
            deadline: assignment.attempt_deadline.into_iter().chain(assignment.task_deadline).min(),
            traceparent: trace.filter(|trace| is_traceparent(trace)),
        }
    }

    pub(crate) fn report(&self, status: ReportStatus) -> AgentReport {
        AgentReport::new(&self.task_id, &self.assignment_id, &self.agent_name, status)
    }
}

/// The agent's producer. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Reporter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    producer: PlainProducer,
    codec: Codec,
    encoding: Encoding,
    /// In each record's id, beside the number: two processes say nothing under one id.
    writer: String,
    /// What reports are stamped with that name no instance.
    instance: Option<String>,
    source: String,
    /// So that each record has an id of its own.
    said: AtomicU64,
}

impl Reporter {
    /// Of one agent.
    pub(crate) fn agent(producer: PlainProducer, codec: Codec, encoding: Encoding, key: &str, instance: &str) -> Self {
        let source = format!("{}/agents/{key}/{}", codec.prefix(), instance.replace(' ', "-"));
        let (writer, instance) = (instance.to_owned(), Some(instance.to_owned()));
        Self(Arc::new(Inner { producer, codec, encoding, writer, instance, source, said: AtomicU64::new(0) }))
    }

    /// Of one who reports for agents, in Avro; `writer` is another one for each process.
    pub(crate) fn for_others(producer: PlainProducer, codec: Codec, role: &str, writer: String) -> Self {
        let (source, encoding) = (format!("{}/{role}/{}", codec.prefix(), writer.replace(' ', "-")), Encoding::Avro);
        Self(Arc::new(Inner { producer, codec, encoding, writer, instance: None, source, said: AtomicU64::new(0) }))
    }

    /// Returns once the brokers have the report, or with the reason why they have not: for those who try again themselves.
    pub(crate) async fn deliver_once(&self, head: &Head, report: AgentReport) -> Result<(), KafkaFault> {
        self.0.producer.send(&self.report(head, report)).await.map(drop)
    }

    /// Says it once and does not wait: for what nothing rests on.
    pub(crate) async fn say(&self, head: &Head, report: AgentReport) {
        let status = report.status;
        // What comes of it is dropped: the client tries for as long as a record may take.
        if let Err(fault) = self.0.producer.enqueue(&self.report(head, report)).await.map(drop) {
            tracing::debug!(assignment = %head.assignment_id, ?status, %fault, "not said");
        }
    }

    /// Returns once the brokers have the report; tries again as long as that may help.
    ///
    /// # Errors
    /// What a person must change.
    pub(crate) async fn deliver(&self, head: &Head, report: AgentReport) -> Result<(), KafkaFault> {
        let mut record = self.report(head, report);
        loop {
            match self.0.producer.send(&record).await {
                Ok(_) => return Ok(()),
                Err(fault) if fault.disposition() == Disposition::Again => {
                    tracing::warn!(assignment = %head.assignment_id, %fault, "the report waits");
                    tokio::time::sleep(AGAIN).await;
                }
                Err(fault @ KafkaFault::TooLarge { .. }) => {
                    let mut report = head.report(ReportStatus::Failed);
                    let code = "too_large".to_owned();
                    // Said without its output, this one is small: the next round ends the loop.
                    if record.value.as_ref().is_none_or(|value| value.len() < 4096) {
                        return Err(fault);
                    }
                    tracing::error!(assignment = %head.assignment_id, %fault, "the output is too large");
                    report.error = Some(ReportError {
                        class: ErrorClass::Permanent,
                        code: Some(code),
                        message: fault.to_string(),
                        retry_after_ms: None,
                    });
                    record = self.report(head, report);
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    /// A sign of life; one that does not arrive is followed by the next.
    pub(crate) async fn heartbeat(&self, beat: AgentHeartbeat) -> Result<(), KafkaFault> {
        let value = self.encode(&beat);
        let key = beat.agent_name.clone();
        let record = self.record("heartbeats", key, RecordKind::AgentHeartbeat, value, &self.0.writer, None);
        self.0.producer.send(&record).await.map(drop)
    }

    fn report(&self, head: &Head, mut report: AgentReport) -> Outgoing {
        report.instance = report.instance.or_else(|| self.0.instance.clone());
        report.time = report.time.or_else(|| Some(now_ms()));
        let value = self.encode(&report);
        let (key, trace) = (head.task_id.clone(), head.traceparent.as_deref());
        self.record("agent-status", key, RecordKind::AgentReport, value, &head.assignment_id, trace)
    }

    fn encode<T: WireRecord>(&self, record: &T) -> Vec<u8> {
        match self.0.encoding {
            Encoding::Avro => self.0.codec.encode(record),
            Encoding::Json => serde_json::to_vec(record).expect("our records have a form in JSON"),
        }
    }

    fn record(
        &self,
        topic: &str,
        key: String,
        kind: RecordKind,
        value: Vec<u8>,
        about: &str,
        traceparent: Option<&str>,
    ) -> Outgoing {
        let number = self.0.said.fetch_add(1, Ordering::Relaxed);
        let (id, time) = (format!("{about}/{}/{number}", self.0.writer), rfc3339(now_ms()));
        let envelope = Envelope { id: &id, kind, source: &self.0.source, time: &time, traceparent };
        let content = |name: &str, value: &str| match self.0.encoding {
            Encoding::Json if name == CONTENT_TYPE => b"application/json".to_vec(),
            _ => value.as_bytes().to_vec(),
        };
        let headers =
            envelope.headers().iter().map(|(name, value)| ((*name).to_owned(), content(name, value))).collect();
        let topic = format!("{}.{topic}", self.0.codec.prefix());
        Outgoing { topic, partition: None, key: Some(key.into_bytes()), value: Some(value), headers }
    }
}

pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
