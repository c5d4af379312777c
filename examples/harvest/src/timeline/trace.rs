//! The trace of one document.

use std::sync::Arc;

use tokio::time::Instant;

use super::Wait;
use crate::stats::{Stage, Stats};

/// Records the waits of a document. The trace ends when it is dropped, also if the document was cut off.
#[derive(Debug)]
pub(crate) struct Trace {
    stats: Arc<Stats>,
    stage: Stage,
    has_called: bool,
    waiting: Option<(Wait, Instant)>,
    /// Set from the first call on.
    row: Option<usize>,
}

impl Trace {
    pub(crate) const fn new(stats: Arc<Stats>, stage: Stage) -> Self {
        Self { stats, stage, has_called: false, waiting: None, row: None }
    }

    /// Ends the present wait, and begins the next one.
    pub(crate) fn wait_for(&mut self, next: Wait) {
        self.change(Some(next));
    }

    fn change(&mut self, next: Option<Wait>) {
        let now = Instant::now();
        let before = std::mem::replace(&mut self.waiting, next.map(|wait| (wait, now)));
        let is_retry = next == Some(Wait::Answer) && std::mem::replace(&mut self.has_called, true);
        self.stats.with(|counts| {
            let stage = &mut counts.stages[self.stage as usize];
            if let Some((wait, since)) = before {
                stage.waiting[wait as usize] -= 1;
                stage.time[wait as usize] += now - since;
            }
            if let Some(wait) = next {
                stage.waiting[wait as usize] += 1;
            }
            stage.retries += u64::from(is_retry);
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
    use std::time::Duration;

    use super::*;

    #[test]
    fn calls_and_waits_are_counted_where_they_begin_and_end() {
        let stats = Arc::new(Stats::recording());
        let mut trace = Trace::new(stats.clone(), Stage::Documents);
        for wait in [Wait::RateLimit, Wait::Slot, Wait::Answer] {
            trace.wait_for(wait);
        }
        assert_eq!(stats.with(|c| (c.calls, c.in_flight, c.limiter_waits)), (1, 1, 1));
        trace.wait_for(Wait::NextAttempt);
        trace.wait_for(Wait::Answer);
        assert_eq!(stats.with(|c| (c.calls, c.in_flight)), (2, 1));
        trace.wait_for(Wait::Store);
        assert_eq!(stats.with(|c| (c.calls, c.in_flight)), (2, 0));
        let stage = stats.with(|c| c.stages[Stage::Documents as usize].clone());
        assert_eq!((stage.waiting, stage.retries), ([0, 0, 0, 0, 1], 1));
        drop(trace);
        assert_eq!(stats.with(|c| c.stages[Stage::Documents as usize].waiting), [0; 5]);
        assert_eq!(stats.with(|c| c.stages[Stage::Pages as usize].waiting), [0; 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_each_wait_is_added_up() {
        let stats = Arc::new(Stats::default());
        for _ in 0..2 {
            let mut trace = Trace::new(stats.clone(), Stage::Pages);
            for (wait, seconds) in [(Wait::Slot, 2), (Wait::Answer, 3), (Wait::Store, 4)] {
                trace.wait_for(wait);
                tokio::time::advance(Duration::from_secs(seconds)).await;
            }
        }
        let time = stats.with(|c| c.stages[Stage::Pages as usize].time);
        assert_eq!(time.map(|time| time.as_secs()), [0, 4, 6, 0, 8]);
    }

    #[test]
    fn what_is_cut_off_is_in_flight_no_more_and_its_lane_is_free() {
        let stats = Arc::new(Stats::recording());
        let mut trace = Trace::new(stats.clone(), Stage::Documents);
        trace.wait_for(Wait::Answer);
        drop(trace);
        assert_eq!(stats.with(|c| (c.calls, c.in_flight)), (1, 0));
        let mut next = Trace::new(stats.clone(), Stage::Documents);
        next.wait_for(Wait::Answer);
        assert_eq!(next.row, Some(0));
        let failed: f64 = stats.timeline().unwrap().buckets.all().iter().map(|bucket| bucket.failed).sum();
        assert_eq!(failed, 1.0);
    }
}
