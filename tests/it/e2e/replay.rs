//! Dead letters go back to where they came from, each once, whatever interrupts that.

use super::super::support::agents::{Agents, definition, works};
use super::super::support::{Partitioner, Record, Scratch, Send, Sender, Topic, read_all, until};
use super::*;

/// `baton dlq replay ARGS` as JSON: the fate of each letter by its key.
#[track_caller]
fn replay(scratch: &Scratch, args: &[&str]) -> Vec<(String, String)> {
    let ran = scratch.baton(&[&["dlq", "replay", "--format", "json"], args].concat()).ok();
    let fate = |row: &Value| {
        let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
        (text("key"), text("fate"))
    };
    ran.json().as_array().expect("a list").iter().map(fate).collect()
}

/// So many letters as a worker writes them, of tasks `r-0`, `r-1`, ….
fn letters(scratch: &Scratch, count: usize) {
    let topic = scratch.topic("tasks.dlq");
    let letter = |number: usize| {
        let task = json!({ "taskId": format!("r-{number}"), "objective": "say it" });
        Send::to(&topic).key(format!("r-{number}")).json(&task).header("baton.reason", "INTERNAL")
    };
    Sender::new(scratch.stack, Partitioner::Murmur2).send_all((0..count).map(letter));
}

fn keys(records: &[Record]) -> Vec<String> {
    let mut keys: Vec<String> = records.iter().filter_map(|record| record.key.clone()).collect();
    keys.sort();
    keys
}

#[test]
fn what_was_wrong_is_mended_and_the_letters_are_replayed_as_the_tasks_they_were() {
    let scratch = Scratch::new("replay");
    scratch.apply().register(&[definition("Echo", "says it again")]);
    let agents = Agents::start(&scratch, vec![("Echo", works(Value::clone))]);
    let small = scratch.worker("small").toml("[workflow]\npayload_bytes = \"1KiB\"").start();
    let (tasks, large) = (scratch.topic("tasks"), "x".repeat(2_000));
    let sender = Sender::new(scratch.stack, Partitioner::Default);
    let first = sender.send_all([
        Send::to(&tasks).key("named").json(&json!({ "taskId": "named", "objective": "o", "input": large })),
        Send::to(&tasks).json(&json!({ "objective": "o", "input": large })).header("mine", "kept"),
        Send::to(&tasks).key("hopeless").json(&json!({ "taskId": "hopeless", "objective": "o", "colour": 1 })),
    ]);
    // The id that a task without id and key was refused under.
    let made = format!("{tasks}-{}-{}", first[1].0, first[1].1);
    let mut dlq = Topic::open(scratch.stack, &scratch.topic("tasks.dlq"));
    dlq.count(3, SOON);
    let mut told = Told::of(&scratch);
    told.ended(&made, "REJECTED", "too_large");
    small.interrupt();
    let worker = scratch.worker("large").start();
    eligible(&worker, 1);

    let mut planned = replay(&scratch, &["--reason", "too_large", "--dry-run"]);
    planned.sort();
    assert_eq!(planned, ["", "named"].map(|key| (key.to_owned(), "to be replayed".to_owned())));
    assert_eq!(read_all(scratch.stack, &tasks).len(), with_forwarded(&scratch, 3), "a dry run writes nothing");
    let done = replay(&scratch, &["--topic", "tasks", "--reason", "TOO_LARGE"]);
    assert!(done.len() == 2 && done.iter().all(|(_, fate)| fate == "replayed"), "{done:?}");
    for task in ["named", &made] {
        let last = |records: &[Record]| of(records, task).last().map(|it| it.text("outcome").to_owned());
        told.completions.until("it succeeds", SOON, |records| last(records).as_deref() == Some("SUCCEEDED"));
    }
    let back = read_all(scratch.stack, &tasks);
    let back = back.iter().find(|it| it.header("baton.replays") == "1" && it.header("mine") == "kept");
    let back = back.expect("the record is there again with its own header");
    assert_eq!((back.key.as_deref(), back.header("baton.reason")), (Some(&*made), ""));
    assert!(!back.headers.keys().any(|name| name.starts_with("__streams") || name == "baton.arrived"), "{back:?}");

    let again = replay(&scratch, &["--reason", "TOO_LARGE"]);
    assert!(again.iter().all(|(_, fate)| fate == "left alone: replayed before"), "{again:?}");
    assert_eq!(told.completions(&made).len(), 2, "REJECTED and SUCCEEDED");
    let listed = scratch.baton(&["dlq", "list", "--format", "json"]).ok().json();
    let rows = listed.as_array().expect("a list");
    assert_eq!(rows.len(), 3, "marks are no letters: {listed:#}");
    assert_eq!(rows.iter().filter(|row| row["replayed"] == true).count(), 2);
    agents.stop();
}

/// Records that went home over another partition lie in the topic twice.
fn with_forwarded(scratch: &Scratch, sent: usize) -> usize {
    let all = read_all(scratch.stack, &scratch.topic("tasks"));
    sent + all.iter().filter(|record| !record.header("baton.arrived").is_empty()).count()
}

#[test]
fn what_is_refused_again_bears_its_count_until_it_is_left_alone() {
    let scratch = Scratch::new("hopeless");
    scratch.apply();
    let _worker = scratch.worker("w").start();
    let task = json!({ "taskId": "hopeless", "objective": "o", "colour": 1 });
    Sender::new(scratch.stack, Partitioner::Default)
        .send(Send::to(&scratch.topic("tasks")).key("hopeless").json(&task));
    let mut dlq = Topic::open(scratch.stack, &scratch.topic("tasks.dlq"));
    let letters = |records: &[Record]| records.iter().filter(|record| record.key.is_some()).count();
    for count in 1..=3 {
        let last = dlq.until("it is refused", SOON, |records| letters(records) == count);
        let last = last.iter().rfind(|record| record.key.is_some()).expect("there is one").clone();
        let replays = if count == 1 { String::new() } else { (count - 1).to_string() };
        assert_eq!((last.header("baton.replays"), last.header("baton.reason")), (&*replays, "INVALID"));
        let fates = replay(&scratch, &["--max-replays", "2"]);
        let (before, [(_, newest)]) = fates.split_at(count - 1) else { panic!("{count} letters: {fates:?}") };
        assert!(before.iter().all(|(_, fate)| fate == "left alone: replayed before"), "{fates:?}");
        let expected = if count < 3 { "replayed" } else { "left alone: replayed too often (--max-replays)" };
        assert_eq!(newest, expected);
    }
}

#[test]
fn many_are_not_replayed_without_being_asked() {
    let scratch = Scratch::new("many");
    scratch.apply();
    letters(&scratch, 11);
    let refused = scratch.baton(&["dlq", "replay"]).code(2);
    assert!(refused.stderr.contains("11 dead letters") && refused.stderr.contains("--yes"), "{}", refused.stderr);
    assert!(Topic::open(scratch.stack, &scratch.topic("tasks")).settle().is_empty());
    let began = std::time::Instant::now();
    let done = scratch.baton(&["dlq", "replay", "--yes", "--rate", "5/s"]).ok();
    assert!(began.elapsed() >= Duration::from_secs(2), "11 at 5 a second");
    assert!(done.stdout.contains("11 replayed"), "{}", done.stdout);
    assert_eq!(Topic::open(scratch.stack, &scratch.topic("tasks")).settle().len(), 11);
    let one = &read_all(scratch.stack, &scratch.topic("tasks.dlq"))[0];
    let place = ["--partition", &one.partition.to_string(), "--offset", &one.offset.to_string()].map(str::to_owned);
    let place: Vec<&str> = ["--topic", "tasks"].into_iter().chain(place.iter().map(String::as_str)).collect();
    assert_eq!(replay(&scratch, &place).len(), 1, "one place is one letter");
    scratch.baton(&["dlq", "replay", "--offset", "1"]).code(2);
}

#[test]
fn killed_at_any_moment_or_pushed_aside_nothing_is_replayed_twice_or_lost() {
    const COUNT: usize = 60;
    let scratch = Scratch::new("killed");
    scratch.apply();
    letters(&scratch, COUNT);
    let log = scratch.dir().join("replay.log");
    let slowly = &["dlq", "replay", "--yes", "--rate", "10/s"];
    let mut tasks = Topic::open(scratch.stack, &scratch.topic("tasks"));
    let mut killed = scratch.begin(slowly, &log);
    tasks.count(10, SOON);
    killed.kill();
    let before = tasks.settle().len();
    assert!(before < COUNT, "it was killed on the way");
    // The next one is pushed aside by a third, which ends the work.
    let mut pushed = scratch.begin(slowly, &log);
    tasks.count(before + 10, SOON);
    let done = scratch.baton(&["dlq", "replay", "--yes"]).ok();
    let ended = pushed.wait(SOON).expect("it notices that another one replays");
    let said = std::fs::read_to_string(&log).expect("it has a log");
    assert_eq!(ended.code(), Some(1), "{said}");
    assert!(said.contains("does another replay run?"), "{said}");
    assert!(done.stdout.contains("left alone: replayed before"), "{}", done.stdout);
    let expected: Vec<String> = keys(&read_all(scratch.stack, &scratch.topic("tasks.dlq")));
    assert_eq!(expected.len(), COUNT);
    until("all are replayed once", SOON, || {
        let seen = keys(tasks.settle());
        if seen == expected { Ok(()) } else { Err(format!("{} of {COUNT}", seen.len())) }
    });
    assert!(scratch.baton(&["dlq", "replay", "--yes"]).ok().stdout.starts_with("0 replayed"));
    assert_eq!(tasks.settle().len(), COUNT);
}
