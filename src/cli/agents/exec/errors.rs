//! What a command says on its standard error: to the log, line by line, and the last of it kept for the report.

use crate::cli::output;
use std::collections::VecDeque;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

/// Of a line, in bytes; what is longer is cut.
const LINE: usize = 1024;
/// Lines kept for the report.
const LINES: usize = 10;

/// The last lines.
#[derive(Debug, Default)]
pub(super) struct Errors {
    last: VecDeque<String>,
}

impl Errors {
    /// Hears it to its end, and logs each line with the assignment it is about.
    pub(super) async fn hear(&mut self, mut from: impl AsyncBufRead + Unpin, assignment_id: &str) {
        let mut line = Vec::new();
        // One that cannot be read any more has ended.
        while let Ok(read) = from.fill_buf().await {
            let (length, end) = match read.iter().position(|byte| *byte == b'\n') {
                Some(place) => (place, place + 1),
                None => (read.len(), read.len()),
            };
            let is_over = read.is_empty();
            let is_whole = is_over || end > length;
            line.extend_from_slice(&read[..length.min(LINE - line.len())]);
            from.consume(end);
            if is_whole {
                self.say(&line, assignment_id);
                line.clear();
            }
            if is_over {
                return;
            }
        }
    }

    fn say(&mut self, line: &[u8], assignment_id: &str) {
        let line = output::safe(String::from_utf8_lossy(line).trim_end());
        if line.is_empty() {
            return;
        }
        tracing::info!(assignment = assignment_id, "{line}");
        if self.last.len() == LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    /// The last lines; none if nothing was said.
    pub(super) fn last(self) -> Option<String> {
        (!self.last.is_empty()).then(|| Vec::from(self.last).join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::BufReader;

    async fn heard(said: &[u8]) -> Option<String> {
        let mut errors = Errors::default();
        // Read in small pieces, so that lines end anywhere in them.
        errors.hear(BufReader::with_capacity(7, said), "t~0-0~1~1").await;
        errors.last()
    }

    #[tokio::test]
    async fn the_last_lines_are_kept_without_what_would_drive_a_terminal() {
        assert_eq!(heard(b"").await, None);
        assert_eq!(heard(b"\n\n").await, None);
        assert_eq!(heard(b"one\n\ntwo and more \nthree").await.as_deref(), Some("one\ntwo and more\nthree"));
        assert_eq!(heard(b"\x1b[2Jred\xff").await.as_deref(), Some("\\u{1b}[2Jred\u{fffd}"));
        let many: String = (0..LINES + 2).map(|number| format!("{number}\n")).collect();
        assert_eq!(heard(many.as_bytes()).await.unwrap().lines().next(), Some("2"));
        let long = heard(&vec![b'x'; 3 * LINE]).await.unwrap();
        assert_eq!(long.len(), LINE);
    }
}
