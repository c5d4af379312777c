//! The way of one document.

use std::sync::Arc;

use tokio::time::Instant;

use super::Wait;
use crate::stats::Stats;

/// Follows a document from wait to wait; its way ends when this is dropped, however that comes.
#[derive(Debug)]
pub(crate) struct Trace {
    stats: Arc<Stats>,
    waiting: Option<(Wait, Instant)>,
    /// From its first call on.
    lane: Option<usize>,
}

impl Trace {
    pub(crate) const fn new(stats: Arc<Stats>) -> Self {
        Self { stats, waiting: None, lane: None }
    }

    /// What it waited for is there; this comes next.
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
                timeline.waited(self.lane, wait, next, since, now);
            }
            match next {
                Some(Wait::Answer) if self.lane.is_none() => self.lane = Some(timeline.lanes.take()),
                None => self.lane.take().into_iter().for_each(|lane| timeline.lanes.give(lane)),
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
        for wait in [Wait::RateLimit, Wait::Place, Wait::Answer] {
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
        assert_eq!(next.lane, Some(0));
        let failed: f64 = stats.timeline().unwrap().columns.all().iter().map(|column| column.failed).sum();
        assert_eq!(failed, 1.0);
    }
}
