//! Texts as words, and lists of words that stand for something.

use serde::Deserialize;

/// If a text has one of the words, it is this.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) is: String,
    /// Words or phrases, in any case.
    pub(super) words: Vec<String>,
}

/// A text's words, folded.
#[derive(Debug)]
pub(super) struct Words(Vec<String>);

impl Words {
    pub(super) fn of(text: &str) -> Self {
        let words = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
        Self(words.map(str::to_lowercase).collect())
    }

    /// Whether the phrase is in the text as whole words one after the other.
    fn has(&self, phrase: &str) -> bool {
        let Self(phrase) = Self::of(phrase);
        !phrase.is_empty() && self.0.windows(phrase.len()).any(|window| window == phrase)
    }

    /// Which of the rule's words are here.
    pub(super) fn found<'r>(&self, rule: &'r Rule) -> Vec<&'r str> {
        rule.words.iter().map(String::as_str).filter(|word| self.has(word)).collect()
    }

    /// The first rule of which a word is here.
    pub(super) fn first<'r>(&self, rules: &'r [Rule]) -> Option<(&'r str, Vec<&'r str>)> {
        rules.iter().map(|rule| (&*rule.is, self.found(rule))).find(|(_, found)| !found.is_empty())
    }

    /// The rule of which most words are here; of equals the earlier one.
    pub(super) fn most<'r>(&self, rules: &'r [Rule]) -> Option<(&'r str, Vec<&'r str>)> {
        let found = rules.iter().map(|rule| (&*rule.is, self.found(rule))).filter(|(_, found)| !found.is_empty());
        // `max_by_key` takes the last of equals.
        found.rev().max_by_key(|(_, found)| found.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(is: &str, words: &[&str]) -> Rule {
        Rule { is: is.to_owned(), words: words.iter().map(|word| (*word).to_owned()).collect() }
    }

    #[test]
    fn words_are_whole_and_phrases_stay_together() {
        let words = Words::of("A Pilot THIS quarter, please: re-port");
        let rule = rule("ready", &["pilot", "this quarter", "quarter this", "port", "por"]);
        assert_eq!(words.found(&rule), ["pilot", "this quarter", "port"]);
    }

    #[test]
    fn most_words_win_and_of_equals_the_earlier_rule() {
        let rules = [rule("a", &["one", "two"]), rule("b", &["three"]), rule("c", &["four", "five", "six"])];
        assert_eq!(Words::of("three one").most(&rules), Some(("a", vec!["one"])));
        assert_eq!(Words::of("one four five").most(&rules).map(|(is, _)| is), Some("c"));
        assert_eq!(Words::of("three four").first(&rules).map(|(is, _)| is), Some("b"));
        assert_eq!(Words::of("seven").most(&rules), None);
    }
}
