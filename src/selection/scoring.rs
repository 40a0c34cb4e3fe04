//! The local selector: how well each agent's texts fit a text, and what that makes of its chances.
//!
//! Cosines of tf-idf vectors, words and n-grams apart, over an inverted index built with the registry.
//! An agent counts by its *best* capability (or example), not by all it says: one agent that does
//! fifteen things is as good at one of them as an agent that does only that. What one asks for is
//! scored in one pass over its terms; the work grows with the text, not with the number of agents.
//! Where there are examples, a linear model learned from them judges those that fit best. Where somebody tells what
//! texts mean, that counts most, and words and n-grams help.

use super::linear::{Lesson, Linear};
use super::meaning::{Embed, Meaning};
use super::text::{Role, Text};
use super::words::{Kind, Term, terms};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The part of words in a document's fit; the rest is n-grams.
const WORDS: f32 = 0.5;
/// What the next best capability, a description and a name add to a fit by capability. All flat around these on two
/// sets of tasks.
const NEXT: f32 = 0.3;
const DESCRIPTION: f32 = 0.6;
const NAME: f32 = 0.1;
/// What a fit by texts is worth in strength without examples and beside what they teach, and what they teach is.
/// Chosen so that chances come true, with none to ten examples for each capability.
const ALONE: f32 = 14.0;
const BESIDE: f32 = 3.0;
const LEARNED: f32 = 1.2;
/// The same by meaning: what the next best and a description add, what a fit by texts does beside it, what the sum is
/// worth in strength beyond that of texts that have nothing to do with each other (which examples make greater too, as
/// far as there are any), and what examples teach besides.
const NEXT_MEANT: f32 = 0.3;
const DESCRIPTION_MEANT: f32 = 0.3;
const TEXTS_BESIDE: f32 = 0.3;
const MEANT: f32 = 13.0;
const UNRELATED: f32 = 0.33;
const UNRELATED_TAUGHT: f32 = 0.13;
const LEARNED_BESIDE: f32 = 0.26;
/// The strength of "none of them", which every chance is set against.
const NONE: f32 = 1.0;
/// Agents that the linear model judges, the best by their texts.
const JUDGED: usize = 16;
/// Texts that are learned from; of more, every so many-th.
const MOST_LESSONS: usize = 8_000;

/// Inverted index over all documents of all agents.
#[derive(Debug, Default)]
pub(super) struct Index {
    terms: FxHashMap<u64, Entry>,
    postings: Vec<Posting>,
    documents: Vec<Document>,
    agents: usize,
    /// The rarity of a term no agent uses: it says the text is about something else too.
    unknown: Rarity,
    learned: Option<Learned>,
    meaning: Option<Meaning>,
}

#[derive(Debug)]
struct Learned {
    linear: Linear,
    /// What it counts for beside the fit, by how many examples it had.
    share: f32,
}

/// A capability with its examples, an example of none, a description or a name.
#[derive(Clone, Debug)]
struct Document {
    agent: u32,
    role: Role,
    /// Whether the agent is judged by it, not only helped: a description is where there is nothing else.
    main: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Rarity {
    /// Among agents.
    agents: f32,
    /// Among texts.
    texts: f32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    rarity: Rarity,
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
    /// All together; what is one greater is `e` times as likely.
    pub(super) strength: f32,
    /// The best capability or example, 0 to 1.
    pub(super) best: f32,
    pub(super) words: f32,
    pub(super) ngrams: f32,
    pub(super) next: f32,
    pub(super) description: f32,
    pub(super) name: f32,
    /// What examples teach of it; 0 without.
    pub(super) learned: f32,
    /// By what is meant; none where nobody can tell.
    pub(super) meant: Option<Meant>,
    /// The document the best came from, by meaning where somebody can tell; none = nothing fits at all.
    document: Option<u32>,
}

/// How alike an agent's documents are to a text by what they mean, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Meant {
    best: f32,
    next: f32,
    description: f32,
}

impl Meant {
    fn sum(&self) -> f32 {
        self.best + NEXT_MEANT * self.next + DESCRIPTION_MEANT * self.description
    }
}

impl Fit {
    pub(super) fn factors(&self) -> Vec<(&'static str, f64)> {
        let mut factors = vec![
            ("best", rounded(self.best)),
            ("words", rounded(self.words)),
            ("ngrams", rounded(self.ngrams)),
            ("next", rounded(self.next)),
            ("description", rounded(self.description)),
            ("name", rounded(self.name)),
            ("learned", rounded(self.learned)),
        ];
        factors.extend(self.meant.map(|meant| ("meaning", rounded(meant.best))));
        factors
    }

    fn by_texts(&self) -> f32 {
        self.best + NEXT * self.next + DESCRIPTION * self.description + NAME * self.name
    }
}

/// What follows is noise in a decision record.
pub(super) fn to_four_places(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

pub(super) fn rounded(value: f32) -> f64 {
    to_four_places(f64::from(value))
}

/// The chance that each of these is the right one, 0 to 1, if it is one of them or none; in their order.
pub(super) fn chances(fits: &[Fit], places: &[usize]) -> Vec<f64> {
    let strengths = || places.iter().map(|place| fits[*place].strength);
    let most = strengths().fold(NONE, f32::max);
    let none = (NONE - most).exp();
    let all: f32 = strengths().map(|strength| (strength - most).exp()).sum::<f32>() + none;
    strengths().map(|strength| rounded((strength - most).exp() / all)).collect()
}

impl Index {
    /// Over the texts of each agent.
    pub(super) fn new<'a>(agents: impl ExactSizeIterator<Item = Vec<&'a Text>>, embed: Option<Arc<dyn Embed>>) -> Self {
        let mut index = Self { agents: agents.len(), ..Self::default() };
        let mut texts: Vec<(u32, &Text)> = Vec::new();
        let mut numbered: Vec<(u32, &Text)> = Vec::new();
        let mut counted: Vec<(u64, Counted)> = Vec::new();
        for (agent, said) in agents.enumerate() {
            let agent = small(agent);
            for (document, text) in index.documents_of(agent, &said) {
                counted.extend(text.terms.iter().map(|term| (term.key, Counted::new(document, term))));
                numbered.push((document, text));
            }
            texts.extend(said.into_iter().map(|text| (agent, text)));
        }
        index.weigh(counted, texts.len());
        index.learn(&texts);
        index.meaning = embed.and_then(|embed| Meaning::of(embed, &numbered, index.documents.len()));
        index
    }

    /// The agent's texts, each with the number of the document it is part of, by number.
    fn documents_of<'a>(&mut self, agent: u32, said: &[&'a Text]) -> Vec<(u32, &'a Text)> {
        let mut capabilities: BTreeMap<String, u32> = BTreeMap::new();
        let mut numbered: Vec<(u32, &Text)> = Vec::with_capacity(said.len());
        let alone = said.iter().all(|text| matches!(text.role, Role::Description | Role::Name));
        for text in said {
            let capability = match &text.role {
                Role::Capability(name) | Role::Example(_, Some(name)) => Some(name),
                Role::Example(_, None) | Role::Description | Role::Name => None,
            };
            let number = small(self.documents.len());
            let number = match capability {
                Some(name) => *capabilities.entry(super::names::fold(name)).or_insert(number),
                None => number,
            };
            if number as usize == self.documents.len() {
                let role = capability.map_or_else(|| text.role.clone(), |name| Role::Capability(name.clone()));
                let main = !matches!(role, Role::Description | Role::Name) || (alone && role == Role::Description);
                self.documents.push(Document { agent, role, main });
            }
            numbered.push((number, text));
        }
        numbered.sort_by_key(|(number, _)| *number);
        numbered
    }

    /// Gives each term its rarity and its place, each posting its weight. Counts come by document.
    fn weigh(&mut self, mut counted: Vec<(u64, Counted)>, texts: usize) {
        // Stable: of a term, documents stay in order.
        counted.sort_by_key(|(key, _)| *key);
        let mut squares = vec![[0.0_f32; 2]; self.documents.len()];
        let mut kinds = Vec::with_capacity(counted.len());
        for of_term in counted.chunk_by(|a, b| a.0 == b.0) {
            let rarity = self.rarity(of_term, texts);
            let start = small(self.postings.len());
            for of_document in of_term.chunk_by(|a, b| a.1.document == b.1.document) {
                let first = &of_document[0].1;
                let share = of_document.iter().map(|(_, counted)| counted.share).fold(0.0, f32::max);
                // The square root: the tenth example with a word says less than the first.
                let weight = (of_document.len() as f32).sqrt() * share * rarity.agents;
                squares[first.document as usize][first.kind as usize] += weight * weight;
                self.postings.push(Posting { document: first.document, weight });
                kinds.push(first.kind);
            }
            self.terms.insert(of_term[0].0, Entry { rarity, start, end: small(self.postings.len()) });
        }
        for (posting, kind) in self.postings.iter_mut().zip(kinds) {
            let square = squares[posting.document as usize][kind as usize];
            posting.weight /= square.sqrt().max(f32::MIN_POSITIVE);
        }
        self.unknown = Rarity { agents: rarity(self.agents as f32, 0.0), texts: common(texts, 0) };
    }

    fn rarity(&self, of_term: &[(u64, Counted)], texts: usize) -> Rarity {
        // A word that one agent's texts are full of and another's name once is nearly as telling as one's alone: so it is
        // not how many agents say it, but how many it is as if said it equally.
        let all = of_term.len() as f32;
        let agent = |counted: &Counted| self.documents[counted.document as usize].agent;
        let disorder: f32 = of_term
            .chunk_by(|a, b| agent(&a.1) == agent(&b.1))
            .map(|of_agent| of_agent.len() as f32 / all)
            .map(|part| -part * part.ln())
            .sum();
        Rarity { agents: rarity(self.agents as f32, disorder.exp()), texts: common(texts, of_term.len()) }
    }

    fn learn(&mut self, texts: &[(u32, &Text)]) {
        let count = |test: fn(&Role) -> bool| texts.iter().filter(|(_, text)| test(&text.role)).count() as f32;
        let examples = count(|role| matches!(role, Role::Example(..)));
        if examples == 0.0 {
            return;
        }
        let share = examples / (examples + count(|role| matches!(role, Role::Capability(_))));
        // Evenly over all of them, which are sorted by agent.
        let count = texts.len().min(MOST_LESSONS);
        let chosen = (0..count).map(|i| &texts[i * texts.len() / count]);
        let lessons: Vec<Lesson> = chosen.map(|(agent, text)| self.lesson(*agent, &text.terms)).collect();
        self.learned = Some(Learned { linear: Linear::train(&lessons, self.terms.len()), share });
    }

    fn lesson(&self, agent: u32, terms: &[Term]) -> Lesson {
        let mut rivals: Vec<u32> = (0..small(self.agents)).collect();
        if rivals.len() > JUDGED {
            // Words alone find them well enough, in a tenth of the time.
            let words: Vec<Term> = terms.iter().filter(|term| term.kind == Kind::Word).copied().collect();
            rivals = best(&self.by_texts(&words), JUDGED);
            if !rivals.contains(&agent) {
                rivals[JUDGED - 1] = agent;
            }
        }
        Lesson { agent, features: self.features(terms), rivals }
    }

    /// Words and n-grams, each of length one: how long a text is says nothing of whom it is for.
    fn features(&self, terms: &[Term]) -> Vec<(u64, f32)> {
        let value = |term: &Term| self.terms.get(&term.key).map_or(self.unknown.texts, |entry| entry.rarity.texts);
        let mut squares = [0.0_f32; 2];
        let values: Vec<f32> = terms.iter().map(value).collect();
        for (term, value) in terms.iter().zip(&values) {
            squares[term.kind as usize] += value * value;
        }
        let known = terms.iter().zip(values).filter(|(term, _)| self.terms.contains_key(&term.key));
        known.map(|(term, value)| (term.key, value / squares[term.kind as usize].sqrt())).collect()
    }

    /// Every agent's fit to these texts taken together, by the agent's place in the list the index was built from.
    pub(super) fn fits(&self, texts: [&str; 2]) -> Vec<Fit> {
        let terms = terms(texts);
        let mut fits = self.by_texts(&terms);
        for fit in &mut fits {
            fit.strength = ALONE * fit.by_texts();
        }
        if let Some(Learned { linear, share }) = &self.learned {
            let judged = best(&fits, JUDGED);
            let mut scores = vec![0.0; judged.len()];
            linear.add_scores(&self.features(&terms), &judged, &mut scores);
            // The others fit less and are taken to be no better than the worst of those that were judged.
            let least = scores.iter().copied().fold(f32::MAX, f32::min);
            for fit in &mut fits {
                fit.learned = least;
            }
            for (agent, score) in judged.iter().zip(scores) {
                fits[*agent as usize].learned = score;
            }
            for fit in &mut fits {
                let taught = BESIDE * fit.by_texts() + LEARNED * fit.learned;
                fit.strength += share * (taught - fit.strength);
            }
        }
        if let Some(likeness) = self.meaning.as_ref().and_then(|meaning| meaning.likeness(texts)) {
            self.add_meaning(&likeness, &mut fits);
        }
        fits
    }

    /// By how alike each document is to what is asked for.
    fn add_meaning(&self, likeness: &[f32], fits: &mut [Fit]) {
        for fit in &mut *fits {
            (fit.meant, fit.document) = (Some(Meant::default()), None);
        }
        for (number, (document, likeness)) in self.documents.iter().zip(likeness).enumerate() {
            let fit = &mut fits[document.agent as usize];
            let Some(meant) = &mut fit.meant else { continue };
            if !document.main {
                meant.description = meant.description.max(*likeness);
            } else if *likeness > meant.best {
                (meant.next, meant.best, fit.document) = (meant.best, likeness.min(1.0), Some(small(number)));
            } else {
                meant.next = meant.next.max(*likeness);
            }
        }
        let unrelated = UNRELATED + UNRELATED_TAUGHT * self.learned.as_ref().map_or(0.0, |learned| learned.share);
        for fit in fits {
            let all = fit.meant.map_or(0.0, |meant| meant.sum()) + TEXTS_BESIDE * fit.by_texts();
            fit.strength = MEANT * (all - unrelated) + LEARNED_BESIDE * fit.learned;
        }
    }

    fn by_texts(&self, terms: &[Term]) -> Vec<Fit> {
        let mut fitting = vec![[0.0_f32; 2]; self.documents.len()];
        let mut squares = [0.0_f32; 2];
        for term in terms {
            let kind = term.kind as usize;
            let Some(entry) = self.terms.get(&term.key) else {
                squares[kind] += (term.share * self.unknown.agents).powi(2);
                continue;
            };
            let weight = term.share * entry.rarity.agents;
            squares[kind] += weight * weight;
            for posting in &self.postings[entry.start as usize..entry.end as usize] {
                fitting[posting.document as usize][kind] += weight * posting.weight;
            }
        }
        self.gather(&fitting, squares.map(|square| 1.0 / square.sqrt().max(f32::MIN_POSITIVE)))
    }

    fn gather(&self, fitting: &[[f32; 2]], scale: [f32; 2]) -> Vec<Fit> {
        let mut fits = vec![Fit::default(); self.agents];
        for (number, document) in self.documents.iter().enumerate() {
            let words = fitting[number][Kind::Word as usize] * scale[Kind::Word as usize];
            let ngrams = fitting[number][Kind::Gram as usize] * scale[Kind::Gram as usize];
            let together = (WORDS * words + (1.0 - WORDS) * ngrams).min(1.0);
            let fit = &mut fits[document.agent as usize];
            if document.main {
                if together > fit.best {
                    let next = fit.best;
                    *fit = Fit { best: together, words, ngrams, next, document: Some(small(number)), ..*fit };
                } else {
                    fit.next = fit.next.max(together);
                }
            } else if document.role == Role::Name {
                fit.name = together;
            } else {
                fit.description = together;
            }
        }
        fits
    }

    /// In words, what an agent fits by.
    pub(super) fn deciding(&self, fit: &Fit) -> String {
        match fit.document.map(|number| &self.documents[number as usize].role) {
            Some(Role::Capability(capability)) => format!("its capability `{capability}`"),
            Some(Role::Example(example, _)) => format!("its example `{}`", super::names::shown(example)),
            Some(_) => "its description".to_owned(),
            _ if fit.description > 0.0 => "its description".to_owned(),
            _ if fit.name > 0.0 => "its name".to_owned(),
            _ => "nothing it says".to_owned(),
        }
    }

    /// The capability that an agent fits by, if it is one.
    pub(super) fn deciding_capability(&self, fit: &Fit) -> Option<&str> {
        match fit.document.map(|number| &self.documents[number as usize].role)? {
            Role::Capability(capability) | Role::Example(_, Some(capability)) => Some(capability),
            Role::Example(_, None) | Role::Description | Role::Name => None,
        }
    }

    /// Memory it takes, in bytes, about.
    pub(super) fn bytes(&self) -> usize {
        let terms = self.terms.capacity() * (size_of::<(u64, Entry)>() + 1);
        let documents = self.documents.len() * (size_of::<Document>() + 32);
        let learned = self.learned.as_ref().map_or(0, |learned| learned.linear.bytes());
        let meaning = self.meaning.as_ref().map_or(0, Meaning::bytes);
        terms + documents + self.postings.len() * size_of::<Posting>() + learned + meaning
    }
}

/// A term of a document on its way to a posting.
struct Counted {
    document: u32,
    kind: Kind,
    share: f32,
}

impl Counted {
    fn new(document: u32, term: &Term) -> Self {
        Self { document, kind: term.kind, share: term.share }
    }
}

fn rarity(all: f32, holding: f32) -> f32 {
    (1.0 + (all - holding + 0.5).max(0.0) / (holding + 0.5)).ln()
}

/// Never nothing: what is in every text still tells by how often it is in whose.
fn common(texts: usize, holding: usize) -> f32 {
    1.0 + ((1.0 + texts as f32) / (1.0 + holding as f32)).ln()
}

/// The places of the `count` that fit best by their texts, ascending.
fn best(fits: &[Fit], count: usize) -> Vec<u32> {
    let mut places: Vec<u32> = (0..small(fits.len())).collect();
    if places.len() > count {
        let order = |a: &u32, b: &u32| {
            let (one, other) = (fits[*a as usize].by_texts(), fits[*b as usize].by_texts());
            other.total_cmp(&one).then(a.cmp(b))
        };
        places.select_nth_unstable_by(count, order);
        places.truncate(count);
        places.sort_unstable();
    }
    places
}

/// Counts of documents and terms; bounded far below by the bounds of definitions.
fn small(number: usize) -> u32 {
    u32::try_from(number).expect("fewer than 2^32 documents and terms fit into memory")
}
