//! Plans, and whether one can be followed: all that is wrong with it at once, each fault naming step, value and remedy.

use super::{PlannedStep, World, fnv1a_32};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A plan: its steps in the order they were written, each found by its id, and what each depends on by place. Copies share
/// it.
#[derive(Clone)]
pub struct Plan(Arc<Inner>);

struct Inner {
    steps: Box<[PlannedStep]>,
    /// Hashes of the steps' ids and their places, sorted: what is looked through lies together, which the ids do not.
    by_id: Box<[(u32, u32)]>,
    /// Places of what the steps depend on, one step's after the other's; [`NOWHERE`] of what the plan does not have.
    needs: Box<[u32]>,
    /// Where each step's needs end.
    ends: Box<[u32]>,
}

const NOWHERE: u32 = u32::MAX;

impl Plan {
    /// The place of the step with that id.
    #[must_use]
    pub fn place(&self, id: &str) -> Option<usize> {
        place(&self.0.steps, &self.0.by_id, id)
    }

    /// Places of what the step at `place` depends on; none for what the plan does not have.
    pub fn needs(&self, place: usize) -> impl Iterator<Item = Option<usize>> {
        let Inner { needs, ends, .. } = &*self.0;
        let end_of = |place: usize| ends.get(place).map_or(0, |end| *end as usize);
        let start = place.checked_sub(1).map_or(0, end_of);
        let own = needs.get(start..end_of(place)).unwrap_or_default();
        own.iter().map(|place| (*place != NOWHERE).then_some(*place as usize))
    }

    /// Whether the two are one in memory.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

fn place(steps: &[PlannedStep], by_id: &[(u32, u32)], id: &str) -> Option<usize> {
    let hash = fnv1a_32(id);
    let start = by_id.partition_point(|(of, _)| *of < hash);
    let same = by_id[start..].iter().take_while(|(of, _)| *of == hash).map(|(_, place)| *place as usize);
    same.into_iter().find(|place| steps[*place].step_id == id)
}

impl From<Vec<PlannedStep>> for Plan {
    fn from(steps: Vec<PlannedStep>) -> Self {
        let mut by_id: Box<[(u32, u32)]> =
            (0..).zip(&steps).map(|(place, step)| (fnv1a_32(&step.step_id), place)).collect();
        by_id.sort_unstable();
        let (mut needs, mut ends) = (Vec::new(), Vec::with_capacity(steps.len()));
        let small = |number: usize| u32::try_from(number).unwrap_or(NOWHERE);
        for step in &steps {
            needs.extend(step.depends_on.iter().map(|id| place(&steps, &by_id, id).map_or(NOWHERE, small)));
            ends.push(small(needs.len()));
        }
        Self(Arc::new(Inner { steps: steps.into(), by_id, needs: needs.into(), ends: ends.into() }))
    }
}

impl FromIterator<PlannedStep> for Plan {
    fn from_iter<I: IntoIterator<Item = PlannedStep>>(steps: I) -> Self {
        steps.into_iter().collect::<Vec<_>>().into()
    }
}

impl Default for Plan {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl Deref for Plan {
    type Target = [PlannedStep];

    fn deref(&self) -> &[PlannedStep] {
        &self.0.steps
    }
}

impl PartialEq for Plan {
    fn eq(&self, other: &Self) -> bool {
        self.is(other) || **self == **other
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Faults told of one plan at most; the rest is counted.
const MAX_FAULTS: usize = 50;

/// All that is wrong with a plan; nothing if it can be followed. `allowed` are the agents that the task allows; empty =
/// all.
#[must_use]
pub fn faults(plan: &[PlannedStep], allowed: &[String], world: &dyn World) -> Vec<String> {
    let mut faults = Vec::new();
    let rules = world.rules();
    if plan.is_empty() {
        faults.push("plan: has no steps; give at least one".to_owned());
    }
    if plan.len() > rules.max_steps {
        let (steps, most) = (plan.len(), rules.max_steps);
        faults.push(format!("plan: has {steps} steps; {most} are allowed (workflow.max_steps)"));
    }
    let places = places(plan, &mut faults);
    let edges = edges(plan, &places, &mut faults);
    shape(plan, &edges, world, &mut faults);
    for (place, step) in plan.iter().enumerate() {
        served(step, allowed, world, &mut faults);
        for before in &edges[place] {
            fits(&plan[*before], step, world, &mut faults);
        }
    }
    if faults.len() > MAX_FAULTS {
        let more = faults.len() - MAX_FAULTS;
        faults.truncate(MAX_FAULTS);
        faults.push(format!("and {more} more"));
    }
    faults
}

fn places<'p>(plan: &'p [PlannedStep], faults: &mut Vec<String>) -> BTreeMap<&'p str, usize> {
    let mut places = BTreeMap::new();
    for (place, step) in plan.iter().enumerate() {
        if places.insert(step.step_id.as_str(), place).is_some() {
            faults.push(format!("step {}: its stepId is used twice; give each step its own", step.step_id));
        }
    }
    places
}

/// For each step the places of those it depends on, once each.
fn edges(plan: &[PlannedStep], places: &BTreeMap<&str, usize>, faults: &mut Vec<String>) -> Vec<Vec<usize>> {
    let mut edges = Vec::with_capacity(plan.len());
    for step in plan {
        let mut before = BTreeSet::new();
        for id in &step.depends_on {
            match places.get(id.as_str()) {
                None => faults.push(format!("step {}: depends on {id}, which the plan does not have", step.step_id)),
                Some(_) if *id == step.step_id => faults.push(format!("step {id}: depends on itself")),
                Some(place) => {
                    before.insert(*place);
                }
            }
        }
        edges.push(before.into_iter().collect());
    }
    edges
}

/// Cycles, the longest way and how much hangs on one step: by taking away, again and again, what depends on nothing.
fn shape(plan: &[PlannedStep], edges: &[Vec<usize>], world: &dyn World, faults: &mut Vec<String>) {
    let mut after: Vec<Vec<usize>> = vec![Vec::new(); plan.len()];
    let mut owed: Vec<usize> = edges.iter().map(Vec::len).collect();
    for (place, before) in edges.iter().enumerate() {
        for one in before {
            after[*one].push(place);
        }
    }
    let mut depth = vec![1; plan.len()];
    let mut free: Vec<usize> = (0..plan.len()).filter(|place| owed[*place] == 0).collect();
    let mut taken = 0;
    while let Some(place) = free.pop() {
        taken += 1;
        for next in &after[place] {
            depth[*next] = depth[*next].max(depth[place] + 1);
            owed[*next] -= 1;
            if owed[*next] == 0 {
                free.push(*next);
            }
        }
    }
    if taken < plan.len() {
        let left = (0..plan.len()).filter(|place| owed[*place] > 0).map(|place| plan[place].step_id.as_str());
        let left: Vec<&str> = left.take(20).collect();
        faults.push(format!("plan: steps wait for each other in a circle: among {}", left.join(", ")));
    }
    let rules = world.rules();
    let deepest = depth.iter().copied().max().unwrap_or(0);
    if deepest > rules.max_depth {
        let most = rules.max_depth;
        faults.push(format!("plan: its longest way has {deepest} steps; {most} are allowed (workflow.max_depth)"));
    }
    for (place, after) in after.iter().enumerate().filter(|(_, after)| after.len() > rules.max_fan_out) {
        let (id, width, most) = (&plan[place].step_id, after.len(), rules.max_fan_out);
        faults.push(format!("step {id}: {width} steps depend on it; {most} are allowed (workflow.max_fan_out)"));
    }
}

fn served(step: &PlannedStep, allowed: &[String], world: &dyn World, faults: &mut Vec<String>) {
    let id = &step.step_id;
    if let Some(agent) = &step.agent_name {
        let is_it = |name: &String| name.trim().eq_ignore_ascii_case(agent.trim());
        if world.labels(agent).is_none() {
            faults.push(format!("step {id}: agentName {agent:?} is not registered"));
        } else if !allowed.is_empty() && !allowed.iter().any(is_it) {
            faults.push(format!("step {id}: agentName {agent:?} is not among the task's agents"));
        }
    }
    if let Some(capability) = &step.capability
        && !world.has_capability(capability)
    {
        faults.push(format!("step {id}: no registered agent has the capability {capability:?}"));
    }
}

/// Whether what `before` gives is what `step` takes, as far as labels say it.
fn fits(before: &PlannedStep, step: &PlannedStep, world: &dyn World, faults: &mut Vec<String>) {
    if step.input.is_some() || step.depends_on.len() > 1 {
        return;
    }
    let agent = |step: &PlannedStep| step.agent_name.as_deref().and_then(|name| world.labels(name)).unwrap_or_default();
    let label =
        |contract: &Option<String>| contract.as_deref().and_then(contract_name).map(|name| vec![name.to_owned()]);
    let gives = label(&before.output_contract).unwrap_or_else(|| agent(before).gives);
    let takes = label(&step.input_contract).unwrap_or_else(|| agent(step).takes);
    let go_together = gives.iter().any(|gives| takes.iter().any(|takes| gives.eq_ignore_ascii_case(takes)));
    if let ([first, ..], [wanted, ..], false) = (&gives[..], &takes[..], go_together) {
        let (from, to) = (&before.step_id, &step.step_id);
        faults.push(format!("step {to}: takes {wanted:?}, and step {from}, which it depends on, gives {first:?}"));
    }
}

/// The name a contract is given by; none if it is the schema itself, or says nothing (empty, `any`). A name that is still
/// there after contracts were looked up is a label.
#[must_use]
pub fn contract_name(contract: &str) -> Option<&str> {
    let contract = contract.trim();
    let named = !contract.is_empty() && !contract.starts_with('{') && !contract.eq_ignore_ascii_case("any");
    named.then_some(contract)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_what_they_depend_on_are_found_by_place() {
        let step = |id: &str, depends_on: &[&str]| PlannedStep {
            step_id: id.to_owned(),
            depends_on: depends_on.iter().map(|id| (*id).to_owned()).collect(),
            ..PlannedStep::default()
        };
        let plan: Plan = [step("b", &[]), step("a", &["b", "x"]), step("c", &["a"])].into_iter().collect();
        assert_eq!(["a", "b", "c", "x"].map(|id| plan.place(id)), [Some(1), Some(0), Some(2), None]);
        let needs: Vec<Vec<Option<usize>>> = (0..4).map(|place| plan.needs(place).collect()).collect();
        assert_eq!(needs, [vec![], vec![Some(0), None], vec![Some(1)], vec![]]);
    }

    #[test]
    fn an_inline_schema_and_any_have_no_name() {
        assert_eq!(contract_name(" {\"type\":\"object\"}"), None);
        assert_eq!((contract_name("Any"), contract_name(" ")), (None, None));
        assert_eq!(contract_name(" lead "), Some("lead"));
    }
}
