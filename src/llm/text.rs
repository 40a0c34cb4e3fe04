//! Text that others wrote, on its way into a prompt or a record.

use std::fmt::Write;

/// Text of others on one line.
pub(super) fn line(text: &str, cap: usize) -> String {
    clean(text, cap, false)
}

/// Text of others on lines of its own.
pub(super) fn block(text: &str, cap: usize) -> String {
    clean(text, cap, true)
}

/// At most about `cap` bytes of `text`, without characters that a reader does not see, and without the fence.
fn clean(text: &str, cap: usize, lines: bool) -> String {
    let mut clean = String::with_capacity(text.len().min(cap) + 32);
    let mut run = ('\0', 0);
    for (at, character) in text.char_indices() {
        if clean.len() >= cap {
            let _ = write!(clean, " [cut: {} more bytes]", text.len() - at);
            break;
        }
        let character = match character {
            '\n' if lines => '\n',
            '\n' | '\t' => ' ',
            hidden if is_hidden(hidden) => continue,
            seen => seen,
        };
        run = if run.0 == character { (character, run.1 + 1) } else { (character, 1) };
        if matches!(character, '<' | '>') && run.1 > 2 {
            // Three in a row are a fence.
            clean.push(' ');
            run.1 = 1;
        }
        clean.push(character);
    }
    clean
}

/// Control characters, direction overrides and Unicode tags: they carry instructions nobody sees on a screen.
/// Joiners stay, since Persian, Hindi and emoji need them.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2028}' | '\u{2029}'
            | '\u{2060}'..='\u{2069}' | '\u{FEFF}' | '\u{E0000}'..='\u{E007F}')
}
