//! One batch to its commit: staged, written, adopted; staged again after an abort; given up where it must be.

use super::batch::{Batch, Share};
use super::intake::STATUS;
use super::mutant::{self, Mutant};
use super::settings::{ABORTS_BEFORE_GIVING_UP, ABORTS_BEFORE_SPLIT, BACK_OFF, RECORD_OVERHEAD};
use super::{Log, Offsets, Outcome, Outgoing, Runner, Stop, Worker};
use crate::contract::home_partition;
use crate::partition::{Ending, INPUTS, Output, Partition, Staged, View, What};
use crate::telemetry::spans;
use crate::workflow::{SettledBy, Timestamp};
use std::sync::Arc;

/// What one transaction is to hold, encoded.
struct Prepared {
    staged: Vec<(i32, Staged)>,
    records: Vec<Outgoing>,
    offsets: Vec<Offsets>,
    clock: Timestamp,
}

/// Something that does not fit its topic: the task that wrote it ends.
struct TooLarge {
    partition: i32,
    task_id: Arc<str>,
    detail: String,
}

impl<L: Log, R: Runner> Worker<L, R> {
    pub(super) fn view(&self) -> View<'_> {
        View {
            registry: &self.directory.registry,
            availability: self.directory.availability.with_room(self.room()),
            strategies: self.settings.strategies.with(self.experiments.get()),
            rules: &self.settings.rules,
            schemas: &self.schemas,
        }
    }

    /// Brings a batch to its commit, whatever it takes. Returns also when its partitions went away: then it is read again
    /// by whoever has them.
    pub(super) fn carry(&mut self, mut batch: Batch) -> Result<(), Stop> {
        let (mut aborts, mut given_up) = (0, false);
        loop {
            let prepared = match self.prepare(&batch) {
                Ok(prepared) => prepared,
                Err(TooLarge { partition, task_id, detail }) => {
                    tracing::warn!(%task_id, detail, "a task ends because what it would write does not fit");
                    let known = self.partitions.get(&partition).is_some_and(|part| part.knows(&task_id));
                    batch.end_task(partition, &task_id, known, &detail, self.clock.now());
                    continue;
                }
            };
            let started = self.clock.elapsed();
            let span = spans::transaction(batch.len(), prepared.records.len(), batch.traceparents());
            let outcome = span.in_scope(|| self.log.transact(&prepared.records, &prepared.offsets));
            span.record("baton.outcome", outcome.name());
            match outcome {
                Outcome::Committed => {
                    let took = self.clock.elapsed().saturating_sub(started);
                    self.metrics.transaction_seconds.observe(took.as_secs_f64());
                    #[allow(clippy::cast_precision_loss, reason = "a batch is far below 2^52")]
                    self.metrics.transaction_inputs.observe(batch.len() as f64);
                    self.committed(batch.len());
                    self.count(&batch, &prepared);
                    self.adopt(prepared);
                    return Ok(());
                }
                Outcome::Unknown { reason } => {
                    self.metrics.transactions_unknown.inc();
                    if mutant::is(Mutant::RedoneAfterUnknown) {
                        self.log.renew(&reason)?;
                        continue;
                    }
                    return self.read_anew(&reason);
                }
                Outcome::Aborted { culprit, reason } => {
                    self.metrics.transactions_aborted.inc();
                    if mutant::is(Mutant::AdoptedBeforeCommit) {
                        self.adopt(prepared);
                    }
                    tracing::warn!(reason, inputs = batch.len(), blamed = culprit.is_some(), "transaction aborted");
                    self.serve()?;
                    if self.log.rebalance_is_pending()
                        || self.wants_to_stop()
                        || mutant::is(Mutant::AbortedBatchDropped)
                    {
                        // Dropped, not lost: its offsets were not committed.
                        return Ok(());
                    }
                    if culprit.is_none() {
                        self.log.wait(BACK_OFF);
                        continue;
                    }
                    aborts += 1;
                    if aborts < ABORTS_BEFORE_SPLIT {
                        continue;
                    }
                    batch = match batch.split() {
                        Ok(smaller) => {
                            for one in smaller {
                                if self.partitions.is_empty() || self.log.rebalance_is_pending() {
                                    return Ok(());
                                }
                                self.carry(one)?;
                            }
                            return Ok(());
                        }
                        Err(alone) if aborts < ABORTS_BEFORE_GIVING_UP => alone,
                        Err(_) if given_up => {
                            return Err(Stop::Broken(format!("not even a dead letter can be written: {reason}")));
                        }
                        Err(mut alone) => {
                            tracing::error!(reason, "an input aborted every transaction and is given up");
                            alone.give_up(&reason);
                            (aborts, given_up) = (0, true);
                            alone
                        }
                    };
                }
            }
        }
    }

    fn prepare(&mut self, batch: &Batch) -> Result<Prepared, TooLarge> {
        self.turn = self.turn.wrapping_add(1);
        let (clock, started) = (self.clock.now().max(batch.returned_at()), self.clock.elapsed());
        let view = self.view();
        let held =
            batch.shares.iter().filter_map(|(number, share)| Some((number, share, self.partitions.get(number)?)));
        let stage = |(number, share, partition): (&i32, &Share, &Partition)| {
            // Staging takes agents' room: a witness that stages again begins from what there was.
            let before = self.witness.is_some().then(|| view.clone());
            let staged = partition.stage(&share.arrivals, &view, clock);
            if let (Some(witness), Some(before)) = (&self.witness, before) {
                witness.staged(partition, &share.arrivals, &before, clock, &staged);
            }
            (*number, staged)
        };
        let staged: Vec<(i32, Staged)> = held.map(stage).collect();
        let decisions: u64 = staged.iter().map(|(_, staged)| staged.counts.decisions).sum();
        let took = i64::try_from(self.clock.elapsed().saturating_sub(started).as_micros()).unwrap_or(i64::MAX);
        // Decisions are made in a batch: each is charged its share of the batch's time.
        let overhead = took / i64::try_from(decisions.max(1)).unwrap_or(1);
        let mut records = Vec::new();
        let mut offsets = Vec::with_capacity(staged.len());
        let mut base = 0;
        for (number, staged) in &staged {
            let share = &batch.shares[number];
            self.encode(*number, staged, base, overhead, &mut records)?;
            for (index, arrival) in share.arrivals.iter().enumerate() {
                match (&arrival.what, &share.records[index]) {
                    (What::Forwarded { to }, Some(record)) if !mutant::is(Mutant::NotSentHome) => {
                        records.push(self.encoder.forward(record, *to, base + index));
                    }
                    (What::Outgrown(note), Some(record)) => {
                        records.push(self.encoder.note(record, &arrival.task_id, note, base + index));
                    }
                    _ => {}
                }
            }
            for dead in &staged.dead {
                if let Some(record) = &share.records[dead.origin] {
                    records.push(self.encoder.dead(record, dead, clock, base + dead.origin));
                }
            }
            let mut next = staged.next.map(|next| next.expect("a partition that was taken over knows all its offsets"));
            if mutant::is(Mutant::OffsetLeftOut) {
                next[STATUS] = self.partitions[number].next()[STATUS].unwrap_or(0);
            }
            offsets.push(Offsets { partition: *number, next });
            base += share.arrivals.len();
        }
        Ok(Prepared { staged, records, offsets, clock })
    }

    /// Encodes what a partition's tasks write; each is checked against its topic's limit.
    fn encode(
        &mut self,
        number: i32,
        staged: &Staged,
        base: usize,
        overhead: i64,
        records: &mut Vec<Outgoing>,
    ) -> Result<(), TooLarge> {
        let too_large = |record: &Outgoing, task_id: &str, limit: usize| TooLarge {
            partition: number,
            task_id: task_id.into(),
            detail: format!("a record of {} B for {} is over its limit of {limit} B", size(record), record.topic),
        };
        for planned in &staged.outputs {
            let (log, turn) = (&mut self.log, self.turn);
            let spread = |topic: &str, key: Option<&str>| {
                let count = log.partitions_of(topic).unwrap_or(1).max(1);
                match key {
                    Some(key) => home_partition(key, count),
                    None => i32::try_from(turn % count.unsigned_abs()).unwrap_or(0),
                }
            };
            let origin = base + planned.origin;
            let record = self.encoder.output(&planned.item, number, origin, overhead, spread);
            let (task_id, limit) = match &planned.item {
                Output::Assignment(out) => (&out.task.task_id, self.settings.limits.assignments),
                Output::Decision { task, .. } => (&task.task_id, self.settings.limits.others),
                Output::Facts(out) => (&out.task.task_id, self.settings.limits.others),
                // What tells that a task ended cannot itself end it; it holds no more than the last output.
                Output::Completion(_) | Output::Cancellation(_) | Output::Outcome(_) => {
                    records.push(record);
                    continue;
                }
            };
            if size(&record) + RECORD_OVERHEAD > limit {
                return Err(too_large(&record, task_id, limit));
            }
            records.push(record);
        }
        for planned in &staged.parts {
            let (key, part) = &planned.item;
            let record = self.encoder.part(key, part.as_ref(), number, base + planned.origin);
            let limit = self.settings.limits.others;
            if size(&record) + RECORD_OVERHEAD > limit {
                return Err(too_large(&record, crate::partition::PartKey::split(key.as_str()).0, limit));
            }
            records.push(record);
        }
        Ok(())
    }

    /// The only place where committed state changes: once the transaction is durable.
    fn adopt(&mut self, prepared: Prepared) {
        for (number, mut staged) in prepared.staged {
            let Some(partition) = self.partitions.get_mut(&number) else { continue };
            let owed = std::mem::take(&mut staged.owed);
            partition.adopt(staged);
            for (task_id, effects) in owed {
                self.runner.owe(number, &task_id, effects, partition.workflow(&task_id));
            }
        }
        self.show_live();
    }

    /// After an unknown outcome nothing in memory counts: a new producer, then all partitions as if newly assigned.
    fn read_anew(&mut self, reason: &str) -> Result<(), Stop> {
        let held: Vec<i32> = self.partitions.keys().copied().collect();
        self.say_waiting("a transaction's outcome is unknown: all state is read anew");
        self.let_go(false);
        self.log.renew(reason)?;
        self.metrics.producers_rebuilt.inc();
        self.directory.forget_topics();
        self.set_unclaimed(held);
        Ok(())
    }

    fn count(&mut self, batch: &Batch, prepared: &Prepared) {
        let tallies = prepared.staged.iter().flat_map(|(_, staged)| &staged.counts.inputs[..INPUTS]);
        let (mut inputs, mut dead) = (0, 0);
        for tally in tallies {
            inputs += tally.accepted + tally.stale + tally.duplicate + tally.dead;
            dead += tally.dead;
        }
        self.watch_dead_letters(inputs, dead);
        for (number, staged) in &prepared.staged {
            for fault in &staged.counts.faults {
                tracing::error!(
                    partition = number,
                    fault,
                    "an answer or a timer that cannot follow from anything done"
                );
            }
            for dead in &staged.dead {
                tracing::warn!(partition = number, reason = dead.reason.as_str(), detail = dead.detail, "dead letter");
                self.metrics.dead_letters(dead.reason.as_str()).inc();
            }
            for (counters, tally) in self.counters.iter().zip(&staged.counts.inputs) {
                counters.accepted.inc_by(tally.accepted);
                counters.stale.inc_by(tally.stale);
                counters.duplicate.inc_by(tally.duplicate);
                counters.forwarded.inc_by(tally.forwarded);
                counters.dead.inc_by(tally.dead);
            }
            for planned in &staged.outputs {
                match &planned.item {
                    Output::Decision { decision, .. } => {
                        let settled = &decision.settled;
                        self.metrics.decisions(settled_by(settled.by), settled.degraded.as_deref()).inc();
                        if let Some(beside) = &settled.beside {
                            self.metrics.llm_agreement(beside.choice == settled.choice).inc();
                        }
                    }
                    Output::Completion(completion) => match &completion.ending {
                        Ending::Ended { outcome, reason } => {
                            self.metrics.completions(outcome.symbol(), reason).inc();
                        }
                        Ending::Rejected { reason, .. } => {
                            self.metrics.completions("REJECTED", reason.as_str()).inc();
                        }
                    },
                    Output::Assignment(_) | Output::Facts(_) | Output::Cancellation(_) | Output::Outcome(_) => {}
                }
            }
        }
        tracing::debug!(inputs = batch.len(), records = prepared.records.len(), at = %prepared.clock, "committed");
    }
}

/// The words of the wire, for the metric's label.
fn settled_by(by: SettledBy) -> &'static str {
    match by {
        SettledBy::Pinned => "PINNED",
        SettledBy::Operator => "OPERATOR",
        SettledBy::Contract => "CONTRACT",
        SettledBy::Cache => "CACHE",
        SettledBy::ClearWinner => "CLEAR_WINNER",
        SettledBy::Llm => "LLM",
        SettledBy::Local => "LOCAL",
    }
}

/// Bytes of a record without what protocol and broker add.
fn size(record: &Outgoing) -> usize {
    let headers = record.headers.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len));
    let content = [&record.key, &record.value].into_iter().flatten().map(Vec::len);
    headers.chain(content).sum()
}
