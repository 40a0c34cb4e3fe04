//! Text that tells a model what to do instead of telling it what the agent does. Whatever it says, prompts fence it and
//! answers are checked against a closed set; it has no place in a definition all the same.
//!
//! Words are looked for, not meaning: an attack in other words passes, and it is no more than one guard of several.

use super::Findings;

/// Words that stand near each other in orders to a model: one of the first, then one of the second within [`NEAR`] words.
const ORDERS: [(&[&str], &[&str]); 4] = [
    (
        &["ignore", "disregard", "forget", "override", "bypass", "overrule"],
        &["instruction", "instructions", "prompt", "prompts", "rules", "guidelines", "directions", "agents", "above"],
    ),
    (&["always", "must", "only"], &["choose", "pick", "select", "prefer", "chosen", "picked", "selected", "preferred"]),
    (&["never", "not", "don't"], &["choose", "pick", "select", "chosen", "picked", "selected"]),
    (&["choose", "pick", "select", "prefer"], &["me", "us", "this agent", "yourself"]),
];
const NEAR: usize = 6;

/// Phrases that only a prompt has.
const PHRASES: [&str; 8] = [
    "you are now",
    "new instructions",
    "system prompt",
    "valid answers",
    "as an ai",
    "answer with json",
    "respond with json",
    "jailbreak",
];

/// Marks by which chats and prompts tell who speaks, or where data ends.
const MARKS: [&str; 12] = [
    "<<<",
    ">>>",
    "```",
    "<|",
    "|>",
    "[inst]",
    "[/inst]",
    "<system>",
    "</system>",
    "<<sys>>",
    "### instruction",
    "\"confidence\"",
];

/// Who speaks, at the beginning of a line.
const ROLES: [&str; 5] = ["system:", "assistant:", "user:", "human:", "developer:"];

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
    for (field, contract) in
        [("input.contract", &definition.input.contract), ("output.contract", &definition.output.contract)]
    {
        texts.extend(contract.as_deref().map(|text| (field.to_owned(), text)));
    }
    for (field, text) in texts {
        if let Some(what) = instruction(text) {
            let message = format!("{what}: say what the agent does, not what a model is to do");
            found.fault("instructions", field, message);
        }
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
    ORDERS.iter().find_map(|(first, second)| near(&words, first, second))
}

fn near(words: &[&str], first: &[&str], second: &[&str]) -> Option<String> {
    let starts = words.iter().enumerate().filter(|(_, word)| first.contains(word));
    starts.map(|(at, _)| words[at..].iter().take(NEAR + 1).copied().collect::<Vec<_>>()).find_map(|window| {
        let rest = format!(" {} ", window[1..].join(" "));
        let met = second.iter().find(|wanted| rest.contains(&format!(" {wanted} ")))?;
        Some(format!("says `{} … {met}`, which orders about", window[0]))
    })
}

/// Neither seen nor white space: controls but tabs and line ends, zero widths, and what turns the direction of writing.
fn is_hidden(c: char) -> bool {
    let control = c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    control
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
        || matches!(c, '\u{e0000}'..='\u{e007f}')
}
