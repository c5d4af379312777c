//! The combined progress on stderr: a line for each worker and one for all, redrawn on a terminal.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::member::Member;
use crate::{echo::Quiet, live::View, out};

/// The lines that are redrawn. They are cleared on drop, to leave the screen to the report or the error.
pub(super) struct Lines {
    all: MultiProgress,
    /// From the first line to the last.
    _quiet: Option<Quiet>,
    bars: Vec<ProgressBar>,
}

impl Lines {
    pub(super) fn new() -> Self {
        // indicatif draws nothing where stderr is not a terminal, or a dumb one.
        let all = MultiProgress::new();
        Self { _quiet: (!all.is_hidden()).then(Quiet::new), all, bars: Vec::new() }
    }

    /// Whether they are redrawn in place.
    pub(super) fn are_redrawn(&self) -> bool {
        !self.all.is_hidden()
    }

    /// Shows the lines instead of the ones before.
    pub(super) fn show(&mut self, lines: &[String]) {
        if !self.are_redrawn() {
            lines.iter().for_each(|line| out::tell(line));
            return;
        }
        while self.bars.len() < lines.len() {
            let style = ProgressStyle::with_template("{wide_msg}").expect("the template is well formed");
            self.bars.push(self.all.add(ProgressBar::new_spinner().with_style(style)));
        }
        for (bar, line) in self.bars.iter().zip(lines) {
            bar.set_message(line.clone());
        }
    }

    /// Prints a line that stays.
    pub(super) fn say(&self, line: &str) {
        if self.are_redrawn() {
            // An error means that the terminal is gone.
            let _ = self.all.println(line);
        } else {
            out::tell(line);
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ = self.all.clear();
    }
}

/// Returns a line for each worker, and one for all.
pub(super) fn of(members: &[Member], view: &View) -> Vec<String> {
    let sums = &view.sums;
    let lines = members.iter().map(Member::line);
    let (users, listed, pages) = (view.totals.users, view.totals.listed, view.totals.pages);
    let bottleneck = sums.bottleneck.as_ref().map(|place| format!("; {place}")).unwrap_or_default();
    let all = format!(
        "{:>9}: {users} of {listed} users stored, {pages} pages read, {} calls in flight, {} retries, {:.0} documents/s{bottleneck}",
        "together", sums.in_flight, sums.retries, sums.rate
    );
    lines.chain([all]).collect()
}
