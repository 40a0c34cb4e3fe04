//! Agents whose texts say nearly the same: a choice between them by text is a matter of chance.

use super::{Finding, Findings};
use crate::selection::names::shown;
use crate::selection::registry::Registry;
use std::collections::BTreeMap;

/// From here on two texts count as the same, on the selector's own scale: a plural or a changed order of words stays above it.
const SAME: f32 = 0.8;
/// Examples of one agent that are compared; the rest says much the same.
const EXAMPLES: usize = 50;
/// Other agents named of one agent.
const OTHERS: usize = 5;

pub(super) fn look(registry: &Registry, findings: &mut Vec<Finding>) {
    let agents: Vec<_> = registry.newest().collect();
    let places: Vec<usize> = agents.iter().map(|agent| registry.places(agent.name()).start).collect();
    for (index, agent) in agents.iter().enumerate() {
        let definition = agent.definition();
        let mut texts = vec![("description".to_owned(), definition.description.as_str())];
        let of_list = |(at, text)| (format!("capabilities[{at}]"), text);
        texts.extend(definition.capabilities.iter().map(String::as_str).enumerate().map(of_list));
        let examples = definition.examples.iter().enumerate().take(EXAMPLES);
        texts.extend(examples.map(|(at, example)| (format!("examples[{at}].text"), example.text.as_str())));
        // By the other agent: the closest pair of texts.
        let mut closest: BTreeMap<usize, (f32, String, String)> = BTreeMap::new();
        for (field, text) in texts {
            let fits = registry.index().fits([text, ""]);
            // Each pair is told of once.
            for other in index + 1..agents.len() {
                let fit = &fits[places[other]];
                let (share, by) = match field.as_str() {
                    "description" if fit.description > fit.best => (fit.description, "its description".to_owned()),
                    _ => (fit.best, registry.index().deciding(fit)),
                };
                if share >= SAME && closest.get(&other).is_none_or(|(best, ..)| share > *best) {
                    closest.insert(other, (share, field.clone(), by));
                }
            }
        }
        let mut found = Findings { agent, all: findings };
        for (other, (share, field, by)) in closest.iter().take(OTHERS) {
            let name = shown(agents[*other].name());
            let message = format!(
                "says nearly what `{name}` says by {by} ({share:.2}): tell them apart, or a choice between them is a matter of \
                 chance"
            );
            found.warn("overlap", field.clone(), message);
        }
        if closest.len() > OTHERS {
            let more = closest.len() - OTHERS;
            found.warn("overlap", "description", format!("and {more} more agents say nearly the same"));
        }
    }
}
