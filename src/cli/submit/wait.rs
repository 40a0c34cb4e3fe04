//! Follows the completions of the tasks just handed in.
//!
//! An id that was given may have been used before. The same task once more changes nothing, so that no completion comes:
//! then the earlier one is the answer. Another task under that id is a dead letter, and what comes for the id is not ours.

use super::draft::Draft;
use crate::cli::Done;
use crate::cli::args::SubmitArgs;
use crate::cli::context::Context;
use crate::cli::follow::{AHEAD, follow};
use crate::cli::output::{self, Format};
use crate::cli::progress::Progress;
use crate::cli::records::{Records, header};
use crate::contract::{DLQ_DETAIL, DLQ_REASON, Reason};
use crate::kafka::KafkaFault;
use crate::kafka::tail::{Next, Start, Tailed};
use serde_json::{Value, json};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A task that had ended before and shows no sign of being worked on for this long will not be: it was the same once more.
const SIGN: Duration = Duration::from_secs(10);

/// What comes of one of our tasks.
enum News {
    Completion(Tailed),
    /// It is worked on.
    Sign(String),
    /// The id is in use by another task.
    Refused(String, String),
    /// A reader cannot go on.
    Broken(KafkaFault),
}

pub(super) struct Waiter<'a> {
    records: Records<'a>,
    ids: Vec<String>,
    news: mpsc::Receiver<News>,
    readers: Vec<JoinHandle<()>>,
    /// What had ended under the same id before.
    earlier: BTreeMap<String, Value>,
}

impl<'a> Waiter<'a> {
    /// To be opened before anything is sent.
    pub(super) async fn open(context: &'a Context, drafts: &[Draft]) -> anyhow::Result<Self> {
        let records = Records::new(context)?;
        let ids: Vec<String> = drafts.iter().map(|draft| draft.task_id.clone()).collect();
        let given: BTreeSet<Vec<u8>> =
            drafts.iter().filter(|draft| draft.given).map(|draft| draft.task_id.clone().into_bytes()).collect();
        let mut earlier = BTreeMap::new();
        if !given.is_empty() {
            let wanted = given.clone();
            let of_given = move |record: &Tailed| record.key.as_ref().is_some_and(|key| wanted.contains(key));
            for shown in records.read("completions", Start::Beginning, of_given).await? {
                earlier.insert(id_of(&shown.record), shown.value);
            }
        }
        let (sender, news) = mpsc::channel(AHEAD);
        let all: Arc<BTreeSet<Vec<u8>>> = Arc::new(ids.iter().map(|id| id.clone().into_bytes()).collect());
        let mut readers =
            vec![listen(context, "completions", &all, &sender, |record| Some(News::Completion(record))).await?];
        if !given.is_empty() {
            let given = Arc::new(given);
            readers.push(listen(context, "tasks.dlq", &given, &sender, refused).await?);
            let sign = |record: Tailed| Some(News::Sign(id_of(&record)));
            readers.push(listen(context, "task-events", &given, &sender, sign).await?);
        }
        Ok(Self { records, ids, news, readers, earlier })
    }

    pub(super) async fn follow(self, args: &SubmitArgs) -> anyhow::Result<Done> {
        let Self { records, ids, mut news, readers, mut earlier } = self;
        let now = tokio::time::Instant::now();
        let (deadline, mut sign_by) = (args.timeout.map(|timeout| now + timeout), Some(now + SIGN));
        let mut progress = Progress::new(ids.len(), "tasks have ended");
        let mut ended: BTreeMap<String, Value> = BTreeMap::new();
        while ended.len() < ids.len() {
            let mut last = Vec::new();
            tokio::select! {
                what = news.recv() => match what {
                    Some(News::Completion(record)) => {
                        last.push((id_of(&record), records.value(record.value.as_deref()).await?));
                    }
                    Some(News::Sign(id)) => drop(earlier.remove(&id)),
                    Some(News::Refused(id, why)) => {
                        last.push((id.clone(), json!({
                            "taskId": id, "outcome": "REJECTED", "reason": "duplicate", "message": why,
                        })));
                    }
                    Some(News::Broken(fault)) => return Err(fault.into()),
                    None => break,
                },
                () = at(sign_by) => {
                    sign_by = None;
                    last.extend(std::mem::take(&mut earlier));
                }
                () = at(deadline) => break,
            }
            for (id, completion) in last {
                if let Entry::Vacant(place) = ended.entry(id) {
                    if args.format.format == Format::Table {
                        progress.hidden(|| output::line(summary(place.key(), &completion)))?;
                    }
                    place.insert(completion);
                    progress.step(ended.len());
                }
            }
        }
        drop(news);
        progress.finish();
        for reader in readers {
            reader.await?;
        }
        report(&ids, &ended, args)
    }
}

/// The moment, or never.
async fn at(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Reads what comes for some keys from now on.
async fn listen(
    context: &Context,
    suffix: &str,
    wanted: &Arc<BTreeSet<Vec<u8>>>,
    sender: &mpsc::Sender<News>,
    news: impl Fn(Tailed) -> Option<News> + Send + 'static,
) -> anyhow::Result<JoinHandle<()>> {
    let wanted = Arc::clone(wanted);
    let of_wanted = move |next| match next {
        Ok(Next::Record(record)) if record.key.as_ref().is_some_and(|key| wanted.contains(key)) => news(record),
        Ok(_) => None,
        Err(fault) => Some(News::Broken(fault)),
    };
    follow(context, suffix, None, Start::End, sender, of_wanted).await
}

/// Other dead letters of a task come with a completion of their own.
fn refused(letter: Tailed) -> Option<News> {
    let is_duplicate = header(&letter, DLQ_REASON) == Some(Reason::Duplicate.as_str());
    let why = header(&letter, DLQ_DETAIL).unwrap_or("the id is in use by another task");
    is_duplicate.then(|| News::Refused(id_of(&letter), why.to_owned()))
}

fn id_of(record: &Tailed) -> String {
    String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned()
}

fn report(ids: &[String], ended: &BTreeMap<String, Value>, args: &SubmitArgs) -> anyhow::Result<Done> {
    if args.format.format == Format::Json {
        let open = |id: &String| json!({ "taskId": id, "outcome": null });
        let all: Vec<Value> = ids.iter().map(|id| ended.get(id).cloned().unwrap_or_else(|| open(id))).collect();
        output::line(serde_json::to_string_pretty(&all)?)?;
    }
    let open: Vec<&str> = ids.iter().filter(|id| !ended.contains_key(*id)).map(String::as_str).collect();
    if !open.is_empty() {
        let more = if open.len() > 10 { ", …" } else { "" };
        output::note(format!(
            "{} of {} tasks have not ended within the time given: {}{more}; look with `baton tasks show ID`",
            open.len(),
            ids.len(),
            open[..open.len().min(10)].join(", "),
        ));
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
