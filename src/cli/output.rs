//! The only way to standard output and standard error: lines, tables, JSON.
//!
//! What others wrote (names, reasons, outputs) is shown with its control characters escaped, so that a record cannot drive
//! the terminal.

use clap::ValueEnum;
use serde_json::Value;
use std::io::{self, IsTerminal, Write};

/// How a listing is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs: one array.
    Json,
}

/// One line on standard output.
pub(super) fn line(text: impl AsRef<str>) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{}", text.as_ref())
}

/// Text on standard output as it is.
pub(super) fn raw(bytes: &[u8]) -> io::Result<()> {
    io::stdout().lock().write_all(bytes)
}

/// One line beside the output: progress, warnings, errors.
pub(super) fn note(text: impl AsRef<str>) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
}

/// Whether somebody watches: then progress is a bar, else plain lines.
pub(super) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// Rows of objects, either as one JSON array or as a table of `columns`: heading and JSON pointer.
pub(super) fn listing(format: Format, columns: &[(&str, &str)], rows: &[Value]) -> io::Result<()> {
    match format {
        Format::Json => line(serde_json::to_string_pretty(rows).expect("JSON values are JSON")),
        Format::Table => {
            let mut table = vec![columns.iter().map(|(heading, _)| (*heading).to_owned()).collect::<Vec<_>>()];
            for row in rows {
                table.push(columns.iter().map(|(_, pointer)| cell(row.pointer(pointer))).collect());
            }
            raw(lay_out(&table).as_bytes())
        }
    }
}

/// One value: JSON as it is, or what a person wants to see.
pub(super) fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "-".to_owned(),
        Some(Value::String(text)) => safe(text),
        Some(Value::Array(items)) if items.is_empty() => "-".to_owned(),
        Some(Value::Array(items)) => items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(", "),
        Some(Value::Bool(true)) => "yes".to_owned(),
        Some(Value::Bool(false)) => "no".to_owned(),
        Some(other) => safe(&other.to_string()),
    }
}

/// The text with control characters escaped.
pub(super) fn safe(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, letter| {
        if letter.is_control() {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
        shown
    })
}

/// Columns as wide as their widest cell; the last one as it comes.
fn lay_out(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|it| it.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_line_up_whatever_is_in_them() {
        let rows = [vec!["A".to_owned(), "B".to_owned()], vec!["länger".to_owned(), "x".to_owned()]];
        assert_eq!(lay_out(&rows), "A       B\nlänger  x\n");
    }

    #[test]
    fn a_record_cannot_drive_the_terminal() {
        assert_eq!(cell(Some(&json!("a\u{1b}[2Jb\nc"))), "a\\u{1b}[2Jb\\nc");
    }
}
