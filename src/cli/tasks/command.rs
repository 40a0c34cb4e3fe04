//! One command on a task: sent as a record, then waited for until a worker has applied or refused it.

use super::facts;
use crate::cli::Done;
use crate::cli::args::CommandArgs;
use crate::cli::context::{Context, WrongUse};
use crate::cli::follow::{AHEAD, follow};
use crate::cli::fresh::{new_id, now_millis, user};
use crate::cli::output::{self, Format, cell};
use crate::cli::records::{Records, header};
use crate::contract::{
    CE_ID, Codec, DLQ_DETAIL, DLQ_REASON, Envelope, IngressLimits, RecordKind, TaskCommand, rfc3339,
};
use crate::kafka::KafkaFault;
use crate::kafka::produce::{Outgoing, PlainProducer};
use crate::kafka::tail::{Next, Start, Tailed};
use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

const TOPIC: &str = "task-commands";
const EVENTS: &str = "task-events";

pub(super) async fn run(context: &Context, args: CommandArgs, command: TaskCommand) -> anyhow::Result<Done> {
    let id = args.id.clone().unwrap_or_else(|| new_id('c'));
    let command = TaskCommand {
        command_id: Some(id.clone()),
        actor: Some(args.actor.clone().unwrap_or_else(user)),
        reason: args.reason.clone(),
        ..command
    };
    super::checked(&command.task_id)?;
    let limits = IngressLimits { payload_bytes: context.config.workflow.payload_bytes };
    let symbol = command.clone().check(&limits).map_err(|refusal| WrongUse(refusal.detail))?.kind.symbol();
    let records = Records::new(context)?;
    if args.no_wait {
        send(context, &records, &command, &id).await?;
        match args.format {
            Format::Json => {
                output::line(json!({ "taskId": command.task_id, "commandId": id, "command": symbol }).to_string())?;
            }
            Format::Table => output::line(id)?,
        }
        return Ok(Done::Well);
    }
    // Before anything is sent, so that no answer can be missed.
    let mut answers = Answers::open(context, &records, &command.task_id, &id).await?;
    let earlier = match &args.id {
        Some(_) => earlier(&records, &command.task_id, &id).await?,
        None => None,
    };
    let answer = match earlier {
        Some(answer) => Some(answer),
        None => {
            send(context, &records, &command, &id).await?;
            answers.next(&records, Instant::now() + args.timeout).await?
        }
    };
    tell(&command, symbol, &id, answer, &args)
}

/// What became of a command.
struct Answer {
    applied: bool,
    /// The fact that says so; none of a dead letter.
    fact: Value,
    reason: Option<String>,
}

impl Answer {
    /// What a fact says of this command, if it says how it ended.
    fn of(fact: Value, id: &str) -> Option<Self> {
        if !is_about(&fact, id) {
            return None;
        }
        let applied = match fact["type"].as_str()? {
            "COMMAND_APPLIED" => true,
            "COMMAND_REFUSED" => false,
            _ => return None,
        };
        Some(Self { applied, reason: fact["reason"].as_str().map(str::to_owned), fact })
    }
}

fn is_about(fact: &Value, id: &str) -> bool {
    let detail = fact["detail"].as_str().and_then(|detail| serde_json::from_str::<Value>(detail).ok());
    detail.is_some_and(|detail| detail["commandId"] == id)
}

/// Under an id of the user's the command may have been sent before: sent again it changes nothing and gets no fact.
async fn earlier(records: &Records<'_>, task: &str, id: &str) -> anyhow::Result<Option<Answer>> {
    let events = records.of_task(EVENTS, task).await?;
    Ok(events.iter().flat_map(|event| facts(&event.value)).find_map(|fact| Answer::of(fact, id)))
}

async fn send(context: &Context, records: &Records<'_>, command: &TaskCommand, id: &str) -> anyhow::Result<()> {
    let (topic, kind) = (context.topic(TOPIC), RecordKind::TaskCommand);
    let subject = format!("{topic}-value");
    let Some(schema) = records.registry().id_of(&subject, kind.schema_text()).await? else {
        bail!("schema {kind} is not under {subject}; run `baton apply`");
    };
    let codec = Codec::new(&context.config.kafka.prefix, [(kind, schema)], Arc::clone(records.schemas()));
    let time = rfc3339(now_millis());
    let envelope = Envelope { id, kind, source: "baton/tasks", time: &time, traceparent: None };
    let headers = envelope.headers().into_iter().map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    let record = Outgoing {
        topic,
        partition: None,
        key: Some(command.task_id.clone().into_bytes()),
        value: Some(codec.encode(command)),
        headers: headers.collect(),
    };
    PlainProducer::new(&context.config.kafka, "tasks")?.send(&record).await.context("sending the command")?;
    Ok(())
}

/// What comes of the task from now on.
enum News {
    Event(Tailed),
    /// The command is a dead letter: the reason.
    Dead(String),
    Broken(KafkaFault),
}

struct Answers {
    news: mpsc::Receiver<News>,
    id: String,
}

impl Answers {
    async fn open(context: &Context, records: &Records<'_>, task: &str, id: &str) -> anyhow::Result<Self> {
        let (sender, news) = mpsc::channel(AHEAD);
        let key = task.as_bytes().to_vec();
        let of_task = move |next| match next {
            Ok(Next::Record(record)) if record.key.as_ref() == Some(&key) => Some(News::Event(record)),
            Ok(_) => None,
            Err(fault) => Some(News::Broken(fault)),
        };
        let home = vec![records.home(EVENTS, task).await?];
        follow(context, EVENTS, Some(home), Start::End, &sender, of_task).await?;
        let command = id.to_owned();
        let of_command = move |next| match next {
            Ok(Next::Record(letter)) if header(&letter, CE_ID) == Some(&command) => {
                let said = |name| header(&letter, name).unwrap_or_default().to_owned();
                Some(News::Dead(format!("{}: {}", said(DLQ_REASON), said(DLQ_DETAIL))))
            }
            Ok(_) => None,
            Err(fault) => Some(News::Broken(fault)),
        };
        follow(context, &format!("{TOPIC}.dlq"), None, Start::End, &sender, of_command).await?;
        Ok(Self { news, id: id.to_owned() })
    }

    /// The answer, if it comes in time.
    async fn next(&mut self, records: &Records<'_>, deadline: Instant) -> anyhow::Result<Option<Answer>> {
        while let Ok(Some(news)) = timeout_at(deadline, self.news.recv()).await {
            match news {
                News::Event(record) => {
                    for fact in facts(&records.value(record.value.as_deref()).await?) {
                        if fact["type"] == "COMMAND_HELD" && is_about(&fact, &self.id) {
                            output::note("the task is not known; the command waits whether it comes");
                        }
                        if let Some(answer) = Answer::of(fact, &self.id) {
                            return Ok(Some(answer));
                        }
                    }
                }
                News::Dead(reason) => {
                    return Ok(Some(Answer { applied: false, fact: Value::Null, reason: Some(reason) }));
                }
                News::Broken(fault) => return Err(fault.into()),
            }
        }
        Ok(None)
    }
}

fn tell(
    command: &TaskCommand,
    symbol: &str,
    id: &str,
    answer: Option<Answer>,
    args: &CommandArgs,
) -> anyhow::Result<Done> {
    let applied = answer.as_ref().map(|answer| answer.applied);
    let reason = answer.as_ref().and_then(|answer| answer.reason.as_deref());
    if args.format == Format::Json {
        let fact = answer.as_ref().map_or(&Value::Null, |answer| &answer.fact);
        let told = json!({
            "taskId": command.task_id,
            "commandId": id,
            "command": symbol,
            "applied": applied,
            "reason": reason,
            "fact": fact,
        });
        output::line(serde_json::to_string_pretty(&told)?)?;
    } else if let Some(applied) = applied {
        let what = if applied { "applied" } else { "refused" };
        let why = reason.filter(|_| !applied).map(|reason| format!(": {}", output::safe(reason))).unwrap_or_default();
        let step = answer.as_ref().map(|answer| cell(Some(&answer.fact["stepId"]))).filter(|step| step != "-");
        let step = step.map(|step| format!(" (step {step})")).unwrap_or_default();
        output::line(format!("{}  {symbol} {what}{step}{why}", command.task_id))?;
    }
    if applied.is_none() {
        output::note(format!(
            "no worker has answered within {}; the command is kept and counts all the same (does a worker run? `baton \
             doctor`). Ask again with --id {id}",
            humantime::format_duration(args.timeout)
        ));
    }
    Ok(if applied == Some(true) { Done::Well } else { Done::Badly })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(kind: &str, id: &str) -> Value {
        json!({ "type": kind, "reason": "it has ended", "detail": json!({ "commandId": id }).to_string() })
    }

    #[test]
    fn the_answer_is_the_fact_that_names_the_command() {
        assert!(Answer::of(fact("COMMAND_APPLIED", "c-1"), "c-1").unwrap().applied);
        let refused = Answer::of(fact("COMMAND_REFUSED", "c-1"), "c-1").unwrap();
        assert_eq!((refused.applied, refused.reason.as_deref()), (false, Some("it has ended")));
        assert!(Answer::of(fact("COMMAND_APPLIED", "c-2"), "c-1").is_none());
        assert!(Answer::of(fact("COMMAND_HELD", "c-1"), "c-1").is_none());
        assert!(Answer::of(json!({ "type": "COMMAND_APPLIED", "detail": "no JSON" }), "c-1").is_none());
    }
}
