//! Experiments on the real stack: from start to promotion, with figures that a script in another language counts from the
//! topics anew; a guardrail that stops a bad variant; a worker that lacks a strategy.

use super::python_agent::python;
use super::support::agents::{Agents, Behaviour, Say, definition, works};
use super::support::llm::{Llm, Reply};
use super::support::{Partitioner, Scratch, Send, Sender, Topic, Worker, heavy, read_all, until};
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What should take a moment, on a machine that is busy.
const SOON: Duration = Duration::from_secs(90);

/// By default the first agent by name is chosen, whatever became of its work; `frugal` goes by cost. No breaker opens.
const TOML: &str = "[routing]\nexploration = 0\n[routing.weights]\nfit = 0\nsuccess = 0\nlatency = 0\nquality = 0\n\
                    specialization = 0\ncapacity = 0\ncost = 0\n[strategies.frugal.weights]\ncost = 5\n\
                    [insights]\nbreaker_failures = 1\nbreaker_least = 1000\nbreaker_in_a_row = 1000\n";

/// One of several agents that add, at this price.
fn summer(name: &str, micros: i64) -> Value {
    let mut definition = definition(name, "adds numbers");
    definition["capabilities"] = json!(["sum"]);
    definition["costMicrosPerTask"] = json!(micros);
    definition
}

/// Fails in so many tasks of a hundred and takes some milliseconds, both by the task's id.
fn fails(percent: u32, micros: i64) -> Behaviour {
    Box::new(move |assignment| {
        let id = assignment["taskId"].as_str().expect("it has one");
        let hash = id.bytes().fold(7_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let chance = (hash >> 9) % 100;
        let says =
            if chance < percent { Say::failed("PERMANENT", "out of order") } else { Say::succeeded(json!(chance)) };
        let usage = json!({ "inputTokens": 5, "outputTokens": 2, "costMicros": micros + i64::from(hash % 50) });
        vec![says.with("usage", usage).after(Duration::from_millis(u64::from(hash % 40)))]
    })
}

/// A task of one step that any agent who can add may do.
fn task(id: &str, kind: &str) -> Value {
    let step = json!({ "stepId": "s", "objective": "add", "capability": "sum" });
    json!({ "taskId": id, "type": kind, "objective": "add", "plan": [step] })
}

struct Office {
    scratch: Scratch,
    workers: Vec<Worker>,
    completions: Topic,
    /// Tasks handed in.
    sent: Cell<usize>,
    _agents: Agents,
}

impl Office {
    /// Two workers, and an agent that is chosen by default and one that is cheap and fails in so many of a hundred.
    fn new(name: &str, toml: &str, cheap_fails: u32) -> Self {
        let scratch = Scratch::new(name);
        scratch.apply().register_all(&[summer("Ann", 1_000), summer("Bob", 100)]);
        let mut workers: Vec<Worker> = ["a", "b"].map(|slot| scratch.worker(slot).toml(toml).spawn()).into();
        workers.iter_mut().for_each(|worker| worker.ready(SOON));
        let agents = vec![("Ann", fails(10, 1_000)), ("Bob", fails(cheap_fails, 100))];
        let agents = Agents::start(&scratch, agents);
        for worker in &workers {
            until("both agents may be chosen", SOON, || match worker.metric("baton_agents_eligible") {
                2.0 => Ok(()),
                seen => Err(seen.to_string()),
            });
        }
        let completions = Topic::open(scratch.stack, &scratch.topic("completions"));
        Self { scratch, workers, completions, sent: Cell::new(0), _agents: agents }
    }

    fn submit(&self, name: &str, kind: &str, count: usize) {
        let topic = self.scratch.topic("tasks");
        let record = |number| {
            let id = format!("{name}-{number}");
            Send::to(&topic).key(&id).json(&task(&id, kind))
        };
        Sender::new(self.scratch.stack, Partitioner::Default).send_all((0..count).map(record));
        self.sent.set(self.sent.get() + count);
    }

    /// Waits until all tasks have ended.
    #[track_caller]
    fn all_ended(&mut self) {
        self.completions.count(self.sent.get(), SOON);
    }

    /// `baton experiments ARGS`.
    fn experiments(&self, args: &[&str], code: i32) -> super::support::Ran {
        let args: Vec<&str> = ["experiments"].into_iter().chain(args.iter().copied()).collect();
        self.scratch.baton_with(TOML, &args, b"").code(code)
    }

    /// Starts one, and waits until tasks take part.
    fn start(&self, args: &[&str]) {
        self.experiments(args, 0);
        std::thread::sleep(Duration::from_millis(2_500));
    }

    fn show(&self, name: &str) -> Value {
        self.experiments(&["show", name, "--format", "json"], 0).json()[0].take()
    }

    /// Whether the script counts the same.
    #[track_caller]
    fn agrees(&self, name: &str) {
        let shown = self.experiments(&["show", name, "--format", "json"], 0).stdout;
        let file = self.scratch.dir().join("shown.json");
        std::fs::write(&file, &shown).expect("it can be written");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/experiment_figures.py");
        let stack = self.scratch.stack;
        let mut python = Command::new(python());
        python.arg("-Wignore").arg(script).args([&stack.bootstrap, &stack.registry, &self.scratch.prefix]).arg(file);
        let output = python.output().expect("python starts");
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(output.status.success(), "{said}\n{shown}");
        eprintln!("{name}: {}", said.trim());
    }

    /// The decisions of tasks whose ids begin so, with agent, strategy and variant.
    fn decisions(&self, name: &str) -> Vec<(String, String, Value)> {
        let all = read_all(self.scratch.stack, &self.scratch.topic("routing-decisions")).into_iter();
        let of = all.filter(|record| record.text("taskId").starts_with(&format!("{name}-")));
        of.map(|record| {
            let variant = record.value["variant"].clone();
            (record.text("chosen").to_owned(), record.text("strategy").to_owned(), variant)
        })
        .collect()
    }
}

const SPLIT: [&str; 4] = ["--variant", "control=default:0.5", "--variant", "cheap=frugal:0.5"];

fn start<'a>(name: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    ["start", name, "--type", "addition"].into_iter().chain(SPLIT).chain(more.iter().copied()).collect()
}

#[test]
fn an_experiment_goes_from_start_to_promotion_and_its_figures_are_those_of_the_topics() {
    let _turn = heavy();
    let mut office = Office::new("experiment", TOML, 10);
    let refused =
        office.experiments(&["start", "sums", "--variant", "control=default:0.5", "--variant", "cheap=lavish:0.4"], 2);
    for part in ["there is no strategy `lavish` (default, frugal)", "add up to 0.9, not to 1"] {
        assert!(refused.stderr.contains(part), "{part} is not in {}", refused.stderr);
    }
    office.submit("before", "addition", 20);
    office.all_ended();
    office.start(&start("sums", &["--metric", "cost", "--guardrail", "success:0.5", "--actor", "me"]));
    let overlaps = office.experiments(&start("more", &[]), 2);
    assert!(overlaps.stderr.contains("`sums` runs on tasks of type addition"), "{}", overlaps.stderr);
    let again = office.experiments(&start("sums", &[]), 2);
    assert!(again.stderr.contains("take another"), "{}", again.stderr);

    office.submit("first", "addition", 150);
    office.submit("other", "subtraction", 20);
    // Whoever takes its partitions over draws the same.
    office.workers[0].kill9();
    office.workers[0] = office.scratch.worker("a").toml(TOML).start();
    office.submit("second", "addition", 150);
    office.all_ended();
    let shown = office.show("sums");
    let [control, cheap] = [&shown["variants"][0], &shown["variants"][1]];
    assert_eq!(control["tasks"].as_i64().unwrap_or(0) + cheap["tasks"].as_i64().unwrap_or(0), 300, "{shown:#}");
    let cost = cheap["comparisons"].as_array().expect("it is compared").iter().find(|one| one["metric"] == "COST");
    let cost = cost.expect("cost is one of them");
    assert_eq!((&cost["verdict"], &cost["decides"]), (&json!("BETTER"), &json!(true)), "{shown:#}");
    assert_eq!(shown["sampleRatio"]["isSuspicious"], false, "{shown:#}");
    office.agrees("sums");
    for name in ["before", "other"] {
        let decisions = office.decisions(name);
        let is_plain = |one: &(String, String, Value)| *one == ("Ann".to_owned(), "default".to_owned(), Value::Null);
        assert!(decisions.len() == 20 && decisions.iter().all(is_plain), "{name}: {decisions:?}");
    }
    for (agent, strategy, variant) in ["first", "second"].iter().flat_map(|name| office.decisions(name)) {
        let wanted = match variant.as_str() {
            Some("sums/control") => ("Ann", "default"),
            Some("sums/cheap") => ("Bob", "frugal"),
            _ => panic!("{variant}"),
        };
        assert_eq!((&*agent, &*strategy), wanted);
    }

    let unknown = office.experiments(&["promote", "sums", "lavish"], 2);
    assert!(unknown.stderr.contains("it has control, cheap"), "{}", unknown.stderr);
    office.experiments(&["promote", "sums", "cheap", "--reason", "a tenth of the cost"], 0);
    until("all tasks go to the cheap one", SOON, || {
        let name = format!("wave-{}", office.sent.get());
        office.submit(&name, "addition", 1);
        std::thread::sleep(Duration::from_millis(300));
        match office.decisions(&name).first() {
            Some((agent, ..)) if agent == "Bob" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    office.submit("promoted", "addition", 20);
    office.all_ended();
    let decisions = office.decisions("promoted");
    let by_winner = |one: &(String, String, Value)| *one == ("Bob".to_owned(), "frugal".to_owned(), Value::Null);
    assert!(decisions.len() == 20 && decisions.iter().all(by_winner), "{decisions:?}");
    // What came after its end is none of its tasks.
    assert_eq!(office.show("sums")["variants"][1]["tasks"], cheap["tasks"]);
    office.agrees("sums");

    office.experiments(&["stop", "sums", "--reason", "enough"], 0);
    let listed = office.experiments(&["list", "--format", "json"], 0).json();
    assert_eq!((&listed[0]["state"], &listed[0]["reason"]), (&json!("STOPPED"), &json!("enough")), "{listed:#}");
    until("tasks go to the first one again", SOON, || {
        let name = format!("after-{}", office.sent.get());
        office.submit(&name, "addition", 1);
        std::thread::sleep(Duration::from_millis(300));
        match office.decisions(&name).first() {
            Some((agent, ..)) if agent == "Ann" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let twice = office.experiments(&["stop", "sums"], 2);
    assert!(twice.stderr.contains("STOPPED already: enough"), "{}", twice.stderr);
    assert!(office.experiments(&["stop", "sum"], 2).stderr.contains("known are: sums"));
}

#[test]
fn a_guardrail_stops_a_bad_variant_once_and_its_tasks_follow_the_control() {
    let _turn = heavy();
    let mut office = Office::new("guardrail", TOML, 70);
    office.start(&start("sums", &["--metric", "cost"]));
    let state = |office: &Office| office.experiments(&["list", "--format", "json"], 0).json()[0].take();
    until("the variant is stopped", SOON, || {
        if office.sent.get() < 600 {
            office.submit(&format!("wave{}", office.sent.get()), "addition", 40);
            office.all_ended();
        }
        match state(&office) {
            stopped if stopped["state"] == "STOPPED" => Ok(()),
            running => Err(running.to_string()),
        }
    });
    let stopped = state(&office);
    let why = stopped["variants"][1]["stoppedFor"].as_str().unwrap_or_default();
    assert!(stopped["actor"] == "insights" && why.starts_with("SUCCESS differs by -"), "{stopped:#}");
    eprintln!("guardrail: stopped after {} tasks: {why}", office.sent.get());
    office.agrees("sums");
    let records = read_all(office.scratch.stack, &office.scratch.topic("experiments"));
    let states: Vec<&str> = records.iter().map(|record| record.text("state")).collect();
    assert_eq!(states, ["RUNNING", "STOPPED"], "two workers watch, and one stop is written");
    office.submit("after", "addition", 30);
    office.all_ended();
    let decisions = office.decisions("after");
    let is_plain = |one: &(String, String, Value)| *one == ("Ann".to_owned(), "default".to_owned(), Value::Null);
    assert!(decisions.len() == 30 && decisions.iter().all(is_plain), "{decisions:?}");
    let refused = office.experiments(&["promote", "sums", "cheap"], 2);
    assert!(refused.stderr.contains("was stopped by a guardrail"), "{}", refused.stderr);
}

#[test]
fn a_worker_without_the_strategy_follows_the_default_one_and_says_so() {
    let _turn = heavy();
    let without = TOML.replace("[strategies.frugal.weights]\ncost = 5\n", "");
    let mut office = Office::new("strategy", &without, 10);
    office.start(&start("sums", &[]));
    office.submit("t", "addition", 120);
    office.all_ended();
    let records = read_all(office.scratch.stack, &office.scratch.topic("routing-decisions"));
    let lacking: Vec<_> = records.iter().filter(|record| record.value["variant"].is_null()).collect();
    assert!((35..=85).contains(&lacking.len()), "{} of 120 are without a variant", lacking.len());
    for record in &lacking {
        assert!(record.text("reason").contains("strategy `frugal` is not configured here"), "{:#}", record.value);
        assert_eq!((record.text("strategy"), record.text("chosen")), ("default", "Ann"));
    }
    let shown = office.show("sums");
    assert_eq!(shown["variants"][1]["tasks"], 0, "{shown:#}");
    assert_eq!(shown["sampleRatio"]["isSuspicious"], true, "{shown:#}");
}

#[test]
fn variants_ask_other_models_in_other_words() {
    let _turn = heavy();
    let scratch = Scratch::new("models");
    scratch.apply().register_all(&[definition("Ann", "adds numbers"), definition("Bob", "adds numbers")]);
    let rules = scratch.dir().join("rules.txt");
    std::fs::write(&rules, "Prefer whoever comes last.").expect("it can be written");
    let llm = Llm::scripted(|asked| {
        let names = &asked.body["response_format"]["json_schema"]["schema"]["properties"]["agent"]["enum"];
        let says_done = names.as_array().is_some_and(|names| names.contains(&json!("DONE")));
        Reply::agent(if says_done {
            "DONE"
        } else if asked.body["model"] == "second" {
            "Bob"
        } else {
            "Ann"
        })
    });
    let provider = |model| llm.toml().replace("scripted", model);
    let strategy = format!("[strategies.other]\nmodels = [\"second\"]\nselect_rules_file = {rules:?}\n");
    let toml = format!("[routing]\nllm = \"always\"\n{strategy}{}{}", provider("first"), provider("second"));
    let worker = scratch.worker("a").toml(&toml).start();
    let _agents = Agents::start(&scratch, ["Ann", "Bob"].map(|name| (name, works(Value::clone))).into());
    until("both agents may be chosen", SOON, || match worker.metric("baton_agents_eligible") {
        2.0 => Ok(()),
        seen => Err(seen.to_string()),
    });
    let args = ["experiments", "start", "words", "--variant", "control=default:0.5", "--variant", "new=other:0.5"];
    scratch.baton_with(&toml, &args, b"").ok();
    std::thread::sleep(Duration::from_millis(2_500));
    let topic = scratch.topic("tasks");
    let task = |number: u32| {
        let id = format!("t-{number}");
        Send::to(&topic).key(&id).json(&json!({ "taskId": id, "objective": "add", "mode": "ROUTE" }))
    };
    Sender::new(scratch.stack, Partitioner::Default).send_all((0..16).map(task));
    Topic::open(scratch.stack, &scratch.topic("completions")).count(16, SOON);
    let mut versions = BTreeMap::<String, BTreeSet<String>>::new();
    for record in read_all(scratch.stack, &scratch.topic("routing-decisions")) {
        let variant = record.text("variant").to_owned();
        let (model, agent) = if variant == "words/new" { ("second", "Bob") } else { ("first", "Ann") };
        // Also what is answered as before is answered by what the variant's own model said.
        if record.text("choice") == "AGENT" {
            assert_eq!(record.text("chosen"), agent, "{:#}", record.value);
        }
        if record.text("by") != "LLM" {
            continue;
        }
        assert_eq!(record.value["attempts"][0]["model"], model, "{:#}", record.value);
        // Of the rules; what is told of the agents comes after the plus.
        let version = record.text("promptVersion").split('+').next().unwrap_or_default().to_owned();
        versions.entry(variant).or_default().insert(version);
    }
    let [control, new] = ["words/control", "words/new"].map(|variant| versions.remove(variant).unwrap_or_default());
    assert!(control.len() == 1 && new.len() == 1 && control != new, "{control:?} {new:?}");
    assert!(versions.is_empty(), "{versions:?}");
}

#[test]
fn of_several_that_are_started_at_once_on_the_same_tasks_one_runs() {
    let scratch = Scratch::new("at-once");
    scratch.apply();
    let names = ["one", "two", "three"];
    let ran: Vec<_> = std::thread::scope(|scope| {
        let begin = |name| {
            let scratch = &scratch;
            scope.spawn(move || {
                let args: Vec<&str> = ["experiments"].into_iter().chain(start(name, &[])).collect();
                scratch.baton_with(TOML, &args, b"")
            })
        };
        let threads: Vec<_> = names.into_iter().map(begin).collect();
        threads.into_iter().map(|thread| thread.join().expect("it ran")).collect()
    });
    let told = || ran.iter().map(|ran| (ran.status, &ran.stdout, &ran.stderr)).collect::<Vec<_>>();
    let listed = scratch.baton(&["experiments", "list", "--format", "json"]).ok().json();
    let running: Vec<&str> = listed.as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect();
    let started: Vec<&str> = ran.iter().filter(|ran| ran.status.success()).map(|ran| ran.stdout.trim()).collect();
    assert_eq!(started, running.iter().map(|name| format!("started {name}")).collect::<Vec<_>>(), "{:?}", told());
    assert!(running.len() == 1, "{listed:#} {:?}", told());
    let doctor = scratch.baton_with("", &["doctor"], b"").code(1).stdout;
    assert!(doctor.contains("RUNNING, and [strategies] lacks frugal"), "{doctor}");
    for refused in ran.iter().filter(|ran| !ran.status.success()) {
        let said = &refused.stderr;
        assert!(said.contains("runs on tasks of type addition") || said.contains("at the same time"), "{said}");
    }
}
