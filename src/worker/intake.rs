//! From records to arrivals: whose it is, whether it is at home, what it says.
//!
//! What cannot be decided yet (a schema or a contract's name nobody has looked up) holds its partition of that input
//! until it can; records behind it wait in order, and nothing is a dead letter because a registry is away.

use super::Record;
use super::encode::Encoder;
use super::settings::RECORD_OVERHEAD;
use crate::contract::{
    ARRIVED, Contract, ContractNames, IngressLimits, NameLookup, OUTGROWN, RawRecord, TRACEPARENT, TaskDraft,
    Undecided, arrived_from, check_task_id, contract_name, is_traceparent,
};
use crate::partition::{Arrival, Note, Refusal, Source, What};
use crate::selection::{Breach, Schemas};
use crate::workflow::{Input, Payload, Position, Reason, Submission, Task, Timestamp};
use prometheus_client::metrics::counter::Counter;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Numbers of the input topics.
pub const TASKS: usize = 0;
pub const STATUS: usize = 1;
pub const COMMANDS: usize = 2;

/// What must be looked up in the registry before a record can be decided.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    Schema(u32),
    Contract(String),
}

/// Looks things up beside the loop: the answer goes into the caches, and the worker is woken. Asked again for the same
/// while it is under way, it does nothing.
pub trait Lookups: Send {
    fn want(&self, need: Need);
}

pub(super) struct Intake {
    names: Arc<ContractNames>,
    lookups: Box<dyn Lookups>,
    limits: IngressLimits,
    /// Bytes that a record on its way home may have.
    record_bytes: usize,
    /// Records that wait, by input and partition.
    held: BTreeMap<(usize, i32), Held>,
    schemas: Arc<Schemas>,
    /// Reports with numbers that cannot be.
    reports_corrected: Counter,
}

#[derive(Default)]
struct Held {
    records: VecDeque<Record>,
    /// What the first of them waits for; none = a place in the next batch.
    need: Option<Need>,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").field("held", &self.held.len()).finish_non_exhaustive()
    }
}

impl Intake {
    pub(super) fn new(
        names: Arc<ContractNames>,
        lookups: Box<dyn Lookups>,
        payload_bytes: usize,
        record_bytes: usize,
        schemas: Arc<Schemas>,
        reports_corrected: Counter,
    ) -> Self {
        let limits = IngressLimits { payload_bytes };
        Self { names, lookups, limits, record_bytes, held: BTreeMap::new(), schemas, reports_corrected }
    }

    /// Has a schema looked up.
    pub(super) fn look_up(&self, id: u32) {
        self.lookups.want(Need::Schema(id));
    }

    /// Forgets what was held: its partitions went away and will be read again.
    pub(super) fn clear(&mut self) {
        self.held.clear();
    }

    pub(super) fn holds(&self, input: usize, partition: i32) -> bool {
        self.held.contains_key(&(input, partition))
    }

    /// What is waited for, in words, for whoever asks why nothing moves.
    pub(super) fn waits_for(&self) -> Option<String> {
        self.held.values().find_map(|held| held.need.as_ref()).map(|need| match need {
            Need::Schema(id) => format!("schema {id} of the registry"),
            Need::Contract(name) => format!("contract {name:?} of the registry"),
        })
    }

    /// Records that were held and can now be decided, in order, before anything newer of their partition.
    pub(super) fn released(&mut self, encoder: &Encoder, most: usize, into: &mut Vec<(Record, Arrival)>) {
        for (place, mut held) in std::mem::take(&mut self.held) {
            held.need = None;
            while into.len() < most
                && let Some(record) = held.records.pop_front()
            {
                match self.decide(encoder, &record) {
                    Ok(arrival) => into.push((record, arrival)),
                    Err(need) => {
                        self.lookups.want(need.clone());
                        held.records.push_front(record);
                        held.need = Some(need);
                        break;
                    }
                }
            }
            if !held.records.is_empty() {
                self.held.insert(place, held);
            }
        }
    }

    /// The arrival a record is, or none: it is held.
    pub(super) fn take(&mut self, encoder: &Encoder, record: Record) -> Option<(Record, Arrival)> {
        let place = (record.input, record.partition);
        if let Some(held) = self.held.get_mut(&place) {
            held.records.push_back(record);
            return None;
        }
        match self.decide(encoder, &record) {
            Ok(arrival) => Some((record, arrival)),
            Err(need) => {
                tracing::warn!(?need, partition = record.partition, "waiting for the registry; nothing is skipped");
                self.lookups.want(need.clone());
                self.held.insert(place, Held { records: VecDeque::from([record]), need: Some(need) });
                None
            }
        }
    }

    fn decide(&self, encoder: &Encoder, record: &Record) -> Result<Arrival, Need> {
        let raw = RawRecord {
            topic: &encoder.inputs[record.input],
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            arrived: record.header(ARRIVED),
        };
        let source = Some(Source { input: record.input, offset: record.offset });
        let at = Timestamp(record.timestamp);
        let arrival = |task_id: Arc<str>, what| Arrival { task_id, what, source, at };
        let refused =
            |reason, detail: String| What::Refused(Refusal { reason, detail, is_task: record.input == TASKS });
        if let Some((task_id, what)) = noted(encoder, record) {
            return Ok(arrival(task_id, what));
        }
        let mut in_short = None;
        let (task_id, what) = match record.input {
            TASKS => match encoder.codec.decode_task(&raw) {
                Ok(ingress) => (ingress.task_id, self.task(record, ingress.draft)?),
                Err(Undecided::NeedsSchema(id)) => return Err(Need::Schema(id)),
                Err(Undecided::Refused(refusal)) => {
                    return Ok(arrival("".into(), refused(refusal.reason, refusal.detail)));
                }
            },
            COMMANDS => match encoder.codec.decode_command(&raw) {
                Ok(ingress) => {
                    let what = match ingress.draft.check(&self.limits) {
                        Ok(command) => {
                            let place = Position { partition: record.partition, offset: record.offset };
                            What::Input(Input::Commanded { command: Arc::new(command), place, too_large: None })
                        }
                        Err(refusal) => refused(refusal.reason, refusal.detail),
                    };
                    (ingress.task_id, what)
                }
                Err(Undecided::NeedsSchema(id)) => return Err(Need::Schema(id)),
                Err(Undecided::Refused(refusal)) => {
                    return Ok(arrival("".into(), refused(refusal.reason, refusal.detail)));
                }
            },
            _ => match encoder.codec.decode_report(&raw) {
                Ok(ingress) => {
                    if self.outgrows(record) {
                        let report = ingress.draft.in_short(&self.limits);
                        in_short = report.map(|report| encoder.codec.encode(&report));
                    }
                    let what = match ingress.draft.check(&self.limits) {
                        Ok(checked) => {
                            // At home only, so that each report is told of once.
                            if !checked.nonsense.is_empty() && encoder.home(&ingress.task_id) == record.partition {
                                self.reports_corrected.inc();
                                let numbers = checked.nonsense.join("; ");
                                let (task, agent) = (&ingress.task_id, &checked.report.agent_name);
                                tracing::warn!(%task, agent, numbers, "a report counts without its numbers");
                            }
                            What::Input(Input::Reported {
                                report: Arc::new(checked.report),
                                too_large: checked.too_large.or_else(|| outgrown(record).map(|(_, detail)| detail)),
                            })
                        }
                        Err(refusal) => refused(refusal.reason, refusal.detail),
                    };
                    (ingress.task_id, what)
                }
                Err(Undecided::NeedsSchema(id)) => return Err(Need::Schema(id)),
                Err(Undecided::Refused(refusal)) => {
                    return Ok(arrival("".into(), refused(refusal.reason, refusal.detail)));
                }
            },
        };
        let home = encoder.home(&task_id);
        let what = match (home == record.partition, raw.arrived) {
            (true, _) => what,
            (false, None) if self.outgrows(record) => self.note(record, home, what, in_short),
            (false, None) => What::Forwarded { to: home },
            // Here nobody can know whether the id is in use at its home, so nobody is told that the task is over.
            (false, Some(arrived)) => What::Refused(Refusal {
                reason: Reason::Misrouted,
                detail: format!(
                    "it was sent home from {arrived} and is still not on partition {home}: did the partition count change?"
                ),
                is_task: false,
            }),
        };
        Ok(arrival(task_id.into(), what))
    }

    /// Whether the record with one header more could be over its topic's limit.
    fn outgrows(&self, record: &Record) -> bool {
        let headers = record.headers.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len));
        let content = [&record.key, &record.value].into_iter().flatten().map(Vec::len);
        headers.chain(content).sum::<usize>() + RECORD_OVERHEAD > self.record_bytes
    }

    /// What is to be done about a record that cannot go home as it is: what counts of a report goes, a task is a dead
    /// letter here, and its home is told.
    fn note(&self, record: &Record, to: i32, what: What, in_short: Option<Vec<u8>>) -> What {
        let bytes = record.value.as_ref().map_or(0, Vec::len);
        let (value, why, is_dead) = match what {
            What::Refused(refusal) if refusal.is_task => (None, Some((refusal.reason, refusal.detail)), true),
            What::Input(Input::Reported { too_large, .. }) => {
                (in_short, too_large.map(|detail| (Reason::TooLarge, detail)), false)
            }
            What::Input(_) => {
                let limit = self.record_bytes;
                let detail = format!(
                    "the record: with {bytes} bytes it does not fit through {limit} on its way home to partition {to}; \
                     send less, or use the partitioner murmur2_random"
                );
                (None, Some((Reason::TooLarge, detail)), true)
            }
            refused => return refused,
        };
        What::Outgrown(Box::new(Note { to, value, why, is_dead }))
    }

    fn task(&self, record: &Record, draft: TaskDraft) -> Result<What, Need> {
        let unknown = |name: &&str| matches!(self.names.get(name), NameLookup::Unknown);
        if let Some(name) = draft.contract_names().find(unknown) {
            return Err(Need::Contract(name.to_owned()));
        }
        let refused = |reason, detail| What::Refused(Refusal { reason, detail, is_task: true });
        let (mut task, content_hash) = match draft.check(&self.limits) {
            Ok(checked) => checked,
            Err(refusal) => return Ok(refused(refusal.reason, refusal.detail)),
        };
        if let Err(fault) = self.resolve(&mut task) {
            return Ok(refused(Reason::Invalid, fault));
        }
        if let Some(fault) = self.breach(&task) {
            return Ok(refused(Reason::Invalid, fault));
        }
        let traceparent = record.header(TRACEPARENT).filter(|text| is_traceparent(text));
        Ok(What::Input(Input::Submitted(Submission {
            submitted_at: task.submitted_at.unwrap_or(Timestamp(record.timestamp)),
            task: Arc::new(task),
            content_hash,
            accepted: Position { partition: record.partition, offset: record.offset },
            traceparent: traceparent.map(Into::into),
        })))
    }

    /// What the contracts' names stand for is put in their place, once: the snapshot carries it, and a restore need not
    /// ask. Schemas of steps are compiled, so that a bad one is refused here and not when its step is done.
    fn resolve(&self, task: &mut Task) -> Result<(), String> {
        self.resolved("inputContract", &mut task.input_contract)?;
        let Some(plan) = &task.plan else { return Ok(()) };
        let mut steps = plan.to_vec();
        for (index, step) in steps.iter_mut().enumerate() {
            for (field, contract) in
                [("inputContract", &mut step.input_contract), ("outputContract", &mut step.output_contract)]
            {
                let path = format!("plan[{index}].{field}");
                self.resolved(&path, contract)?;
                if let Some(schema) = contract.as_deref().map(str::trim).filter(|text| text.starts_with('{'))
                    && let Err(Breach::Schema(fault)) = self.schemas.check(schema, &serde_json::Value::Null)
                {
                    return Err(format!("{path}: {fault}"));
                }
            }
        }
        task.plan = Some(steps.into());
        Ok(())
    }

    fn resolved(&self, path: &str, contract: &mut Option<String>) -> Result<(), String> {
        let Some(name) = contract.as_deref().and_then(contract_name) else { return Ok(()) };
        match self.names.get(name) {
            NameLookup::Known(Contract::Schema(text)) => *contract = Some(text.to_string()),
            NameLookup::Known(Contract::Unusable(why)) => {
                return Err(format!("{path}: {name:?} is {why}; name a JSON Schema or a label"));
            }
            NameLookup::Known(Contract::Label) | NameLookup::Unknown => {}
        }
        Ok(())
    }

    /// How a task's input breaks the task's own contract, if that is a schema.
    fn breach(&self, task: &Task) -> Option<String> {
        let text = task.input_contract.as_deref().map(str::trim).filter(|text| text.starts_with('{'))?;
        let value = task.input.as_ref().map_or(serde_json::Value::Null, Payload::value);
        match self.schemas.check(text, &value).err()? {
            Breach::Schema(fault) => Some(format!("inputContract: {fault}")),
            Breach::Value(violation) => Some(format!("input: breaks the task's inputContract: {violation}")),
        }
    }
}

/// What a note says of a record that could not come home itself.
fn outgrown(record: &Record) -> Option<(Reason, String)> {
    record.header(ARRIVED)?;
    let (reason, detail) = record.header(OUTGROWN)?.split_once(' ')?;
    let reason = Reason::ALL.into_iter().find(|known| known.as_str() == reason)?;
    Some((reason, detail.to_owned()))
}

/// A note about a task, at home. It has no value, so whatever else comes under its headers is judged as it is.
fn noted(encoder: &Encoder, record: &Record) -> Option<(Arc<str>, What)> {
    if record.input != TASKS || record.value.is_some() {
        return None;
    }
    let (reason, detail) = outgrown(record)?;
    let (partition, offset) = arrived_from(record.header(ARRIVED)?)?;
    let task_id = std::str::from_utf8(record.key.as_deref()?).ok()?;
    if check_task_id(task_id).is_err() || encoder.home(task_id) != record.partition {
        return None;
    }
    let refusal = Refusal { reason, detail, is_task: true };
    Some((task_id.into(), What::RefusedElsewhere { refusal, at: Position { partition, offset } }))
}
