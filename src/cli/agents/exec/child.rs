//! One command for one assignment, from its start to its end and that of whatever it started.
//!
//! A command leads a process group. However its run ends, also when the run itself is dropped, nobody of that group goes
//! on; only who left the group by intent does. What is read of it is bounded, and nothing waits for a pipe that somebody
//! keeps open.

use super::errors::Errors;
use super::verdict::{End, verdict};
use crate::agent::{Answer, Assignment, ErrorClass, Failure, Handle};
use crate::contract::rfc3339;
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsString;
use std::future::pending;
use std::io;
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Between SIGTERM and SIGKILL.
const KILL_AFTER: Duration = Duration::from_secs(5);
/// How long what was printed may take to arrive after the command's end, while others keep its pipes open.
const LINGER: Duration = Duration::from_secs(1);
/// Read at once.
const PIECE: usize = 16 << 10;

/// What is run for every assignment.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) command: Vec<OsString>,
    pub(super) timeout: Option<Duration>,
    pub(super) takes_text: bool,
    pub(super) gives_json: bool,
    /// Bytes of output.
    pub(super) most: usize,
}

impl Job {
    /// Runs the command once.
    pub(super) async fn run(&self, assignment: &Assignment, handle: &Handle) -> Result<Answer, Failure> {
        let id = assignment.assignment_id.as_str();
        let mut child = self.start(assignment, handle).map_err(|error| {
            let shown = self.command[0].to_string_lossy();
            Failure::new(ErrorClass::Transient, format!("{shown} could not be started: {error}")).code("spawn")
        })?;
        let group = Group::of(&child);
        let input = format!("{}\n", assignment.to_json(self.takes_text));
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (mut printed, mut errors, too_much) = (Vec::new(), Errors::default(), CancellationToken::new());
        let end = {
            let mut pipes = pin!(async {
                tokio::join!(
                    feed(stdin, input),
                    async {
                        if let Some(stdout) = stdout {
                            read(stdout, &mut printed, self.most, &too_much).await;
                        }
                    },
                    async {
                        if let Some(stderr) = stderr {
                            errors.hear(BufReader::new(stderr), id).await;
                        }
                    },
                );
            });
            let mut open = true;
            let end = {
                let mut ending = pin!(self.end(&mut child, &group, handle, &too_much));
                loop {
                    tokio::select! {
                        biased;
                        end = &mut ending => break end,
                        () = &mut pipes, if open => open = false,
                    }
                }
            };
            if open {
                open = timeout(LINGER, &mut pipes).await.is_err();
            }
            // What it left running goes with it, and with that its ends of the pipes.
            drop(group);
            if open {
                let _ = timeout(LINGER, &mut pipes).await;
            }
            end
        };
        let end = end.map_err(|error| Failure::new(ErrorClass::Transient, format!("its end is not known: {error}")))?;
        // Printed in its last moment, or only arrived then.
        let end = if printed.len() > self.most && matches!(end, End::Exited(_)) { End::TooMuch } else { end };
        tracing::info!(assignment = id, ?end, "ended");
        verdict(end, printed, errors.last(), self.gives_json, self.most)
    }

    fn start(&self, assignment: &Assignment, handle: &Handle) -> io::Result<Child> {
        let (program, arguments) = self.command.split_first().expect("the command line demands one");
        let mut command = Command::new(program);
        command.args(arguments).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Passwords of brokers and registries among them: none of the command's business.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"BATON__")) {
            command.env_remove(name);
        }
        command
            .env("BATON_TASK_ID", &assignment.task_id)
            .env("BATON_STEP_ID", &assignment.step_id)
            .env("BATON_ASSIGNMENT_ID", &assignment.assignment_id)
            .env("BATON_ATTEMPT", assignment.attempt.to_string())
            .env("BATON_EFFECT_KEY", &assignment.effect_key)
            .env("BATON_AGENT", &assignment.agent_name);
        let deadline = assignment.attempt_deadline.into_iter().chain(assignment.task_deadline).min();
        command.env_remove("BATON_DEADLINE").envs(deadline.map(|deadline| ("BATON_DEADLINE", rfc3339(deadline))));
        command.env_remove("TRACEPARENT").envs(handle.traceparent().map(|trace| ("TRACEPARENT", trace)));
        command.spawn()
    }

    /// Waits for the command's end, and brings it about when its time is over.
    async fn end(
        &self,
        child: &mut Child,
        group: &Group,
        handle: &Handle,
        too_much: &CancellationToken,
    ) -> io::Result<End> {
        let (left, allowed) = (handle.time_left(), self.timeout);
        let over = async {
            match (left, allowed) {
                (Some(left), allowed) if allowed.is_none_or(|allowed| left < allowed) => {
                    sleep(left).await;
                    End::Late
                }
                (_, Some(allowed)) => {
                    sleep(allowed).await;
                    End::TimedOut(allowed)
                }
                (_, None) => pending().await,
            }
        };
        let end = tokio::select! {
            biased;
            status = child.wait() => return Ok(End::Exited(status?)),
            () = handle.withdrawn() => End::Withdrawn,
            () = too_much.cancelled() => End::TooMuch,
            end = over => end,
        };
        group.send(Signal::TERM);
        if timeout(KILL_AFTER, child.wait()).await.is_err() {
            group.send(Signal::KILL);
            child.wait().await?;
        }
        Ok(end)
    }
}

/// A process group that ends with this value.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    fn send(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // Nobody may be left in it.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.send(Signal::KILL);
    }
}

/// A command need not read its input: then writing fails, or ends with the command.
async fn feed(to: Option<ChildStdin>, input: String) {
    if let Some(mut to) = to {
        let _ = to.write_all(input.as_bytes()).await;
    }
}

/// Reads to the end, but keeps no more than shows that it is too much; what comes after that is let go.
async fn read(mut from: impl AsyncRead + Unpin, into: &mut Vec<u8>, most: usize, too_much: &CancellationToken) {
    let mut piece = vec![0; PIECE];
    // One that cannot be read any more has ended.
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        let room = (most + 1).saturating_sub(into.len());
        into.extend_from_slice(&piece[..length.min(room)]);
        if into.len() > most {
            too_much.cancel();
        }
    }
}
