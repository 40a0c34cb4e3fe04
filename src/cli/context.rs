//! What every command starts from.

use super::Logging;
use super::args::{AgentsArgs, AgentsCommand, Cli, Command};
use crate::config::{Config, Sources};
use crate::contract::Registry;

/// The person asked for something that cannot be: shown as it is, exit 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct WrongUse(pub(super) String);

#[derive(Debug)]
pub(super) struct Context {
    pub(super) config: Config,
}

impl Context {
    pub(super) fn load(cli: &Cli) -> anyhow::Result<Self> {
        let sources = Sources::of_process(cli.config.clone(), cli.set.clone());
        Ok(Self { config: Config::load(&sources)? })
    }

    /// A worker logs as configured. A command logs nothing but what it cannot say itself, unless asked.
    pub(super) fn logging(&self, cli: &Cli) -> Logging {
        let telemetry = &self.config.telemetry;
        let filter = match (&cli.command, cli.verbose) {
            (Command::Run(_), false) => telemetry.log_filter.clone(),
            (Command::Run(_), true) => format!("{},baton=debug", telemetry.log_filter),
            // What to do next is to be read, not looked for between lines of a log.
            (Command::Dev(_), false) => "warn,baton::kafka::client=off".to_owned(),
            // It works until it is told to stop, and what its commands say is part of the log.
            (Command::Agents(AgentsArgs { command: AgentsCommand::Exec(_) }), false) => {
                "warn,baton::agent=info,baton::cli=info,baton::kafka::client=off".to_owned()
            }
            (_, true) => "info,baton=debug".to_owned(),
            // The client retries by itself and logs each try; what it cannot get over comes back as our error.
            (_, false) => "error,baton::kafka::client=off".to_owned(),
        };
        Logging { format: telemetry.log_format, filter }
    }

    /// The schema registry; asks it nothing yet.
    pub(super) fn registry(&self) -> anyhow::Result<Registry> {
        crate::service::registry(&self.config)
    }

    /// A topic by its name after the prefix.
    pub(super) fn topic(&self, suffix: &str) -> String {
        format!("{}.{suffix}", self.config.kafka.prefix)
    }

    /// A topic as a person names it, with or without the prefix.
    pub(super) fn topic_named(&self, name: &str) -> String {
        if self.suffix(name).is_some() { name.to_owned() } else { self.topic(name) }
    }

    /// The part of one of our topics' names after the prefix.
    pub(super) fn suffix<'a>(&self, topic: &'a str) -> Option<&'a str> {
        topic.strip_prefix(&self.config.kafka.prefix)?.strip_prefix('.')
    }
}
