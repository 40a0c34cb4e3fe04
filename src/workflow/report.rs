use super::{Payload, Timestamp};

/// An agent's word on an assignment.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub task_id: String,
    pub assignment_id: String,
    pub agent_name: String,
    pub instance: Option<String>,
    pub status: ReportStatus,
    pub output: Option<Payload>,
    /// 0 to 1.
    pub progress: Option<f64>,
    pub message: Option<String>,
    pub error: Option<ReportError>,
    pub usage: Option<Usage>,
    pub time: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportStatus {
    Accepted,
    Progress,
    Succeeded,
    Failed,
    /// Not mine: give it to another.
    Declined,
    /// A person must answer.
    InputRequired,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ReportError {
    pub class: ErrorClass,
    pub code: Option<String>,
    pub message: String,
    pub retry_after_ms: Option<i64>,
}

/// What kind of failure it was, which decides what follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorClass {
    /// Also what a class this build does not know counts as.
    #[default]
    Transient,
    RateLimited,
    Timeout,
    InvalidOutput,
    /// The agent's input broke its contract.
    Contract,
    Auth,
    Permanent,
    Cancelled,
}

impl ErrorClass {
    pub const ALL: [Self; 8] = [
        Self::Transient,
        Self::RateLimited,
        Self::Timeout,
        Self::InvalidOutput,
        Self::Contract,
        Self::Auth,
        Self::Permanent,
        Self::Cancelled,
    ];

    /// The symbol on the wire.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Transient => "TRANSIENT",
            Self::RateLimited => "RATE_LIMITED",
            Self::Timeout => "TIMEOUT",
            Self::InvalidOutput => "INVALID_OUTPUT",
            Self::Contract => "CONTRACT",
            Self::Auth => "AUTH",
            Self::Permanent => "PERMANENT",
            Self::Cancelled => "CANCELLED",
        }
    }
}

/// What an assignment or a call cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub cost_micros: i64,
}

impl Usage {
    /// Both together; saturates.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cost_micros: self.cost_micros.saturating_add(other.cost_micros),
        }
    }
}
