//! What waits for a busy agent is bounded, by number and by bytes: its topic is held back, and nothing is lost.

use super::*;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};

const TASKS: usize = 150;
/// Of the busy agent at once.
const AT_ONCE: usize = 2;

/// Hands in tasks with a text of so many bytes; a dispatcher so configured has to take as many of them as said.
fn held_back(name: &str, settings: &str, bytes: usize, taken: RangeInclusive<usize>) {
    let busy = Arc::new(AtomicBool::new(true));
    let is_busy = Arc::clone(&busy);
    let house = House::new(move |asked, _| {
        let put_off_now = asked.path == "/busy" && is_busy.load(Ordering::Relaxed);
        Box::pin(async move { if put_off_now { put_off(StatusCode::SERVICE_UNAVAILABLE, 1) } else { well(&asked) } })
    });
    let scratch = Scratch::new(name);
    let agent = behind("Busy", &format!("{}/busy", house.url));
    scratch.apply().register_all(&[agent, behind("Free", &format!("{}/free", house.url))]);
    let worker =
        scratch.worker("w").toml(&format!("[dispatcher]\nmax_in_flight_per_agent = {AT_ONCE}\n{settings}")).start();
    let ids: Vec<String> = (0..TASKS).map(|number| format!("t-{number}")).collect();
    let tasks: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "Busy")).collect();
    submit_with(&scratch, &tasks, &"x".repeat(bytes));
    let in_hand = || worker.metric("baton_deliveries_in_hand") as usize;
    until("enough waits", SOON, || match in_hand() {
        waiting if waiting >= *taken.start() => Ok(()),
        waiting => Err(format!("{waiting} in hand")),
    });
    // Others are none the worse for it.
    submit(&scratch, &[("free", "Free")]);
    assert_eq!(completion(&scratch, "free")["outcome"], "SUCCEEDED");
    std::thread::sleep(Duration::from_millis(500));
    let waiting = in_hand();
    assert!(taken.contains(&waiting), "{waiting} in hand, not {taken:?}");
    busy.store(false, Ordering::Relaxed);
    each_ends_once(&scratch, TASKS + 1, SOON);
    assert_eq!(house.by_task().len(), TASKS + 1);
    until("nothing is in hand", SOON, || match in_hand() {
        0 => Ok(()),
        left => Err(format!("{left} in hand")),
    });
}

#[test]
fn a_topic_is_held_back_when_as_many_wait_as_may() {
    held_back("http-many", "max_waiting = 20", 0, 20 + AT_ONCE..=20 + AT_ONCE);
}

#[test]
fn a_topic_is_held_back_when_what_waits_takes_as_many_bytes_as_may() {
    // 1 MiB of records of 20 KB and a little.
    held_back("http-much", "max_waiting_bytes = \"1MiB\"", 20_000, 48..=53);
}
