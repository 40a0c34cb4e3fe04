//! The local selector: how well each agent's texts fit a text, 0 to 1.
//!
//! Cosines of tf-idf vectors, words and n-grams apart, over an inverted index built with the registry.
//! An agent counts by its *best* capability (or example), not by all it says: one agent that does
//! fifteen things is as good at one of them as an agent that does only that. What one asks for is
//! scored in one pass over its terms; the work grows with the text, not with the number of agents.

use super::agent::Agent;
use super::text::{Kind, Role, STOP_WEIGHT, STOP_WORDS, terms};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// The part of words in a document's fit; the rest is n-grams.
const WORDS: f32 = 0.5;
/// What a description and a name add to a fit by capability. Flat between 0.3 and 0.8 on an intent data set.
const DESCRIPTION: f32 = 0.5;
const NAME: f32 = 0.2;

/// Inverted index over all documents of all agents.
#[derive(Debug, Default)]
pub(super) struct Index {
    terms: FxHashMap<u64, Term>,
    postings: Vec<Posting>,
    /// Each document's agent and role.
    documents: Vec<(u32, Role)>,
    agents: usize,
    /// The weight of a term no document holds: it says the text is about something else too.
    unknown: f32,
}

#[derive(Clone, Copy, Debug)]
struct Term {
    number: u32,
    is_stop_word: bool,
    rarity: f32,
    start: u32,
    end: u32,
}

#[derive(Clone, Copy, Debug)]
struct Posting {
    document: u32,
    weight: f32,
}

/// How well one agent fits, and by what.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Fit {
    /// 0 to 1, all together.
    pub(super) score: f32,
    /// The best capability or example.
    pub(super) best: f32,
    pub(super) words: f32,
    pub(super) ngrams: f32,
    pub(super) description: f32,
    pub(super) name: f32,
    /// The document `best` came from; none = nothing fits at all.
    document: Option<u32>,
}

impl Fit {
    pub(super) fn factors(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("best", rounded(self.best)),
            ("words", rounded(self.words)),
            ("ngrams", rounded(self.ngrams)),
            ("description", rounded(self.description)),
            ("name", rounded(self.name)),
        ]
    }
}

/// To four places: what follows is noise in a decision record.
pub(super) fn rounded(value: f32) -> f64 {
    (f64::from(value) * 10_000.0).round() / 10_000.0
}

impl Index {
    pub(super) fn new(agents: &[Arc<Agent>]) -> Self {
        let mut index = Self { agents: agents.len(), ..Self::default() };
        // The stop words come first, so that a text's are known even if no agent uses them.
        for word in STOP_WORDS {
            terms(word, |kind, key| {
                if kind == Kind::Word {
                    index.number(key).is_stop_word = true;
                }
            });
        }
        let mut counted: Vec<Counted> = Vec::new();
        for (agent, document) in agents.iter().enumerate().flat_map(|(i, a)| a.documents.iter().map(move |d| (i, d))) {
            let number = small(index.documents.len());
            index.documents.push((small(agent), document.role.clone()));
            for (key, kind, count) in &document.terms {
                let term = index.number(*key);
                term.end += 1;
                counted.push(Counted { term: term.number, kind: *kind, document: number, weight: *count as f32 });
            }
        }
        index.weigh(counted);
        index
    }

    fn number(&mut self, key: u64) -> &mut Term {
        let number = small(self.terms.len());
        self.terms.entry(key).or_insert(Term { number, is_stop_word: false, rarity: 0.0, start: 0, end: 0 })
    }

    /// Gives each term its rarity and its place, each posting its weight.
    fn weigh(&mut self, mut counted: Vec<Counted>) {
        let documents = self.documents.len() as f32;
        let rarity = |holding: f32| (1.0 + (documents - holding + 0.5) / (holding + 0.5)).ln();
        self.unknown = rarity(0.0);
        let mut by_number: Vec<(f32, u32)> = vec![(0.0, 0); self.terms.len()];
        let mut holding = vec![0; self.terms.len()];
        for term in self.terms.values() {
            holding[term.number as usize] = term.end;
        }
        let mut start = 0;
        for (number, held_by) in holding.iter().enumerate() {
            by_number[number] = (rarity(*held_by as f32), start);
            start += held_by;
        }
        for term in self.terms.values_mut() {
            let (rarity, start) = by_number[term.number as usize];
            term.rarity = if term.is_stop_word { rarity * STOP_WEIGHT } else { rarity };
            term.start = start;
            term.end += start;
            by_number[term.number as usize].0 = term.rarity;
        }
        let mut squares = vec![[0.0_f32; 2]; self.documents.len()];
        for c in &mut counted {
            // The square root: the tenth example with a word says less than the first.
            c.weight = c.weight.sqrt() * by_number[c.term as usize].0;
            squares[c.document as usize][c.kind as usize] += c.weight * c.weight;
        }
        self.postings = vec![Posting { document: 0, weight: 0.0 }; counted.len()];
        for c in counted {
            let place = &mut by_number[c.term as usize].1;
            let length = squares[c.document as usize][c.kind as usize].sqrt();
            self.postings[*place as usize] = Posting { document: c.document, weight: c.weight / length };
            *place += 1;
        }
    }

    /// Every agent's fit to these texts taken together, by the agent's place in the list the index was built from.
    pub(super) fn fits(&self, texts: [&str; 2]) -> Vec<Fit> {
        let mut fitting = vec![[0.0_f32; 2]; self.documents.len()];
        let mut squares = [0.0_f32; 2];
        // A term counts once: saying a word again makes it no more what is asked for.
        let mut seen = vec![0_u64; self.terms.len() / 64 + 1];
        let mut factor = 1.0;
        for text in texts {
            terms(text, |kind, key| {
                let term = self.terms.get(&key);
                if kind == Kind::Word {
                    // The n-grams that follow are this word's.
                    factor = if term.is_some_and(|term| term.is_stop_word) { STOP_WEIGHT } else { 1.0 };
                }
                let Some(term) = term else {
                    squares[kind as usize] += (factor * self.unknown).powi(2);
                    return;
                };
                let (slot, bit) = (term.number as usize / 64, 1 << (term.number % 64));
                if seen[slot] & bit != 0 {
                    return;
                }
                seen[slot] |= bit;
                let weight = if kind == Kind::Word { term.rarity } else { factor * term.rarity };
                squares[kind as usize] += weight * weight;
                for posting in &self.postings[term.start as usize..term.end as usize] {
                    fitting[posting.document as usize][kind as usize] += weight * posting.weight;
                }
            });
        }
        self.gather(&fitting, squares.map(|square| 1.0 / square.sqrt().max(f32::MIN_POSITIVE)))
    }

    fn gather(&self, fitting: &[[f32; 2]], scale: [f32; 2]) -> Vec<Fit> {
        let mut fits = vec![Fit::default(); self.agents];
        for (number, (agent, role)) in self.documents.iter().enumerate() {
            let words = fitting[number][Kind::Word as usize] * scale[Kind::Word as usize];
            let ngrams = fitting[number][Kind::Gram as usize] * scale[Kind::Gram as usize];
            let together = (WORDS * words + (1.0 - WORDS) * ngrams).min(1.0);
            let fit = &mut fits[*agent as usize];
            match role {
                Role::Description { alone: false } => fit.description = together,
                Role::Name => fit.name = together,
                Role::Capability(_) | Role::Example(_) | Role::Description { alone: true } => {
                    if together > fit.best {
                        *fit = Fit { best: together, words, ngrams, document: Some(small(number)), ..*fit };
                    }
                }
            }
        }
        for fit in &mut fits {
            // What is left to fit is filled by the others in part: never over 1, never less than the best alone.
            fit.score = 1.0 - (1.0 - fit.best) * (1.0 - DESCRIPTION * fit.description) * (1.0 - NAME * fit.name);
        }
        fits
    }

    /// In words, what an agent fits by.
    pub(super) fn deciding(&self, fit: &Fit) -> String {
        match fit.document.map(|number| &self.documents[number as usize].1) {
            Some(Role::Capability(capability)) => format!("its capability `{capability}`"),
            Some(Role::Example(example)) => format!("its example `{}`", super::names::shown(example)),
            Some(_) => "its description".to_owned(),
            None if fit.description > 0.0 => "its description".to_owned(),
            None if fit.name > 0.0 => "its name".to_owned(),
            None => "nothing it says".to_owned(),
        }
    }
}

/// A term's count in a document on its way to a posting.
struct Counted {
    term: u32,
    kind: Kind,
    document: u32,
    weight: f32,
}

/// Counts of documents and terms; bounded far below by the bounds of definitions.
fn small(number: usize) -> u32 {
    u32::try_from(number).expect("fewer than 2^32 documents and terms fit into memory")
}
