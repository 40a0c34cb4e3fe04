//! A timer fired twice, before and after a restore, changes nothing the second time.

use super::super::support::{Topic, heavy};
use super::audit::audit;
use super::{SOON, by_contract, corner, register, submit, task};
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[test]
fn deadlines_that_pass_around_a_kill_end_each_task_once() {
    const TASKS: usize = 120;
    let _turn = heavy();
    let scratch = corner("timers", 2);
    // Nobody works: every task waits for its end.
    register(&scratch, &[by_contract("Sleeper", "lead", "mail")]);
    let mut worker = scratch.worker("a").start();
    // One every 50 ms, so that there is always one due when the worker dies.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let tasks: Vec<_> = (0..TASKS)
        .map(|number| {
            let mut task = task(&format!("t-{number}"), "lead");
            let due =
                now + Duration::from_secs(5) + Duration::from_millis(50) * u32::try_from(number).expect("it is small");
            task["deadline"] = json!(u64::try_from(due.as_millis()).expect("it fits"));
            task
        })
        .collect();
    submit(&scratch, &tasks);
    let mut completions = Topic::open(scratch.stack, &scratch.topic("completions"));
    for seen in [1, TASKS / 3, TASKS * 2 / 3] {
        completions.count(seen, SOON);
        worker.kill9();
        worker = scratch.worker("a").start();
    }
    completions.count(TASKS, SOON);
    let found = audit(&scratch, &["sleeper"]);
    assert_eq!(found.completions.len(), TASKS);
    for completion in found.completions.values() {
        assert_eq!((completion.text("outcome"), completion.text("reason")), ("EXPIRED", "deadline"));
    }
}
