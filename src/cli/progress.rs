//! How far long work has come: a bar where somebody watches, plain lines otherwise.

use super::output;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

/// Where nobody watches, progress is a line at most this often.
const SAY_EVERY: Duration = Duration::from_secs(5);

pub(super) struct Progress {
    bar: Option<ProgressBar>,
    total: usize,
    what: &'static str,
    said: Instant,
}

impl Progress {
    /// `what` continues "3 of 5 …".
    pub(super) fn new(total: usize, what: &'static str) -> Self {
        let bar = output::is_watched().then(|| {
            let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:30} {pos} of {len} {msg}  {elapsed}");
            bar.set_style(style.expect("the template is a constant"));
            bar.set_message(what);
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Self { bar, total, what, said: Instant::now() }
    }

    pub(super) fn step(&mut self, done: usize) {
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
        } else if self.total > 1 && (done == self.total || self.said.elapsed() >= SAY_EVERY) {
            self.said = Instant::now();
            output::note(format!("{done} of {} {}", self.total, self.what));
        }
    }

    /// Takes the bar away while something else is printed.
    pub(super) fn hidden<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
