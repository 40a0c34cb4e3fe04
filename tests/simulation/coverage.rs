//! What a run met with: a simulation that meets with nothing finds nothing.

use baton::workflow::{CommandKind, Fact, Outcome, SettledBy};
use std::collections::{BTreeMap, BTreeSet};

/// What must occur in one seed of a hundred at least.
pub(crate) const KINDS: &[&str] = &[
    // Processes and time.
    "crash",
    "crash in a transaction",
    "crash while taking over",
    "killed between two turns",
    "frozen",
    "frozen past the session",
    "frozen in a transaction",
    "clock jumped on",
    "clock jumped back",
    "worker joined",
    "worker left",
    "worker ended and came back",
    "slot taken",
    // Kafka.
    "commit lost",
    "commit delayed",
    "commit arrived late",
    "commit unanswered",
    "delivery failed",
    "transaction timed out",
    "producer fenced",
    "stale member refused",
    "claim refused",
    "membership lost",
    "session expired",
    "predecessor fenced",
    "undecided at takeover",
    "record refused by the broker",
    "record handed out again",
    "state compacted",
    // Clients, agents, the LLM, the registry.
    "task twice",
    "task with other content",
    "task refused",
    "task too large",
    "rubbish",
    "record elsewhere",
    "record outgrown",
    "report twice",
    "report late",
    "report missing",
    "report of nobody",
    "assignment read again",
    "answer failed",
    "answer unusable",
    "answer stale",
    "answer late",
    "answer recalled",
    "plan faulty",
    "plan not written",
    "fails TRANSIENT",
    "fails RATE_LIMITED",
    "fails TIMEOUT",
    "fails INVALID_OUTPUT",
    "fails CONTRACT",
    "fails AUTH",
    "fails PERMANENT",
    "fails CANCELLED",
    "heartbeats stop",
    "agent gone",
    "agent back",
    "breaker open",
    "breaker half open",
    "breaker closed",
    "topic late",
    "registry away",
    // People.
    "command before its task",
    "command on nobody",
    "command rubbish",
    "command twice",
    "applied CANCEL",
    "applied PAUSE",
    "applied RESUME",
    "applied APPROVE",
    "applied REJECT",
    "applied RETRY",
    "applied REASSIGN",
    "applied ANSWER",
    // What they wait for.
    "timer TaskDeadline",
    "timer AcceptBy",
    "timer DoneBy",
    "timer QuietBy",
    "timer RetryAt",
    "timer NotBefore",
    "timer CommandHeld",
    "stood in line",
    "let in from a line",
    "plan refused",
    // Fates of records and what they came to.
    "record accepted",
    "record stale",
    "record duplicate",
    "record forwarded",
    "record dead",
    "task forgotten",
    "task rejected",
    "ended SUCCEEDED",
    "ended PARTIAL",
    "ended FAILED",
    "ended CANCELLED",
    "ended EXPIRED",
    "ended by a budget",
    "assignment withdrawn",
];

/// Every kind of fact there is.
pub(crate) const FACTS: &[&str] = &[
    "TaskAccepted",
    "TaskBegun",
    "PlanAsked",
    "PlanAccepted",
    "PlanRejected",
    "StepReady",
    "StepSkipped",
    "ApprovalRequested",
    "RetryScheduled",
    "AgentAsked",
    "AgentChosen",
    "StepAssigned",
    "StepAccepted",
    "StepProgressed",
    "StepSucceeded",
    "StepFailed",
    "StepDeclined",
    "StepNeedsInput",
    "StepTimedOut",
    "OutputRejected",
    "CommandApplied",
    "CommandRefused",
    "CommandHeld",
    "TaskEnded",
];

/// The name of a fact's kind. A new kind needs its name here and in [`FACTS`].
pub(crate) fn name(fact: &Fact) -> &'static str {
    match fact {
        Fact::TaskAccepted(_) => "TaskAccepted",
        Fact::TaskBegun => "TaskBegun",
        Fact::PlanAsked { .. } => "PlanAsked",
        Fact::PlanAccepted(_) => "PlanAccepted",
        Fact::PlanRejected(_) => "PlanRejected",
        Fact::StepReady { .. } => "StepReady",
        Fact::StepSkipped { .. } => "StepSkipped",
        Fact::ApprovalRequested { .. } => "ApprovalRequested",
        Fact::RetryScheduled { .. } => "RetryScheduled",
        Fact::AgentAsked { .. } => "AgentAsked",
        Fact::AgentChosen(_) => "AgentChosen",
        Fact::StepAssigned(_) => "StepAssigned",
        Fact::StepAccepted { .. } => "StepAccepted",
        Fact::StepProgressed { .. } => "StepProgressed",
        Fact::StepSucceeded { .. } => "StepSucceeded",
        Fact::StepFailed { .. } => "StepFailed",
        Fact::StepDeclined { .. } => "StepDeclined",
        Fact::StepNeedsInput { .. } => "StepNeedsInput",
        Fact::StepTimedOut { .. } => "StepTimedOut",
        Fact::OutputRejected { .. } => "OutputRejected",
        Fact::CommandApplied(_) => "CommandApplied",
        Fact::CommandRefused { .. } => "CommandRefused",
        Fact::CommandHeld { .. } => "CommandHeld",
        Fact::TaskEnded(_) => "TaskEnded",
    }
}

/// What else is worth counting of a fact.
pub(crate) fn further(fact: &Fact) -> Option<&'static str> {
    match fact {
        Fact::AgentChosen(decision) if decision.settled.by == SettledBy::Cache => Some("answer recalled"),
        Fact::AgentChosen(decision) => (!decision.settled.busy.is_empty()).then_some("stood in line"),
        Fact::CommandApplied(command) => Some(match command.kind {
            CommandKind::Cancel => "applied CANCEL",
            CommandKind::Pause => "applied PAUSE",
            CommandKind::Resume => "applied RESUME",
            CommandKind::Approve => "applied APPROVE",
            CommandKind::Reject => "applied REJECT",
            CommandKind::Retry => "applied RETRY",
            CommandKind::Reassign => "applied REASSIGN",
            CommandKind::Answer => "applied ANSWER",
        }),
        Fact::TaskEnded(end) if end.reason.starts_with("budget_") => Some("ended by a budget"),
        Fact::TaskEnded(end) => Some(match end.outcome {
            Outcome::Succeeded => "ended SUCCEEDED",
            Outcome::Partial => "ended PARTIAL",
            Outcome::Failed => "ended FAILED",
            Outcome::Cancelled => "ended CANCELLED",
            Outcome::Expired => "ended EXPIRED",
        }),
        _ => None,
    }
}

/// In how many seeds each thing occurred.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    pub(crate) seeds: u64,
    pub(crate) steps: u64,
    pub(crate) transactions: u64,
    pub(crate) facts: u64,
    seen: BTreeMap<&'static str, u64>,
}

impl Coverage {
    pub(crate) fn add(&mut self, seen: &BTreeSet<&'static str>) {
        self.seeds += 1;
        seen.iter().for_each(|what| *self.seen.entry(what).or_default() += 1);
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.steps += other.steps;
        self.transactions += other.transactions;
        self.facts += other.facts;
        other.seen.into_iter().for_each(|(what, seeds)| *self.seen.entry(what).or_default() += seeds);
    }

    /// What occurred in less than one seed of a hundred, and in how many.
    pub(crate) fn rare(&self) -> Vec<(&'static str, u64)> {
        let wanted = KINDS.iter().chain(FACTS);
        let counted = wanted.map(|what| (*what, self.seen.get(what).copied().unwrap_or(0)));
        counted.filter(|(_, seeds)| seeds * 100 < self.seeds).collect()
    }
}
