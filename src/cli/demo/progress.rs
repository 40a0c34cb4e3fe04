//! Progress for people: a display that is drawn anew where somebody watches, else a line now and then.

use crate::cli::output;
use crate::contract::{Completion, RoutingDecision};
use crate::demo::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::Write;
use std::time::{Duration, Instant};

/// Where nobody watches, progress is a line at most this often.
const SAY_EVERY: Duration = Duration::from_secs(2);
/// Cells of an agent's bar at most.
const CELLS: usize = 30;

pub(super) struct Shown {
    progress: Progress,
    bar: Option<ProgressBar>,
    said: Instant,
    routed: bool,
}

impl Shown {
    pub(super) fn new(progress: Progress) -> Self {
        let bar = output::is_watched().then(|| {
            let bar = ProgressBar::with_draw_target(Some(progress.total() as u64), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} tasks ended  {elapsed}\n{msg}");
            bar.set_style(style.expect("the template is a constant"));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { progress, bar, said: Instant::now(), routed: false }
    }

    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    pub(super) fn decided(&mut self, decision: &RoutingDecision) {
        let ours = self.progress.decided(decision);
        if ours && !self.routed && self.bar.is_none() {
            if let Some(first) = self.progress.last().last() {
                output::note(format!("first decision: {}", output::safe(first)));
            }
            self.said = Instant::now();
        }
        self.routed |= ours;
        self.show();
    }

    pub(super) fn ended(&mut self, completion: &Completion) {
        self.progress.ended(completion);
        self.show();
    }

    fn show(&mut self) {
        match &self.bar {
            Some(bar) => {
                bar.set_position(self.progress.count() as u64);
                bar.set_message(board(&self.progress));
            }
            None if self.progress.is_over() || self.said.elapsed() >= SAY_EVERY => {
                self.said = Instant::now();
                output::note(line(&self.progress));
            }
            None => {}
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn board(progress: &Progress) -> String {
    let width = progress.lanes().iter().map(|lane| lane.agent.chars().count()).max().unwrap_or(0);
    let mut board = String::new();
    for lane in progress.lanes() {
        let agent = output::safe(&lane.agent);
        let has = "■".repeat(lane.has.min(CELLS));
        writeln!(board, "  {agent:<width$}  {:>5} done  {has}", lane.done).expect("writing to a string cannot fail");
    }
    for last in progress.last() {
        writeln!(board, "    {}", output::safe(last)).expect("writing to a string cannot fail");
    }
    board.truncate(board.trim_end().len());
    board
}

fn line(progress: &Progress) -> String {
    let lanes: Vec<String> =
        progress.lanes().iter().map(|lane| format!("{} {}", output::safe(&lane.agent), lane.done)).collect();
    format!("{} of {} tasks have ended; done: {}", progress.count(), progress.total(), lanes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_board_says_who_has_what_and_what_was_decided_last() {
        let mut progress = Progress::of(["t".to_owned(), "u".to_owned()]);
        for agent in ["A", "Lead Scorer"] {
            let decision = json!({
                "decisionId": "d", "taskId": "t", "question": 1, "choice": "AGENT", "chosen": agent, "by": "CONTRACT",
                "reason": "r", "decidedAt": 0,
            });
            progress.decided(&serde_json::from_value(decision).unwrap());
        }
        let expected = "  A                1 done  \n  Lead Scorer      0 done  ■\n    t → A (contract)\n    t → Lead Scorer (contract)";
        assert_eq!(board(&progress), expected);
        assert_eq!(line(&progress), "0 of 2 tasks have ended; done: A 1, Lead Scorer 0");
    }
}
