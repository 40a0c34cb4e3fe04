//! What the world does to a process in its calls of Kafka, its runner and its clock.

use super::kafka::Host;
use super::processes;
use super::world::{SESSION, World};
use baton::worker::Offsets;

/// So many processes deep one may be frozen while the others go on.
const DEPTH: usize = 3;

impl World {
    fn run_until(&self, time: i64) {
        self.depth.set(self.depth.get() + 1);
        while self.now.get() < time {
            if self.depth.get() > DEPTH {
                self.advance((time - self.now.get()).min(1_000));
            } else {
                self.step();
            }
        }
        self.depth.set(self.depth.get() - 1);
    }

    /// Other processes go on while this one is frozen.
    fn freeze(&self, process: usize, place: &'static str) {
        let long = self.dice.percent(60);
        let millis = if long { self.dice.millis(SESSION + 500, 32_000) } else { self.dice.millis(10, SESSION - 500) };
        self.note(|| format!("process {process} is frozen for {millis} ms at {place:?}"));
        self.occurred(if long { "frozen past the session" } else { "frozen" });
        if processes::IN_TRANSACTION.contains(&place) {
            self.occurred("frozen in a transaction");
        }
        self.processes.borrow_mut()[process].frozen = true;
        self.run_until(self.now.get() + millis);
        self.processes.borrow_mut()[process].frozen = false;
        self.note(|| format!("process {process} is thawed"));
    }
}

impl Host for World {
    fn now(&self) -> i64 {
        self.now.get()
    }

    fn reached(&self, process: usize, place: &'static str) {
        if self.calm.get() || self.storm == 0 {
            return;
        }
        let rate = processes::weight(place) * self.storm;
        if self.depth.get() < DEPTH && self.dice.rarely(rate) {
            self.freeze(process, place);
        }
        if self.dice.rarely(rate) {
            processes::crash(self, process, place);
        }
        if self.dice.rarely(rate) {
            processes::set_clock(self, process);
        }
    }

    fn pass(&self, process: usize, millis: i64) {
        self.note(|| format!("process {process} waits for {millis} ms"));
        self.run_until(self.now.get() + millis);
    }

    fn happens(&self, fault: &'static str) -> bool {
        let happens = !self.calm.get() && self.dice.rarely(4_000 * self.storm);
        if happens {
            self.note(|| fault.to_owned());
            self.occurred(fault);
        }
        happens
    }

    fn occurred(&self, what: &'static str) {
        World::occurred(self, what);
    }

    fn pick(&self, below: usize) -> usize {
        self.dice.pick(below)
    }

    fn began(&self, process: usize, transaction: u64, offsets: &[Offsets]) {
        self.model.borrow_mut().began(process, transaction, offsets);
    }

    fn decided(&self) {
        let written = self.broker.borrow_mut().take_written();
        if written.is_empty() {
            return;
        }
        let broker = self.broker.borrow();
        let mut model = self.model.borrow_mut();
        for one in &written {
            self.note(|| {
                let word = if one.committed { "committed" } else { "aborted" };
                let of: Vec<i32> = one.offsets.iter().map(|one| one.partition).collect();
                format!("transaction {} is {word}: {} records, partitions {of:?}", one.transaction, one.records.len())
            });
            model.decided(&broker, &self.inputs, one);
        }
        for line in model.story.drain(..) {
            self.note(|| line);
        }
        model.occurred.drain(..).for_each(|what| self.occurred(what));
        self.lull.set(0);
    }
}
