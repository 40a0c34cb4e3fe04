//! Two dispatchers share the topics as one group: one is killed, or frozen for longer than its session lasts.

use super::super::support::{Worker, group_members, heavy};
use super::*;

const AGENTS: [&str; 4] = ["North", "South", "East", "West"];
/// At each agent by each dispatcher.
const AT_ONCE: usize = 4;
/// Requests of one dispatcher at most.
const UNDER_WAY: usize = AGENTS.len() * AT_ONCE;
const WORK: Duration = Duration::from_millis(150);

struct Pair {
    house: House,
    scratch: Scratch,
    _decides: Worker,
    one: Worker,
    two: Worker,
    sender: Sender,
    tasks: usize,
}

impl Pair {
    fn new(name: &str) -> Self {
        let house = House::new(|asked, _| {
            Box::pin(async move {
                tokio::time::sleep(WORK).await;
                well(&asked)
            })
        });
        let scratch = Scratch::new(name);
        let agents = AGENTS.map(|name| {
            let mut agent = behind(name, &format!("{}/{name}", house.url));
            agent["maxConcurrency"] = json!(AT_ONCE);
            agent
        });
        scratch.apply().register_all(&agents);
        let decides = scratch.worker("decides").roles("orchestrator").start();
        let [one, two] = ["one", "two"].map(|slot| scratch.worker(slot).roles("dispatcher").start());
        await_topics(&scratch, AGENTS.into_iter());
        let sender = Sender::new(scratch.stack, Partitioner::Default);
        let pair = Self { house, scratch, _decides: decides, one, two, sender, tasks: 0 };
        pair.settled();
        pair
    }

    /// Waits until both are in the group and it has been at rest for a while.
    fn settled(&self) {
        let group = self.scratch.topic("dispatcher");
        let mut since = Instant::now();
        until("both share the topics", SOON, || {
            let found = group_members(self.scratch.stack, &group);
            if found != ("Stable".to_owned(), 2) {
                since = Instant::now();
            }
            if since.elapsed() > Duration::from_secs(1) { Ok(()) } else { Err(format!("{found:?}")) }
        });
    }

    /// By turns for each agent, in portions: those of one transaction come to one partition of each agent.
    fn submit(&mut self, portions: usize) {
        for _ in 0..portions {
            let numbers = self.tasks..self.tasks + 20;
            self.tasks = numbers.end;
            self.sender.send_all(
                numbers.map(|number| task(&self.scratch, &format!("t-{number}"), AGENTS[number % AGENTS.len()], "")),
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// How often each of the two has asked.
    fn asked(&self) -> [usize; 2] {
        let asked = self.house.asked();
        [&self.one, &self.two].map(|who| asked.iter().filter(|asked| is_by(asked, who)).count())
    }

    /// Waits until both have asked so often since `before`.
    #[track_caller]
    fn both_work(&self, before: [usize; 2], times: usize) {
        until("both have asked", SOON, || {
            let asked = self.asked();
            if asked.iter().zip(before).all(|(asked, before)| asked - before >= times) {
                Ok(())
            } else {
                Err(format!("{asked:?}"))
            }
        });
    }

    /// What was asked for more than once.
    #[track_caller]
    fn repeated(&self) -> Vec<Vec<Asked>> {
        self.house.by_task().into_values().filter(|asked| asked.len() > 1).collect()
    }
}

fn is_by(asked: &Asked, who: &Worker) -> bool {
    asked.body["reportUrl"] == who.url("/api/v1/reports")
}

#[test]
fn two_share_the_work_and_when_one_is_frozen_or_killed_the_other_takes_over() {
    let _turn = heavy();
    let mut pair = Pair::new("http-pair");
    pair.submit(16);
    pair.both_work([0, 0], 24);
    pair.two.freeze();
    assert!(pair.repeated().is_empty(), "while both are there, each assignment is with one of them");
    // Longer than its session lasts.
    until("the other one takes over", SOON, || {
        let repeated = pair.repeated();
        let taken_over = repeated.iter().any(|asked| is_by(&asked[0], &pair.two) && is_by(&asked[1], &pair.one));
        taken_over.then_some(()).ok_or_else(|| format!("{} repeated", repeated.len()))
    });
    pair.two.thaw();
    each_ends_once(&pair.scratch, pair.tasks, SOON);
    let repeated = pair.repeated();
    // What either had under way when it lost the partition, and what the frozen one began before it knew.
    assert!(repeated.len() <= 3 * UNDER_WAY, "{repeated:?}");
    let known: BTreeSet<String> = repeated.iter().map(|asked| asked[0].task().to_owned()).collect();

    // It works on, until it is killed.
    pair.settled();
    let before = pair.asked();
    pair.submit(16);
    pair.both_work(before, 24);
    pair.two.kill9();
    each_ends_once(&pair.scratch, pair.tasks, SOON);
    let again: Vec<_> = pair.repeated().into_iter().filter(|asked| !known.contains(asked[0].task())).collect();
    for asked in &again {
        let [first, second] = &asked[..] else { panic!("nobody is asked three times: {asked:?}") };
        assert!(is_by(first, &pair.two), "only what the dead one had is repeated: {first:?}");
        assert!(is_by(second, &pair.one), "{second:?}");
    }
    // Those under way, and those whose offsets were not committed yet.
    assert!((1..=2 * UNDER_WAY).contains(&again.len()), "{again:?}");
    eprintln!(
        "pair: {} tasks; {} asked for again after the freeze, {} after the kill",
        pair.tasks,
        known.len(),
        again.len()
    );
}
