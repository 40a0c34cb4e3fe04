//! `TaskCommand` on the wire: a person's word on a task.

use super::schema::{RecordKind, WireRecord};
use crate::workflow::{Command, CommandKind, Payload};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskCommand {
    #[serde(default)]
    pub command_id: Option<String>,
    pub task_id: String,
    pub command: CommandType,
    #[serde(default)]
    pub step_id: Option<String>,
    #[serde(default)]
    pub agent_name: Option<String>,
    #[serde(default)]
    pub value: Option<String>,
    #[serde(default)]
    pub actor: Option<String>,
    #[serde(default)]
    pub reason: Option<String>,
}

impl WireRecord for TaskCommand {
    const KIND: RecordKind = RecordKind::TaskCommand;
}

impl TaskCommand {
    /// A command with nothing but what it must have.
    #[must_use]
    pub fn new(task_id: impl Into<String>, command: CommandType) -> Self {
        Self {
            command_id: None,
            task_id: task_id.into(),
            command,
            step_id: None,
            agent_name: None,
            value: None,
            actor: None,
            reason: None,
        }
    }
}

impl TaskCommand {
    /// The core's command; none if this build does not know what is to be done.
    #[must_use]
    pub fn into_command(self) -> Option<Command> {
        Some(Command {
            kind: self.command.known()?,
            id: self.command_id,
            task_id: self.task_id,
            step_id: self.step_id,
            agent_name: self.agent_name,
            value: self.value.map(Payload::from),
            actor: self.actor,
            reason: self.reason,
        })
    }
}

impl From<&Command> for TaskCommand {
    fn from(command: &Command) -> Self {
        Self {
            command_id: command.id.clone(),
            task_id: command.task_id.clone(),
            command: command.kind.into(),
            step_id: command.step_id.clone(),
            agent_name: command.agent_name.clone(),
            value: command.value.as_ref().map(|value| value.text().to_owned()),
            actor: command.actor.clone(),
            reason: command.reason.clone(),
        }
    }
}

impl From<CommandKind> for CommandType {
    fn from(kind: CommandKind) -> Self {
        match kind {
            CommandKind::Cancel => Self::Cancel,
            CommandKind::Pause => Self::Pause,
            CommandKind::Resume => Self::Resume,
            CommandKind::Approve => Self::Approve,
            CommandKind::Reject => Self::Reject,
            CommandKind::Retry => Self::Retry,
            CommandKind::Reassign => Self::Reassign,
            CommandKind::Answer => Self::Answer,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CommandType {
    Cancel,
    Pause,
    Resume,
    Approve,
    Reject,
    Retry,
    Reassign,
    Answer,
    #[serde(other)]
    Unknown,
}

impl CommandType {
    /// The core's kind; none for one this build does not know.
    pub(super) fn known(self) -> Option<CommandKind> {
        Some(match self {
            Self::Cancel => CommandKind::Cancel,
            Self::Pause => CommandKind::Pause,
            Self::Resume => CommandKind::Resume,
            Self::Approve => CommandKind::Approve,
            Self::Reject => CommandKind::Reject,
            Self::Retry => CommandKind::Retry,
            Self::Reassign => CommandKind::Reassign,
            Self::Answer => CommandKind::Answer,
            Self::Unknown => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_the_symbol_the_core_gives_it() {
        for kind in CommandKind::ALL {
            let command: CommandType = serde_json::from_value(kind.symbol().into()).unwrap();
            assert_eq!(command.known(), Some(kind));
        }
        let later: CommandType = serde_json::from_value("SNOOZE".into()).unwrap();
        assert_eq!(later.known(), None);
    }
}
