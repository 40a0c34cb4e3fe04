//! `baton dlq replay`: dead letters go back to the topic they were refused from.
//!
//! A letter and the mark that it was replayed are one transaction, and the marks are read once no other replayer can write
//! any more: whatever interrupts this, the next one goes on where it ended, and nothing is replayed twice.

use super::letters::{self, ENDING, Letter, replays};
use super::list::row;
use crate::cli::Done;
use crate::cli::args::ReplayArgs;
use crate::cli::context::{Context, WrongUse};
use crate::cli::follow::follow;
use crate::cli::output::{self, Format};
use crate::cli::progress::Progress;
use crate::cli::records::{Records, header};
use crate::contract::{
    ARRIVED, Codec, DLQ_OFFSET, DLQ_PARTITION, REPLAYED, REPLAYS, RawRecord, TopicSpec, Undecided, home_partition,
    is_records_own, made_id,
};
use crate::kafka::admin::Admin;
use crate::kafka::sole_writer::{Outcome, Outgoing, SoleWriter};
use crate::kafka::tail::{Next, Start, Tailed};
use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, IsTerminal};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

/// As many as anybody would do by hand: no more are replayed without being asked.
const HANDFUL: usize = 10;
/// Letters in one transaction at most, and bytes of their values after which it is full.
const BATCH: usize = 100;
const BATCH_BYTES: usize = 4 << 20;
/// Letters between the reader and the writer.
const READ_AHEAD: usize = 16;

pub(super) async fn run(context: &Context, args: ReplayArgs) -> anyhow::Result<Done> {
    // Before anything is read: nobody else replays from here on.
    let kafka = context.config.kafka.clone();
    let replayer =
        if args.dry_run { None } else { Some(spawn_blocking(move || SoleWriter::start(&kafka, "replay")).await??) };
    let letters = letters::read(context, &args.filter).await?;
    let mut plan: Vec<(Letter, Fate)> = letters
        .into_iter()
        .map(|letter| {
            let fate = fate(context, &letter, args.max_replays);
            (letter, fate)
        })
        .collect();
    if let Some(replayer) = replayer {
        let count = plan.iter().filter(|(_, fate)| *fate == Fate::Due).count();
        if count > HANDFUL && !args.yes && !confirmed(count)? {
            output::note("nothing was replayed");
            return Ok(Done::Badly);
        }
        replay(context, replayer, &mut plan, count, args.rate).await?;
    }
    tell(&plan, args.format.format, args.dry_run)?;
    let failed = plan.iter().any(|(_, fate)| matches!(fate, Fate::TooLarge | Fate::Gone));
    Ok(if failed { Done::Badly } else { Done::Well })
}

/// What becomes of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Due,
    Replayed,
    Before,
    TooOften,
    NotOurs,
    TooLarge,
    Gone,
}

impl Fate {
    fn words(self) -> &'static str {
        match self {
            Self::Due => "to be replayed",
            Self::Replayed => "replayed",
            Self::Before => "left alone: replayed before",
            Self::TooOften => "left alone: replayed too often (--max-replays)",
            Self::NotOurs => "left alone: from a topic of others",
            Self::TooLarge => "left alone: too large for its topic with one header more",
            Self::Gone => "left alone: not in its topic any more",
        }
    }
}

fn fate(context: &Context, letter: &Letter, max_replays: u32) -> Fate {
    if came_from(context, &letter.record.topic).is_none() {
        Fate::NotOurs
    } else if letter.replayed {
        Fate::Before
    } else if letter.replays() >= max_replays {
        Fate::TooOften
    } else {
        Fate::Due
    }
}

/// Which of our topics has its dead letters there; what a letter says of itself anybody may have written.
fn came_from(context: &Context, topic: &str) -> Option<&'static TopicSpec> {
    let name = context.suffix(topic)?.strip_suffix(ENDING)?;
    TopicSpec::built_in().iter().find(|spec| spec.dead_letters && spec.name == name)
}

fn confirmed(count: usize) -> anyhow::Result<bool> {
    let question = format!("{count} dead letters are to be replayed");
    if !std::io::stdin().is_terminal() {
        return Err(WrongUse(format!("{question}; say --yes, or narrow them down (--dry-run shows them)")).into());
    }
    output::note(format!("{question}. Go on? [y/N]"));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

async fn replay(
    context: &Context,
    replayer: SoleWriter,
    plan: &mut [(Letter, Fate)],
    count: usize,
    rate: Option<u32>,
) -> anyhow::Result<()> {
    // By partition and offset, and where in the plan.
    let mut due: BTreeMap<(String, i32), BTreeMap<i64, usize>> = BTreeMap::new();
    for (place, (letter, _)) in plan.iter().enumerate().filter(|(_, (_, fate))| *fate == Fate::Due) {
        let record = &letter.record;
        due.entry((record.topic.clone(), record.partition)).or_default().insert(record.offset, place);
    }
    let mut writer = Writer::new(context, replayer, count, rate)?;
    for ((dlq, partition), mut left) in due {
        let spec = came_from(context, &dlq).context("only letters of our own topics are due")?;
        let target = spec.topic(&context.config.kafka.prefix);
        let partitions = Admin::new(&context.config.kafka)?.topic(&target).await?;
        let partitions = partitions.with_context(|| format!("the topic {target} is not there"))?.partitions;
        let back = Back { target: target.into(), name: &spec.name, partitions };
        let Some((first, _)) = left.first_key_value() else { continue };
        let (sender, mut news) = mpsc::channel(READ_AHEAD);
        let wanted: BTreeSet<i64> = left.keys().copied().collect();
        let found = move |next| match next {
            Ok(Next::Record(letter)) if wanted.contains(&letter.offset) => Some(Ok(Some(letter))),
            Ok(Next::Record(_) | Next::Idle) => None,
            Ok(Next::End) => Some(Ok(None)),
            Err(fault) => Some(Err(fault)),
        };
        let suffix = format!("{}{ENDING}", spec.name);
        follow(context, &suffix, Some(vec![partition]), Start::At(*first), &sender, found).await?;
        while !left.is_empty() {
            match news.recv().await {
                Some(Ok(Some(letter))) => {
                    let Some(place) = left.remove(&letter.offset) else { continue };
                    let record = writer.record(&letter, &back).await?;
                    writer.add(place, record, mark(&letter, place), plan).await?;
                }
                Some(Ok(None)) | None => break,
                Some(Err(fault)) => return Err(fault.into()),
            }
        }
        writer.write(plan).await?;
        left.into_values().for_each(|place| plan[place].1 = Fate::Gone);
    }
    writer.progress.finish();
    Ok(())
}

/// The way back of one topic's letters.
struct Back<'a> {
    target: Arc<str>,
    /// Without the prefix.
    name: &'a str,
    partitions: i32,
}

struct Writer<'a> {
    records: Records<'a>,
    codec: Codec,
    /// None while a transaction is under way on its thread.
    replayer: Option<SoleWriter>,
    batch: Vec<(usize, [Outgoing; 2])>,
    bytes: usize,
    most: usize,
    rate: Option<u32>,
    began: Instant,
    done: usize,
    progress: Progress,
}

impl<'a> Writer<'a> {
    fn new(context: &'a Context, replayer: SoleWriter, count: usize, rate: Option<u32>) -> anyhow::Result<Self> {
        let records = Records::new(context)?;
        Ok(Self {
            codec: Codec::new(&context.config.kafka.prefix, [], Arc::clone(records.schemas())),
            records,
            replayer: Some(replayer),
            batch: Vec::new(),
            bytes: 0,
            most: rate.map_or(BATCH, |rate| BATCH.min(rate as usize)),
            rate,
            began: Instant::now(),
            done: 0,
            progress: Progress::new(count, "dead letters are replayed"),
        })
    }

    /// The record as it was, on the way back to where its task lives.
    async fn record(&self, letter: &Tailed, back: &Back<'_>) -> anyhow::Result<Outgoing> {
        let number = |name| header(letter, name).and_then(|text| text.parse::<i64>().ok());
        let partition = number(DLQ_PARTITION).and_then(|partition| i32::try_from(partition).ok()).unwrap_or_default();
        let was = RawRecord {
            topic: &back.target,
            partition,
            offset: number(DLQ_OFFSET).unwrap_or_default(),
            timestamp_ms: letter.timestamp.unwrap_or_default(),
            key: letter.key.as_deref(),
            value: letter.value.as_deref(),
            arrived: header(letter, ARRIVED),
        };
        let task_id = self.task_id(&was, back.name).await?;
        // Without it, it would be another task at each place it comes to lie.
        let made = task_id.as_ref().filter(|id| back.name == "tasks" && **id == made_id(&was));
        let key = made.map(|id| id.clone().into_bytes()).or_else(|| letter.key.clone());
        // Where no id can be read it is judged where it was.
        let home =
            task_id.map_or_else(|| partition.rem_euclid(back.partitions), |id| home_partition(&id, back.partitions));
        let own = letter.headers.iter().filter(|(name, _)| is_records_own(name)).cloned();
        let count = (replays(letter) + 1).to_string().into_bytes();
        Ok(Outgoing {
            topic: Arc::clone(&back.target),
            partition: home,
            key,
            value: letter.value.clone(),
            headers: own.map(|(name, value)| (name.into(), value)).chain([(REPLAYS.into(), Some(count))]).collect(),
            timestamp: None,
            origin: 0,
        })
    }

    async fn task_id(&self, was: &RawRecord<'_>, name: &str) -> anyhow::Result<Option<String>> {
        loop {
            let read = match name {
                "tasks" => self.codec.decode_task(was).map(|read| read.task_id),
                "task-commands" => self.codec.decode_command(was).map(|read| read.task_id),
                _ => self.codec.decode_report(was).map(|read| read.task_id),
            };
            match read {
                Ok(id) => return Ok(Some(id)),
                Err(Undecided::Refused(_)) => return Ok(None),
                Err(Undecided::NeedsSchema(id)) => self.records.learn(id).await?,
            }
        }
    }

    async fn add(
        &mut self,
        place: usize,
        record: Outgoing,
        mark: Outgoing,
        plan: &mut [(Letter, Fate)],
    ) -> anyhow::Result<()> {
        self.bytes += record.value.as_ref().map_or(0, Vec::len);
        self.batch.push((place, [Outgoing { origin: place, ..record }, mark]));
        if self.batch.len() >= self.most || self.bytes >= BATCH_BYTES { self.write(plan).await } else { Ok(()) }
    }

    /// One transaction of what has come together, and another without it if one letter cannot be written.
    async fn write(&mut self, plan: &mut [(Letter, Fate)]) -> anyhow::Result<()> {
        let mut batch = std::mem::take(&mut self.batch);
        self.bytes = 0;
        while !batch.is_empty() {
            let replayer = self.replayer.take().context("an earlier transaction broke off")?;
            let records: Vec<Outgoing> = batch.iter().flat_map(|(_, records)| records.iter().cloned()).collect();
            let write = move || {
                let outcome = replayer.write(&records);
                (replayer, outcome)
            };
            let (replayer, outcome) = spawn_blocking(write).await?;
            let again = "what was replayed is marked: the same command goes on from there";
            match outcome {
                Outcome::Committed => {
                    self.done += batch.len();
                    batch.drain(..).for_each(|(place, _)| plan[place].1 = Fate::Replayed);
                }
                Outcome::Aborted { culprit: Some(place), .. } if replayer.refused_content() => {
                    batch.retain(|(other, _)| *other != place);
                    plan[place].1 = Fate::TooLarge;
                }
                Outcome::Aborted { reason, .. } => {
                    bail!("{} letters were replayed, then: {reason}; {again}", self.done);
                }
                Outcome::Unknown { reason } => bail!(
                    "{} letters were replayed and perhaps {} more, then: {reason} (does another replay run?); {again}",
                    self.done,
                    batch.len()
                ),
            }
            self.replayer = Some(replayer);
        }
        self.progress.step(self.done);
        if let Some(rate) = self.rate {
            tokio::time::sleep_until(self.began + Duration::from_secs(1) * self.done as u32 / rate).await;
        }
        Ok(())
    }
}

/// Beside the letter, so that it is kept for as long.
fn mark(letter: &Tailed, place: usize) -> Outgoing {
    Outgoing {
        topic: letter.topic.as_str().into(),
        partition: letter.partition,
        key: None,
        value: None,
        headers: vec![(REPLAYED.into(), Some(letter.offset.to_string().into_bytes()))],
        timestamp: None,
        origin: place,
    }
}

fn tell(plan: &[(Letter, Fate)], format: Format, dry_run: bool) -> anyhow::Result<()> {
    if dry_run || format == Format::Json {
        let row = |(letter, fate): &(Letter, Fate)| {
            let mut row = row(letter);
            row["fate"] = json!(fate.words());
            row
        };
        let columns = [
            ("TOPIC", "/topic"),
            ("PARTITION", "/partition"),
            ("OFFSET", "/offset"),
            ("KEY", "/key"),
            ("REASON", "/reason"),
            ("REPLAYS", "/replays"),
            ("FATE", "/fate"),
        ];
        output::listing(format, &columns, &plan.iter().map(row).collect::<Vec<Value>>())?;
        return Ok(());
    }
    let mut counts: BTreeMap<Fate, usize> = BTreeMap::from([(Fate::Replayed, 0)]);
    plan.iter().for_each(|(_, fate)| *counts.entry(*fate).or_default() += 1);
    for (fate, count) in counts {
        output::line(format!("{count} {}", fate.words()))?;
    }
    Ok(())
}
