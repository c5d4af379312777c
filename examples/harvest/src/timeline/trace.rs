//! The trace of one document.

use std::sync::Arc;

use tokio::time::Instant;

use super::Wait;
use crate::stats::Stats;

/// Records the waits of a document. The trace ends when it is dropped, also if the document was cut off.
#[derive(Debug)]
pub(crate) struct Trace {
    stats: Arc<Stats>,
    waiting: Option<(Wait, Instant)>,
    /// Set from the first call on.
    row: Option<usize>,
}

impl Trace {
    pub(crate) const fn new(stats: Arc<Stats>) -> Self {
        Self { stats, waiting: None, row: None }
    }

    /// Ends the present wait, and begins the next one.
    pub(crate) fn wait_for(&mut self, next: Wait) {
        self.change(Some(next));
    }

    fn change(&mut self, next: Option<Wait>) {
        let now = Instant::now();
        let before = std::mem::replace(&mut self.waiting, next.map(|wait| (wait, now)));
        self.stats.with(|counts| {
            match before {
                Some((Wait::Answer, _)) => counts.in_flight -= 1,
                Some((Wait::RateLimit, since)) => {
                    counts.limiter_waits += 1;
                    counts.limiter_time += now - since;
                }
                _ => {}
            }
            if next == Some(Wait::Answer) {
                counts.calls += 1;
                counts.in_flight += 1;
            }
        });
        self.stats.record(|timeline| {
            if let Some((wait, since)) = before {
                timeline.waited(self.row, wait, next, since, now);
            }
            match next {
                Some(Wait::Answer) if self.row.is_none() => self.row = Some(timeline.gantt.take()),
                None => self.row.take().into_iter().for_each(|row| timeline.gantt.release(row)),
                _ => {}
            }
        });
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.change(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_waits_are_counted_where_they_begin_and_end() {
        let stats = Arc::new(Stats::recording());
        let mut trace = Trace::new(stats.clone());
        for wait in [Wait::RateLimit, Wait::Slot, Wait::Answer] {
            trace.wait_for(wait);
        }
        assert_eq!(stats.with(|c| (c.calls, c.in_flight, c.limiter_waits)), (1, 1, 1));
        trace.wait_for(Wait::NextAttempt);
        trace.wait_for(Wait::Answer);
        assert_eq!(stats.with(|c| (c.calls, c.in_flight)), (2, 1));
        trace.wait_for(Wait::Store);
        assert_eq!(stats.with(|c| (c.calls, c.in_flight)), (2, 0));
    }

    #[test]
    fn what_is_cut_off_is_in_flight_no_more_and_its_lane_is_free() {
        let stats = Arc::new(Stats::recording());
        let mut trace = Trace::new(stats.clone());
        trace.wait_for(Wait::Answer);
        drop(trace);
        assert_eq!(stats.with(|c| (c.calls, c.in_flight)), (1, 0));
        let mut next = Trace::new(stats.clone());
        next.wait_for(Wait::Answer);
        assert_eq!(next.row, Some(0));
        let failed: f64 = stats.timeline().unwrap().buckets.all().iter().map(|bucket| bucket.failed).sum();
        assert_eq!(failed, 1.0);
    }
}
