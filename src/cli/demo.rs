//! `baton demo`: the sales story, told by a whole Baton in this process.
//!
//! ```text
//! files ─▶ checked ─▶ broker, registry ─▶ agents registered ─▶ service, agents ─▶ tasks ─▶ progress ─▶ table of the topics
//! ```
//!
//! Nothing starts unless every file is sound. Nothing of it is kept, and nothing outside this process is asked but the LLM,
//! if one is configured. The table is read back from the topics when all tasks have ended, never from what was seen on the way.

mod cast;
mod follow;
mod progress;
mod stage;
mod table;

use super::Done;
use super::args::DemoArgs;
use super::context::{Context, WrongUse};
use super::fresh::now_millis;
use super::output;
use super::records::Records;
use crate::contract::Codec;
use crate::demo::{self, Lead, Origin, Sample, Story};
use crate::service::{Role, Service};
use anyhow::Context as _;
use cast::Cast;
use follow::{Followed, Follower};
use stage::Stage;
use std::path::Path;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// After this a task is given up, so that the demo ends also where an edited agent takes nothing: this long, and so much
/// more for each task.
const DEADLINE_MS: i64 = 60_000;
const DEADLINE_PER_TASK_MS: i64 = 200;

pub(super) async fn run(context: &Context, args: &DemoArgs) -> anyhow::Result<Done> {
    let began = now_millis();
    if let Some(directory) = &args.write {
        return write(directory);
    }
    let sample = Sample::load(args.dir.as_deref()).map_err(|faults| {
        WrongUse(format!("nothing was started, for there are faults in the files:\n  - {}", faults.join("\n  - ")))
    })?;
    let leads = Lead::take(&sample.leads, args.tasks.map_or(sample.leads.len(), usize::from));
    say_what(&sample, leads.len());
    for warning in context.config.warnings() {
        output::note(format!("warning: {warning}"));
    }
    let stage = Stage::set(context).await?;
    tracing::debug!(millis = now_millis() - began, "broker, registry, topics and schemas are there");
    let result = Box::pin(tell(&stage, args, &sample, &leads, began)).await;
    let struck = stage.strike().await;
    result.and_then(|done| struck.map(|()| done))
}

fn write(directory: &Path) -> anyhow::Result<Done> {
    demo::write(directory).with_context(|| format!("--write {}", directory.display()))?;
    let shown = output::safe(&directory.display().to_string());
    output::line(format!("{shown} holds the demo's leads and agents; edit them, then run: baton demo --dir {shown}"))?;
    Ok(Done::Well)
}

fn say_what(sample: &Sample, tasks: usize) {
    let from = match &sample.origin {
        Origin::BuiltIn => "the copies in this binary (baton demo --write DIR makes them yours)".to_owned(),
        Origin::Directory(directory) => output::safe(&directory.display().to_string()),
    };
    let (agents, leads) = (sample.agents.len(), sample.leads.len());
    output::note(format!("{tasks} tasks of {leads} leads for {agents} agents, from {from}"));
}

/// Everything there is while the demo runs.
struct Running {
    service: Service,
    cast: Cast,
}

async fn tell(stage: &Stage, args: &DemoArgs, sample: &Sample, leads: &[Lead], began: i64) -> anyhow::Result<Done> {
    let context = &stage.context;
    let mut stops = Stops::listen()?;
    let records = Records::new(context)?;
    // All of them before the first task: a route ends where nobody registered takes what was produced.
    cast::register(context, &stage.producer, &sample.agents).await?;
    // Before the service: what lies in the topic is the first it takes.
    hand_in(stage, leads).await?;
    tracing::debug!(millis = now_millis() - began, "agents are registered, tasks handed in");
    let service = Service::start(context.config.clone(), [Role::Orchestrator, Role::Insights].into()).await?;
    let cast = Cast::start(context, records.registry(), &sample.agents);
    let mut running = Running { service, cast };
    let told = tokio::select! {
        told = Box::pin(play(&records, context, args, leads, began)) => told,
        ended = running.ended() => ended.and_then(|()| Err(anyhow::anyhow!("the service ended before the tasks did"))),
        () = stops.next() => {
            output::note("stopped before all tasks had ended");
            Ok(Done::Badly)
        }
    };
    let told = match told {
        Ok(done) if !args.exit && !stops.came => {
            let tasks = leads.first().map_or("TASK", |lead| &lead.id);
            invite(context, running.service.address(), tasks);
            tokio::select! {
                ended = running.ended() => ended.map(|()| Done::Badly),
                () = stops.next() => Ok(done),
            }
        }
        told => told,
    };
    running.stop().await.and(told)
}

impl Running {
    /// Waits for an end that nobody asked for.
    async fn ended(&mut self) -> anyhow::Result<()> {
        tokio::select! {
            ended = self.service.ended() => ended,
            ended = self.cast.ended() => ended,
        }
    }

    async fn stop(self) -> anyhow::Result<()> {
        let agents = self.cast.stop().await;
        // It may have ended by itself, which was the result already.
        let service = if self.service.is_over() { Ok(()) } else { self.service.stop(true).await };
        agents.and(service)
    }
}

async fn hand_in(stage: &Stage, leads: &[Lead]) -> anyhow::Result<()> {
    let count = i64::try_from(leads.len()).unwrap_or(i64::MAX);
    let deadline = now_millis() + DEADLINE_MS + count.saturating_mul(DEADLINE_PER_TASK_MS);
    let tasks = leads.iter().map(|lead| (lead.id.clone(), lead.task(deadline).to_string()));
    super::submit::hand_in(&stage.context, &stage.producer, tasks).await
}

/// From the first decision to the table.
async fn play(
    records: &Records<'_>,
    context: &Context,
    args: &DemoArgs,
    leads: &[Lead],
    began: i64,
) -> anyhow::Result<Done> {
    let mut follower = Follower::open(context).await?;
    let mut shown = progress::Shown::new(demo::Progress::of(leads.iter().map(|lead| lead.id.clone())));
    let codec = Codec::new(&context.config.kafka.prefix, [], Arc::clone(records.schemas()));
    while !shown.progress().is_over() {
        match follower.next(records, &codec).await? {
            Followed::Decision(decision) => shown.decided(&decision),
            Followed::Completion(completion) => shown.ended(&completion),
        }
    }
    shown.finish();
    drop(follower);
    let story = recompute(records, &codec, leads).await?;
    table::print(&story, leads, began, args.format.format)?;
    Ok(if story.is_well() { Done::Well } else { Done::Badly })
}

/// Reads the topics back.
async fn recompute(records: &Records<'_>, codec: &Codec, leads: &[Lead]) -> anyhow::Result<Story> {
    let completions = follow::read_all(records, codec, follow::COMPLETIONS).await?;
    let decisions = follow::read_all(records, codec, follow::DECISIONS).await?;
    let events = follow::read_all(records, codec, "task-events").await?;
    Ok(Story::of(leads.iter().map(|lead| lead.id.as_str()), completions, decisions, &events))
}

fn invite(context: &Context, http: std::net::SocketAddr, task: &str) {
    let kafka = &context.config.kafka.bootstrap_servers;
    let registry = &context.config.registry.url;
    output::note(format!(
        "\nStill running, until Ctrl-C; nothing is kept. Look around from another terminal:\n  \
         export BATON__KAFKA__BOOTSTRAP_SERVERS={kafka} BATON__REGISTRY__URL={registry}\n  \
         baton tasks show {task}                     every fact, decision and reason of one task\n  \
         baton topics tail routing-decisions -n 3     the decisions as they are\n  \
         baton agents list                            who takes what\n  \
         baton submit --file leads.jsonl --wait       lines such as {{\"objective\":\"Make a customer of Acorn\",\n    \
         \"inputContract\":\"lead\",\"input\":{{\"company_name\":\"Acorn\",\"email\":\"a@acorn.example.com\",\"job_title\":\"CTO\",\
         \"lead_source\":\"referral\",\"name\":\"Alex\"}}}}\nHealth and metrics: http://{http}/readyz and /metrics"
    ));
}

/// Ctrl-C and SIGTERM.
struct Stops {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    came: bool,
}

impl Stops {
    fn listen() -> anyhow::Result<Self> {
        let interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
        let terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
        Ok(Self { interrupt, terminate, came: false })
    }

    async fn next(&mut self) {
        tokio::select! { _ = self.interrupt.recv() => {}, _ = self.terminate.recv() => {} }
        self.came = true;
    }
}
