//! A consumer group of static members under the eager protocol and the assignor `range`.

use std::collections::BTreeMap;

#[derive(Debug)]
struct Member {
    /// Another at each joining: who has an older one is stale.
    id: u64,
    heard: i64,
    rejoined: bool,
    assigned: Vec<i32>,
}

/// What a member hears when it gives a sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// All is as it was in this generation.
    Stable { generation: i64, assigned: Vec<i32> },
    /// Give everything back and join again.
    Rebalancing { rejoined: bool },
    /// The group does not know it any more.
    Unknown,
    /// Another has joined under its name.
    Fenced,
}

#[derive(Debug)]
pub(crate) struct Group {
    generation: i64,
    rebalancing: bool,
    members: BTreeMap<String, Member>,
    ids: u64,
    partitions: i32,
}

impl Group {
    pub(super) fn new(partitions: i32) -> Self {
        Self { generation: 0, rebalancing: false, members: BTreeMap::new(), ids: 0, partitions }
    }

    /// Joins under a name. Whoever comes back while nothing else changes gets what it had, and nobody else is told.
    pub(super) fn join(&mut self, name: &str, now: i64) -> u64 {
        self.ids += 1;
        let id = self.ids;
        match self.members.get_mut(name) {
            Some(member) => (member.id, member.heard, member.rejoined) = (id, now, true),
            None => {
                let member = Member { id, heard: now, rejoined: true, assigned: Vec::new() };
                self.members.insert(name.to_owned(), member);
                self.rebalance(name);
            }
        }
        self.settle();
        id
    }

    /// Joins again, with nothing in hand.
    pub(super) fn rejoin(&mut self, name: &str, id: u64) {
        if let Some(member) = self.members.get_mut(name).filter(|member| member.id == id) {
            member.rejoined = true;
            self.settle();
        }
    }

    pub(super) fn leave(&mut self, name: &str, id: u64) {
        if self.members.get(name).is_some_and(|member| member.id == id) {
            self.members.remove(name);
            self.rebalance("");
            self.settle();
        }
    }

    /// A sign of life, without an answer.
    pub(super) fn beat(&mut self, name: &str, id: u64, now: i64) {
        if let Some(member) = self.members.get_mut(name).filter(|member| member.id == id) {
            member.heard = now;
        }
    }

    pub(super) fn hear(&mut self, name: &str, id: u64, now: i64) -> Heard {
        match self.members.get_mut(name) {
            None => Heard::Unknown,
            Some(member) if member.id != id => Heard::Fenced,
            Some(member) => {
                member.heard = now;
                if self.rebalancing {
                    return Heard::Rebalancing { rejoined: member.rejoined };
                }
                Heard::Stable { generation: self.generation, assigned: member.assigned.clone() }
            }
        }
    }

    /// Forgets whom it has not heard of for a session.
    pub(super) fn expire(&mut self, now: i64, session: i64) -> bool {
        let before = self.members.len();
        self.members.retain(|_, member| now - member.heard <= session);
        let expired = self.members.len() < before;
        if expired {
            self.rebalance("");
            self.settle();
        }
        expired
    }

    /// Whether offsets of that member and generation are taken.
    pub(super) fn accepts(&self, name: &str, id: u64, generation: i64) -> bool {
        generation == self.generation && self.members.get(name).is_some_and(|member| member.id == id)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    fn rebalance(&mut self, but: &str) {
        self.rebalancing = true;
        for (name, member) in &mut self.members {
            member.rejoined = member.rejoined && (name == but);
        }
        // Who joined without anything in hand since has nothing to give back.
        for member in self.members.values_mut().filter(|member| member.assigned.is_empty()) {
            member.rejoined = true;
        }
    }

    fn settle(&mut self) {
        if !self.rebalancing || !self.members.values().all(|member| member.rejoined) {
            return;
        }
        self.generation += 1;
        self.rebalancing = false;
        let count = i32::try_from(self.members.len()).unwrap_or(i32::MAX);
        let mut next = 0;
        for (index, member) in (0..).zip(self.members.values_mut()) {
            let share = self.partitions / count + i32::from(index < self.partitions % count);
            member.assigned = (next..next + share).collect();
            member.rejoined = false;
            next += share;
        }
    }
}
