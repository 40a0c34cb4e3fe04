//! Group metadata is captured once per assignment: a consumer that is no member has an empty one, which the broker takes
//! from anybody while the group has a member.

use super::super::support::until;
use super::hand::{Hand, assigned, record, take};
use super::{SOON, records_in};
use baton::worker::{Log as _, Offsets, Outcome, Rebalance};

#[test]
fn a_worker_that_has_no_partitions_makes_no_transaction() {
    let hand = Hand::new("not-joined", 1);
    let (_member, offsets) = hand.owner("member");
    let mut stranger = hand.connect("stranger");
    let mine = [record(&hand.state, "stranger", 10, 0)];
    let refused = |outcome: Outcome| assert!(matches!(outcome, Outcome::Aborted { culprit: None, .. }), "{outcome:?}");
    refused(stranger.transact(&mine, &offsets));
    assert_eq!(records_in(&hand.scratch, &hand.state, "read_uncommitted"), 0);
}

#[test]
fn nothing_is_written_before_the_claim_or_after_a_revoke() {
    let hand = Hand::new("claimed", 1);
    let mut log = hand.connect("a");
    let held = assigned(&mut log);
    let owned = log.take_over(&held).expect("the group is quiet");
    let offsets: Vec<Offsets> = owned.iter().map(|one| one.offsets).collect();
    let mine = [record(&hand.state, "k", 10, 0)];
    let refused = |outcome: Outcome| assert!(matches!(outcome, Outcome::Aborted { culprit: None, .. }), "{outcome:?}");
    refused(log.transact(&mine, &offsets));
    take(&mut log, &held);
    assert_eq!(log.transact(&mine, &offsets), Outcome::Committed);

    let mut other = hand.connect("b");
    until("the group asks for the partitions back", SOON, || {
        other.poll(0, &mut Vec::new()).map_err(|e| e.to_string())?;
        log.poll(0, &mut Vec::new()).map_err(|e| e.to_string())?;
        if log.rebalance_is_pending() { Ok(()) } else { Err("not yet".into()) }
    });
    assert_eq!(log.rebalance(), Some(Rebalance::Revoked { lost: false }));
    refused(log.transact(&mine, &offsets));
    assert_eq!(records_in(&hand.scratch, &hand.state, "read_uncommitted"), 1);
}
