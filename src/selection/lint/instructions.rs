//! Text that tells a model what to do instead of telling it what the agent does. Whatever it says, prompts fence it and
//! answers are checked against a closed set; it has no place in a definition all the same.
//!
//! Words are looked for, not meaning: an attack in other words passes, and it is no more than one guard of several.

use super::Findings;
use serde_json::Value;

/// Words of an order to a model, one of each list after the other, each within [`NEAR`] words of the one before.
const ORDERS: [&[&[&str]]; 4] = [
    &[
        &["ignore", "disregard", "forget", "override", "bypass", "overrule"],
        &["instruction", "instructions", "prompt", "prompts", "guidelines", "directions", "agents", "above"],
    ],
    &[&["always"], CHOOSE],
    &[&["must", "only", "never", "don't", "please"], CHOOSE, &["me", "us", "this", "agent", "agents", "yourself"]],
    &[CHOOSE, &["me", "us", "yourself"]],
];
const CHOOSE: &[&str] = &["choose", "pick", "select", "prefer"];
const NEAR: usize = 5;

/// Phrases that only a prompt has.
const PHRASES: [&str; 5] = ["you are now", "new instructions", "system prompt", "valid answers for", "jailbreak"];

/// Marks by which chats and prompts tell who speaks, or where data ends.
const MARKS: [&str; 9] =
    ["<<<", ">>>", "<|", "[inst]", "[/inst]", "<system>", "</system>", "<<sys>>", "### instruction"];

/// Who speaks, at the beginning of a line.
const ROLES: [&str; 3] = ["system:", "assistant:", "developer:"];

pub(super) fn look(found: &mut Findings<'_>) {
    let definition = found.agent.definition().clone();
    let mut texts = vec![("description".to_owned(), definition.description.as_str())];
    let listed =
        |field: &str, list: &[String]| -> Vec<String> { (0..list.len()).map(|at| format!("{field}[{at}]")).collect() };
    texts.extend(listed("capabilities", &definition.capabilities).into_iter().zip(all(&definition.capabilities)));
    let fields = listed("performance.specialization", &definition.specialization);
    texts.extend(fields.into_iter().zip(all(&definition.specialization)));
    for (at, example) in definition.examples.iter().enumerate() {
        texts.push((format!("examples[{at}].text"), &example.text));
        texts.extend(example.capability.as_deref().map(|text| (format!("examples[{at}].capability"), text)));
    }
    let sides = [("input.contract", &definition.input.contract), ("output.contract", &definition.output.contract)];
    let said: Vec<(&str, String)> =
        sides.into_iter().filter_map(|(field, contract)| Some((field, told(contract.as_deref()?)))).collect();
    texts.extend(said.iter().map(|(field, text)| ((*field).to_owned(), text.as_str())));
    for (field, text) in texts {
        if let Some(what) = instruction(text) {
            let message = format!("{what}: say what the agent does, not what a model is to do");
            found.fault("instructions", field, message);
        }
    }
}

/// What a contract tells people: its name, or what its schema says in words. A schema's own words are no text.
fn told(contract: &str) -> String {
    fn gather(value: &Value, texts: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    match (key.as_str(), value) {
                        ("title" | "description" | "$comment", Value::String(text)) => texts.push(text.clone()),
                        _ => gather(value, texts),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| gather(value, texts)),
            _ => {}
        }
    }
    match serde_json::from_str::<Value>(contract) {
        Ok(schema @ Value::Object(_)) => {
            let mut texts = Vec::new();
            gather(&schema, &mut texts);
            texts.join("\n")
        }
        _ => contract.to_owned(),
    }
}

fn all(list: &[String]) -> impl Iterator<Item = &str> {
    list.iter().map(String::as_str)
}

/// What in a text looks like an order to a model, in words; none if nothing does.
pub(super) fn instruction(text: &str) -> Option<String> {
    if let Some(hidden) = text.chars().find(|c| is_hidden(*c)) {
        return Some(format!("holds the character U+{:04X}, which nobody sees", u32::from(hidden)));
    }
    let lower = text.to_lowercase();
    let at_line = |role: &&&str| lower.lines().any(|line| line.trim_start().starts_with(**role));
    if let Some(mark) = MARKS.iter().find(|mark| lower.contains(**mark)).or_else(|| ROLES.iter().find(at_line)) {
        return Some(format!("has `{mark}`, a mark of prompts"));
    }
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|word| !word.is_empty()).collect();
    let spaced = format!(" {} ", words.join(" "));
    if let Some(phrase) = PHRASES.iter().find(|phrase| spaced.contains(&format!(" {phrase} "))) {
        return Some(format!("says `{phrase}`, as prompts do"));
    }
    ORDERS.iter().find_map(|order| {
        let starts = (0..words.len()).filter(|at| order[0].contains(&words[*at]));
        starts.filter_map(|at| obeys(&words[at..], order)).next()
    })
}

/// The words of an order that begins with the first of `words`, in words.
fn obeys(words: &[&str], order: &[&[&str]]) -> Option<String> {
    let (mut at, mut met) = (0, vec![words[0]]);
    for wanted in &order[1..] {
        let next = (at + 1..words.len().min(at + 1 + NEAR)).find(|next| wanted.contains(&words[*next]))?;
        met.push(words[next]);
        at = next;
    }
    Some(format!("says `{}`, which orders about", met.join(" … ")))
}

/// Neither seen nor white space: controls but tabs and line ends, zero widths, and what turns the direction of writing.
pub(in crate::selection) fn is_hidden(c: char) -> bool {
    let control = c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    control
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
        || matches!(c, '\u{e0000}'..='\u{e007f}')
}
