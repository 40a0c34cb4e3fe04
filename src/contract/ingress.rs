//! From a record on an ingress topic to what the core takes, in two moves: the id, as soon as it can be read, so
//! that the record is judged where its task lives; then all else, by the draft's `check`.

use super::codec::{Codec, Content, GivenId, RawRecord, Undecided};
use super::names::{check_task_id, task_id_of};
use super::refusal::{Reason, Refusal, quoted};
use super::report_draft::ReportDraft;
use super::task_draft::TaskDraft;
use super::{AgentReport, TaskSubmitted};

/// A record whose task's id is known and well formed.
#[derive(Clone, Debug, PartialEq)]
pub struct Ingress<D> {
    pub task_id: String,
    pub draft: D,
}

/// The bounds ingress holds; see `architecture.md` for who ends what is over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IngressLimits {
    /// Bytes of one payload: an input, an output, an objective.
    pub payload_bytes: usize,
}

impl Codec {
    /// A record of `tasks`. Its id is the one in it, else its key, else made from where it arrived first.
    ///
    /// # Errors
    ///
    /// No id can be read, or the schema it was written with is not known yet.
    pub fn decode_task(&self, raw: &RawRecord<'_>) -> Result<Ingress<TaskDraft>, Undecided> {
        let Content { id, mut record } = self.content::<TaskSubmitted>(raw.value, Some("taskId"))?;
        let given = match (&mut record, id) {
            (Ok(task), _) => std::mem::take(&mut task.task_id),
            (Err(_), GivenId::Text(id)) => id,
            (Err(_), GivenId::Absent) => String::new(),
            (Err(refusal), GivenId::Unreadable) => return Err(refusal.clone().into()),
        };
        let key = raw.key.filter(|key| !key.is_empty());
        let (task_id, record) = match (given.is_empty(), key) {
            (false, key) => {
                checked_id(&given, "taskId")?;
                let record = same_key(&given, key).and(record);
                (given, record)
            }
            (true, Some(key)) => (id_of_key(key)?, record),
            (true, None) => (made_id(raw), record),
        };
        let draft = TaskDraft::new(record.map(|task| TaskSubmitted { task_id: task_id.clone(), ..task }));
        Ok(Ingress { task_id, draft })
    }

    /// A record of `agent-status`.
    ///
    /// # Errors
    ///
    /// No task id can be read, or the schema it was written with is not known yet.
    pub fn decode_report(&self, raw: &RawRecord<'_>) -> Result<Ingress<ReportDraft>, Undecided> {
        let Content { id, record } = self.content::<AgentReport>(raw.value, Some("taskId"))?;
        let (task_id, record) = match (record, id) {
            (Ok(report), _) => (report.task_id.clone(), Ok(report)),
            (Err(refusal), GivenId::Text(id)) => (id, Err(refusal)),
            (Err(refusal), GivenId::Absent | GivenId::Unreadable) => return Err(refusal.into()),
        };
        checked_id(&task_id, "taskId")?;
        let record = same_key(&task_id, raw.key.filter(|key| !key.is_empty())).and(record);
        Ok(Ingress { task_id, draft: ReportDraft::new(record) })
    }
}

fn checked_id(id: &str, what: &str) -> Result<(), Refusal> {
    check_task_id(id).map_err(|fault| Refusal::new(Reason::Id, format!("{what}: {fault}")))
}

fn id_of_key(key: &[u8]) -> Result<String, Refusal> {
    let id = String::from_utf8_lossy(key);
    checked_id(&id, "key")?;
    Ok(id.into_owned())
}

fn same_key(id: &str, key: Option<&[u8]>) -> Result<(), Refusal> {
    match key {
        Some(key) if key != id.as_bytes() => {
            let key = quoted(&String::from_utf8_lossy(key));
            let detail = format!("key: {key} is not the taskId {}; send them alike, or no key", quoted(id));
            Err(Refusal::new(Reason::Id, detail))
        }
        _ => Ok(()),
    }
}

/// A forwarded record keeps the id it would have got where it arrived; a header that says nothing counts for nothing.
fn made_id(raw: &RawRecord<'_>) -> String {
    let first = raw.arrived.and_then(|arrived| {
        let (partition, offset) = arrived.split_once('/')?;
        Some((partition.parse::<u32>().ok()?.try_into().ok()?, offset.parse::<u64>().ok()?.try_into().ok()?))
    });
    let (partition, offset) = first.unwrap_or((raw.partition, raw.offset));
    task_id_of(raw.topic, partition, offset)
}
