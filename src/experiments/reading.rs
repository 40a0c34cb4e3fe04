//! Decisions and completions of an experiment, read without a group from its start on.
//!
//! Blocking, and for one thread.

use super::report::Report;
use super::tally::Tally;
use crate::contract::{Codec, Experiment, Registry, Undecided, WireRecord};
use crate::kafka::tail::{Next, Start, Tail};
use crate::kafka::{Connection, KafkaFault};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// Clocks of workers and of whoever started the experiment may differ by so much, in milliseconds.
const SKEW: i64 = 60_000;
/// One wait for a record.
const WAIT: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub enum ReadingFault {
    #[error(transparent)]
    Kafka(#[from] KafkaFault),
    #[error("the schema registry does not answer: {0}")]
    Registry(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Topic {
    Decisions,
    Completions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Took,
    /// Nothing came for a moment.
    Idle,
    /// All is read that was there when the reading began; said once.
    AtEnd,
}

/// A reading under way.
#[derive(Debug)]
pub struct Reading {
    decisions: Tail,
    completions: Tail,
    codec: Codec,
    registry: Registry,
    runtime: Handle,
    tally: Tally,
    /// Records that nobody can read.
    unreadable: u64,
}

impl Reading {
    /// Begins at the experiment's start.
    ///
    /// # Errors
    /// [`ReadingFault`]
    pub fn open(
        kafka: &Connection,
        codec: &Codec,
        registry: &Registry,
        runtime: &Handle,
        experiment: &Experiment,
    ) -> Result<Self, ReadingFault> {
        let start = Start::Since(experiment.started_at - SKEW);
        let open = |name: &str| Tail::open(kafka, &format!("{}.{name}", kafka.prefix), None, start);
        Ok(Self {
            decisions: open("routing-decisions")?,
            completions: open("completions")?,
            codec: codec.clone(),
            registry: registry.clone(),
            runtime: runtime.clone(),
            tally: Tally::new(experiment),
            unreadable: 0,
        })
    }

    /// Reads all that is there.
    ///
    /// # Errors
    /// [`ReadingFault`]
    pub fn read_all(&mut self) -> Result<(), ReadingFault> {
        // In this order: of what ends in between the decision is known.
        for topic in [Topic::Decisions, Topic::Completions] {
            while self.step(topic)? != Step::AtEnd {}
        }
        Ok(())
    }

    /// Reads on for at most so long; says whether that was all there is.
    ///
    /// # Errors
    /// [`ReadingFault`]
    pub fn go_on(&mut self, at_most: Duration) -> Result<bool, ReadingFault> {
        let until = Instant::now() + at_most;
        for topic in [Topic::Decisions, Topic::Completions] {
            while self.step(topic)? == Step::Took {
                if Instant::now() >= until {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// What the experiment, as it is now, has shown.
    #[must_use]
    pub fn report(&self, experiment: &Experiment) -> Report {
        Report::new(experiment, &self.tally)
    }

    /// Records that nobody can read, and that count for nothing.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// Takes one record, if there is one.
    fn step(&mut self, topic: Topic) -> Result<Step, ReadingFault> {
        let tail = match topic {
            Topic::Decisions => &mut self.decisions,
            Topic::Completions => &mut self.completions,
        };
        let value = match tail.next(WAIT)? {
            Next::Record(record) => record.value.unwrap_or_default(),
            Next::End => return Ok(Step::AtEnd),
            Next::Idle => return Ok(Step::Idle),
        };
        match topic {
            Topic::Decisions => self.decode(&value)?.iter().for_each(|decision| self.tally.decided(decision)),
            Topic::Completions => self.decode(&value)?.iter().for_each(|completion| self.tally.completed(completion)),
        }
        Ok(Step::Took)
    }

    fn decode<T: WireRecord>(&mut self, value: &[u8]) -> Result<Option<T>, ReadingFault> {
        loop {
            match self.codec.decode(value) {
                Ok(record) => return Ok(Some(record)),
                Err(Undecided::Refused(refusal)) => {
                    tracing::warn!(%refusal, "a record cannot be read and counts for no experiment");
                    self.unreadable += 1;
                    return Ok(None);
                }
                Err(Undecided::NeedsSchema(id)) => {
                    let learned = self.runtime.block_on(self.registry.learn(id, self.codec.cache()));
                    learned.map_err(|error| ReadingFault::Registry(error.to_string()))?;
                }
            }
        }
    }
}
