//! The timeline of a run, for the page of the report: recorded in memory that does not grow with the run.

mod gantt;
mod time_buckets;
mod trace;

pub(crate) use gantt::{Gantt, Kind, Span};
pub(crate) use time_buckets::{TimeBucket, TimeBuckets};
pub(crate) use trace::Trace;

use std::time::Duration;

use tokio::time::Instant;

/// The waits of a document, in this order, until it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    RateLimit,
    /// The wait for a slot among the calls in flight.
    Slot,
    /// The wait for the server: this is the call.
    Answer,
    NextAttempt,
    Store,
}

impl Wait {
    pub(crate) const ALL: [Self; 5] =
        [Self::RateLimit, Self::Slot, Self::Answer, Self::NextAttempt, Self::Store];
}

/// The recording of a run.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    started: Instant,
    pub(crate) buckets: TimeBuckets,
    pub(crate) gantt: Gantt,
}

impl Timeline {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), buckets: TimeBuckets::default(), gantt: Gantt::default() }
    }

    pub(crate) fn time(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.started)
    }

    /// Records the end of a wait; `next` is the wait that follows it, or `None` if the document is stored. Only documents
    /// in one of the first rows have a `row`.
    fn waited(&mut self, row: Option<usize>, wait: Wait, next: Option<Wait>, since: Instant, now: Instant) {
        let (from, to) = (self.time(since), self.time(now));
        self.buckets.spread(wait, from, to);
        let kind = match (wait, next) {
            (Wait::RateLimit | Wait::Slot, _) => return,
            (Wait::Answer, Some(Wait::Store)) => Kind::Answered,
            // Includes calls that were cut off.
            (Wait::Answer, _) => Kind::Failed,
            (Wait::NextAttempt, _) => Kind::Rest,
            (Wait::Store, _) => Kind::Store,
        };
        match kind {
            Kind::Answered => self.buckets.at(to).answered += 1.0,
            Kind::Failed => self.buckets.at(to).failed += 1.0,
            Kind::Rest | Kind::Store => {}
        }
        if let Some(row) = row {
            self.gantt.record(Span { row, kind, from, to });
        }
    }
}
