//! What the group knows a process by.

use super::broker::Broker;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A process's place in the group, for those who look from outside.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    pub(super) name: String,
    /// Its id in the group; none after it was lost, until everything is given back.
    pub(super) member: Cell<Option<u64>>,
    /// Member id and generation, once per assignment.
    pub(super) captured: Cell<Option<(u64, i64)>>,
    /// Whether state was committed or taken over since this was asked last.
    pub(super) touched: Cell<bool>,
}

impl Seat {
    pub(crate) fn new(name: &str) -> Rc<Self> {
        Rc::new(Self { name: name.to_owned(), ..Self::default() })
    }

    /// What the client's own thread does while the process runs.
    pub(crate) fn sign_of_life(&self, broker: &RefCell<Broker>, now: i64) {
        if let Some(member) = self.member.get() {
            broker.borrow_mut().group.beat(&self.name, member, now);
        }
    }

    /// Whether its offsets would be taken now, so that what it holds is the truth.
    pub(crate) fn owns(&self, broker: &RefCell<Broker>) -> bool {
        let captured = self.captured.get();
        captured.is_some_and(|(id, generation)| broker.borrow().group.accepts(&self.name, id, generation))
    }

    pub(crate) fn take_touched(&self) -> bool {
        self.touched.take()
    }
}
