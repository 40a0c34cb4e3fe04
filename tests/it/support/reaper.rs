//! Processes, containers and directories that may not outlive the tests.
//!
//! Statics are not dropped at exit, and `kill -9` runs nothing of ours. So one small shell, in a process group of its
//! own, holds the reading end of a pipe whose only writing end is here: whatever ends this process closes the pipe, and
//! the shell then ends what is still on its list. A child is put on the list *before* it runs: it waits for a line on
//! its input first, so there is no moment in which it could be forgotten.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

const WATCH: &str = r#"
trap '' INT TERM HUP
set --
while read -r op what; do
  if [ "$op" = forget ]; then
    n=$#
    while [ $n -gt 0 ]; do [ "$1" = "$what" ] || set -- "$@" "$1"; shift; n=$((n - 1)); done
  else
    set -- "$@" "$op $what"
  fi
done
for e; do case $e in group\ *) kill -s KILL -- "-${e#group }" ;; container\ *) docker rm -f "${e#container }" ;; esac; done
for e; do case $e in dir\ *) rm -rf -- "${e#dir }" ;; esac; done
"#;

fn tell(line: &str) {
    static SHELL: OnceLock<Mutex<Child>> = OnceLock::new();
    let shell = SHELL.get_or_init(|| {
        let shell = Command::new("sh")
            .args(["-c", WATCH])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        Mutex::new(shell.expect("there is a shell"))
    });
    let mut shell = shell.lock().unwrap_or_else(PoisonError::into_inner);
    let pipe = shell.stdin.as_mut().expect("its input is a pipe");
    writeln!(pipe, "{line}").expect("the shell lives as long as we do");
}

/// The container of this name is removed when this process ends, however it ends. Say it before it is started.
pub(crate) fn container(name: &str) {
    tell(&format!("container {name}"));
}

/// The directory is removed when this process ends, after everything that may write to it has ended.
pub(crate) fn dir(path: &Path) {
    tell(&format!("dir {}", path.display()));
}

/// A child process with the group it leads; killed with that group when dropped.
#[derive(Debug)]
pub(crate) struct Kept {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Kept {
    /// Starts `command`, with nothing on its input and everything it prints added to `log`.
    pub(crate) fn spawn(command: &Command, log: &Path) -> Self {
        let out = File::options().create(true).append(true).open(log).expect("the log file can be written");
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"read -r go && exec "$@" </dev/null"#, "sh"]);
        shell.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            shell.current_dir(dir);
        }
        shell.stdin(Stdio::piped()).stdout(out.try_clone().expect("a file can be cloned")).stderr(out).process_group(0);
        let mut child = shell.spawn().expect("there is a shell");
        tell(&format!("group {}", child.id()));
        let mut input = child.stdin.take().expect("its input is a pipe");
        input.write_all(b"go\n").expect("the child waits for this line");
        Self { child, ended: None }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name (`TERM`, `STOP`, …) to the process alone.
    pub(crate) fn signal(&self, name: &str) {
        assert!(self.ended.is_none(), "the process has ended, SIG{name} would reach nobody or somebody else");
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().expect("there is kill");
        assert!(sent.success(), "SIG{name} could not be sent to {}", self.pid());
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("it is our child");
            if self.ended.is_some() {
                tell(&format!("forget group {}", self.child.id()));
            }
        }
        self.ended
    }

    /// Waits for its end; None when it still runs after `within`.
    pub(crate) fn wait(&mut self, within: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + within;
        loop {
            let ended = self.ended();
            if ended.is_some() || Instant::now() >= deadline {
                return ended;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// `kill -9` of the whole group; returns once it is gone.
    pub(crate) fn kill(&mut self) {
        if self.ended().is_some() {
            return;
        }
        let group = format!("-{}", self.pid());
        let _ = Command::new("kill").args(["-s", "KILL", "--", &group]).stderr(Stdio::null()).status();
        let ended = self.wait(Duration::from_secs(20)).expect("nothing survives SIGKILL");
        debug_assert!(ended.signal().is_some() || ended.code().is_some());
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a command to its end within a time; Err with the end of what it printed, or that it did not end.
pub(crate) fn run(command: &Command, log: &Path, within: Duration) -> Result<(), String> {
    let said = |log: &Path| tail(&std::fs::read_to_string(log).unwrap_or_default(), 15);
    let name = command.get_program().to_string_lossy().into_owned();
    match Kept::spawn(command, log).wait(within) {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("`{name}` ended with {status}:\n{}", said(log))),
        None => Err(format!("`{name}` did not end within {within:?}:\n{}", said(log))),
    }
}

/// The last `lines` lines of a text.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
