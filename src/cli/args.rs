//! Every command, flag and word of help.

use super::output::Format;
use crate::selection::Wanted;
use crate::service::Role;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Orchestrates AI agents over Kafka: tasks in, decisions that say why, completions out, exactly once.
#[derive(Debug, Parser)]
#[command(name = "baton", version, max_term_width = 110, after_help = EXAMPLES)]
pub(super) struct Cli {
    /// Configuration file [default: ./baton.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub(super) config: Option<PathBuf>,
    /// One setting over file and environment; may be repeated
    #[arg(long, global = true, value_name = "SECTION.KEY=VALUE", help_heading = "Everywhere")]
    pub(super) set: Vec<String>,
    /// Log what is done, to standard error
    #[arg(long, short, global = true, help_heading = "Everywhere")]
    pub(super) verbose: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

const EXAMPLES: &str = "\
From nothing to a result:
  baton dev                                    broker, registry and all of Baton in one process; or with your own Kafka:
  baton apply                                  create topics, register schemas
  baton agents register agents.json            say who can do what
  baton run                                    work; start more of them to scale
  baton submit 'Qualify the lead ACME' --wait  hand in a task and see its result
  baton tasks show TASK                        who did what, and why they were chosen

Settings come from baton.toml, then BATON__SECTION__KEY in the environment, then --set.
Exit codes: 0 done, 1 failed, 2 wrong use.";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// See it work: sample agents and sales leads in one process, with nothing to install and nothing kept
    #[command(after_help = "\
Examples:
  baton demo                       50 and more leads, then it stays up to look around; Ctrl-C ends it
  baton demo --tasks 50 --exit     leave with status 0 if all tasks succeeded
  baton demo --write sales         make the leads and agents yours
  baton demo --dir sales           and run them

Leads and agents are read from ./examples/sales if that is there, else from the copies in the binary. A broker, a schema
registry and a worker run inside this process on free ports. No mail is sent. [llm] and [routing] count as configured.")]
    Demo(DemoArgs),
    /// Work: take tasks, choose agents, take their reports, complete
    #[command(after_help = "\
Examples:
  baton run
  BATON__KAFKA__SLOT=worker-1 baton run --set http.listen=127.0.0.1:0

Each worker has a slot of its own (kafka.slot); restarted under the same slot it goes on without a rebalance.
SIGTERM ends it and expects it back; SIGINT (Ctrl-C) hands its work to the other workers at once.")]
    Run(RunArgs),
    /// Everything in one process for developing: broker, schema registry, all roles; data is kept
    #[command(after_help = "\
Examples:
  baton dev
  baton dev --data /tmp/try --kafka-port 0 --registry-port 0 --http-port 0

Other commands find it without any setting. Settings of baton.toml count, but those of the broker and the registry.
For this machine only, and no measure of Kafka: one copy, all in memory, what is kept on disk only grows.
Ctrl-C or SIGTERM ends it; the data stays. To start over, delete the folder.")]
    Dev(DevArgs),
    /// Create or check topics and schemas; prints the difference and never deletes or shrinks
    #[command(after_help = "\
Examples:
  baton apply --dry-run
  baton apply --set kafka.replication_factor=3

Safe to repeat. A topic keyed by task id never gets another partition count: tasks under way would lose their home.")]
    Apply(ApplyArgs),
    /// Check brokers, topics, schemas, LLM and agents; exit 1 with what to do
    #[command(after_help = "Examples:\n  baton doctor\n  baton doctor --format json")]
    Doctor(FormatArgs),
    /// Hand in tasks: from arguments, a file or standard input
    #[command(after_help = "\
Examples:
  baton submit 'Qualify the lead ACME' --wait
  baton submit 'Summarise' --input '{\"text\":\"…\"}' --agents 'Summariser,Editor' --deadline 10m
  baton submit --file tasks.jsonl --wait --timeout 5m
  jq -c '.[]' tasks.json | baton submit -

A file holds one JSON object per line, with the fields of TaskSubmitted; only `objective` is needed:
  {\"objective\":\"Qualify the lead ACME\",\"input\":{\"company\":\"ACME\"},\"priority\":7}
Flags fill in what a line leaves out. Nothing is sent unless every line is sound.")]
    Submit(Box<SubmitArgs>),
    /// Agents: list, show, register, unregister, lint; any command as an agent
    #[command(after_help = "\
Examples:
  baton agents register agents/*.json
  baton agents list --capability 'score leads' --label team=sales
  baton agents show 'Lead Scorer'
  baton agents lint --file agents/*.json
  baton agents unregister 'Lead Scorer'
  baton agents exec --file agent.json -- jq '.input | length'")]
    Agents(AgentsArgs),
    /// Tasks: list, show and watch them; cancel, pause, approve, answer, retry, reassign
    #[command(after_help = "\
Examples:
  baton tasks list --status RUNNING,PAUSED
  baton tasks show t-42
  baton tasks watch t-42 --format json
  baton tasks cancel t-42 --reason 'the customer withdrew'
  baton tasks answer t-42 '{\"budget\":5000}' --step 2
  baton tasks reassign t-42 --step 2 --agent 'Lead Scorer'

A command is a record of task-commands; each of these waits until a worker has applied or refused it. Exit 1: it was
refused, or nobody has answered in time; then it still counts, and the same --id asks again without doing it twice.")]
    Tasks(TasksArgs),
    /// Topics: list them, read them as JSON lines
    #[command(after_help = "\
Examples:
  baton topics list
  baton topics tail completions --follow
  baton topics tail task-events -n 20
  baton topics tail tasks --from-beginning --key t-42")]
    Topics(TopicsArgs),
    /// Dead letters: what was refused and why; replay them
    #[command(after_help = "\
Examples:
  baton dlq list --since 1h
  baton dlq list --topic tasks --reason INVALID
  baton dlq show tasks 3 17
  baton dlq replay --topic tasks --since 1h --dry-run")]
    Dlq(DlqArgs),
    /// How good choices are: on tasks whose agent is known, as JSON
    #[command(after_help = "\
Examples:
  baton eval tasks.jsonl                                     with the agents that are registered
  baton eval tasks.jsonl --agents agents.json --examples confirmed.jsonl
  baton eval tasks.jsonl --agents agents.json --llm --set routing.llm=always

A line of tasks and of examples: {\"text\": \"…\", \"agent\": \"Lead Scorer\", \"capability\": \"score leads\"}; `agent` null is a task
that none of the agents is right for. Only texts count: what contracts would exclude is not excluded.

accuracy: of the tasks in scope, the right agent first. answered: chosen without doubt, by a clear lead (routing.margin)
or an LLM; accuracyAnswered: right of those. outOfScopeAbstained: tasks of no agent that were not answered.
calibrationError: how far confidence is from how often it was right; an agent named for a task of none is wrong.
p50Micros, p99Micros: one choice, in µs. tokens, costMicros: all calls of an LLM.")]
    Eval(EvalArgs),
    /// Experiments: strategies of choosing compared on the tasks that come; start, look, stop, promote
    #[command(after_help = EXPERIMENTS)]
    Experiments(ExperimentsArgs),
    /// Prompts: the words in which an LLM is asked to choose and to plan
    #[command(after_help = "\
Examples:
  baton prompts show
  baton prompts show select --task task.json
  baton prompts show plan --format json | jq -r '.[0].system' > plan-rules.txt

The system part holds the rules, the user part what is told of agents and task. llm.select_rules_file and
llm.plan_rules_file name files of other rules; that text of others is data, never instructions, is always said.
The version is in each decision (promptVersion): of the rules, and after the + of what is told of the agents.")]
    Prompts(PromptsArgs),
    /// The configuration in force
    #[command(after_help = "Examples:\n  baton config print\n  baton config print --format json")]
    Config(ConfigArgs),
    /// A completion script for a shell
    #[command(after_help = "Examples:\n  baton completions bash > /etc/bash_completion.d/baton")]
    Completions { shell: Shell },
}

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct FormatArgs {
    /// As a table, or as one JSON array
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// How many tasks; leads are taken in order, and again from the first where there are fewer [default: all leads, once]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(super) tasks: Option<u16>,
    /// Leave when all tasks have ended: with status 0 if all succeeded, else 1
    #[arg(long)]
    pub(super) exit: bool,
    /// The directory of leads.jsonl and agents/
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// Write the leads and agents of the binary into DIR, and do nothing else
    #[arg(long, value_name = "DIR", conflicts_with_all = ["dir", "tasks", "exit"])]
    pub(super) write: Option<PathBuf>,
    #[command(flatten)]
    pub(super) format: FormatArgs,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// What this process does [default: all of them]
    #[arg(long, value_delimiter = ',', value_parser = role, value_name = "ROLE,…")]
    pub(super) roles: Vec<Role>,
}

#[derive(Debug, Args)]
pub(super) struct DevArgs {
    /// Where records and schemas are kept
    #[arg(long, value_name = "DIR", default_value = "baton-data")]
    pub(super) data: PathBuf,
    /// Of the broker; 0 = any free one, printed
    #[arg(long, value_name = "PORT", default_value_t = 9092)]
    pub(super) kafka_port: u16,
    /// Of the schema registry; 0 = any free one, printed
    #[arg(long, value_name = "PORT", default_value_t = 8081)]
    pub(super) registry_port: u16,
    /// Of health, metrics and API; 0 = any free one, printed [default: that of http.listen]
    #[arg(long, value_name = "PORT")]
    pub(super) http_port: Option<u16>,
}

fn role(text: &str) -> Result<Role, String> {
    let named = |role: &&Role| role.name() == text.trim().to_ascii_lowercase();
    Role::ALL.iter().find(named).copied().ok_or_else(|| {
        let known: Vec<&str> = Role::ALL.iter().map(|role| role.name()).collect();
        format!("known roles are {}", known.join(", "))
    })
}

#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    /// Only say what would be done
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Topic files of your own instead of those compiled in
    #[arg(long, value_name = "DIR")]
    pub(super) topics: Option<PathBuf>,
    #[command(flatten)]
    pub(super) format: FormatArgs,
}

#[derive(Debug, Args)]
pub(super) struct SubmitArgs {
    /// What is to be done, in words; `-` reads JSON lines from standard input
    #[arg(required_unless_present = "file")]
    pub(super) objective: Option<String>,
    /// A file of JSON lines; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "objective")]
    pub(super) file: Option<PathBuf>,
    /// What to work on: JSON, or plain text
    #[arg(long, value_name = "JSON")]
    pub(super) input: Option<String>,
    /// Contract of the input: a JSON Schema or a name
    #[arg(long, value_name = "CONTRACT")]
    pub(super) input_contract: Option<String>,
    /// Follow a given plan (auto), make one (plan), or choose agent after agent (route)
    #[arg(long, value_enum, ignore_case = true)]
    pub(super) mode: Option<ModeArg>,
    /// Only these agents, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(super) agents: Vec<String>,
    /// When it must be done: a duration from now (10m) or a time (2026-01-31T12:00:00Z)
    #[arg(long, value_name = "WHEN")]
    pub(super) deadline: Option<String>,
    /// 0 to 9, 9 first
    #[arg(long, value_name = "N")]
    pub(super) priority: Option<u8>,
    /// For your own bookkeeping; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(super) labels: Vec<String>,
    /// Id of the task; the same task under the same id runs once [default: a new one]
    #[arg(long, value_name = "ID", conflicts_with = "file")]
    pub(super) id: Option<String>,
    /// Comes back in the completion
    #[arg(long, value_name = "ID")]
    pub(super) correlation_id: Option<String>,
    /// Wait for the completions and print them; exit 1 unless all succeeded
    #[arg(long)]
    pub(super) wait: bool,
    /// How long to wait at most
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, requires = "wait")]
    pub(super) timeout: Option<Duration>,
    #[command(flatten)]
    pub(super) format: FormatArgs,
}

#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    /// Labelled tasks, one JSON object a line; `-` is standard input
    #[arg(value_name = "FILE.jsonl")]
    pub(super) tasks: PathBuf,
    /// Definitions as `baton agents register` takes them [default: what is registered]
    #[arg(long, value_name = "FILE")]
    pub(super) agents: Option<PathBuf>,
    /// What memory holds: tasks that their agents succeeded with, in the same shape
    #[arg(long, value_name = "FILE.jsonl")]
    pub(super) examples: Option<PathBuf>,
    /// Ask the providers of [llm] where [routing] says so; each call costs what it costs
    #[arg(long)]
    pub(super) llm: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ModeArg {
    Auto,
    Plan,
    Route,
}

impl ModeArg {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Auto => "AUTO",
            Self::Plan => "PLAN",
            Self::Route => "ROUTE",
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct AgentsArgs {
    #[command(subcommand)]
    pub(super) command: AgentsCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum AgentsCommand {
    /// Who is registered, what is wrong with a definition, who was heard of last
    List(AgentsListArgs),
    /// How an agent does: state, circuit breaker, success, latency, instances, each with the reason
    Show {
        /// Its name, or its topic name for one version of several
        name: String,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Register definitions: JSON files of one definition or an array of them
    #[command(after_help = "\
Nothing is registered unless every definition is sound. Within a major version one may follow another only if its input
contract takes all that was taken, its output contract allows only what was allowed, and the media types are the same. What
cannot be shown to be so is refused: give it the next major version, which gets a topic of its own and runs beside the old
one, or --force.")]
    Register {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Take them although they break what the version before promised
        #[arg(long)]
        force: bool,
    },
    /// Take an agent off the table; its work under way goes on
    Unregister {
        /// Its name, or its topic name for one version of several
        name: String,
    },
    /// What is wrong with definitions, or will make choices worse; exit 1 if there is a fault
    #[command(after_help = LINT)]
    Lint(LintArgs),
    /// Be an agent whose work is a command: an assignment on its standard input, the output on its standard output
    #[command(after_help = EXEC)]
    Exec(ExecArgs),
}

const EXPERIMENTS: &str = "\
Examples:
  baton experiments start lead-cost --type lead --variant control=default:0.5 --variant cheap=frugal:0.5
  baton experiments list
  baton experiments show lead-cost
  baton experiments promote lead-cost cheap --reason 'as good, for half the cost'
  baton experiments stop lead-cost

A strategy is [routing] with some of it otherwise, by name in the configuration of every worker:
  [strategies.frugal]
  weights = { cost = 1.0 }
`default` is [routing] itself. Each task belongs to one variant for as long as it lives, by a hash of experiment and task;
only tasks submitted after the start take part. What `show` says may be read at any time, as often as one likes.";

#[derive(Debug, Args)]
pub(super) struct ExperimentsArgs {
    #[command(subcommand)]
    pub(super) command: ExperimentsCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum ExperimentsCommand {
    /// All that were ever started, the last word on each
    List(FormatArgs),
    /// What an experiment has shown: figures of each variant, and how it compares with the control
    #[command(after_help = SHOW_EXPERIMENT)]
    Show {
        name: String,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Split the tasks that come among strategies
    #[command(after_help = START_EXPERIMENT)]
    Start(ExperimentStartArgs),
    /// Choose for its tasks as if it were not there; also ends what was promoted
    Stop {
        name: String,
        #[command(flatten)]
        said: SaidArgs,
    },
    /// Choose for all of its tasks by the strategy of one variant, until it is stopped or a later promotion is about them
    Promote {
        name: String,
        variant: String,
        /// Although a guardrail stopped it
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        said: SaidArgs,
    },
}

const SHOW_EXPERIMENT: &str = "\
A task counts from its first decision to the completion of its first run. Open and cancelled ones are compared with none;
all that end otherwise than SUCCEEDED have failed. Latency is that of all that ended, failed ones too.

Estimates are of the variant less the control: success in points, latency as a part of the control's, cost in micros for a
task. The interval holds the true difference at all times at once with 95 %, and of all variants together; p is the level at
which it would just hold no difference. Sample ratio: p below 0.01 says that the variants did not get their shares, and
that nothing else here can be trusted (a worker without a variant's strategy does that).";

const START_EXPERIMENT: &str = "\
Examples:
  baton experiments start eager --variant control=default:0.9 --variant eager=eager:0.1
  baton experiments start lead-cost --type lead --variant control=default:0.5 --variant cheap=frugal:0.5 \\
    --metric cost --guardrail success:0.02 --guardrail latency:0.2

Refused, with all that is wrong: shares that do not add up to 1, a strategy that is not configured here, a name that was used
before, tasks that are in another experiment that runs. A variant that is clearly worse than the control by more than a
guardrail tolerates is stopped within seconds by a worker of the role insights; its tasks follow the control's strategy.";

#[derive(Debug, Args)]
pub(super) struct ExperimentStartArgs {
    pub(super) name: String,
    /// A variant, the control first: its name, its strategy, its share of the tasks (0.01 to 0.99); at least twice
    #[arg(long = "variant", value_name = "NAME=STRATEGY:SHARE", value_parser = variant, required = true)]
    pub(super) variants: Vec<(String, String, f64)>,
    /// Only tasks of these types [default: all]
    #[arg(long = "type", value_name = "TYPE,…", value_delimiter = ',')]
    pub(super) kinds: Vec<String>,
    /// What it is to be decided by
    #[arg(long, value_enum, default_value_t)]
    pub(super) metric: MetricArg,
    /// By how much a variant may be worse: of success in the share (0.05 = five points), of latency as a part (0.2 = a fifth
    /// longer), of cost in micros for a task; may be repeated
    #[arg(long = "guardrail", value_name = "METRIC:TOLERATED", value_parser = guardrail, default_value = "success:0.05")]
    pub(super) guardrails: Vec<(MetricArg, f64)>,
    /// What it is to show, in words
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(super) description: String,
    #[command(flatten)]
    pub(super) said: SaidArgs,
}

#[derive(Debug, Args)]
pub(super) struct SaidArgs {
    /// Why, for those who look at it later
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(super) reason: String,
    /// Who says so [default: the user of this process]
    #[arg(long, value_name = "NAME")]
    pub(super) actor: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum MetricArg {
    /// The share that ended SUCCEEDED
    #[default]
    Success,
    /// From the first decision to the completion
    Latency,
    /// Of agents and models
    Cost,
}

fn variant(text: &str) -> Result<(String, String, f64), String> {
    let parts = text.split_once('=').and_then(|(name, rest)| Some((name, rest.rsplit_once(':')?)));
    let parsed = parts.and_then(|(name, (strategy, share))| {
        Some((name.trim().to_owned(), strategy.trim().to_owned(), share.trim().parse().ok()?))
    });
    parsed.ok_or_else(|| "give NAME=STRATEGY:SHARE, such as cheap=frugal:0.5".to_owned())
}

fn guardrail(text: &str) -> Result<(MetricArg, f64), String> {
    let parsed = text.split_once(':').and_then(|(metric, tolerated)| {
        Some((MetricArg::from_str(metric.trim(), true).ok()?, tolerated.trim().parse().ok()?))
    });
    parsed.ok_or_else(|| "give METRIC:TOLERATED, such as success:0.05, latency:0.2 or cost:500".to_owned())
}

#[derive(Debug, Args)]
pub(super) struct PromptsArgs {
    #[command(subcommand)]
    pub(super) command: PromptsCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum PromptsCommand {
    /// What an LLM would be told, with the agents that are registered now
    Show(PromptsShowArgs),
}

#[derive(Debug, Args)]
pub(super) struct PromptsShowArgs {
    /// Which question [default: both]
    pub(super) kind: Option<PromptKind>,
    /// The task it is about, in JSON with the fields of TaskSubmitted [default: one that says nothing]
    #[arg(long, value_name = "FILE")]
    pub(super) task: Option<PathBuf>,
    #[command(flatten)]
    pub(super) format: FormatArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum PromptKind {
    /// Who works next
    Select,
    /// By what steps
    Plan,
}

#[derive(Debug, Args)]
pub(super) struct AgentsListArgs {
    /// Only those that declare the capability
    #[arg(long, value_name = "CAPABILITY")]
    capability: Option<String>,
    /// Only those that take or give this contract, a label or the name of a schema
    #[arg(long, value_name = "NAME")]
    contract: Option<String>,
    /// Only those that have this label; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    #[command(flatten)]
    pub(super) format: FormatArgs,
}

impl AgentsListArgs {
    pub(super) fn wanted(&self) -> Wanted {
        let Self { capability, contract, labels, .. } = self;
        Wanted { capability: capability.clone(), contract: contract.clone(), labels: labels.clone() }
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    let split = text.split_once('=').filter(|(key, _)| !key.is_empty());
    split.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| "give KEY=VALUE".to_owned())
}

const LINT: &str = "\
Examples:
  baton agents lint
  baton agents lint --file agents/*.json --offline --strict
  baton agents lint --format json | jq '.[] | select(.severity == \"fault\")'

Faults, for which this exits with 1:
  definition     it does not hold, so the agent is never chosen; every fault with field and remedy
  instructions   text that tells a model what to do (`ignore previous …`, `always choose …`, marks of prompts, hidden characters)
  endpoint       nobody listens there; only connected to, nothing is sent
Warnings, for which it exits with 1 only with --strict:
  name           it and another are the same but for punctuation, or one contains the other
  overlap        it says nearly the same as another agent
  examples       it has none
  producer       no agent gives the named contract it takes
  consumer       no agent takes the named contract it gives
  empty          a contract's schema accepts {}
  required       a property with `const` or `enum` may be left out

With --file nothing is asked of Kafka and the registry: the names of contracts count as labels, and only the agents in the
files are compared with each other.";

#[derive(Debug, Args)]
pub(super) struct LintArgs {
    /// Definitions to look at, as `baton agents register` takes them [default: what is registered]
    #[arg(long = "file", short, value_name = "FILE", num_args = 1..)]
    pub(super) files: Vec<PathBuf>,
    /// Do not look whether endpoints can be reached
    #[arg(long)]
    pub(super) offline: bool,
    /// Exit with 1 for warnings too
    #[arg(long)]
    pub(super) strict: bool,
    #[command(flatten)]
    pub(super) format: FormatArgs,
}

#[derive(Debug, Args)]
pub(super) struct ExecArgs {
    /// The agent's definition, as `baton agents register` takes it
    #[arg(long, short, value_name = "FILE")]
    pub(super) file: PathBuf,
    /// How many commands run at a time [default: the definition's maxConcurrency, else 1]
    #[arg(long, value_name = "N")]
    pub(super) concurrency: Option<usize>,
    /// The longest a command may run [default: until its assignment's deadline]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(super) timeout: Option<Duration>,
    /// How long commands may go on once this is told to stop; what is not done then is delivered again
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "30s")]
    pub(super) grace: Duration,
    /// Leave the table of agents alone: it was registered by `baton agents register`
    #[arg(long)]
    pub(super) no_register: bool,
    /// The command and its arguments, as they are: no shell reads them
    #[arg(last = true, required = true, num_args = 1.., value_name = "CMD")]
    pub(super) command: Vec<OsString>,
}

const EXEC: &str = "\
Examples:
  baton agents exec --file examples/shell/agent.json -- examples/shell/top-words.sh
  baton agents exec --file sum.json -- jq '.input | add'
  baton agents exec --file score.json --concurrency 4 --timeout 1m -- python3 score.py
  baton agents exec --file shout.json -- sh -c 'jq -r .input | sed s/$/!/'

A Python script needs no library:
  import json, sys
  assignment = json.load(sys.stdin)
  json.dump({\"words\": len(assignment[\"input\"].split())}, sys.stdout)

Standard input: the assignment as JSON, one line: assignmentId, taskId, stepId, attempt, effectKey, objective, input,
  context [{stepId, agentName, output}], outputContract, priority, attemptDeadline, taskDeadline. `input` is a value, or a
  string where the definition's input format is not application/json.
Environment: BATON_TASK_ID, BATON_STEP_ID, BATON_ASSIGNMENT_ID, BATON_ATTEMPT, BATON_EFFECT_KEY, BATON_AGENT,
  BATON_DEADLINE (RFC 3339), TRACEPARENT. Settings of Baton's own (BATON__…) are not handed on.
Standard output: the output, when the command ends with 0. JSON, if the definition's output format is application/json;
  else text, without its last line break. At most workflow.payload_bytes (256 KiB).
Standard error: goes to the log with the assignment's id; its last lines are the message of a failure.

What a command's end is reported as:
  0                 SUCCEEDED; output that is too large, or no JSON where it must be: INVALID_OUTPUT
  65, 66            CONTRACT    the input is not as agreed (EX_DATAERR, EX_NOINPUT)
  77                AUTH        credentials were refused (EX_NOPERM)
  64, 78, 126, 127  PERMANENT   wrong use or configuration, not executable, not found: no further try helps
  any other, also 1, 69, 70, 75, or a signal: TRANSIENT, another try might work
  --timeout or the deadline is over: TIMEOUT

Each command leads a process group of its own. When its time is over, when it prints too much, or when its assignment is
withdrawn, the whole group gets SIGTERM and 5 s later SIGKILL; what a command leaves running is ended with it. SIGTERM or
Ctrl-C lets commands finish within --grace; a second one ends at once. An assignment may come more than once, always with
the same assignmentId: use BATON_EFFECT_KEY to keep an effect outside to one. A command that works for longer than
workflow.assignment_timeout (15 min) needs that raised.";

#[derive(Debug, Args)]
pub(super) struct TasksArgs {
    #[command(subcommand)]
    pub(super) command: TasksCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum TasksCommand {
    /// One task: its state, and its facts in order with every decision and why
    Show {
        #[arg(value_name = "TASK")]
        id: String,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// What the topics know of: tasks under way and ended ones, those with the latest news first
    List {
        /// Only with one of these: RUNNING, PAUSED, SUCCEEDED, PARTIAL, FAILED, CANCELLED, EXPIRED, REJECTED
        #[arg(long, value_name = "STATUS,…", value_delimiter = ',')]
        status: Vec<String>,
        /// Only of what happened that long ago and later: `1h`; without it everything that the topics keep is read
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
        since: Option<Duration>,
        /// So many at most
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Follow a task until it ends, from its first fact on; exit 1 unless it succeeds
    Watch {
        #[arg(value_name = "TASK")]
        id: String,
        /// As lines for people, or as JSON lines: facts, and at last the completion
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// End a task; what its agents are at is withdrawn
    Cancel(CommandArgs),
    /// Begin nothing new of a task; what its agents are at goes on
    Pause(CommandArgs),
    /// Go on with a paused task
    Resume(CommandArgs),
    /// Let a step go on that waits for a person's approval
    Approve(StepCommandArgs),
    /// Refuse it
    Reject(StepCommandArgs),
    /// Try a failed step again
    Retry(StepCommandArgs),
    /// Give a step to another agent
    Reassign {
        /// The agent that gets the step; any other than the last where it is left out
        #[arg(long, value_name = "NAME")]
        agent: Option<String>,
        #[command(flatten)]
        command: StepCommandArgs,
    },
    /// Answer what an agent asked
    Answer {
        #[command(flatten)]
        command: StepCommandArgs,
        /// JSON, or plain text
        value: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct StepCommandArgs {
    #[command(flatten)]
    pub(super) command: CommandArgs,
    /// The step it is about [default: the only one that can be meant]
    #[arg(long, value_name = "STEP")]
    pub(super) step: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct CommandArgs {
    #[arg(value_name = "TASK")]
    pub(super) task: String,
    /// Why, for those who read the task's story
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
    /// Who says so [default: the user of this process]
    #[arg(long, value_name = "NAME")]
    pub(super) actor: Option<String>,
    /// Id of the command; sent again under it, it is not applied again [default: a new one]
    #[arg(long, value_name = "ID")]
    pub(super) id: Option<String>,
    /// How long to wait for a worker's answer
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "15s")]
    pub(super) timeout: Duration,
    /// Send it, print its id, and wait for nothing
    #[arg(long, conflicts_with = "timeout")]
    pub(super) no_wait: bool,
    /// As a line for people, or as JSON
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

#[derive(Debug, Args)]
pub(super) struct TopicsArgs {
    #[command(subcommand)]
    pub(super) command: TopicsCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum TopicsCommand {
    /// Our topics as they are
    List(FormatArgs),
    /// Records as JSON lines, decoded by their schema, headers too; by default the last 10
    Tail(TailArgs),
}

#[derive(Debug, Args)]
pub(super) struct TailArgs {
    /// A topic's name, with or without the prefix
    pub(super) name: String,
    /// Everything there is
    #[arg(long, conflicts_with = "last")]
    pub(super) from_beginning: bool,
    /// The last N records
    #[arg(short = 'n', long, value_name = "N")]
    pub(super) last: Option<usize>,
    /// Go on with what comes
    #[arg(long, short)]
    pub(super) follow: bool,
    /// Only records of this key
    #[arg(long)]
    pub(super) key: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct DlqArgs {
    #[command(subcommand)]
    pub(super) command: DlqCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum DlqCommand {
    /// Dead letters, oldest first
    List {
        #[command(flatten)]
        filter: LetterFilter,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// One dead letter with its original bytes
    Show {
        /// The topic it was refused from: `tasks`
        topic: String,
        /// Where the dead letter itself lies
        partition: i32,
        offset: i64,
    },
    /// Write dead letters once more to the topic they were refused from, each once
    #[command(after_help = "\
Examples:
  baton dlq replay --topic tasks --reason UNKNOWN_SCHEMA --dry-run
  baton dlq replay --topic tasks --reason UNKNOWN_SCHEMA --rate 50/s --yes
  baton dlq replay --topic tasks --partition 3 --offset 17

A record goes back with its own key, value and headers, and baton.replays: how often it was replayed. A task that had
neither id nor key gets the id it had as its key. The record and a mark among the dead letters that it was replayed are
one transaction: interrupt it at any moment and run it again, and nothing is replayed twice. What is refused again is a
new dead letter, which can be replayed up to --max-replays. Dead letters of sources are not replayed: they came from
topics of others, whose other readers would see them again.")]
    Replay(ReplayArgs),
}

#[derive(Debug, Args)]
pub(super) struct LetterFilter {
    /// Only those of one topic: `tasks`
    #[arg(long)]
    pub(super) topic: Option<String>,
    /// Only those with one reason: `INVALID`
    #[arg(long)]
    pub(super) reason: Option<String>,
    /// Only those of that long ago and later: `1h`
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(super) since: Option<Duration>,
    /// Only those that lie on one partition
    #[arg(long, value_name = "N")]
    pub(super) partition: Option<i32>,
    /// Only the one that lies there
    #[arg(long, value_name = "N", requires_all = ["topic", "partition"])]
    pub(super) offset: Option<i64>,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    pub(super) filter: LetterFilter,
    /// Only say what would be done
    #[arg(long)]
    pub(super) dry_run: bool,
    /// At most so many a second: `50/s`
    #[arg(long, value_name = "N/s", value_parser = rate)]
    pub(super) rate: Option<u32>,
    /// Leave those alone that were replayed so often already
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_replays: u32,
    /// Do not ask
    #[arg(long, short)]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) format: FormatArgs,
}

fn rate(text: &str) -> Result<u32, String> {
    let number = text.trim().strip_suffix("/s").unwrap_or(text).trim().parse::<u32>().ok();
    number.filter(|number| *number > 0).ok_or_else(|| "give a number of records a second, such as 50/s".to_owned())
}

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    pub(super) command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Every setting in force, secrets redacted
    Print {
        #[arg(long, value_enum, default_value_t)]
        format: ConfigFormat,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ConfigFormat {
    #[default]
    Toml,
    Json,
}
