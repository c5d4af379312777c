//! The progress of the run on stderr: a bar on a terminal, or a line every two seconds.

use std::{sync::Arc, time::Duration};

use evenkeel::task::Stop;
use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{
    echo::Quiet,
    out,
    stats::{Counts, Stats},
};

const REDRAW: Duration = Duration::from_millis(100);
const LINE: Duration = Duration::from_secs(2);

/// Shows the counts until `end` drains, and prints a line when `stop` drains.
pub(crate) async fn show(stats: Arc<Stats>, hosts: usize, stop: Stop, end: Stop) {
    let bar = Bar::new();
    let started = Instant::now();
    let mut ticks = interval(if bar.is_visible() { REDRAW } else { LINE });
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopping = false;
    loop {
        tokio::select! {
            () = end.draining() => return,
            () = stop.draining(), if !stopping => {
                stopping = true;
                bar.say("stopping: finishing what is in flight; once more to abort");
            }
            _ = ticks.tick() => {}
        }
        let view = stats.with(|counts| View::new(counts, hosts, started.elapsed()));
        if bar.is_visible() {
            bar.draw(&view);
        } else if view.done > 0 {
            out::tell(&format!("{} of {} URLs known so far, {}", view.done, view.known, view.details));
        }
    }
}

/// The numbers that are shown.
#[derive(Debug)]
struct View {
    done: i64,
    known: i64,
    details: String,
}

impl View {
    fn new(counts: &Counts, hosts: usize, time: Duration) -> Self {
        let Counts { known, done, pages, links, in_flight, retries, failed, .. } = counts;
        let rate = (done - counts.done_before) as f64 / time.as_secs_f64().max(0.001);
        let hosts = if hosts == 1 { String::new() } else { format!(", {hosts} hosts") };
        let left = (known - done).max(0) as f64;
        // Nobody knows how many more there are.
        let eta = if rate > 0.0 && left > 0.0 && *known > *done {
            format!(", {} for those", HumanDuration(Duration::from_secs_f64((left / rate).min(1e9))))
        } else {
            String::new()
        };
        let details = format!(
            "{pages} pages, {links} links, {failed} failed, {in_flight} in flight, {retries} retries, {rate:.0} URLs/s{hosts}{eta}"
        );
        Self { done: *done, known: *known, details }
    }
}

/// The bar. It is cleared on drop, to leave the screen to the report or the error.
struct Bar {
    all: MultiProgress,
    /// From the first bar to the last.
    _quiet: Option<Quiet>,
    urls: ProgressBar,
}

impl Bar {
    fn new() -> Self {
        // indicatif draws nothing where stderr is not a terminal, or a dumb one, and no colors where NO_COLOR is set.
        let all = MultiProgress::new();
        let quiet = (!all.is_hidden()).then(Quiet::new);
        let style = ProgressStyle::with_template("{bar:30.cyan/blue} {pos}/{len}  {msg}");
        let style = style.expect("the template is well formed").progress_chars("=> ");
        let urls = all.add(ProgressBar::new(0).with_style(style));
        Self { all, _quiet: quiet, urls }
    }

    fn is_visible(&self) -> bool {
        !self.all.is_hidden()
    }

    fn draw(&self, view: &View) {
        self.urls.set_length(view.known.max(0) as u64);
        self.urls.set_message(view.details.clone());
        self.urls.set_position(view.done.max(0) as u64);
    }

    fn say(&self, line: &str) {
        if self.is_visible() {
            // An error means that the terminal is gone.
            let _ = self.all.println(line);
        } else {
            out::tell(line);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        let _ = self.all.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_that_of_the_known_urls() {
        let counts =
            Counts { known: 400, done: 100, done_before: 50, pages: 40, links: 9, ..Counts::default() };
        let view = View::new(&counts, 1, Duration::from_secs(5));
        let details = "40 pages, 9 links, 0 failed, 0 in flight, 0 retries, 10 URLs/s, 30 seconds for those";
        assert_eq!((view.done, view.known, view.details.as_str()), (100, 400, details));
        let done = View::new(&Counts { known: 1, done: 1, ..Counts::default() }, 2, Duration::from_secs(1));
        assert!(done.details.ends_with("1 URLs/s, 2 hosts"), "{done:?}");
        assert!(View::new(&Counts::default(), 1, Duration::ZERO).details.ends_with("0 URLs/s"));
    }
}
