use crate::selection::{self, Availability, Policy, Registry};
use crate::workflow::{Answer, Choosing, Rules, Settled, Verdict, World};

/// The world as selection sees it: the registry, which topics are there, and the rules.
#[derive(Debug)]
pub struct View<'a> {
    pub registry: &'a Registry,
    pub availability: &'a Availability,
    pub policy: &'a Policy,
    pub rules: &'a Rules,
}

impl World for View<'_> {
    fn rules(&self) -> &Rules {
        self.rules
    }

    fn choose(&self, choosing: &Choosing<'_>) -> Verdict {
        selection::choose(self.registry, self.availability, self.policy, choosing)
    }

    fn settle(&self, choosing: &Choosing<'_>, set: &[String], offers_done: bool, answer: &Answer) -> Settled {
        selection::settle(self.registry, self.availability, self.policy, choosing, set, offers_done, answer)
    }

    fn eligible(&self, choosing: &Choosing<'_>) -> Vec<String> {
        selection::eligible(self.registry, self.availability, choosing)
    }

    fn output_is_json(&self, agent_name: &str) -> bool {
        self.registry.agent(agent_name).is_some_and(|agent| agent.output_is_json())
    }
}
