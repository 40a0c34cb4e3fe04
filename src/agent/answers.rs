//! What this process is working on and has answered lately, by assignment: a second delivery of an assignment waits for
//! the first one's answer, or gets it at once. Bounded; the oldest answers are forgotten first, and what is forgotten is
//! worked on again if it ever comes again.

use crate::contract::AgentReport;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// How many answers are kept.
const MOST: usize = 1_000;
/// How much they may take: outputs are up to 256 KB each.
const MOST_BYTES: usize = 16 << 20;

/// Empty while somebody works on it.
pub(super) type Cell = Arc<OnceCell<AgentReport>>;

#[derive(Debug, Default)]
pub(super) struct Answers {
    cells: HashMap<String, Entry>,
    answered: VecDeque<(String, usize)>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Entry {
    cell: Cell,
    answered: bool,
}

impl Answers {
    /// The place of an assignment's answer, for whoever comes first to fill.
    pub(super) fn of(&mut self, assignment_id: &str) -> Cell {
        Arc::clone(&self.cells.entry(assignment_id.to_owned()).or_default().cell)
    }

    /// The answer was delivered: from now on it may be forgotten.
    pub(super) fn answered(&mut self, assignment_id: &str) {
        let Some(entry) = self.cells.get_mut(assignment_id).filter(|entry| !entry.answered) else { return };
        entry.answered = true;
        let output = entry.cell.get().and_then(|report| report.output.as_ref());
        let bytes = assignment_id.len() + output.map_or(0, String::len);
        self.bytes += bytes;
        self.answered.push_back((assignment_id.to_owned(), bytes));
        while self.answered.len() > MOST || self.bytes > MOST_BYTES {
            let Some((oldest, bytes)) = self.answered.pop_front() else { break };
            self.bytes -= bytes;
            self.cells.remove(&oldest);
        }
    }

    /// Its work was for nothing: nobody will ask for the answer.
    pub(super) fn forget(&mut self, assignment_id: &str) {
        if self.cells.get(assignment_id).is_some_and(|entry| !entry.answered) {
            self.cells.remove(assignment_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::ReportStatus;

    fn answer(answers: &mut Answers, id: &str, output: &str) {
        let mut report = AgentReport::new("t", id, "A", ReportStatus::Succeeded);
        report.output = Some(output.to_owned());
        answers.of(id).set(report).unwrap();
        answers.answered(id);
    }

    #[test]
    fn a_second_delivery_finds_the_first_ones_answer() {
        let mut answers = Answers::default();
        answer(&mut answers, "a", "1");
        answers.answered("a");
        assert_eq!(answers.of("a").get().and_then(|report| report.output.as_deref()), Some("1"));
        assert_eq!(answers.answered.len(), 1);
    }

    #[test]
    fn the_oldest_answers_are_forgotten_and_what_is_being_worked_on_is_not() {
        let mut answers = Answers::default();
        let working = answers.of("working");
        for id in 0..=MOST {
            answer(&mut answers, &id.to_string(), "");
        }
        assert!(answers.of("0").get().is_none() && answers.of("1").get().is_some());
        assert!(Arc::ptr_eq(&working, &answers.of("working")));
    }

    #[test]
    fn large_answers_do_not_fill_the_memory() {
        let mut answers = Answers::default();
        let large = "x".repeat(MOST_BYTES / 2);
        for id in ["a", "b", "c"] {
            answer(&mut answers, id, &large);
        }
        assert!(answers.bytes <= MOST_BYTES && answers.of("a").get().is_none() && answers.of("c").get().is_some());
    }
}
