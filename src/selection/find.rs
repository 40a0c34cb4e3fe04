use super::agent::Agent;
use super::names::same_name;
use super::registry::Registry;
use std::sync::Arc;

/// What somebody looks for among the agents; what is not said does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// It declares the capability, in any case.
    pub capability: Option<String>,
    /// It takes or gives a contract of this name, label or schema, in any case.
    pub contract: Option<String>,
    /// It has these labels with these values, exactly.
    pub labels: Vec<(String, String)>,
}

impl Wanted {
    /// Whether all that is wanted is so of the agent.
    #[must_use]
    pub fn is_met_by(&self, agent: &Agent) -> bool {
        let definition = agent.definition();
        let contract = |name: &str| {
            let sides = [&definition.input.contract, &definition.output.contract];
            sides.into_iter().flatten().any(|contract| same_name(contract, name))
        };
        self.capability.as_deref().is_none_or(|capability| agent.has_capability(capability))
            && self.contract.as_deref().is_none_or(contract)
            && self.labels.iter().all(|(key, value)| definition.labels.get(key) == Some(value))
    }
}

impl Registry {
    /// The agents that are what is wanted, by name, of each name the newest version first.
    pub fn find<'a>(&'a self, wanted: &'a Wanted) -> impl Iterator<Item = &'a Arc<Agent>> {
        self.current().iter().filter(|agent| wanted.is_met_by(agent))
    }
}
