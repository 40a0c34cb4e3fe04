use super::{Record, Returned};
use crate::contract::TRACEPARENT;
use crate::partition::{Arrival, Refusal, What};
use crate::workflow::{Input, Reason, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What one transaction is made of, by partition number. Kept until it is known to be durable, so that an abort can be
/// staged again from memory.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) shares: BTreeMap<i32, Share>,
}

/// The arrivals of one partition and, beside each, the record it came from.
#[derive(Debug, Default)]
pub(super) struct Share {
    pub(super) arrivals: Vec<Arrival>,
    pub(super) records: Vec<Option<Record>>,
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.shares.values().map(|share| share.arrivals.len()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.shares.is_empty()
    }

    /// The latest moment at which a timer fired or an answer came. The clock may have been set back since, and a timer that
    /// was due must not be early when it is decided on: it would be dropped, and its wait never end.
    pub(super) fn returned_at(&self) -> Timestamp {
        let arrivals = self.shares.values().flat_map(|share| &share.arrivals);
        let returned = arrivals.filter(|arrival| arrival.source.is_none());
        returned.map(|arrival| arrival.at).max().unwrap_or_default()
    }

    /// Trace contexts that came with the records.
    pub(super) fn traceparents(&self) -> impl Iterator<Item = &str> {
        let records = self.shares.values().flat_map(|share| share.records.iter().flatten());
        records.filter_map(|record| record.header(TRACEPARENT))
    }

    pub(super) fn push(&mut self, partition: i32, arrival: Arrival, record: Option<Record>) {
        let share = self.shares.entry(partition).or_default();
        share.arrivals.push(arrival);
        share.records.push(record);
    }

    pub(super) fn push_returned(&mut self, returned: Returned, at: Timestamp) {
        let Returned { partition, task_id, input } = returned;
        self.push(partition, Arrival { task_id, what: What::Input(input), source: None, at }, None);
    }

    /// Smaller batches of the same arrivals in the same order: by partition, then one by one; none if it is one already.
    pub(super) fn split(self) -> Result<Vec<Self>, Self> {
        if self.len() <= 1 {
            return Err(self);
        }
        let alone = |partition, share| Self { shares: BTreeMap::from([(partition, share)]) };
        if self.shares.len() > 1 {
            return Ok(self.shares.into_iter().map(|(partition, share)| alone(partition, share)).collect());
        }
        let one =
            |partition, (arrival, record)| alone(partition, Share { arrivals: vec![arrival], records: vec![record] });
        let each = |(partition, share): (i32, Share)| {
            share.arrivals.into_iter().zip(share.records).map(move |pair| one(partition, pair))
        };
        Ok(self.shares.into_iter().flat_map(each).collect())
    }

    /// Replaces all that a task brings by the one input that ends it, since what it would write does not fit; a command is
    /// refused. A task that is only being submitted is refused instead, and commands go on waiting for it. Called again,
    /// it leaves less: a command whose refusal does not fit either is a dead letter.
    pub(super) fn end_task(&mut self, partition: i32, task_id: &Arc<str>, known: bool, detail: &str, at: Timestamp) {
        let Some(share) = self.shares.get_mut(&partition) else { return };
        let submitted = |arrival: &Arrival| matches!(arrival.what, What::Input(Input::Submitted(_)));
        let of_task = |arrival: &&mut Arrival| arrival.task_id == *task_id && matches!(arrival.what, What::Input(_));
        let refused = !known && share.arrivals.iter().any(|one| one.task_id == *task_id && submitted(one));
        let dead = |is_task| What::Refused(Refusal { reason: Reason::TooLarge, detail: detail.to_owned(), is_task });
        for arrival in share.arrivals.iter_mut().filter(of_task) {
            match &mut arrival.what {
                What::Input(Input::Submitted(_)) if refused => arrival.what = dead(true),
                _ if refused => {}
                What::Input(Input::Commanded { too_large: first @ None, .. }) => *first = Some(detail.to_owned()),
                What::Input(Input::Commanded { .. }) => arrival.what = dead(false),
                _ => arrival.what = What::Skipped,
            }
        }
        if !known {
            return;
        }
        let what = What::Input(Input::TooLarge { detail: detail.to_owned() });
        let is_command = |arrival: &Arrival| matches!(arrival.what, What::Input(Input::Commanded { .. }));
        let commanded = share.arrivals.iter().any(|one| one.task_id == *task_id && is_command(one));
        // What a step brought that stood in line ends the task in its place: until it has ended, its step stands there
        // still, and nobody behind it is let in. Commands are answered before.
        let is_free =
            |one: &&mut Arrival| one.task_id == *task_id && one.source.is_none() && matches!(one.what, What::Skipped);
        match share.arrivals.iter_mut().find(is_free).filter(|_| !commanded) {
            Some(place) => place.what = what,
            None => self.push(partition, Arrival { task_id: Arc::clone(task_id), what, source: None, at }, None),
        }
    }

    /// Gives up on the only arrival there is: a record is a dead letter, anything else ends its task.
    pub(super) fn give_up(&mut self, detail: &str) {
        for arrival in self.shares.values_mut().flat_map(|share| &mut share.arrivals) {
            let is_task = matches!(arrival.what, What::Input(Input::Submitted(_)));
            arrival.what = match arrival.source {
                Some(_) => {
                    let (reason, detail) = (Reason::Internal, detail.to_owned());
                    What::Refused(Refusal { reason, detail, is_task })
                }
                None => What::Input(Input::Internal { detail: detail.to_owned() }),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::Source;
    use crate::workflow::{Command, CommandKind, Position};

    fn forgotten(partition: i32, task: &str, batch: &mut Batch) {
        let source = Some(Source { input: 0, offset: 0 });
        batch.push(partition, Arrival { task_id: task.into(), what: What::Forget, source, at: Timestamp(0) }, None);
    }

    #[test]
    fn a_batch_is_not_decided_on_before_its_timers_fired() {
        let mut batch = Batch::default();
        forgotten(0, "a", &mut batch);
        assert_eq!(batch.returned_at(), Timestamp(0), "a record's time is its producer's");
        let timer = crate::workflow::Timer { due: Timestamp(5), kind: crate::workflow::TimerKind::TaskDeadline };
        let input = Input::TimerFired(timer);
        batch.push_returned(Returned { partition: 1, task_id: "b".into(), input }, Timestamp(7));
        assert_eq!(batch.returned_at(), Timestamp(7), "whatever the clock says by now");
    }

    fn commanded(task: &str, batch: &mut Batch) {
        let draft = Command {
            id: None,
            task_id: task.to_owned(),
            kind: CommandKind::Cancel,
            step_id: None,
            agent_name: None,
            value: None,
            actor: None,
            reason: None,
        };
        let (command, place) = (Arc::new(draft), Position::default());
        let what = What::Input(Input::Commanded { command, place, too_large: None });
        let source = Some(Source { input: 2, offset: 5 });
        batch.push(0, Arrival { task_id: task.into(), what, source, at: Timestamp(0) }, None);
    }

    /// What is left of each arrival.
    fn left(batch: &Batch) -> Vec<&str> {
        let what = |arrival: &Arrival| match &arrival.what {
            What::Input(Input::TooLarge { .. }) => "the end",
            What::Input(Input::Commanded { too_large: Some(_), .. }) => "a refusal",
            What::Input(Input::Commanded { too_large: None, .. }) => "a command",
            What::Refused(_) => "a dead letter",
            What::Skipped => "nothing",
            _ => "another",
        };
        batch.shares[&0].arrivals.iter().map(what).collect()
    }

    #[test]
    fn a_command_beside_what_does_not_fit_is_refused_and_a_dead_letter_if_that_does_not_fit_either() {
        for (known, first, second) in [
            (true, vec!["nothing", "a refusal", "a command", "the end"], vec!["a dead letter", "a command"]),
            (false, vec!["nothing", "a refusal", "a command"], vec!["a dead letter", "a command"]),
        ] {
            let mut batch = Batch::default();
            let input = Input::Admitted { question: 1, topic_name: None };
            batch.push_returned(Returned { partition: 0, task_id: "t".into(), input }, Timestamp(0));
            commanded("t", &mut batch);
            commanded("another", &mut batch);
            batch.end_task(0, &"t".into(), known, "too much", Timestamp(0));
            assert_eq!(left(&batch), first);
            batch.end_task(0, &"t".into(), known, "too much", Timestamp(0));
            assert_eq!(left(&batch)[1..3], second);
        }
    }

    #[test]
    fn what_stood_in_line_ends_its_task_in_its_place() {
        let mut batch = Batch::default();
        for task in ["t", "u"] {
            let input = Input::Admitted { question: 1, topic_name: None };
            batch.push_returned(Returned { partition: 0, task_id: task.into(), input }, Timestamp(0));
        }
        for _ in 0..2 {
            batch.end_task(0, &"t".into(), true, "too much", Timestamp(0));
            assert_eq!(left(&batch), ["the end", "another"]);
        }
    }

    #[test]
    fn a_batch_splits_by_partition_and_then_one_by_one() {
        let mut batch = Batch::default();
        for (partition, task) in [(0, "a"), (0, "b"), (1, "c")] {
            forgotten(partition, task, &mut batch);
        }
        let halves = batch.split().expect("three arrivals split");
        assert_eq!(halves.iter().map(Batch::len).collect::<Vec<_>>(), [2, 1]);
        let mut halves = halves.into_iter();
        let ones = halves.next().expect("two").split().expect("two arrivals split");
        assert_eq!(ones.iter().map(Batch::len).collect::<Vec<_>>(), [1, 1]);
        assert!(halves.next().expect("one").split().is_err());
    }
}
