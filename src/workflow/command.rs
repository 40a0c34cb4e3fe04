use super::Payload;

/// A person's word on a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// What makes a repeated command one command; without it each counts.
    pub id: Option<String>,
    pub task_id: String,
    pub kind: CommandKind,
    pub step_id: Option<String>,
    /// Whom REASSIGN gives the step to.
    pub agent_name: Option<String>,
    /// What ANSWER says.
    pub value: Option<Payload>,
    pub actor: Option<String>,
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandKind {
    Cancel,
    Pause,
    Resume,
    Approve,
    Reject,
    Retry,
    Reassign,
    Answer,
}

impl CommandKind {
    pub const ALL: [Self; 8] = [
        Self::Cancel,
        Self::Pause,
        Self::Resume,
        Self::Approve,
        Self::Reject,
        Self::Retry,
        Self::Reassign,
        Self::Answer,
    ];

    /// The symbol on the wire.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Cancel => "CANCEL",
            Self::Pause => "PAUSE",
            Self::Resume => "RESUME",
            Self::Approve => "APPROVE",
            Self::Reject => "REJECT",
            Self::Retry => "RETRY",
            Self::Reassign => "REASSIGN",
            Self::Answer => "ANSWER",
        }
    }
}
