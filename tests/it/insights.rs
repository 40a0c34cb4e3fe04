//! What becomes of agents that fail, die and come back: their circuit breakers on every worker, their statistics, and
//! that each outcome counts once.

use super::support::agents::{Agents, Behaviour, Say, definition};
use super::support::{Partitioner, Record, Scratch, Send, Sender, Topic, Worker, heavy, read_all, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What should take a moment, on a machine that is busy.
const SOON: Duration = Duration::from_secs(60);
/// From the commit of the outcome that opens it until a breaker is open on every worker, in milliseconds.
const EVERYWHERE: i64 = 2_000;

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(now.as_millis()).expect("it is not the far future")
}

/// One of several agents of the same capability and the same words.
fn summer(name: &str) -> Value {
    let mut definition = definition(name, "adds numbers");
    definition["capabilities"] = json!(["sum"]);
    definition
}

/// Does what it is asked while the switch is on, and fails else.
fn while_on(works: &Arc<AtomicBool>) -> Behaviour {
    let works = Arc::clone(works);
    Box::new(move |_| {
        let says = if works.load(Ordering::Relaxed) {
            Say::succeeded(json!(3))
        } else {
            Say::failed("TRANSIENT", "out of order")
        };
        vec![says]
    })
}

fn submit(scratch: &Scratch, tasks: &[Value]) {
    let topic = scratch.topic("tasks");
    let record = |task: &Value| Send::to(&topic).key(task["taskId"].as_str().expect("it has an id")).json(task);
    Sender::new(scratch.stack, Partitioner::Default).send_all(tasks.iter().map(record));
}

/// A task of one step that any agent who can add may do.
fn task(id: &str) -> Value {
    let step = json!({ "stepId": "s", "objective": "add", "capability": "sum" });
    json!({ "taskId": id, "type": "addition", "objective": "add", "plan": [step] })
}

/// What an agent's work came to does not count, so that of agents with the same words the first by name is chosen.
const BY_NAME: &str = "[routing]\nexploration = 0\n[routing.weights]\nfit = 0\nsuccess = 0\nlatency = 0\nquality = 0\n\
                       specialization = 0\ncapacity = 0\ncost = 0\n";

fn breaker_of(agent: &str) -> String {
    format!("baton_agent_breaker{{agent={agent:?}}}")
}

/// Waits until all workers say that the agent's breaker is there: 0 closed, 1 half open, 2 open.
#[track_caller]
fn breaker(workers: &[&Worker], agent: &str, phase: f64) {
    until(&format!("the breaker of {agent} is {phase} on all workers"), SOON, || {
        let seen: Vec<f64> = workers.iter().map(|worker| worker.metric(&breaker_of(agent))).collect();
        if seen.iter().all(|one| *one == phase) { Ok(()) } else { Err(format!("{seen:?}")) }
    });
}

#[track_caller]
fn eligible(workers: &[&Worker], count: u32) {
    for worker in workers {
        until(&format!("{count} agents may be chosen"), SOON, || match worker.metric("baton_agents_eligible") {
            seen if seen == f64::from(count) => Ok(()),
            seen => Err(seen.to_string()),
        });
    }
}

/// How `baton agents show` has an agent.
fn shown(scratch: &Scratch, agent: &str) -> Value {
    scratch.baton(&["agents", "show", agent, "--format", "json"]).ok().json()[0].take()
}

/// Why a decision left an agent out.
fn excluded(decision: &Value, agent: &str) -> String {
    let candidates = decision["candidates"].as_array().expect("candidates are a list");
    let of = candidates.iter().find(|one| one["agentName"] == agent).expect("the agent is a candidate");
    of["excluded"].as_str().unwrap_or_default().to_owned()
}

/// Signs of life of one instance, until told otherwise.
struct Heart {
    beats: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Heart {
    fn of(scratch: &Scratch, agent: &'static str) -> Self {
        let (beats, ended) = (Arc::new(AtomicBool::new(true)), Arc::<AtomicBool>::default());
        let (topic, sender) = (scratch.topic("heartbeats"), Sender::new(scratch.stack, Partitioner::Default));
        let (on, over) = (Arc::clone(&beats), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                if on.load(Ordering::Relaxed) {
                    let beat = json!({ "agentName": agent, "instance": "one", "version": "1.0.0", "capacity": 100 });
                    sender.send(Send::to(&topic).key(agent).json(&beat));
                }
                std::thread::sleep(Duration::from_millis(300));
            }
        });
        Self { beats, ended, thread: Some(thread) }
    }

    fn beat(&self, on: bool) {
        self.beats.store(on, Ordering::Relaxed);
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The last record of each agent in `agent-health`.
pub(crate) fn health(scratch: &Scratch) -> BTreeMap<String, Value> {
    let records = read_all(scratch.stack, &scratch.topic("agent-health"));
    records.into_iter().map(|record| (record.key.clone().unwrap_or_default(), record.value)).collect()
}

/// Outcomes by agent and class, counted from the topic itself.
pub(crate) fn outcomes(scratch: &Scratch) -> BTreeMap<String, BTreeMap<String, i64>> {
    let mut counted: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
    for record in read_all(scratch.stack, &scratch.topic("agent-outcomes")) {
        let of_agent = counted.entry(record.key.clone().unwrap_or_default()).or_default();
        *of_agent.entry(record.text("outcome").to_owned()).or_default() += 1;
    }
    counted
}

/// Waits until the statistics have counted each outcome, and none twice.
#[track_caller]
pub(crate) fn all_counted(scratch: &Scratch) {
    let wanted = outcomes(scratch);
    assert!(!wanted.is_empty(), "there are outcomes");
    until("each outcome is counted once", SOON, || {
        let health = health(scratch);
        let counts = |agent: &String| health.get(agent).map(|health| health["overall"]["counts"].clone());
        let other = wanted.iter().find(|(agent, classes)| counts(agent) != Some(json!(classes)));
        other.map_or(Ok(()), |(agent, classes)| Err(format!("{agent}: {:?}, not {classes:?}", counts(agent))))
    });
}

/// Waits that a test can sit out; the breaker's first one as given.
fn quick(breaker_wait: &str) -> String {
    format!(
        "[insights]\npublish_every = \"200ms\"\nstale_after = \"1500ms\"\nbreaker_wait = {breaker_wait:?}\n\
         [worker]\nheartbeat_timeout = \"3s\"\n[workflow]\naccept_timeout = \"4s\"\n"
    )
}

#[test]
fn an_open_breaker_is_open_everywhere_at_once_survives_a_restart_and_who_waits_goes_on_when_it_closes() {
    let _turn = heavy();
    let scratch = Scratch::new("breaker");
    scratch.apply().register_all(&[summer("Only")]);
    let start = |slot| scratch.worker(slot).toml(&quick("8s")).spawn();
    let mut workers = ["a", "b"].map(start);
    workers.iter_mut().for_each(|worker| worker.ready(SOON));
    let works = Arc::<AtomicBool>::default();
    let _agents = Agents::start(&scratch, vec![("Only", while_on(&works))]);
    let both = || workers.iter().collect::<Vec<_>>();
    eligible(&both(), 1);
    let mut outcomes = Topic::open(scratch.stack, &scratch.topic("agent-outcomes"));
    let mut completions = Topic::open(scratch.stack, &scratch.topic("completions"));
    let mut decisions = Topic::open(scratch.stack, &scratch.topic("routing-decisions"));

    for number in 0..6 {
        let id = format!("fails-{number}");
        submit(&scratch, &[task(&id)]);
        let completion = completions.find(&id, SOON, |record| record.text("taskId") == id);
        assert_eq!(completion.text("outcome"), "FAILED");
        if number < 5 {
            assert_eq!(workers[0].metric(&breaker_of("only")), 0.0, "{} failures are not enough", number + 1);
        }
    }
    breaker(&both(), "only", 2.0);
    let seen = now();
    let last: Record = outcomes.count(6, SOON)[5].clone();
    let took = seen - outcomes.records().iter().filter_map(|one| one.value["at"].as_i64()).max().unwrap_or_default();
    eprintln!("breaker: open on both workers {took} ms after the outcome was decided");
    assert!(took < EVERYWHERE, "it took {took} ms");
    assert_eq!(
        (last.key.as_deref(), last.text("outcome"), last.text("capability")),
        (Some("only"), "TRANSIENT", "sum")
    );

    let waiting: Vec<Value> = (0..5).map(|number| task(&format!("waits-{number}"))).collect();
    submit(&scratch, &waiting);
    for task in &waiting {
        let decision = decisions.find("a decision", SOON, |one| one.value["taskId"] == task["taskId"]).value;
        assert_eq!(decision["choice"], "NONE", "{decision:#}");
        let why = excluded(&decision, "Only");
        assert!(why.starts_with("its circuit breaker is open: 6 failures in a row, last TRANSIENT"), "{why}");
        assert!(decision["reason"].as_str().is_some_and(|reason| reason.contains("circuit breaker")), "{decision:#}");
    }
    let shown = shown(&scratch, "Only");
    assert_eq!((&shown["state"], &shown["breaker"]), (&json!("UNHEALTHY"), &json!("OPEN")), "{shown:#}");
    let until_then = shown["health"]["breakerDetail"]["until"].as_i64().expect("it says until when");

    // Whoever starts anew finds it open, and half open when it is due and not sooner.
    workers.iter_mut().for_each(Worker::kill9);
    works.store(true, Ordering::Relaxed);
    let mut workers = ["a", "b"].map(start);
    workers.iter_mut().for_each(|worker| worker.ready(SOON));
    let both: Vec<&Worker> = workers.iter().collect();
    if now() < until_then - 500 {
        breaker(&both, "only", 2.0);
    }
    for task in &waiting {
        let done = completions.find("who waited goes on", SOON, |record| record.value["taskId"] == task["taskId"]);
        assert_eq!(done.text("outcome"), "SUCCEEDED", "{:#}", done.value);
        let completed = done.value["completedAt"].as_i64().unwrap_or_default();
        assert!(completed >= until_then, "done {} ms before the breaker was half open", until_then - completed);
    }
    breaker(&both, "only", 0.0);
    all_counted(&scratch);
}

#[test]
fn of_five_agents_one_fails_one_is_slow_one_dies_and_all_work_is_done() {
    let _turn = heavy();
    let scratch = Scratch::new("five-agents");
    let mut slow = summer("C slow");
    slow["maxConcurrency"] = json!(2);
    scratch.apply().register_all(&[summer("A fails"), summer("B dies"), slow, summer("D"), summer("E")]);
    let retries = "[workflow.retry.transient]\nattempts = 5\nbackoff = \"50ms\"\n\
                   [workflow.retry.timeout]\nattempts = 5\nbackoff = \"50ms\"\n";
    let mut workers =
        ["a", "b"].map(|slot| scratch.worker(slot).toml(&quick("6s")).toml(retries).toml(BY_NAME).spawn());
    workers.iter_mut().for_each(|worker| worker.ready(SOON));
    let both: Vec<&Worker> = workers.iter().collect();
    let (works, lives) = (Arc::<AtomicBool>::default(), Arc::new(AtomicBool::new(true)));
    let alive = Arc::clone(&lives);
    let dies: Behaviour =
        Box::new(move |_| if alive.load(Ordering::Relaxed) { vec![Say::succeeded(json!(3))] } else { vec![] });
    let after = |wait| -> Behaviour { Box::new(move |_| vec![Say::succeeded(json!(3)).after(wait)]) };
    let agents = Agents::start(
        &scratch,
        vec![
            ("A fails", while_on(&works)),
            ("B dies", dies),
            ("C slow", after(Duration::from_millis(1_500))),
            ("D", after(Duration::ZERO)),
            ("E", after(Duration::ZERO)),
        ],
    );
    let heart = Heart::of(&scratch, "B dies");
    eligible(&both, 5);
    let mut completions = Topic::open(scratch.stack, &scratch.topic("completions"));
    let mut decisions = Topic::open(scratch.stack, &scratch.topic("routing-decisions"));
    let mut sent = 0;
    let mut some = |count: usize| -> Vec<String> {
        let ids: Vec<String> = (sent..sent + count).map(|number| format!("sum-{number}")).collect();
        sent += count;
        submit(&scratch, &ids.iter().map(|id| task(id)).collect::<Vec<_>>());
        ids
    };

    // Nobody is better than another, so the first by name has it all until its breaker opens.
    some(30);
    breaker(&both, "a-fails", 2.0);
    let id = some(1).remove(0);
    let decision = decisions.find(&id, SOON, |one| one.text("taskId") == id).value;
    let why = excluded(&decision, "A fails");
    assert!(why.starts_with("its circuit breaker is open: "), "{why}");
    assert_eq!(decision["chosen"], "B dies", "others have its work: {decision:#}");
    let failing = shown(&scratch, "A fails");
    assert_eq!((&failing["state"], &failing["breaker"]), (&json!("UNHEALTHY"), &json!("OPEN")), "{failing:#}");
    let text = scratch.baton(&["agents", "show", "A fails"]).ok().stdout;
    assert!(text.contains("UNHEALTHY since") && text.contains("breaker OPEN since"), "{text}");

    // It is mended: probed by one partition after the other, and then it is given work again.
    works.store(true, Ordering::Relaxed);
    until("the breaker of a-fails is closed on all workers", SOON, || {
        some(2);
        std::thread::sleep(Duration::from_millis(200));
        let seen: Vec<f64> = both.iter().map(|worker| worker.metric(&breaker_of("a-fails"))).collect();
        if seen == [0.0, 0.0] { Ok(()) } else { Err(format!("{seen:?}")) }
    });
    let id = some(1).remove(0);
    let decision = decisions.find(&id, SOON, |one| one.text("taskId") == id).value;
    assert_eq!(decision["chosen"], "A fails", "{decision:#}");

    // Another dies: its heartbeats stop, and so does its word on what it has.
    lives.store(false, Ordering::Relaxed);
    heart.beat(false);
    works.store(false, Ordering::Relaxed);
    until("B dies is absent", SOON, || {
        some(2);
        match shown(&scratch, "B dies") {
            shown if shown["state"] == "ABSENT" => Ok(()),
            shown => Err(shown["reason"].to_string()),
        }
    });
    // Each worker looks once a second who is gone.
    until("B dies is left out", SOON, || {
        let id = some(1).remove(0);
        let decision = decisions.find(&id, SOON, |one| one.text("taskId") == id).value;
        match excluded(&decision, "B dies") {
            why if why == "its heartbeats have stopped" => Ok(()),
            why => Err(why),
        }
    });
    lives.store(true, Ordering::Relaxed);
    heart.beat(true);
    until("B dies is back", SOON, || match shown(&scratch, "B dies") {
        shown if shown["state"] == "ABSENT" => Err(shown["reason"].to_string()),
        shown if shown["health"]["instances"][0]["standing"] == "FRESH" => Ok(()),
        shown => Err(shown["health"]["instances"].to_string()),
    });

    // Whatever they did, all work is done; and it is told how each of them does.
    for number in 0..sent {
        let id = format!("sum-{number}");
        let done = completions.find(&id, SOON, |record| record.text("taskId") == id);
        assert_eq!(done.text("outcome"), "SUCCEEDED", "{:#}", done.value);
    }
    agents.stop();
    all_counted(&scratch);
    let slow = shown(&scratch, "C slow");
    if let Some(p50) = slow["p50Ms"].as_f64() {
        assert!((1_400.0..6_000.0).contains(&p50), "{slow:#}");
    }
    let listed = scratch.baton(&["agents", "list", "--format", "json"]).ok().json();
    for row in listed.as_array().expect("a list").iter().filter(|row| !row["state"].is_null()) {
        assert!(row["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{row:#}");
        assert!(["HEALTHY", "DEGRADED", "UNHEALTHY", "ABSENT"].contains(&row["state"].as_str().unwrap_or_default()));
    }
    let kinds = &health(&scratch)["a-fails"]["taskTypes"]["addition"]["counts"];
    assert!(kinds["TRANSIENT"].as_i64().is_some_and(|failures| failures >= 6), "{kinds:#}");
}

#[test]
fn work_goes_to_those_who_do_it_well_and_none_of_it_is_lost_to_one_who_fails_half_of_it() {
    let _turn = heavy();
    let scratch = Scratch::new("track-record");
    let names = ["A half", "B", "C", "D", "E"];
    scratch.apply().register_all(&names.map(summer));
    let retries = "[workflow.retry.transient]\nattempts = 5\nbackoff = \"50ms\"\n";
    let mut worker = scratch.worker("a").toml(&quick("6s")).toml(retries).spawn();
    worker.ready(SOON);
    let turns = std::sync::atomic::AtomicUsize::new(0);
    let half: Behaviour = Box::new(move |_| {
        let fails = turns.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        vec![if fails { Say::failed("TRANSIENT", "not today") } else { Say::succeeded(json!(3)) }]
    });
    let well = || -> Behaviour { Box::new(|_| vec![Say::succeeded(json!(3))]) };
    let agents =
        Agents::start(&scratch, vec![("A half", half), ("B", well()), ("C", well()), ("D", well()), ("E", well())]);
    eligible(&[&worker], 5);
    let mut decisions = Topic::open(scratch.stack, &scratch.topic("routing-decisions"));
    let mut completions = Topic::open(scratch.stack, &scratch.topic("completions"));
    // In waves, each of which goes by what came of those before.
    let mut first = Vec::new();
    for wave in 0..30 {
        let ids: Vec<String> = (0..10).map(|number| format!("wave-{wave}-{number}")).collect();
        submit(&scratch, &ids.iter().map(|id| task(id)).collect::<Vec<_>>());
        for id in ids {
            let done = completions.find(&id, SOON, |record| record.text("taskId") == id);
            assert_eq!(done.text("outcome"), "SUCCEEDED", "{:#}", done.value);
            first.push(decisions.find(&id, SOON, |one| one.text("taskId") == id).value);
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    let to_half = |some: &[Value]| some.iter().filter(|decision| decision["chosen"] == "A half").count();
    let (early, late) = (to_half(&first[..50]), to_half(&first[200..]));
    assert!(early >= 3 && late <= 8, "of 50 it had {early}, of the last 100 {late}");
    let last = first.last().expect("there are 300");
    let success = |name: &str| {
        let candidates = last["candidates"].as_array().expect("a list");
        let of = candidates.iter().find(|one| one["agentName"] == name).expect("it is a candidate");
        of["factors"]["success"].as_f64()
    };
    // Left out by its breaker it has no factors; else they say why it is not chosen.
    assert!(
        success("A half").is_none_or(|rate| rate < 0.75) && success("B").is_some_and(|rate| rate > 0.85),
        "{last:#}"
    );
    assert!(last["reason"].as_str().is_some_and(|reason| reason.contains("of its work succeeds")), "{last:#}");
    agents.stop();
}

#[test]
fn an_agent_that_is_slower_at_once_is_told_of_once_also_when_insights_is_killed_meanwhile_and_once_more_when_it_is_over()
 {
    let _turn = heavy();
    let scratch = Scratch::new("alerts");
    scratch.apply().register_all(&[summer("Only")]);
    let mut decides = scratch.worker("decides").roles("orchestrator").toml(&quick("8s")).spawn();
    let start = || scratch.worker("watches").roles("insights").toml(&quick("8s")).spawn();
    let mut watches = start();
    decides.ready(SOON);
    watches.ready(SOON);
    let slow = Arc::<AtomicBool>::default();
    let is_slow = Arc::clone(&slow);
    let _agents = Agents::start(
        &scratch,
        vec![(
            "Only",
            Box::new(move |_| {
                let wait = if is_slow.load(Ordering::Relaxed) { 4_000 } else { 200 };
                vec![Say::accepted(), Say::succeeded(json!(3)).after(Duration::from_millis(wait))]
            }),
        )],
    );
    eligible(&[&decides], 1);
    let mut completions = Topic::open(scratch.stack, &scratch.topic("completions"));
    let mut sent = 0;
    let mut ten = || {
        let ids: Vec<String> = (sent..sent + 10).map(|number| format!("sum-{number}")).collect();
        sent += 10;
        submit(&scratch, &ids.iter().map(|id| task(id)).collect::<Vec<_>>());
        for id in ids {
            let done = completions.find(&id, SOON, |record| record.text("taskId") == id);
            assert_eq!(done.text("outcome"), "SUCCEEDED", "{:#}", done.value);
        }
    };
    let unusual = "baton_anomalies{agent=\"only\",metric=\"LATENCY\"}";

    (0..10).for_each(|_| ten());
    assert_eq!(decides.metric(unusual), 0.0, "{:#}", shown(&scratch, "Only"));
    slow.store(true, Ordering::Relaxed);
    let mut slower = 0;
    until("the latency is unusual", SOON * 2, || {
        ten();
        slower += 10;
        if decides.metric(unusual) == 1.0 { Ok(()) } else { Err(format!("after {slower} outcomes")) }
    });
    assert!(slower <= 30, "it took {slower} outcomes");
    let text = scratch.baton(&["agents", "show", "Only"]).ok().stdout;
    assert!(text.contains("  unusual: LATENCY JUMP since ") && text.contains(" ms, usually "), "{text}");

    // Who goes on from what is in Kafka knows that it was told.
    watches.kill9();
    ten();
    let mut watches = start();
    watches.ready(SOON);
    ten();
    all_counted(&scratch);
    slow.store(false, Ordering::Relaxed);
    until("the latency is as usual", SOON * 2, || {
        ten();
        if decides.metric(unusual) == 0.0 {
            Ok(())
        } else {
            Err(format!("{:#}", shown(&scratch, "Only")["health"]["alerts"]))
        }
    });
    all_counted(&scratch);

    let alerts = read_all(scratch.stack, &scratch.topic("alerts"));
    let told: Vec<(&str, &str)> = alerts.iter().map(|alert| (alert.text("metric"), alert.text("state"))).collect();
    assert_eq!(told, [("LATENCY", "RAISED"), ("LATENCY", "ENDED")], "{alerts:#?}");
    let [raised, ended] = &alerts[..] else { panic!("two were told") };
    assert_eq!(raised.value["alertId"], ended.value["alertId"]);
    assert_eq!((raised.key.as_deref(), raised.text("agentName")), (Some("only"), "Only"));
    let number = |record: &Record, field: &str| record.value[field].as_f64().unwrap_or_default();
    assert!(number(raised, "value") > 1_000.0 && number(raised, "expected") < 1_000.0, "{:#}", raised.value);
    assert!(number(raised, "deviation") > number(raised, "threshold"), "{:#}", raised.value);
    assert!(number(ended, "observations") > number(raised, "observations") + 20.0, "{:#}", ended.value);
    assert!(ended.text("message").starts_with("latency is as usual again"), "{:#}", ended.value);
}
