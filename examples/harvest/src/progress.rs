//! The progress of the run on stderr: bars on a terminal, or a line every two seconds.

use std::{sync::Arc, time::Duration};

use evenkeel::task::Stop;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{
    echo::Quiet,
    out,
    stats::{Counts, Stats},
};

const REDRAW: Duration = Duration::from_millis(100);
const LINE: Duration = Duration::from_secs(2);

/// Shows the counts until `end` drains, and prints a line when `stop` drains.
pub(crate) async fn show(stats: Arc<Stats>, stop: Stop, end: Stop) {
    let bars = Bars::new();
    let started = Instant::now();
    let mut ticks = interval(if bars.are_visible() { REDRAW } else { LINE });
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopping = false;
    loop {
        tokio::select! {
            () = end.draining() => return,
            () = stop.draining(), if !stopping => {
                stopping = true;
                bars.say("stopping: finishing what is in flight; once more to abort");
            }
            _ = ticks.tick() => {}
        }
        let view = stats.with(|counts| View::of(counts, started.elapsed()));
        if bars.are_visible() {
            bars.draw(&view);
        } else if view.pages > 0 {
            out::tell(&view.line());
        }
    }
}

/// The counts that are shown.
struct View {
    pages: u64,
    listed: u64,
    users: u64,
    in_flight: u64,
    paused: u64,
    retries: u64,
    /// Users stored per second.
    rate: f64,
}

impl View {
    fn of(counts: &Counts, time: Duration) -> Self {
        Self {
            pages: counts.totals.pages,
            listed: counts.totals.listed,
            users: counts.totals.users,
            in_flight: counts.in_flight,
            paused: counts.paused,
            retries: counts.retries.values().sum(),
            rate: (counts.totals.users - counts.before.users) as f64 / time.as_secs_f64().max(0.001),
        }
    }

    fn line(&self) -> String {
        let Self { pages, listed, users, .. } = self;
        format!("{users} of {listed} users stored, {pages} pages read, {}", self.pace())
    }

    fn pace(&self) -> String {
        let Self { in_flight, paused, retries, rate, .. } = self;
        let paused = if *paused > 0 { format!("{paused} told to wait, ") } else { String::new() };
        format!("{in_flight} calls in flight, {paused}{retries} retries, {rate:.0} users/s")
    }
}

/// The bars. They are cleared on drop, to leave the screen to the report or the error.
struct Bars {
    all: MultiProgress,
    /// From the first bar to the last.
    _quiet: Option<Quiet>,
    pages: ProgressBar,
    users: ProgressBar,
}

impl Bars {
    fn new() -> Self {
        // indicatif draws nothing where stderr is not a terminal, or a dumb one, and no colors where NO_COLOR is set.
        let all = MultiProgress::new();
        let quiet = (!all.is_hidden()).then(Quiet::new);
        let style = |template| ProgressStyle::with_template(template).expect("the template is well formed");
        let pages = all.add(ProgressBar::no_length().with_style(style("{spinner:.cyan} pages {pos}")));
        let users = style("  users {bar:30.cyan/blue} {pos}/{len}  {msg}").progress_chars("=> ");
        let users = all.add(ProgressBar::new(0).with_style(users));
        Self { all, _quiet: quiet, pages, users }
    }

    fn are_visible(&self) -> bool {
        !self.all.is_hidden()
    }

    fn draw(&self, view: &View) {
        self.pages.set_position(view.pages);
        self.pages.tick();
        self.users.set_length(view.listed);
        self.users.set_message(view.pace());
        self.users.set_position(view.users);
    }

    fn say(&self, line: &str) {
        if self.are_visible() {
            // An error means that the terminal is gone.
            let _ = self.all.println(line);
        } else {
            out::tell(line);
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        let _ = self.all.clear();
    }
}
