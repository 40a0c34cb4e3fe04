//! Who may be chosen at all, and whom contracts point to.

use super::agent::Agent;
use super::contract::Contract;
use super::names::{fold, same_name};
use super::registry::{Availability, Registry};
use crate::workflow::{Choosing, contract_name};
use serde_json::Value;
use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

/// Why an agent cannot be chosen now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    NotAllowed,
    /// The step is another agent's by name.
    NotNamed,
    Capability,
    Declined,
    /// Its input label is another than the producer's.
    Label,
    /// Its input schema refuses the value, and how.
    Schema(String),
    NoTopic,
    /// Its heartbeats have stopped.
    Gone,
    /// Its circuit breaker keeps it from being chosen here, and why.
    Broken(Arc<str>),
    /// Its circuit breaker is half open, and it has as many probes as it may have. Busy, as it were.
    Probed,
    /// The newer version of it that takes the work.
    Drained(Arc<str>),
    /// It has as many assignments as it takes at once. The last of the reasons: all else about it fits.
    Busy,
}

impl Why {
    pub(super) fn text(&self, agent: &Agent) -> Arc<str> {
        match self {
            Self::NotAllowed => "the task does not allow it".into(),
            Self::NotNamed => "another agent is named for the step".into(),
            Self::Capability => "it does not have the capability that the step asks for".into(),
            Self::Declined => "it declined this step".into(),
            Self::Label => Arc::clone(&agent.wrong_label),
            Self::Schema(violation) => format!("contract: {violation}").into(),
            Self::NoTopic => "its topic is not there yet".into(),
            Self::Gone => "its heartbeats have stopped".into(),
            Self::Broken(why) => Arc::clone(why),
            Self::Probed => "its circuit breaker is half open, and the probes it may have are under way".into(),
            Self::Drained(version) => format!("new work goes to its version {version}").into(),
            Self::Busy => "it has as much to do as it takes at once".into(),
        }
    }
}

/// What one agent's part in a choice can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// None = eligible.
    pub(super) excluded: Option<Why>,
    /// Its contract points to the value: more than merely taking it. False for agents the task does not allow.
    pub(super) matches: bool,
    /// Its contract does not refuse the value. False for agents the task does not allow.
    pub(super) takes: bool,
}

impl Standing {
    pub(super) fn is_eligible(&self) -> bool {
        self.excluded.is_none()
    }

    pub(super) fn is_busy(&self) -> bool {
        matches!(self.excluded, Some(Why::Busy | Why::Probed))
    }

    pub(super) fn declined(&self) -> bool {
        self.excluded == Some(Why::Declined)
    }
}

/// The standing of each of the registry's current agents, in their order.
pub(super) fn standings(registry: &Registry, availability: &Availability, choosing: &Choosing<'_>) -> Vec<Standing> {
    let offered = Offered::new(registry, choosing);
    let agents = registry.current().iter();
    let mut standings: Vec<Standing> = agents.map(|agent| standing(agent, &offered, availability, choosing)).collect();
    for places in registry.groups().filter(|places| places.len() > 1) {
        one_version(registry, places, &mut standings);
    }
    standings
}

/// Of several versions of one name one stands for the name: the newest that can be chosen, or could if it had room, so that
/// the older ones are drained; else the newest that contracts point to; else the newest.
fn one_version(registry: &Registry, places: Range<usize>, standings: &mut [Standing]) {
    let newest = |test: &dyn Fn(&Standing) -> bool| places.clone().find(|place| test(&standings[*place]));
    let stands = newest(&|standing| standing.is_eligible() || standing.is_busy())
        .or_else(|| newest(&|standing| standing.matches))
        .or_else(|| newest(&|standing| standing.takes))
        .unwrap_or(places.start);
    for place in places.filter(|place| *place != stands) {
        let standing = &mut standings[place];
        (standing.matches, standing.takes) = (false, false);
        if standing.is_eligible() || standing.is_busy() {
            standing.excluded = Some(Why::Drained(Arc::clone(&registry.current()[stands].shown_version)));
        }
    }
}

fn standing(agent: &Agent, offered: &Offered<'_>, availability: &Availability, choosing: &Choosing<'_>) -> Standing {
    let named = |names: &[String]| names.iter().any(|name| same_name(name, agent.name()));
    let out = |why| Standing { excluded: Some(why), matches: false, takes: false };
    let by_operator = choosing.pinned.is_some_and(|pinned| pinned.by_operator);
    if !by_operator && !choosing.task.agents.is_empty() && !named(&choosing.task.agents) {
        return out(Why::NotAllowed);
    }
    if choosing.pinned.is_some_and(|pinned| !same_name(pinned.agent_name, agent.name())) {
        return out(Why::NotNamed);
    }
    if choosing.capability.is_some_and(|capability| !agent.has_capability(capability)) {
        return out(Why::Capability);
    }
    let (refused, matches) = offered.to(agent);
    let takes = refused.is_none();
    let declined = choosing.declined.iter().any(|name| same_name(name, agent.name()));
    let excluded = if declined {
        Some(Why::Declined)
    } else if refused.is_some() {
        refused
    } else if !availability.has(agent.topic_name()) {
        Some(Why::NoTopic)
    } else if availability.is_gone(agent.topic_name()) {
        Some(Why::Gone)
    } else if let Some(broken) = availability.barred(agent.topic_name()) {
        Some(Why::Broken(Arc::clone(&broken.why)))
    } else if !availability.has_room(agent.topic_name()) {
        let probed = availability.breaker(agent.topic_name()).is_some();
        Some(if probed { Why::Probed } else { Why::Busy })
    } else {
        None
    };
    Standing { excluded, matches, takes }
}

/// The value the next agent would get.
struct Offered<'a> {
    choosing: &'a Choosing<'a>,
    /// What its producer calls it; none = not known. Case-folded.
    label: Option<String>,
    /// Parsed only if an agent has a schema.
    value: OnceCell<Value>,
}

impl<'a> Offered<'a> {
    fn new(registry: &Registry, choosing: &'a Choosing<'a>) -> Self {
        let label = match choosing.producer {
            Some(producer) => match registry.by_topic(producer).map(|agent| agent.output()) {
                Some(Contract::Label(label)) => Some(label.clone()),
                _ => None,
            },
            None => choosing.contract.and_then(contract_name).map(fold),
        };
        Self { choosing, label, value: OnceCell::new() }
    }

    fn value(&self) -> &Value {
        self.value.get_or_init(|| self.choosing.value.map_or(Value::Null, crate::workflow::Payload::value))
    }

    /// Why the agent's input contract refuses the value, if it does, and whether it matches by contract.
    fn to(&self, agent: &Agent) -> (Option<Why>, bool) {
        match agent.input() {
            Contract::Any => (None, false),
            Contract::Label(wanted) => match &self.label {
                Some(label) if label == wanted => (None, true),
                Some(_) => (Some(Why::Label), false),
                None => (None, false),
            },
            Contract::Schema(schema) => match schema.accepts(self.value()) {
                Ok(()) => (None, schema.refuses_empty()),
                Err(violation) => (Some(Why::Schema(violation)), false),
            },
        }
    }
}

/// Whether a contract is one: not blank, not `any`.
pub(super) fn says_something(contract: &str) -> bool {
    !contract.trim().is_empty() && !same_name(contract, "any")
}
