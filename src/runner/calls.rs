//! Calls to the LLM, each one question with its whole ladder of retries.

use super::TaskKey;
use super::questions::{self, Wanted};
use crate::llm::{Card, Llm, PlanLimits};
use crate::telemetry::spans;
use crate::workflow::{Answer, Attempt, PlanAnswer, Task, Timestamp, Usage, Workflow};
use rustc_hash::FxHashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};
use tracing::instrument::Instrumented;
use tracing::{Instrument, Span};

/// What the LLM is told of the agents in a set, in the set's order; who is not registered any more is left out.
pub type CardsOf = Arc<dyn Fn(&[String], Option<&str>) -> Vec<Card> + Send + Sync>;

/// What the LLM is told of the agents that a plan for the task may name, best first.
pub type AllowedBy = Arc<dyn Fn(&Task) -> Vec<Card> + Send + Sync>;

/// Whom a task's choices are asked of.
pub type ChooserOf = Arc<dyn Fn(&Workflow) -> Arc<Llm> + Send + Sync>;

/// Told of the calls of every answer.
pub type Observe = Arc<dyn Fn(&[Attempt]) + Send + Sync>;

/// Whom to ask, and on which threads.
#[derive(Clone)]
pub struct Asker {
    pub chooser: ChooserOf,
    pub planner: Arc<Llm>,
    pub cards: CardsOf,
    pub allowed: AllowedBy,
    pub limits: PlanLimits,
    pub runtime: Handle,
    /// Questions under way at once; one that waits for its turn is within its budget already.
    pub turns: Arc<Semaphore>,
    /// For the metrics.
    pub observe: Observe,
}

impl std::fmt::Debug for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asker").field("planner", &self.planner).finish_non_exhaustive()
    }
}

/// What came of a call.
pub(super) enum Said {
    Agent(Arc<Answer>),
    Plan(Arc<PlanAnswer>),
}

impl Said {
    fn attempts(&self) -> &[Attempt] {
        match self {
            Self::Agent(answer) => &answer.attempts,
            Self::Plan(answer) => &answer.attempts,
        }
    }
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

    /// Asks who works next.
    pub(super) fn ask(
        &mut self,
        key: &TaskKey,
        question: u32,
        set: &Arc<[String]>,
        offers_done: bool,
        deadline: Timestamp,
        workflow: &Arc<Workflow>,
    ) {
        let Some(asker) = self.asker.clone() else {
            // Configured when the question was asked, gone since.
            return self.said(key, question, Said::Agent(Arc::new(unanswered("unavailable"))));
        };
        let (set, workflow, id) = (Arc::clone(set), Arc::clone(workflow), Arc::clone(&key.1));
        let span = spans::decision(&id, question, workflow.traceparent.as_deref());
        let call = async move {
            let ask = questions::ask(&asker, &id, question, &set, offers_done, deadline, &workflow);
            let answer = asker.in_turn(ask.deadline, (asker.chooser)(&workflow).ask(&ask)).await;
            Said::Agent(Arc::new(answer.unwrap_or_else(|| unanswered("timeout"))))
        };
        self.begin(key, question, call.instrument(span));
    }

    /// Asks for a plan.
    pub(super) fn plan(&mut self, key: &TaskKey, question: u32, wanted: Wanted) {
        let Some(asker) = self.asker.clone() else {
            return self.said(key, question, Said::Plan(Arc::new(unplanned("unavailable"))));
        };
        let id = Arc::clone(&key.1);
        let span = spans::decision(&id, question, wanted.workflow.traceparent.as_deref());
        let call = async move {
            let ask = questions::plan(&asker, &id, question, wanted);
            let answer = asker.in_turn(ask.deadline, asker.planner.plan(&ask)).await;
            Said::Plan(Arc::new(answer.unwrap_or_else(|| unplanned("timeout"))))
        };
        self.begin(key, question, call.instrument(span));
    }

    /// Lets a call run beside the worker; what it says comes out of [`Self::next`].
    fn begin(&mut self, key: &TaskKey, question: u32, call: Instrumented<impl Future<Output = Said> + Send + 'static>) {
        let Some(asker) = &self.asker else { return };
        let (sent, wake, id) = (self.done.0.clone(), Arc::clone(&self.wake), key.clone());
        let (observe_calls, span) = (Arc::clone(&asker.observe), call.span().clone());
        let call = asker.runtime.spawn(async move {
            let said = call.await;
            observe_calls(said.attempts());
            observe(&span, said.attempts());
            // The worker is gone: the call is owed in state, its next owner makes it.
            let _ = sent.send((id, question, said));
            wake();
        });
        self.running.insert((key.clone(), question), call.abort_handle());
    }

    fn said(&self, key: &TaskKey, question: u32, said: Said) {
        let _ = self.done.0.send((key.clone(), question, said));
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

impl Asker {
    /// What comes of a question once it is its turn; none if that was not before its deadline.
    async fn in_turn<A>(&self, deadline: Instant, asked: impl Future<Output = A>) -> Option<A> {
        let _turn = timeout_at(deadline, self.turns.acquire()).await.ok()?;
        Some(asked.await)
    }
}

/// Tells the span of a call what it came to.
fn observe(span: &Span, attempts: &[Attempt]) {
    let tokens = |of: fn(&Usage) -> i64| attempts.iter().map(|attempt| of(&attempt.usage)).sum::<i64>();
    span.record("baton.calls", attempts.len());
    span.record("gen_ai.usage.input_tokens", tokens(|usage| usage.input_tokens));
    span.record("gen_ai.usage.output_tokens", tokens(|usage| usage.output_tokens));
}

fn unanswered(code: &str) -> Answer {
    Answer { said: Err(code.to_owned()), attempts: Vec::new(), prompt_version: None }
}

fn unplanned(code: &str) -> PlanAnswer {
    PlanAnswer { plan: Err(code.to_owned()), attempts: Vec::new(), prompt_version: None }
}
