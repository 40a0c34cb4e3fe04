//! The topics of Confluent's example as they are: its messages become tasks and reports, and assignments become the
//! predictions its connectors read.
//!
//! ```text
//! agent_messages {lead, context: null} ─▶ task                      assignments ─▶ agent_predictions
//! agent_messages {lead, context}       ─▶ report of the open one         └─▶ source-state: who has the lead now
//! ```
//!
//! A message does not say what it answers, so every assignment handed on is noted in `source-state` under its lead, and
//! an output is the answer to what its lead has open. Each batch is judged only once that table has been read to its
//! present end: what is open is what all processes together have committed.

mod lead;
mod open;
mod prediction;

use super::document::{Document, payload};
use super::recipe::{pointer, rendered, within};
use super::work::{Made, Unready, Work, refused};
use super::writer::Writer;
use crate::config::{self, Pointer};
use crate::contract::{
    AgentReport, Assignment, ErrorClass, JsonSubject, Reason, Refusal, Registry, ReportError, ReportStatus,
    TaskSubmitted, Undecided,
};
use crate::kafka::relay::Outgoing;
use crate::kafka::table::Table;
use crate::kafka::tail::Tailed;
use lead::Lead;
use open::{Answers, Hop, Open};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// A commit of another process takes less; one that takes longer may be a dead one's, which the group has to end.
const CAUGHT_UP: Duration = Duration::from_millis(500);
/// How long what the registry says of the predictions' subject counts.
const SUBJECT_FOR: Duration = Duration::from_secs(60);

/// The mapping at work.
#[derive(Debug)]
pub struct Confluent {
    config: config::Confluent,
    kafka: config::Kafka,
    writer: Writer,
    registry: Registry,
    payload_bytes: usize,
    /// The agents' names as their connectors know them, by assignment topic.
    agents: BTreeMap<String, String>,
    predictions: Arc<str>,
    state: Arc<str>,
    /// None until the first batch, and again after a fault.
    table: Option<Table>,
    open: Open,
    /// The schema predictions are written with, if there is one; and when the registry said so.
    schema: Option<(Option<u32>, Instant)>,
    lead_data: Pointer,
    context: Pointer,
}

impl Confluent {
    /// `agents`: the assignment topic of each agent with its name.
    #[must_use]
    pub fn new(
        config: config::Confluent,
        kafka: config::Kafka,
        writer: Writer,
        registry: Registry,
        agents: BTreeMap<String, String>,
        payload_bytes: usize,
    ) -> Self {
        Self {
            predictions: config.predictions.as_str().into(),
            state: format!("{}.source-state", kafka.prefix).into(),
            config,
            kafka,
            writer,
            registry,
            payload_bytes,
            agents,
            table: None,
            open: Open::default(),
            schema: None,
            lead_data: pointer("/lead_data"),
            context: pointer("/context"),
        }
    }

    /// Reads the table to its present end.
    fn catch_up(&mut self) -> Result<(), Unready> {
        let mut table = match self.table.take() {
            Some(table) => table,
            None => {
                self.open = Open::default();
                Table::open(&self.kafka, &self.state)?
            }
        };
        // Given back only if it is still good: a reading that failed begins anew.
        let is_there = table.catch_up(CAUGHT_UP, &mut |record| self.open.apply(&record))?;
        self.table = Some(table);
        if is_there { Ok(()) } else { Err(Unready::Behind) }
    }

    fn look_up_schema(&mut self, runtime: &Handle) -> Result<(), Unready> {
        if self.schema.is_some_and(|(_, asked)| asked.elapsed() < SUBJECT_FOR) {
            return Ok(());
        }
        let subject = format!("{}-value", self.config.predictions);
        let id = match (runtime.block_on(self.registry.json_subject(&subject)), self.schema) {
            (Ok(JsonSubject::Json(id)), _) => Some(id),
            (Ok(JsonSubject::Missing), _) => None,
            // A registry that is away changes nothing: its last answer counts.
            (Err(_), Some((id, _))) => id,
            (Err(error), None) => return Err(Unready::Registry(error.to_string())),
            (Ok(JsonSubject::Other(kind)), _) => {
                let problem =
                    format!("{subject} is of type {kind} in the registry, predictions are JSON; mend the subject");
                return Err(Unready::Registry(problem));
            }
        };
        self.schema = Some((id, Instant::now()));
        Ok(())
    }

    /// A message: a new lead, or what an agent made of one.
    fn message(
        &mut self,
        record: &Tailed,
        value: &[u8],
        origin: usize,
        made: &mut Vec<Outgoing>,
    ) -> Result<Made, Undecided> {
        let document = Document::read(value, self.writer.codec().cache())?;
        let lead = Lead::read(document.at(&self.lead_data), &self.config)
            .map_err(|problem| Refusal::new(Reason::Invalid, format!("lead_data: {problem}")))?;
        match document.at(&self.context).filter(|context| context.get() != "null") {
            None => {
                made.push(self.writer.task(&self.task(&lead, record)?, record, origin));
                Ok(Made::Task)
            }
            Some(context) => {
                let output = payload(context);
                let hop = match self.open.answered_by(&lead.key, &output, lead.link.as_deref()) {
                    Answers::First(hop) => {
                        made.push(open::answered(&self.state, &lead.key, &hop, &output, origin));
                        self.open.stage(&lead.key, hop.clone().answered_with(&output));
                        hop
                    }
                    Answers::Again(hop) => hop,
                    Answers::Nothing => {
                        let detail = format!(
                            "no assignment is open for the lead {}: none of the agents of [confluent] was asked about it, \
                             or that was longer ago than source-state keeps",
                            lead.key
                        );
                        return Err(Refusal::new(Reason::Impossible, detail).into());
                    }
                };
                let mut report =
                    report(&hop.task_id, &hop.assignment_id, &hop.agent_name, ReportStatus::Succeeded, record);
                report.output = Some(output);
                made.push(self.writer.report(&report, record, origin));
                Ok(Made::Report)
            }
        }
    }

    fn task(&self, lead: &Lead, record: &Tailed) -> Result<TaskSubmitted, Undecided> {
        let document = Document::read(lead.text.as_bytes(), self.writer.codec().cache())?;
        let mut faults = Vec::new();
        let mut task = TaskSubmitted::new(rendered("objective", &self.config.objective, &document, &mut faults));
        if !faults.is_empty() {
            return Err(Refusal::new(Reason::Invalid, faults.join("; ")).into());
        }
        task.input = Some(lead.text.clone());
        within(&task, self.payload_bytes)?;
        task.task_id.clone_from(&lead.key);
        task.kind.clone_from(&self.config.kind);
        task.input_contract.clone_from(&self.config.input_contract);
        task.priority = self.config.priority.map_or(task.priority, i32::from);
        task.submitted_by = Some(format!("sources/{}", self.writer.name()));
        task.submitted_at = record.timestamp;
        Ok(task)
    }

    /// An assignment of one of its agents: a prediction for its connector.
    fn assignment(
        &mut self,
        record: &Tailed,
        value: &[u8],
        origin: usize,
        made: &mut Vec<Outgoing>,
    ) -> Result<Made, Undecided> {
        let assignment: Assignment = self.writer.codec().decode(value)?;
        let agent = self.agents.get(&record.topic).cloned().unwrap_or_else(|| assignment.agent_name.clone());
        let (task_id, id) = (&assignment.task_id, &assignment.assignment_id);
        let given = prediction::given(&assignment);
        let lead = match Lead::of_text(given.lead, &self.config) {
            Ok(lead) => lead,
            Err(problem) => {
                let mut report = report(task_id, id, &agent, ReportStatus::Failed, record);
                let message = format!("the task's input is no lead for the agents of [confluent]: {problem}");
                report.error = Some(ReportError { class: ErrorClass::Contract, message, ..ReportError::default() });
                made.push(self.writer.report(&report, record, origin));
                return Ok(Made::Report);
            }
        };
        let hop = Hop::of(&assignment, &agent, record.timestamp.unwrap_or_default());
        let schema = self.schema.and_then(|(id, _)| id);
        let link = self.config.link.as_deref().map(|field| (field, id.as_str()));
        made.push(prediction::record(&self.predictions, schema, &lead, &given, &agent, link, record, &hop, origin));
        made.push(open::asked(&self.state, &lead.key, &hop, origin));
        self.open.stage(&lead.key, hop);
        // Whether the agent itself has it nobody says; from here on it is given as long as any that has accepted.
        let accepted = report(task_id, id, &agent, ReportStatus::Accepted, record);
        made.push(self.writer.report(&accepted, record, origin));
        Ok(Made::Prediction)
    }
}

impl Work for Confluent {
    fn prepare(&mut self, _: &[Tailed], runtime: &Handle) -> Result<(), Unready> {
        self.catch_up()?;
        self.look_up_schema(runtime)
    }

    fn begin(&mut self) {
        self.open.begin();
    }

    fn judge(&mut self, record: &Tailed, origin: usize, made: &mut Vec<Outgoing>) -> Result<Made, u32> {
        let Some(value) = &record.value else { return Ok(Made::Skipped) };
        let judged = if self.agents.contains_key(&record.topic) {
            self.assignment(record, value, origin, made)
        } else {
            self.message(record, value, origin, made)
        };
        judged.or_else(refused)
    }
}

fn report(task_id: &str, assignment_id: &str, agent: &str, status: ReportStatus, record: &Tailed) -> AgentReport {
    let mut report = AgentReport::new(task_id, assignment_id, agent, status);
    report.instance = Some(config::CONFLUENT.to_owned());
    report.time = record.timestamp;
    report
}
