//! The simulation's Kafka is like the real one: one script of produce, abort, fence and rebalance, played on both, with
//! equal outcomes. What the simulation shows rests on this.

use super::super::support::{Partitioner, Send, Sender, until};
use super::SOON;
use super::fake::{Broker, FakeLog, Host, Seat};
use super::hand::{Hand, record};
use baton::worker::{Log, Offsets, Outcome, Outgoing, Rebalance, Record};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// More than either broker takes in one record.
const TOO_LARGE: usize = 2_000_000;
/// So long nothing comes where nothing should.
const QUIET: Duration = Duration::from_millis(700);

/// Where the script is played.
struct Stage<'a> {
    /// A worker of that slot.
    connect: &'a dyn Fn(&str) -> Box<dyn Log>,
    /// A record of an ordinary producer to partition 0 of the tasks, with that key.
    submit: &'a dyn Fn(&str),
    tasks: String,
    state: String,
}

#[test]
fn one_script_has_the_same_outcomes_on_the_fake_log_and_on_kafka() {
    let hand = Hand::new("fake-log", 2);
    let (tasks, state) = (hand.scratch.topic("tasks"), hand.state.clone());
    let sender = Sender::new(hand.scratch.stack, Partitioner::Default);
    let real = play(&Stage {
        connect: &|slot| Box::new(hand.connect(slot)),
        submit: &|key| {
            sender.send(Send::to(&tasks).partition(0).key(key).bytes("{}"));
        },
        tasks: tasks.clone(),
        state: state.clone(),
    });
    let inputs = ["tasks", "agent-status", "task-commands"].map(|name| hand.scratch.topic(name));
    let broker = Rc::new(RefCell::new(Broker::new(inputs, &state, 2, 6_000, 10_000, 1_000_000)));
    let host: Rc<dyn Host> = Rc::new(Quiet::default());
    let fake = play(&Stage {
        connect: &|slot| Box::new(FakeLog::connect(Rc::clone(&broker), Rc::clone(&host), 0, Seat::new(slot))),
        submit: &|key| {
            broker.borrow_mut().append(&record(&tasks, key, 2, 0), 0);
        },
        tasks: tasks.clone(),
        state,
    });
    assert_eq!(fake, real);
    assert!(real.len() > 20, "the script tells what it saw: {real:?}");
}

/// A host under which nothing goes wrong and everybody is alone.
#[derive(Default)]
struct Quiet(Cell<i64>);

impl Host for Quiet {
    fn now(&self) -> i64 {
        self.0.set(self.0.get() + 1);
        self.0.get()
    }
    fn reached(&self, _: usize, _: &'static str) {}
    fn pass(&self, _: usize, millis: i64) {
        self.0.set(self.0.get() + millis);
    }
    fn happens(&self, _: &'static str) -> bool {
        false
    }
    fn occurred(&self, _: &'static str) {}
    fn pick(&self, below: usize) -> usize {
        below - 1
    }
    fn began(&self, _: usize, _: u64, _: &[Offsets]) {}
    fn decided(&self) {}
}

fn play(stage: &Stage<'_>) -> Vec<String> {
    let mut told = Vec::new();
    let state = |partition: i32, key: &str, bytes: usize, origin: usize| Outgoing {
        partition,
        ..record(&stage.state, key, bytes, origin)
    };

    // Produce, and abort.
    let mut a = (stage.connect)("a");
    settle(&mut told, &mut [("a", &mut *a)]);
    let mut held = take(&mut told, &mut *a, &[0, 1]);
    let sent = [state(0, "one", 10, 0), state(1, "two", 10, 1), record(&stage.tasks, "sent", 10, 2)];
    say(&mut told, "three records", &a.transact(&sent, &held));
    let spoilt = [state(0, "lost", 10, 3), state(1, "huge", TOO_LARGE, 7)];
    say(&mut told, "one too large", &a.transact(&spoilt, &held));
    say(&mut told, "no offsets", &a.transact(&[state(0, "lost", 10, 0)], &[]));
    ["x", "y"].iter().for_each(|key| (stage.submit)(key));
    let read = read(&mut *a, 3);
    told.push(format!("read {read:?}"));
    held[0].next[0] = read.last().map_or(0, |(_, _, offset, _)| offset + 1);
    say(&mut told, "what was read", &a.transact(&[state(0, "read", 10, 0)], &held));

    // Rebalance.
    let mut b = (stage.connect)("b");
    until("the first hears of the second", SOON, || {
        a.poll(0, &mut Vec::new()).map_err(|stop| stop.to_string())?;
        b.poll(0, &mut Vec::new()).map_err(|stop| stop.to_string())?;
        a.rebalance_is_pending().then_some(()).ok_or_else(|| "it is quiet".to_owned())
    });
    told.push(format!("the first hears {:?}", a.rebalance()));
    say(&mut told, "when revoked", &a.transact(&[state(0, "lost", 10, 0)], &held));
    a.release();
    let shares = settle(&mut told, &mut [("a", &mut *a), ("b", &mut *b)]);
    let of_a = take(&mut told, &mut *a, &shares[0]);
    let of_b = take(&mut told, &mut *b, &shares[1]);
    say(&mut told, "of the first", &a.transact(&[state(of_a[0].partition, "of a", 10, 0)], &of_a));
    say(&mut told, "of the second", &b.transact(&[state(of_b[0].partition, "of b", 10, 0)], &of_b));

    // Fence: another comes under the same name, and nobody else is disturbed.
    let mut again = (stage.connect)("b");
    say(&mut told, "of one fenced", &b.transact(&[state(of_b[0].partition, "late", 10, 0)], &of_b));
    let shares = settle(&mut told, &mut [("b again", &mut *again)]);
    told.push(format!("the first hears {:?}", rests(&mut *a)));
    let of_b = take(&mut told, &mut *again, &shares[0]);
    say(&mut told, "of the one in its place", &again.transact(&[state(of_b[0].partition, "of b", 10, 0)], &of_b));

    // One leaves; its metadata is a stale member's.
    a.close(true);
    settle(&mut told, &mut [("b alone", &mut *again)]);
    say(&mut told, "of one that left", &a.transact(&[state(of_a[0].partition, "late", 10, 0)], &of_a));
    let held = take(&mut told, &mut *again, &[0, 1]);
    say(&mut told, "of the one left", &again.transact(&[state(0, "last", 10, 0)], &held));
    told.push(format!("renewed {:?}", again.renew("the script says so").is_ok()));
    say(&mut told, "of a new producer", &again.transact(&[state(1, "last", 10, 0)], &held));
    told.push(format!("read {:?}", rests(&mut *again)));
    told
}

fn say(told: &mut Vec<String>, what: &str, outcome: &Outcome) {
    let culprit = match outcome {
        Outcome::Aborted { culprit, .. } => *culprit,
        Outcome::Committed | Outcome::Unknown { .. } => None,
    };
    told.push(format!("{what}: {} {culprit:?}", outcome.name()));
}

/// Serves them until both partitions have an owner among them, or the only one has what it is given; what each has.
fn settle(told: &mut Vec<String>, logs: &mut [(&str, &mut dyn Log)]) -> Vec<Vec<i32>> {
    let mut shares: Vec<Option<Vec<i32>>> = vec![None; logs.len()];
    let mut since = None::<Instant>;
    until("the group settles", SOON, || {
        for ((_, log), share) in logs.iter_mut().zip(&mut shares) {
            log.poll(0, &mut Vec::new()).map_err(|stop| stop.to_string())?;
            while let Some(change) = log.rebalance() {
                since = None;
                match change {
                    Rebalance::Assigned(partitions) => *share = Some(partitions),
                    Rebalance::Revoked { .. } => {
                        *share = None;
                        log.release();
                    }
                }
            }
        }
        let all = shares.iter().all(Option::is_some);
        let quiet = since.get_or_insert_with(Instant::now).elapsed() > QUIET;
        (all && quiet).then_some(()).ok_or_else(|| format!("{shares:?}"))
    });
    let shares: Vec<Vec<i32>> = shares.into_iter().flatten().collect();
    for ((name, _), share) in logs.iter().zip(&shares) {
        told.push(format!("{name} has {share:?}"));
    }
    shares
}

/// Takes partitions over as the loop does; tells their offsets and what their state holds.
fn take(told: &mut Vec<String>, log: &mut dyn Log, partitions: &[i32]) -> Vec<Offsets> {
    let owned = log.take_over(partitions).expect("the group is quiet");
    let mut keys: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    let from: Vec<(i32, i64)> = partitions.iter().map(|number| (*number, 0)).collect();
    let mut apply = |number, key: &[u8], _: Option<&[u8]>| {
        keys.entry(number).or_default().push(String::from_utf8_lossy(key).into_owned());
        Ok(())
    };
    log.restore(&from, &mut apply).expect("the group is quiet");
    let offsets: Vec<Offsets> = owned.iter().map(|one| one.offsets).collect();
    log.claim(&offsets).expect("the group is quiet");
    told.push(format!("owns {owned:?} with {keys:?}"));
    offsets
}

type Seen = (usize, i32, i64, String);

/// The next so many records.
fn read(log: &mut dyn Log, count: usize) -> Vec<Seen> {
    let mut found: Vec<Record> = Vec::new();
    until("the records come", SOON, || {
        log.poll(100, &mut found).map_err(|stop| stop.to_string())?;
        (found.len() >= count).then_some(()).ok_or_else(|| format!("{} came", found.len()))
    });
    let key = |record: &Record| String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
    found.iter().map(|record| (record.input, record.partition, record.offset, key(record))).collect()
}

/// What comes within a while: records, and whether the group decided anything.
fn rests(log: &mut dyn Log) -> (usize, bool) {
    let (mut found, until) = (Vec::new(), Instant::now() + QUIET);
    while Instant::now() < until {
        log.poll(100, &mut found).expect("it goes on");
        std::thread::sleep(Duration::from_millis(20));
    }
    (found.len(), log.rebalance_is_pending())
}
