//! What texts mean, beside the words they say it in: vectors that lie close where texts mean the same.
//!
//! Who makes them is told from outside and is not asked twice about an agent's text. A capability with its examples is
//! the mean of theirs: that beats the best of them, and it takes no more memory and time the more examples there are.

use super::text::{Role, Text};
use crate::workflow::fnv1a_64;
use std::sync::Arc;

/// Makes vectors of texts. One for the whole life of a process: texts keep what was made of them.
pub trait Embed: std::fmt::Debug + Send + Sync {
    /// For each text a vector of length one, all of as many numbers; the same text gives the same vector. None if that
    /// cannot be done now, which whoever cannot says itself: agents are chosen without.
    fn embed(&self, texts: &[&str]) -> Option<Vec<Arc<[f32]>>>;
}

/// Examples that are embedded at most, about; of more, some of all.
const MOST_EXAMPLES: usize = 8_000;

/// Where the documents of an index lie.
#[derive(Debug)]
pub(super) struct Meaning {
    embed: Arc<dyn Embed>,
    /// Of one document after the other; all zero where there is none.
    centres: Vec<f32>,
    dimensions: usize,
}

impl Meaning {
    /// Of texts, each with the number of the document it is part of.
    pub(super) fn of(embed: Arc<dyn Embed>, texts: &[(u32, &Text)], documents: usize) -> Option<Self> {
        let examples = texts.iter().filter(|(_, text)| is_example(text)).count();
        let every = examples.div_ceil(MOST_EXAMPLES).max(1) as u64;
        // By what it says: with one example more the others stay those that were.
        let counts = |text: &Text| match text.role {
            Role::Name => false,
            Role::Example(..) => fnv1a_64(text.said.bytes()).swap_bytes().is_multiple_of(every),
            Role::Capability(_) | Role::Description => true,
        };
        let texts: Vec<(u32, &Text)> = texts.iter().copied().filter(|(_, text)| counts(text)).collect();
        fill(&*embed, &texts)?;
        let vectors = || texts.iter().filter_map(|(document, text)| Some((*document as usize, text.vector.get()?)));
        let dimensions = vectors().map(|(_, vector)| vector.len()).next()?;
        let mut centres = vec![0.0; documents * dimensions];
        for (document, vector) in vectors() {
            add(&mut centres[document * dimensions..][..dimensions], vector);
        }
        centres.chunks_mut(dimensions).for_each(to_length_one);
        Some(Self { embed, centres, dimensions })
    }

    /// How alike each document is to these texts taken together, -1 to 1, by number; none if that cannot be said now.
    pub(super) fn likeness(&self, texts: [&str; 2]) -> Option<Vec<f32>> {
        let mut wanted = vec![0.0; self.dimensions];
        for text in texts.into_iter().filter(|text| !text.trim().is_empty()) {
            // One by one: what was asked for stays the same while outputs come and go.
            let vector = self.embed.embed(&[text])?.pop().filter(|vector| vector.len() == self.dimensions)?;
            add(&mut wanted, &vector);
        }
        to_length_one(&mut wanted);
        Some(self.centres.chunks(self.dimensions).map(|centre| dot(centre, &wanted)).collect())
    }

    pub(super) fn bytes(&self) -> usize {
        self.centres.len() * size_of::<f32>()
    }
}

fn is_example(text: &Text) -> bool {
    matches!(text.role, Role::Example(..))
}

/// Gives each text its vector, once for all that say the same.
fn fill(embed: &dyn Embed, texts: &[(u32, &Text)]) -> Option<()> {
    let missing = || texts.iter().map(|(_, text)| text).filter(|text| text.vector.get().is_none());
    let mut said: Vec<&str> = missing().map(|text| &*text.said).collect();
    said.sort_unstable();
    said.dedup();
    let vectors = if said.is_empty() { Vec::new() } else { embed.embed(&said)? };
    for text in missing() {
        let vector = said.binary_search(&&*text.said).ok().and_then(|place| vectors.get(place))?;
        // Another registry that is built of the same agent may have been faster; it says the same.
        let _ = text.vector.set(Arc::clone(vector));
    }
    Some(())
}

fn add(sum: &mut [f32], vector: &[f32]) {
    for (sum, value) in sum.iter_mut().zip(vector) {
        *sum += value;
    }
}

fn to_length_one(vector: &mut [f32]) {
    let length = dot(vector, vector).sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value /= length);
    }
}

fn dot(one: &[f32], other: &[f32]) -> f32 {
    /// Sums side by side, which the processor adds at once; one sum would have to be added in order.
    const LANES: usize = 16;
    let mut sums = [0.0_f32; LANES];
    let (one, other) = (one.chunks_exact(LANES), other.chunks_exact(LANES));
    let rest: f32 = one.remainder().iter().zip(other.remainder()).map(|(a, b)| a * b).sum();
    for (one, other) in one.zip(other) {
        for ((sum, a), b) in sums.iter_mut().zip(one).zip(other) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest
}
