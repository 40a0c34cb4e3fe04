use crate::selection::{self, Answers, Availability, Policy, Registry, Schemas};
use crate::workflow::{AgentTraits, Answer, Choosing, Labels, Payload, Prospects, Rules, Settled, Verdict, World};

/// The world as selection sees it: the registry, which topics are there, and the rules.
#[derive(Clone, Debug)]
pub struct View<'a> {
    pub registry: &'a Registry,
    pub availability: Availability,
    pub policy: &'a Policy,
    pub rules: &'a Rules,
    /// Compiled contracts of tasks.
    pub schemas: &'a Schemas,
    /// What an LLM answered before.
    pub answers: &'a Answers,
}

impl World for View<'_> {
    fn rules(&self) -> &Rules {
        self.rules
    }

    fn set_partition(&self, number: i32) {
        self.availability.set_partition(number);
    }

    fn choose(&self, choosing: &Choosing<'_>) -> Verdict {
        let (registry, availability, policy) = (self.registry, &self.availability, self.policy);
        match selection::choose(registry, availability, policy, choosing) {
            Verdict::Ask { set, offers_done } => {
                let known =
                    selection::recall(self.answers, registry, availability, policy, choosing, &set, offers_done);
                known.map_or(Verdict::Ask { set, offers_done }, |settled| Verdict::Settled(Box::new(settled)))
            }
            settled => settled,
        }
    }

    fn settle(&self, choosing: &Choosing<'_>, set: &[String], offers_done: bool, answer: &Answer) -> Settled {
        selection::settle(self.registry, &self.availability, self.policy, choosing, set, offers_done, answer)
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
