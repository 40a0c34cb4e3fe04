//! `baton experiments list`, `show`, `start`, `stop` and `promote`.

mod show;

use super::Done;
use super::args::{ExperimentStartArgs, ExperimentsArgs, ExperimentsCommand, MetricArg, SaidArgs};
use super::context::{Context, WrongUse};
use super::fresh::{now_millis, user};
use super::output::{self, Format};
use super::records::Records;
use crate::contract::{
    Codec, Experiment, ExperimentGuardrail, ExperimentMetric, ExperimentState, ExperimentVariant, RecordKind, rfc3339,
};
use crate::experiments::{self, Ledger, Refused};
use crate::kafka::tail::Start;
use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::runtime::Handle;

/// An experiment is for tasks submitted so many milliseconds later: by then every worker knows of it, and none is split
/// from its second choice on.
const LEAD: i64 = 2_000;

pub(super) async fn run(context: &Context, args: ExperimentsArgs) -> anyhow::Result<Done> {
    match args.command {
        ExperimentsCommand::List(args) => list(context, args.format).await,
        ExperimentsCommand::Show { name, format } => show::run(context, &name, format.format).await,
        ExperimentsCommand::Start(args) => start(context, args).await,
        ExperimentsCommand::Stop { name, said } => {
            let stop = move |one: &Experiment, actor: &str, now| experiments::stop(one, actor, &said.reason, now);
            change(context, name, said.actor, stop).await
        }
        ExperimentsCommand::Promote { name, variant, force, said } => {
            let SaidArgs { reason, actor } = said;
            let promote = move |one: &Experiment, actor: &str, now| {
                experiments::promote(one, &variant, actor, &reason, now, force)
            };
            change(context, name, actor, promote).await
        }
    }
}

async fn list(context: &Context, format: Format) -> anyhow::Result<Done> {
    let known = read(context).await?;
    let mut known: Vec<&Experiment> = known.values().collect();
    known.sort_by_key(|one| (one.started_at, &one.name));
    let rows: Vec<Value> = known.into_iter().map(row).collect();
    let columns = [
        ("EXPERIMENT", "/name"),
        ("STATE", "/state"),
        ("SINCE", "/at"),
        ("BY", "/actor"),
        ("TYPES", "/taskTypes"),
        ("VARIANTS", "/told"),
        ("METRIC", "/metric"),
        ("PROMOTED", "/promoted"),
        ("STARTED", "/startedAt"),
        ("WHY", "/reason"),
    ];
    output::listing(format, &columns, &rows)?;
    Ok(Done::Well)
}

/// The record as JSON, and its variants in short.
fn row(one: &Experiment) -> Value {
    let mut row = json!(one);
    for at in ["startedAt", "endedAt", "at"] {
        row[at] = row[at].as_i64().map_or(Value::Null, |millis| json!(rfc3339(millis)));
    }
    for variant in row["variants"].as_array_mut().into_iter().flatten() {
        variant["stoppedAt"] = variant["stoppedAt"].as_i64().map_or(Value::Null, |millis| json!(rfc3339(millis)));
    }
    let told = |variant: &ExperimentVariant| {
        let stopped = if variant.stopped_at.is_some() { " (stopped)" } else { "" };
        format!("{}={}:{}{stopped}", variant.name, variant.strategy, variant.share)
    };
    row["told"] = json!(one.variants.iter().map(told).collect::<Vec<_>>());
    row
}

/// The last record of each, by name.
pub(in crate::cli) async fn read(context: &Context) -> anyhow::Result<BTreeMap<String, Experiment>> {
    let records = Records::new(context)?;
    let codec = Codec::new(&context.config.kafka.prefix, [], Arc::clone(records.schemas()));
    let mut known = BTreeMap::new();
    for record in records.raw("experiments", Start::Beginning).await? {
        let name = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
        match record.value {
            Some(_) => drop(known.insert(name, records.typed(&codec, &record).await?)),
            None => drop(known.remove(&name)),
        }
    }
    Ok(known)
}

/// The one of this name.
fn named<'k>(known: &'k BTreeMap<String, Experiment>, name: &str) -> Result<&'k Experiment, WrongUse> {
    known.get(name).ok_or_else(|| {
        let names: Vec<&str> = known.keys().map(String::as_str).collect();
        let there =
            if names.is_empty() { "there is none yet".to_owned() } else { format!("known are: {}", names.join(", ")) };
        WrongUse(format!("no experiment is called {name:?}; {there}"))
    })
}

async fn start(context: &Context, args: ExperimentStartArgs) -> anyhow::Result<Done> {
    let variant = |(name, strategy, share): (String, String, f64)| ExperimentVariant {
        name,
        strategy,
        share,
        stopped_at: None,
        stopped_for: String::new(),
    };
    let guardrail = |(metric, tolerated): (MetricArg, f64)| ExperimentGuardrail { metric: metric.into(), tolerated };
    let SaidArgs { reason, actor } = args.said;
    let draft = Experiment {
        name: args.name,
        description: args.description,
        task_types: args.kinds.into_iter().map(|kind| kind.trim().to_owned()).collect(),
        variants: args.variants.into_iter().map(variant).collect(),
        metric: args.metric.into(),
        guardrails: args.guardrails.into_iter().map(guardrail).collect(),
        state: ExperimentState::Running,
        promoted: None,
        reason,
        actor: actor.unwrap_or_else(user),
        started_at: 0,
        ended_at: None,
        at: 0,
    };
    let strategies: BTreeSet<String> = context.config.strategies.keys().cloned().collect();
    let started = with_ledger(context, move |ledger| {
        let strategies = strategies.iter().map(String::as_str).collect();
        experiments::start(&draft, ledger.known(), &strategies).map_err(wrong)?;
        let now = now_millis();
        let started = Experiment { started_at: now + LEAD, at: now, ..draft };
        ledger.write(&started)?;
        Ok(started)
    })
    .await?;
    say(&started)
}

/// Puts the last word on an experiment, by what it is now.
async fn change(
    context: &Context,
    name: String,
    actor: Option<String>,
    change: impl FnOnce(&Experiment, &str, i64) -> Result<Experiment, Refused> + Send + 'static,
) -> anyhow::Result<Done> {
    let actor = actor.unwrap_or_else(user);
    let changed = with_ledger(context, move |ledger| {
        let one = named(ledger.known(), &name)?;
        // Later than what it follows, whatever the clocks say: the last promotion counts.
        let now = now_millis().max(one.at + 1);
        let changed = change(one, &actor, now).map_err(wrong)?;
        ledger.write(&changed)?;
        Ok(changed)
    })
    .await?;
    say(&changed)
}

fn wrong(refused: Refused) -> WrongUse {
    WrongUse(refused.to_string())
}

/// Does something with the topic in hand.
async fn with_ledger<T: Send + 'static>(
    context: &Context,
    work: impl FnOnce(&Ledger) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let (kafka, registry) = (context.config.kafka.clone(), context.registry()?);
    let kind = RecordKind::Experiment;
    let subject = format!("{}-value", context.topic("experiments"));
    let id = registry.id_of(&subject, kind.schema_text()).await?;
    let id = id.ok_or_else(|| anyhow!("schema {kind} is not under {subject}; run `baton apply`"))?;
    let codec = Codec::new(&kafka.prefix, [(kind, id)], Arc::default());
    let runtime = Handle::current();
    let worked = tokio::task::spawn_blocking(move || work(&Ledger::open(&kafka, &codec, &registry, &runtime)?));
    worked.await.context("the change panicked")?
}

fn say(one: &Experiment) -> anyhow::Result<Done> {
    let what = match (&one.promoted, one.state) {
        (Some(variant), _) => format!("promoted {variant} of {}", one.name),
        (None, ExperimentState::Running) => format!("started {}", one.name),
        (None, _) => format!("stopped {}", one.name),
    };
    output::line(output::safe(&what))?;
    Ok(Done::Well)
}

impl From<MetricArg> for ExperimentMetric {
    fn from(metric: MetricArg) -> Self {
        match metric {
            MetricArg::Success => Self::Success,
            MetricArg::Latency => Self::Latency,
            MetricArg::Cost => Self::Cost,
        }
    }
}
