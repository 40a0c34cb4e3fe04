//! `baton tasks list`: every task that `task-events` and `completions` still tell of.

use super::facts;
use super::standing::{ALL, Standing};
use crate::cli::Done;
use crate::cli::context::{Context, WrongUse};
use crate::cli::follow::{AHEAD, follow};
use crate::cli::fresh::{millis, now_millis};
use crate::cli::output::{self, Format};
use crate::cli::records::{MOST, Records};
use crate::contract::rfc3339;
use crate::kafka::KafkaFault;
use crate::kafka::tail::{Next, Start, Tailed};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;

pub(super) async fn run(
    context: &Context,
    status: &[String],
    since: Option<Duration>,
    limit: usize,
    format: Format,
) -> anyhow::Result<Done> {
    let wanted: Vec<&str> = status.iter().map(|status| known(status)).collect::<Result<_, _>>()?;
    let start = since.map_or(Start::Beginning, |since| Start::Since(now_millis() - millis(since)));
    let records = Records::new(context)?;
    let mut tasks = Tasks::default();
    // In this order: what ends in between is then known to have ended.
    each(&records, context, "task-events", start, |task, value| {
        let standing = tasks.of(task);
        facts(value).iter().for_each(|fact| standing.take(fact));
    })
    .await?;
    tasks.forget_unknown();
    each(&records, context, "completions", start, |task, value| tasks.of(task).complete(value)).await?;
    if tasks.dropped {
        output::note(format!(
            "more tasks than {MOST} are known; those with the oldest news are left out: give --since"
        ));
    }
    let rows: Vec<Value> = tasks
        .by_news()
        .into_iter()
        .filter(|(_, standing)| wanted.is_empty() || wanted.contains(&standing.status()))
        .take(limit)
        .map(|(id, standing)| row(&id, &standing))
        .collect();
    let columns = [
        ("TASK", "/taskId"),
        ("STATUS", "/status"),
        ("AT", "/at"),
        ("LAST", "/last"),
        ("STEP", "/stepId"),
        ("AGENT", "/agentName"),
        ("REASON", "/reason"),
    ];
    output::listing(format, &columns, &rows)?;
    Ok(Done::Well)
}

fn known(given: &str) -> Result<&'static str, WrongUse> {
    let found = ALL.into_iter().find(|status| status.eq_ignore_ascii_case(given.trim()));
    found.ok_or_else(|| WrongUse(format!("--status {given}: is none of {}", ALL.join(", "))))
}

fn row(id: &str, standing: &Standing) -> Value {
    json!({
        "taskId": id,
        "status": standing.status(),
        "at": standing.at.map(rfc3339),
        "last": standing.last,
        "stepId": standing.step,
        "agentName": standing.agent,
        "reason": standing.reason,
    })
}

/// At most about so many as anybody would look at: those with the latest news.
#[derive(Default)]
struct Tasks {
    known: BTreeMap<String, Standing>,
    dropped: bool,
}

impl Tasks {
    fn of(&mut self, task: &str) -> &mut Standing {
        if self.known.len() >= 2 * MOST && !self.known.contains_key(task) {
            self.known = std::mem::take(self).by_news().into_iter().take(MOST).collect();
            self.dropped = true;
        }
        self.known.entry(task.to_owned()).or_default()
    }

    /// Of whom only a command was refused.
    fn forget_unknown(&mut self) {
        self.known.retain(|_, standing| standing.at.is_some());
    }

    /// Those with the latest news first.
    fn by_news(self) -> Vec<(String, Standing)> {
        let mut all: Vec<_> = self.known.into_iter().collect();
        all.sort_by(|(_, one), (_, other)| other.at.cmp(&one.at));
        all
    }
}

/// What a reader comes by.
enum Met {
    Record(Tailed),
    End,
    Broken(KafkaFault),
}

/// Everything a topic of records about tasks holds now, one after the other, held one at a time.
async fn each(
    records: &Records<'_>,
    context: &Context,
    suffix: &str,
    start: Start,
    mut take: impl FnMut(&str, &Value),
) -> anyhow::Result<()> {
    let (sender, mut news) = mpsc::channel(AHEAD);
    let met = |next| match next {
        Ok(Next::Record(record)) => Some(Met::Record(record)),
        Ok(Next::End) => Some(Met::End),
        Ok(Next::Idle) => None,
        Err(fault) => Some(Met::Broken(fault)),
    };
    follow(context, suffix, None, start, &sender, met).await?;
    while let Some(met) = news.recv().await {
        match met {
            Met::Record(record) => {
                let value = records.value(record.value.as_deref()).await?;
                if let Some(task) = value["taskId"].as_str() {
                    take(task, &value);
                }
            }
            Met::End => break,
            Met::Broken(fault) => return Err(fault.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_goes_in_any_case_and_an_unknown_one_is_told_the_known_ones() {
        assert_eq!(known(" running").unwrap(), "RUNNING");
        assert!(known("done").unwrap_err().to_string().contains("SUCCEEDED"));
    }

    #[test]
    fn the_latest_news_come_first_and_whom_only_a_refused_word_was_about_is_no_task() {
        let mut tasks = Tasks::default();
        for (task, at) in [("a", "1"), ("b", "3"), ("c", "2")] {
            tasks.of(task).take(&json!({ "type": "TASK_ACCEPTED", "at": format!("2026-01-01T00:00:0{at}Z") }));
        }
        tasks.of("nobody").take(&json!({ "type": "COMMAND_REFUSED", "at": "9" }));
        tasks.forget_unknown();
        let ids: Vec<_> = tasks.by_news().into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, ["b", "c", "a"]);
    }
}
