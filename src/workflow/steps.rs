//! The steps of a workflow, in order, so that a copy with one step changed shares the others.

use super::Step;
use std::ops::Index;
use std::sync::Arc;

/// Steps that are copied together. A batch copies a workflow for each task it touches: of a plan of 100 steps this is an
/// eighth of the counters to raise, at the price of eight steps copied for each that changes.
const CHUNK: usize = 8;

/// Steps in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps {
    /// Each full but the last.
    chunks: Vec<Arc<[Step]>>,
}

impl Steps {
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Step> + Clone {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    #[must_use]
    pub fn get(&self, place: usize) -> Option<&Step> {
        self.chunks.get(place / CHUNK)?.get(place % CHUNK)
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut Step> {
        Arc::make_mut(self.chunks.get_mut(place / CHUNK)?).get_mut(place % CHUNK)
    }

    /// Changes the steps that pass `test`.
    pub fn change(&mut self, test: impl Fn(&Step) -> bool, mut with: impl FnMut(&mut Step)) {
        for chunk in self.chunks.iter_mut().filter(|chunk| chunk.iter().any(&test)) {
            Arc::make_mut(chunk).iter_mut().filter(|step| test(step)).for_each(&mut with);
        }
    }

    pub(super) fn push(&mut self, step: Step) {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => *last = last.iter().cloned().chain([step]).collect(),
            _ => self.chunks.push([step].into()),
        }
    }

    /// The steps of this and of `other` without those that the two share.
    pub fn apart<'s>(&'s self, other: &'s Self) -> (impl Iterator<Item = &'s Step>, impl Iterator<Item = &'s Step>) {
        (self.without(other), other.without(self))
    }

    fn without<'s>(&'s self, other: &'s Self) -> impl Iterator<Item = &'s Step> {
        let shared = |(place, chunk): &(usize, &Arc<[Step]>)| {
            other.chunks.get(*place).is_some_and(|others| Arc::ptr_eq(chunk, others))
        };
        self.chunks.iter().enumerate().filter(move |each| !shared(each)).flat_map(|(_, chunk)| chunk.iter())
    }
}

impl Index<usize> for Steps {
    type Output = Step;

    fn index(&self, place: usize) -> &Step {
        &self.chunks[place / CHUNK][place % CHUNK]
    }
}

impl FromIterator<Step> for Steps {
    fn from_iter<I: IntoIterator<Item = Step>>(steps: I) -> Self {
        let mut steps = steps.into_iter();
        let chunks = std::iter::from_fn(|| {
            let chunk: Vec<Step> = steps.by_ref().take(CHUNK).collect();
            (!chunk.is_empty()).then(|| chunk.into())
        });
        Self { chunks: chunks.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::StepStatus;
    use super::*;

    fn steps(many: usize) -> Steps {
        (0..many).map(|number| Step::new(number.to_string().into(), StepStatus::Waiting)).collect()
    }

    #[test]
    fn steps_are_kept_in_order_however_they_came() {
        for many in [0, 1, 7, 8, 9, 100] {
            let mut pushed = Steps::default();
            steps(many).iter().for_each(|step| pushed.push(step.clone()));
            assert_eq!(pushed, steps(many));
            assert_eq!((pushed.len(), pushed.is_empty(), pushed.iter().count()), (many, many == 0, many));
            assert!((0..many).all(|place| *pushed[place].id == *place.to_string()), "by place");
            assert_eq!(pushed.get(many), None);
        }
    }

    #[test]
    fn a_copy_shares_what_was_not_changed_and_the_original_stays() {
        let before = steps(20);
        let mut after = before.clone();
        after.get_mut(9).expect("there is one").status = StepStatus::Failed;
        after.change(|step| &*step.id == "1", |step| step.attempt = 4);
        assert_eq!((before[9].status, before[1].attempt), (StepStatus::Waiting, 0));
        assert_eq!((after[9].status, after[1].attempt), (StepStatus::Failed, 4));
        let (one, other) = before.apart(&after);
        assert_eq!((one.count(), other.count()), (16, 16), "two chunks of three");
        let (one, other) = before.apart(&before);
        assert_eq!((one.count(), other.count()), (0, 0));
    }
}
