//! `baton agents exec`: a command as an agent.
//!
//! Everything that can be wrong before work begins (the command, the definition, the settings) is said before anything is
//! taken, with exit code 2. From then on the agent's own rules hold: see [`crate::agent`].

mod child;
mod errors;
mod verdict;

use crate::agent::{Agent, AgentError, RegistryAuth, definition};
use crate::cli::Done;
use crate::cli::args::ExecArgs;
use crate::cli::context::{Context, WrongUse};
use crate::cli::output;
use crate::selection::is_json;
use anyhow::Context as _;
use child::Job;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub(super) async fn run(context: &Context, args: ExecArgs) -> anyhow::Result<Done> {
    let name = args.file.display();
    let text = std::fs::read_to_string(&args.file)
        .map_err(|error| WrongUse(format!("{name} cannot be read ({error}); give a JSON file with one definition")))?;
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with('[') {
        return Err(WrongUse(format!("{name} holds an array; give a file with the one definition to be")).into());
    }
    let definition = definition(text).map_err(|error| WrongUse(format!("{name}: {error}")))?;
    let program = args.command.first().expect("the command line demands one");
    find(program, std::env::var_os("PATH").as_deref()).map_err(WrongUse)?;

    let settings = &context.config;
    let job = Arc::new(Job {
        command: args.command,
        timeout: args.timeout,
        takes_text: !is_json(&definition.input.format),
        gives_json: is_json(&definition.output.format),
        most: settings.workflow.payload_bytes,
    });
    let declared = definition.max_concurrency.and_then(|most| usize::try_from(most).ok()).unwrap_or(1);
    let agent_name = definition.agent_name.clone();
    let mut kafka = settings.kafka.clone();
    // Of a killed one the next gets its work as soon as another worker would get a killed worker's.
    let session = settings.worker.session_timeout.as_millis().to_string();
    kafka.client.insert("session.timeout.ms".to_owned(), session);
    let mut builder = Agent::builder(definition)
        .kafka(kafka)
        .registry(&settings.registry.url)
        .concurrency(args.concurrency.unwrap_or(declared))
        .grace(args.grace);
    if let Some((user, password)) = settings.registry.user.as_ref().zip(settings.registry.password.as_ref()) {
        let (user, password) = (user.clone(), password.reveal().to_owned());
        builder = builder.registry_auth(RegistryAuth::Basic { user, password });
    }
    if args.no_register {
        builder = builder.registered_elsewhere();
    }
    let agent = builder.build().map_err(|error| match error {
        AgentError::Definition(_) => WrongUse(format!("{name}: {error}")).into(),
        AgentError::Setting { .. } => WrongUse(error.to_string()).into(),
        other => anyhow::Error::from(other),
    })?;

    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate()).context("listening for SIGTERM")?,
        signal(SignalKind::interrupt()).context("listening for SIGINT")?,
    );
    let handler = move |assignment, handle| {
        let job = Arc::clone(&job);
        async move { job.run(&assignment, &handle).await }
    };
    let mut work = Box::pin(agent.run(handler, stop.clone()));
    loop {
        tokio::select! {
            ended = &mut work => {
                return ended.map(|()| Done::Well).with_context(|| format!("the agent {agent_name:?}"));
            }
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if stop.is_cancelled() {
            output::note("ended at once; what was in hand is delivered again");
            return Ok(Done::Badly);
        }
        output::note(format!(
            "ending: what is in hand may finish within {}; once more ends it at once",
            humantime::format_duration(args.grace)
        ));
        stop.cancel();
    }
}

/// Whether there is such a command; else what to do.
fn find(program: &OsStr, path: Option<&OsStr>) -> Result<(), String> {
    let shown = output::safe(&program.to_string_lossy());
    let is_executable =
        |path: &Path| path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    if program.as_encoded_bytes().contains(&b'/') {
        let path = Path::new(program);
        return match path.metadata() {
            _ if is_executable(path) => Ok(()),
            Ok(found) if found.is_file() => Err(format!(
                "{shown} is not executable; `chmod +x {shown}`, or name what runs it: `-- python3 {shown}`"
            )),
            Ok(_) => Err(format!("{shown} is no file; name a command")),
            Err(error) => Err(format!("there is no command {shown} ({error}); give its path from here, or its name")),
        };
    }
    let places: Vec<PathBuf> = path.map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
    if !program.is_empty() && places.iter().any(|place| is_executable(&place.join(program))) {
        return Ok(());
    }
    let here = if Path::new(program).is_file() {
        format!("; for the file in this folder write ./{shown}")
    } else {
        String::new()
    };
    Err(format!("there is no command `{shown}` in PATH{here}; install it, or give its path"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_found_by_name_or_path_and_else_the_remedy_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plain");
        std::fs::write(&file, "").unwrap();
        let path = Some(folder.path().as_os_str());
        assert_eq!(find(OsStr::new("sh"), std::env::var_os("PATH").as_deref()), Ok(()));
        assert_eq!(find(OsStr::new("/bin/sh"), None), Ok(()));
        let told = |program: &OsStr| find(program, path).unwrap_err();
        assert!(told(file.as_os_str()).contains("chmod +x"), "{}", told(file.as_os_str()));
        assert!(told(OsStr::new("plain")).contains("in PATH"), "what is not executable is none");
        assert!(told(OsStr::new("/nowhere/at-all")).contains("there is no command /nowhere/at-all"));
        assert!(told(folder.path().as_os_str()).contains("no file"));
        assert!(told(OsStr::new("")).contains("in PATH"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find(OsStr::new("plain"), path), Ok(()));
    }
}
