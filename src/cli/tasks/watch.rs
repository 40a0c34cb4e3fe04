//! `baton tasks watch`: a task's facts from the first on, as they come, until it has ended.

use super::standing::Standing;
use super::{checked, facts, line};
use crate::cli::Done;
use crate::cli::context::Context;
use crate::cli::follow::{AHEAD, follow};
use crate::cli::output::{self, Format, cell, safe};
use crate::cli::records::Records;
use crate::kafka::KafkaFault;
use crate::kafka::tail::{Next, Start, Tailed};
use serde_json::Value;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A completion is in the transaction of the fact that the task has ended. If it does not come by then, its topic does not
/// keep it any more.
const SAME_TRANSACTION: Duration = Duration::from_secs(5);

enum News {
    Event(Tailed),
    Completion(Tailed),
    /// A topic was read to the end it had at the start.
    CaughtUp,
    Broken(KafkaFault),
}

pub(super) async fn run(context: &Context, id: &str, format: Format) -> anyhow::Result<Done> {
    checked(id)?;
    let records = Records::new(context)?;
    let (sender, mut news) = mpsc::channel(AHEAD);
    for (suffix, of) in
        [("completions", News::Completion as fn(Tailed) -> News), ("task-events", News::Event as fn(Tailed) -> News)]
    {
        let home = vec![records.home(suffix, id).await?];
        let key = id.as_bytes().to_vec();
        let of_task = move |next| match next {
            Ok(Next::Record(record)) if record.key.as_ref() == Some(&key) => Some(of(record)),
            Ok(Next::Record(_) | Next::Idle) => None,
            Ok(Next::End) => Some(News::CaughtUp),
            Err(fault) => Some(News::Broken(fault)),
        };
        follow(context, suffix, Some(home), Start::Beginning, &sender, of_task).await?;
    }
    drop(sender);
    let mut seen = Seen::default();
    while !seen.is_over() {
        let next = if seen.has_ended() {
            timeout(SAME_TRANSACTION, news.recv()).await.ok().flatten()
        } else {
            news.recv().await
        };
        match next {
            Some(News::Event(record)) => {
                for fact in facts(&records.value(record.value.as_deref()).await?) {
                    output::line(if format == Format::Json { fact.to_string() } else { line(&fact) })?;
                    seen.fact(&fact);
                }
            }
            Some(News::Completion(record)) => seen.completion = Some(records.value(record.value.as_deref()).await?),
            Some(News::CaughtUp) => {
                seen.caught_up += 1;
                if seen.caught_up == TOPICS && seen.is_unknown() {
                    output::note(format!("nothing is known of task {id} yet: waiting"));
                }
            }
            Some(News::Broken(fault)) => return Err(fault.into()),
            None => break,
        }
    }
    seen.tell(format)
}

/// Both must have been read before what they say is the present.
const TOPICS: usize = 2;

#[derive(Default)]
struct Seen {
    standing: Standing,
    /// How often it has ended: of a task that was tried again more than once.
    ends: i64,
    completion: Option<Value>,
    caught_up: usize,
}

impl Seen {
    fn fact(&mut self, fact: &Value) {
        self.standing.take(fact);
        self.ends += i64::from(fact["type"] == "TASK_ENDED");
    }

    fn is_unknown(&self) -> bool {
        self.standing.at.is_none() && self.completion.is_none()
    }

    /// Its facts say so.
    fn has_ended(&self) -> bool {
        self.caught_up == TOPICS && !self.standing.is_live()
    }

    /// Ended, and with it came the completion; of a refused task that is all that comes.
    fn is_over(&self) -> bool {
        let run = self.completion.as_ref().map(|completion| completion["run"].as_i64().unwrap_or(1));
        self.caught_up == TOPICS
            && run.is_some_and(
                |run| {
                    if self.standing.at.is_none() { true } else { self.has_ended() && run >= self.ends }
                },
            )
    }

    fn tell(&self, format: Format) -> anyhow::Result<Done> {
        let outcome = match &self.completion {
            Some(completion) => completion["outcome"].as_str().unwrap_or_default(),
            None => self.standing.status(),
        };
        match (&self.completion, format) {
            (Some(completion), Format::Json) => output::line(completion.to_string())?,
            (Some(completion), Format::Table) => {
                let text = |field: &str| cell(Some(&completion[field]));
                output::line(format!("{outcome}  {}: {}", text("reason"), text("message")))?;
                if let Some(result) = completion["result"].as_str() {
                    output::line(format!("result: {}", safe(result)))?;
                }
            }
            (None, _) => {}
        }
        Ok(if outcome == "SUCCEEDED" { Done::Well } else { Done::Badly })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn caught_up() -> Seen {
        Seen { caught_up: TOPICS, ..Seen::default() }
    }

    #[test]
    fn a_task_is_over_once_its_last_run_has_its_completion() {
        let ended = json!({ "type": "TASK_ENDED", "at": "2026-01-01T00:00:02Z", "detail": "{\"outcome\":\"FAILED\"}" });
        let mut seen = caught_up();
        assert!(!seen.is_over() && seen.is_unknown());
        seen.fact(&ended);
        assert!(seen.has_ended() && !seen.is_over());
        seen.completion = Some(json!({ "run": 1, "outcome": "FAILED" }));
        assert!(seen.is_over());
        seen.fact(
            &json!({ "type": "COMMAND_APPLIED", "at": "2026-01-01T00:00:03Z", "detail": "{\"command\":\"RETRY\"}" }),
        );
        assert!(!seen.has_ended() && !seen.is_over());
        seen.fact(&ended);
        assert!(seen.has_ended() && !seen.is_over());
        seen.completion = Some(json!({ "run": 2, "outcome": "SUCCEEDED" }));
        assert!(seen.is_over());
    }

    #[test]
    fn of_a_refused_task_there_is_a_completion_and_nothing_else() {
        let seen = Seen { completion: Some(json!({ "outcome": "REJECTED" })), ..caught_up() };
        assert!(seen.is_over());
        assert!(!Seen { caught_up: 1, ..seen }.is_over());
    }
}
