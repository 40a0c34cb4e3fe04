use crate::selection::{self, Availability, Registry, Schemas, Strategies};
use crate::workflow::{AgentTraits, Answer, Choosing, Labels, Payload, Prospects, Rules, Settled, Verdict, World};

/// The world as selection sees it: the registry, which topics are there, and the rules.
#[derive(Clone, Debug)]
pub struct View<'a> {
    pub registry: &'a Registry,
    pub availability: Availability,
    pub strategies: Strategies,
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
        let in_force = self.strategies.of(choosing.task, choosing.submitted_at);
        let mut verdict = selection::choose(self.registry, &self.availability, in_force.policy, choosing);
        if let Verdict::Settled(settled) = &mut verdict {
            in_force.stamp(settled);
        }
        verdict
    }

    fn settle(&self, choosing: &Choosing<'_>, set: &[String], offers_done: bool, answer: &Answer) -> Settled {
        let in_force = self.strategies.of(choosing.task, choosing.submitted_at);
        let (registry, there, policy) = (self.registry, &self.availability, in_force.policy);
        let mut settled = selection::settle(registry, there, policy, choosing, set, offers_done, answer);
        in_force.stamp(&mut settled);
        settled
    }

    fn prospects(&self, choosing: &Choosing<'_>) -> Prospects {
        selection::prospects(self.registry, &self.availability, choosing)
    }

    fn limited(&self, topic_names: &[String]) -> Vec<String> {
        let limited = topic_names.iter().filter(|topic| self.availability.is_limited(topic));
        limited.filter_map(|topic| Some(self.registry.by_topic(topic)?.name().to_owned())).collect()
    }

    fn assigned(&self, topic_name: &str) {
        self.availability.take_room(topic_name);
    }

    fn let_through(&self, topic_name: Option<&str>) {
        self.availability.let_through(topic_name);
    }

    fn agent(&self, topic_name: &str) -> Option<AgentTraits> {
        self.registry.by_topic(topic_name).map(|agent| agent.traits())
    }

    fn labels(&self, agent_name: &str) -> Option<Labels> {
        self.registry.labels(agent_name)
    }

    fn has_capability(&self, capability: &str) -> bool {
        self.registry.current().iter().any(|agent| agent.has_capability(capability))
    }

    fn output_fault(&self, topic_name: &str, contract: Option<&str>, output: &Payload) -> Option<String> {
        selection::output_fault(self.registry, self.schemas, topic_name, contract, output)
    }

    fn verifies(&self, topic_name: &str, contract: Option<&str>) -> bool {
        selection::is_verified(self.registry, self.schemas, topic_name, contract)
    }
}
