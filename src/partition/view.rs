use crate::selection::{self, Availability, Policy, Registry, Schemas};
use crate::workflow::{AgentTraits, Answer, Choosing, Payload, Rules, Settled, Verdict, World};

/// The world as selection sees it: the registry, which topics are there, and the rules.
#[derive(Clone, Debug)]
pub struct View<'a> {
    pub registry: &'a Registry,
    pub availability: Availability,
    pub policy: &'a Policy,
    pub rules: &'a Rules,
    /// Compiled contracts of tasks.
    pub schemas: &'a Schemas,
}

impl World for View<'_> {
    fn rules(&self) -> &Rules {
        self.rules
    }

    fn set_partition(&self, number: i32) {
        self.availability.set_partition(number);
    }

    fn choose(&self, choosing: &Choosing<'_>) -> Verdict {
        selection::choose(self.registry, &self.availability, self.policy, choosing)
    }

    fn settle(&self, choosing: &Choosing<'_>, set: &[String], offers_done: bool, answer: &Answer) -> Settled {
        selection::settle(self.registry, &self.availability, self.policy, choosing, set, offers_done, answer)
    }

    fn eligible(&self, choosing: &Choosing<'_>) -> Vec<String> {
        selection::eligible(self.registry, &self.availability, choosing)
    }

    fn is_limited(&self, agent_name: &str) -> bool {
        self.registry.agent(agent_name).is_some_and(|agent| self.availability.is_limited(agent.topic_name()))
    }

    fn assigned(&self, agent_name: &str) {
        if let Some(agent) = self.registry.agent(agent_name) {
            self.availability.take_room(agent.topic_name());
        }
    }

    fn let_through(&self, agent_name: Option<&str>) {
        let agent = agent_name.and_then(|name| self.registry.agent(name));
        self.availability.let_through(agent.map(|agent| agent.topic_name()));
    }

    fn agent(&self, agent_name: &str) -> Option<AgentTraits> {
        self.registry.agent(agent_name).map(|agent| agent.traits())
    }

    fn has_capability(&self, capability: &str) -> bool {
        self.registry.current().iter().any(|agent| agent.has_capability(capability))
    }

    fn output_fault(&self, agent_name: &str, contract: Option<&str>, output: &Payload) -> Option<String> {
        selection::output_fault(self.registry, self.schemas, agent_name, contract, output)
    }
}
