//! Keys hashed by CRC32 reach home: whatever a client's partitioner, a task's records are judged where it lives; what is
//! not at home after having been sent there is a dead letter.

use super::super::support::agents::Agents;
use super::super::support::{Partitioner, Send, Sender, Topic, heavy};
use super::audit::audit;
use super::{SOON, by_contract, corner, echoes, register, submit, task};

#[test]
fn tasks_of_every_client_live_at_home() {
    let _turn = heavy();
    let scratch = corner("home", 6);
    register(&scratch, &[by_contract("Echo", "lead", "mail")]);
    let worker = scratch.worker("a").start();
    let agents = Agents::start(&scratch, vec![("Echo", echoes())]);
    let tasks: Vec<_> = (0..60).map(|n| task(&format!("t-{n}"), "lead")).collect();
    let arrived = submit(&scratch, &tasks);
    // Where a Java client would put the same keys.
    let probe = scratch.create("probe", 6, &[]);
    let keys = tasks.iter().map(|task| Send::to(&probe).key(task["taskId"].as_str().expect("it has an id")));
    let home = Sender::new(scratch.stack, Partitioner::Murmur2).send_all(keys);
    let away = arrived.iter().zip(&home).filter(|(arrived, home)| arrived.0 != home.0).count();
    assert!(away > 20, "only {away} keys differ");

    // One that says it was sent home, where it does not live.
    let topic = scratch.topic("tasks");
    let lost = Send::to(&topic).key("t-0").json(&task("t-0", "lead")).partition((home[0].0 + 1) % 6);
    let (partition, offset) =
        Sender::new(scratch.stack, Partitioner::Default).send(lost.header("baton.arrived", "3/17"));
    let mut completions = Topic::open(scratch.stack, &scratch.topic("completions"));
    completions.count(tasks.len(), SOON);
    let mut dead = Topic::open(scratch.stack, &scratch.topic("tasks.dlq"));
    let dead = dead.count(1, SOON)[0].clone();
    assert_eq!(dead.header("baton.reason"), "MISROUTED");
    assert_eq!(dead.header("__streams.errors.partition"), partition.to_string());
    assert_eq!(dead.header("__streams.errors.offset"), offset.to_string());
    agents.stop();

    let found = audit(&scratch, &["echo"]);
    assert_eq!((found.completions.len(), found.dead_letters.len()), (tasks.len(), 1));
    for (task, home) in tasks.iter().zip(&home) {
        let completion = &found.completions[task["taskId"].as_str().expect("it has an id")];
        assert_eq!((completion.partition, completion.text("outcome")), (home.0, "SUCCEEDED"));
    }
    let forwarded = worker.metric("baton_inputs_total{topic=\"tasks\",outcome=\"forwarded\"}");
    assert!(forwarded >= f64::from(u8::try_from(away).expect("it is small")), "{forwarded} of {away} forwarded");
}
