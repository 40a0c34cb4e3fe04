//! Drain before offsets: once offsets are pending, a successor waits for them and then reads the state to its end; a
//! record that is not on the broker by then would appear behind its back.

use super::hand::{Hand, record};
use baton::kafka::Moment;
use baton::worker::Outcome;

#[test]
fn every_record_is_on_the_broker_before_any_offset_is_pending() {
    const RECORDS: usize = 400;
    let hand = Hand::new("drain", 1);
    let settings = hand.settings("a");
    let (member, group) = hand.member(&settings);
    hand.claim(&member, &settings);
    let producer = hand.producer(&settings);
    let records: Vec<_> = (0..RECORDS).map(|n| record(&hand.state, &n.to_string(), 3_000, n)).collect();
    let mut seen = Vec::new();
    let outcome = producer.transact(&records, &hand.offsets(&settings, 5), &group, &mut |moment| {
        // None while an offset of the group is pending.
        seen.push((moment, hand.end(&hand.state), hand.committed().is_some()));
    });
    assert_eq!(outcome, Outcome::Committed);
    let moments: Vec<_> = seen.iter().map(|(moment, ..)| *moment).collect();
    assert_eq!(moments, [Moment::Began, Moment::Drained, Moment::OffsetsSent, Moment::Committed]);
    let all = i64::try_from(RECORDS).expect("it is small");
    assert_eq!(seen[0], (Moment::Began, 0, true));
    assert_eq!(seen[1], (Moment::Drained, all, true), "all is there and nothing of the group is pending");
    assert_eq!(seen[2], (Moment::OffsetsSent, all, false), "only now");
}
