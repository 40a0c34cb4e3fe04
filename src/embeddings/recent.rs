//! The vectors of what was asked for lately: a choice looks at a text when it asks an LLM and when it has its answer, and
//! a route at its objective before each step.

use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Texts of a generation; there are two.
const GENERATION: usize = 2_048;

#[derive(Debug, Default)]
pub(super) struct Recent {
    young: FxHashMap<String, Arc<[f32]>>,
    old: FxHashMap<String, Arc<[f32]>>,
}

impl Recent {
    pub(super) fn get(&mut self, text: &str) -> Option<Arc<[f32]>> {
        if let Some(vector) = self.young.get(text) {
            return Some(Arc::clone(vector));
        }
        let (text, vector) = self.old.remove_entry(text)?;
        self.put(text, &vector);
        Some(vector)
    }

    pub(super) fn put(&mut self, text: String, vector: &Arc<[f32]>) {
        if self.young.len() == GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(text, Arc::clone(vector));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let mut recent = Recent::default();
        let vector: Arc<[f32]> = Arc::from([1.0]);
        recent.put("often".to_owned(), &vector);
        recent.put("once".to_owned(), &vector);
        for number in 0..3 * GENERATION {
            recent.put(number.to_string(), &vector);
            assert!(recent.get("often").is_some(), "gone after {number}");
        }
        assert!(recent.get("once").is_none());
        assert!(recent.young.len() + recent.old.len() <= 2 * GENERATION);
    }
}
