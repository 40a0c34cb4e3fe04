//! What Baton says of itself, and what it wrote, read from outside.

use super::place::{Place, watermarks};
use super::support::{self, Worker};
use super::workload::Workload;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::Duration;

/// `baton_transaction_seconds`: how many took at most so long.
#[derive(Clone, Debug)]
pub(crate) struct Histogram(Vec<(f64, f64)>);

impl Histogram {
    pub(crate) fn read(worker: &Worker) -> Self {
        let (_, body) = support::get(&worker.url("/metrics")).expect("the worker shows its metrics");
        let bucket = |line: &str| {
            let (bound, count) = line.strip_prefix("baton_transaction_seconds_bucket{le=\"")?.split_once("\"} ")?;
            Some((bound.parse().unwrap_or(f64::INFINITY), count.parse().ok()?))
        };
        Self(body.lines().filter_map(bucket).collect())
    }

    pub(crate) fn since(&self, before: &Self) -> Self {
        Self(self.0.iter().zip(&before.0).map(|(now, before)| (now.0, now.1 - before.1)).collect())
    }

    pub(crate) fn count(&self) -> f64 {
        self.0.last().map_or(0.0, |last| last.1)
    }

    /// In milliseconds, evenly spread within a bucket.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let wanted = self.count() * share;
        let mut below = (0.0, 0.0);
        for (bound, count) in &self.0 {
            if *count >= wanted {
                let part = (wanted - below.1) / (count - below.1).max(1.0);
                return (below.0 + (bound - below.0) * part) * 1e3;
            }
            below = (*bound, *count);
        }
        f64::INFINITY
    }
}

const INPUTS: [&str; 2] = ["tasks", "agent-status"];
const OUTPUTS: [&str; 5] = ["routing-decisions", "task-events", "completions", "agent-outcomes", "task-state"];

/// Records and bytes of a stretch, by topic without prefix.
#[derive(Debug, Default)]
pub(crate) struct Sizes(BTreeMap<String, Size>);

#[derive(Debug, Default)]
struct Size {
    records: usize,
    bytes: usize,
    headers: usize,
    value_bytes: usize,
}

type Ends = BTreeMap<(String, i32), i64>;

impl Sizes {
    fn topics(workload: Workload) -> Vec<String> {
        INPUTS.iter().chain(&OUTPUTS).map(|topic| (*topic).to_owned()).chain(workload.topics()).collect()
    }

    pub(crate) fn ends(place: &Place, workload: Workload) -> Ends {
        let reader = place.reader(&[], false);
        let of = |topic: String| {
            let ends = watermarks(&reader, &place.topic(&topic));
            ends.into_iter().map(move |(partition, (_, end))| ((topic.clone(), partition), end))
        };
        Self::topics(workload).into_iter().flat_map(of).collect()
    }

    /// Reads everything committed since `before`.
    pub(crate) fn read(place: &Place, workload: Workload, before: &Ends) -> Self {
        let after = Self::ends(place, workload);
        let reader: BaseConsumer = place.reader(&[], false);
        let mut list = TopicPartitionList::new();
        let mut left: BTreeMap<(String, i32), i64> = BTreeMap::new();
        for ((topic, partition), end) in after {
            let from = before[&(topic.clone(), partition)];
            if from < end {
                let name = place.topic(&topic);
                list.add_partition_offset(&name, partition, Offset::Offset(from)).expect("an offset is a number");
                left.insert((name, partition), end);
            }
        }
        reader.assign(&list).expect("partitions can be assigned");
        let mut sizes = Self::default();
        while !left.is_empty() {
            let Some(message) = reader.poll(Duration::from_millis(50)) else {
                // Markers of transactions are no records: the position says where reading is.
                for one in reader.position().expect("a position").elements() {
                    let place = (one.topic().to_owned(), one.partition());
                    if let (Offset::Offset(position), Some(end)) = (one.offset(), left.get(&place))
                        && position + 1 >= *end
                    {
                        left.remove(&place);
                    }
                }
                continue;
            };
            let message = message.expect("records can be read");
            let topic = message.topic().strip_prefix(&place.prefix).expect("ours")[1..].to_owned();
            let size = sizes.0.entry(topic).or_default();
            let headers = message.headers().map_or(0, |headers| {
                size.headers += headers.count();
                headers.iter().map(|one| one.key.len() + one.value.map_or(0, <[u8]>::len)).sum()
            });
            let value = message.payload().map_or(0, <[u8]>::len);
            size.records += 1;
            size.value_bytes += value;
            size.bytes += headers + message.key().map_or(0, <[u8]>::len) + value;
        }
        sizes
    }

    pub(crate) fn print(&self, inputs: usize) {
        println!("records per input, mean bytes (of which value), headers:");
        let (mut records, mut bytes) = (0, 0);
        let mut show = |name: &str, all: &[&Size]| {
            let sum = |of: fn(&Size) -> usize| all.iter().map(|size| of(size)).sum::<usize>();
            let count = sum(|size| size.records);
            if count == 0 {
                return;
            }
            let mean = |of: fn(&Size) -> usize| sum(of) / count;
            println!(
                "  {name:<18} {:.2}  {:>5} ({:>4})  {}",
                count as f64 / inputs as f64,
                mean(|size| size.bytes),
                mean(|size| size.value_bytes),
                mean(|size| size.headers)
            );
            if !INPUTS.contains(&name) {
                records += count;
                bytes += sum(|size| size.bytes);
            }
        };
        for name in INPUTS.iter().chain(&OUTPUTS) {
            show(name, &self.0.get(*name).into_iter().collect::<Vec<_>>());
        }
        let assignments = self.0.iter().filter(|(name, _)| name.starts_with("assignments."));
        show("assignments.*", &assignments.map(|(_, size)| size).collect::<Vec<_>>());
        println!("  written in all     {:.2} records, {} B", records as f64 / inputs as f64, bytes / inputs.max(1));
    }

    /// Bytes of a topic's records on average.
    pub(crate) fn mean(&self, topic: &str) -> usize {
        self.0.get(topic).map_or(0, |size| size.bytes / size.records.max(1))
    }

    /// Headers of a topic's records on average.
    pub(crate) fn headers(&self, topic: &str) -> usize {
        self.0.get(topic).map_or(0, |size| size.headers / size.records.max(1))
    }

    /// Topic, records and mean bytes of what was written.
    pub(crate) fn written(&self) -> impl Iterator<Item = (&str, usize, usize)> {
        let outputs = self.0.iter().filter(|(topic, _)| !INPUTS.contains(&topic.as_str()));
        outputs.map(|(topic, size)| (topic.as_str(), size.records, size.bytes / size.records.max(1)))
    }
}
