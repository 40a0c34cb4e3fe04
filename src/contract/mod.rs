//! The contract with the outside: Avro records and JSON in, the core's types out, and back.
//!
//! This module knows every record's schema and topic, ids and names, headers, and the registry. It decides
//! whether bytes are a record at all and whether a record keeps its contract; it never decides what follows
//! from one. Decoding asks nobody: what is missing (a schema, a contract's name) is said, the caller asks the
//! [`Registry`] outside its loop, and decodes again. Bad input gives a [`Refusal`] that names field, value and
//! remedy; it never panics.

mod agent_definition;
mod agent_examples;
mod agent_health;
mod agent_heartbeat;
mod agent_outcome;
mod agent_report;
mod agent_table;
mod alert;
mod anomaly_watch;
mod answer;
mod assignment;
mod avro_in;
mod avro_out;
mod cache;
mod cancellation;
mod codec;
mod command_draft;
mod completion;
mod content_hash;
mod contract_names;
mod experiment;
#[cfg(test)]
mod golden;
mod headers;
mod home;
mod ingress;
mod json_in;
mod json_out;
mod names;
mod refusal;
mod registry;
mod report_draft;
mod routing_decision;
mod schema;
mod snapshot;
mod task_command;
mod task_draft;
mod task_events;
mod task_submitted;
mod topics;
pub mod wire;

pub use crate::workflow::contract_name;
pub use agent_definition::{AgentDefinition, Example, Format, Performance};
pub use agent_examples::{AgentExamples, ConfirmedExample};
pub use agent_health::{
    AgentHealth, AgentInstance, AgentPrediction, AgentStatistics, AgentTrend, BreakerDetail, BreakerState, HealthState,
    InstanceStanding, LatencyBucket, RunningMean,
};
pub use agent_heartbeat::AgentHeartbeat;
pub use agent_outcome::{AgentOutcome, OutcomeClass};
pub use agent_report::{AgentReport, ErrorClass, ReportError, ReportStatus, Usage};
pub use agent_table::{Definition, DefinitionRecord};
pub use alert::{Alert, AlertKind, AlertMetric, AlertState};
pub use anomaly_watch::{ActiveAlert, AnomalyWatch, EvidenceRun, FailureWatch, LevelWatch, SilenceWatch};
pub use assignment::{Assignment, ContextItem};
pub use cache::{Known, SchemaCache, WriterSchema};
pub use cancellation::Cancellation;
pub use codec::{Codec, RawRecord, Undecided};
pub use command_draft::CommandDraft;
pub use completion::{CompletedStep, Completion, Outcome, StepStatus};
pub use contract_names::{Contract, ContractNames, NameLookup};
pub use experiment::{Experiment, ExperimentGuardrail, ExperimentMetric, ExperimentState, ExperimentVariant};
pub use headers::{
    ARRIVED, CE_ID, CE_SOURCE, CE_SPECVERSION, CE_TIME, CE_TYPE, CONTENT_TYPE, DLQ_DETAIL, DLQ_EXCEPTION, DLQ_MESSAGE,
    DLQ_OFFSET, DLQ_PARTITION, DLQ_REASON, DLQ_TIME, DLQ_TOPIC, DLQ_WORKER, DeadFrom, Envelope, FORCED, Header,
    OUTGROWN, REPLAYED, REPLAYS, SOURCE, TRACEPARENT, arrived, arrived_from, dead_letter, is_records_own,
    is_traceparent,
};
pub use home::home_partition;
pub use ingress::{Ingress, IngressLimits, made_id};
pub use json_out::{rfc3339, to_json};
pub use names::{NameFault, assignment_topic, check_command_id, check_step_id, check_task_id};
pub use refusal::{Reason, Refusal};
pub use registry::{JsonSubject, Registry, RegistryAuth, RegistryError};
pub use report_draft::{CheckedReport, ReportDraft};
pub use routing_decision::{Attempt, Candidate, Choice, RoutingDecision, SettledBy};
pub use schema::{AvroReader, RecordKind, WireRecord};
pub use snapshot::{
    Grounds, HeldCommand, OpenChoice, Phase, Planning, Receipt, Skeleton, Snapshot, Step, StepPayload, Trouble, Used,
};
pub use task_command::{CommandType, TaskCommand};
pub use task_draft::TaskDraft;
pub use task_events::{Fact, FactType, TaskEvents};
pub use task_submitted::{Limits, Mode, OnStepFailure, PlannedStep, TaskSubmitted};
pub use topics::{Compatibility, TopicKey, TopicKind, TopicSpec, TopicSpecError};
