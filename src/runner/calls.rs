//! Calls to the LLM, each one question with its whole ladder of retries.

use super::TaskKey;
use crate::llm::{Ask, Card, Llm};
use crate::telemetry::spans;
use crate::workflow::{Answer, PlanAnswer, Timestamp, Usage, Workflow};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tracing::Instrument;

/// What the LLM is told of the agents in a set, in the set's order; who is not registered any more is left out.
pub type CardsOf = Arc<dyn Fn(&[String]) -> Vec<Card> + Send + Sync>;

/// Whom to ask, and on which threads.
#[derive(Clone)]
pub struct Asker {
    pub llm: Arc<Llm>,
    pub cards: CardsOf,
    pub runtime: Handle,
    /// Decisions under way at once; one that waits for its turn is within its budget already.
    pub turns: Arc<Semaphore>,
    /// Told of every answer, for the metrics.
    pub observe: Arc<dyn Fn(&Answer) + Send + Sync>,
}

impl std::fmt::Debug for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asker").field("llm", &self.llm).finish_non_exhaustive()
    }
}

/// What came of a call.
pub(super) enum Said {
    Agent(Arc<Answer>),
    Plan(Arc<PlanAnswer>),
}

type Done = (TaskKey, u32, Said);

pub(super) struct Calls {
    asker: Option<Asker>,
    running: FxHashMap<(TaskKey, u32), AbortHandle>,
    done: (Sender<Done>, Receiver<Done>),
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calls").field("running", &self.running.len()).finish_non_exhaustive()
    }
}

impl Calls {
    pub(super) fn new(asker: Option<Asker>, wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self { asker, running: FxHashMap::default(), done: channel(), wake }
    }

    pub(super) fn ask(
        &mut self,
        key: &TaskKey,
        question: u32,
        set: &Arc<[String]>,
        offers_done: bool,
        deadline: Timestamp,
        workflow: &Arc<Workflow>,
    ) {
        let (sent, wake, id) = (self.done.0.clone(), Arc::clone(&self.wake), key.clone());
        let Some(asker) = self.asker.clone() else {
            // Configured when the question was asked, gone since.
            let _ = sent.send((id, question, Said::Agent(Arc::new(unanswered("unavailable")))));
            wake();
            return;
        };
        let (set, workflow) = (Arc::clone(set), Arc::clone(workflow));
        let runtime = asker.runtime.clone();
        let span = spans::decision(&id.1, question, workflow.traceparent.as_deref());
        let call = async move {
            let ask = question_of(&asker, &id.1, question, &set, offers_done, deadline, &workflow);
            let turn = tokio::time::timeout_at(ask.deadline, asker.turns.acquire()).await;
            let answer = match turn {
                Ok(_turn) => asker.llm.ask(&ask).await,
                Err(_) => unanswered("timeout"),
            };
            (asker.observe)(&answer);
            observe(&answer);
            // The worker is gone: the call is owed in state, its next owner makes it.
            let _ = sent.send((id, question, Said::Agent(Arc::new(answer))));
            wake();
        };
        let call = runtime.spawn(call.instrument(span));
        self.running.insert((key.clone(), question), call.abort_handle());
    }

    /// Asks for a plan.
    pub(super) fn plan(
        &mut self,
        key: &TaskKey,
        question: u32,
        _faults: &Arc<[String]>,
        _deadline: Timestamp,
        _workflow: &Arc<Workflow>,
    ) {
        let answer = PlanAnswer { plan: Err("unavailable".to_owned()), attempts: Vec::new() };
        let _ = self.done.0.send((key.clone(), question, Said::Plan(Arc::new(answer))));
        (self.wake)();
    }

    pub(super) fn cancel(&mut self, key: &TaskKey, question: u32) {
        if let Some(call) = self.running.remove(&(key.clone(), question)) {
            call.abort();
        }
    }

    pub(super) fn next(&mut self) -> Option<Done> {
        let done = self.done.1.try_recv().ok()?;
        self.running.remove(&(done.0.clone(), done.1));
        Some(done)
    }
}

/// Tells the span of the call under way what it came to.
fn observe(answer: &Answer) {
    let span = tracing::Span::current();
    let tokens = |of: fn(&Usage) -> i64| answer.attempts.iter().map(|attempt| of(&attempt.usage)).sum::<i64>();
    span.record("baton.calls", answer.attempts.len());
    span.record("gen_ai.usage.input_tokens", tokens(|usage| usage.input_tokens));
    span.record("gen_ai.usage.output_tokens", tokens(|usage| usage.output_tokens));
}

fn unanswered(code: &str) -> Answer {
    Answer { said: Err(code.to_owned()), attempts: Vec::new(), prompt_version: None }
}

fn question_of(
    asker: &Asker,
    task_id: &str,
    question: u32,
    set: &[String],
    offers_done: bool,
    deadline: Timestamp,
    workflow: &Workflow,
) -> Ask {
    let choice = workflow.choice(question);
    let step_id = choice.map_or("", |choice| &choice.step_id);
    let planned = workflow.planned(step_id);
    let (value, producer) = workflow.input_of(step_id);
    let objective =
        planned.map(|planned| &planned.objective).or_else(|| workflow.task.as_ref().map(|task| &task.objective));
    let done = workflow.steps.iter().filter(|step| step.output.is_some());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let due = Duration::from_millis(u64::try_from(deadline.0).unwrap_or(0));
    Ask {
        task_id: task_id.to_owned(),
        question,
        objective: objective.cloned().unwrap_or_default(),
        last_output: value.filter(|_| producer.is_some()),
        last_agent: producer.map(|agent| agent.to_string()),
        history: done.map(|step| (step.agent_name.to_string(), step.id.to_string())).collect(),
        candidates: (asker.cards)(set),
        offers_done,
        deadline: tokio::time::Instant::now() + due.saturating_sub(now),
    }
}
