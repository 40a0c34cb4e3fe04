use crate::llm::outline;
use crate::workflow::PlannedStep;
use std::sync::Arc;

/// Types of tasks that are remembered; the one that was longest without a success goes first.
const MAX_KINDS: usize = 64;
/// Plans remembered of each, which is as many as the LLM is shown.
const MAX_PLANS: usize = 2;
/// Bytes of a type's name; no one's plans are worth more.
const MAX_KIND: usize = 256;

/// The latest plans that succeeded, by the type of their task: what the LLM is shown when it plans another one of the type.
///
/// Of this process and its partitions only, and gone with it: an aid to the LLM, on which nothing else depends.
#[derive(Debug, Default)]
pub(super) struct PlanMemory {
    /// Latest success last.
    kinds: Vec<(Box<str>, Vec<Arc<str>>)>,
}

impl PlanMemory {
    /// A plan of one step says nothing of how to divide work, and is not kept.
    pub(super) fn succeeded(&mut self, kind: &str, plan: &[PlannedStep]) {
        if plan.len() < 2 || kind.len() > MAX_KIND {
            return;
        }
        let place = self.kinds.iter().position(|(known, _)| **known == *kind);
        let (kind, mut plans) = match place {
            Some(place) => self.kinds.remove(place),
            None => (kind.into(), Vec::new()),
        };
        let told: Arc<str> = outline(plan).into();
        plans.retain(|known| *known != told);
        plans.insert(0, told);
        plans.truncate(MAX_PLANS);
        self.kinds.push((kind, plans));
        if self.kinds.len() > MAX_KINDS {
            self.kinds.remove(0);
        }
    }

    /// The latest first.
    pub(super) fn of(&self, kind: &str) -> Vec<Arc<str>> {
        self.kinds.iter().find(|(known, _)| **known == *kind).map(|(_, plans)| plans.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(objective: &str, steps: usize) -> Vec<PlannedStep> {
        let step = |place: usize| PlannedStep {
            step_id: place.to_string(),
            objective: objective.to_owned(),
            ..PlannedStep::default()
        };
        (0..steps).map(step).collect()
    }

    #[test]
    fn the_latest_plans_of_a_type_are_kept_each_once() {
        let mut memory = PlanMemory::default();
        for objective in ["a", "b", "c", "b"] {
            memory.succeeded("x", &plan(objective, 2));
        }
        memory.succeeded("x", &plan("d", 1));
        let kept = [plan("b", 2), plan("c", 2)].map(|plan| Arc::from(outline(&plan)));
        assert_eq!(memory.of("x"), kept);
        assert!(memory.of("y").is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut memory = PlanMemory::default();
        memory.succeeded("first", &plan("a", 2));
        for kind in 0..MAX_KINDS {
            memory.succeeded(&kind.to_string(), &plan(&"long ".repeat(1_000), 1_000));
        }
        memory.succeeded(&"k".repeat(MAX_KIND + 1), &plan("a", 2));
        assert_eq!((memory.kinds.len(), memory.of("first").len()), (MAX_KINDS, 0));
        assert!(memory.of("0")[0].len() < 5_000);
    }
}
