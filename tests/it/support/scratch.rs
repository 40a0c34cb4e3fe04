//! A corner of the shared broker for one test: a prefix of its own, the CLI, and workers.

use super::reaper::{Kept, tail};
use super::stack::{Stack, stack};
use super::wait::{free_port, get, until};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

/// One test's topics, groups and transactional ids, and a directory for its configuration and logs.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) stack: &'static Stack,
    /// Differs from every other test's, also of earlier runs on the same broker.
    pub(crate) prefix: String,
    registry: String,
    dir: tempfile::TempDir,
    /// Another version's, if it is not ours.
    binary: Option<PathBuf>,
}

impl Scratch {
    /// `name` is for people who read logs; it need not be unique.
    pub(crate) fn new(name: &str) -> Self {
        Self::on(stack(), name)
    }

    /// The same on a broker of the test's own.
    pub(crate) fn on(stack: &'static Stack, name: &str) -> Self {
        let dir = tempfile::Builder::new().prefix(&format!("{name}-")).tempdir().expect("a directory can be made");
        let unique = dir.path().file_name().expect("it has a name").to_string_lossy();
        let prefix = unique.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        super::reaper::dir(dir.path());
        Self { stack, prefix, registry: stack.registry.clone(), dir, binary: None }
    }

    /// Commands and workers get this address of the registry: of a [`super::Gate`], say.
    pub(crate) fn with_registry(mut self, url: &str) -> Self {
        self.registry = url.into();
        self
    }

    /// Another version's `baton`.
    pub(crate) fn with_binary(mut self, binary: &Path) -> Self {
        self.binary = Some(binary.to_owned());
        self
    }

    fn binary(&self) -> &Path {
        self.binary.as_deref().unwrap_or_else(|| Path::new(env!("CARGO_BIN_EXE_baton")))
    }

    /// A topic's full name: `scratch.topic("tasks")`.
    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    /// Makes a topic by the admin API, for tests that come before `baton apply`.
    #[track_caller]
    pub(crate) fn create(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) -> String {
        use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
        let topic = self.topic(name);
        let admin: AdminClient<_> = rdkafka::ClientConfig::new()
            .set("bootstrap.servers", &self.stack.bootstrap)
            .create()
            .expect("an admin client is built");
        let mut new = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
        for (setting, value) in settings {
            new = new.set(setting, value);
        }
        let made = super::wait::runtime().block_on(admin.create_topics([&new], &AdminOptions::new()));
        made.expect("the broker answers").remove(0).expect("the topic is made");
        topic
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a configuration for this corner with `toml` laid over it, key by key.
    pub(crate) fn config(&self, file: &str, toml: &str) -> PathBuf {
        let mut config = toml::Table::new();
        let base = format!(
            "[kafka]\nbootstrap_servers = {:?}\nprefix = {:?}\npartitions = 3\n[registry]\nurl = {:?}\n",
            self.stack.bootstrap, self.prefix, self.registry
        );
        lay_over(&mut config, base.parse().expect("the base is TOML"));
        // A failure shows as what it is, unless the test is about trying again. Another version may know no such keys.
        let classes = ["transient", "rate_limited", "timeout", "invalid_output", "contract", "auth"];
        for class in classes.iter().filter(|_| self.binary.is_none()) {
            let once = format!("[workflow.retry.{class}]\nattempts = 1\n");
            lay_over(&mut config, once.parse().expect("the base is TOML"));
        }
        lay_over(&mut config, toml.parse().expect("the test's configuration is TOML"));
        let path = self.dir.path().join(file);
        fs::write(&path, config.to_string()).expect("the configuration can be written");
        path
    }

    /// Runs `baton ARGS` here to its end (bounded) and gives what it printed.
    pub(crate) fn baton(&self, args: &[&str]) -> Ran {
        self.baton_with("", args, b"")
    }

    /// The same with further configuration and standard input.
    pub(crate) fn baton_with(&self, toml: &str, args: &[&str], input: &[u8]) -> Ran {
        let config = self.config(&format!("cli-{}.toml", free_port()), toml);
        let stdin = config.with_extension("in");
        fs::write(&stdin, input).expect("the input can be written");
        let mut command = Command::new("timeout");
        command.args(["--kill-after=2", "60"]).arg(self.binary()).args(args).arg("--config").arg(config);
        command.stdin(fs::File::open(stdin).expect("it was just written"));
        clean(&mut command);
        let Output { status, stdout, stderr } =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("the binary starts");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran { args: args.join(" "), status, stdout: text(stdout), stderr: text(stderr) }
    }

    /// Starts `baton ARGS` here and waits for nothing; what it prints is added to `log`.
    pub(crate) fn begin(&self, args: &[&str], log: &Path) -> Kept {
        let config = self.config(&format!("cli-{}.toml", free_port()), "");
        let mut command = Command::new(self.binary());
        command.args(args).arg("--config").arg(config);
        clean(&mut command);
        Kept::spawn(&command, log)
    }

    /// `baton apply`.
    #[track_caller]
    pub(crate) fn apply(&self) -> &Self {
        self.baton(&["apply"]).ok();
        self
    }

    /// `baton agents register` with these definitions.
    #[track_caller]
    pub(crate) fn register(&self, definitions: &[serde_json::Value]) -> &Self {
        for (number, definition) in definitions.iter().enumerate() {
            let file = self.dir.path().join(format!("agent-{number}-{}.json", free_port()));
            fs::write(&file, definition.to_string()).expect("the definition can be written");
            self.baton(&["agents", "register", &file.to_string_lossy()]).ok();
        }
        self
    }

    /// The same by one command, from one file that holds all of them.
    #[track_caller]
    pub(crate) fn register_all(&self, definitions: &[serde_json::Value]) -> &Self {
        let file = self.dir.path().join(format!("agents-{}.json", free_port()));
        fs::write(&file, serde_json::Value::from(definitions).to_string()).expect("the definitions can be written");
        self.baton(&["agents", "register", &file.to_string_lossy()]).ok();
        self
    }

    /// A worker of this slot, not started yet.
    pub(crate) fn worker(&self, slot: &str) -> WorkerSpec<'_> {
        WorkerSpec { scratch: self, slot: slot.into(), toml: String::new(), env: vec![], roles: None }
    }
}

fn lay_over(under: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(toml::Value::Table(under)), toml::Value::Table(over)) => lay_over(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

/// What the developer has set for their own use of Baton is none of a test's business.
fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["BATON_", "OTEL_", "RUST_LOG"].iter().any(|own| name.starts_with(own)) {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1");
}

/// A finished command.
#[derive(Debug)]
pub(crate) struct Ran {
    args: String,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Exit code 0, or a panic that shows everything.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.code(0)
    }

    /// This exit code, or a panic that shows everything.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        let Self { args, status, stdout, stderr } = &self;
        assert!(status.code() == Some(code), "baton {args}: {status}, wanted {code}\n{stdout}\n{stderr}");
        self
    }

    /// Standard output as one JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("baton {}: {e}\n{}", self.args, self.stdout))
    }
}

/// How a worker is to be started.
#[derive(Debug)]
pub(crate) struct WorkerSpec<'a> {
    scratch: &'a Scratch,
    slot: String,
    toml: String,
    env: Vec<(String, String)>,
    roles: Option<String>,
}

impl WorkerSpec<'_> {
    /// Further configuration, laid over the scratch's.
    pub(crate) fn toml(mut self, toml: &str) -> Self {
        self.toml.push_str(toml);
        self.toml.push('\n');
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Only these, as `--roles` takes them.
    pub(crate) fn roles(mut self, roles: &str) -> Self {
        self.roles = Some(roles.into());
        self
    }

    /// Starts it and does not wait for anything.
    pub(crate) fn spawn(self) -> Worker {
        let http = format!("127.0.0.1:{}", free_port());
        let own = format!("[kafka]\nslot = {:?}\n[http]\nlisten = {http:?}\n", self.slot);
        let mut toml: toml::Table = own.parse().expect("it is TOML");
        lay_over(&mut toml, self.toml.parse().expect("the test's configuration is TOML"));
        let config = self.scratch.config(&format!("{}.toml", self.slot), &toml.to_string());
        let mut command = Command::new(self.scratch.binary());
        command.args(["run", "--config"]).arg(config).current_dir(self.scratch.dir());
        if let Some(roles) = &self.roles {
            command.args(["--roles", roles]);
        }
        clean(&mut command);
        command.envs(self.env);
        let log = self.scratch.dir().join(format!("{}.log", self.slot));
        let process = Kept::spawn(&command, &log);
        Worker { slot: self.slot, process, http, log }
    }

    /// Starts it and waits until `/readyz` says 200.
    #[track_caller]
    pub(crate) fn start(self) -> Worker {
        let mut worker = self.spawn();
        worker.ready(Duration::from_secs(30));
        worker
    }
}

/// A `baton run` process. Dropped, it is killed; dropped by a failing test, its log is printed first.
#[derive(Debug)]
pub(crate) struct Worker {
    slot: String,
    process: Kept,
    http: String,
    log: PathBuf,
}

impl Worker {
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// `http://127.0.0.1:port/path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    /// Waits for `/readyz` to say 200.
    #[track_caller]
    pub(crate) fn ready(&mut self, within: Duration) {
        let url = self.url("/readyz");
        until(&format!("{} is ready", self.slot), within, || {
            if let Some(status) = self.process.ended() {
                panic!("{} ended before it was ready: {status}\n{}", self.slot, tail(&self.log(), 60));
            }
            match get(&url) {
                Ok((200, _)) => Ok(()),
                Ok((status, body)) => Err(format!("{status} {body}")),
                Err(e) => Err(e),
            }
        });
    }

    /// The value of one line of `/metrics`, by its name with labels as printed; 0 when it is not there.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let Ok((200, body)) = get(&self.url("/metrics")) else { return 0.0 };
        let value = body.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(' '));
        value.and_then(|value| value.split(' ').next()?.parse().ok()).unwrap_or(0.0)
    }

    /// Everything it has printed so far, over restarts of the same slot.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn kill9(&mut self) {
        self.process.kill();
    }

    /// SIGSTOP.
    pub(crate) fn freeze(&self) {
        self.process.signal("STOP");
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self) {
        self.process.signal("CONT");
    }

    /// SIGTERM: drains and closes without leaving its group.
    pub(crate) fn terminate(&self) {
        self.process.signal("TERM");
    }

    /// SIGINT: drains and leaves its group.
    pub(crate) fn interrupt(&self) {
        self.process.signal("INT");
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Waits for its end by itself and checks the exit code.
    #[track_caller]
    pub(crate) fn ends_with(&mut self, code: i32, within: Duration) {
        let Some(status) = self.process.wait(within) else {
            panic!("{} still runs after {within:?}\n{}", self.slot, tail(&self.log(), 60));
        };
        let ended = status.code().ok_or_else(|| format!("signal {:?}", status.signal()));
        assert!(ended == Ok(code), "{} ended with {ended:?}, wanted {code}\n{}", self.slot, tail(&self.log(), 60));
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.process.kill();
        if std::thread::panicking() {
            eprintln!("---- log of {} ----\n{}\n---- end ----", self.slot, tail(&self.log(), 120));
        }
    }
}
