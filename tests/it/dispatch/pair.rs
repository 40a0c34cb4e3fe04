//! Two dispatchers share the topics as one group: one is killed, or frozen for longer than its session lasts.

use super::super::support::{Worker, group_members, heavy};
use super::*;

const AGENTS: [&str; 4] = ["North", "South", "East", "West"];
/// At each agent by each dispatcher.
const AT_ONCE: u32 = 4;
const WORK: Duration = Duration::from_millis(150);

struct Pair {
    house: House,
    scratch: Scratch,
    _decides: Worker,
    one: Worker,
    two: Worker,
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
        let pair = Self { house, scratch, _decides: decides, one, two, tasks: 0 };
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
            let ids: Vec<String> = (self.tasks..self.tasks + 20).map(|number| format!("t-{number}")).collect();
            let agents = AGENTS.iter().cycle();
            submit(&self.scratch, &ids.iter().map(String::as_str).zip(agents.copied()).collect::<Vec<_>>());
            self.tasks += ids.len();
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
fn two_share_the_work_and_when_one_is_killed_the_other_takes_over() {
    let _turn = heavy();
    let mut pair = Pair::new("http-pair");
    pair.submit(16);
    pair.both_work([0, 0], 24);
    let killed = Instant::now();
    pair.two.kill9();
    assert!(pair.repeated().is_empty(), "while both are there, each assignment is with one of them");
    each_ends_once(&pair.scratch, pair.tasks, SOON);
    let repeated = pair.repeated();
    for asked in &repeated {
        let [first, second] = &asked[..] else { panic!("nobody is asked three times: {asked:?}") };
        assert!(is_by(first, &pair.two) && first.at <= killed, "only what the dead one had is repeated: {first:?}");
        assert!(is_by(second, &pair.one), "{second:?}");
    }
    assert!(!repeated.is_empty(), "the kill fell on no request under way");
}

#[test]
fn one_that_was_frozen_for_longer_than_its_session_doubles_nothing_and_works_on() {
    let _turn = heavy();
    let mut pair = Pair::new("http-frozen");
    pair.submit(16);
    pair.both_work([0, 0], 24);
    pair.two.freeze();
    let before = pair.house.by_task();
    until("the other one takes over", SOON, || {
        let repeated = pair.repeated();
        let taken_over = repeated.iter().any(|asked| is_by(&asked[0], &pair.two) && is_by(&asked[1], &pair.one));
        taken_over.then_some(()).ok_or_else(|| format!("{} repeated", repeated.len()))
    });
    pair.two.thaw();
    each_ends_once(&pair.scratch, pair.tasks, SOON);
    let repeated = pair.repeated();
    for asked in &repeated {
        // Back in the group, it may be given a partition while the other one has a request of it under way.
        let by_turns = asked.windows(2).all(|pair_of| is_by(&pair_of[0], &pair.two) != is_by(&pair_of[1], &pair.two));
        assert!(by_turns, "nobody asks twice for what it has: {asked:?}");
    }
    let had = before.values().filter(|asked| is_by(&asked[0], &pair.two)).count();
    eprintln!("frozen: {} of {} tasks asked for by both; it had asked for {had}", repeated.len(), pair.tasks);
    pair.settled();
    let before = pair.asked();
    pair.submit(8);
    pair.both_work(before, 8);
    each_ends_once(&pair.scratch, pair.tasks, SOON);
}
