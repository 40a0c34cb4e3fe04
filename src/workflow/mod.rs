//! The pure core: what a task is, and what follows from each thing that happens to it.
//!
//! ```text
//! decide(&Workflow, &Input, &World, now) -> Vec<Event>   looks, never touches
//! evolve(&mut Workflow, &Event)                          total; the only way state changes
//! outstanding(&Workflow) -> Vec<Effect>                  the calls and timers owed, from state alone
//! ended(&Workflow, &[Event]) -> Vec<Ended>               the assignments that ended, and how
//! ```
//!
//! No clock, no I/O, no randomness, no async, and no map whose order could leak into a decision:
//! the lints below hold that. Time, ids, limits and answers are arguments. An input that changes
//! nothing is a [`Rejection`], which says what to do with it; there is no other error.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

mod assignment_id;
mod command;
mod decide;
mod decision;
mod effect;
mod ended;
mod event;
mod evolve;
mod fnv;
mod grounds;
mod input;
mod payload;
mod plan;
mod policy;
mod reason;
mod report;
mod state;
mod steps;
mod task;
mod timestamp;
mod world;

pub use assignment_id::AssignmentId;
pub use command::{Command, CommandKind};
pub use decide::{Rejection, decide, decided, is_news, waiting};
pub use decision::{
    Answer, Attempt, Beside, Candidate, Choice, Choosing, Chosen, Pinned, PlanAnswer, Said, Settled, SettledBy, Verdict,
};
pub use effect::{Effect, Timer, TimerKind, outstanding};
pub use ended::{Ended, How, ended};
pub use event::{Acceptance, ApprovalReason, Assigned, Decision, Event, Fact, PlanAcceptance, PlanRejection, TaskEnd};
pub use evolve::evolve;
pub use fnv::{fnv1a_32, fnv1a_64};
pub use grounds::{Expected, Grounds};
pub use input::{Input, Submission};
pub use payload::Payload;
pub use plan::{Plan, contract_name, faults as plan_faults};
pub use policy::{Prefer, RetryRule, RetryRules};
pub use reason::Reason;
pub use report::{ErrorClass, Report, ReportError, ReportStatus, Usage};
pub use state::{
    ChoiceState, ContentHash, HeldCommand, NextAgent, OpenChoice, Outcome, Phase, Planning, Position, Step, StepStatus,
    Trouble, Used, Workflow,
};
pub use steps::Steps;
pub use task::{Limits, Mode, OnStepFailure, PlannedStep, Task};
pub use timestamp::Timestamp;
pub use world::{AgentTraits, Labels, PlanFallback, Prospects, Rules, World};
