//! One definition after another under the same topic: within a major version it must keep what the one before promised.
//!
//! Whoever runs the earlier version, or was built against it, goes on unharmed: the input contract may only widen (all that
//! was taken is taken still), the output contract may only narrow (all that is given was allowed before), the media types
//! stay. A schema is compared with a schema keyword by keyword, so a refusal may be wrong and a permission is not; a label only
//! with itself; `any` is the widest. Not compared: another major, major 0, which promises nothing, and an earlier version
//! than the one in force: going back must not need an argument.

use super::agent::{Agent, essence};
use super::contract::Contract;
use super::json_schema;
use super::names::shown;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Reasons that one fault tells.
const REASONS: usize = 3;

/// The last sound definition under each key: what the next one is compared with.
#[derive(Debug, Default)]
pub struct Predecessors(BTreeMap<String, Arc<Agent>>);

impl Predecessors {
    /// Takes the next definition under its key; `forced`: whatever it breaks.
    ///
    /// # Errors
    /// What it breaks of the one before, each fault with its field and a remedy. It is not taken then: the one before stays
    /// what the next is compared with.
    pub fn succeed(&mut self, agent: Agent, forced: bool) -> Result<Arc<Agent>, Vec<String>> {
        let broken = if forced { Vec::new() } else { self.broken_by(&agent) };
        if !broken.is_empty() {
            return Err(broken);
        }
        let agent = Arc::new(agent);
        self.0.insert(agent.topic_name().to_owned(), Arc::clone(&agent));
        Ok(agent)
    }

    /// What a definition would break of the one under its key; nothing if it may take its place.
    #[must_use]
    pub fn broken_by(&self, agent: &Agent) -> Vec<String> {
        self.0.get(agent.topic_name()).map_or_else(Vec::new, |before| broken(before, agent))
    }

    /// The definition under this key was taken out: the next one is the first.
    pub fn forget(&mut self, key: &str) {
        self.0.remove(key);
    }
}

pub(super) fn broken(before: &Agent, after: &Agent) -> Vec<String> {
    let (old, new) = (before.version(), after.version());
    if old.major != new.major || new.major == 0 || new < old {
        return Vec::new();
    }
    let remedy = format!(
        "or register it as version {}.0.0, which has a topic of its own (to replace {old} all the same: `baton agents register \
         --force`)",
        new.major + 1
    );
    let mut faults = Vec::new();
    let sides = [
        ("input", &before.definition().input.format, &after.definition().input.format),
        ("output", &before.definition().output.format, &after.definition().output.format),
    ];
    for (side, was, is) in sides {
        if !is_same_type(was, is) {
            let (was, is) = (shown(was), shown(is));
            faults.push(format!("{side}.format `{is}` is another than `{was}` of version {old}: keep that, {remedy}"));
        }
    }
    if let Some(why) = not_within(before.input(), after.input()) {
        faults.push(format!("input.contract does not take all that version {old} takes ({why}): let it, {remedy}"));
    }
    if let Some(why) = not_within(after.output(), before.output()) {
        faults.push(format!("output.contract allows what version {old} never gives ({why}): take that out, {remedy}"));
    }
    faults
}

/// Whether two media types are the same, parameters aside; what is not said is plain text.
fn is_same_type(one: &str, other: &str) -> bool {
    let said = |format| Some(essence(format)).filter(|essence| !essence.is_empty()).unwrap_or("text/plain");
    said(one).eq_ignore_ascii_case(said(other))
}

/// Why not all that `narrow` allows is known to be allowed by `wide`; none if it is.
fn not_within(narrow: &Contract, wide: &Contract) -> Option<String> {
    match (narrow, wide) {
        (_, Contract::Any) => None,
        (Contract::Label(one), Contract::Label(other)) if one == other => None,
        (Contract::Schema(narrow), Contract::Schema(wide)) => {
            let parsed = |text: &str| serde_json::from_str(text).unwrap_or_default();
            let reasons = json_schema::unread(&parsed(narrow.text()), &parsed(wide.text()));
            let more = reasons.len().saturating_sub(REASONS);
            let more = if more == 0 { String::new() } else { format!("; and {more} more") };
            let told: Vec<&str> = reasons.iter().take(REASONS).map(String::as_str).collect();
            (!reasons.is_empty()).then(|| format!("{}{more}", told.join("; ")))
        }
        (narrow, wide) => Some(format!("{} is not known to be within {}", named(narrow), named(wide))),
    }
}

fn named(contract: &Contract) -> String {
    match contract {
        Contract::Any => "`any`".to_owned(),
        Contract::Label(label) => format!("the label `{}`", shown(label)),
        Contract::Schema(_) => "a schema".to_owned(),
    }
}
