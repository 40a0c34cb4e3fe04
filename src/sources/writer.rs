//! The records that are written: tasks and reports at the home of their task, and dead letters.

use crate::contract::{
    self, AgentReport, Codec, DeadFrom, Envelope, Refusal, SOURCE, TRACEPARENT, TaskSubmitted, WireRecord,
    home_partition, is_traceparent, rfc3339,
};
use crate::kafka::relay::Outgoing;
use crate::kafka::tail::Tailed;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What all records of one source share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Writer {
    codec: Arc<Codec>,
    /// Of every topic keyed by task id.
    partitions: i32,
    /// Of dead letters.
    letters: i32,
    worker: String,
    name: String,
    tasks: Arc<str>,
    reports: Arc<str>,
    dead: Arc<str>,
}

/// How a dead letter is written: each form has less that Kafka could refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Whole,
    /// The broker may take no record of that time.
    Now,
    /// Its value is larger than any record here may be; it is still where the letter says.
    WithoutValue,
}

impl Form {
    pub(super) fn smaller(self) -> Option<Self> {
        match self {
            Self::Whole => Some(Self::Now),
            Self::Now => Some(Self::WithoutValue),
            Self::WithoutValue => None,
        }
    }
}

impl Writer {
    /// `name` is the source's, `partitions` those of the topics keyed by task, `letters` those of the dead letters.
    #[must_use]
    pub fn new(codec: Arc<Codec>, partitions: i32, letters: i32, worker: &str, name: &str) -> Self {
        let topic = |suffix: &str| -> Arc<str> { format!("{}.{suffix}", codec.prefix()).into() };
        let (tasks, reports, dead) = (topic("tasks"), topic("agent-status"), topic("sources.dlq"));
        Self { partitions, letters, worker: worker.to_owned(), name: name.to_owned(), tasks, reports, dead, codec }
    }

    pub(super) fn codec(&self) -> &Codec {
        &self.codec
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn task(&self, task: &TaskSubmitted, from: &Tailed, origin: usize) -> Outgoing {
        self.record(&self.tasks, &task.task_id, task, from, origin)
    }

    pub(super) fn report(&self, report: &AgentReport, from: &Tailed, origin: usize) -> Outgoing {
        self.record(&self.reports, &report.task_id, report, from, origin)
    }

    fn record<T: WireRecord>(
        &self,
        topic: &Arc<str>,
        task_id: &str,
        record: &T,
        from: &Tailed,
        origin: usize,
    ) -> Outgoing {
        let envelope = Envelope {
            id: &format!("{}-{}-{}", from.topic, from.partition, from.offset),
            kind: T::KIND,
            source: &format!("baton/{}/sources/{}", self.codec.prefix(), self.name),
            time: &rfc3339(from.timestamp.unwrap_or_default()),
            traceparent: traceparent(from),
        };
        let mut headers: Vec<_> = envelope.headers().into_iter().map(owned).collect();
        headers.push((SOURCE.into(), Some(place(from).into_bytes())));
        Outgoing {
            topic: Arc::clone(topic),
            partition: home_partition(task_id, self.partitions),
            key: Some(task_id.as_bytes().to_vec()),
            value: Some(self.codec.encode(record)),
            headers,
            timestamp: None,
            origin,
        }
    }

    /// A record that could become nothing: its own bytes, and why.
    pub(super) fn dead(&self, refusal: &Refusal, form: Form, from: &Tailed, origin: usize) -> Outgoing {
        let mut headers: Vec<_> =
            from.headers.iter().map(|(name, value)| (Cow::Owned(name.clone()), value.clone())).collect();
        let refusal = match (form, &from.value) {
            (Form::WithoutValue, Some(value)) => {
                let bytes = value.len();
                let detail = format!("{}; its {bytes} B fit no record here, read them where it lies", refusal.detail);
                &Refusal::new(refusal.reason, detail)
            }
            _ => refusal,
        };
        let place = DeadFrom {
            topic: &from.topic,
            partition: from.partition,
            offset: from.offset,
            worker: &self.worker,
            now_ms: now(),
        };
        headers.extend(contract::dead_letter(refusal, &place).into_iter().map(owned));
        Outgoing {
            topic: Arc::clone(&self.dead),
            partition: from.partition % self.letters,
            key: from.key.clone(),
            value: from.value.clone().filter(|_| form != Form::WithoutValue),
            headers,
            timestamp: from.timestamp.filter(|_| form == Form::Whole),
            origin,
        }
    }
}

/// `<topic>/<partition>/<offset>`
pub(super) fn place(record: &Tailed) -> String {
    format!("{}/{}/{}", record.topic, record.partition, record.offset)
}

/// What a record says of its trace, if that is one.
pub(super) fn traceparent(record: &Tailed) -> Option<&str> {
    let (_, value) = record.headers.iter().rev().find(|(name, _)| name == TRACEPARENT)?;
    std::str::from_utf8(value.as_deref()?).ok().filter(|text| is_traceparent(text))
}

fn owned((name, value): contract::Header<'_>) -> (Cow<'static, str>, Option<Vec<u8>>) {
    (name.into(), Some(value.into_owned().into_bytes()))
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
