//! Processes are killed again and again, and one is frozen until another has its work, while records stream in: every
//! record becomes one task, none becomes two.

use super::super::support::{Scratch, Send, Topic, heavy, until};
use super::{SOON, create, sender};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const RECORDS: usize = 6_000;
const ROUND: usize = 500;
const KILLS: usize = 6;

#[test]
fn each_record_is_one_task_however_often_processes_are_killed_or_frozen() {
    let _turn = heavy();
    let scratch = Scratch::new("killed");
    scratch.apply();
    let topic = create(&scratch, "stream", 3, &[]);
    let toml = format!("[[sources]]\ntopic = {topic:?}\nname = \"stream\"\nobjective = \"Do {{/n}}\"\n");
    let mut workers: Vec<_> = ["a", "b"].map(|slot| scratch.worker(slot).toml(&toml).spawn()).into();
    let sender = sender(&scratch);
    let mut tasks = Topic::open(scratch.stack, &scratch.topic("tasks"));
    let (mut kills, mut at_work, started) = (0, 0, Instant::now());
    for round in 0..RECORDS / ROUND {
        let numbers = round * ROUND..(round + 1) * ROUND;
        sender.send_all(numbers.map(|n| {
            let partition = i32::try_from(n % 3).expect("it is small");
            Send::to(&topic).partition(partition).json(&json!({ "n": n }))
        }));
        if kills == KILLS {
            // In the midst of what was just sent; the other takes over once its session is over.
            workers[0].freeze();
            continue;
        }
        // Some of what was just sent has become tasks: the blow falls in the midst of it.
        let before = tasks.records().len();
        tasks.until("tasks are made", SOON, |records| records.len() > before);
        let sent = (round + 1) * ROUND;
        at_work += usize::from(tasks.records().len() < sent);
        workers[kills % 2].kill9();
        kills += 1;
        std::thread::sleep(Duration::from_millis(37 * u64::try_from(kills).expect("it is small")));
        workers[(kills - 1) % 2] = scratch.worker(["a", "b"][(kills - 1) % 2]).toml(&toml).spawn();
    }
    tasks.count(RECORDS, Duration::from_secs(60));
    let heard = |log: &str| log.matches("partitions assigned transactional_id").count();
    let before = heard(&workers[0].log());
    workers[0].thaw();
    until("the frozen one is back in the group", SOON, || match heard(&workers[0].log()) {
        times if times > before => Ok(()),
        times => Err(times.to_string()),
    });
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    let all = tasks.settle();
    for task in all {
        *times.entry(task.text("taskId")).or_default() += 1;
    }
    let doubled: Vec<_> = times.iter().filter(|(_, count)| **count > 1).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
    assert_eq!((times.len(), kills), (RECORDS, KILLS));
    let expected = |n: usize| format!("{topic}-{}-{}", n % 3, n / 3).replace(&topic, "stream");
    assert!((0..RECORDS).all(|n| times.contains_key(expected(n).as_str())), "ids are the records' places");
    until("dead letters are read", SOON, || {
        let dead = Topic::open(scratch.stack, &scratch.topic("sources.dlq")).settle().len();
        if dead == 0 { Ok(()) } else { Err(format!("{dead} dead letters")) }
    });
    eprintln!(
        "kills: {RECORDS} records in {:.1?}, {kills} kills, {at_work} of them with records read and not yet made tasks",
        started.elapsed()
    );
}
