//! Agents whose circuit breaker is not closed.

use super::*;
use rustc_hash::FxHashMap;

/// Two agents who can add, the breaker of one of them as given.
fn two(probed_by: Option<i32>) -> World {
    let mut world = World::of(vec![able("east", &["adding"]), able("west", &["adding"])]).objective("adding");
    let broken = Broken { why: "its circuit breaker is open: it failed".into(), probed_by };
    assert!(world.availability.set_broken([("east".to_owned(), broken.clone())].into_iter().collect()));
    assert!(!world.availability.set_broken([("east".to_owned(), broken)].into_iter().collect()), "the same");
    world
}

fn room(left: i64) -> FxHashMap<String, Room> {
    [("east".to_owned(), Room { left, in_line: 0 })].into_iter().collect()
}

#[test]
fn an_open_breaker_leaves_its_agent_out_and_says_why() {
    let world = two(None);
    let settled = world.settled();
    assert_eq!(settled.choice, chose("west"));
    assert_eq!(excluded(&settled, "east"), "its circuit breaker is open: it failed");
    let alone = world.allowing(&["east"]);
    let settled = alone.settled();
    assert_eq!((&settled.choice, settled.busy.len()), (&Choice::None, 0));
    assert!(settled.reason.contains("its circuit breaker is open: it failed"), "{}", settled.reason);
}

#[test]
fn one_that_is_half_open_is_probed_by_one_partition_only() {
    let world = two(Some(2));
    world.availability.set_partition(1);
    assert_eq!(world.eligible(), ["west"]);
    world.availability.set_partition(2);
    assert_eq!(world.eligible(), ["east", "west"]);
}

#[test]
fn of_probes_there_are_few_and_who_comes_too_late_stands_in_line() {
    let mut world = two(Some(0)).allowing(&["east"]);
    world.availability = world.availability.with_room(room(1));
    world.availability.set_partition(0);
    assert_eq!(world.settled().choice, chose("east"));
    world.availability.take_room("east");
    let settled = world.settled();
    assert_eq!((settled.choice.clone(), settled.busy.as_slice()), (Choice::None, &["east".to_owned()][..]));
    assert!(excluded(&settled, "east").contains("probes"), "{settled:?}");
}
