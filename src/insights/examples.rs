//! What is learned of outcomes: texts of tasks that agents turned out to be right for, as their records, and back.

use crate::contract::{AgentExamples, AgentOutcome, ConfirmedExample, OutcomeClass};
use crate::selection::{Confirmed, Memory, Registry};
use crate::workflow::Timestamp;

/// Learns of an outcome that has something to teach. Says whether memory holds something else now. What the agent's
/// definition said when it was chosen is to be what it says now.
pub(super) fn learn(memory: &mut Memory, registry: &Registry, topic_name: &str, outcome: &AgentOutcome) -> bool {
    let (Some(text), Some(definition), OutcomeClass::Succeeded) = (&outcome.text, outcome.definition, outcome.outcome)
    else {
        return false;
    };
    let agent = registry.by_topic(topic_name).filter(|agent| agent.fingerprint() == definition.cast_unsigned());
    let Some(agent) = agent else { return false };
    let fitting = || registry.capability_by(agent, text).map(str::to_owned);
    let confirmed = Confirmed {
        text: text.clone(),
        capability: outcome.capability.clone().or_else(fitting),
        source: outcome.source.clone().unwrap_or_default(),
        at: Timestamp(outcome.at),
    };
    memory.learn(agent, confirmed)
}

/// The record of what is remembered of the agent of a topic, written at `at`; none of nothing.
#[must_use]
pub fn examples_of(memory: &Memory, topic_name: &str, agent_name: &str, at: i64) -> Option<AgentExamples> {
    let (definition, examples) = memory.remembered(topic_name)?;
    let example = |confirmed: &Confirmed| ConfirmedExample {
        text: confirmed.text.clone(),
        capability: confirmed.capability.clone(),
        source: confirmed.source.clone(),
        at: confirmed.at.0,
    };
    Some(AgentExamples {
        agent_name: agent_name.to_owned(),
        definition: definition.cast_signed(),
        examples: examples.map(example).collect(),
        at,
    })
}

/// Puts what a record holds in place of what is remembered of the agent of a topic. Says whether its texts are others now.
pub fn remember(memory: &mut Memory, topic_name: &str, record: AgentExamples) -> bool {
    let confirmed = |one: ConfirmedExample| Confirmed {
        text: one.text,
        capability: one.capability,
        source: one.source,
        at: Timestamp(one.at),
    };
    memory.put(topic_name, record.definition.cast_unsigned(), record.examples.into_iter().map(confirmed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{RecordKind, Usage};
    use crate::selection::{Agent, Definition, Keep, Resolved, bounds};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn registry(change: impl FnOnce(&mut Definition)) -> Registry {
        let mut definition = Definition::new("Painter");
        definition.description = "does what is asked".to_owned();
        definition.capabilities = vec!["paint walls".to_owned(), "paint doors".to_owned()];
        change(&mut definition);
        let agent = Agent::compile("painter", definition, Resolved::Any, Resolved::Any).expect("sound");
        Registry::new(BTreeMap::from([("painter".to_owned(), Ok(Arc::new(agent)))]))
    }

    fn outcome(registry: &Registry, text: &str) -> AgentOutcome {
        let definition = registry.by_topic("painter").expect("registered").fingerprint();
        AgentOutcome {
            agent_name: "Painter".to_owned(),
            version: "1.0.0".to_owned(),
            capability: None,
            task_type: None,
            assignment_id: "t~0-7~1~1".to_owned(),
            outcome: OutcomeClass::Succeeded,
            reason: String::new(),
            latency_ms: 10,
            usage: Usage::default(),
            output_bytes: 2,
            quality: None,
            at: 1_000,
            text: Some(text.to_owned()),
            source: Some("me".to_owned()),
            definition: Some(definition.cast_signed()),
            predicted_success: None,
            predicted_latency_ms: None,
            predicted_latency_low_ms: None,
            predicted_latency_high_ms: None,
        }
    }

    #[test]
    fn an_outcome_is_learned_for_the_capability_it_fits_and_its_record_says_all_of_it() {
        let (registry, mut memory) = (registry(|_| {}), Memory::default());
        assert!(learn(&mut memory, &registry, "painter", &outcome(&registry, "paint my doors green")));
        assert!(!learn(&mut memory, &registry, "painter", &outcome(&registry, "paint my doors green")), "nothing new");
        let record = examples_of(&memory, "painter", "Painter", 2_000).expect("there is one");
        assert_eq!(record.examples[0].capability.as_deref(), Some("paint doors"));
        assert_eq!((&*record.examples[0].source, record.examples[0].at), ("me", 1_000));
        let mut restored = Memory::default();
        assert!(remember(&mut restored, "painter", record.clone()));
        assert_eq!(examples_of(&restored, "painter", "Painter", 2_000), Some(record));
        assert_eq!(examples_of(&Memory::default(), "painter", "Painter", 2_000), None);
    }

    #[test]
    fn only_what_was_chosen_by_this_definition_and_succeeded_is_learned() {
        let (registry, mut memory) = (registry(|_| {}), Memory::default());
        let sound = outcome(&registry, "make it bright");
        let failed = AgentOutcome { outcome: OutcomeClass::InvalidOutput, ..sound.clone() };
        let silent = AgentOutcome { text: None, ..sound.clone() };
        let earlier = AgentOutcome { definition: Some(5), ..sound.clone() };
        for nothing in [failed, silent, earlier] {
            assert!(!learn(&mut memory, &registry, "painter", &nothing));
        }
        assert!(!learn(&mut memory, &registry, "gone", &sound));
        assert!(memory.is_empty());
    }

    #[test]
    fn the_longest_record_fits_its_topic() {
        let long = |i: usize| format!("{i:03}{}", "\u{1f600}".repeat(bounds::CAPABILITY - 3));
        let registry = registry(|definition| definition.capabilities = (0..bounds::CAPABILITIES).map(long).collect());
        let mut memory = Memory::default();
        for i in 0..bounds::CAPABILITIES * 20 {
            let text = format!("{i:04}{}", "\u{1f600}".repeat(bounds::EXAMPLE));
            let source = Some(format!("{i:04}{}", "\u{1f600}".repeat(124)));
            let capability = Some(long(i % bounds::CAPABILITIES));
            let one =
                AgentOutcome { source, capability, at: i64::try_from(i).expect("small"), ..outcome(&registry, &text) };
            assert!(learn(&mut memory, &registry, "painter", &one));
        }
        assert_eq!(memory.len(), Keep::default().of_agent);
        let record = examples_of(&memory, "painter", "Painter", i64::MAX).expect("there is one");
        let codec = crate::contract::Codec::new("p", [(RecordKind::AgentExamples, 1)], Arc::default());
        let bytes = codec.encode(&record).len();
        assert!(bytes < 1_000_000, "{bytes} bytes");
    }
}
