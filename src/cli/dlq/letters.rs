//! Dead letters as a person asks for them: filtered, each with whether it was replayed, nothing held of their values.

use crate::cli::args::LetterFilter;
use crate::cli::context::{Context, WrongUse};
use crate::cli::fresh::{millis, now_millis};
use crate::cli::records::{MOST, header};
use crate::contract::{DLQ_REASON, REPLAYED, REPLAYS, Reason};
use crate::kafka::admin::Admin;
use crate::kafka::tail::{self, Start, Tailed};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const ENDING: &str = ".dlq";

/// One letter, without its value.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) record: Tailed,
    /// Of its value, if it has one.
    pub(super) bytes: Option<usize>,
    /// Whether a mark says that it was replayed from here.
    pub(super) replayed: bool,
}

impl Letter {
    /// How often its record was replayed before it came to lie here.
    pub(super) fn replays(&self) -> u32 {
        replays(&self.record)
    }
}

pub(super) fn replays(record: &Tailed) -> u32 {
    header(record, REPLAYS).and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// The letters of all topics of dead letters that are asked for, oldest first.
pub(super) async fn read(context: &Context, filter: &LetterFilter) -> anyhow::Result<Vec<Letter>> {
    let reason = filter.reason.as_deref().map(known_reason).transpose()?;
    let start = match (filter.since, filter.offset) {
        (Some(since), _) => Start::Since(now_millis() - millis(since)),
        (None, Some(offset)) => Start::At(offset),
        (None, None) => Start::Beginning,
    };
    let mut letters = Vec::new();
    for topic in topics(context, filter).await? {
        let partitions = filter.partition.map(|partition| vec![partition]);
        let found = Found { offset: filter.offset, reason, ..Found::default() };
        let found = tail::fold(&context.config.kafka, &topic, partitions, start, found, Found::take).await?;
        letters.extend(found.letters());
    }
    letters.sort_by_key(|letter| (letter.record.timestamp, letter.record.partition, letter.record.offset));
    Ok(letters)
}

async fn topics(context: &Context, filter: &LetterFilter) -> anyhow::Result<Vec<String>> {
    if let Some(topic) = &filter.topic {
        return Ok(vec![dlq_of(context, topic)]);
    }
    let cluster = Admin::new(&context.config.kafka)?.cluster().await?;
    let ours = |name: &String| name.ends_with(ENDING) && context.suffix(name).is_some();
    Ok(cluster.topics.into_iter().map(|topic| topic.name).filter(ours).collect())
}

/// What was found of one topic.
#[derive(Default)]
struct Found {
    offset: Option<i64>,
    reason: Option<Reason>,
    /// By where they lie; a partition's oldest go if there are too many.
    letters: BTreeMap<(i32, i64), (Tailed, Option<usize>)>,
    replayed: BTreeSet<(i32, i64)>,
}

impl Found {
    fn take(mut self, mut record: Tailed) -> Self {
        if let Some(offset) = mark(&record) {
            self.replayed.insert((record.partition, offset));
        } else if self.offset.is_none_or(|offset| record.offset == offset)
            && self.reason.is_none_or(|reason| header(&record, DLQ_REASON) == Some(reason.as_str()))
        {
            let bytes = record.value.take().map(|value| value.len());
            self.letters.insert((record.partition, record.offset), (record, bytes));
            if self.letters.len() > MOST {
                self.letters.pop_first();
            }
        }
        self
    }

    fn letters(self) -> impl Iterator<Item = Letter> {
        let Self { letters, replayed, .. } = self;
        let letter = move |(place, (record, bytes))| Letter { record, bytes, replayed: replayed.contains(&place) };
        letters.into_iter().map(letter)
    }
}

/// The offset of the letter that was replayed, if the record is a mark of that.
pub(super) fn mark(record: &Tailed) -> Option<i64> {
    if record.key.is_some() || record.value.is_some() || header(record, DLQ_REASON).is_some() {
        return None;
    }
    header(record, REPLAYED)?.parse().ok()
}

/// A topic of dead letters, by the name of it or of the one they are from.
pub(super) fn dlq_of(context: &Context, topic: &str) -> String {
    let topic = context.topic_named(topic);
    if topic.ends_with(ENDING) { topic } else { format!("{topic}{ENDING}") }
}

fn known_reason(given: &str) -> anyhow::Result<Reason> {
    let known = Reason::ALL.into_iter().find(|reason| reason.as_str().eq_ignore_ascii_case(given.trim()));
    known.ok_or_else(|| {
        let all = Reason::ALL.map(Reason::as_str).join(", ");
        WrongUse(format!("--reason {given}: is none of {all}")).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: i64, value: Option<&[u8]>, headers: &[(&str, &str)]) -> Tailed {
        let header = |(name, value): &(&str, &str)| ((*name).to_owned(), Some(value.as_bytes().to_vec()));
        Tailed {
            topic: "baton.tasks.dlq".to_owned(),
            partition: 2,
            offset,
            timestamp: None,
            key: None,
            value: value.map(<[u8]>::to_vec),
            headers: headers.iter().map(header).collect(),
        }
    }

    #[test]
    fn a_mark_is_no_letter_and_tells_which_one_was_replayed() {
        let all = [
            record(0, Some(b"a"), &[(DLQ_REASON, "INVALID"), (REPLAYS, "2")]),
            record(1, Some(b"bc"), &[(DLQ_REASON, "INVALID")]),
            record(2, None, &[(REPLAYED, "0")]),
            // A tombstone that was refused is a letter like any other, whatever its sender wrote on it.
            record(3, None, &[(DLQ_REASON, "INVALID"), (REPLAYED, "1")]),
            record(4, Some(b""), &[(DLQ_REASON, "ID")]),
        ];
        let found = |reason| {
            let found = Found { reason, ..Found::default() };
            let letters = all.iter().cloned().fold(found, Found::take).letters();
            letters.map(|it| (it.record.offset, it.bytes, it.replayed, it.replays())).collect::<Vec<_>>()
        };
        let invalid = [(0, Some(1), true, 2), (1, Some(2), false, 0), (3, None, false, 0)];
        assert_eq!(found(Some(Reason::Invalid)), invalid);
        assert_eq!(found(None).len(), 4);
    }
}
