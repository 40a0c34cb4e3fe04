//! Circuit breakers that open for no reason, are probed by one partition after the other, and close.

use super::agents;
use super::kafka::FakeLog;
use super::llm::SimRunner;
use super::violated;
use super::world::World;
use baton::contract::{AgentHealth, AgentStatistics, AnomalyWatch, BreakerDetail, BreakerState, HealthState};
use baton::partition::Partition;
use baton::selection::topic_name;
use baton::worker::Worker;
use std::collections::BTreeMap;

/// Assignments that an agent whose breaker is half open may have at once.
pub(crate) const PROBES: u32 = 2;
/// One partition's turn, in milliseconds.
const TURN: i64 = 1_000;

/// When each agent's breaker changes next.
pub(crate) type Due = BTreeMap<&'static str, i64>;

/// Changes what is due. Once nothing goes wrong any more, none opens.
pub(crate) fn act(world: &World) {
    let (now, dice) = (world.time(), &world.dice);
    for name in agents::names() {
        let due = *world.breakers.borrow_mut().entry(name).or_insert_with(|| now + dice.millis(2_000, 20_000));
        if due > now {
            continue;
        }
        let (phase, turn) = phase(world, name);
        let (next, turn, wait) = match phase {
            BreakerState::Closed if dice.percent(40) && !world.is_calm() => {
                world.occurred("breaker open");
                (BreakerState::Open, 0, dice.millis(500, 5_000))
            }
            BreakerState::Closed => (BreakerState::Closed, 0, dice.millis(2_000, 10_000)),
            BreakerState::Open => {
                world.occurred("breaker half open");
                (BreakerState::HalfOpen, 0, TURN)
            }
            _ if turn < 8 && dice.percent(70) => (BreakerState::HalfOpen, turn + 1, TURN),
            _ if dice.percent(30) && !world.is_calm() => (BreakerState::Open, 0, dice.millis(500, 5_000)),
            _ => {
                world.occurred("breaker closed");
                (BreakerState::Closed, 0, dice.millis(2_000, 10_000))
            }
        };
        world.breakers.borrow_mut().insert(name, now + wait);
        if (phase, next) != (BreakerState::Closed, BreakerState::Closed) {
            world.note(|| format!("the breaker of {name} is {next:?}, turn {turn}"));
        }
        world.agent_health.take(&topic_name(name, 1), Some(health(name, next, turn)));
    }
}

fn health(name: &str, breaker: BreakerState, turn: i32) -> AgentHealth {
    AgentHealth {
        agent_name: name.to_owned(),
        version: String::new(),
        state: HealthState::Healthy,
        reason: String::new(),
        since: 0,
        breaker,
        breaker_detail: BreakerDetail { turn, reason: "the dice said so".to_owned(), ..BreakerDetail::default() },
        score: 1.0,
        parts: BTreeMap::new(),
        overall: AgentStatistics::default(),
        capabilities: BTreeMap::new(),
        task_types: BTreeMap::new(),
        trend: Default::default(),
        alerts: vec![],
        anomalies: AnomalyWatch::default(),
        prediction: Default::default(),
        instances: Vec::new(),
        in_flight: None,
        capacity: None,
        state_version: 1,
        at: 0,
    }
}

fn phase(world: &World, name: &str) -> (BreakerState, i32) {
    let table = world.agent_health.get();
    let health = table.get(&topic_name(name, 1));
    health.map_or((BreakerState::Closed, 0), |health| (health.breaker, health.breaker_detail.turn))
}

pub(crate) fn is_closed(world: &World, name: &str) -> bool {
    phase(world, name).0 == BreakerState::Closed
}

/// What a worker's tasks have of each agent, by partition.
pub(crate) type Given = BTreeMap<(i32, &'static str), usize>;

pub(crate) fn given(worker: &Worker<FakeLog, SimRunner>) -> Given {
    let all = worker.partitions().flat_map(|partition: &Partition| {
        agents::names().map(move |name| ((partition.number(), name), partition.in_flight(name)))
    });
    all.collect()
}

/// In a turn in which no breaker changed, nobody got more of an agent whose breaker is open, and of one that is half open
/// only the partition whose turn it is, and no more than there may be probes.
pub(crate) fn kept(world: &World, before: &Given, after: &Given) {
    for ((partition, name), has) in after {
        // Of a partition that came in this turn nobody knows what it had.
        let Some(had) = before.get(&(*partition, *name)) else { continue };
        if has <= had {
            continue;
        }
        let (phase, turn) = phase(world, name);
        let count = i32::try_from(world.partitions).expect("a few");
        let probes = (agents::home(&topic_name(name, 1), world.partitions) + turn) % count == *partition;
        let most = usize::try_from(PROBES).expect("a few");
        match phase {
            BreakerState::Open => violated(format!("{name} got work of partition {partition} over an open breaker")),
            BreakerState::HalfOpen if !probes => {
                violated(format!("{name} got work of partition {partition}, whose turn to probe it is not"));
            }
            BreakerState::HalfOpen if *has > most => {
                violated(format!(
                    "{name} has {has} assignments of partition {partition} where it may be probed by {most}"
                ));
            }
            _ => {}
        }
    }
}
