//! Texts as terms: words and the character 3- and 4-grams inside them.
//!
//! Words find what is said the same way, n-grams what is said nearly so (plurals, compounds, typing
//! errors, languages this has no word rules for). A term is a 64-bit key, never a string.

use crate::workflow::fnv1a_64;
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

/// English words that say little about what is wanted; they count for less.
/// Dropping them altogether is worse: "how", "what" and "my" tell questions from orders.
const STOP_WORDS: &str = "a about am an and any are as at be been but by can could did do does for from get give had \
    has have how i if in into is it its just let like ll m me much my need of on or our please s should so some t tell \
    than that the their them then there these they this to up us ve want was we were what when where which who why \
    will with would you your d re don im whats";
/// What a stop word counts for, and what its n-grams do. Flat between 0.2 and 0.4 on two sets of tasks.
const STOP_WORD: f32 = 0.3;
const STOP_GRAM: f32 = 0.4;

/// English forms that no ending tells, the first of each group standing for the others.
const IRREGULAR: &[&str] = &[
    "be is are am was were been",
    "become became",
    "begin began begun",
    "bend bent",
    "bind bound",
    "bite bit bitten",
    "break broke broken",
    "bring brought",
    "build built",
    "buy bought",
    "catch caught",
    "choose chose chosen",
    "come came",
    "deal dealt",
    "dig dug",
    "do did done does",
    "draw drew drawn",
    "drink drank drunk",
    "drive drove driven",
    "eat ate eaten",
    "fall fell fallen",
    "feed fed",
    "feel felt",
    "fight fought",
    "find found",
    "fly flew flown",
    "forget forgot forgotten",
    "freeze froze frozen",
    "get got gotten",
    "give gave given",
    "go went gone",
    "grind ground",
    "grow grew grown",
    "hang hung",
    "have has had",
    "hear heard",
    "hide hid hidden",
    "hold held",
    "keep kept",
    "know knew known",
    "lead led",
    "leave left",
    "lend lent",
    "lose lost",
    "make made",
    "mean meant",
    "meet met",
    "pay paid",
    "ride rode ridden",
    "ring rang rung",
    "rise rose risen",
    "run ran",
    "say said",
    "see saw seen",
    "seek sought",
    "sell sold",
    "send sent",
    "shine shone",
    "shoot shot",
    "show shown",
    "sing sang sung",
    "sit sat",
    "sleep slept",
    "speak spoke spoken",
    "spend spent",
    "stand stood",
    "steal stole stolen",
    "stick stuck",
    "swim swam",
    "take took taken",
    "teach taught",
    "tear tore torn",
    "tell told",
    "think thought",
    "throw threw thrown",
    "understand understood",
    "wake woke woken",
    "wear wore worn",
    "win won",
    "write wrote written",
    "bad worse worst",
    "child children",
    "foot feet",
    "good better best",
    "half halves",
    "knife knives",
    "life lives",
    "man men",
    "mouse mice",
    "person people",
    "shelf shelves",
    "tooth teeth",
    "woman women",
];

/// What kind of term a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Word,
    Gram,
}

/// A term of a text, and what it counts for beside others as rare as it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    pub(super) key: u64,
    pub(super) kind: Kind,
    pub(super) share: f32,
}

/// The terms of these texts taken together, each once: saying a word again makes it no more what is asked for.
pub(super) fn terms<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Term> {
    let mut found = Vec::new();
    for text in texts {
        walk(text, &mut found);
    }
    // Of the same n-gram in a stop word and in another the greater share stays.
    found.sort_unstable_by(|a, b| (a.key, a.kind).cmp(&(b.key, b.kind)).then(b.share.total_cmp(&a.share)));
    found.dedup_by_key(|term| (term.key, term.kind));
    found
}

fn walk(text: &str, found: &mut Vec<Term>) {
    let mut word: Vec<u32> = Vec::with_capacity(32);
    word.push(EDGE);
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            word.push(u32::from(c.to_ascii_lowercase()));
        } else if c.is_ascii() || !c.is_alphanumeric() {
            end_word(&mut word, found);
        } else {
            word.extend(c.to_lowercase().map(u32::from));
        }
    }
    end_word(&mut word, found);
}

/// Stands before and after each word, so that beginnings and endings are n-grams of their own.
const EDGE: u32 = ' ' as u32;

fn end_word(word: &mut Vec<u32>, found: &mut Vec<Term>) {
    if word.len() == 1 {
        return;
    }
    let known = KNOWN.get(&word_key(&word[1..]));
    let (word_share, gram_share) =
        if known.is_some_and(|known| known.is_stop_word) { (STOP_WORD, STOP_GRAM) } else { (1.0, 1.0) };
    let key = known.map_or_else(|| word_key(stem(&word[1..])), |known| known.key);
    found.push(Term { key, kind: Kind::Word, share: word_share });
    word.push(EDGE);
    for grams in [word.windows(3), word.windows(4)] {
        found.extend(grams.map(|gram| Term { key: gram_key(gram), kind: Kind::Gram, share: gram_share }));
    }
    word.truncate(1);
}

/// A word that the lists above name.
#[derive(Clone, Copy)]
struct Known {
    key: u64,
    is_stop_word: bool,
}

static KNOWN: LazyLock<FxHashMap<u64, Known>> = LazyLock::new(|| {
    let letters = |word: &str| word.chars().map(u32::from).collect::<Vec<u32>>();
    let mut known = FxHashMap::default();
    for group in IRREGULAR {
        let base = group.split(' ').next().map_or(0, |base| word_key(stem(&letters(base))));
        for word in group.split(' ') {
            known.insert(word_key(&letters(word)), Known { key: base, is_stop_word: false });
        }
    }
    for word in STOP_WORDS.split_whitespace() {
        let stemmed = Known { key: word_key(stem(&letters(word))), is_stop_word: true };
        known.entry(word_key(&letters(word))).or_insert(stemmed).is_stop_word = true;
    }
    known
});

/// Takes common English endings off: the same on both sides, so a wrong stem does no harm but to merge two words.
fn stem(word: &[u32]) -> &[u32] {
    /// Letters that must stay, or short words lose their sense.
    const STAYS: usize = 3;
    let ends = |word: &[u32], ending: &str| {
        word.len() >= ending.len() + STAYS
            && word.iter().rev().zip(ending.bytes().rev()).all(|(a, b)| *a == u32::from(b))
    };
    let mut stem = word;
    for ending in ["ations", "ation", "ings", "ing", "ers", "er", "ed", "es", "ly", "ions", "ion", "s"] {
        if ends(word, ending) && !ends(word, "ss") {
            stem = &word[..word.len() - ending.len()];
            break;
        }
    }
    if ["e", "y", "i"].iter().any(|ending| ends(stem, ending)) {
        stem = &stem[..stem.len() - 1];
    }
    match stem {
        // As in "planning" and "plan".
        [.., a, b] if stem.len() > STAYS && a == b && !"aeioulsz".chars().any(|c| u32::from(c) == *b) => {
            &stem[..stem.len() - 1]
        }
        _ => stem,
    }
}

const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

fn word_key(letters: &[u32]) -> u64 {
    fnv1a_64(letters.iter().copied())
}

fn gram_key(letters: &[u32]) -> u64 {
    // A character has 21 bits: three fit side by side, a fourth is mixed in.
    letters
        .iter()
        .fold(0, |key: u64, c| (key.rotate_left(21) ^ u64::from(*c)).wrapping_add(SPREAD))
        .wrapping_mul(SPREAD)
}

/// The beginning of a text, at most `most` characters.
pub(super) fn beginning(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}
