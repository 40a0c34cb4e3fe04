//! Follows the completions of the tasks just handed in.

use super::draft::Draft;
use crate::cli::Done;
use crate::cli::args::SubmitArgs;
use crate::cli::context::Context;
use crate::cli::output::{self, Format};
use crate::cli::records::Records;
use crate::kafka::KafkaFault;
use crate::kafka::tail::{Next, Start, Tail, Tailed};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Where nobody watches, progress is a line at most this often.
const SAY_EVERY: Duration = Duration::from_secs(5);

pub(super) struct Waiter<'a> {
    records: Records<'a>,
    tail: Tail,
    ids: Vec<String>,
    /// What had ended under the same id before, should this be the same task once more: then no other completion comes.
    earlier: Option<Value>,
}

impl<'a> Waiter<'a> {
    /// `given`: whether the id was chosen by the caller and so may have been used before.
    pub(super) async fn open(context: &'a Context, drafts: &[Draft], given: bool) -> anyhow::Result<Self> {
        let records = Records::new(context)?;
        let (kafka, topic) = (context.config.kafka.clone(), context.topic("completions"));
        let tail = tokio::task::spawn_blocking(move || Tail::open(&kafka, &topic, None, Start::End)).await??;
        let ids: Vec<String> = drafts.iter().map(|draft| draft.task_id.clone()).collect();
        let earlier = match ids.first() {
            Some(id) if given => records.of_task("completions", id).await?.pop().map(|shown| shown.value),
            _ => None,
        };
        Ok(Self { records, tail, ids, earlier })
    }

    pub(super) async fn follow(self, args: &SubmitArgs) -> anyhow::Result<Done> {
        let Self { records, tail, ids, earlier } = self;
        let (sender, mut receiver) = mpsc::channel(1_000);
        let wanted: BTreeSet<Vec<u8>> = ids.iter().map(|id| id.clone().into_bytes()).collect();
        let reading = tokio::task::spawn_blocking(move || read(tail, &wanted, &sender));
        let deadline = args.timeout.map(|timeout| tokio::time::Instant::now() + timeout);
        let mut progress = Progress::new(ids.len());
        let mut ended: BTreeMap<String, Value> = BTreeMap::new();
        while ended.len() < ids.len() {
            let next = async {
                match deadline {
                    Some(deadline) => tokio::time::timeout_at(deadline, receiver.recv()).await.unwrap_or(None),
                    None => receiver.recv().await,
                }
            };
            let Some(record) = next.await else { break };
            let completion = records.value(record.value.as_deref()).await?;
            let id = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
            if ended.insert(id.clone(), completion).is_none() {
                progress.step(ended.len());
                if args.format.format == Format::Table {
                    progress.hidden(|| output::line(summary(&id, &ended[&id])))?;
                }
            }
        }
        drop(receiver);
        progress.finish();
        reading.await??;
        report(&ids, &ended, earlier.as_ref(), args)
    }
}

/// Ends when nobody listens any more.
fn read(mut tail: Tail, wanted: &BTreeSet<Vec<u8>>, sender: &mpsc::Sender<Tailed>) -> Result<(), KafkaFault> {
    while !sender.is_closed() {
        if let Next::Record(record) = tail.next(Duration::from_millis(200))?
            && record.key.as_ref().is_some_and(|key| wanted.contains(key))
            && sender.blocking_send(record).is_err()
        {
            break;
        }
    }
    Ok(())
}

fn report(
    ids: &[String],
    ended: &BTreeMap<String, Value>,
    earlier: Option<&Value>,
    args: &SubmitArgs,
) -> anyhow::Result<Done> {
    if args.format.format == Format::Json {
        let all: Vec<Value> = ids
            .iter()
            .map(|id| ended.get(id).cloned().unwrap_or_else(|| json!({ "taskId": id, "outcome": null })))
            .collect();
        output::line(serde_json::to_string_pretty(&all)?)?;
    }
    let open: Vec<&String> = ids.iter().filter(|id| !ended.contains_key(*id)).collect();
    if !open.is_empty() {
        let shown: Vec<&str> = open.iter().take(10).map(|id| id.as_str()).collect();
        output::note(format!(
            "{} of {} tasks have not ended within the time given: {}{}; look with `baton tasks show ID`",
            open.len(),
            ids.len(),
            shown.join(", "),
            if open.len() > shown.len() { ", …" } else { "" },
        ));
        if let (Some(earlier), Some(id)) = (earlier, open.first()) {
            output::note(format!(
                "a task of that id had ended before: {}; the same task handed in again changes nothing",
                summary(id, earlier)
            ));
        }
    }
    let well = ids.iter().all(|id| ended.get(id).is_some_and(|completion| completion["outcome"] == "SUCCEEDED"));
    Ok(if well { Done::Well } else { Done::Badly })
}

/// One line: the id, how it ended, and the result or why there is none.
fn summary(id: &str, completion: &Value) -> String {
    let text = |field: &str| completion[field].as_str().unwrap_or_default();
    let outcome = text("outcome");
    let said = match (outcome, text("reason")) {
        ("SUCCEEDED" | "PARTIAL", _) => text("result").to_owned(),
        (_, reason) => format!("{reason}: {}", text("message")),
    };
    format!("{id}  {outcome}  {}", output::safe(&said))
}

/// A bar where somebody watches, plain lines otherwise.
struct Progress {
    bar: Option<ProgressBar>,
    total: usize,
    said: Instant,
}

impl Progress {
    fn new(total: usize) -> Self {
        let bar = output::is_watched().then(|| {
            let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} ended  {elapsed}");
            bar.set_style(style.expect("the template is a constant"));
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Self { bar, total, said: Instant::now() }
    }

    fn step(&mut self, ended: usize) {
        if let Some(bar) = &self.bar {
            bar.set_position(ended as u64);
        } else if self.total > 1 && (ended == self.total || self.said.elapsed() >= SAY_EVERY) {
            self.said = Instant::now();
            output::note(format!("{ended} of {} tasks have ended", self.total));
        }
    }

    /// Takes the bar away while something else is printed.
    fn hidden<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_gives_the_result_or_why_there_is_none() {
        let well = json!({ "outcome": "SUCCEEDED", "reason": "done", "result": "{\"a\":1}" });
        assert_eq!(summary("t", &well), "t  SUCCEEDED  {\"a\":1}");
        let badly = json!({ "outcome": "FAILED", "reason": "budget_hops", "message": "20 hops are spent" });
        assert_eq!(summary("t", &badly), "t  FAILED  budget_hops: 20 hops are spent");
    }
}
