//! `baton eval`: chooses an agent for each of many tasks whose agent is known, and says how good that was.

mod labelled;

use super::Done;
use super::agents::files;
use super::agents::table::Table;
use super::args::EvalArgs;
use super::context::{Context, WrongUse};
use super::output;
use super::progress::Progress;
use crate::agent::definition::by_texts;
use crate::selection::{Agent, Figures, Outcome, same_name};
use crate::service::{Judge, Judged, Known, embed, llm};
use labelled::Labelled;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use tokio::task::{JoinSet, LocalSet};

/// Questions at a time: providers have limits of their own, which hold here too.
const AT_ONCE: usize = 16;

pub(super) async fn run(context: &Context, args: EvalArgs) -> anyhow::Result<Done> {
    let agents = match args.agents {
        Some(path) => from_file(path)?,
        None => registered(context).await?,
    };
    if agents.is_empty() {
        return Err(WrongUse("there is no agent to choose; register some, or give --agents".to_owned()).into());
    }
    let tasks = labelled::read(&args.tasks, &agents)?;
    let examples = args.examples.map_or_else(|| Ok(Vec::new()), |path| labelled::read(&path, &agents))?;
    let known = known(&examples)?;
    let llm = if args.llm { llm(&context.config)? } else { None };
    if args.llm && llm.is_none() {
        return Err(WrongUse("--llm needs a provider: add [[llm.providers]] to the configuration".to_owned()).into());
    }
    let asks = llm.is_some();
    let embed = embed(&context.config).map_err(|error| WrongUse(format!("{error:#}")))?;
    let judge = Judge::new(&context.config, agents, known, llm, embed);
    let judged = if asks { together(judge, &tasks).await? } else { one_by_one(&judge, &tasks).await };
    output::line(serde_json::to_string_pretty(&summary(&tasks, &judged))?)?;
    Ok(Done::Well)
}

fn from_file(path: PathBuf) -> anyhow::Result<Vec<Arc<Agent>>> {
    let mut faults = Vec::new();
    let mut agents: BTreeMap<String, Arc<Agent>> = BTreeMap::new();
    for given in files::read(&[path], &mut faults) {
        let at = |fault: String| format!("{}: {fault}", given.place);
        let agent = given.definition.as_deref().map_err(|fault| vec![fault.clone()]).and_then(by_texts);
        let agent = match agent.map_err(|faults| faults.into_iter().map(at).collect::<Vec<_>>()) {
            Ok(agent) => agent,
            Err(found) => {
                faults.extend(found);
                continue;
            }
        };
        if let Some(other) = agents.insert(agent.topic_name().to_owned(), Arc::new(agent)) {
            faults.push(format!("{}: has the topic name of `{}`; rename one", given.place, other.name()));
        }
    }
    if faults.is_empty() {
        return Ok(agents.into_values().collect());
    }
    Err(WrongUse(format!("the definitions have faults:\n  - {}", faults.join("\n  - "))).into())
}

/// All that could be chosen; who is registered with a fault never is.
async fn registered(context: &Context) -> anyhow::Result<Vec<Arc<Agent>>> {
    let table = Table::read(context).await?;
    let sound = table.entries.iter().filter_map(|entry| entry.definition.as_deref());
    Ok(sound.filter_map(|wire| by_texts(wire).ok()).map(Arc::new).collect())
}

/// What agents succeeded with; a task of no agent is nothing to remember.
fn known(examples: &[Labelled]) -> anyhow::Result<Vec<Known>> {
    let known = |example: &Labelled| match &example.agent {
        Some(name) => {
            Ok(Known { agent_name: name.clone(), text: example.text.clone(), capability: example.capability.clone() })
        }
        None => Err(WrongUse(format!("line {} of the examples has no agent; leave it out", example.line)).into()),
    };
    examples.iter().map(known).collect()
}

async fn one_by_one(judge: &Judge, tasks: &[Labelled]) -> Vec<Judged> {
    let mut judged = Vec::with_capacity(tasks.len());
    for task in tasks {
        judged.push(judge.judge(task.line, &task.text).await);
    }
    judged
}

async fn together(judge: Judge, tasks: &[Labelled]) -> anyhow::Result<Vec<Judged>> {
    let judge = Rc::new(judge);
    // On this thread: what a choice is made of is shared by no two.
    let asking = LocalSet::new();
    let (mut under_way, mut judged) = (JoinSet::new(), BTreeMap::new());
    let mut progress = Progress::new(tasks.len(), "tasks judged");
    let mut waiting = tasks.iter().enumerate();
    asking
        .run_until(async {
            loop {
                if under_way.len() < AT_ONCE
                    && let Some((place, task)) = waiting.next()
                {
                    let (judge, line, text) = (Rc::clone(&judge), task.line, task.text.clone());
                    under_way.spawn_local(async move { (place, judge.judge(line, &text).await) });
                    continue;
                }
                let Some(done) = under_way.join_next().await else { break };
                let (place, one) = done?;
                judged.insert(place, one);
                progress.step(judged.len());
            }
            progress.finish();
            Ok(judged.into_values().collect())
        })
        .await
}

/// What is printed, in this order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    tasks: usize,
    accuracy: Option<f64>,
    answered: Option<f64>,
    accuracy_answered: Option<f64>,
    out_of_scope_abstained: Option<f64>,
    calibration_error: Option<f64>,
    p50_micros: u64,
    p99_micros: u64,
    tokens: i64,
    cost_micros: i64,
}

fn summary(tasks: &[Labelled], judged: &[Judged]) -> Summary {
    let outcome = |(task, judged): (&Labelled, &Judged)| Outcome {
        in_scope: task.agent.is_some(),
        right: matches!((&task.agent, &judged.agent_name), (Some(right), Some(named)) if same_name(right, named)),
        answered: judged.without_doubt,
        confidence: judged.confidence,
        micros: u64::try_from(judged.took.as_micros()).unwrap_or(u64::MAX),
    };
    let outcomes: Vec<Outcome> = tasks.iter().zip(judged).map(outcome).collect();
    let figures = Figures::of(&outcomes);
    let short = |share: Option<f64>| share.map(|share| (share * 10_000.0).round() / 10_000.0);
    Summary {
        tasks: figures.tasks,
        accuracy: short(figures.accuracy),
        answered: short(figures.answered),
        accuracy_answered: short(figures.accuracy_answered),
        out_of_scope_abstained: short(figures.out_of_scope_abstained),
        calibration_error: short(figures.calibration_error),
        p50_micros: figures.p50_micros,
        p99_micros: figures.p99_micros,
        tokens: judged.iter().map(|judged| judged.tokens).sum(),
        cost_micros: judged.iter().map(|judged| judged.cost_micros).sum(),
    }
}
