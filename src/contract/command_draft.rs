//! A command as it was read, before it is judged. Only its form is: whether it can be done is the core's to say.

use super::ingress::IngressLimits;
use super::names::{check_command_id, check_step_id};
use super::refusal::{Fault, Reason, Refusal};
use super::task_command::TaskCommand;
use crate::workflow::{Command, CommandKind};

/// A command whose task's id is known, and nothing else yet.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandDraft(Result<TaskCommand, Refusal>);

/// Of the texts that go into events. They are a person's own words, so that too long ones are refused, not cut.
const MAX_REASON: usize = 4096;
const MAX_NAME: usize = 256;

impl CommandDraft {
    pub(super) fn new(record: Result<TaskCommand, Refusal>) -> Self {
        Self(record)
    }

    /// The command.
    ///
    /// # Errors
    ///
    /// All that is wrong with it.
    pub fn check(self, limits: &IngressLimits) -> Result<Command, Refusal> {
        self.0?.check(limits)
    }
}

impl TaskCommand {
    /// The command, if its form is right.
    ///
    /// # Errors
    ///
    /// All that is wrong with it.
    pub fn check(self, limits: &IngressLimits) -> Result<Command, Refusal> {
        let faults = faults(&self, self.command.known());
        if !faults.is_empty() {
            return Err(Refusal::of_faults(&faults));
        }
        let bytes = self.value.as_ref().map_or(0, String::len);
        if bytes > limits.payload_bytes {
            let limit = limits.payload_bytes;
            let detail = format!("value: {bytes} bytes are over the limit of {limit}; send a reference instead");
            return Err(Refusal::new(Reason::TooLarge, detail));
        }
        self.into_command().ok_or_else(|| Refusal::of_faults(&faults))
    }
}

fn faults(command: &TaskCommand, kind: Option<CommandKind>) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Some(Err(fault)) = command.command_id.as_deref().map(check_command_id) {
        faults.push(Fault::new("commandId", fault.to_string()));
    }
    if let Some(Err(fault)) = command.step_id.as_deref().map(check_step_id) {
        faults.push(Fault::new("stepId", fault.to_string()));
    }
    match kind {
        Some(kind) => faults.extend(fields_of(command, kind)),
        None => {
            let known = CommandKind::ALL.map(CommandKind::symbol).join(", ");
            faults.push(Fault::new("command", format!("not one this version knows; give one of {known}")));
        }
    }
    for (path, text, most) in [
        ("agentName", &command.agent_name, MAX_NAME),
        ("actor", &command.actor, MAX_NAME),
        ("reason", &command.reason, MAX_REASON),
    ] {
        let bytes = text.as_ref().map_or(0, String::len);
        if bytes > most {
            faults.push(Fault::new(path, format!("{bytes} bytes are too many; give at most {most}")));
        }
    }
    faults
}

/// A field that its command would not look at is refused: whoever gave it expects something of it.
fn fields_of(command: &TaskCommand, kind: CommandKind) -> Vec<Fault> {
    use CommandKind::{Answer, Approve, Cancel, Pause, Reassign, Reject, Resume, Retry};
    let symbol = kind.symbol();
    let mut faults = Vec::new();
    let whole_task = match kind {
        Cancel | Pause | Resume => true,
        Approve | Reject | Retry | Reassign | Answer => false,
    };
    if whole_task && command.step_id.is_some() {
        faults.push(Fault::new("stepId", format!("{symbol} is of the whole task; leave it out")));
    }
    match (kind == Reassign, command.agent_name.as_deref().map(str::trim)) {
        (true, Some("")) => {
            faults.push(Fault::new("agentName", "empty; name the agent, or leave it out for any other than the last"));
        }
        (false, Some(_)) => faults.push(Fault::new("agentName", format!("{symbol} takes none; leave it out"))),
        _ => {}
    }
    match (kind == Answer, &command.value) {
        (true, None) => faults.push(Fault::new("value", "missing; ANSWER needs what is answered")),
        (false, Some(_)) => faults.push(Fault::new("value", format!("{symbol} takes none; leave it out"))),
        _ => {}
    }
    faults
}
