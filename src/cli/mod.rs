//! The command line: one file per command.
//!
//! Standard output holds results and nothing else; progress, warnings and errors go to standard error. Exit codes: 0 done,
//! 1 failed, 2 wrong use (flags, configuration, records handed in). An error says what failed, where, and what to do.

mod agents;
mod apply;
mod args;
mod config;
mod context;
mod demo;
mod desired;
mod dev;
mod dlq;
mod doctor;
mod eval;
mod experiments;
mod follow;
mod fresh;
mod output;
mod progress;
mod prompts;
mod records;
mod submit;
mod tasks;
mod topics;

use crate::config::{Faults, LogFormat};
use crate::service::Role;
use args::{Cli, Command};
use clap::{CommandFactory, Parser};
use context::{Context, WrongUse};
use std::io::ErrorKind;
use std::process::ExitCode;
use tokio::runtime::Handle;

/// What a command came to, where that is no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Well,
    /// It did its work, and what it found or waited for is not well; all has been said.
    Badly,
}

/// How this run is to log: set up by whoever calls [`main`], before the command starts.
#[derive(Clone, Debug)]
pub struct Logging {
    pub format: LogFormat,
    /// Directives as in `info,baton::worker=debug`.
    pub filter: String,
}

/// The whole program. `log` sets up logging on the runtime; what it returns lives as long as the command.
#[must_use]
pub fn main<G>(log: impl FnOnce(Logging, &Handle) -> anyhow::Result<G>) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too and are no failure.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    match dispatch(cli, log) {
        Ok(Done::Well) => ExitCode::SUCCESS,
        Ok(Done::Badly) => ExitCode::FAILURE,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(format!("error: {error:#}"));
            let misused = error.chain().any(|cause| cause.is::<WrongUse>() || cause.is::<Faults>());
            ExitCode::from(if misused { 2 } else { 1 })
        }
    }
}

fn dispatch<G>(cli: Cli, log: impl FnOnce(Logging, &Handle) -> anyhow::Result<G>) -> anyhow::Result<Done> {
    if let Command::Completions { shell } = cli.command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "baton", &mut script);
        output::raw(&script)?;
        return Ok(Done::Well);
    }
    let context = Context::load(&cli)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let _logging = log(context.logging(&cli), runtime.handle())?;
    if let Command::Run(args) = cli.command {
        let roles = if args.roles.is_empty() { Role::ALL.into() } else { args.roles.into_iter().collect() };
        for warning in context.config.warnings() {
            tracing::warn!("{warning}");
        }
        runtime.block_on(crate::service::run(context.config, roles))?;
        return Ok(Done::Well);
    }
    if let Command::Dev(args) = cli.command {
        runtime.block_on(dev::run(context.config, args))?;
        return Ok(Done::Well);
    }
    let context = &context;
    runtime.block_on(async {
        match cli.command {
            Command::Run(_) | Command::Dev(_) | Command::Completions { .. } => Ok(Done::Well),
            Command::Demo(args) => Box::pin(demo::run(context, &args)).await,
            Command::Apply(args) => Box::pin(apply::run(context, args)).await,
            Command::Doctor(args) => Box::pin(doctor::run(context, args)).await,
            Command::Submit(args) => Box::pin(submit::run(context, args)).await,
            Command::Agents(args) => Box::pin(agents::run(context, args)).await,
            Command::Tasks(args) => Box::pin(tasks::run(context, args)).await,
            Command::Topics(args) => Box::pin(topics::run(context, args)).await,
            Command::Dlq(args) => Box::pin(dlq::run(context, args)).await,
            Command::Eval(args) => Box::pin(eval::run(context, args)).await,
            Command::Experiments(args) => Box::pin(experiments::run(context, args)).await,
            Command::Prompts(args) => Box::pin(prompts::run(context, args)).await,
            Command::Config(args) => config::run(context, &args),
        }
    })
}

/// Whoever read our output has seen enough (`baton … | head`).
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|io| io.kind() == ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_teaches_by_examples() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_after_help().is_some(), "{} has no examples", command.get_name());
            assert!(command.get_about().is_some(), "{} says nothing of itself", command.get_name());
        }
    }
}
