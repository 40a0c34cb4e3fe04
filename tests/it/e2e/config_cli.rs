//! The command line and the start: what is wrong is said at once and in full, what is away is waited for and named, and
//! what was done can be read.

use super::super::support::agents::{Agents, Say, always, definition, works};
use super::super::support::{
    Gate, Partitioner, Scratch, Send, Sender, Topic, Worker, encode, get, register_schema, until,
};
use super::*;
use std::sync::OnceLock;

struct Office {
    scratch: Scratch,
    _worker: Worker,
    _agents: Agents,
}

fn office() -> &'static Office {
    static OFFICE: OnceLock<Office> = OnceLock::new();
    OFFICE.get_or_init(|| {
        let scratch = Scratch::new("cli");
        scratch.apply().register_all(&[definition("Echo", "says it again"), definition("Breaker", "breaks things")]);
        let worker = scratch.worker("w").start();
        let broken = always(Say::failed("PERMANENT", "it broke"));
        let agents = Agents::start(&scratch, vec![("Echo", works(Value::clone)), ("Breaker", broken)]);
        eligible(&worker, 2);
        Office { scratch, _worker: worker, _agents: agents }
    })
}

#[test]
fn all_faults_of_a_configuration_are_said_at_once() {
    let scratch = Scratch::new("faults");
    let toml = "[kafka]\nbootstrap_servers = \"nowhere\"\n[kafka.client]\n\"acks\" = \"1\"\n[workflow]\nmax_hops = 0\naccept_timeout = \"soon\"\n\
                [http]\nlisten = \"0.0.0.0:1\"\n[wrokflow]\nx = 1\n[[llm.providers]]\nmodel = \"\"\nbase_url = \"ftp://x\"";
    for command in [&["run"][..], &["doctor"], &["submit", "x"], &["config", "print"]] {
        let refused = scratch.baton_with(toml, command, b"").code(2);
        assert_eq!(refused.stdout, "");
        for key in [
            "8 faults:",
            "kafka.bootstrap_servers",
            "kafka.client.acks",
            "workflow.max_hops = \"0\"",
            "workflow.accept_timeout = \"soon\"",
            "http.listen",
            "did you mean \"workflow\"?",
            "llm.providers[0].base_url",
            "llm.providers[0].model",
        ] {
            assert!(refused.stderr.contains(key), "{key} is not in {}", refused.stderr);
        }
        // Each with its remedy.
        let mut lines = refused.stderr.lines().filter(|line| line.starts_with("  - "));
        assert!(lines.all(|line| line.contains("; ")), "{}", refused.stderr);
    }
}

#[test]
fn a_taken_port_is_an_error_that_names_its_key() {
    let scratch = Scratch::new("port");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let address = taken.local_addr().expect("it is bound");
    let mut worker = scratch.worker("w").toml(&format!("[http]\nlisten = \"{address}\"")).spawn();
    worker.ends_with(1, SOON);
    let log = worker.log();
    assert!(
        log.contains("http.listen") && log.contains(&address.to_string()) && log.contains("choose another"),
        "{log}"
    );
}

#[test]
fn kafka_away_at_the_start_is_waited_for_and_named() {
    let scratch = Scratch::new("no-kafka");
    scratch.apply();
    let gate = Gate::to(&scratch.stack.bootstrap);
    gate.shut();
    let through = format!("[kafka]\nbootstrap_servers = {:?}", gate.address());
    let mut worker = scratch.worker("w").toml(&through).spawn();
    let ready = worker.url("/readyz");
    until("it says what it waits for", SOON, || match get(&ready) {
        Ok((503, body)) if body.contains("kafka") && body.contains("no broker answers") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let alive = get(&worker.url("/healthz")).expect("it answers");
    assert_eq!(alive.0, 200, "it is alive all the same");
    let log = worker.log();
    assert!(log.contains("waiting: no broker answers") && log.contains("kafka.bootstrap_servers"), "{log}");
    let doctor = scratch.baton_with(&through, &["doctor"], b"").code(1);
    assert!(doctor.stdout.contains("FAILED") && doctor.stdout.contains("brokers"), "{}", doctor.stdout);
    assert!(doctor.stdout.contains(gate.address()), "it says where: {}", doctor.stdout);
    let submit = scratch.baton_with(&through, &["submit", "x"], b"").code(1);
    assert!(submit.stderr.contains(gate.address()), "{}", submit.stderr);
    gate.open();
    worker.ready(SOON);
    assert!(worker.runs());
}

#[test]
fn the_registry_away_at_the_start_is_waited_for_and_named() {
    let (gate, url) = Gate::before(&super::super::support::stack().registry);
    let scratch = Scratch::new("no-registry").with_registry(&url);
    scratch.apply();
    gate.shut();
    let mut worker = scratch.worker("w").spawn();
    let ready = worker.url("/readyz");
    until("it says what it waits for", SOON, || match get(&ready) {
        Ok((503, body)) if body.contains("registry") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let doctor = scratch.baton(&["doctor"]).code(1);
    let row = doctor.stdout.lines().find(|line| line.contains("FAILED")).unwrap_or_default();
    assert!(row.contains("registry") && row.contains("registry.url"), "{}", doctor.stdout);
    assert!(worker.log().contains("waiting: "), "{}", worker.log());
    gate.open();
    worker.ready(SOON);
    let doctor = scratch.baton(&["doctor"]).ok();
    assert!(!doctor.stdout.contains("FAILED"), "{}", doctor.stdout);
}

#[test]
fn topics_and_schemas_that_are_missing_are_waited_for_and_named() {
    let scratch = Scratch::new("no-topics");
    let mut worker = scratch.worker("w").spawn();
    until("it says what to do", SOON, || match get(&worker.url("/readyz")) {
        Ok((503, body)) if body.contains("baton apply") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let dry = scratch.baton(&["apply", "--dry-run"]).ok();
    let tasks = scratch.topic("tasks");
    assert!(dry.stdout.contains(&tasks), "{}", dry.stdout);
    let doctor = scratch.baton(&["doctor"]).code(1);
    assert!(
        doctor.stdout.contains(&tasks) && doctor.stdout.contains("baton apply"),
        "nothing was made: {}",
        doctor.stdout
    );
    scratch.apply();
    worker.ready(SOON);
    // Idempotent: what is there stays.
    let again = scratch.baton(&["apply", "--format", "json"]).ok().json();
    let changed = again.as_array().into_iter().flatten().filter(|row| row.to_string().contains("create"));
    assert_eq!(changed.count(), 0, "{again:#}");
}

#[test]
fn submit_waits_prints_and_says_by_its_exit_code_how_it_ended() {
    let Office { scratch, .. } = office();
    let well = scratch
        .baton(&["submit", "say it", "--input", "{\"a\":1}", "--agents", "Echo", "--id", "cli-1", "--wait"])
        .ok();
    assert!(well.stdout.contains("cli-1  SUCCEEDED  {\"a\":1}"), "{}", well.stdout);
    let badly = scratch.baton(&["submit", "break it", "--agents", "Breaker", "--wait", "--format", "json"]).code(1);
    let completions = badly.json();
    assert_eq!(
        (completions[0]["outcome"].as_str(), completions[0]["reason"].as_str()),
        (Some("FAILED"), Some("PERMANENT"))
    );
    let refused = scratch.baton(&["submit", "plan it", "--agents", "Echo", "--mode", "plan", "--wait"]).code(1);
    assert!(refused.stdout.contains("REJECTED") && refused.stdout.contains("no_plan"), "{}", refused.stdout);
    let waits = scratch
        .baton(&["submit", "nobody", "--agents", "Nobody", "--id", "cli-w", "--wait", "--timeout", "1s"])
        .code(1);
    assert!(waits.stderr.contains("cli-w") && waits.stderr.contains("baton tasks show"), "{}", waits.stderr);
    // Without --wait: the id, for whoever goes on with it.
    let id = scratch.baton(&["submit", "say it", "--agents", "Echo"]).ok().stdout;
    Told::of(scratch).ended(id.trim(), "SUCCEEDED", "completed");
}

#[test]
fn a_file_with_a_broken_line_sends_nothing_and_names_the_line() {
    let Office { scratch, .. } = office();
    let file = scratch.dir().join("tasks.jsonl");
    let lines = [
        r#"{"taskId":"file-1","objective":"say it","agents":["Echo"],"input":1}"#,
        r#"{"taskId":"file-2","objective":"say it","colour":1}"#,
        "",
        r#"{"taskId":"file-3","objective":"#,
        r#"{"taskId":"file-1","objective":"twice"}"#,
    ];
    std::fs::write(&file, lines.join("\n")).expect("written");
    let name = file.to_string_lossy().into_owned();
    let refused = scratch.baton(&["submit", "--file", &name]).code(2);
    assert_eq!(refused.stdout, "");
    for word in ["nothing was sent", "line 2", "colour", "line 4", "line 5", "line 1"] {
        assert!(refused.stderr.contains(word), "{word:?} is not in {}", refused.stderr);
    }
    std::fs::write(&file, [lines[0], r#"{"taskId":"file-4","objective":"say it","input":{"n":4}}"#].join("\n"))
        .expect("written");
    let sent = scratch.baton(&["submit", "--file", &name, "--agents", "Echo", "--wait"]).ok();
    assert!(
        sent.stdout.contains("file-1  SUCCEEDED  1") && sent.stdout.contains("file-4  SUCCEEDED  {\"n\":4}"),
        "{}",
        sent.stdout
    );
    let piped = br#"{"taskId":"pipe-1","objective":"say it","agents":["Echo"],"input":5}"#;
    let piped = scratch.baton_with("", &["submit", "-", "--wait"], piped).ok();
    assert!(piped.stdout.contains("pipe-1  SUCCEEDED  5"), "{}", piped.stdout);
    let mut told = Told::of(scratch);
    assert!(told.completions("file-2").is_empty() && told.completions("file-3").is_empty());
    assert_eq!(told.completions("file-1").len(), 1);
}

#[test]
fn tasks_show_tells_the_story() {
    let Office { scratch, .. } = office();
    scratch.baton(&["submit", "say it again", "--id", "story", "--input", "7", "--agents", "Echo", "--wait"]).ok();
    let shown = scratch.baton(&["tasks", "show", "story"]).ok().stdout;
    let mut rest = shown.as_str();
    for word in [
        "story  SUCCEEDED",
        "result: 7",
        "TASK_ACCEPTED",
        "AGENT_CHOSEN",
        "chosen: Echo by",
        "why: ",
        "STEP_ASSIGNED",
        "STEP_SUCCEEDED",
        "chosen: DONE",
        "TASK_ENDED",
    ] {
        let at = rest.find(word).unwrap_or_else(|| panic!("{word:?} is not in its place in {shown}"));
        rest = &rest[at..];
    }
    let told = scratch.baton(&["tasks", "show", "story", "--format", "json"]).ok().json();
    assert_eq!((told["state"].as_str(), items(&told, "decisions").len()), (Some("SUCCEEDED"), 2));
    let numbers: Vec<_> = items(&told, "facts").iter().map(|fact| fact["number"].as_u64()).collect();
    assert_eq!(numbers, (1..=6).map(Some).collect::<Vec<_>>());
    assert_eq!(told["completion"]["result"], "7");
    let unknown = scratch.baton(&["tasks", "show", "nobody-knows"]).code(1);
    assert!(unknown.stderr.contains("nobody-knows") && unknown.stderr.contains("baton dlq list"), "{}", unknown.stderr);
    assert!(scratch.baton(&["tasks", "show", "a b"]).code(2).stderr.contains("task id"));
}

#[test]
fn dead_letters_can_be_listed_and_looked_at() {
    let Office { scratch, .. } = office();
    let sender = Sender::new(scratch.stack, Partitioner::Default);
    let tasks = scratch.topic("tasks");
    sender.send_all([
        Send::to(&tasks)
            .key("dead-1")
            .json(&json!({ "taskId": "dead-1", "objective": "o", "colour": 1 }))
            .header("mine", "kept"),
        Send::to(&tasks).key("dead-2").bytes(b"\xff\xfe"),
    ]);
    let list = |args: &[&str]| scratch.baton(&[&["dlq", "list", "--format", "json"], args].concat()).ok().json();
    let find =
        |listed: &Value, key: &str| listed.as_array().into_iter().flatten().find(|row| row["key"] == key).cloned();
    let row = until("both are listed", SOON, || {
        let listed = list(&[]);
        let both = find(&listed, "dead-1").filter(|_| find(&listed, "dead-2").is_some());
        both.ok_or_else(|| listed.to_string())
    });
    assert_eq!((row["topic"].as_str(), row["reason"].as_str()), (Some(&*tasks), Some("INVALID")));
    assert!(row["detail"].as_str().is_some_and(|why| why.contains("colour")), "{row:#}");
    let invalid = list(&["--topic", "tasks", "--reason", "undecodable", "--since", "1h"]);
    assert!(find(&invalid, "dead-2").is_some() && find(&invalid, "dead-1").is_none(), "{invalid:#}");
    assert!(scratch.baton(&["dlq", "list", "--reason", "WHATEVER"]).code(2).stderr.contains("INVALID"));
    let (partition, offset) = (row["partition"].to_string(), row["offset"].to_string());
    let shown = scratch.baton(&["dlq", "show", "tasks", &partition, &offset]).ok().json();
    assert_eq!((shown["value"]["colour"].as_i64(), shown["headers"]["mine"].as_str()), (Some(1), Some("kept")));
    assert_eq!(shown["headers"]["baton.reason"], "INVALID");
    assert!(shown["valueBase64"].as_str().is_some_and(|bytes| !bytes.is_empty()));
    scratch.baton(&["dlq", "show", "tasks", "0", "999999"]).code(1);
}

#[test]
fn topics_are_listed_and_read_as_json_lines() {
    let Office { scratch, .. } = office();
    scratch.baton(&["submit", "say it", "--id", "tailed", "--input", "9", "--agents", "Echo", "--wait"]).ok();
    let listed = scratch.baton(&["topics", "list", "--format", "json"]).ok().json();
    let names = texts(listed.as_array().into_iter().flatten(), "topic");
    for name in ["tasks", "completions", "tasks.dlq", "assignments.echo"] {
        assert!(names.contains(&scratch.topic(name)), "{name} is not in {names:?}");
    }
    let lines = |args: &[&str]| -> Vec<Value> {
        let out = scratch.baton(&[&["topics", "tail"], args].concat()).ok().stdout;
        out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    };
    let tailed = lines(&["completions", "--from-beginning", "--key", "tailed"]);
    let [one] = &tailed[..] else { panic!("{tailed:#?}") };
    assert_eq!(
        (one["value"]["result"].as_str(), one["headers"]["ce_type"].as_str()),
        (Some("9"), Some("io.baton.v1.Completion"))
    );
    assert_eq!(lines(&["task-events", "-n", "2"]).len(), 2);
    assert!(!lines(&[&scratch.topic("routing-decisions")]).is_empty(), "by its whole name too");
    let unknown = scratch.baton(&["topics", "tail", "nothing"]).code(1);
    assert!(unknown.stderr.contains("nothing"), "{}", unknown.stderr);
}

#[test]
fn the_configuration_in_force_is_printed_without_its_secrets() {
    let scratch = Scratch::new("print");
    let toml = "[kafka.client]\n\"sasl.password\" = \"s3cret\"\n[registry]\nuser = \"me\"\npassword = \"s3cret\"\n[workflow]\nmax_hops = 7";
    let printed = scratch.baton_with(toml, &["config", "print"], b"").ok().stdout;
    let parsed: toml::Table = printed.parse().expect("it is TOML");
    assert_eq!(parsed["workflow"]["max_hops"].as_integer(), Some(7));
    assert_eq!(parsed["kafka"]["prefix"].as_str(), Some(&*scratch.prefix));
    assert!(!printed.contains("s3cret"), "{printed}");
    let set = scratch.baton(&["config", "print", "--format", "json", "--set", "workflow.max_hops=3"]).ok().json();
    assert_eq!(set["workflow"]["max_hops"], 3);
    let script = scratch.baton(&["completions", "bash"]).ok().stdout;
    assert!(script.contains("baton"), "{script}");
}

#[test]
fn the_registry_away_in_flight_holds_what_needs_it_and_drops_nothing() {
    let (gate, url) = Gate::before(&super::super::support::stack().registry);
    let scratch = Scratch::new("registry-goes").with_registry(&url);
    scratch.apply().register_all(&[definition("Echo", "says it again")]);
    let worker = scratch.worker("w").start();
    let _agents = Agents::start(&scratch, vec![("Echo", works(Value::clone))]);
    eligible(&worker, 1);
    let tasks = scratch.topic("tasks");
    // Known to the registry, and to no worker yet: a writer's schema of a later version, and a contract's name.
    let schema = r#"{"type":"record","name":"TaskSubmitted","namespace":"io.baton.v1","fields":[
        {"name":"objective","type":"string"},{"name":"taskId","type":"string"},{"name":"input","type":["null","string"],"default":null},
        {"name":"agents","type":{"type":"array","items":"string"},"default":[]}]}"#;
    register_schema(scratch.stack, &format!("{}.newer-value", scratch.prefix), schema);
    let newer = json!({ "taskId": "newer", "objective": "o", "input": "1", "agents": ["Echo"] });
    let newer = encode(scratch.stack, &format!("{}.newer-value", scratch.prefix), &newer);
    let plain = |id: &str| json!({ "taskId": id, "objective": "o", "input": 2, "agents": ["Echo"] });
    let mut named = plain("named");
    named["inputContract"] = json!("a-name-of-its-own");
    let sender = Sender::new(scratch.stack, Partitioner::Murmur2);
    let by_key = |id: &str, task: &Value| Send::to(&tasks).key(id).json(task);
    gate.shut();
    let held = sender.send(Send::to(&tasks).key("newer").bytes(newer)).0;
    let also = sender.send(by_key("named", &named)).0;
    until("it says what it waits for", SOON, || match get(&worker.url("/readyz")) {
        Ok((503, body)) if body.contains("registry") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    // What follows on the same partitions waits in its order; others go on.
    let ids: Vec<String> = (0..12).map(|n| format!("follows-{n}")).collect();
    let places = sender.send_all(ids.iter().map(|id| by_key(id, &plain(id))));
    let waits = |place: &(i32, i64)| place.0 == held || place.0 == also;
    let mut told = Told::of(&scratch);
    for (id, _) in ids.iter().zip(&places).filter(|(_, place)| !waits(place)) {
        told.ended(id, "SUCCEEDED", "completed");
    }
    assert!(places.iter().any(waits), "none of twelve on either partition: this test shows nothing");
    for id in
        ids.iter().zip(&places).filter(|(_, place)| waits(place)).map(|(id, _)| id.as_str()).chain(["newer", "named"])
    {
        assert!(told.completions(id).is_empty(), "{id} waits");
    }
    gate.open();
    for id in ids.iter().map(String::as_str).chain(["newer", "named"]) {
        told.ended(id, "SUCCEEDED", "completed");
    }
    let dead = Topic::open(scratch.stack, &format!("{tasks}.dlq")).settle().len();
    assert_eq!(dead, 0, "nothing is a dead letter because the registry was away");
    assert_eq!(get(&worker.url("/readyz")).map(|(status, _)| status), Ok(200));
}
