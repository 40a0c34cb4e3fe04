//! One assignment on its way to its agent: waits for its turn, is posted until the agent answers, and is reported.

use super::call::{Answered, Caller};
use super::lane::{Lane, Turn, Whereabouts};
use crate::agent::reports::{Head, Reporter, now_ms};
use crate::agent::withdrawals::Withdrawals;
use crate::contract::{
    AgentReport, Assignment, Codec, ErrorClass, Refusal, Registry, RegistryError, ReportError, ReportStatus, Undecided,
};
use crate::kafka::KafkaFault;
use crate::kafka::offsets::Ticket;
use crate::kafka::tail::Tailed;
use crate::telemetry::Metrics;
use bytes::Bytes;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Between two questions to a registry that does not answer.
const AGAIN: Duration = Duration::from_secs(1);
/// A request unanswered for so long is work that has begun: the agent counts as having accepted it.
const HELD: Duration = Duration::from_secs(1);
/// Before the second request to an agent that is away, doubled each time.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Works that agents have taken over and whose withdrawal is still waited for; of more, it is not passed on.
const TAKEN_OVER: usize = 50_000;
/// The withdrawal of what is overdue comes after its deadline, and by other clocks than ours.
const OVERDUE_MS: i64 = 60_000;
/// For work without a deadline.
const WATCH_MS: i64 = 24 * 3_600_000;

/// What all deliveries share.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) caller: Caller,
    pub(super) reporter: Reporter,
    pub(super) codec: Arc<Codec>,
    pub(super) registry: Registry,
    pub(super) withdrawals: Withdrawals,
    pub(super) metrics: Arc<Metrics>,
    /// One permit for each request that may be under way, over all agents.
    pub(super) shared: Arc<Semaphore>,
    pub(super) taken_over: Arc<Semaphore>,
    pub(super) report_url: String,
    /// No more is begun.
    pub(super) stop: CancellationToken,
}

/// Whether the record is settled: reported, taken over, or in need of neither. If not, it is to be delivered again.
pub(super) type Delivered = Result<bool, DeliveryError>;

/// What a person must change.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeliveryError {
    #[error(transparent)]
    Kafka(#[from] KafkaFault),
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Settled,
    /// The same; the agent works on, and hears of a withdrawal.
    Watched,
    /// To be delivered again, here or elsewhere.
    Left,
}

impl Desk {
    /// Room for taken-over work.
    pub(super) fn taken_over() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(TAKEN_OVER))
    }

    /// One delivery. Polled once, it has its place in the agent's queue, and has done nothing else.
    pub(super) async fn serve(self: Arc<Self>, record: Tailed, ticket: &Ticket, mut agent: Whereabouts) -> Delivered {
        let Some(turn) = self.turn(&mut agent, ticket, None).await else { return Ok(false) };
        tokio::task::yield_now().await;
        // Made only now, so that those that wait are small.
        Box::pin(self.deliver(record, ticket, agent, turn)).await
    }

    /// Waits until the agent may be asked: where it is by then, with room there. None if no more is to be begun.
    /// Whoever `had` a turn keeps it, unless the agent has moved.
    async fn turn(&self, agent: &mut Whereabouts, ticket: &Ticket, mut had: Option<Turn>) -> Option<Turn> {
        loop {
            let lane = agent.borrow_and_update().clone();
            let had = had.take();
            let ready = async {
                let Some(lane) = lane else { return std::future::pending().await };
                let turn = match had.filter(|had| Arc::ptr_eq(&had.lane, &lane)) {
                    Some(had) => had,
                    None => lane.turn(&self.shared).await,
                };
                turn.lane.open().await;
                turn
            };
            tokio::select! {
                biased;
                () = ticket.revoked.cancelled() => return None,
                () = self.stop.cancelled() => return None,
                moved = agent.changed() => moved.ok()?,
                turn = ready => return Some(turn),
            }
        }
    }

    async fn deliver(self: &Arc<Self>, record: Tailed, ticket: &Ticket, agent: Whereabouts, turn: Turn) -> Delivered {
        let mut assignment = match self.read(&record).await? {
            Ok(assignment) => assignment,
            Err(refusal) => {
                let Tailed { topic, partition, offset, .. } = &record;
                tracing::error!(topic, partition, offset, %refusal, "an assignment that cannot be read is passed over");
                return Ok(true);
            }
        };
        let head = Head::of(&assignment, &record);
        drop(record);
        assignment.report_url = Some(self.report_url.clone());
        let withdrawn = self.withdrawals.of(&head.assignment_id);
        let settled = self.try_until_answered(&assignment, &head, ticket, agent, turn, &withdrawn).await;
        // Taken over, whoever waits for its withdrawal says when nobody does any more.
        if !matches!(settled, Ok(End::Watched)) {
            self.withdrawals.done(&head.assignment_id);
        }
        settled.map(|end| end != End::Left)
    }

    async fn try_until_answered(
        self: &Arc<Self>,
        assignment: &Assignment,
        head: &Head,
        ticket: &Ticket,
        mut agent: Whereabouts,
        turn: Turn,
        withdrawn: &CancellationToken,
    ) -> Result<End, DeliveryError> {
        let (mut had, mut pause, mut accepted) = (Some(turn), PAUSE, false);
        loop {
            let turn = tokio::select! {
                biased;
                () = withdrawn.cancelled() => {
                    tracing::info!(assignment = %head.assignment_id, "passed over: it was withdrawn before the agent took it");
                    self.metrics.deliveries("withdrawn").inc();
                    return Ok(End::Settled);
                }
                turn = self.turn(&mut agent, ticket, had.take()) => turn,
            };
            let Some(turn) = turn else { return Ok(End::Left) };
            let left = head.deadline.map(|deadline| deadline - now_ms());
            if let Some(left) = left.filter(|left| *left <= 0) {
                tracing::warn!(assignment = %head.assignment_id, late_ms = -left, "passed over: its deadline is past by this clock");
                self.metrics.deliveries("late").inc();
                return Ok(End::Settled);
            }
            let within = left.and_then(|left| u64::try_from(left).ok()).map(Duration::from_millis);
            let lane = &turn.lane;
            let Some(answered) = self.ask(lane, assignment, head, within, withdrawn, &mut accepted).await else {
                return Ok(End::Settled);
            };
            let (outcome, report) = match answered {
                Answered::Later(after, why) => {
                    let wait = after.unwrap_or(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    tracing::warn!(agent = %lane.agent_name, assignment = %head.assignment_id, why, ?wait, "to be asked again");
                    self.metrics.deliveries("put_off").inc();
                    lane.close_for(wait);
                    had = Some(turn);
                    continue;
                }
                Answered::Report(report) => {
                    let goes_on = matches!(report.status, ReportStatus::Accepted | ReportStatus::Progress);
                    (if goes_on { "taken_over" } else { "reported" }, *report)
                }
                Answered::TakenOver => ("taken_over", head.report(ReportStatus::Accepted)),
                Answered::Failed(class, code, message) => {
                    tracing::warn!(agent = %lane.agent_name, assignment = %head.assignment_id, ?class, message, "failed");
                    ("failed", failure(head, class, code, message))
                }
            };
            self.metrics.deliveries(outcome).inc();
            let lane = Arc::clone(lane);
            // The agent may be asked for the next one while the brokers take the report.
            drop(turn);
            self.reporter.deliver(head, report).await?;
            return Ok(if outcome == "taken_over" { self.watch(head, &lane, withdrawn) } else { End::Settled });
        }
    }

    /// One request. None if it was withdrawn meanwhile.
    async fn ask(
        &self,
        lane: &Lane,
        assignment: &Assignment,
        head: &Head,
        within: Option<Duration>,
        withdrawn: &CancellationToken,
        accepted: &mut bool,
    ) -> Option<Answered> {
        let body = Bytes::from(assignment.to_json(lane.takes_text).to_string());
        let mut call = pin!(self.caller.post(lane, assignment, body, head.traceparent.as_deref(), within));
        loop {
            tokio::select! {
                biased;
                () = withdrawn.cancelled() => {
                    tracing::info!(assignment = %head.assignment_id, "withdrawn while the agent worked on it");
                    self.metrics.deliveries("withdrawn").inc();
                    self.caller.withdraw(lane, &head.assignment_id).await;
                    return None;
                }
                answered = &mut call => return Some(answered),
                () = tokio::time::sleep(HELD), if !*accepted => {
                    *accepted = true;
                    self.reporter.say(head, head.report(ReportStatus::Accepted)).await;
                }
            }
        }
    }

    /// Passes a withdrawal on to the agent, should one come before the deadline.
    fn watch(self: &Arc<Self>, head: &Head, lane: &Arc<Lane>, withdrawn: &CancellationToken) -> End {
        let Ok(room) = Arc::clone(&self.taken_over).try_acquire_owned() else {
            return End::Settled;
        };
        let (desk, lane, withdrawn, id) =
            (Arc::clone(self), Arc::clone(lane), withdrawn.clone(), head.assignment_id.clone());
        let left = head.deadline.map_or(WATCH_MS, |deadline| deadline - now_ms() + OVERDUE_MS);
        let left = Duration::from_millis(u64::try_from(left).unwrap_or_default());
        tokio::spawn(async move {
            let _room = room;
            if tokio::time::timeout(left, withdrawn.cancelled()).await.is_ok() {
                desk.caller.withdraw(&lane, &id).await;
            } else {
                desk.withdrawals.done(&id);
            }
        });
        End::Watched
    }

    async fn read(&self, record: &Tailed) -> Result<Result<Assignment, Refusal>, DeliveryError> {
        let value = record.value.as_deref().unwrap_or_default();
        loop {
            let id = match self.codec.decode(value) {
                Ok(assignment) => return Ok(Ok(assignment)),
                Err(Undecided::Refused(refusal)) => return Ok(Err(refusal)),
                Err(Undecided::NeedsSchema(id)) => id,
            };
            match self.registry.learn(id, self.codec.cache()).await {
                Ok(()) => {}
                Err(error) if error.is_retriable() => {
                    tracing::warn!(%error, "an assignment waits for its schema");
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn failure(head: &Head, class: ErrorClass, code: &str, message: String) -> AgentReport {
    let error = ReportError { class, code: Some(code.to_owned()), message, retry_after_ms: None };
    AgentReport { error: Some(error), ..head.report(ReportStatus::Failed) }
}
