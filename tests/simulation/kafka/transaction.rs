//! One transaction of the client, in the order in which `kafka::producer` talks to a broker: produce, offsets, commit. A
//! process may be frozen or die at each of its steps, and not hear how it ended.

use super::broker::Refused;
use super::log::FakeLog;
use baton::worker::{Offsets, Outcome, Outgoing};

impl FakeLog {
    pub(super) fn transaction(&mut self, records: &[Outgoing], offsets: &[Offsets]) -> Outcome {
        let refused = |reason: &str| Outcome::Aborted { culprit: None, reason: reason.to_owned() };
        self.backs_off = true;
        self.host.reached(self.process, "begin");
        let Some((member, generation)) = self.seat.captured.get() else {
            return refused("not a member of the group now");
        };
        if offsets.is_empty() {
            return refused("a transaction without offsets");
        }
        if self.broken {
            return self.unknown("the producer is done for");
        }
        let number = self.broker.borrow_mut().number();
        self.host.began(self.process, number, offsets);
        for record in records {
            self.host.reached(self.process, "produce");
            let now = self.host.now();
            let produced = self.broker.borrow_mut().produce(&self.name, self.epoch, number, record, now);
            match produced {
                Ok(offset) => {
                    if *record.topic == *self.broker.borrow().state {
                        self.ends.insert(record.partition, offset + 1);
                    }
                }
                Err(Refused::TooLarge | Refused::NoTopic) => {
                    self.host.occurred("record refused by the broker");
                    return self.abort(Some(record.origin), "a record is refused for itself");
                }
                Err(Refused::Fenced | Refused::Stale) => {
                    self.host.occurred("producer fenced");
                    return self.unknown("fenced while producing");
                }
            }
        }
        if self.host.happens("delivery failed") {
            return self.abort(None, "a delivery failed");
        }
        self.host.reached(self.process, "drained");
        let now = self.host.now();
        let as_member = (self.name.as_str(), member, generation);
        let sent = self.broker.borrow_mut().offsets_to(&self.name, self.epoch, number, as_member, offsets, now);
        match sent {
            Ok(()) => {}
            Err(Refused::Stale) => {
                self.host.occurred("stale member refused");
                return self.abort(None, "a stale member's offsets are refused");
            }
            Err(_) => {
                self.host.occurred("producer fenced");
                return self.unknown("fenced while sending offsets");
            }
        }
        self.host.reached(self.process, "offsets sent");
        if self.host.happens("commit lost") {
            return self.unknown("no answer to a commit that never arrived");
        }
        if self.host.happens("commit delayed") {
            let due = self.host.now() + i64::try_from(self.host.pick(4_000)).unwrap_or(0);
            self.broker.borrow_mut().end_later(&self.name, self.epoch, due);
            return self.unknown("no answer to a commit that is on its way");
        }
        let now = self.host.now();
        let ended = self.broker.borrow_mut().end(&self.name, self.epoch, true, now);
        self.host.decided();
        if ended.is_err() {
            self.host.occurred("producer fenced");
            return self.unknown("fenced while committing");
        }
        if self.host.happens("commit unanswered") {
            return self.unknown("no answer to a commit that counts");
        }
        self.host.reached(self.process, "committed");
        self.backs_off = false;
        self.seat.touched.set(true);
        Outcome::Committed
    }

    fn abort(&mut self, culprit: Option<usize>, reason: &str) -> Outcome {
        self.host.reached(self.process, "before abort");
        let now = self.host.now();
        let ended = self.broker.borrow_mut().end(&self.name, self.epoch, false, now);
        self.host.decided();
        self.backs_off = culprit.is_none();
        match ended {
            Ok(()) => Outcome::Aborted { culprit, reason: reason.to_owned() },
            Err(_) => self.unknown("fenced while aborting"),
        }
    }

    fn unknown(&mut self, reason: &str) -> Outcome {
        self.broken = true;
        Outcome::Unknown { reason: reason.to_owned() }
    }
}
